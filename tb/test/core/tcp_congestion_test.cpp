// The congestion window of a connection, and how it notices loss: RFC 5681, RFC 6582.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t mss = 1448;  // 1460 less the timestamps

// ---------------------------------------------------------------- initial window

TEST(TcpCongestion, TheInitialWindowIsTenSegments) {
  solo t;
  t.establish();
  t.e.post(t.id(), 60'000);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 10u);
  t.ack += 2 * 1448;
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 4u) << "slow start: two acknowledged, two more";
}

TEST(TcpCongestion, TheInitialWindowIsAParameter) {
  tcp_config c;
  c.initial_window_segments = 3;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 10 * 1448);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 3u);
}

TEST(TcpCongestion, TheEngineUsesWhatItsConfigurationNames) {
  for (const bool is_cubic : {false, true}) {
    tcp_config c;
    c.congestion = is_cubic ? congestion_kind::cubic : congestion_kind::newreno;
    solo t(c);
    t.establish();
    t.e.post(t.id(), 10 * 1448);
    t.time.run_for(t.step);
    for (int n = 0; n < 3; ++n) t.ack_only();
    EXPECT_EQ(t.view().ssthresh, (is_cubic ? 7u : 5u) * 1448);
  }
}

// ---------------------------------------------------------------- loss

TEST(TcpLoss, AfterATimeoutOneSegmentIsSentAndTheThresholdHalved) {
  solo t;
  t.establish();
  t.e.post(t.id(), 20 * 1448);
  t.time.run_for(t.step);
  ASSERT_EQ(t.fresh().size(), 10u);
  t.time.run_for(250_ms);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_EQ(t.view().cwnd, 1448u);
  EXPECT_EQ(t.view().ssthresh, 5u * 1448);
  t.ack += 10 * 1448;  // all had arrived: an ACK beyond snd_nxt
  t.ack_only();
  EXPECT_EQ(t.view().snd_nxt, t.ack + 3 * 1448) << "goes on behind the ACK, not behind snd_nxt";
}

TEST(TcpLoss, ThreeDuplicateAcksRetransmitOnce) {
  solo t;
  t.establish();
  t.e.post(t.id(), 10 * 1448);
  t.time.run_for(t.step);
  ASSERT_EQ(t.fresh().size(), 10u);
  t.ack += 1448;
  t.ack_only();
  for (int i = 0; i < 2; ++i) t.ack_only();
  EXPECT_TRUE(t.fresh().empty());
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.seq, t.ack);
  EXPECT_TRUE(r[0].request.retransmission);
  EXPECT_EQ(t.counters().fast_retransmits, 1u);
  for (int i = 0; i < 3; ++i) t.ack_only();
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.view().timeouts, 0u);
}

TEST(TcpLoss, LimitedTransmitSendsNewDataOnTheFirstTwoDuplicates) {
  solo t;
  t.establish();
  t.e.post(t.id(), 20 * 1448);
  t.time.run_for(t.step);
  ASSERT_EQ(t.fresh().size(), 10u);
  for (int i = 0; i < 2; ++i) {
    t.ack_only();
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u);
    EXPECT_FALSE(r[0].request.retransmission);
  }
}

TEST(TcpLoss, APartialAckRetransmitsTheNextHole) {
  solo t;
  t.establish();
  t.e.post(t.id(), 10 * 1448);
  t.time.run_for(t.step);
  t.fresh();
  for (int i = 0; i < 3; ++i) t.ack_only();
  ASSERT_EQ(t.fresh().size(), 1u);
  t.ack += 4 * 1448;
  t.ack_only();
  auto r = t.fresh();
  ASSERT_GE(r.size(), 1u);
  EXPECT_EQ(r[0].s.seq, t.ack);
  EXPECT_TRUE(r[0].request.retransmission);
  t.ack += 6 * 1448;
  t.ack_only();
  EXPECT_LE(t.view().cwnd, t.view().ssthresh);
  EXPECT_EQ(t.counters().fast_retransmits, 1u);
}

TEST(TcpLoss, RoundTripsAreMeasured) {
  rig r;
  r.faults.delay = 5_ms;
  r.connect();
  for (int i = 0; i < 20; ++i) {
    r.a.post(r.a.newest, 3000);
    r.time.run_for(50_ms);
  }
  EXPECT_NEAR(static_cast<double>(r.a.view().srtt), 10e9, 0.5e9);
  EXPECT_EQ(r.a.view().rto, 200_ms);
  EXPECT_EQ(r.a.view().retransmitted_segments, 0u);
}

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
