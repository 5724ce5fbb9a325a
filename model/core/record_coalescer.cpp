#include "model/core/record_coalescer.h"

#include <algorithm>
#include <limits>

namespace understudy {

namespace {
template <typename T>
constexpr T most = std::numeric_limits<T>::max();
template <typename T>
T capped_sum(T a, std::uint64_t b) {
  return b > std::uint64_t{most<T>} - a ? most<T> : static_cast<T>(a + b);
}
template <typename T>
bool reached(T value, std::uint32_t limit) {
  return value == most<T> || (limit && value >= limit);
}
}  // namespace

void record_coalescer::reset() {
  std::fill(slots_.begin(), slots_.end(), slot{});
  head_ = tail_ = none;
  terms_ = {};
}

hold_verdict record_coalescer::add(std::uint32_t index, std::uint64_t at, std::uint32_t length,
                                   std::uint64_t now) {
  hold_verdict v;
  v.cycles = op_cycles;
  v.flush = true;
  const std::uint64_t end = at + length;
  if (index >= slots_.size() || length == 0 || length > max_length || end < at) return v;
  slot& s = slots_[index];
  if (s.pieces == 0) {
    s.first = now;
    s.before = tail_;
    s.after = none;
    (tail_ == none ? head_ : slots_[tail_].after) = index;
    tail_ = index;
  }
  v.merges = s.pieces != 0 && s.range_end == at && std::uint64_t{s.range_bytes} + length <= terms_.max_range;
  s.range_bytes = v.merges ? s.range_bytes + length : length;
  s.range_end = end;
  s.ranges = capped_sum(s.ranges, !v.merges);
  s.bytes = capped_sum(s.bytes, length);
  s.pieces = capped_sum(s.pieces, 1);
  v.flush =
      terms_.hold_age == 0 || reached(s.bytes, terms_.hold_bytes) || reached(s.pieces, terms_.hold_count);
  return v;
}

held_amount record_coalescer::flushed(std::uint32_t index) {
  held_amount a;
  a.cycles = op_cycles;
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
  return head_ != none && next_deadline() <= now ? oldest() : std::nullopt;
}

std::uint64_t record_coalescer::next_deadline() const {
  if (head_ == none) return hold_never;
  return std::min(capped_sum(slots_[head_].first, terms_.hold_age), hold_never - 1);
}

}  // namespace understudy
