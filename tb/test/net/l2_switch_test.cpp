#include "model/net/l2_switch.h"

#include <gtest/gtest.h>

#include "model/core/vlan.h"
#include "model/net/eth_link.h"
#include "tb/test/net/station.h"

namespace understudy::tb {
namespace {

// Stations 0 to 3 on links of 10 Gb/s to the four ports of a switch. Station n has address mac_of(n).
struct l2_switch_test : testing::Test {
  void build(const l2_switch_config& c = {4}) {
    sw = std::make_unique<l2_switch>("switch", c);
    for (unsigned i = 0; i < 4; ++i) {
      stations.push_back(std::make_unique<test_station>(("station" + std::to_string(i)).c_str()));
      links.push_back(
          std::make_unique<eth_link>(("link" + std::to_string(i)).c_str(), eth_link_config{}, log, 1));
      stations[i]->eth.bind(links[i]->a);
      sw->port(i).bind(links[i]->b);
    }
  }
  test_station& at(unsigned i) { return *stations[i]; }
  void send(picos t, unsigned from, const mac_address& to, std::uint8_t tag, std::uint32_t length = 60) {
    at(from).send_at(t, tagged_frame(to, mac_of(static_cast<std::uint8_t>(from)), tag, length));
  }
  // Every station says who it is, then all arrivals are forgotten.
  void learn_all() {
    for (unsigned i = 0; i < 4; ++i) send(0, i, broadcast_mac, 255);
    sc_core::sc_start(to_sc(10_us));
    for (auto& s : stations) s->arrivals.clear();
  }
  void run() { sc_core::sc_start(to_sc(1_ms)); }
  std::vector<int> tags(unsigned i) { return tags_of(at(i)); }

