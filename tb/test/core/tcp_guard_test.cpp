// Which segments an engine believes, and how it answers the others: RFC 5961, RFC 9293 3.10.7.4, RFC 7323 5.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

TEST(TcpGuard, OnlyAnExactRstResets) {
  solo t;
  t.establish();
  segment s = t.make(tcp_rst);
  s.seq = t.seq + 10;
  t.give(s);
  EXPECT_EQ(t.counters().challenge_acks, 1u);
  EXPECT_EQ(t.fresh().size(), 1u);
  s.seq = t.seq - 10;
  t.give(s);
  s.seq = t.seq + 1'000'000;
  t.give(s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  t.give(t.make(tcp_rst));
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_RESET);
}

TEST(TcpGuard, AnRstThatAnswersOurLastAckResets) {
  solo t;
  t.establish();
  t.e.auto_commit = false;
  t.data(1000);  // accepted, not acknowledged: the peer's stack went away and answers our last ACK
  segment s = t.make(tcp_rst);
  s.seq = t.view().last_ack_sent;
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
}

TEST(TcpGuard, ASynInAConnectionIsChallenged) {
  solo t;
  t.establish();
  t.give(t.make(tcp_syn));
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_ack);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

TEST(TcpGuard, ChallengesAreLimitedPerSecond) {
  solo t;
  t.establish();
  for (int i = 0; i < 50; ++i) t.give(t.make(tcp_syn));
  EXPECT_EQ(t.fresh().size(), 10u);
  t.time.run_for(1_s);
  t.give(t.make(tcp_syn));
  EXPECT_EQ(t.fresh().size(), 1u);
}

TEST(TcpGuard, AcksOfUnsentDataAndAncientAcksAreChallenged) {
  solo t;
  t.establish();
  segment s = t.make(tcp_ack, 10);
  s.ack = t.ack + 1;
  t.give(s);
  EXPECT_EQ(t.counters().challenge_acks, 1u);
  s.ack = t.ack - 10'000'000;
  t.give(s);
  EXPECT_EQ(t.counters().challenge_acks, 2u);
  EXPECT_TRUE(t.host().rx.empty());
}

TEST(TcpGuard, SegmentsWithOldTimestampsAreDroppedAndAnswered) {
  solo t;
  t.establish();
  t.ts = 5000;
  t.data(100);
  t.time.run_for(100_ms);
  t.fresh();
  t.ts = 4999;
  t.data(100);
  EXPECT_EQ(t.counters().paws_drops, 1u);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_EQ(t.host().rx.size(), 100u);
  t.seq = t.seq - 100;
  t.ts = 5001;
  t.data(100);
  EXPECT_EQ(t.host().rx.size(), 200u);
  segment bare = t.make(tcp_ack, 100);
  bare.options.has_ts = false;
  t.give(bare);
  EXPECT_EQ(t.counters().paws_drops, 2u);
  EXPECT_EQ(t.host().rx.size(), 200u);
}

// RFC 7323 5.5: what is older than 24 days says nothing. Days of silence before a segment with a timestamp
// that looks old.
TEST(TcpGuard, ATimestampIsForgottenAfterTwentyFourDaysOfSilence) {
  for (const std::uint32_t days : {1u, 23u, 25u, 48u}) {
    solo t;
    t.establish();
    t.ts = 5000;
    t.data(100);
    t.time.run_for(days * 24ull * 3600 * 1_s);
    t.ts = 4999;
    t.data(100);
    const bool believed = days > 24;
    EXPECT_EQ(t.counters().paws_drops, believed ? 0u : 1u) << days;
    EXPECT_EQ(t.host().rx.size(), believed ? 200u : 100u) << days;
    if (!believed) continue;
    t.time.run_for(100_ms);
    EXPECT_EQ(t.fresh().back().s.options.tsecr, 4999u) << "it is the newest now";
    t.ts = 4998;
    t.data(100);
    EXPECT_EQ(t.counters().paws_drops, 1u) << "and the rule holds again";
  }
}

TEST(TcpGuard, TheTimestampOfTheOldestUnacknowledgedSegmentIsEchoed) {
  solo t;
  t.establish();
  t.ts = 200;
  t.data(100);
  t.ts = 300;
  t.data(100);
  t.time.run_for(100_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.options.tsecr, 200u);
}

