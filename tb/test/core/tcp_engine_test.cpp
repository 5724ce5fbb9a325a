#include "model/core/tcp_engine.h"

#include <string>

#include "model/core/tcp_connection.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// ------------------------------------------------------------------------------------------------ handshake

TEST(TcpHandshake, PassiveOpenAgreesOptionsAndWaitsForTheCommit) {
  solo t;
  t.e.auto_commit = false;
  t.syn_options.wscale = 3;
  t.syn();
  EXPECT_EQ(t.state(), US_TCP_SYN_RCVD);
  EXPECT_TRUE(t.fresh().empty()) << "SYN-ACK before the embryo is committed";
  t.time.run_for(10_s);
  EXPECT_TRUE(t.fresh().empty());
  t.e.commit(t.id(), t.seq);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.options.mss, 1460);
  EXPECT_EQ(r[0].s.options.wscale, 7);
  EXPECT_TRUE(r[0].s.options.has_ts);
  EXPECT_EQ(r[0].s.options.tsecr, 100u);
  const tcp_hard_state h = t.view().hard;
  EXPECT_EQ(h.peer_wscale, 3);
  EXPECT_EQ(h.our_wscale, 7);
  EXPECT_EQ(h.conn, US_CONN_PROTECTED | US_CONN_TS | US_CONN_WS | US_CONN_PASSIVE);
}

TEST(TcpHandshake, OptionsThatThePeerDoesNotOfferAreOff) {
  solo t;
  t.syn_options = {};
  t.syn();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.options.wscale, -1);
  EXPECT_FALSE(r[0].s.options.has_ts);
  EXPECT_EQ(t.view().hard.mss, 536);
  EXPECT_EQ(t.view().hard.our_wscale, 0);
}

TEST(TcpHandshake, ARepeatedSynGetsTheSameSynAck) {
  solo t;
  t.syn();
  auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  const segment first = r[0].s;
  segment again = t.make(tcp_syn);
  again.seq = t.seq - 1;
  again.options = t.syn_options;
  t.give(again);
  r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(r[0].s.seq, first.seq);
  EXPECT_EQ(t.e.engine->connections(), 1u);
}

TEST(TcpHandshake, SynAckIsRepeatedWithBackoffAndGivenUp) {
  tcp_config c;
  c.syn_retries = 3;
  solo t(c);
  t.syn();
  t.time.run_for(60_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 4u);
  for (std::size_t i = 1; i < r.size(); ++i)
    EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at), static_cast<double>(1_s << (i - 1)), 1e9);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

// A flood of SYNs does not shut a listener for as long as SYN-ACKs are repeated.
TEST(TcpHandshake, ASynIsRepeatedWithBackoffAndGivenUp) {
  solo t;
  t.e.open({ip_b, ip_a, 81, port_a}, 700);
  t.time.run_for(300_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 8u);
  const double wanted_s[] = {1, 2, 4, 8, 16, 32, 64};
  for (std::size_t i = 0; i < r.size(); ++i) {
    EXPECT_EQ(r[i].s.flags, tcp_syn);
    EXPECT_EQ(r[i].s.seq, seq32{700});
    EXPECT_EQ(r[i].s.options.mss, 1460u);
    EXPECT_EQ(r[i].request.retransmission, i > 0);
    if (i > 0) {
      EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at) / 1e12, wanted_s[i - 1], 0.001);
    }
  }
  EXPECT_EQ(t.host().last_change, tcp_env::change::aborted);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_EQ(t.counters().timeouts, 7u);
}

TEST(TcpHandshake, AnOldHalfOpenConnectionGivesWayToANewSyn) {
  solo t;
  ASSERT_TRUE(t.e.engine->unlisten(ip_b, port_b));
  ASSERT_TRUE(t.e.engine->listen(ip_b, port_b, 0, 2, US_CONN_PROTECTED));
  const auto syn_from = [&t](std::uint16_t p) {
    segment s = t.make(tcp_syn);
    s.tuple.remote_port = p;
    t.give(s);
  };
  for (std::uint16_t p = 1; p <= 40; ++p) {
    syn_from(p);
    EXPECT_LE(t.e.engine->connections(), 2u);
    t.time.run_for(150_ms);  // the two there are have waited for 300 ms
  }
  EXPECT_EQ(t.e.engine->connections(), 2u);
  EXPECT_EQ(t.counters().refused_syns, 0u);
  syn_from(41);
  syn_from(42);  // the oldest is 150 ms old: it may still be on its way
  EXPECT_EQ(t.counters().refused_syns, 1u);
}