  event_log log;
  std::unique_ptr<l2_switch> sw;
  std::vector<std::unique_ptr<test_station>> stations;
  std::vector<std::unique_ptr<eth_link>> links;
};
using ints = std::vector<int>;

TEST_F(l2_switch_test, unknown_and_broadcast_frames_go_to_all_others) {
  build();
  send(0, 0, mac_of(9), 1);
  send(1_us, 0, broadcast_mac, 2);
  run();
  EXPECT_EQ(tags(0), ints{});
  for (unsigned i = 1; i < 4; ++i) EXPECT_EQ(tags(i), (ints{1, 2})) << i;
  EXPECT_EQ(sw->count().flooded, 2u);
}

TEST_F(l2_switch_test, known_addresses_get_their_frames_alone_after_the_latency) {
  build();
  learn_all();
  send(20_us, 0, mac_of(2), 1);
  run();
  EXPECT_EQ(tags(2), ints{1});
  EXPECT_EQ(tags(1), ints{});
  EXPECT_EQ(tags(3), ints{});
  EXPECT_EQ(at(2).arrivals[0].at,
            20_us + 2 * (wire_time(84, 10'000'000'000) + 500_ns) + l2_switch_config{}.latency);
}

TEST_F(l2_switch_test, a_station_that_moves_is_found_on_its_new_port) {
  build();
  learn_all();
  at(3).send_at(20_us, tagged_frame(broadcast_mac, mac_of(2), 5));
  send(30_us, 0, mac_of(2), 1);
  run();
  EXPECT_EQ(tags(2), ints{5});
  EXPECT_EQ(tags(3), ints{1});
  EXPECT_EQ(sw->count().moved, 1u);
}

TEST_F(l2_switch_test, frames_back_to_their_own_port_and_link_local_ones_are_not_relayed) {
  build();
  learn_all();
  at(0).send_at(20_us, tagged_frame(mac_of(0), mac_of(9), 1));
  at(0).send_at(21_us, tagged_frame({0x01, 0x80, 0xc2, 0, 0, 1}, mac_of(0), 2));  // PAUSE
  run();
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(tags(i), ints{}) << i;
}

TEST_F(l2_switch_test, a_full_output_queue_drops_the_tail_and_keeps_the_order) {
  l2_switch_config c{4};
  c.queue_bytes = 3000;
  build(c);
  learn_all();
  for (int i = 0; i < 10; ++i) {
    send(20_us, 0, mac_of(2), static_cast<std::uint8_t>(i), 1000);
    send(20_us, 1, mac_of(2), static_cast<std::uint8_t>(100 + i), 1000);
  }
  run();
  EXPECT_GT(sw->count().queue_dropped, 0u);
  EXPECT_EQ(at(2).arrivals.size() + sw->count().queue_dropped, 20u);
  int last[2] = {-1, 99};
  for (int t : tags(2)) {
    EXPECT_GT(t, last[t / 100]);
    last[t / 100] = t;
  }
}

TEST_F(l2_switch_test, a_held_port_gets_nothing_and_sends_nothing) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  send(20_us, 0, mac_of(1), 1);
  send(21_us, 0, broadcast_mac, 2);
  send(22_us, 1, mac_of(0), 3);
  run();
  EXPECT_EQ(tags(1), ints{});
  EXPECT_EQ(tags(0), ints{});
  EXPECT_EQ(tags(2), ints{2});
  EXPECT_EQ(sw->held_frames(), 2u);
  EXPECT_EQ(sw->held_bytes(), 120u);
  EXPECT_EQ(sw->count().down_dropped, 1u);
}

TEST_F(l2_switch_test, held_frames_go_out_in_order_before_new_ones_on_the_new_port) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  for (int i = 0; i < 20; ++i) send(20_us, 0, mac_of(1), static_cast<std::uint8_t>(i), 1500);
  at(3).work.at(60_us, [&] { sw->release(1, 2); });
  for (int i = 20; i < 40; ++i) send(60_us, 0, mac_of(1), static_cast<std::uint8_t>(i), 60);
  run();
  ints expected;
  for (int i = 0; i < 40; ++i) expected.push_back(i);
  EXPECT_EQ(tags(2), expected);
  EXPECT_EQ(sw->count().released, 20u);
  EXPECT_EQ(sw->port_of(mac_of(1)), 2);
  EXPECT_EQ(sw->held_frames(), 0u);
  EXPECT_EQ(sw->held_bytes(), 0u);
}

TEST_F(l2_switch_test, frames_that_waited_for_the_dead_port_are_held_too) {
  build();
  learn_all();
  for (int i = 0; i < 10; ++i) {
    send(20_us, 0, mac_of(1), static_cast<std::uint8_t>(i), 1500);
    send(20_us, 3, mac_of(1), static_cast<std::uint8_t>(100 + i), 1500);
  }
  std::size_t before = 0;
  at(2).work.at(30_us, [&] {
    sw->port_down_and_hold(1);
    before = sw->held_frames();
  });
  at(2).work.at(100_us, [&] { sw->release(1, 2); });
  run();
  EXPECT_GT(before, 0u);
  EXPECT_EQ(at(1).arrivals.size() + at(2).arrivals.size(), 20u);
}

TEST_F(l2_switch_test, the_address_showing_up_elsewhere_does_not_end_the_hold) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  at(2).send_at(20_us, tagged_frame(broadcast_mac, mac_of(1), 50));  // gratuitous ARP of the substitute
  send(30_us, 0, mac_of(1), 1);
  at(3).work.at(40_us, [&] { EXPECT_EQ(at(2).arrivals.size(), 0u); });
  at(3).work.at(41_us, [&] { sw->release(1, 2); });
  run();
  EXPECT_EQ(tags(2), ints{1}) << "the substitute's own announcement must not come back to it";
  EXPECT_EQ(tags(0), ints{50});
}

TEST_F(l2_switch_test, a_hold_goes_to_a_third_port_although_a_second_was_tried) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  at(2).send_at(20_us, tagged_frame(broadcast_mac, mac_of(1), 50));
  send(30_us, 0, mac_of(1), 1);
  at(0).work.at(40_us, [&] { sw->port_down_and_hold(2); });  // the substitute dies as well
  send(50_us, 0, mac_of(2), 2);
  send(60_us, 0, mac_of(1), 3);
  at(0).work.at(70_us, [&] {
    sw->release(1, 3);
    sw->release(2, 3);
  });
  send(80_us, 0, mac_of(1), 4);
  send(81_us, 0, mac_of(2), 5);
  run();
  EXPECT_EQ(tags(3), (ints{50, 50, 1, 3, 2, 4, 5}))
      << "the broadcast for itself, and its copy for the dead port";
  EXPECT_EQ(tags(2), ints{});
}

TEST_F(l2_switch_test, a_hold_released_to_a_port_that_holds_merges_in_order_of_arrival) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  send(30_us, 0, mac_of(1), 1);
  at(0).work.at(40_us, [&] { sw->port_down_and_hold(2); });
  send(50_us, 0, mac_of(2), 2);
  send(60_us, 0, mac_of(1), 3);
  at(0).work.at(70_us, [&] { sw->release(1, 2); });
  send(80_us, 0, mac_of(1), 4);
  at(0).work.at(90_us, [&] { sw->release(2, 3); });
  send(100_us, 0, mac_of(1), 5);
  run();
  EXPECT_EQ(tags(3), (ints{1, 2, 3, 4, 5}));
  EXPECT_EQ(sw->port_of(mac_of(1)), 3);
  EXPECT_EQ(sw->port_of(mac_of(2)), 3);
}

