// Path MTU discovery by ICMP: RFC 1191, RFC 8201, and what an attacker makes of it (RFC 5927).
#include <cstdio>

#include "tb/test/core/engine_solo.h"
#include "tb/test/core/too_big.h"

namespace understudy::tb {
namespace {

// Two hosts with routers between them that drop what their next link does not take, and say so.
struct narrow_path : rig {
  narrow_path(bool v4, std::vector<std::uint32_t> mtus, const tcp_config& c = {})
      : rig(1, c), links(std::move(mtus)), tuple_(tuple()) {
    if (!v4) {
      tuple_.local = ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 1});
      tuple_.remote = ip_address::v6({0xfd99, 0, 0, 0, 0, 0, 0, 2});
    }
    a.wire = [this, carry = std::move(a.wire)](frame_ref f) {
      const std::uint32_t length = f.size() - 14;
      largest = std::max(largest, length);
      if (tuple_.local.is_v4()) {
        EXPECT_EQ(f.data()[20] & 0xe0, 0x40) << "don't fragment";
      }
      for (const std::uint32_t mtu : links)
        if (length > mtu) {
          ++dropped;
          if (!mute) report(too_big_message(f, mtu));
          return;
        }
      carry(f);
    };
    EXPECT_TRUE(b.engine->listen(tuple_.remote, port_b, 0, 16, US_CONN_PROTECTED));
    a.open(tuple_, 1000);
    EXPECT_TRUE(time.run_while(
        [&] { return !a.only().established || b.conns.empty() || !b.only().established; }, 300_s));
    time.run_for(1_ms);
  }
  bool send(std::uint32_t bytes, picos within) {
    posted_ += bytes;
    EXPECT_EQ(a.post(a.newest, bytes), US_OK);
    return arrives(within);
  }
  bool arrives(picos within) {
    const picos until = time.now + within;
    time.run_while([&] { return b.only().rx.size() < posted_; }, until);
    return received(b, b.newest, posted_);
  }
  const tcp_counters& counters() const { return a.engine->counters(); }

  std::vector<std::uint32_t> links;  // MTUs of the routers' next links, in order
  bool mute = false;                 // the routers say nothing
  std::uint64_t dropped = 0;
  std::uint32_t largest = 0;  // IP packet since it was set to 0

 private:
  void report(const too_big_message& m) {
    time.in(20_us, [this, p = m.parsed()] {
      ASSERT_EQ(p.kind, frame_class::packet_too_big);
      a.engine->on_packet_too_big(time.now, p.tcp.tuple, p.tcp.seq, p.mtu);
      a.wake();
    });
  }
  four_tuple tuple_;
  std::uint64_t posted_ = 0;
};

// A connection whose engine has `segments` of 1,448 bytes in flight, and hears what a test makes up.
struct sender : solo {
  explicit sender(std::uint32_t segments = 10, const tcp_config& c = {}) : solo(c) {
    syn_options.sack_permitted = true;
    establish();
    post(segments * mss);
  }
  void post(std::uint32_t bytes) {
    e.post(id(), bytes);
    time.run_for(step);
    fresh();
  }
  four_tuple tuple() const { return {ip_b, ip_a, port_b, port_a}; }
  void too_big(seq32 number, std::uint32_t mtu, const four_tuple& t) {
    e.engine->on_packet_too_big(time.now, t, number, mtu);
    e.wake();
  }
  void too_big(seq32 number, std::uint32_t mtu) { too_big(number, mtu, tuple()); }
  // Nothing came of it: no segment, no smaller one, and the stream goes on where it was.
  void expect_undisturbed(const tcp_view& before) {
    time.run_for(step);
    EXPECT_TRUE(fresh().empty());
    const tcp_view v = view();
    EXPECT_EQ(v.largest_segment, before.largest_segment);
    EXPECT_EQ(v.snd_nxt, before.snd_nxt);
    EXPECT_EQ(v.cwnd, before.cwnd);
    EXPECT_EQ(v.retransmitted_segments, before.retransmitted_segments);
    EXPECT_EQ(counters().path_mtu_reduced, 0u);
  }
  // The peer takes what is sent and acknowledges it until everything posted is. The bytes that it got twice.
  std::uint32_t finish(std::uint32_t most_payload) {
    std::uint32_t twice = 0;
    std::size_t from = 0;
    const seq32 all = host().posted;
    for (int round = 0; round < 2000 && view().hard.snd_una != all; ++round) {
      time.run_for(step);
      bool heard = false;
      for (; from < e.sent.size(); ++from) {
        const segment& s = e.sent[from].s;
        if (from < seen || !s.payload_length) continue;
        EXPECT_LE(s.payload_length, most_payload);
        heard = true;
        const seq32 end = s.seq + s.payload_length;
        if (s.seq.after(ack)) continue;  // it comes again
        twice += end.after(ack) ? ack.minus(s.seq) : s.payload_length;
        if (end.after(ack)) ack = end;
      }
      seen = e.sent.size();
      if (heard)
        ack_only();
      else
        time.run_for(100_ms);
    }
    EXPECT_EQ(view().hard.snd_una, all);
    return twice;
  }
};

