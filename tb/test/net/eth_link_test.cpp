#include "model/net/eth_link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tb/test/net/station.h"

namespace understudy::tb {
namespace {

constexpr std::uint64_t seed = 11;
constexpr picos short_frame = 67'200_ps;    // 84 bytes at 10 Gb/s
constexpr picos long_frame = 1'230'400_ps;  // 1538 bytes at 10 Gb/s

struct recorder : event_observer, capture_sink {
  void on_event(const event& e) override { events.push_back(e); }
  void frame(picos at, unsigned interface, bool outbound, const frame_ref& f, const char* comment) override {
    captured.push_back({at, interface, outbound, f, comment ? comment : ""});
  }
  struct capture {
    picos at;
    unsigned interface;
    bool outbound;
    frame_ref f;
    std::string comment;
  };
  std::vector<event> events;
  std::vector<capture> captured;
};

// Two stations and a link of 10 Gb/s and 500 ns between them.
struct eth_link_test : testing::Test {
  void build(const std::string& impair = "", std::uint16_t unit_b = 6) {
    eth_link_config c;
    c.unit_a = 5;
    c.unit_b = unit_b;
    c.ab = c.ba = std::get<impairment_config>(parse_impairment(impair));
    log.subscribe(&seen);
    left = std::make_unique<test_station>("left");
    right = std::make_unique<test_station>("right");
    link = std::make_unique<eth_link>("link", c, log, seed);
    left->eth.bind(link->a);
    right->eth.bind(link->b);
    link->set_capture(&seen, 3);
  }
  void run() { sc_core::sc_start(to_sc(10_ms)); }
  // 100 frames from left to right, tagged 0 to 99.
  void send_hundred() {
    for (int i = 0; i < 100; ++i)
      left->send_at(0, tagged_frame(mac_of(2), mac_of(1), static_cast<std::uint8_t>(i)));
  }
  frame_ref frame(std::uint32_t length, std::uint8_t tag = 0) {
    return tagged_frame(mac_of(2), mac_of(1), tag, length);
  }