TEST(TcpHandshake, TheBacklogCountsHalfOpenConnections) {
  solo t;
  ASSERT_TRUE(t.e.engine->unlisten(ip_b, port_b));
  ASSERT_FALSE(t.e.engine->unlisten(ip_b, port_b));
  ASSERT_TRUE(t.e.engine->listen(ip_b, port_b, 0, 2, US_CONN_PROTECTED));
  ASSERT_FALSE(t.e.engine->listen(ip_b, port_b, 0, 2, US_CONN_PROTECTED));
  for (std::uint16_t p = 1; p <= 3; ++p) {
    segment s = t.make(tcp_syn);
    s.tuple.remote_port = p;
    t.give(s);
  }
  EXPECT_EQ(t.e.engine->connections(), 2u);
  EXPECT_EQ(t.counters().refused_syns, 1u);
  EXPECT_TRUE(t.e.raw_sent.empty()) << "a full backlog drops, it does not refuse";
  // One of the two completes: there is room again.
  segment a = t.make(tcp_ack);
  a.tuple.remote_port = 1;
  a.seq = t.seq + 1;
  a.ack = t.fresh()[0].s.seq + 1;
  t.give(a);
  segment s = t.make(tcp_syn);
  s.tuple.remote_port = 3;
  t.give(s);
  EXPECT_EQ(t.e.engine->connections(), 3u);
}

TEST(TcpHandshake, ActiveOpenAcknowledgesAfterTheCommit) {
  solo t;
  t.e.auto_commit = false;
  const cid c = t.e.open({ip_b, ip_a, port_b, port_a}, 700);
  t.time.run_for(t.step);
  auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_syn);
  EXPECT_EQ(r[0].s.seq, seq32{700});
  EXPECT_EQ(r[0].s.options.wscale, 7);
  EXPECT_EQ(t.e.post(c, 10), US_OK);
  t.ack = seq32{701};
  segment s = t.make(tcp_syn | tcp_ack);
  s.options = t.syn_options;
  t.seq += 1;
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_TRUE(t.fresh().empty()) << "nothing may acknowledge the SYN before the commit";
  t.e.commit(c, t.seq);
  t.time.run_for(t.step);
  r = t.fresh();
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[0].s.flags, tcp_ack);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(r[1].s.payload_length, 10u);
  EXPECT_GT(r[1].s.window, 0);
}

TEST(TcpHandshake, AnRstThatAcknowledgesTheSynRefuses) {
  solo t;
  t.e.open({ip_b, ip_a, port_b, port_a}, 700);
  t.time.run_for(t.step);
  segment s = t.make(tcp_rst | tcp_ack);
  s.ack = seq32{700};
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_SYN_SENT) << "does not acknowledge the SYN: ignored";
  s.ack = seq32{701};
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_REFUSED);
}

TEST(TcpHandshake, AWrongAckInSynSentIsAnsweredByRst) {
  solo t;
  t.e.open({ip_b, ip_a, port_b, port_a}, 700);
  t.time.run_for(t.step);
  t.ack = seq32{900};
  t.give(t.make(tcp_syn | tcp_ack));
  ASSERT_EQ(t.e.raw_sent.size(), 1u);
  EXPECT_EQ(t.e.raw_sent[0].seq, seq32{900});
  EXPECT_EQ(t.e.raw_sent[0].flags, tcp_rst);
  EXPECT_EQ(t.state(), US_TCP_SYN_SENT);
}

TEST(TcpHandshake, BothEndsMayOpenAtOnce) {
  rig r;
  r.a.open(rig::tuple(), 100);
  r.b.open({ip_b, ip_a, port_b, port_a}, 300);
  ASSERT_TRUE(r.time.run_while([&] { return !r.a.only().established || !r.b.only().established; }, 10_s));
  r.a.post(r.a.newest, 5000);
  r.b.post(r.b.newest, 7000);
  r.time.run_for(1_s);
  EXPECT_TRUE(rig::received(r.b, r.b.newest, 5000));
  EXPECT_TRUE(rig::received(r.a, r.a.newest, 7000));
  EXPECT_EQ(r.a.violations + r.b.violations, 0u);
  EXPECT_TRUE(r.a.raw_sent.empty() && r.b.raw_sent.empty());
}