TEST(TcpGuard, AKeepaliveIsAnswered) {
  solo t;
  t.establish();
  segment s = t.make(tcp_ack);
  s.seq = t.seq - 1;
  t.give(s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(r[0].s.seq, t.ack);
}

TEST(TcpGuard, AnRstCountsByItsSequenceNumberAlone) {
  for (const std::int64_t offset : {-70'000, -1, 0, 1, 1000, 65'407, 65'408, 65'536, 1'000'000}) {
    SCOPED_TRACE(offset);
    solo t;
    t.establish();
    const std::uint32_t window = t.view().hard.rcv_adv.minus(t.seq);
    segment s = t.make(tcp_rst);
    s.seq = t.seq + static_cast<std::uint32_t>(offset);
    t.give(s);
    const bool inside = offset > 0 && offset < window;
    EXPECT_EQ(t.state(), offset == 0 ? US_TCP_CLOSED : US_TCP_ESTABLISHED);
    EXPECT_EQ(t.counters().challenge_acks, inside ? 1u : 0u);
    EXPECT_EQ(t.fresh().size(), inside ? 1u : 0u) << "an RST beside the window is not answered";
  }
}

TEST(TcpGuard, ASynIsChallengedWhateverItsNumberAndOptions) {
  for (const std::uint32_t offset : {0u, 5000u, 0x80000000u, 0xffff0000u}) {
    solo t;
    t.establish();
    segment s = t.make(tcp_syn);
    s.seq += offset;
    s.options = {};
    t.give(s);
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u) << offset;
    EXPECT_EQ(r[0].s.flags, tcp_ack);
    EXPECT_EQ(r[0].s.ack, t.seq);
    EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  }
}

TEST(TcpGuard, ANewSynInTheWindowOfAHalfOpenConnectionReturnsItToListen) {
  solo t;
  t.syn();
  t.fresh();
  segment s = t.make(tcp_syn);
  s.seq = t.seq;
  s.options = t.syn_options;
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  t.give(s);
  EXPECT_EQ(t.state(), US_TCP_SYN_RCVD) << "the listener goes on";
}

TEST(TcpGuard, TheAckRangeEndsAtTheWidestWindowBelowAndAtTheLastByteSentAbove) {
  struct row {
    std::int64_t offset;  // from snd_una
    bool believed;
  };
  for (const row& k : {row{-65'536, false}, {-65'535, true}, {0, true}, {3000, true}, {3001, false}}) {
    SCOPED_TRACE(k.offset);
    solo t;
    t.establish();
    t.e.post(t.id(), 3000);
    t.time.run_for(t.step);
    t.fresh();
    segment s = t.make(tcp_ack, 10);
    s.ack = t.ack + static_cast<std::uint32_t>(k.offset);
    t.give(s);
    EXPECT_EQ(t.counters().challenge_acks, k.believed ? 0u : 1u);
    EXPECT_EQ(t.host().rx.size(), k.believed ? 10u : 0u) << "text comes only with an ACK that can be true";
  }
}

TEST(TcpGuard, TheAckOfTextThatIsAlreadyHereIsHeard) {
  solo t;
  t.establish();
  t.e.post(t.id(), 1000);
  t.data(500);
  segment s = t.make(tcp_ack, 500);
  s.seq = t.seq - 500;
  s.ack = t.ack + 1000;
  t.give(s);
  EXPECT_EQ(t.view().hard.snd_una, t.ack + 1000);
  EXPECT_EQ(t.host().rx.size(), 500u);
}

TEST(TcpGuard, TheAckOfTextBeyondTheWindowIsHeardAndTheTextIsNot) {
  solo t;
  t.establish();
  t.e.post(t.id(), 1000);
  t.time.run_for(t.step);
  segment s = t.make(tcp_ack, 500);
  s.seq = t.view().hard.rcv_adv + 100;
  s.ack = t.ack + 1000;
  t.give(s);
  EXPECT_EQ(t.view().hard.snd_una, t.ack + 1000);
  EXPECT_TRUE(t.host().rx.empty());
}

TEST(TcpGuard, AnAckFarFromTheWindowIsNotHeard) {
  solo t;
  t.establish();
  t.e.post(t.id(), 1000);
  t.time.run_for(t.step);
  segment s = t.make(tcp_ack);
  s.seq = t.seq + (1u << 30);
  s.ack = t.ack + 1000;
  t.give(s);
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
}