  event_log log;
  recorder seen;
  std::unique_ptr<test_station> left, right;
  std::unique_ptr<eth_link> link;
};

TEST_F(eth_link_test, a_frame_arrives_after_its_wire_time_and_the_propagation) {
  build();
  left->send_at(1_us, frame(1514));
  right->send_at(1_us, frame(20));  // padded to the minimum on the wire
  run();
  ASSERT_EQ(right->arrivals.size(), 1u);
  ASSERT_EQ(left->arrivals.size(), 1u);
  EXPECT_EQ(right->arrivals[0].at, 1_us + long_frame + 500_ns);
  EXPECT_EQ(left->arrivals[0].at, 1_us + short_frame + 500_ns);
  EXPECT_EQ(right->arrivals[0].f.size(), 1514u);
}

TEST_F(eth_link_test, the_sender_learns_when_the_medium_is_free) {
  build();
  picos first = 0, second = 0;
  left->work.at(1_us, [&] {
    first = left->eth.out->take(frame(1514, 1));
    second = left->eth.out->take(frame(60, 2));  // too early: waits for the medium
  });
  run();
  EXPECT_EQ(first, 1_us + long_frame);
  EXPECT_EQ(second, 1_us + long_frame + short_frame);
  ASSERT_EQ(right->arrivals.size(), 2u);
  EXPECT_EQ(right->arrivals[1].at, second + 500_ns);
}

TEST_F(eth_link_test, leaving_and_arriving_are_logged_with_their_ports) {
  build();
  left->send_at(1_us, frame(100, 9));
  run();
  ASSERT_EQ(seen.events.size(), 2u);
  EXPECT_EQ(seen.events[0].kind, event_kind::frame_out);
  EXPECT_EQ(seen.events[0].unit, 5);
  EXPECT_EQ(seen.events[0].at, 1_us);
  EXPECT_EQ(seen.events[0].a, 100u);
  EXPECT_EQ(seen.events[1].kind, event_kind::frame_in);
  EXPECT_EQ(seen.events[1].unit, 6);
  EXPECT_EQ(seen.events[1].at, 1_us + wire_time(124, 10'000'000'000) + 500_ns);
}

TEST_F(eth_link_test, a_side_without_a_port_number_is_not_logged) {
  build("", no_unit);
  left->send_at(1_us, frame(100));
  right->send_at(1_us, frame(100));
  run();
  ASSERT_EQ(seen.events.size(), 2u);
  for (const event& e : seen.events) EXPECT_EQ(e.unit, 5);
  EXPECT_EQ(right->arrivals.size(), 1u);
}

TEST_F(eth_link_test, every_frame_is_captured_when_it_leaves) {
  build();
  left->send_at(1_us, frame(100, 1));
  right->send_at(2_us, frame(100, 2));
  run();
  ASSERT_EQ(seen.captured.size(), 2u);
  EXPECT_EQ(seen.captured[0].at, 1_us);
  EXPECT_EQ(seen.captured[0].interface, 3u);
  EXPECT_TRUE(seen.captured[0].outbound);
  EXPECT_EQ(seen.captured[0].comment, "");
  EXPECT_FALSE(seen.captured[1].outbound);
}

TEST_F(eth_link_test, a_side_that_is_down_sends_nothing_and_hears_nothing) {
  build();
  left->work.at(0, [&] { link->set_up(eth_link::side_a, false); });
  left->send_at(1_us, frame(100, 1));
  right->send_at(1_us, frame(100, 2));
  left->work.at(5_us, [&] { link->set_up(eth_link::side_a, true); });
  left->send_at(6_us, frame(100, 3));
  right->send_at(6_us, frame(100, 4));
  run();
  EXPECT_EQ(tags_of(*right), std::vector<int>{3});
  EXPECT_EQ(tags_of(*left), std::vector<int>{4});
  EXPECT_EQ(link->counters(eth_link::side_a).vanished, 1u);
  EXPECT_EQ(link->counters(eth_link::side_b).vanished, 1u);
}

TEST_F(eth_link_test, frames_in_flight_towards_a_side_vanish_even_if_it_comes_back_at_once) {
  build();
  left->send_at(0, frame(60, 1));
  left->work.at(300_ns, [&] {
    link->set_up(eth_link::side_b, false);
    link->set_up(eth_link::side_b, true);
  });
  left->send_at(400_ns, frame(60, 2));
  run();
  EXPECT_EQ(tags_of(*right), std::vector<int>{2});
}

TEST_F(eth_link_test, a_frame_cut_short_by_its_sender_is_lost_but_a_finished_one_arrives) {
  build();
  left->send_at(0, frame(60, 1));
  left->send_at(0, frame(1514, 2));
  left->work.at(200_ns, [&] { link->set_up(eth_link::side_a, false); });
  run();
  EXPECT_EQ(tags_of(*right), std::vector<int>{1});
}

TEST_F(eth_link_test, lost_frames_leave_and_do_not_arrive) {
  build("loss 30%");
  send_hundred();
  run();
  const auto& c = link->counters(eth_link::side_a);
  EXPECT_EQ(c.sent, 100u);
  EXPECT_GT(c.lost, 10u);
  EXPECT_EQ(right->arrivals.size(), 100 - c.lost);
  std::size_t commented = 0;
  for (const auto& x : seen.captured) commented += x.comment == "lost on the wire";
  EXPECT_EQ(commented, c.lost);
  EXPECT_EQ(seen.captured.size(), 100u);
}

TEST_F(eth_link_test, duplicates_follow_their_original) {
  build("duplicate 100%");
  left->send_at(0, frame(60, 7));
  run();
  ASSERT_EQ(tags_of(*right), (std::vector<int>{7, 7}));
  EXPECT_EQ(right->arrivals[1].at - right->arrivals[0].at, short_frame);
  EXPECT_EQ(seen.captured[0].comment, "duplicated");
}

TEST_F(eth_link_test, a_corrupted_frame_differs_in_one_bit_and_the_sender_keeps_its_own) {
  build("corrupt_all 100%");
  const frame_ref original = frame(200, 1);
  const frame_ref copy = frame_ref::copy_of(original.data(), original.size());
  left->send_at(0, original);
  run();
  ASSERT_EQ(right->arrivals.size(), 1u);
  const frame_ref& got = right->arrivals[0].f;
  int bits = 0, bit = -1;
  for (std::uint32_t i = 0; i < 200; ++i)
    for (int b = 0; b < 8; ++b)
      if (((got.data()[i] ^ copy.data()[i]) >> b) & 1) {
        ++bits;
        bit = static_cast<int>(i) * 8 + b;
      }
  EXPECT_EQ(bits, 1);
  EXPECT_EQ(std::memcmp(original.data(), copy.data(), 200), 0);
  EXPECT_EQ(seen.captured[0].comment, "corrupted bit " + std::to_string(bit));
  EXPECT_EQ(std::memcmp(seen.captured[0].f.data(), copy.data(), 200), 0) << "the capture shows what was sent";
}

TEST_F(eth_link_test, reordering_without_delay_lets_three_frames_pass) {
  build("reorder 10%");
  send_hundred();
  run();
  std::vector<bool> held(100);
  for (const auto& x : seen.captured) held[tag_of(x.f)] = x.comment == "held for reordering";
  const std::vector<int> order = tags_of(*right);
  ASSERT_EQ(order.size(), 100u);
  int checked = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!held[static_cast<std::size_t>(order[i])]) continue;
    int overtaken_by = 0;
    for (std::size_t k = 0; k < i; ++k)
      overtaken_by += order[k] > order[i] && !held[static_cast<std::size_t>(order[k])];
    if (order[i] < 90) {
      EXPECT_EQ(overtaken_by, 3) << order[i];
      ++checked;
    }
  }
  EXPECT_GT(checked, 3);
  std::uint64_t overtaken = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    overtaken += std::any_of(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(i),
                             [&](int before) { return before > order[i]; });
  EXPECT_EQ(link->counters(eth_link::side_a).overtaken, overtaken);
  EXPECT_GT(overtaken, 3u);
}

TEST_F(eth_link_test, a_held_frame_that_nothing_overtakes_arrives_after_the_limit) {
  build("reorder 100%");
  left->send_at(0, frame(60, 1));
  run();
  ASSERT_EQ(right->arrivals.size(), 1u);
  EXPECT_EQ(right->arrivals[0].at, short_frame + 500_ns + impairment_config{}.reorder_limit);
}

TEST_F(eth_link_test, added_delay_adds_to_propagation) {
  build("delay 5us");
  left->send_at(0, frame(60, 1));
  run();
  ASSERT_EQ(right->arrivals.size(), 1u);
  EXPECT_EQ(right->arrivals[0].at, short_frame + 500_ns + 5_us);
}

TEST_F(eth_link_test, impairments_repeat_with_the_seed) {
  build("loss 20% duplicate 10% corrupt_all 10% delay 3us 2us");
  send_hundred();
  run();
  std::uint64_t sum = 0;
  for (const auto& a : right->arrivals) sum = (sum ^ (a.at << 8 | tag_of(a.f))) * 0x100000001b3ULL;
  EXPECT_GT(right->arrivals.size(), 60u);
  EXPECT_EQ(sum, 9187202563347398053u)
      << "seed " << seed << ": the streams depend on the seed and the link's name alone, on every machine";
}

}  // namespace
}  // namespace understudy::tb