TEST(TcpHandshake, SegmentsWithoutConnectionAreReset) {
  solo t;
  segment s = t.make(tcp_syn);
  s.tuple.local_port = 81;
  t.give(s);  // RFC 9293 3.10.7.1: no ACK in it
  ASSERT_EQ(t.e.raw_sent.size(), 1u);
  EXPECT_EQ(t.e.raw_sent[0].flags, tcp_rst | tcp_ack);
  EXPECT_EQ(t.e.raw_sent[0].seq, seq32{0});
  EXPECT_EQ(t.e.raw_sent[0].ack, t.seq + 1);
  EXPECT_EQ(t.counters().refused_syns, 1u);
  t.ack = seq32{77};
  t.give(t.make(tcp_ack, 10));  // to the listener
  ASSERT_EQ(t.e.raw_sent.size(), 2u);
  EXPECT_EQ(t.e.raw_sent[1].flags, tcp_rst);
  EXPECT_EQ(t.e.raw_sent[1].seq, seq32{77});
  t.give(t.make(tcp_rst));
  s.flags = tcp_rst | tcp_ack;
  t.give(s);
  EXPECT_EQ(t.e.raw_sent.size(), 2u) << "an RST is never answered";
}

TEST(TcpHandshake, IssOfSuccessiveConnectionsDiffersAndGrowsWithTime) {
  solo t;
  t.syn();
  const seq32 first = t.view().hard.iss;
  ASSERT_EQ(t.e.engine->abort(t.time.now, t.id()), US_OK);
  t.time.run_for(1_s);
  t.syn();
  const std::uint32_t moved = t.view().hard.iss.minus(first);
  EXPECT_GE(moved, 250'000u);
  EXPECT_LT(moved, 260'000u);
}

TEST(TcpHandshake, AFullTableDropsSyns) {
  tcp_config c;
  c.max_connections = 1;
  solo t(c);
  t.syn();
  segment s = t.make(tcp_syn);
  s.tuple.remote_port = 9;
  t.give(s);
  EXPECT_EQ(t.e.engine->connections(), 1u);
  EXPECT_EQ(t.counters().refused_syns, 1u);
}

// ------------------------------------------------------------------------------------------------
// acknowledging

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

TEST(TcpAck, OutOfOrderDataIsAnsweredAtOnceAndTheFilledHoleToo) {
  solo t;
  t.establish();
  const seq32 hole = t.seq;
  t.seq += 1000;
  t.data(1000);
  auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, hole);
  EXPECT_EQ(t.view().reassembly_bytes, 1000u);
  t.seq = hole;
  t.data(1000);
  r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, hole + 2000);
  EXPECT_TRUE(rig::received(t.e, t.id(), 2000));
  EXPECT_EQ(t.counters().out_of_order, 1u);
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

TEST(TcpAck, ASegmentThatOverlapsIsTrimmed) {
  solo t;
  t.establish();
  t.data(1000);
  t.seq = t.seq - 600;
  t.data(1000);
  EXPECT_TRUE(rig::received(t.e, t.id(), 1400));
}

TEST(TcpAck, ReassemblyHoldsNoMoreThanItsLimit) {
  tcp_config c;
  c.reassembly_bytes = 4000;
  solo t(c);
  t.establish();
  t.seq += 1000;
  for (int i = 0; i < 6; ++i) t.data(1000);
  EXPECT_EQ(t.view().reassembly_bytes, 4000u);
}

// ------------------------------------------------------------------------------------------------ receive
// window

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

// ------------------------------------------------------------------------------------------------ sending

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

TEST(TcpSend, TheInitialWindowIsTenSegments) {
  solo t;
  t.establish();
  t.e.post(t.id(), 60'000);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 10u);
  t.ack += 2 * 1448;
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 4u) << "slow start: two acknowledged, two more";
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

TEST(TcpSend, PostsAreChecked) {
  solo t;
  t.establish();
  const tcp_view v = t.view();
  EXPECT_EQ(t.e.engine->post_send(t.time.now, t.id(), v.hard.snd_una), US_ERR_BAD_SEQUENCE);
  EXPECT_EQ(t.e.engine->post_send(t.time.now, cid{5}, v.hard.snd_una + 1), US_ERR_BAD_CID);
  EXPECT_EQ(t.e.engine->post_fin(t.time.now, t.id(), v.hard.snd_una + 5), US_ERR_BAD_SEQUENCE);
  EXPECT_EQ(t.e.close(t.id()), US_OK);
  EXPECT_EQ(t.e.post(t.id(), 10), US_ERR_BAD_STATE);
  EXPECT_EQ(t.e.engine->post_fin(t.time.now, t.id(), v.hard.snd_una + 1), US_ERR_BAD_STATE);
  EXPECT_EQ(t.e.engine->abort(t.time.now, cid{5}), US_ERR_BAD_CID);
  EXPECT_EQ(t.e.engine->grant(t.time.now, cid{5}, seq32{1}), US_ERR_BAD_CID);
}

TEST(TcpSend, AbortSendsAnRst) {
  solo t;
  t.establish();
  ASSERT_EQ(t.e.engine->abort(t.time.now, t.id()), US_OK);
  t.time.run_for(t.step);
  ASSERT_EQ(t.e.raw_sent.size(), 1u);
  EXPECT_EQ(t.e.raw_sent[0].flags, tcp_rst | tcp_ack);
  EXPECT_EQ(t.e.raw_sent[0].seq, t.ack);
  EXPECT_EQ(t.host().status, US_ERR_ABORTED);
  EXPECT_FALSE(t.e.engine->known(t.id()));
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

// ------------------------------------------------------------------------------------------------ persist

TEST(TcpPersist, AClosedWindowIsProbedWithBackoffForever) {
  tcp_config c;
  c.data_retries = 3;
  solo t(c);
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  for (int i = 0; i < 12; ++i) {
    const picos before = t.time.now;
    ASSERT_TRUE(t.time.run_while([&] { return t.e.sent.size() == t.seen; }, before + 200_s));
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u);
    EXPECT_EQ(r[0].s.seq, t.ack);
    EXPECT_EQ(r[0].s.payload_length, 1u);
    if (i < 7) {
      EXPECT_NEAR(static_cast<double>(t.time.now - before), static_cast<double>(500_ms << i), 1e9);
    }
    t.ack_only();  // answered: the window stays closed
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  t.window = 60000;
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 4u);
}

TEST(TcpPersist, UnansweredProbesEndTheConnection) {
  tcp_config c;
  c.data_retries = 3;
  solo t(c);
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  t.time.run_for(100_s);
  EXPECT_EQ(t.fresh().size(), 3u);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(TcpPersist, AnAcceptedProbeByteMovesOn) {
  solo t;
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  t.time.run_for(600_ms);
  ASSERT_EQ(t.fresh().size(), 1u);
  t.ack += 1;
  t.window = 60000;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_GE(r.size(), 4u);
  EXPECT_EQ(r[0].s.seq, t.ack);
}

TEST(TcpPersist, AFinIsProbedToo) {
  solo t;
  t.window = 0;
  t.establish();
  ASSERT_EQ(t.e.close(t.id()), US_OK);
  t.time.run_for(600_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_fin | tcp_ack);
  EXPECT_EQ(r[0].s.seq, t.ack);
}

// ------------------------------------------------------------------------------------------------ loss

TEST(TcpLoss, TheTimeoutBacksOffAndGivesUp) {
  tcp_config c;
  c.data_retries = 4;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 100);
  t.time.run_for(600_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 5u);
  const double first = static_cast<double>(r[1].at - r[0].at);
  EXPECT_NEAR(first, 200e9, 2e9) << "the handshake's round trip is below the minimum";
  for (std::size_t i = 2; i < r.size(); ++i)
    EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at), first * static_cast<double>(1 << (i - 1)), 2e9);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
  EXPECT_EQ(t.counters().timeouts, 4u);
}

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