TEST(TcpGuard, ChallengesOfOneConnectionDoNotSpendThoseOfAnother) {
  rig r;
  r.connect();
  const cid first = r.b.newest;
  four_tuple second = rig::tuple();
  second.local_port = 40001;
  r.a.open(second, 77);
  ASSERT_TRUE(r.time.run_while([&] { return r.b.newest == first || !r.b.only().established; }, 1_s));
  const auto flood = [&](cid c, int n) {
    const tcp_view v = r.b.engine->view(c);
    segment s;
    s.tuple = v.hard.tuple;
    s.seq = v.hard.rcv_nxt;
    s.flags = tcp_syn;
    const std::uint64_t before = r.b.engine->counters().challenge_acks;
    for (int i = 0; i < n; ++i) r.b.take(s);
    return r.b.engine->counters().challenge_acks - before;
  };
  EXPECT_EQ(flood(first, 100), 10u);
  EXPECT_EQ(flood(r.b.newest, 100), 10u);
}

TEST(TcpGuard, EmptySegmentsWithOldTimestampsAreAnsweredSoManyTimesASecond) {
  solo t;
  t.establish();
  t.ts = 5000;
  t.data(100);
  t.time.run_for(100_ms);
  t.fresh();
  t.ts = 4000;
  for (int i = 0; i < 50; ++i) t.ack_only();
  EXPECT_EQ(t.counters().paws_drops, 50u);
  EXPECT_EQ(t.fresh().size(), 10u);
}

// Both ends have lost count of the other's stream: whatever either sends is out of the other's window.
TEST(TcpGuard, TwoEndsThatDisagreeDoNotAnswerEachOtherForEver) {
  rig r;
  r.connect();
  for (rig_end* e : {&r.a, &r.b}) {
    tcp_hard_state h = e->view().hard;
    e->make_engine();
    h.rcv_nxt += 1u << 20;
    h.rcv_adv = h.rcv_nxt + 1000;
    e->only().committed = h.rcv_nxt;
    e->only().edge = h.rcv_adv;
    ASSERT_EQ(e->engine->restore(r.time.now, e->newest, h), US_OK);
  }
  r.a.kick();
  r.time.run_for(20_s);
  const std::uint64_t sent = r.a.engine->counters().segments_out + r.b.engine->counters().segments_out;
  EXPECT_GT(sent, 2u);
  EXPECT_LE(sent, 2u * 21 * 10 + 40) << "ten a second from each, and the kicks";
}

TEST(TcpGuard, TwoEndsThatProbeEachOthersClosedWindowsHearOfTheirOpening) {
  tcp_config c;
  c.window_scaling = false;
  rig r(1, c, c);
  r.a.auto_grant = r.b.auto_grant = false;
  r.connect();
  for (rig_end* e : {&r.a, &r.b}) {
    e->grant(e->newest, e->view().hard.rcv_nxt + 1000);
    r.time.run_for(1_ms);
  }
  for (rig_end* e : {&r.a, &r.b}) e->post(e->newest, 5000);
  r.time.run_for(10_s);
  EXPECT_EQ(r.a.only().rx.size(), 1000u);
  EXPECT_EQ(r.b.only().rx.size(), 1000u);
  const std::uint64_t before = r.a.engine->counters().segments_out + r.b.engine->counters().segments_out;
  r.time.run_for(60_s);
  EXPECT_LE(r.a.engine->counters().segments_out + r.b.engine->counters().segments_out - before, 40u);
  for (rig_end* e : {&r.a, &r.b}) e->grant(e->newest, e->view().hard.rcv_nxt + 4000);
  r.time.run_for(10_ms);
  EXPECT_TRUE(rig::received(r.a, r.a.newest, 5000));
  EXPECT_TRUE(rig::received(r.b, r.b.newest, 5000));
}

TEST(TcpGuard, AnAckBehindAProbeOfAClosedWindowLiesWhereThePeerHearsIt) {
  solo t;
  t.establish();
  t.window = 0;
  t.ack_only();
  t.e.post(t.id(), 1000);
  t.time.run_for(600_ms);  // one probe is out
  t.fresh();
  t.data(2000);
  t.time.run_for(100_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.ack, t.seq);
  EXPECT_EQ(r[0].s.seq, t.ack) << "the peer's window ends here";
}

}  // namespace
}  // namespace understudy::tb
