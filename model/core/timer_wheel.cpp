#include "model/core/timer_wheel.h"

#include <bit>

namespace understudy {

// A tick lies on the level of the highest 8-bit group in which it differs from the present, in the slot of
// that group's value. Every slot in use is therefore ahead of the present, and lower levels come before
// higher ones.

timer_wheel::timer_wheel() = default;

void timer_wheel::link(std::uint32_t id) {
  node& n = nodes_[id];
  if (n.tick <= now_) {
    n.slot = due;
  } else {
    const auto bit = static_cast<std::uint32_t>(63 - std::countl_zero(n.tick ^ now_));
    const std::uint32_t level = bit / 8 < levels ? bit / 8 : levels - 1;
    const std::uint32_t index = (n.tick >> (8 * level)) & (slots - 1);
    n.slot = static_cast<std::uint16_t>(level * slots + index);
    occupied_[level][index / 64] |= std::uint64_t{1} << (index % 64);
  }
  list& l = lists_[n.slot];
  n.prev = l.tail;
  n.next = none;
  (l.tail == none ? l.head : nodes_[l.tail].next) = id;
  l.tail = id;
}

void timer_wheel::unlink(std::uint32_t id) {
  node& n = nodes_[id];
  list& l = lists_[n.slot];
  (n.prev == none ? l.head : nodes_[n.prev].next) = n.next;
  (n.next == none ? l.tail : nodes_[n.next].prev) = n.prev;
  if (l.head == none && n.slot != due)
    occupied_[n.slot / slots][n.slot % slots / 64] &= ~(std::uint64_t{1} << (n.slot % 64));
  n.slot = idle;
}

void timer_wheel::arm(std::uint32_t id, std::uint64_t tick) {
  if (id >= nodes_.size()) nodes_.resize(id + 1);
  if (nodes_[id].slot != idle) unlink(id);
  nodes_[id].tick = tick;
  link(id);
}

void timer_wheel::cancel(std::uint32_t id) {
  if (id < nodes_.size() && nodes_[id].slot != idle) unlink(id);
}

int timer_wheel::first_slot(std::uint32_t level) const {
  for (std::uint32_t w = 0; w < slots / 64; ++w)
    if (occupied_[level][w]) return static_cast<int>(w * 64) + std::countr_zero(occupied_[level][w]);
  return -1;
}

std::uint64_t timer_wheel::next() const {
  if (lists_[due].head != none) return now_;
  for (std::uint32_t level = 0; level < levels; ++level) {
    const int s = first_slot(level);
    if (s < 0) continue;
    const std::uint64_t above = ~((std::uint64_t{1} << (8 * (level + 1))) - 1);
    return (now_ & above) | static_cast<std::uint64_t>(s) << (8 * level);
  }
  return no_tick;
}

void timer_wheel::drain(std::uint16_t slot) {
  while (lists_[slot].head != none) {
    const std::uint32_t id = lists_[slot].head;
    unlink(id);
    link(id);
  }
}

void timer_wheel::advance(std::uint64_t tick) {
  while (now_ < tick) {
    std::uint64_t step = no_tick;
    std::uint16_t slot = due;
    for (std::uint32_t level = 0; level < levels && slot == due; ++level) {
      const int s = first_slot(level);
      if (s < 0) continue;
      const std::uint64_t above = ~((std::uint64_t{1} << (8 * (level + 1))) - 1);
      step = (now_ & above) | static_cast<std::uint64_t>(s) << (8 * level);
      slot = static_cast<std::uint16_t>(level * slots + static_cast<std::uint32_t>(s));
    }
    if (step > tick) {
      now_ = tick;
      return;
    }
    now_ = step;
    drain(slot);
  }
}

std::uint32_t timer_wheel::pop(std::uint64_t* tick) {
  const std::uint32_t id = lists_[due].head;
  if (id == none) return none;
  if (tick) *tick = nodes_[id].tick;
  unlink(id);
  return id;
}

}  // namespace understudy
