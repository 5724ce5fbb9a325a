// The adaptive limit of a group of receive buffers: MB-1 to MB-4.
#include "host_sw/driver/rx_limit.h"

#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using namespace host;

constexpr rx_limit_config limits{.window = 10, .preset = 100, .least = 25, .most = 200};

TEST(rx_limit, MB_1_few_filled_buffers_lower_the_limit_after_exactly_one_window) {
  rx_limit l(limits);
  for (int i = 0; i < 9; ++i) {
    EXPECT_FALSE(l.returned(i < 2));
    EXPECT_EQ(l.target(), 100u);
  }
  EXPECT_TRUE(l.returned(false));
  EXPECT_EQ(l.target(), 25u);
}

TEST(rx_limit, MB_2_many_filled_ones_raise_it_above_the_preset_and_from_below_to_the_preset_first) {
  rx_limit l(limits);
  for (int i = 0; i < 10; ++i) l.returned(i < 8);
  EXPECT_EQ(l.target(), 200u);
  for (int i = 0; i < 10; ++i) l.returned(i < 5);
  EXPECT_EQ(l.target(), 200u) << "between the criteria it stays";
  for (int i = 0; i < 20; ++i) l.returned(false);
  EXPECT_EQ(l.target(), 25u);
  for (int i = 0; i < 10; ++i) l.returned(true);
  EXPECT_EQ(l.target(), 100u);
}

TEST(rx_limit, MB_3_a_load_that_swings_changes_it_once_a_window_at_most) {
  rx_limit l(limits);
  std::uint64_t before = 0;
  for (int window = 0; window < 1000; ++window) {
    for (int i = 0; i < 10; ++i) l.returned(window % 2 == 0);
    EXPECT_LE(l.changes() - before, 1u);
    before = l.changes();
  }
  rx_limit within(limits);
  for (int i = 0; i < 10'000; ++i) within.returned(i % 2 == 0);
  EXPECT_EQ(within.changes(), 0u) << "half of each window filled: nothing to change";
}

TEST(rx_limit, a_window_of_0_never_changes_it) {
  rx_limit l({.window = 0, .preset = 7});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(l.returned(false));
  EXPECT_EQ(l.target(), 7u);
}

driver_config adaptive() {
  driver_config c = small_config();
  c.receive_buffer = 16384;
  group_config g;
  g.local_port = 80;
  g.buffers = 8;
  g.bytes = 2048;
  g.window = 4;
  g.least = 3;
  g.most = 16;
  c.groups.push_back(g);
  return c;
}

TEST(rx_limit,
     MB_2_and_MB_4_full_buffers_let_a_connection_have_more_and_the_memory_out_stays_within_the_limit) {
  driver_rig g(1, adaptive());
  g.start();
  g.m.a[0].group = 1;
  const conn c = g.accept_one(5);
  const auto facts = [&g] { return g.d.groups()[1]; };
  const auto out = [&] { return facts().total - facts().free; };
  EXPECT_EQ(facts().total, 16u);
  EXPECT_EQ(facts().limit, 8u);
  EXPECT_EQ(out(), 8u) << "it wants 8 and the adapter's pool 2";
  const std::uint64_t starved = facts().exhausted;
  EXPECT_GT(starved, 0u);
  std::string room(4096, 0);
  for (int i = 0; i < 8; ++i) {
    g.m.a[0].peer_sends(5, std::string(2048, 'x'));
    g.m.run_us(1);
    EXPECT_EQ(g.d.read(c, room.data(), room.size()), 2048u);
    g.m.run_us(1);
    EXPECT_LE(out(), facts().limit);
  }
  EXPECT_EQ(facts().limit, 16u);
  EXPECT_EQ(facts().limit_changes, 1u);
  EXPECT_EQ(out(), 10u) << "8 of its own, 2 in the pool: all that are wanted";
  const std::uint64_t later = facts().exhausted;
  g.m.a[0].peer_sends(5, std::string(2048, 'x'));
  g.m.run_us(1);
  g.d.read(c, room.data(), room.size());
  EXPECT_EQ(facts().exhausted, later) << "nobody finds none any more";
}

TEST(rx_limit, MB_1_connections_that_leave_their_buffers_empty_lower_it_and_it_never_cuts_off_what_is_out) {
  driver_rig g(1, adaptive());
  g.start();
  g.m.a[0].group = 1;
  const auto facts = [&g] { return g.d.groups()[1]; };
  for (std::uint32_t cid = 5; cid < 9; ++cid) {
    g.accept_one(cid, static_cast<std::uint16_t>(1000 + cid));
    g.m.a[0].ends(cid, US_REC_ABORTED, US_ERR_RESET);
    g.m.run_us(1);
    EXPECT_LE(facts().total - facts().free, facts().limit);
  }
  EXPECT_EQ(facts().limit, 3u);
  EXPECT_EQ(facts().free + facts().posted + facts().filled, facts().total);
}

}  // namespace
}  // namespace understudy::tb
