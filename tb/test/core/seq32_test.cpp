#include "model/abi/seq32.h"

#include <gtest/gtest.h>

#include <compare>
#include <type_traits>

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

template <typename A, typename B>
concept has_less = requires(A a, B b) {
  a < b;
};
template <typename A, typename B>
concept has_greater = requires(A a, B b) {
  a > b;
};
template <typename A, typename B>
concept has_less_or_equal = requires(A a, B b) {
  a <= b;
};
template <typename A, typename B>
concept has_greater_or_equal = requires(A a, B b) {
  a >= b;
};
template <typename A, typename B>
concept has_three_way = requires(A a, B b) {
  a <=> b;
};
template <typename A, typename B>
concept has_sum = requires(A a, B b) {
  a + b;
};
template <typename A, typename B>
concept has_difference = requires(A a, B b) {
  a - b;
};
template <typename A, typename B>
concept has_product = requires(A a, B b) {
  a* b;
};
template <typename A, typename B>
concept is_equated = requires(A a, B b) {
  a == b;
};
template <typename A, typename B>
concept is_advanced_by = requires(A a, B b) {
  a += b;
};
template <typename A, typename B>
concept is_ordered = has_less<A, B> || has_greater<A, B> || has_less_or_equal<A, B> ||
    has_greater_or_equal<A, B> || has_three_way<A, B>;

TEST(Seq32, RawComparisonDoesNotCompile) {
  using raw = std::uint32_t;
  static_assert(!has_less<seq32, seq32> && !has_greater<seq32, seq32>);
  static_assert(!has_less_or_equal<seq32, seq32> && !has_greater_or_equal<seq32, seq32>);
  static_assert(!has_three_way<seq32, seq32>);
  static_assert(!is_ordered<seq32, raw> && !is_ordered<raw, seq32> && !is_ordered<seq32, int>);
  static_assert(!is_equated<seq32, raw> && is_equated<seq32, seq32>);
  // Each concept sees what is there.
  static_assert(has_less<raw, raw> && has_greater<raw, raw> && has_less_or_equal<raw, raw> &&
                has_greater_or_equal<raw, raw> && has_three_way<raw, raw>);
}

TEST(Seq32, RawArithmeticDoesNotCompile) {
  using raw = std::uint32_t;
  static_assert(!has_sum<seq32, seq32> && !has_difference<seq32, seq32> && !has_product<seq32, seq32>);
  static_assert(!has_sum<raw, seq32> && !has_difference<raw, seq32> && !is_advanced_by<raw, seq32>);
  static_assert(!is_advanced_by<seq32, seq32> && !has_product<seq32, raw>);
  static_assert(!std::is_convertible_v<seq32, raw> && !std::is_convertible_v<raw, seq32>);
  static_assert(!std::is_convertible_v<seq32, bool> && !std::is_assignable_v<seq32&, raw>);
  // What is meant: a number moved by so many bytes.
  static_assert(has_sum<seq32, raw> && has_difference<seq32, raw> && is_advanced_by<seq32, raw>);
  static_assert(has_sum<raw, raw> && has_difference<raw, raw> && has_product<raw, raw>);
  seq32 a{0xfffffffe};
  a += 3;
  EXPECT_EQ(a, seq32{1});
}

}  // namespace
}  // namespace understudy
