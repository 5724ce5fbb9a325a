#include "model/sim/agenda_queue.h"

#include <algorithm>
#include <string>

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

picos agenda_queue::next_of_systemc() {
  return detail::kernel_time.value() + sc_core::sc_time_to_pending_activity().value();
}

void agenda_queue::run() {
  armed_ = 0;
  for (action& notify : deferred_) notify();
  deferred_.clear();
  take_due();
  // Nothing but what in_step() defers, behind which the loop ends, gives SystemC more to do.
  const picos systemc_at = until_ > now_ps() ? next_of_systemc() : 0;
  const picos limit = std::min(until_, systemc_at);
  for (picos next; deferred_.empty() && (next = queue_.first()) < limit;) {
    detail::ahead = next - detail::kernel_time.value();
    take_due();
  }
  if (detail::ahead && next_of_systemc() != systemc_at)
    SC_REPORT_FATAL("pass_time",
                    ("an event was notified outside of in_step() while SystemC's clock stood still, before " +
                     std::to_string(now_ps()) + " ps")
                        .c_str());
  const picos next = deferred_.empty() ? queue_.first() : now_ps();
  detail::ahead = 0;
  armed_ = never;
  if (next != never) arm(next);
}

void agenda_queue::take_due() {
  const picos now = now_ps();
  for (std::uint32_t slot; (slot = queue_.take(now)) != instant_queue::none;) {
    at(slot)();
    forget(slot);
  }
}

void pass_time(picos d) {
  agenda_queue::shared().until_ = now_ps() + d;
  sc_core::sc_start(to_sc(d));
}

}  // namespace understudy
