#include "tb/workload/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tb/test/workload/fake_wire.h"
#include "tb/workload/capture.h"

namespace understudy::tb::test {
namespace {

using state = replay_end::state;
using kind = mischief::kind;

constexpr auto c2s = flow_direction::client_to_server;
constexpr auto s2c = flow_direction::server_to_client;

struct pair_of_ends {
  pair_of_ends(const flow& f, fake_clock& clock, picos delay = 5_us, std::size_t window = 4096,
               mischief to_server = {}, mischief to_client = {}, replay_options options = {},
               replay_observer* observer = nullptr, std::uint32_t number = 0)
      : wire(clock, delay, window, to_server, to_client),
        client(f, flow_role::client, number, clock, options, observer),
        server(f, flow_role::server, number, clock, options, observer) {}
  void open(picos at = 0) { wire.connect(client, server, at); }

  fake_wire wire;
  replay_end client;
  replay_end server;
};

void expect_exact(const replay_end& e) {
  const auto t = e.tally();
  EXPECT_EQ(e.now_in(), state::complete) << e.describe();
  EXPECT_TRUE(e.closed());
  EXPECT_EQ(t.correct, t.expected);
  EXPECT_EQ(t.received, t.expected);
  EXPECT_EQ(t.corrupted + t.duplicated + t.lost, 0u);
}

// Records what it hears.
struct recorder final : replay_observer {
  void on_delivered(const replay_end&, flow_direction d, std::uint64_t bytes, picos now) override {
    delivered[index_of(d)] += bytes;
    last = now;
  }
  void on_finished(const replay_end& e, picos) override {
    ++finished;
    if (e.complete()) ++completed;
  }
  std::array<std::uint64_t, 2> delivered{};
  picos last = 0;
  int finished = 0;
  int completed = 0;
};

TEST(replay, every_recorded_flow_is_delivered_exactly) {
  std::size_t flows = 0;
  for (const char* file :
       {"http_connections.pcap", "http_download.pcap", "http_ipv6.pcap", "http_keepalive.pcap",
        "http_lossy.pcap", "http_upload.pcap", "redis.pcap", "mixed.pcapng"}) {
    const capture c = read_capture(std::string(UNDERSTUDY_CAPTURES) + "/" + file);
    fake_clock clock;
    recorder heard;
    std::vector<std::unique_ptr<pair_of_ends>> pairs;
    for (const flow& f : c.flows) {
      pairs.push_back(std::make_unique<pair_of_ends>(f, clock, 5_us, 4096, mischief{}, mischief{},
                                                     replay_options{}, &heard));
      pairs.back()->open(f.start);
    }
    ASSERT_TRUE(clock.run());
    for (const auto& p : pairs) {
      expect_exact(p->client);
      expect_exact(p->server);
    }
    EXPECT_EQ(heard.delivered[0], c.summary.bytes_to_server);
    EXPECT_EQ(heard.delivered[1], c.summary.bytes_to_client);
    EXPECT_EQ(heard.completed, static_cast<int>(2 * c.flows.size()));
    EXPECT_EQ(heard.finished, heard.completed);
    flows += c.flows.size();
  }
  EXPECT_EQ(flows, 291u);
}

TEST(replay, made_up_flows_are_delivered_exactly_whatever_the_window) {
  const auto pattern = make_pattern(7);
  const flow made[] = {make_bulk_flow(300'000, 0, 1000, pattern, 0),
                       make_bulk_flow(0, 300'000, 1000, pattern, 1),
                       make_bulk_flow(200'000, 100'000, 7777, pattern, 2),
                       make_mirror_flow(flow_direction::client_to_server, 3200, 64, pattern, 3)};
  for (const flow& f : made) {
    for (const std::size_t window : {1u, 100u, 65536u}) {
      fake_clock clock;
      pair_of_ends p(f, clock, 5_us, window);
      p.open();
      ASSERT_TRUE(clock.run());
      expect_exact(p.client);
      expect_exact(p.server);
      EXPECT_EQ(p.client.tally().received + p.server.tally().received, f.bytes());
    }
  }
}

TEST(replay, a_turn_waits_for_the_turns_before_it) {
  const flow f = make_bulk_flow(80, 80, 8, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us);
  p.open();
  ASSERT_TRUE(clock.run());
  EXPECT_EQ(p.client.last_delivery(), 10 * 2 * 5_us) << "one round trip for each of the ten rounds";
  EXPECT_EQ(p.server.first_delivery(), 5_us);
}

// A wire that changes one byte must not go unnoticed: negative controls of every count.
TEST(replay, a_dropped_byte_is_lost) {
  const flow f = make_bulk_flow(10'000, 0, 1000, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {kind::drop, 9'999});
  p.open();
  clock.run();
  const auto t = p.server.tally();
  EXPECT_EQ(t.lost, 1u);
  EXPECT_EQ(t.corrupted, 0u);
  EXPECT_EQ(t.correct, 9'999u);
  EXPECT_EQ(p.server.now_in(), state::broken);
  EXPECT_STREQ(p.server.why(), "the peer ended its stream before its last byte");
}

TEST(replay, a_byte_dropped_in_the_middle_shifts_the_rest) {
  const flow f = make_bulk_flow(10'000, 0, 1000, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {kind::drop, 5'000});
  p.open();
  clock.run();
  EXPECT_EQ(p.server.tally().lost, 1u);
  EXPECT_GT(p.server.tally().corrupted, 4'900u);
  EXPECT_GE(p.server.tally().first_wrong, 5'000u);
}

TEST(replay, a_duplicated_byte_is_one_too_many) {
  const flow f = make_bulk_flow(10'000, 0, 1000, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {kind::duplicate, 9'999});
  p.open();
  clock.run();
  const auto t = p.server.tally();
  EXPECT_EQ(t.duplicated, 1u);
  EXPECT_EQ(t.corrupted, 0u);
  EXPECT_EQ(t.lost, 0u);
}

TEST(replay, a_corrupted_byte_is_found_at_its_place) {
  const flow f = make_bulk_flow(0, 200'000, 1000, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {}, {kind::corrupt, 123'456});
  p.open();
  clock.run();
  const auto t = p.client.tally();
  EXPECT_EQ(t.corrupted, 1u);
  EXPECT_EQ(t.first_wrong, 123'456u);
  EXPECT_EQ(t.correct, 199'999u);
  EXPECT_EQ(t.lost + t.duplicated, 0u);
}

TEST(replay, another_connections_bytes_are_not_taken_for_ones_own) {
  const auto pattern = make_pattern(1);
  const flow mine = make_bulk_flow(1000, 0, 1000, pattern, 0);
  const flow other = make_bulk_flow(1000, 0, 1000, pattern, 1);
  fake_clock clock;
  fake_wire wire(clock, 5_us, 4096);
  replay_end client(other, flow_role::client, 0, clock, {}, nullptr);
  replay_end server(mine, flow_role::server, 0, clock, {}, nullptr);
  wire.connect(client, server, 0);
  clock.run();
  EXPECT_GT(server.tally().corrupted, 900u);
}

TEST(replay, an_end_that_is_stuck_says_what_it_waits_for) {
  const flow f = make_bulk_flow(80, 80, 8, make_pattern(1), 0);
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {kind::stop, 5}, {}, {}, nullptr, 3);
  EXPECT_EQ(p.server.describe(), "connection 3 (server): waits for its handshake");
  p.open();
  ASSERT_TRUE(clock.run());
  EXPECT_FALSE(p.server.finished() || p.client.finished());
  EXPECT_THAT(p.server.describe(), testing::HasSubstr("turn 1 of 20 waits for the peer's bytes"));
  EXPECT_THAT(p.server.describe(), testing::HasSubstr("received 5 of 80 bytes client to server"));
  EXPECT_THAT(p.client.describe(), testing::HasSubstr("turn 2 of 20 waits for the peer's bytes"));
}

TEST(replay, a_reset_breaks_both_ends_with_its_reason) {
  const flow f = make_bulk_flow(10'000, 0, 1000, make_pattern(1), 0);
  fake_clock clock;
  recorder heard;
  pair_of_ends p(f, clock, 5_us, 1000, {kind::reset, 4'000}, {}, {}, &heard);
  p.open();
  clock.run();
  EXPECT_EQ(p.client.now_in(), state::broken);
  EXPECT_STREQ(p.client.why(), "reset by the wire");
  EXPECT_THAT(p.server.describe(), testing::HasSubstr("broken: reset by the wire"));
  EXPECT_GT(p.server.tally().lost, 0u);
  EXPECT_EQ(heard.finished, 2);
  EXPECT_EQ(heard.completed, 0);
}

TEST(replay, capture_pace_never_speaks_before_the_captured_time) {
  flow f = make_bulk_flow(300, 300, 100, make_pattern(1), 0);
  f.start = 1_ms;
  for (std::size_t i = 0; i < f.turns.size(); ++i) f.turns[i].at = (i + 1) * 10_ms;
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {}, {}, {replay_pace::capture, 2_ms});
  p.open(3_ms);
  ASSERT_TRUE(clock.run());
  expect_exact(p.client);
  expect_exact(p.server);
  EXPECT_EQ(p.server.first_delivery(), 2_ms + 1_ms + 10_ms + 5_us);
  EXPECT_EQ(p.client.last_delivery(), 2_ms + 1_ms + 60_ms + 5_us);
}

TEST(replay, capture_pace_catches_up_when_late) {
  flow f = make_bulk_flow(20, 20, 10, make_pattern(1), 0);
  for (turn& t : f.turns) t.at = 1_us;
  fake_clock clock;
  pair_of_ends p(f, clock, 5_us, 4096, {}, {}, {replay_pace::capture, 0});
  p.open(1_s);
  ASSERT_TRUE(clock.run());
  EXPECT_EQ(p.client.last_delivery(), 1_s + 4 * 5_us);
}

TEST(replay, the_side_that_closed_first_in_the_capture_closes_first) {
  for (const auto first : {c2s, s2c}) {
    flow f = make_bulk_flow(10, 10, 10, make_pattern(1), 0);
    f.closing.first = first;
    fake_clock clock;
    pair_of_ends p(f, clock);
    p.open();
    std::vector<state> client;
    std::vector<state> server;
    while (!clock.run(1)) {
      client.push_back(p.client.now_in());
      server.push_back(p.server.now_in());
    }
    expect_exact(p.client);
    expect_exact(p.server);
    // The second closer is complete at once at the first one's FIN; the first one a trip later.
    const auto at = [](const std::vector<state>& s) {
      return std::find(s.begin(), s.end(), state::complete) - s.begin();
    };
    EXPECT_EQ(at(client) > at(server), first == c2s);
  }
}

TEST(replay, without_fin_both_sides_close_after_the_last_byte) {
  flow f = make_bulk_flow(30, 30, 10, make_pattern(1), 0);
  f.closing = {};
  fake_clock clock;
  pair_of_ends p(f, clock);
  p.open();
  ASSERT_TRUE(clock.run());
  expect_exact(p.client);
  expect_exact(p.server);
}

TEST(replay, what_followed_a_half_close_follows_it_again) {
  flow f = make_bulk_flow(10, 10, 10, make_pattern(1), 0);
  f.closing = {true, c2s, 1};
  fake_clock clock;
  pair_of_ends p(f, clock);
  p.open();
  clock.run(3);  // the server has heard the request but no FIN yet: it must not answer
  EXPECT_EQ(p.server.tally().received, 10u);
  EXPECT_EQ(p.server.written(), 0u);
  EXPECT_THAT(p.server.describe(), testing::HasSubstr("waits for the peer's FIN"));
  ASSERT_TRUE(clock.run());
  expect_exact(p.client);
  expect_exact(p.server);
}

TEST(replay, two_runs_are_the_same) {
  const flow f = make_bulk_flow(50'000, 30'000, 999, make_pattern(1), 0);
  std::vector<picos> ends;
  for (int i = 0; i < 2; ++i) {
    fake_clock clock;
    pair_of_ends p(f, clock, 3_us, 1234);
    p.open();
    clock.run();
    ends.push_back(p.server.last_delivery());
    ends.push_back(p.client.last_delivery());
    ends.push_back(clock.now());
  }
  EXPECT_EQ((std::vector<picos>{ends[0], ends[1], ends[2]}), (std::vector<picos>{ends[3], ends[4], ends[5]}));
}

std::vector<flow> three_flows() {
  std::vector<flow> r;
  for (std::uint32_t i = 0; i < 3; ++i)
    r.push_back(make_bulk_flow(100 * (i + 1), 0, 1000, make_pattern(1), i));
  return r;
}

TEST(replay, a_set_runs_each_flow_once_unless_told) {
  const replay_set s(three_flows(), 0);
  EXPECT_EQ(s.size(), 3u);
  EXPECT_EQ(s.expected_bytes(), 600u);
  EXPECT_EQ(s.flow_of(2), 2u);
}

TEST(replay, a_set_repeats_flows_round_and_round) {
  const replay_set s(three_flows(), 7);
  EXPECT_EQ(s.size(), 7u);
  EXPECT_EQ(s.flow_of(5), 2u);
  EXPECT_EQ(s.flow_of(6), 0u);
  EXPECT_EQ(s.expected_bytes(), 1300u);
  EXPECT_EQ(s[6].bytes(), 100u);
}

TEST(replay, a_smaller_set_is_spread_over_the_flows) {
  const replay_set s(three_flows(), 2);
  EXPECT_EQ(s.size(), 2u);
  EXPECT_EQ(s.flow_of(0), 0u);
  EXPECT_EQ(s.flow_of(1), 1u);
  EXPECT_EQ(s.expected_bytes(), 300u);
}

TEST(replay, a_set_of_nothing_is_refused) {
  EXPECT_THROW(replay_set({}, 1), std::invalid_argument);
}

}  // namespace
}  // namespace understudy::tb::test
