#include "model/sim/agenda_queue.h"

#include <algorithm>

namespace understudy {

namespace {
constexpr std::size_t children = 4;
}

agenda_queue& agenda_queue::shared() {
  static agenda_queue* const queue = new agenda_queue("agenda_queue");
  return *queue;
}

agenda_queue::agenda_queue(const sc_core::sc_module_name& name) : sc_module(name) {
  SC_METHOD(run);
  sensitive << wake_;
  dont_initialize();
  heap_.reserve(1024);
}

void agenda_queue::grow() {
  const auto first = static_cast<std::uint32_t>(chunks_.size()) * chunk_slots;
  chunks_.push_back(std::make_unique<action[]>(chunk_slots));
  free_.reserve(first + chunk_slots);
  for (std::uint32_t i = chunk_slots; i > 0; --i) free_.push_back(first + i - 1);
}

void agenda_queue::insert(const entry& e) {
  if (first_is_done_) {
    first_is_done_ = false;
    sink(0, e);
    return;
  }
  std::size_t hole = heap_.size();
  heap_.push_back(e);
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / children;
    if (e.key > heap_[parent].key) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = e;
}

void agenda_queue::remove_done() {
  if (!first_is_done_) return;
  first_is_done_ = false;
  const entry last = heap_.back();
  heap_.pop_back();
  if (!heap_.empty()) sink(0, last);
}

// Put `e` where it belongs at or below `hole`.
void agenda_queue::sink(std::size_t hole, const entry& e) {
  const std::size_t n = heap_.size();
  for (;;) {
    const std::size_t first = hole * children + 1;
    if (first >= n) break;
    std::size_t least = first;
    for (std::size_t c = first + 1; c < std::min(first + children, n); ++c)
      least = heap_[c].key < heap_[least].key ? c : least;
    if (heap_[least].key > e.key) break;
    heap_[hole] = heap_[least];
    hole = least;
  }
  heap_[hole] = e;
}

void agenda_queue::drop(const agenda& owner) {
  remove_done();
  for (const entry& e : heap_) {
    if (e.owner != &owner) continue;
    at(e.slot) = action{};
    free_.push_back(e.slot);
  }
  if (std::erase_if(heap_, [&](const entry& e) { return e.owner == &owner; }) == 0) return;
  std::sort(heap_.begin(), heap_.end(), [](const entry& x, const entry& y) { return x.key < y.key; });
}

void agenda_queue::run() {
  running_ = true;
  armed_ = never;
  now_ = now_ps();
  while (!heap_.empty() && heap_.front().at() <= now_) {
    const std::uint32_t slot = heap_.front().slot;
    action& a = at(slot);
    first_is_done_ = true;
    a();
    remove_done();
    a = action{};
    free_.push_back(slot);
  }
  running_ = false;
  if (!heap_.empty()) arm(heap_.front().at(), now_);
}

}  // namespace understudy
