#include "model/sim/agenda_queue.h"

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

void agenda_queue::run() {
  running_ = true;
  armed_ = never;
  now_ = now_ps();
  for (std::uint32_t slot; (slot = queue_.take(now_)) != instant_queue::none;) {
    at(slot)();
    forget(slot);
  }
  running_ = false;
  if (const picos next = queue_.first(); next != never) arm(next, now_);
}

}  // namespace understudy
