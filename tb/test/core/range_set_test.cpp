#include "model/core/range_set.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "model/core/rng.h"

namespace understudy::tb {
namespace {

constexpr seq32 base{0xffffff00u};  // the numbers wrap inside the tests

TEST(RangeSet, RangesThatTouchBecomeOne) {
  range_set s;
  s.add(base + 10, base + 20);
  s.add(base + 30, base + 40);
  EXPECT_EQ(s.size(), 2u);
  s.add(base + 20, base + 30);
  ASSERT_EQ(s.size(), 1u);
  EXPECT_EQ(s[0].left, base + 10);
  EXPECT_EQ(s[0].right, base + 40);
}

TEST(RangeSet, HoldsWhatASetOfNumbersWouldHold) {
  constexpr std::uint64_t seed = 11;
  std::printf("[ seed %llu ]\n", static_cast<unsigned long long>(seed));
  rng draws(seed, "range_set");
  for (int round = 0; round < 200; ++round) {
    range_set s;
    std::set<std::uint32_t> oracle;
    for (int step = 0; step < 30; ++step) {
      const auto left = static_cast<std::uint32_t>(draws.below(600));
      const auto n = static_cast<std::uint32_t>(1 + draws.below(40));
      if (draws.chance(0.2)) {
        s.trim(base + left / 4);
        oracle.erase(oracle.begin(), oracle.lower_bound(left / 4));
      } else {
        s.add(base + left, base + (left + n));
        for (std::uint32_t b = left; b < left + n; ++b) oracle.insert(b);
      }
      ASSERT_EQ(s.bytes_within(base, base + 700), oracle.size());
      const auto from = static_cast<std::uint32_t>(draws.below(600));
      const range_set::range* r = s.ending_after(base + from);
      const auto o = oracle.lower_bound(from);
      ASSERT_EQ(r != nullptr, o != oracle.end());
      if (r) {
        ASSERT_EQ(later(r->left, base + from), base + *o);
      }
      for (std::uint32_t k = 1; k < s.size(); ++k) ASSERT_TRUE(s[k - 1].right.before(s[k].left));
    }
  }
}

TEST(RangeSet, WhenItIsFullTheHighestMakesRoom) {
  range_set s;
  for (std::uint32_t n = 0; n < range_set::capacity; ++n) s.add(base + 10 * n, base + (10 * n + 5));
  EXPECT_EQ(s.size(), range_set::capacity);
  s.add(base + 7, base + 8);
  EXPECT_EQ(s.size(), range_set::capacity);
  EXPECT_EQ(s[1].left, base + 7);
  EXPECT_EQ(s.back().left, base + 10 * (range_set::capacity - 2));
  s.add(base + 5000, base + 5001);
  EXPECT_EQ(s.size(), range_set::capacity);
  EXPECT_EQ(s.back().left, base + 5000);
}

TEST(RangeSet, TrimCutsTheRangeThatReachesAcross) {
  range_set s;
  s.add(base + 10, base + 20);
  s.add(base + 30, base + 40);
  s.trim(base + 35);
  ASSERT_EQ(s.size(), 1u);
  EXPECT_EQ(s.front().left, base + 35);
  s.trim(base + 40);
  EXPECT_TRUE(s.empty());
}

}  // namespace
}  // namespace understudy::tb
