#include "model/abi/seq32.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(Seq32, OrderIsByDistanceAcrossTheWrap) {
  int checked = 0;
  for (std::uint32_t base : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffff0u, 0xffffffffu})
    for (std::uint32_t d : {1u, 15u, 16u, 1u << 20, 0x7fffffffu}) {
      const seq32 a{base}, b = a + d;
      EXPECT_TRUE(a.before(b) && a.before_eq(b) && b.after(a) && b.after_eq(a));
      EXPECT_FALSE(b.before(a) || b.before_eq(a) || a.after(b) || a.after_eq(b));
      EXPECT_EQ(b.minus(a), d);
      EXPECT_EQ(b - d, a);
      EXPECT_EQ(later(a, b), b);
      EXPECT_EQ(earlier(a, b), a);
      ++checked;
    }
  EXPECT_EQ(checked, 30);
}

TEST(Seq32, EqualNumbersAreAtButNotBeforeOrAfter) {
  const seq32 a{0xffffffff};
  EXPECT_TRUE(a.before_eq(a) && a.after_eq(a));
  EXPECT_FALSE(a.before(a) || a.after(a));
}

template <typename T>
concept has_less = requires(T a, T b) {
  a < b;
};

TEST(Seq32, RawComparisonDoesNotCompile) {
  static_assert(!has_less<seq32>);
  static_assert(has_less<std::uint32_t>);
  seq32 a{0xfffffffe};
  a += 3;
  EXPECT_EQ(a, seq32{1});
}

}  // namespace
}  // namespace understudy
