#include "model/core/tcp_engine.h"

#include <string>

#include "model/core/tcp_connection.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// ---------------------------------------------------------------- listeners

// A flood of SYNs does not shut a listener for as long as SYN-ACKs are repeated.
TEST(TcpListen, AnOldHalfOpenConnectionGivesWayToANewSyn) {
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

TEST(TcpListen, TheBacklogCountsHalfOpenConnections) {
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

TEST(TcpListen, AFullTableDropsSyns) {
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

// ---------------------------------------------------------------- the host's commands

TEST(TcpCommand, PostsAreChecked) {
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

TEST(TcpCommand, AbortSendsAnRst) {
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

// ---------------------------------------------------------------- restoring

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

// ---------------------------------------------------------------- negative controls

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

// ---------------------------------------------------------------- the field table

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