TEST_F(l2_switch_test, a_full_hold_drops_and_counts) {
  l2_switch_config c{4};
  c.hold_bytes = 2500;
  build(c);
  learn_all();
  sw->port_down_and_hold(1);
  for (int i = 0; i < 5; ++i) send(20_us, 0, mac_of(1), static_cast<std::uint8_t>(i), 1000);
  at(3).work.at(50_us, [&] { sw->release(1, 2); });
  run();
  EXPECT_EQ(tags(2), (ints{0, 1}));
  EXPECT_EQ(sw->count().hold_dropped, 3u);
}

TEST_F(l2_switch_test, no_hold_bytes_means_that_nothing_is_held) {
  l2_switch_config c{4};
  c.hold_bytes = 0;
  build(c);
  learn_all();
  sw->port_down_and_hold(1);
  send(20_us, 0, mac_of(1), 1);
  at(3).work.at(50_us, [&] { sw->release(1, 2); });
  send(60_us, 0, mac_of(1), 2);
  run();
  EXPECT_EQ(tags(2), ints{2});
  EXPECT_EQ(sw->count().hold_dropped, 1u);
}

TEST_F(l2_switch_test, a_port_released_to_itself_comes_up_again) {
  build();
  learn_all();
  sw->port_down_and_hold(1);
  send(20_us, 0, mac_of(1), 1);
  at(3).work.at(50_us, [&] { sw->release(1, 1); });
  send(60_us, 1, mac_of(0), 2);
  run();
  EXPECT_EQ(tags(1), ints{1});
  EXPECT_EQ(tags(0), ints{2});
  EXPECT_TRUE(sw->is_up(1));
}

TEST_F(l2_switch_test, a_port_down_without_a_hold_loses_its_frames) {
  build();
  learn_all();
  sw->port_down(1);
  send(20_us, 0, mac_of(1), 1);
  at(3).work.at(50_us, [&] { sw->port_up(1); });
  send(60_us, 0, mac_of(1), 2);
  run();
  EXPECT_EQ(tags(1), ints{2});
  EXPECT_EQ(sw->count().down_dropped, 1u);
}

l2_switch_config with_vlans(std::vector<std::uint16_t> access) {
  l2_switch_config c{4};
  c.access_vlan = std::move(access);
  return c;
}

