// What received segments do: opening, text, closing (RFC 9293 3.10.7).
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// ---------------------------------------------------------------- handshake

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

// ---------------------------------------------------------------- text

TEST(TcpText, OutOfOrderDataIsAnsweredAtOnceAndTheFilledHoleToo) {
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

TEST(TcpText, ASegmentThatOverlapsIsTrimmed) {
  solo t;
  t.establish();
  t.data(1000);
  t.seq = t.seq - 600;
  t.data(1000);
  EXPECT_TRUE(rig::received(t.e, t.id(), 1400));
}

TEST(TcpText, ReassemblyHoldsNoMoreThanItsLimit) {
  tcp_config c;
  c.reassembly_bytes = 4000;
  solo t(c);
  t.establish();
  t.seq += 1000;
  for (int i = 0; i < 6; ++i) t.data(1000);
  EXPECT_EQ(t.view().reassembly_bytes, 4000u);
}

// ---------------------------------------------------------------- closing

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

// ---------------------------------------------------------------- TIME_WAIT

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

}  // namespace
}  // namespace understudy::tb
