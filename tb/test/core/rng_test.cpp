#include "model/core/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

namespace understudy {
namespace {

TEST(Rng, TheSameSeedAndNameGiveTheSameDraws) {
  rng a(42, "wire/loss"), b(42, "wire/loss");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(a.next(), b.next());
}

TEST(Rng, NamesAndSeedsSeparateStreams) {
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 50; ++seed)
    for (const char* name : {"", "a", "b", "wire/loss", "wire/reorder"}) first.insert(rng(seed, name).next());
  EXPECT_EQ(first.size(), 250u);
}

TEST(Rng, BelowIsEvenAndInRange) {
  rng r(1, "even");
  std::array<int, 7> count{};
  for (int i = 0; i < 70'000; ++i) ++count[r.below(7)];
  for (int c : count) EXPECT_NEAR(c, 10'000, 400);
  EXPECT_EQ(r.below(1), 0u);
}

TEST(Rng, ChanceMeetsItsProbabilityAndZeroDrawsNothing) {
  rng r(1, "chance"), untouched(1, "chance");
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(r.chance(0));
  EXPECT_EQ(r.next(), untouched.next());
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) hits += r.chance(0.1);
  EXPECT_NEAR(hits, 10'000, 400);
  EXPECT_TRUE(r.chance(1.0));
}

TEST(Rng, UniformStaysBelowOne) {
  rng r(3, "u");
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double u = r.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.01);
}

}  // namespace
}  // namespace understudy