// ------------------------------------------------------------------------------------------------ discovery

TEST(TcpPathMtu, ANarrowPathMakesSegmentsSmallerAndEveryByteArrives) {
  for (const bool v4 : {true, false})
    for (const std::uint32_t mtu : {1280u, 1400u}) {
      narrow_path n(v4, {mtu});
      EXPECT_EQ(n.a.view().largest_segment, v4 ? 1460u : 1440u);
      EXPECT_TRUE(n.send(300'000, 1_s)) << v4 << ' ' << mtu;
      EXPECT_EQ(n.a.view().largest_segment, mtu - (v4 ? 40 : 60));
      EXPECT_EQ(n.counters().path_mtu_reduced, 1u);
      EXPECT_EQ(n.counters().path_mtu_reduced + n.counters().packet_too_big_ignored, n.dropped);
      EXPECT_EQ(n.counters().timeouts, 0u);
      EXPECT_EQ(n.counters().fast_retransmits, 0u) << "no sign of congestion";
      EXPECT_LE(n.dropped, 10u) << "what was in flight when the first message came";
      const std::uint64_t dropped = n.dropped;
      n.largest = 0;
      EXPECT_TRUE(n.send(300'000, 1_s));
      EXPECT_EQ(n.dropped, dropped);
      EXPECT_EQ(n.largest, mtu) << "as large as the path takes";
      EXPECT_EQ(n.a.violations + n.b.violations, 0u);
    }
}

TEST(TcpPathMtu, WithoutTheRoutersMessageNothingLargeArrives) {
  narrow_path n(true, {1400});
  n.mute = true;
  EXPECT_FALSE(n.send(300'000, 3_s));
  EXPECT_GT(n.counters().timeouts, 0u);
  EXPECT_EQ(n.a.view().largest_segment, 1460u);
}

TEST(TcpPathMtu, BottlenecksAreFoundOneBehindTheOther) {
  narrow_path n(true, {1450, 1400, 1006, 600});
  EXPECT_TRUE(n.send(300'000, 1_s));
  EXPECT_EQ(n.counters().path_mtu_reduced, 4u);
  EXPECT_EQ(n.a.view().largest_segment, 560u);
  EXPECT_EQ(n.counters().timeouts, 0u);
}

TEST(TcpPathMtu, APathThatBecomesNarrowerUnderATransferIsFoundToBe) {
  narrow_path n(true, {1500});
  EXPECT_TRUE(n.send(300'000, 1_s));
  n.links = {1300};
  EXPECT_TRUE(n.send(300'000, 1_s));
  EXPECT_EQ(n.a.view().largest_segment, 1260u);
  n.a.close(n.a.newest);
  n.b.close(n.b.newest);
  n.time.run_for(1_s);
  EXPECT_TRUE(n.b.only().eof);
}

TEST(TcpPathMtu, AFinThatWasInFlightGoesOutAgainBehindItsBytes) {
  narrow_path n(true, {1400});
  EXPECT_EQ(n.a.post(n.a.newest, 5000), US_OK);
  EXPECT_EQ(n.a.close(n.a.newest), US_OK);
  n.time.run_for(100_ms);
  EXPECT_TRUE(rig::received(n.b, n.b.newest, 5000));
  EXPECT_TRUE(n.b.only().eof);
  EXPECT_EQ(n.counters().timeouts, 0u);
}

// ------------------------------------------------------------------------------------------------ congestion

TEST(TcpPathMtu, OfAWindowsManyMessagesTheFirstAloneSendsAgainAndTwoSegmentsAtOnce) {
  sender t;
  const seq32 una = t.ack;
  const tcp_view before = t.view();
  for (std::uint32_t n = 0; n < 10; ++n) t.too_big(una + n * mss, 1400);
  t.time.run_for(t.step);
  EXPECT_EQ(t.counters().path_mtu_reduced, 1u);
  EXPECT_EQ(t.counters().packet_too_big_ignored, 9u);
  const auto again = t.fresh();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].s.seq, una);
  EXPECT_EQ(again[0].s.payload_length, 1348u);
  EXPECT_EQ(again[1].s.seq, una + 1348);
  EXPECT_TRUE(again[0].request.retransmission && again[1].request.retransmission);
  EXPECT_EQ(t.view().cwnd, before.cwnd) << "no sign of congestion (RFC 8201 5.4)";
  EXPECT_EQ(t.view().ssthresh, before.ssthresh);
  t.ack += 2 * 1348;
  t.ack_only();
  EXPECT_GE(t.fresh().size(), 9u) << "the others as soon as the peer answers";
  EXPECT_EQ(t.finish(1348), 0u);
}

TEST(TcpPathMtu, ATimeOutInsteadLowersTheWindow) {
  sender t;
  t.time.run_for(2_s);
  EXPECT_GE(t.view().timeouts, 1u);
  EXPECT_EQ(t.view().cwnd, mss);
}

TEST(TcpPathMtu, TheRetransmissionTimerRunsFromTheNewSending) {
  sender t;
  t.time.run_for(150_ms);
  t.too_big(t.ack, 1400);
  t.time.run_for(100_ms);
  EXPECT_EQ(t.view().timeouts, 0u);
  t.time.run_for(150_ms);
  EXPECT_EQ(t.view().timeouts, 1u) << "and runs";
}

TEST(TcpPathMtu, DuplicateAcksForWhatWasSentBeforeAreNoSignOfLoss) {
  sender t;
  const std::uint32_t cwnd = t.view().cwnd;
  t.too_big(t.ack, 1400);
  for (int n = 0; n < 6; ++n) t.ack_only();
  EXPECT_EQ(t.counters().fast_retransmits, 0u);
  EXPECT_EQ(t.view().cwnd, cwnd);
  sender control;
  for (int n = 0; n < 6; ++n) control.ack_only();
  EXPECT_EQ(control.counters().fast_retransmits, 1u);
}

TEST(TcpPathMtu, WhatThePeerReportsToHoldIsNotSentAgain) {
  sender t;
  const seq32 una = t.ack;
  for (std::uint32_t n = 3; n < 6; ++n) {
    segment s = t.make(tcp_ack);
    s.options.sack_count = 1;
    s.options.sack[0] = {una + 2 * mss, una + n * mss};
    t.give(s);
  }
  ASSERT_TRUE(t.view().in_recovery);
  t.fresh();
  t.too_big(una, 1000);
  EXPECT_FALSE(t.view().in_recovery);
  EXPECT_EQ(t.view().sacked_bytes, 3 * mss);
  EXPECT_EQ(t.view().cwnd, t.view().ssthresh) << "where that recovery would have ended";
  t.time.run_for(t.step);
  for (int n = 0; n < 3; ++n) {  // up to the block
    t.ack = t.view().snd_nxt.before(una + 2 * mss) ? t.view().snd_nxt : una + 2 * mss;
    if (t.ack == una + 2 * mss) t.ack = una + 5 * mss;
    t.ack_only();
  }
  std::uint32_t judged = 0;
  for (const sent_segment& s : t.fresh()) {
    if (!s.s.payload_length) continue;
    ++judged;
    EXPECT_LE(s.s.payload_length, 948u);
    const std::uint32_t at = s.s.seq.minus(una);
    EXPECT_TRUE(at + s.s.payload_length <= 2 * mss || at >= 5 * mss) << at;
  }
  EXPECT_GE(judged, 4u);
  t.finish(948);
  EXPECT_EQ(t.e.violations, 0u);
}

// ------------------------------------------------------------------------------------------------ the queue

TEST(TcpPathMtu, WhatWasQueuedBeforeIsNotSentAndItsBytesAre) {
  for (const bool narrow : {true, false}) {
    sender t(0);
    for (const std::uint32_t at : {3000u, 6000u, 9000u}) {  // blocks to report beside the payload
      segment s = t.make(tcp_ack, 100);
      s.seq += at;
      t.give(s, at);
    }
    t.fresh();
    t.e.post(t.id(), 10 * mss);
    if (narrow) t.too_big(t.ack, 576);
    t.time.run_for(t.step);
    std::uint32_t judged = 0;
    for (std::size_t n = t.seen; n < t.e.sent.size(); ++n) {
      const segment& s = t.e.sent[n].s;
      if (!s.payload_length) continue;
      ++judged;
      EXPECT_EQ(s.payload_length > 536, !narrow);
      const std::uint32_t options = 12 + (s.options.sack_count ? 4u + 8 * s.options.sack_count : 0);
      EXPECT_LE(40 + options + s.payload_length, narrow ? 576u : 1500u);
    }
    EXPECT_EQ(judged, narrow ? 2u : 10u);
    EXPECT_EQ(t.finish(narrow ? 524 : mss), 0u);
    EXPECT_EQ(t.e.violations, 0u);
  }
}

// ------------------------------------------------------------------------------------------------ hostile

TEST(TcpPathMtu, AMessageThatCannotBeTrueIsIgnored) {
  sender t;
  const seq32 una = t.ack, end = t.view().snd_nxt;
  const tcp_view before = t.view();
  four_tuple other_port = t.tuple(), other_host = t.tuple();
  ++other_port.remote_port;
  other_host.remote = ip_address::v4(10, 0, 0, 77);
  struct {
    seq32 seq;
    std::uint32_t mtu;
    four_tuple tuple;
  } const lies[] = {
      {una - 1, 1400, t.tuple()},
      {end, 1400, t.tuple()},
      {end + 1, 1400, t.tuple()},
      {una + 0x80000000u, 1400, t.tuple()},
      {una - 100'000, 1400, t.tuple()},
      {una, 1400, other_port},
      {una, 1400, other_host},
      {una, 0, t.tuple()},
      {una, 1, t.tuple()},
      {una, 67, t.tuple()},
      {una, 1500, t.tuple()},
      {una, 1501, t.tuple()},
      {una, 65535, t.tuple()},
      {una, 0xffffffffu, t.tuple()},
  };
  std::uint64_t judged = 0;
  for (const auto& l : lies) {
    SCOPED_TRACE(judged);
    t.too_big(l.seq, l.mtu, l.tuple);
    t.expect_undisturbed(before);
    EXPECT_EQ(t.counters().packet_too_big_ignored, ++judged);
  }
  t.too_big(end - 1, 1499);
  EXPECT_EQ(t.counters().path_mtu_reduced, 1u) << "one that can be";
  t.finish(1447);
}

TEST(TcpPathMtu, NothingGoesBelowTheFloor) {
  for (const std::uint32_t mtu : {68u, 100u, 255u, 256u}) {
    sender t;
    t.too_big(t.ack, mtu);
    EXPECT_EQ(t.view().largest_segment, 216u) << mtu;
    t.too_big(t.ack, mtu);
    EXPECT_EQ(t.counters().path_mtu_reduced, 1u);
    t.finish(204);
  }
  sender t;
  t.too_big(t.ack, 257);
  EXPECT_EQ(t.view().largest_segment, 217u);
}

TEST(TcpPathMtu, AnIpv6MtuBelowItsLeastIsDiscarded) {
  narrow_path n(false, {});
  n.cut = true;
  n.send(20'000, 1_ms);
  const four_tuple t = n.a.view().hard.tuple;
  const seq32 una = n.a.view().hard.snd_una;
  for (const std::uint32_t mtu : {0u, 68u, 1000u, 1279u})
    n.a.engine->on_packet_too_big(n.time.now, t, una, mtu);
  EXPECT_EQ(n.counters().packet_too_big_ignored, 4u);
  EXPECT_EQ(n.a.view().largest_segment, 1440u);
  n.a.engine->on_packet_too_big(n.time.now, t, una, 1280);
  EXPECT_EQ(n.a.view().largest_segment, 1220u);
  n.cut = false;
  n.a.wake();
  EXPECT_TRUE(n.arrives(10_s));
}

TEST(TcpPathMtu, AConnectionThatIsNotSynchronizedOrHasNothingInFlightHearsNone) {
  solo half;
  half.syn();
  const seq32 iss = half.fresh()[0].s.seq;
  half.e.engine->on_packet_too_big(half.time.now, {ip_b, ip_a, port_b, port_a}, iss, 600);
  EXPECT_EQ(half.view().largest_segment, 1460u);
  EXPECT_EQ(half.counters().packet_too_big_ignored, 1u);
  sender idle(0);
  for (const std::uint32_t n : {0u, 1u, 0xffffffffu}) idle.too_big(idle.ack + n, 600);
  EXPECT_EQ(idle.counters().packet_too_big_ignored, 3u);
  EXPECT_EQ(idle.view().largest_segment, 1460u);
}

TEST(TcpPathMtu, ABlindFloodChangesNothing) {
  constexpr std::uint64_t seed = 8;
  std::printf("[ seed %llu ]\n", static_cast<unsigned long long>(seed));
  rng draws(seed, "blind");
  sender t;
  const tcp_view before = t.view();
  const std::uint32_t flight = before.snd_nxt.minus(t.ack);
  for (int n = 0; n < 30'000; ++n)  // any number that is not in flight: a guess hits it once in 300,000
    t.too_big(before.snd_nxt + static_cast<std::uint32_t>(draws.below(0x100000000ull - flight)),
              static_cast<std::uint32_t>(draws.below(1600)));
  t.expect_undisturbed(before);
  EXPECT_EQ(t.counters().packet_too_big_ignored, 30'000u);
  t.finish(mss);
}

TEST(TcpPathMtu, AFloodThatKnowsTheNumbersCostsBoundedWorkAndTheStreamGoesOn) {
  sender t;
  const std::uint64_t before = t.view().retransmitted_segments;
  for (std::uint32_t mtu = 1499; mtu >= 68; --mtu)
    for (int n = 0; n < 10; ++n) t.too_big(t.ack, mtu);
  EXPECT_EQ(t.counters().path_mtu_reduced, 8u);
  EXPECT_EQ(t.counters().packet_too_big_ignored, 1432u * 10 - 8);
  EXPECT_LE(t.view().retransmitted_segments - before, 16u);
  EXPECT_EQ(t.view().largest_segment, 216u) << "the last one goes to the floor: nothing is blocked for it";
  t.finish(204);
  EXPECT_EQ(t.e.violations, 0u);
}

TEST(TcpPathMtu, AMessageAboutAProbeOfAClosedWindowDisturbsNothing) {
  sender t(0);
  t.window = 0;
  t.ack_only();
  t.e.post(t.id(), 10'000);
  t.time.run_for(600_ms);
  ASSERT_FALSE(t.fresh().empty());
  t.too_big(t.ack, 600);
  EXPECT_EQ(t.view().largest_segment, 560u);
  t.time.run_for(t.step);
  EXPECT_TRUE(t.fresh().empty()) << "the window is closed as before";
  t.time.run_for(5_s);
  EXPECT_FALSE(t.fresh().empty()) << "and is probed as before";
  t.window = 0xffff;
  t.ack_only();
  t.finish(548);
}

// ------------------------------------------------------------------------------------------------ ageing

TEST(TcpPathMtu, AfterTenMinutesTheNextAcknowledgmentForgetsIt) {
  for (const std::uint32_t s : {598u, 601u}) {
    sender t(1);
    t.too_big(t.ack, 1000);
    t.finish(948);
    t.time.run_for(s * 1_s);
    EXPECT_EQ(t.view().largest_segment, 960u) << "time alone does nothing";
    t.e.post(t.id(), 100);
    t.finish(948);
    EXPECT_EQ(t.view().largest_segment, s < 600 ? 960u : 1460u);
  }
}

TEST(TcpPathMtu, WithThePathItsReductionsAreForgotten) {
  sender t(1);
  for (std::uint32_t n = 0; n < 7; ++n) t.too_big(t.ack, 1400 - 10 * n);
  EXPECT_EQ(t.view().largest_segment, 1300u);
  t.finish(1288);
  t.time.run_for(601_s);
  t.e.post(t.id(), 100);
  t.finish(1288);
  t.post(2000);
  t.too_big(t.ack, 1400);
  EXPECT_EQ(t.view().largest_segment, 1360u) << "an eighth would go to the floor";
  EXPECT_EQ(t.counters().path_mtu_reduced, 8u);
}

// RFC 5681: the window is one segment at least, of whatever size.
TEST(TcpPathMtu, AWindowOfOneSegmentStaysOneWhenTheyGrow) {
  sender t(1);
  t.too_big(t.ack, 600);
  t.finish(548);
  t.time.run_for(601_s);
  t.post(100);  // lost
  t.time.run_for(150_ms);
  ASSERT_TRUE(t.fresh().empty());
  t.time.run_for(100_ms);
  ASSERT_EQ(t.view().timeouts, 1u);
  ASSERT_EQ(t.view().cwnd, 548u);
  ASSERT_EQ(t.view().ssthresh, 2 * 548u);
  t.ack = t.view().snd_nxt;
  t.ack_only();
  EXPECT_EQ(t.view().largest_segment, 1460u);
  t.fresh();
  t.e.post(t.id(), 3000);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_FALSE(r.empty()) << "at once";
  EXPECT_EQ(r[0].s.payload_length, 1448u);
  EXPECT_EQ(t.view().ssthresh, 2 * 1448u);
}

TEST(TcpPathMtu, AForgottenPathIsFoundAgain) {
  narrow_path n(true, {1400});
  EXPECT_TRUE(n.send(300'000, 1_s));
  n.time.run_for(601_s);
  EXPECT_TRUE(n.send(300'000, 1_s));
  EXPECT_EQ(n.counters().path_mtu_reduced, 2u);
  EXPECT_EQ(n.a.view().largest_segment, 1360u);
  n.links = {1500};
  n.time.run_for(601_s);
  EXPECT_TRUE(n.send(300'000, 1_s));
  EXPECT_EQ(n.a.view().largest_segment, 1460u) << "the path became wider";
  EXPECT_EQ(n.counters().timeouts, 0u);
}

// ------------------------------------------------------------------------------------------------ failover

TEST(TcpPathMtu, ARestoredConnectionHearsNoneUntilItsPeerAnswers) {
  sender t;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(2_s);  // the later kicks have a byte
  t.fresh();
  t.too_big(t.ack, 600);
  t.time.run_for(t.step);
  EXPECT_EQ(t.counters().packet_too_big_ignored, 1u);
  EXPECT_EQ(t.view().largest_segment, 1460u);
  t.ack_only();
  EXPECT_FALSE(t.fresh().empty());
  t.too_big(t.ack, 600);
  EXPECT_EQ(t.view().largest_segment, 560u);
}

TEST(TcpPathMtu, ASubstituteLearnsItAgain) {
  for (const bool v4 : {true, false}) {
    narrow_path n(v4, {1400});
    EXPECT_FALSE(n.send(2'000'000, 2_ms)) << "it is under way";
    EXPECT_EQ(n.counters().path_mtu_reduced, 1u);
    n.a.fail_over();
    const std::uint64_t dropped = n.dropped;
    EXPECT_EQ(n.a.view().largest_segment, v4 ? 1460u : 1440u) << "soft state";
    n.a.engine->on_packet_too_big(n.time.now, n.a.view().hard.tuple, n.a.view().hard.snd_una, 1300);
    EXPECT_EQ(n.counters().packet_too_big_ignored, 1u) << "what another adapter sent";
    n.a.kick();
    EXPECT_TRUE(n.arrives(5_s));
    EXPECT_EQ(n.counters().path_mtu_reduced, 1u);
    EXPECT_GT(n.dropped, dropped);
    EXPECT_EQ(n.a.view().largest_segment, v4 ? 1360u : 1340u);
    EXPECT_EQ(n.counters().timeouts, 0u);
    EXPECT_EQ(n.a.violations + n.b.violations, 0u);
  }
}

}  // namespace
}  // namespace understudy::tb
