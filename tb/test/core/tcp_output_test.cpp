// What leaves and when: acknowledgments, windows, data.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// ---------------------------------------------------------------- acknowledging

TEST(TcpAck, OneSmallSegmentIsAcknowledgedAfterTheDelay) {
  solo t;
  t.establish();
  const picos start = t.time.now;
  t.data(100);
  t.time.run_for(39_ms);
  EXPECT_TRUE(t.fresh().empty());
  t.time.run_for(2_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_NEAR(static_cast<double>(r[0].at - start), 40e9, 0.3e9);
}

TEST(TcpAck, EverySecondFullSegmentIsAcknowledgedAtOnce) {
  solo t;
  t.establish();
  t.data(1448);
  t.fresh();
  t.data(1448);
  EXPECT_EQ(t.fresh().size(), 1u);
  t.data(1448);
  EXPECT_EQ(t.fresh().size(), 0u);
  t.data(1448);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
}

TEST(TcpAck, NothingIsAcknowledgedBeforeItsCommit) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  for (int i = 0; i < 8; ++i) t.data(1448);
  t.time.run_for(1_s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.view().hard.rcv_nxt, t.seq);
  t.e.commit(t.id(), t.seq - 2 * 1448);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq - 2 * 1448);
  EXPECT_EQ(t.e.violations, 0u);
}

TEST(TcpAck, SentDataCarriesOnlyWhatIsCommitted) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  t.data(1448);
  EXPECT_EQ(t.e.post(t.id(), 100), US_OK);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq - 1448);
}

TEST(TcpAck, UnprotectedConnectionsDoNotWait) {
  solo t;
  t.e.engine->unlisten(ip_b, port_b);
  t.e.engine->listen(ip_b, port_b, 0, 16, 0);
  t.e.commit_delay = 1_s;
  t.syn();
  EXPECT_EQ(t.fresh().size(), 1u);
  t.ack = t.view().hard.iss + 1;
  t.ack_only();
  t.e.grant(t.id(), t.seq + 10000);
  t.time.run_for(t.step);
  t.fresh();
  t.data(1448);
  t.data(1448);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
}

TEST(TcpAck, ADuplicateOfCommittedDataIsAnsweredAtOnce) {
  solo t;
  t.establish();
  t.data(1000);
  t.fresh();
  t.seq = t.seq - 1000;
  t.data(1000);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(t.counters().duplicate_bytes, 1000u);
}

TEST(TcpAck, ADuplicateOfUncommittedDataIsAnsweredByTheCommit) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  t.data(1000);
  t.seq = t.seq - 1000;
  t.data(1000);
  EXPECT_TRUE(t.fresh().empty());
  t.e.commit(t.id(), t.seq);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
}

// ---------------------------------------------------------------- receive window

TEST(TcpWindow, BeforeAGrantTheWindowIsClosedAndDataRefused) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  EXPECT_EQ(t.e.sent.back().s.window, 0);
  t.data(1);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.window, 0);
  EXPECT_EQ(r[0].s.ack, t.seq - 1);
  EXPECT_TRUE(t.host().rx.empty());
}

TEST(TcpWindow, AGrantThatOpensTheWindowIsAnnounced) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  t.e.grant(t.id(), t.seq + 10 * 1024);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.window, 10 * 1024 / 128);
  EXPECT_EQ(t.view().hard.rcv_adv, t.seq + 10 * 1024);
}

TEST(TcpWindow, SmallMovesOfTheEdgeAreNotAnnounced) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  t.e.grant(t.id(), t.seq + 20'480);
  t.time.run_for(t.step);
  t.fresh();
  t.e.grant(t.id(), t.seq + 20'480 + 1000);
  t.time.run_for(1_s);
  EXPECT_TRUE(t.fresh().empty());
  t.e.grant(t.id(), t.seq + 20'480 + 3000);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 1u);
}

TEST(TcpWindow, TheEdgeIsRoundedDownToTheScaleAndNeverPassesTheGrant) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  t.e.grant(t.id(), t.seq + 4095);
  t.time.run_for(t.step);
  EXPECT_EQ(t.view().hard.rcv_adv, t.seq + 31 * 128);
  t.data(4000);  // beyond the edge: cut
  EXPECT_EQ(t.view().hard.rcv_nxt, t.first_byte + 31 * 128);
  EXPECT_EQ(t.e.violations, 0u);
}

TEST(TcpWindow, AFinOnTheEdgeIsAccepted) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  t.e.grant(t.id(), t.seq + 1280);
  t.time.run_for(t.step);
  t.data(1280, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_CLOSE_WAIT);
  EXPECT_TRUE(t.host().eof);
}

// ---------------------------------------------------------------- sending

TEST(TcpSend, SegmentsFillTheMssAndTheLastIsPushed) {
  solo t;
  t.establish();
  t.e.post(t.id(), 3000);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 3u);
  EXPECT_EQ(r[0].s.payload_length, 1448u);
  EXPECT_EQ(r[0].s.flags, tcp_ack);
  EXPECT_EQ(r[2].s.payload_length, 104u);
  EXPECT_EQ(r[2].s.flags, tcp_ack | tcp_psh);
}

TEST(TcpSend, NagleHoldsTheTailBackWhileDataIsInFlight) {
  tcp_config c;
  c.nagle = true;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 100);
  t.e.post(t.id(), 100);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 1u);
  t.ack += 100;
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 1u);
}

TEST(TcpSend, ANarrowWindowIsNotFilledWithSmallSegments) {
  solo t;
  t.establish();
  t.e.post(t.id(), 10'000);
  t.time.run_for(t.step);
  t.fresh();
  t.window = 500;  // far below half of the largest window offered
  t.ack += 10'000;
  t.ack_only();
  t.e.post(t.id(), 5000);
  t.time.run_for(t.step);
  EXPECT_TRUE(t.fresh().empty());
  t.time.run_for(600_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u) << "the override timer sends what fits";
  EXPECT_EQ(r[0].s.payload_length, 500u);
}

TEST(TcpSend, ASegmentAcknowledgedMeanwhileIsNoLongerBuilt) {
  solo t;
  t.establish();
  t.e.fetch_delay = 10_ms;
  t.e.post(t.id(), 100);
  segment out;
  EXPECT_TRUE(
      t.e.engine->build_segment(t.time.now, {.connection = t.id(), .seq = t.ack, .length = 100}, out));
  t.ack += 100;
  t.ack_only();
  EXPECT_FALSE(
      t.e.engine->build_segment(t.time.now, {.connection = t.id(), .seq = t.ack - 100, .length = 100}, out));
  EXPECT_FALSE(
      t.e.engine->build_segment(t.time.now, {.connection = cid{9}, .seq = t.ack, .length = 100}, out));
}

TEST(TcpSend, TheFinRidesOnTheLastSegment) {
  solo t;
  t.establish();
  t.window = 0;
  t.ack_only();
  t.e.post(t.id(), 500);
  t.e.close(t.id());
  t.window = 60000;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_fin | tcp_psh | tcp_ack);
  EXPECT_EQ(r[0].s.payload_length, 500u);
}

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

}  // namespace
}  // namespace understudy::tb
