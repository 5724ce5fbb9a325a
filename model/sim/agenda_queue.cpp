#include "model/sim/agenda_queue.h"

#include <algorithm>

namespace understudy {

agenda_queue& agenda_queue::shared() {
  static agenda_queue* const queue = new agenda_queue("agenda_queue");
  return *queue;
}

agenda_queue::agenda_queue(const sc_core::sc_module_name& name) : sc_module(name) {
  SC_METHOD(run);
  sensitive << wake_;
  dont_initialize();
}

void agenda_queue::grow() {
  const auto first = static_cast<std::uint32_t>(chunks_.size()) * chunk_slots;
  chunks_.push_back(std::make_unique<action[]>(chunk_slots));
  owners_.resize(first + chunk_slots);
  queue_.reserve(first + chunk_slots);
  free_.reserve(first + chunk_slots);
  for (std::uint32_t i = chunk_slots; i > 0; --i) free_.push_back(first + i - 1);
}

void agenda_queue::drop(const agenda& owner) {
  queue_.remove_if([&](std::uint32_t slot) {
    if (owners_[slot] != &owner) return false;
    forget(slot);
    return true;
  });
}

void agenda_queue::pass_time(picos d) {
  until_ = now_ps() + d;
  sc_core::sc_start(to_sc(d));
  until_ = 0;
}

picos agenda_queue::kernel_next() {
  return detail::kernel_time.value() + sc_core::sc_time_to_pending_activity().value();
}

void agenda_queue::run() {
  running_ = true;
  armed_ = never;
  now_ = now_ps();
  for (action& notify : in_step_) notify();
  in_step_.clear();
  take_due();
  // Nothing but what in_step() calls, after which the loop ends, gives SystemC more to do.
  const picos kernels = until_ > now_ ? kernel_next() : 0;
  const picos limit = std::min(until_, kernels);
  for (picos next; in_step_.empty() && (next = queue_.first()) < limit;) {
    now_ = next;
    detail::ahead = next - detail::kernel_time.value();
    take_due();
  }
  running_ = false;
  if (detail::ahead && kernel_next() != kernels)
    SC_REPORT_FATAL("pass_time",
                    "an event was notified outside of in_step() while SystemC's clock stood still");
  detail::ahead = 0;
  if (const picos next = in_step_.empty() ? queue_.first() : now_; next != never) arm(next);
}

void agenda_queue::take_due() {
  for (std::uint32_t slot; (slot = queue_.take(now_)) != instant_queue::none;) {
    at(slot)();
    forget(slot);
  }
}

void pass_time(picos d) {
  agenda_queue::shared().pass_time(d);
}

}  // namespace understudy
