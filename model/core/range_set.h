// Disjoint ranges of sequence numbers in order: what a receiver holds out of order, what a sender knows of
// it.
#pragma once
#include <array>
#include <cstdint>

#include "model/abi/seq32.h"

namespace understudy {

// A fixed number of ranges, so that no peer decides how much memory or work one connection costs: every
// function takes at most `capacity` steps. All numbers must lie within 2^31 of each other.
class range_set {
 public:
  static constexpr std::uint32_t capacity = 32;
  struct range {
    seq32 left;   // first number
    seq32 right;  // after the last
    std::uint32_t size() const { return right.minus(left); }
  };

  // Add [left, right), not empty; what touches becomes one range. With all places taken the highest range
  // makes room.
  void add(seq32 left, seq32 right);
  // Forget what lies before `at`.
  void trim(seq32 at);
  void pop_front();
  void clear() { count_ = 0; }

  bool empty() const { return count_ == 0; }
  std::uint32_t size() const { return count_; }
  const range& operator[](std::uint32_t n) const { return ranges_[n]; }
  const range& front() const { return ranges_[0]; }
  const range& back() const { return ranges_[count_ - 1]; }
  // The first range that ends after `at`; nullptr: none. It contains `at` if it begins at or before it.
  const range* ending_after(seq32 at) const;
  // Numbers of [from, to) that are in the set; 0 if `to` is not after `from`.
  std::uint32_t bytes_within(seq32 from, seq32 to) const;

 private:
  void erase(std::uint32_t first, std::uint32_t n);

  std::array<range, capacity> ranges_{};
  std::uint32_t count_ = 0;
};

}  // namespace understudy
