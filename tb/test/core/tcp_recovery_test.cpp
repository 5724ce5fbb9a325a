// What a substitute's engine starts with, and how it finds its way back: SR-3 and SR-6.
#include <algorithm>
#include <iostream>
#include <vector>

#include "tb/test/core/engine_rig.h"

namespace understudy::tb {
namespace {

constexpr picos round_trip = 110_us;  // wire, fetch and commit of the rig

struct streaming : rig {
  // A wire of 10 Gb/s from a to b, so that segments arrive one by one.
  streaming() : rig(7) {
    a.wire = [this](frame_ref f) {
      if (cut) return;
      free_at_ = std::max(free_at_, time.now) + picos{f.size()} * 800;
      time.at(free_at_ + 50_us, [this, f] { b.take(f); });
    };
    connect();
    a.post(a.newest, 64 << 20);
    time.run_for(20 * round_trip);
  }
  // The adapter dies; its substitute has the hard state `blackout` later.
  void die(picos blackout) {
    cut = true;
    time.run_for(blackout);
    cut = false;
    a.fail_over();
    a.kick();
  }
  picos free_at_ = 0;
  static double usable_window(const rig_end& e) {
    const tcp_view v = e.engine->view(e.newest);
    return std::min<double>(v.cwnd, e.engine->view(e.newest).snd_wnd);
  }
};

// Shift of the windows that end `a` sends.
unsigned c_scale(rig& r) {
  return r.a.view().hard.our_wscale;
}

TEST(SR_3, an_ack_of_everything_in_flight_as_the_first_segment_moves_una_without_a_storm) {
  streaming r;
  const seq32 in_flight = r.a.view().snd_nxt;
  r.die(500_us);
  const std::size_t before = r.a.sent.size();
  segment s;  // what the peer had sent before the death, held by the switch until now
  s.tuple = {ip_a, ip_b, port_a, port_b};
  s.flags = tcp_ack;
  s.seq = r.a.view().hard.rcv_nxt;
  s.ack = in_flight;
  s.window = 0xffff;
  s.options.has_ts = true;
  s.options.tsval = r.b.clock_ms + static_cast<std::uint32_t>(r.time.now / 1_ms);
  r.a.take(s);
  EXPECT_EQ(r.a.view().hard.snd_una, in_flight);
  r.time.run_for(1_us);
  std::size_t pure = 0;
  for (std::size_t i = before; i < r.a.sent.size(); ++i)
    pure += r.a.sent[i].s.payload_length == 0 && !r.a.sent[i].request.kick;
  EXPECT_LE(pure, 1u);
  EXPECT_EQ(r.a.engine->counters().challenge_acks, 0u);
}

// A peer whose kick's answer says that it has sent four segments more than the host holds, and which sends
// one of them each time it is asked. ACKs of each of them, for a connection with and without SACK.
std::vector<std::size_t> acks_of_each(bool sack) {
  tcp_config c;
  c.sack = sack;
  rig r(7, c, c);
  r.connect();
  r.cut = true;
  r.a.fail_over();
  r.a.kick();
  r.time.run_for(10_us);
  segment s;
  s.tuple = {ip_a, ip_b, port_a, port_b};
  s.flags = tcp_ack;
  const seq32 first = r.a.view().hard.rcv_nxt;
  s.seq = first + 4000;
  s.ack = r.a.view().hard.snd_una;
  s.window = 0xffff;
  s.options.has_ts = true;
  s.options.tsval = r.b.clock_ms + static_cast<std::uint32_t>(r.time.now / 1_ms);
  r.a.take(s);
  std::vector<std::size_t> acks;
  for (std::uint32_t n = 0; n <= 4; ++n) {
    if (n) {
      s.seq = first + 1000 * (n - 1);
      s.payload_length = 1000;
      r.a.take(s, 1000 * (n - 1));
    }
    r.time.run_for(20_us);
    acks.push_back(
        static_cast<std::size_t>(std::count_if(r.a.sent.begin(), r.a.sent.end(), [&](const sent_segment& x) {
          return !x.request.kick && x.s.ack == first + 1000 * n;
        })));
  }
  return acks;
}

TEST(SR_3, each_segment_that_the_old_adapter_lost_is_asked_for_by_three_duplicates_if_the_peer_has_no_sack) {
  // The last fills the gap: its ACK may wait for the next segment.
  EXPECT_EQ(acks_of_each(false), (std::vector<std::size_t>{5, 4, 4, 4, 0}));
  EXPECT_EQ(acks_of_each(true), (std::vector<std::size_t>{5, 1, 1, 1, 0}));
}

// A peer without SACK lost a segment with the old adapter, and the window that it knows is 1408 bytes: too
// small for the 1460 bytes that it is asked for, though the edge behind the scale's rounding is not.
TEST(SR_3, a_window_too_small_for_the_segment_that_is_asked_for_opens_while_duplicates_ask) {
  tcp_config c;
  c.sack = false;
  c.timestamps = false;
  rig r(7, c, c);
  r.connect();
  r.cut = true;
  const seq32 first = r.a.view().hard.rcv_nxt;
  r.a.auto_grant = false;
  r.a.only().edge = first + 1527;
  r.a.fail_over();
  r.a.kick();
  r.time.run_for(10_us);
  segment s;
  s.tuple = {ip_a, ip_b, port_a, port_b};
  s.flags = tcp_ack;
  s.seq = first + 1460;  // the answer to the kick: one segment more than the host holds
  s.ack = r.a.view().hard.snd_una;
  s.window = 0xffff;
  r.a.take(s);
  r.time.run_for(20_us);
  const auto window = [&r] { return static_cast<std::uint32_t>(r.a.sent.back().s.window) << c_scale(r); };
  EXPECT_EQ(window(), 1408u);
  r.a.grant(r.a.newest, first + 60000);
  r.time.run_for(20_us);
  EXPECT_GE(window(), 1460u) << "else both wait for each other for ever";
}

// The kick or its answer is lost; meanwhile the reader makes room.
TEST(SR_3, a_window_that_opens_while_a_kick_is_unanswered_is_told_at_once) {
  rig r(7);
  r.connect();
  r.cut = true;
  const seq32 first = r.a.view().hard.rcv_nxt;
  r.a.auto_grant = false;
  r.a.only().edge = first + 600;
  r.a.fail_over();
  r.a.kick();
  r.time.run_for(10_us);
  const auto kicks = [&r] {
    return std::count_if(r.a.sent.begin(), r.a.sent.end(),
                         [](const sent_segment& x) { return x.request.kick; });
  };
  ASSERT_EQ(kicks(), 1);
  for (std::uint32_t n = 1; n <= 8; ++n) r.a.grant(r.a.newest, first + 600 + 8192 * n);
  r.time.run_for(50_us);
  EXPECT_EQ(kicks(), 2) << "one for all of them";
  EXPECT_GE(static_cast<std::uint32_t>(r.a.sent.back().s.window) << c_scale(r), 60000u);
  EXPECT_EQ(r.a.sent.back().s.seq, r.a.view().hard.snd_una - 1) << "in the form that must be answered";
}

TEST(SR_6, soft_state_starts_afresh) {
  streaming r;
  ASSERT_GT(r.a.view().srtt, 0u);
  r.die(500_us);
  const tcp_view v = r.a.view();
  EXPECT_EQ(v.cwnd, r.a.config.initial_window_segments * 1448u);
  EXPECT_EQ(v.rto, 1_s);
  EXPECT_EQ(v.srtt, 0u);
}

TEST(SR_6, soft_state_is_within_a_fifth_of_a_twin_that_never_failed_after_twenty_four_round_trips) {
  streaming failed, twin;
  failed.die(500_us);
  twin.time.run_until(failed.time.now);
  for (rig* r : {static_cast<rig*>(&failed), static_cast<rig*>(&twin)}) r->time.run_for(24 * round_trip);
  const tcp_view f = failed.a.view(), t = twin.a.view();
  std::cout << "usable window " << streaming::usable_window(failed.a) << " against "
            << streaming::usable_window(twin.a) << " bytes, srtt " << f.srtt << " against " << t.srtt
            << " ps, rto " << f.rto << " against " << t.rto << " ps\n";
  EXPECT_NEAR(streaming::usable_window(failed.a), streaming::usable_window(twin.a),
              0.2 * streaming::usable_window(twin.a));
  EXPECT_NEAR(static_cast<double>(f.srtt), static_cast<double>(t.srtt), 0.2 * static_cast<double>(t.srtt));
  EXPECT_NEAR(static_cast<double>(f.rto), static_cast<double>(t.rto), 0.2 * static_cast<double>(t.rto));
  EXPECT_TRUE(rig::received(failed.b, failed.b.newest, failed.b.only().rx.size()))
      << "every byte in its place";
  EXPECT_EQ(failed.a.violations + failed.b.violations, 0u);
}

}  // namespace
}  // namespace understudy::tb