// ------------------------------------------------------------------------------------------------ closing

TEST(TcpClose, AnRstAfterBothFinsIsAnOrderlyEndOnlyIfEveryByteWasAcknowledged) {
  for (const bool acknowledged : {true, false}) {
    solo t;
    t.establish();
    t.data(0, tcp_ack | tcp_fin);
    EXPECT_EQ(t.e.post(t.id(), 500), US_OK);
    EXPECT_EQ(t.e.close(t.id()), US_OK);
    t.time.run_for(t.step);
    EXPECT_EQ(t.state(), US_TCP_LAST_ACK);
    if (acknowledged) {
      t.ack += 500;
      t.ack_only();
    }
    t.give(t.make(tcp_rst));
    EXPECT_EQ(t.state(), US_TCP_CLOSED);
    EXPECT_EQ(t.host().last_change, acknowledged ? tcp_env::change::closed : tcp_env::change::aborted);
    EXPECT_EQ(t.host().status, acknowledged ? US_OK : US_ERR_RESET);
  }
}

TEST(TcpClose, ThePeersFinIsAcknowledgedAfterItsCommitAndTheOtherHalfGoesOn) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  t.data(100, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_CLOSE_WAIT);
  EXPECT_TRUE(t.fresh().empty());
  t.e.commit(t.id(), t.seq);
  t.time.run_for(t.step);
  auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(t.e.post(t.id(), 500), US_OK);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_EQ(t.e.close(t.id()), US_OK);
  t.time.run_for(t.step);
  EXPECT_EQ(t.state(), US_TCP_LAST_ACK);
  r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_fin | tcp_ack);
  t.ack += 501;
  t.ack_only();
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().last_change, tcp_env::change::closed);
}

