// What a connection may be asked for: keep-alives, Nagle, congestion notification.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t mss = 1448;

// ------------------------------------------------------------------------------------------------ keep-alive

struct silent : solo {
  explicit silent(const tcp_config& c = {}) : solo(c) { establish(); }
  void keepalive(std::uint16_t idle_s) {
    EXPECT_EQ(e.engine->set_options(time.now, id(), {.keepalive = true, .keepalive_idle_s = idle_s}), US_OK);
    e.wake();
  }
};

TEST(TcpKeepalive, IsOffUntilAskedFor) {
  silent t;
  t.time.run_for(100'000_s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

TEST(TcpKeepalive, ProbesAfterSilenceAndGoesOnWhileAnswered) {
  silent t;
  t.keepalive(10);
  for (int n = 0; n < 20; ++n) {
    t.time.run_for(9'900_ms);
    EXPECT_TRUE(t.fresh().empty()) << n;
    t.time.run_for(200_ms);
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u) << n;
    EXPECT_EQ(r[0].s.seq, t.ack - 1) << "one below: the peer must answer";
    EXPECT_EQ(r[0].s.payload_length, 0u);
    EXPECT_EQ(r[0].s.flags, tcp_ack);
    t.ack_only();
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_EQ(t.counters().keepalives, 20u);
}

TEST(TcpKeepalive, UnansweredProbesEndTheConnection) {
  silent t;
  t.keepalive(10);
  t.time.run_for(11_s + 8 * 75_s);
  EXPECT_EQ(t.fresh().size(), 9u);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED) << "no single probe decides";
  t.time.run_for(75_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(TcpKeepalive, AnythingFromThePeerPutsItOff) {
  silent t;
  t.keepalive(10);
  for (int n = 0; n < 5; ++n) {
    t.time.run_for(9_s);
    t.data(100);
  }
  t.time.run_for(1_s);
  for (const sent_segment& s : t.fresh()) EXPECT_EQ(s.s.seq, t.ack) << "ACKs and no probe";
}

TEST(TcpKeepalive, NothingIsProbedWhileDataIsInFlight) {
  silent t;
  t.keepalive(1);
  t.e.post(t.id(), 100);
  t.time.run_for(20_s);
  for (const sent_segment& s : t.fresh()) EXPECT_EQ(s.s.payload_length, 100u);
  EXPECT_EQ(t.counters().keepalives, 0u);
  t.ack += 100;
  t.ack_only();
  t.time.run_for(1100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
}

TEST(TcpKeepalive, MayBeSwitchedOffAgainAndIsOnByConfiguration) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 5_s;
  silent t(c);
  t.time.run_for(5100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
  EXPECT_EQ(t.e.engine->set_options(t.time.now, t.id(), {}), US_OK);
  t.time.run_for(1000_s);
  EXPECT_EQ(t.counters().keepalives, 1u);
  EXPECT_EQ(t.e.engine->set_options(t.time.now, cid{999, 1}, {}), US_ERR_BAD_CID);
}

TEST(TcpKeepalive, ASubstituteGoesOnWithIt) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 5_s;
  silent t(c);
  t.time.run_for(3_s);
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.ack_only();
  t.time.run_for(4_s);
  EXPECT_EQ(t.counters().keepalives, 0u);
  t.time.run_for(1100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
}

// ------------------------------------------------------------------------------------------------ Nagle

TEST(TcpNagle, IsASwitchOfEachConnection) {
  for (const bool by_default : {false, true}) {
    tcp_config c;
    c.nagle = by_default;
    solo t(c);
    t.establish();
    const auto small = [&] {
      t.e.post(t.id(), 10);
      t.time.run_for(t.step);
      return t.fresh().size();
    };
    EXPECT_EQ(small(), 1u);
    EXPECT_EQ(small(), by_default ? 0u : 1u);
    EXPECT_EQ(t.e.engine->set_options(t.time.now, t.id(), {.nagle = !by_default}), US_OK);
    t.time.run_for(t.step);
    EXPECT_EQ(t.fresh().size(), by_default ? 1u : 0u) << "what waited goes when the switch is turned";
    EXPECT_EQ(small(), by_default ? 1u : 0u);
  }
}

// ------------------------------------------------------------------------------------------------ ECN

struct ecn_solo : solo {
  static tcp_config on() {
    tcp_config c;
    c.ecn = true;
    return c;
  }
  explicit ecn_solo(const tcp_config& c = on(), std::uint8_t flags = tcp_ece | tcp_cwr) : solo(c) {
    segment s = make(tcp_syn | flags);
    s.options = syn_options;
    seq += 1;
    first_byte = seq;
    give(s);
    syn_ack = fresh().at(0).s;
    ack = syn_ack.seq + 1;
    ack_only();
    fresh();
  }
  segment syn_ack;
  void marked(std::uint32_t length, std::uint8_t ecn, std::uint8_t flags = tcp_ack) {
    segment s = make(flags, length);
    s.ecn = ecn;
    const std::uint64_t first = seq.minus(first_byte);
    seq += length;
    give(s, first);
  }
};

TEST(TcpEcn, IsNegotiatedByFlagsInTheSyns) {
  EXPECT_EQ(ecn_solo().syn_ack.flags, tcp_syn | tcp_ack | tcp_ece);
  EXPECT_EQ(ecn_solo(ecn_solo::on(), 0).syn_ack.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(ecn_solo(ecn_solo::on(), tcp_ece).syn_ack.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(ecn_solo(tcp_config{}).syn_ack.flags, tcp_syn | tcp_ack);
}

TEST(TcpEcn, TwoEnginesAgree) {
  rig r(1, ecn_solo::on(), ecn_solo::on());
  r.connect();
  EXPECT_TRUE(r.a.view().hard.conn & US_CONN_ECN);
  EXPECT_TRUE(r.b.view().hard.conn & US_CONN_ECN);
  EXPECT_EQ(r.a.sent.front().s.flags, tcp_syn | tcp_ece | tcp_cwr);
}

TEST(TcpEcn, ASynThatNobodyAnswersIsSentAgainWithout) {
  solo t(ecn_solo::on());
  t.e.open({ip_b, ip_a, port_b, port_a}, 700);
  t.time.run_for(1500_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[0].s.flags, tcp_syn | tcp_ece | tcp_cwr);
  EXPECT_EQ(r[1].s.flags, tcp_syn);
}

TEST(TcpEcn, OnlyNewDataIsMarkedCapable) {
  ecn_solo t;
  EXPECT_EQ(t.syn_ack.ecn, 0u);
  t.e.post(t.id(), mss);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().at(0).s.ecn, 2u);
  t.time.run_for(300_ms);
  const auto again = t.fresh();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].s.ecn, 0u);
  t.ack += mss;
  t.data(2000);
  t.time.run_for(50_ms);
  EXPECT_EQ(t.fresh().at(0).s.ecn, 0u) << "an ACK";
}

TEST(TcpEcn, AMarkIsEchoedUntilThePeerHasAnswered) {
  ecn_solo t;
  t.marked(100, 3);
  auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u) << "a mark is not kept waiting";
  EXPECT_TRUE(r[0].s.flags & tcp_ece);
  t.marked(2000, 2);
  t.time.run_for(50_ms);
  EXPECT_TRUE(t.fresh().at(0).s.flags & tcp_ece);
  t.marked(2000, 2, tcp_ack | tcp_cwr);
  t.time.run_for(50_ms);
  EXPECT_FALSE(t.fresh().at(0).s.flags & tcp_ece);
  EXPECT_EQ(t.counters().ecn_marks, 1u);
}

TEST(TcpEcn, AnEchoHalvesTheWindowOnceAWindow) {
  ecn_solo t;
  t.e.post(t.id(), 30 * mss);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 10u);
  for (int n = 0; n < 5; ++n) {
    t.ack += mss;
    t.give(t.make(tcp_ack | tcp_ece));
  }
  EXPECT_EQ(t.counters().ecn_reductions, 1u);
  EXPECT_EQ(t.view().ssthresh, 5 * mss);
  EXPECT_EQ(t.view().retransmitted_segments, 0u) << "nothing was lost";
  t.ack += 5 * mss;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_FALSE(r.empty());
  EXPECT_TRUE(r[0].s.flags & tcp_cwr) << "the next new data answers";
  EXPECT_FALSE(r[1].s.flags & tcp_cwr);
  t.ack = r.back().s.seq + mss;
  t.give(t.make(tcp_ack | tcp_ece));
  EXPECT_EQ(t.counters().ecn_reductions, 2u) << "data of after the reduction";
}

TEST(TcpEcn, WithoutAgreementFlagsAndMarksSayNothing) {
  solo t;
  t.establish();
  t.e.post(t.id(), 10 * mss);
  segment s = t.make(tcp_ack | tcp_ece, 100);
  s.ecn = 3;
  t.give(s);
  EXPECT_EQ(t.counters().ecn_marks + t.counters().ecn_reductions, 0u);
  for (const sent_segment& x : t.fresh()) {
    EXPECT_EQ(x.s.ecn, 0u);
    EXPECT_FALSE(x.s.flags & (tcp_ece | tcp_cwr));
  }
}

TEST(TcpEcn, IsHardStateThatASubstituteGoesOnWith) {
  ecn_solo t;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.ack_only();
  t.fresh();
  t.e.post(t.id(), 100);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().at(0).s.ecn, 2u);
}

// ------------------------------------------------------------------------------------------------ long
// streams

// Loss is still noticed when the numbers have gone once round since the last one.
TEST(TcpLongStream, LossIsNoticedAfterGibibytesWithoutAny) {
  for (const bool sack : {false, true}) {
    tcp_config c;
    c.sack = sack;
    solo t(c);
    t.syn_options.sack_permitted = true;
    t.establish();
    // 3 GiB in strides that a host may post.
    for (int n = 0; n < 24; ++n) {
      const seq32 end = t.ack + (1u << 27);
      while (t.ack.before(end)) {
        t.e.post(t.id(), 40 * mss);
        t.time.run_for(t.step);
        t.e.sent.clear();
        t.seen = 0;
        t.ack += 40 * mss;
        t.e.take(t.make(tcp_ack));
        t.time.run_for(t.step);
        t.ack = t.view().snd_nxt;
        t.e.take(t.make(tcp_ack));
      }
    }
    t.e.sent.clear();
    t.seen = 0;
    const std::uint64_t before = t.counters().fast_retransmits;
    t.e.post(t.id(), 20 * mss);
    t.time.run_for(t.step);
    for (std::uint32_t n = 1; n <= 3; ++n) {
      segment s = t.make(tcp_ack);
      if (sack) {
        s.options.sack_count = 1;
        s.options.sack[0] = {t.ack + mss, t.ack + (n + 1) * mss};
      }
      t.give(s);
    }
    EXPECT_EQ(t.counters().fast_retransmits, before + 1);
  }
}

}  // namespace
}  // namespace understudy::tb
