// The parts of live mode that need no network: pace, orders, addresses, stalls.
#include <gtest/gtest.h>

#include "model/core/packet.h"
#include "tb/live/live.h"
#include "tb/live/live_control.h"
#include "tb/live/pacer.h"
#include "tb/platform/outside_address.h"

namespace understudy::tb {
namespace {

TEST(pacer, simulated_time_follows_the_wall_clock_at_its_factor) {
  pacer p(0.5, 1_ms);
  p.start(1'000, 7_us);
  EXPECT_EQ(p.target(1'000), 7_us);
  EXPECT_EQ(p.target(500), 7_us);
  EXPECT_EQ(p.target(1'001'000), 507_us);
  EXPECT_EQ(p.wall_of(507_us), 1'001'000);
  EXPECT_EQ(p.put_off(), 0);
}

TEST(pacer, a_model_that_falls_behind_puts_time_off_by_what_is_missing) {
  pacer p(1, 1_ms);
  p.start(0, 0);
  p.reached(10'000'000, 9'500_us);  // half a millisecond: may catch up
  EXPECT_EQ(p.put_off(), 0);
  EXPECT_EQ(p.target(10'000'000), 10_ms);
  p.reached(20'000'000, 15_ms);
  EXPECT_EQ(p.put_off(), 5'000'000);
  EXPECT_EQ(p.target(20'000'000), 15_ms);
  EXPECT_EQ(p.target(21'000'000), 16_ms);
}

TEST(live_control, orders_are_words_and_everything_else_is_unknown) {
  using enum live_order::kind;
  EXPECT_EQ(parse_order("kill").what, kill);
  EXPECT_EQ(parse_order("kill").target, "active");
  EXPECT_EQ(parse_order("  kill\tB \r").target, "B");
  EXPECT_EQ(parse_order("stop").what, stop);
  EXPECT_EQ(parse_order("").what, none);
  for (const char* wrong : {"kill Q", "kill a", "kill A B", "stop it", "KILL A", "x"})
    EXPECT_EQ(parse_order(wrong).what, unknown) << wrong;
}

TEST(live, times_are_seconds_unless_they_say_otherwise) {
  EXPECT_EQ(parse_wall_time("--duration", "2s"), 2'000'000'000);
  EXPECT_EQ(parse_wall_time("--duration", "500ms"), 500'000'000);
  EXPECT_EQ(parse_wall_time("--duration", "1.5"), 1'500'000'000);
  EXPECT_EQ(parse_wall_time("--duration", "1min"), 60'000'000'000);
  for (const char* wrong : {"", "s", "-1s", "2 s", "2x", "nan", "inf", "1e30"})
    EXPECT_THROW(parse_wall_time("--duration", wrong), scenario_error) << wrong;
}

TEST(address, a_host_of_a_network_is_taken_and_nothing_else) {
  const auto a = parse_network_address("10.77.0.2/24");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->ip, ip_address::v4(10, 77, 0, 2));
  EXPECT_EQ(a->prefix, 24u);
  for (const char* wrong :
       {"10.77.0.2", "10.77.0.0/24", "10.77.0.255/24", "10.77.0/24", "10.77.0.2/31", "10.77.0.2/",
        "10.77.0.2/24x", "224.0.0.1/24", "127.0.0.1/8", "fd77::2", "fd77::2/0", "fd77::2/127", "fe80::2/64",
        "ff02::1/64", "::1/64", "fd77::2::3/64", ""})
    EXPECT_FALSE(parse_network_address(wrong)) << wrong;
  const auto six = parse_network_address("fd77::2/64");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->ip, ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 2}));
  EXPECT_EQ(six->prefix, 64u);
}

}  // namespace
}  // namespace understudy::tb