TEST(TcpClose, TheFinRidesOnTheLastSegment) {
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

TEST(TcpClose, FinWait1ToFinWait2ToTimeWait) {
  solo t;
  t.establish();
  t.e.close(t.id());
  t.time.run_for(t.step);
  EXPECT_EQ(t.state(), US_TCP_FIN_WAIT_1);
  t.ack += 1;
  t.ack_only();
  EXPECT_EQ(t.state(), US_TCP_FIN_WAIT_2);
  t.data(300);
  EXPECT_EQ(t.host().rx.size(), 300u) << "the other half is still open";
  t.fresh();
  t.data(0, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_EQ(t.host().last_change, tcp_env::change::time_wait);
}

TEST(TcpClose, BothEndsMayCloseAtOnce) {
  solo t;
  t.establish();
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.data(0, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_CLOSING);
  t.ack += 1;
  t.ack_only();
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
}

TEST(TcpClose, AFinThatAcknowledgesOursGoesStraightToTimeWait) {
  solo t;
  t.establish();
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.ack += 1;
  t.data(0, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
}

TEST(TcpClose, AFinPostedBeforeThePeersIsCommittedIsASimultaneousClose) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  t.data(0, tcp_ack | tcp_fin);
  t.e.close(t.id());
  EXPECT_EQ(t.state(), US_TCP_CLOSING);
  t.time.run_for(t.step);
  t.ack += 1;
  t.ack_only();
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT) << "the connection lives on to acknowledge the peer's FIN";
  t.e.commit(t.id(), t.seq);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().back().s.ack, t.seq);
}

TEST(TcpClose, AFinBeforeItsDataWaits) {
  solo t;
  t.establish();
  const seq32 hole = t.seq;
  t.seq += 100;
  t.data(0, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  t.seq = hole;
  t.data(100);
  EXPECT_EQ(t.state(), US_TCP_CLOSE_WAIT);
  EXPECT_TRUE(t.host().eof);
  EXPECT_TRUE(rig::received(t.e, t.id(), 100));
}

struct time_wait : solo {
  time_wait() {
    establish();
    e.close(id());
    time.run_for(step);
    ack += 1;
    data(0, tcp_ack | tcp_fin);
    fresh();
  }
};

TEST(TcpTimeWait, LastsTwoMsl) {
  time_wait t;
  t.time.run_for(119_s);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_OK);
}

TEST(TcpTimeWait, ARepeatedFinIsAnsweredAndRestartsIt) {
  time_wait t;
  t.time.run_for(100_s);
  t.seq = t.seq - 1;
  t.data(0, tcp_ack | tcp_fin);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  t.time.run_for(119_s);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
}

TEST(TcpTimeWait, AFreshSynOpensTheTupleAgain) {
  time_wait t;
  const cid old = t.id();
  t.ts = 101;
  t.syn_options.tsval = 101;
  t.seq = t.seq - 1'000'000;  // the timestamp alone is proof
  t.syn();
  EXPECT_EQ(t.state(), US_TCP_SYN_RCVD);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_NE(t.id(), old);
  EXPECT_TRUE(t.e.conn(old).ended);
}

TEST(TcpTimeWait, AnOldSynDoesNot) {
  time_wait t;
  segment s = t.make(tcp_syn);
  s.options = t.syn_options;
  s.options.tsval = 100;
  s.seq = t.seq - 1000;
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  EXPECT_EQ(t.fresh().size(), 1u) << "challenged";
}

