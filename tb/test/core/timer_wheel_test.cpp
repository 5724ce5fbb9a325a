#include "model/core/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>

#include "model/core/rng.h"

namespace understudy {
namespace {

TEST(TimerWheel, AnIdExpiresAtItsTick) {
  timer_wheel w;
  EXPECT_EQ(w.next(), timer_wheel::no_tick);
  w.arm(3, 10);
  EXPECT_EQ(w.next(), 10u);
  EXPECT_EQ(w.armed(3), 10u);
  w.advance(9);
  EXPECT_EQ(w.pop(), timer_wheel::none);
  w.advance(10);
  EXPECT_EQ(w.next(), 10u);
  EXPECT_EQ(w.pop(), 3u);
  EXPECT_EQ(w.pop(), timer_wheel::none);
  EXPECT_EQ(w.armed(3), timer_wheel::no_tick);
}

TEST(TimerWheel, ArmingAgainReplaces) {
  timer_wheel w;
  w.arm(0, 1000);
  w.arm(0, 20);
  w.arm(1, 5);
  w.arm(1, 70'000);
  w.advance(999);
  EXPECT_EQ(w.pop(), 0u);
  EXPECT_EQ(w.pop(), timer_wheel::none);
  w.advance(70'000);
  EXPECT_EQ(w.pop(), 1u);
}

TEST(TimerWheel, CancelledIdsDoNotExpire) {
  timer_wheel w;
  w.arm(0, 5);
  w.arm(1, 5);
  w.cancel(0);
  w.cancel(9);
  w.advance(100);
  EXPECT_EQ(w.pop(), 1u);
  EXPECT_EQ(w.pop(), timer_wheel::none);
  w.arm(2, 200);
  w.cancel(2);
  EXPECT_EQ(w.next(), timer_wheel::no_tick);
}

TEST(TimerWheel, ATickInThePastIsDueAtOnce) {
  timer_wheel w;
  w.advance(500);
  w.arm(0, 400);
  EXPECT_EQ(w.next(), 500u);
  EXPECT_EQ(w.pop(), 0u);
}

TEST(TimerWheel, IdsOfOneTickExpireInTheOrderOfArming) {
  timer_wheel w;
  for (std::uint32_t i = 0; i < 10; ++i) w.arm(9 - i, 50);
  w.advance(50);
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(w.pop(), 9 - i);
}

TEST(TimerWheel, NextIsNeverLateAndReachesEveryTickByRepetition) {
  timer_wheel w;
  w.arm(0, 123'456'789);
  int steps = 0;
  while (w.pop() == timer_wheel::none) {
    const std::uint64_t n = w.next();
    ASSERT_LE(n, 123'456'789u);
    w.advance(n);
    ASSERT_LT(++steps, 10);
    if (n == 123'456'789u) {
      EXPECT_EQ(w.pop(), 0u);
      return;
    }
  }
  FAIL() << "expired early";
}

TEST(TimerWheel, AgreesWithAnOrderedMap) {
  const std::uint64_t seed = 99;
  rng draws(seed, "wheel");
  timer_wheel w;
  std::map<std::uint32_t, std::uint64_t> model;
  std::uint64_t now = 0, expired = 0;
  for (int step = 0; step < 200'000; ++step) {
    const auto id = static_cast<std::uint32_t>(draws.below(300));
    const std::uint64_t span[] = {10, 300, 70'000, 20'000'000};
    switch (draws.below(4)) {
      case 0:
      case 1: {
        const std::uint64_t tick = now + 1 + draws.below(span[draws.below(4)]);
        w.arm(id, tick);
        model[id] = tick;
        break;
      }
      case 2:
        w.cancel(id);
        model.erase(id);
        break;
      default: {
        std::uint64_t first = timer_wheel::no_tick;
        for (const auto& [i, t] : model) first = std::min(first, t);
        ASSERT_LE(w.next(), first) << "seed " << seed;
        now += draws.below(span[draws.below(3)]);
        w.advance(now);
        for (std::uint32_t i = w.pop(); i != timer_wheel::none; i = w.pop()) {
          ASSERT_TRUE(model.contains(i)) << "seed " << seed;
          ASSERT_LE(model[i], now);
          model.erase(i);
          ++expired;
        }
        for (const auto& [i, t] : model) ASSERT_GT(t, now) << "seed " << seed;
      }
    }
  }
  EXPECT_GT(expired, 10'000u);
}

}  // namespace
}  // namespace understudy