// Port 0 is a trunk, 1 and 2 are in VLAN 10, 3 is in VLAN 20.
TEST_F(l2_switch_test, an_access_port_tags_what_comes_and_untags_what_goes_and_floods_stay_in_the_vlan) {
  build(with_vlans({0, 10, 10, 20}));
  send(0, 1, broadcast_mac, 1);
  run();
  ASSERT_EQ(at(0).arrivals.size(), 1u);
  EXPECT_EQ(vlan_of(at(0).arrivals[0].f), 10);
  EXPECT_EQ(at(0).arrivals[0].f.size(), 64u);
  EXPECT_EQ(tags(2), ints{1}) << "of the same VLAN: as it was sent";
  EXPECT_EQ(at(2).arrivals[0].f.size(), 60u);
  EXPECT_EQ(tags(3), ints{}) << "of another VLAN";
}

TEST_F(l2_switch_test, an_address_is_learnt_in_each_vlan_for_itself) {
  build(with_vlans({0, 10, 20, 20}));
  send(0, 1, broadcast_mac, 1);
  at(2).send_at(10_us, tagged_frame(broadcast_mac, mac_of(1), 2, 60));
  run();
  EXPECT_EQ(sw->port_of(mac_of(1), 10), 1);
  EXPECT_EQ(sw->port_of(mac_of(1), 20), 2);
  EXPECT_EQ(sw->port_of(mac_of(1)), -1);
  EXPECT_EQ(sw->count().moved, 0u);
}

TEST_F(l2_switch_test, a_trunk_reaches_each_vlan_by_the_tag_and_an_access_port_refuses_others) {
  build(with_vlans({0, 10, 20, 0}));
  const auto from_trunk = [&](picos t, std::uint16_t vlan, std::uint8_t tag) {
    at(0).send_at(t, with_vlan_tag(tagged_frame(broadcast_mac, mac_of(0), tag, 60), vlan));
  };
  from_trunk(0, 10, 1);
  from_trunk(1_us, 20, 2);
  from_trunk(2_us, 0, 3);
  at(1).send_at(3_us, with_vlan_tag(tagged_frame(broadcast_mac, mac_of(1), 4, 60), 20));
  at(1).send_at(4_us, with_vlan_tag(tagged_frame(broadcast_mac, mac_of(1), 5, 60), 10));
  run();
  EXPECT_EQ(tags(1), ints{1});
  EXPECT_EQ(tags(2), ints{2});
  ASSERT_EQ(at(3).arrivals.size(), 4u) << "the other trunk: all but the refused one";
  EXPECT_EQ(vlan_of(at(3).arrivals[1].f), 20);
  EXPECT_EQ(vlan_of(at(3).arrivals[2].f), 0);
  EXPECT_EQ(vlan_of(at(3).arrivals[3].f), 10);
  EXPECT_EQ(sw->count().vlan_dropped, 1u);
}

TEST_F(l2_switch_test, what_a_trunk_held_keeps_its_tags) {
  build(with_vlans({0, 10, 0, 0}));
  send(0, 0, broadcast_mac, 9);
  at(0).send_at(1_us, with_vlan_tag(tagged_frame(broadcast_mac, mac_of(0), 8, 60), 10));
  sc_core::sc_start(to_sc(10_us));
  for (auto& s : stations) s->arrivals.clear();
  sw->port_down_and_hold(0);
  send(20_us, 1, mac_of(0), 1);
  run();
  EXPECT_EQ(sw->held_frames(), 1u);
  sw->release(0, 2);
  run();
  ASSERT_EQ(at(2).arrivals.size(), 1u);
  EXPECT_EQ(vlan_of(at(2).arrivals[0].f), 10);
  EXPECT_EQ(sw->port_of(mac_of(0), 10), 2);
}

}  // namespace
}  // namespace understudy::tb