TEST(TcpTimeWait, MayBeSkippedAtTheEndOfARun) {
  time_wait t;
  t.e.engine->expire_time_wait(t.time.now);
  t.time.run_for(t.step);
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_TRUE(t.host().ended);
}

// ------------------------------------------------------------------------------------------------ restoring

struct restored : solo {
  // Established, the peer has 1000 bytes more than the host's `una` tells; 4000 bytes are posted.
  restored() : restored(tcp_config{}) {}
  explicit restored(const tcp_config& c) : solo(c) {
    establish();
    data(500);
    e.commit_delay = 1_s;  // acknowledgements stay unknown to the host
    e.post(id(), 4000);
    time.run_for(step);
    e.commit_delay = 5_us;
    fresh();
    e.fail_over();
    time.run_for(1_s);
  }
};

TEST(TcpRestore, NothingIsSentBeforeTheKick) {
  restored t;
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.e.engine->connections(), 1u);
}

TEST(TcpRestore, TheKickIsAnAckBelowTheWindowWithoutEcho) {
  restored t;
  t.e.kick();
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.seq, t.ack - 1);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(r[0].s.flags, tcp_ack);
  EXPECT_EQ(r[0].s.payload_length, 0u);
  EXPECT_EQ(r[0].s.options.tsecr, 0u);
  EXPECT_TRUE(r[0].s.options.has_ts);
  EXPECT_GT(r[0].s.window, 0);
}

TEST(TcpRestore, UnansweredKicksCarryTheNextByteSoonAndBackOff) {
  restored t;
  t.e.kick();
  t.time.run_for(4_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 5u);
  const auto wait = [&r](std::size_t i) { return static_cast<double>(r[i + 1].at - r[i].at); };
  EXPECT_NEAR(wait(0), 20e9, 1e9);
  EXPECT_NEAR(wait(1), 500e9, 1e9);
  EXPECT_NEAR(wait(2), 1000e9, 1e9);
  for (std::size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(r[i].s.seq, t.ack);
    EXPECT_EQ(r[i].s.payload_length, 1u);
  }
}

TEST(TcpRestore, AKickWithoutDataStaysEmpty) {
  solo t;
  t.establish();
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(2_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 4u);
  for (const auto& s : r) EXPECT_EQ(s.s.seq, t.ack - 1);
}

TEST(TcpRestore, TheAnswerMovesUnaAndOpensTheWindow) {
  restored t;
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  t.ack += 1000;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 4u);
  EXPECT_EQ(r[0].s.seq, t.ack) << "an ACK with the right number and our window";
  EXPECT_EQ(r[0].s.payload_length, 0u);
  EXPECT_EQ(r[1].s.seq, t.ack);
  EXPECT_EQ(r[1].s.payload_length + r[2].s.payload_length + r[3].s.payload_length, 3000u);
  const tcp_view v = t.view();
  EXPECT_EQ(v.cwnd, 10u * 1448);
  EXPECT_EQ(v.rto, 1_s);
  EXPECT_EQ(v.srtt, 0u);
  EXPECT_EQ(t.e.violations, 0u);
}

TEST(TcpRestore, AnAckInFlightUpToThePostedEndIsAccepted) {
  restored t;
  t.e.kick();
  t.ack += 4000;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
  EXPECT_EQ(t.view().snd_nxt, t.ack);
  EXPECT_EQ(t.counters().challenge_acks, 0u);
}

TEST(TcpRestore, DataFromThePeerAnswersTheKickToo) {
  restored t;
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  t.data(1448);
  EXPECT_EQ(t.host().rx.size(), 1948u);
  EXPECT_EQ(t.view().snd_nxt, t.ack + 4000);
}

// A kick may wait for its neighbour. The peer does not read the ACK number that it carries.
TEST(TcpRestore, AKickThatLeavesBehindItsAnswerTakesNoAckWithIt) {
  restored t;
  t.e.kick();
  t.time.run_for(t.step);
  t.data(1448);
  t.fresh();
  t.data(100);
  EXPECT_TRUE(t.fresh().empty()) << "its ACK waits for company";
  segment late;
  EXPECT_FALSE(t.e.engine->build_segment(
      t.time.now, {.connection = t.id(), .seq = t.view().hard.snd_una - 1, .kick = true}, late));
  t.time.run_for(t.e.config.delayed_ack);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
}

