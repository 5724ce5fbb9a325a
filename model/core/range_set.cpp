#include "model/core/range_set.h"

#include <algorithm>

namespace understudy {

void range_set::erase(std::uint32_t first, std::uint32_t n) {
  std::move(ranges_.begin() + first + n, ranges_.begin() + count_, ranges_.begin() + first);
  count_ -= n;
}

void range_set::add(seq32 left, seq32 right) {
  std::uint32_t first = 0;
  while (first < count_ && ranges_[first].right.before(left)) ++first;
  std::uint32_t last = first;  // after the ranges that [left, right) touches
  while (last < count_ && ranges_[last].left.before_eq(right)) ++last;
  if (last != first) {
    ranges_[first] = {earlier(left, ranges_[first].left), later(right, ranges_[last - 1].right)};
    return erase(first + 1, last - first - 1);
  }
  if (count_ == capacity) --count_;
  first = std::min(first, count_);
  std::move_backward(ranges_.begin() + first, ranges_.begin() + count_, ranges_.begin() + count_ + 1);
  ranges_[first] = {left, right};
  ++count_;
}

void range_set::trim(seq32 at) {
  std::uint32_t n = 0;
  while (n < count_ && ranges_[n].right.before_eq(at)) ++n;
  if (n) erase(0, n);
  if (count_) ranges_[0].left = later(ranges_[0].left, at);
}

void range_set::pop_front() {
  erase(0, 1);
}

const range_set::range* range_set::ending_after(seq32 at) const {
  for (std::uint32_t n = 0; n < count_; ++n)
    if (ranges_[n].right.after(at)) return &ranges_[n];
  return nullptr;
}

std::uint32_t range_set::bytes_within(seq32 from, seq32 to) const {
  std::uint32_t sum = 0;
  for (std::uint32_t n = 0; n < count_; ++n) {
    const seq32 left = later(ranges_[n].left, from);
    const seq32 right = earlier(ranges_[n].right, to);
    if (right.after(left)) sum += right.minus(left);
  }
  return sum;
}

}  // namespace understudy
