// Explicit congestion notification: RFC 3168 6.1.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t mss = 1448;  // 1460 less the timestamps

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

}  // namespace
}  // namespace understudy::tb