TEST(TcpRestore, AnAnswerBehindLostDataIsAcceptedUpToTheAdvertisedEdge) {
  restored t;
  t.e.kick();
  t.seq = t.view().hard.rcv_adv;  // the peer had filled the window; all of it died with the adapter
  t.ack_only();
  EXPECT_EQ(t.view().snd_nxt, t.ack + 4000);
}

TEST(TcpRestore, AnAnswerBehindLostDataBringsDuplicateAcksThatStartAFastRetransmission) {
  solo t;
  t.establish();
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  const seq32 lost = t.seq;
  t.seq += 1448;  // died with the adapter
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 4u);
  for (const auto& s : r) {
    EXPECT_EQ(s.s.ack, lost);
    EXPECT_EQ(s.s.payload_length, 0u);
    EXPECT_EQ(s.s.window, r[0].s.window) << "else it is a window update";
  }
}

TEST(TcpRestore, AnAnswerWithNothingLostBringsNoDuplicateAck) {
  solo t;
  t.establish();
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 1u);
}

TEST(TcpRestore, TwoEndsThatWereBothRestoredWithStaleNumbersFindEachOther) {
  rig r;
  r.connect();
  for (rig_end* e : {&r.a, &r.b}) e->post(e->newest, 20'000);
  r.time.run_for(100_ms);
  for (rig_end* e : {&r.a, &r.b}) {
    e->only().una = e->only().una - 10'000;  // no record told of these
    e->fail_over();
  }
  r.a.kick();
  r.b.kick();
  EXPECT_EQ(r.a.post(r.a.newest, 3000), US_OK);
  EXPECT_EQ(r.b.post(r.b.newest, 3000), US_OK);
  r.time.run_for(50_ms);
  EXPECT_TRUE(rig::received(r.a, r.a.newest, 23'000));
  EXPECT_TRUE(rig::received(r.b, r.b.newest, 23'000));
}

TEST(TcpRestore, TimestampsGoOn) {
  restored t;
  const std::uint32_t before = t.e.sent.back().s.options.tsval;
  t.e.kick();
  t.time.run_for(t.step);
  EXPECT_GE(t.fresh()[0].s.options.tsval - before, 1000u);
  EXPECT_EQ(t.e.violations, 0u);
}

TEST(TcpRestore, AnIndexOrTupleInUseIsRefused) {
  restored t;
  tcp_hard_state h = t.view().hard;
  EXPECT_EQ(t.e.engine->restore(t.time.now, cid{77, 1}, h), US_ERR_IN_USE);
  h.tuple.remote_port = 9;
  EXPECT_EQ(t.e.engine->restore(t.time.now, t.id(), h), US_ERR_IN_USE);
  EXPECT_EQ(t.e.engine->restore(t.time.now, cid{77, 1}, h), US_OK);
  EXPECT_TRUE(t.e.engine->known(cid{77, 1}));
  EXPECT_FALSE(t.e.engine->known(cid{77, 0}));
  h.state = US_TCP_LISTEN;
  h.tuple.remote_port = 10;
  EXPECT_EQ(t.e.engine->restore(t.time.now, cid{78, 1}, h), US_ERR_BAD_STATE);
  EXPECT_EQ(t.e.engine->restore(t.time.now, cid{1 << 19, 1}, t.view().hard), US_ERR_BAD_CID);
}

TEST(TcpRestore, AHalfOpenConnectionRepeatsItsSynAckAndCompletes) {
  solo t;
  t.syn();
  const segment first = t.fresh()[0].s;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(r[0].s.seq, first.seq);
  EXPECT_EQ(r[0].s.ack, first.ack);
  t.ack = first.seq + 1;
  t.data(100);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_EQ(t.host().rx.size(), 100u);
}

TEST(TcpRestore, ASynSentConnectionRepeatsItsSynAndCompletes) {
  solo t;
  t.e.open({ip_b, ip_a, port_b, port_a}, 700);
  t.host().hard.state = US_TCP_SYN_SENT;
  t.time.run_for(t.step);
  const segment first = t.fresh()[0].s;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_syn);
  EXPECT_EQ(r[0].s.seq, first.seq);
  EXPECT_EQ(r[0].s.options.wscale, first.options.wscale);
  t.ack = seq32{701};
  segment s = t.make(tcp_syn | tcp_ack);
  s.options = t.syn_options;
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

TEST(TcpRestore, TimeWaitOnlyRestartsItsTimer) {
  time_wait t;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(119_s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
}

TEST(TcpRestore, AnUnacknowledgedFinIsSentAgain) {
  solo t;
  t.establish();
  t.e.post(t.id(), 100);
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.fresh();
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  t.ack += 100;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[1].s.flags, tcp_fin | tcp_ack);
  EXPECT_EQ(r[1].s.seq, t.ack);
  t.ack += 1;
  t.ack_only();
  EXPECT_EQ(t.state(), US_TCP_FIN_WAIT_2);
}

TEST(TcpRestore, AnRstToTheKickOfAClosingConnectionClosesIt) {
  solo t;
  t.establish();
  t.data(0, tcp_ack | tcp_fin);
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.give(t.make(tcp_rst));
  EXPECT_EQ(t.host().last_change, tcp_env::change::closed);
}

// ------------------------------------------------------------------------------------------------ negative
// controls

template <typename Mutate>
std::string complaint(Mutate mutate, bool fail_over) {
  tcp_config c;
  mutate(c.mutants);
  solo t(c);
  t.e.commit_delay = 20_us;
  t.establish();
  for (int i = 0; i < 4; ++i) t.data(1448);
  if (fail_over) {
    t.e.fail_over();
    t.e.kick();
    t.time.run_for(t.step);
  }
  for (int i = 0; i < 12; ++i) t.data(1448);
  return t.e.what.empty() ? "" : t.e.what.front();
}

TEST(TcpMutant, TheMonitorsAreSilentWithoutMutants) {
  EXPECT_EQ(complaint([](tcp_mutants&) {}, true), "");
}
TEST(TcpMutant, AckBeforeCommitIsSeen) {
  EXPECT_EQ(complaint([](tcp_mutants& m) { m.ack_before_commit = true; }, false), "ACK before commit");
}
TEST(TcpMutant, AShrinkingWindowIsSeen) {
  EXPECT_EQ(complaint([](tcp_mutants& m) { m.shrink_window = true; }, false), "edge moved back");
}
TEST(TcpMutant, ATimestampThatGoesBackIsSeen) {
  EXPECT_EQ(complaint([](tcp_mutants& m) { m.tsval_regress = true; }, true), "TSval moved back");
}
TEST(TcpMutant, AReusedIssIsSeen) {
  tcp_config c;
  c.mutants.reuse_isn = true;
  solo t(c);
  t.syn();
  const seq32 first = t.view().hard.iss;
  t.e.engine->abort(t.time.now, t.id());
  t.time.run_for(1_s);
  t.syn();
  EXPECT_EQ(t.view().hard.iss, first);
}
TEST(TcpMutant, AResetSndMaxCallsAnAckInFlightUnsent) {
  tcp_config c;
  c.mutants.snd_max_reset = true;
  restored t(c);
  t.e.kick();
  const seq32 una = t.ack;
  t.ack += 4000;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, una);
  EXPECT_GE(t.counters().challenge_acks, 1u);
}

// ------------------------------------------------------------------------------------------------ the field
// table

TEST(TcpFields, EveryFieldIsClassified) {
  const auto one_of = [](const std::string& v, std::initializer_list<const char*> set) {
    for (const char* s : set)
      if (v == s) return true;
    return false;
  };
  std::size_t bytes = 0, hard = 0;
  for (const connection_field& f : connection_fields()) {
    EXPECT_TRUE(one_of(f.hardness, {"hard", "soft"})) << f.name;
    EXPECT_TRUE(one_of(f.holder, {"constant", "cached", "delegated"})) << f.name;
    EXPECT_TRUE(one_of(f.safe, {"exact", "low", "high", "any"})) << f.name;
    EXPECT_GT(std::string(f.sentence).size(), 10u) << f.name;
    EXPECT_FALSE(std::string(f.source).empty()) << f.name;
    EXPECT_FALSE(std::string(f.way).empty()) << f.name;
    bytes += f.bytes;
    hard += std::string(f.hardness) == "hard";
  }
  EXPECT_LE(bytes, sizeof(tcp_connection));
  EXPECT_GE(hard, 15u);
  EXPECT_LT(sizeof(tcp_connection), 400u);
}

}  // namespace
}  // namespace understudy::tb
