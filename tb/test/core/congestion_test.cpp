// Congestion avoidance by itself: RFC 5681 and RFC 9438.
#include "model/core/congestion.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/core/tcp_connection.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t mss = 1000;

// A path with a fixed round trip: a window is acknowledged segment by segment, spread over it.
struct path {
  path(const congestion_control& k, std::uint32_t segments, picos round_trip) : control(k), rtt(round_trip) {
    c.mss = mss;
    c.cwnd = segments * mss;
    c.srtt_us = static_cast<std::uint32_t>(rtt / 1_us);
  }
  const congestion_control& control;
  tcp_connection c;
  picos rtt, now = 1_s;
  void round() {
    const std::uint32_t n = std::max(c.cwnd / mss, 1u);
    for (std::uint32_t k = 0; k < n; ++k) {
      control.grow(c, mss, now);
      now += rtt / n;
    }
  }
  void run_for(picos d) {
    for (const picos end = now + d; now < end;) round();
  }
  void lose() {
    control.reduce(c, c.cwnd);
    c.cwnd = c.ssthresh;
  }
  double segments() const { return c.cwnd / static_cast<double>(mss); }
};

TEST(Congestion, NewRenoGrowsBySegmentAWindow) {
  path p(newreno(), 100, 100_ms);
  for (int k = 0; k < 10; ++k) p.round();
  EXPECT_NEAR(p.segments(), 110, 1);
  p.lose();
  EXPECT_NEAR(p.segments(), 55, 1);
}

TEST(Congestion, NewRenoGrowsBySegmentAWindowHoweverLargeItIs) {
  path p(newreno(), 500'000, 100_ms);
  for (int k = 0; k < 4; ++k) p.round();
  EXPECT_NEAR(p.segments(), 500'004, 1);
}

TEST(Congestion, NothingLeavesLessThanTwoSegments) {
  for (const congestion_control* k : {&newreno(), &cubic()}) {
    path p(*k, 1, 100_ms);
    p.lose();
    EXPECT_EQ(p.c.ssthresh, 2 * mss);
  }
}

TEST(Congestion, CubicLeavesSevenTenthsAndReturnsToWMaxAfterK) {
  path p(cubic(), 1000, 100_ms);
  p.lose();
  EXPECT_NEAR(p.segments(), 700, 1);
  // K = cbrt(300 / 0.4) s = 9.086 s
  p.run_for(4500_ms);
  EXPECT_NEAR(p.segments(), 1000 - 0.4 * 4.59 * 4.59 * 4.59, 15) << "concave: most is regained early";
  p.run_for(4600_ms);
  EXPECT_NEAR(p.segments(), 1000, 5);
  p.run_for(5_s);
  EXPECT_NEAR(p.segments(), 1000 + 0.4 * 125, 10) << "convex: it looks for more";
}

TEST(Congestion, CubicIsNotSlowerThanNewRenoOnShortPaths) {
  path p(cubic(), 20, 1_ms), reno(newreno(), 20, 1_ms);
  p.lose();
  reno.lose();
  p.run_for(100_ms);
  reno.run_for(100_ms);
  EXPECT_GT(p.segments(), 0.85 * reno.segments());
  EXPECT_LT(p.segments(), 1.4 * reno.segments());
}

TEST(Congestion, CubicGivesWayWhenLossesCloseIn) {
  path p(cubic(), 1000, 100_ms);
  p.lose();
  EXPECT_EQ(p.c.cubic_max, 1000 * mss);
  p.lose();
  EXPECT_NEAR(p.c.cubic_max / 1000.0, 700 * 0.85, 1) << "fast convergence";
}

TEST(Congestion, CubicEarnsNothingWhileTheWindowIsNotTheLimit) {
  path p(cubic(), 1000, 100_ms);
  p.lose();
  p.run_for(1_s);
  const double before = p.segments();
  p.control.idle(p.c);
  p.now += 60_s;
  p.round();
  EXPECT_NEAR(p.segments(), before, 40);
}

TEST(Congestion, AfterATimeoutCubicBeginsOnThePlateau) {
  path p(cubic(), 1000, 100_ms);
  p.control.reduce(p.c, p.c.cwnd);
  p.control.restart(p.c);
  p.c.cwnd = p.c.ssthresh;
  p.run_for(1_s);
  EXPECT_NEAR(p.segments(), 705, 5);
}

TEST(Congestion, TheWindowStaysBelowAGibibyte) {
  for (const congestion_control* k : {&newreno(), &cubic()}) {
    path p(*k, 1, 1_ms);
    p.c.cwnd = (1u << 30) - mss;
    for (int n = 0; n < 100; ++n) {
      p.control.grow(p.c, 1u << 29, p.now);
      p.now += 10_s;
      ASSERT_LE(p.c.cwnd, 1u << 30);
    }
  }
}

}  // namespace
}  // namespace understudy::tb
