#include "model/core/record_coalescer.h"

#include <algorithm>

namespace understudy {

void record_coalescer::reset() {
  std::fill(slots_.begin(), slots_.end(), slot{});
  head_ = tail_ = none;
  terms_ = {};
}

hold_verdict record_coalescer::add(std::uint32_t index, std::uint64_t at, std::uint32_t length,
                                   std::uint64_t now) {
  hold_verdict v;
  v.cycles = add_cycles;
  v.flush = true;
  if (index >= slots_.size()) return v;
  slot& s = slots_[index];
  if (s.pieces == 0) {
    s.deadline = now + terms_.hold_age;
    s.before = tail_;
    s.after = none;
    (tail_ == none ? head_ : slots_[tail_].after) = index;
    tail_ = index;
  }
  v.merges = s.pieces != 0 && s.range_end == at && s.range_bytes + length <= terms_.max_range;
  s.range_bytes = v.merges ? s.range_bytes + length : length;
  s.range_end = at + length;
  s.ranges += !v.merges;
  s.bytes += length;
  s.pieces += 1;
  v.flush = terms_.hold_age == 0 || (terms_.hold_bytes && s.bytes >= terms_.hold_bytes) ||
            (terms_.hold_count && s.pieces >= terms_.hold_count);
  return v;
}

held_amount record_coalescer::flushed(std::uint32_t index) {
  held_amount a;
  a.cycles = flushed_cycles;
  if (index >= slots_.size() || slots_[index].pieces == 0) return a;
  slot& s = slots_[index];
  a.bytes = s.bytes;
  a.pieces = s.pieces;
  a.ranges = s.ranges;
  (s.before == none ? head_ : slots_[s.before].after) = s.after;
  (s.after == none ? tail_ : slots_[s.after].before) = s.before;
  s = slot{};
  return a;
}

std::optional<std::uint32_t> record_coalescer::oldest() const {
  return head_ == none ? std::nullopt : std::optional(head_);
}

std::optional<std::uint32_t> record_coalescer::expire(std::uint64_t now) const {
  return next_deadline() <= now ? oldest() : std::nullopt;
}

std::uint64_t record_coalescer::next_deadline() const {
  return head_ == none ? hold_never : slots_[head_].deadline;
}

}  // namespace understudy
