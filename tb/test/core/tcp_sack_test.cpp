// Selective acknowledgment in both directions: RFC 2018, RFC 6675.
#include <algorithm>

#include "model/core/reassembly.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// A peer that permits SACK.
struct sack_solo : solo {
  explicit sack_solo(const tcp_config& c = {}, bool timestamps = true) : solo(c) {
    syn_options.sack_permitted = true;
    syn_options.has_ts = timestamps;
    establish();
  }
  // The peer sends payload [at, at + length) of its stream.
  void piece(std::uint32_t at, std::uint32_t length) {
    segment s = make(tcp_ack, length);
    s.seq = first_byte + at;
    give(s, at);
  }
  // The peer acknowledges `ack` and reports blocks, as offsets from `una0`.
  void sack(seq32 una0, std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> blocks) {
    segment s = make(tcp_ack);
    for (const auto& [l, r] : blocks) s.options.sack[s.options.sack_count++] = {una0 + l, una0 + r};
    give(s);
  }
  // Segments of the engine's stream that have left.
  seq32 post(std::uint32_t segments) {
    const seq32 una0 = ack;
    e.post(id(), segments * mss);
    time.run_for(step);
    fresh();
    return una0;
  }
  // Which segments left since the last call, as numbers from `una0`.
  std::vector<std::uint32_t> numbers(seq32 una0) {
    std::vector<std::uint32_t> r;
    for (const sent_segment& s : fresh())
      if (s.s.payload_length) r.push_back(s.s.seq.minus(una0) / mss);
    return r;
  }
};

using numbers = std::vector<std::uint32_t>;

// ------------------------------------------------------------------------------------------------
// negotiation

TEST(TcpSack, IsPermittedIfBothSay) {
  for (const bool peer : {false, true}) {
    for (const bool ours : {false, true}) {
      tcp_config c;
      c.sack = ours;
      solo t(c);
      t.syn_options.sack_permitted = peer;
      t.syn();
      EXPECT_EQ(t.fresh()[0].s.options.sack_permitted, peer && ours);
      EXPECT_EQ((t.view().hard.conn & US_CONN_SACK) != 0, peer && ours);
    }
  }
}

TEST(TcpSack, IsOfferedByAnActiveOpenAndAgreedByTwoEngines) {
  rig r;
  r.connect();
  EXPECT_TRUE(r.a.view().hard.conn & US_CONN_SACK);
  EXPECT_TRUE(r.b.view().hard.conn & US_CONN_SACK);
}

TEST(TcpSack, IsHardStateThatASubstituteGoesOnWith) {
  sack_solo t;
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.ack_only();
  t.fresh();
  t.piece(1000, 100);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.options.sack_count, 1u);
}

TEST(TcpSack, BlocksOfAPeerThatDidNotAgreeSayNothing) {
  solo t;
  t.establish();
  t.e.post(t.id(), 10 * mss);
  t.time.run_for(t.step);
  segment s = t.make(tcp_ack);
  s.options.sack_count = 1;
  s.options.sack[0] = {t.ack + mss, t.ack + 9 * mss};
  t.give(s);
  EXPECT_EQ(t.view().sacked_bytes, 0u);
}

// ------------------------------------------------------------------------------------------------ receiver

TEST(TcpSack, TheNewestIslandComesFirstThenThoseTouchedBefore) {
  sack_solo t;
  for (const std::uint32_t at : {1000u, 3000u, 5000u, 7000u}) t.piece(at, 100);
  const segment s = t.fresh().back().s;
  EXPECT_EQ(s.ack, t.first_byte);
  ASSERT_EQ(s.options.sack_count, 3u) << "beside timestamps there is room for three";
  for (std::uint32_t n = 0; n < 3; ++n) {
    EXPECT_EQ(s.options.sack[n].left, t.first_byte + (7000 - 2000 * n));
    EXPECT_EQ(s.options.sack[n].right, t.first_byte + (7100 - 2000 * n));
  }
  t.piece(1100, 50);  // the oldest island grows
  const segment grown = t.fresh().back().s;
  EXPECT_EQ(grown.options.sack[0].left, t.first_byte + 1000);
  EXPECT_EQ(grown.options.sack[0].right, t.first_byte + 1150) << "the whole island, not the segment alone";
  EXPECT_EQ(grown.options.sack[1].left, t.first_byte + 7000);
}

TEST(TcpSack, WithoutTimestampsFourBlocksFit) {
  sack_solo t({}, false);
  for (const std::uint32_t at : {1000u, 3000u, 5000u, 7000u, 9000u}) t.piece(at, 100);
  EXPECT_EQ(t.fresh().back().s.options.sack_count, 4u);
}

TEST(TcpSack, AFilledHoleEndsItsIsland) {
  sack_solo t;
  t.piece(1000, 100);
  t.piece(3000, 100);
  t.fresh();
  t.piece(0, 1000);
  const segment s = t.fresh().back().s;
  EXPECT_EQ(s.ack, t.first_byte + 1100);
  ASSERT_EQ(s.options.sack_count, 1u);
  EXPECT_EQ(s.options.sack[0].left, t.first_byte + 3000);
  t.piece(1100, 1900);
  EXPECT_EQ(t.fresh().back().s.options.sack_count, 0u);
  EXPECT_EQ(t.host().rx.size(), 3100u);
}

TEST(TcpSack, NothingIsReportedAboveBytesThatWaitForTheirCommit) {
  sack_solo t;
  t.e.auto_commit = false;
  t.piece(0, 1000);
  t.piece(3000, 100);
  EXPECT_TRUE(t.fresh().empty()) << "a duplicate would blame bytes that are here";
  t.e.commit(t.id(), t.first_byte + 1000);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_FALSE(r.empty());
  EXPECT_EQ(r.back().s.ack, t.first_byte + 1000);
  EXPECT_EQ(r.back().s.options.sack_count, 1u);
}

TEST(TcpSack, WhatWasNotKeptIsNotReported) {
  tcp_config c;
  c.reassembly_bytes = 4096;
  sack_solo t(c);
  t.piece(2000, 4000);
  t.piece(9000, 1000);
  const segment s = t.fresh().back().s;
  ASSERT_EQ(s.options.sack_count, 1u);
  EXPECT_EQ(s.options.sack[0].left, t.first_byte + 2000);
}

TEST(TcpSack, BlocksRideOnDataAsFarAsTheyFit) {
  sack_solo t;
  t.piece(1000, 100);
  t.piece(3000, 100);
  t.fresh();
  t.e.post(t.id(), 2 * mss - 12);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[0].s.options.sack_count, 0u) << "a full segment has no room";
  EXPECT_EQ(r[1].s.options.sack_count, 1u);
  for (const auto& s : r) EXPECT_LE(header_bytes(s.s) + s.s.payload_length, 1514u);
}

TEST(TcpSack, ASubstituteReportsOnlyWhatItHoldsItself) {
  sack_solo t;
  t.piece(1000, 1000);
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.ack_only();
  t.fresh();
  t.piece(5000, 100);
  const segment s = t.fresh().back().s;
  ASSERT_EQ(s.options.sack_count, 1u);
  EXPECT_EQ(s.options.sack[0].left, t.first_byte + 5000) << "the other island died with its adapter";
}

// ------------------------------------------------------------------------------------------------ sender

TEST(TcpSack, EveryHoleIsSentAgainInOneRoundTrip) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{mss, 2 * mss}});
  t.sack(u, {{mss, 2 * mss}, {3 * mss, 4 * mss}});
  EXPECT_TRUE(t.numbers(u).empty());
  t.sack(u, {{mss, 2 * mss}, {3 * mss, 4 * mss}, {5 * mss, 10 * mss}});
  EXPECT_EQ(t.numbers(u), (numbers{0, 2, 4}));
  EXPECT_TRUE(t.view().in_recovery);
  EXPECT_EQ(t.counters().sack_recoveries, 1u);
  EXPECT_EQ(t.view().ssthresh, 5u * mss);
  t.ack = u + 10 * mss;
  t.ack_only();
  EXPECT_FALSE(t.view().in_recovery);
  EXPECT_EQ(t.view().cwnd, 5u * mss);
  EXPECT_EQ(t.view().sacked_bytes, 0u);
  EXPECT_EQ(t.counters().timeouts, 0u);
}

TEST(TcpSack, OneAckThatReportsEnoughStartsRecovery) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{mss, 3 * mss}});
  EXPECT_TRUE(t.numbers(u).empty()) << "two segments may be reordering";
  t.sack(u, {{mss, 4 * mss}});
  EXPECT_EQ(t.numbers(u), numbers{0});
}

TEST(TcpSack, ARepeatedReportIsNoDuplicate) {
  sack_solo t;
  const seq32 u = t.post(10);
  for (int n = 0; n < 10; ++n) t.sack(u, {{mss, 2 * mss}});
  EXPECT_TRUE(t.numbers(u).empty());
}

TEST(TcpSack, RecoverySendsNoMoreThanTheWindowTakes) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{9 * mss, 10 * mss}});
  t.sack(u, {{6 * mss, 7 * mss}, {9 * mss, 10 * mss}});
  t.sack(u, {{3 * mss, 4 * mss}, {6 * mss, 7 * mss}, {9 * mss, 10 * mss}});
  // Lost: 0, 1, 2. In flight: 4, 5, 7, 8, and what is sent again; the window is five segments.
  EXPECT_EQ(t.numbers(u), numbers{0});
  t.sack(u, {{3 * mss, 5 * mss}, {6 * mss, 7 * mss}, {9 * mss, 10 * mss}});
  EXPECT_EQ(t.numbers(u), numbers{1});
  t.ack = u + mss;
  t.sack(u, {{3 * mss, 5 * mss}, {6 * mss, 7 * mss}, {9 * mss, 10 * mss}});
  EXPECT_EQ(t.numbers(u), numbers{2});
}

TEST(TcpSack, NewDataGoesOutWhenNoHoleIsLeft) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.e.post(t.id(), 5 * mss);
  t.sack(u, {{mss, 9 * mss}});
  EXPECT_EQ(t.numbers(u), (numbers{0, 10, 11, 12})) << "segment 9 may still come";
}

TEST(TcpSack, TheLastSegmentIsRescuedOnce) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{mss, 5 * mss}, {6 * mss, 9 * mss}});
  EXPECT_EQ(t.numbers(u), (numbers{0, 5}));
  t.ack = u + 5 * mss;
  t.sack(u, {{6 * mss, 9 * mss}});
  EXPECT_EQ(t.numbers(u), numbers{9}) << "nothing above it could report its loss";
  t.sack(u, {{6 * mss, 9 * mss}});
  EXPECT_TRUE(t.numbers(u).empty());
}

TEST(TcpSack, AFinInAHoleIsSentAgain) {
  sack_solo t;
  const seq32 u = t.post(4);
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.fresh();
  t.sack(u, {{mss, 4 * mss}});
  t.ack = u + 4 * mss;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 2u);
  EXPECT_TRUE(r[1].s.flags & tcp_fin);
  EXPECT_EQ(r[1].s.seq, u + 4 * mss);
}

TEST(TcpSack, ATimeoutForgetsTheReports) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{8 * mss, 10 * mss}});
  EXPECT_EQ(t.view().sacked_bytes, 2 * mss);
  t.time.run_for(300_ms);
  EXPECT_EQ(t.numbers(u), numbers{0});
  EXPECT_EQ(t.view().sacked_bytes, 0u);
  for (std::uint32_t n = 1; n < 10; ++n) {
    t.ack = u + n * mss;
    t.ack_only();
  }
  numbers again = t.numbers(u);
  EXPECT_EQ(again.back(), 9u) << "everything is sent again: the peer may have dropped it";
}

TEST(TcpSack, APeerThatDroppedWhatItReportedGetsItWithinTensOfMilliseconds) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.sack(u, {{mss, 10 * mss}});
  EXPECT_EQ(t.numbers(u), numbers{0});
  t.ack = u + mss;  // a receiver that held the rest would acknowledge all of it
  t.ack_only();
  t.time.run_for(30_ms);
  EXPECT_EQ(t.numbers(u), numbers{1});
}

TEST(TcpSack, ASubstituteDoesNotSendWhatThePeerReports) {
  sack_solo t;
  const seq32 u = t.post(10);
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.fresh();
  t.sack(u, {{2 * mss, 5 * mss}, {6 * mss, 10 * mss}});
  EXPECT_EQ(t.numbers(u), (numbers{0, 1, 5}));
  t.ack = u + 10 * mss;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, u + 10 * mss);
  EXPECT_EQ(t.counters().timeouts, 0u);
  EXPECT_EQ(t.counters().fast_retransmits, 0u)
      << "reports of what another adapter sent are no evidence of loss";
}

// A window with many losses costs a round trip or two, not a time-out.
TEST(TcpSack, ManyLossesInAWindowNeedNoTimeout) {
  for (const bool sack : {false, true}) {
    tcp_config c;
    c.sack = sack;
    c.initial_window_segments = 64;
    rig r(1, c, c);
    r.faults.delay = 1_ms;
    r.connect();
    std::uint32_t n = 0;
    r.drop = [&](rig_end& to, const segment& s) {
      return &to == &r.b && s.payload_length == mss && ++n <= 60 && n % 4 == 1;
    };
    r.a.post(r.a.newest, 80 * mss);
    const picos begin = r.time.now;
    ASSERT_TRUE(r.time.run_while([&] { return r.b.only().rx.size() < 80 * mss; }, begin + 60_s));
    EXPECT_EQ(r.lost, 15u);
    if (sack) {
      EXPECT_LT(r.time.now - begin, 15_ms);
      EXPECT_EQ(r.a.engine->counters().timeouts, 0u);
    } else {
      EXPECT_GT(r.time.now - begin, 30_ms) << "one hole a round trip";
    }
  }
}

// ------------------------------------------------------------------------------------------------ hostile

TEST(TcpSack, BlocksThatCannotBeTrueSayNothing) {
  sack_solo t;
  const seq32 u = t.post(10);
  const std::pair<std::uint32_t, std::uint32_t> nonsense[] = {
      {2 * mss, mss},              // right before left
      {mss, mss},                  // empty
      {0, 5 * mss},                // begins at snd_una: it would be acknowledged
      {0u - 5000, 0u - 1000},      // a duplicate report (RFC 2883)
      {0u - 5000, 5 * mss},        // across snd_una
      {5 * mss, 10 * mss + 1},     // beyond what was sent
      {5 * mss, 0x80000000u},      // half the space
      {mss, mss + 0xffffffffu},    // all of it
      {0x90000000u, 0x90001000u},  // far away
  };
  for (const auto& b : nonsense) t.sack(u, {b});
  EXPECT_EQ(t.view().sacked_bytes, 0u);
  EXPECT_EQ(t.counters().sack_recoveries, 0u);
  EXPECT_LE(t.numbers(u).size(), 1u) << "they are plain duplicate ACKs";
}

TEST(TcpSack, AFloodOfReportsCostsBoundedWorkAndMemory) {
  constexpr std::uint64_t seed = 5;
  std::printf("[ seed %llu ]\n", static_cast<unsigned long long>(seed));
  rng draws(seed, "flood");
  tcp_config c;
  c.initial_window_segments = 64;
  sack_solo t(c);
  const seq32 u = t.post(44);
  for (int n = 0; n < 20'000; ++n) {
    segment s = t.make(tcp_ack);
    s.options.sack_count = 4;
    for (auto& b : s.options.sack) {
      const auto at = static_cast<std::uint32_t>(draws.below(44 * mss));
      b = {u + at, u + at + 1};
    }
    t.e.take(s);
  }
  EXPECT_LE(t.counters().most_steps, 1000u);
  EXPECT_GT(t.counters().most_steps, 0u);
  EXPECT_LE(t.view().sacked_bytes, 44 * mss);
  t.time.run_for(t.step);
  t.fresh();
  t.ack = u + 44 * mss;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack) << "the connection goes on";
}

TEST(TcpSack, AFloodOfIslandsCostsBoundedWorkAndMemory) {
  sack_solo t;
  for (std::uint32_t n = 0; n < 20'000; ++n) {
    const std::uint32_t at = 3 + n * 7919u % 60'000;
    segment s = t.make(tcp_ack, 1);
    s.seq = t.first_byte + at;
    t.e.take(s, at);
  }
  EXPECT_LE(t.counters().most_steps, 1000u);
  EXPECT_LE(t.view().reassembly_bytes, t.e.config.reassembly_bytes / reassembly_pool::least_charge);
  t.time.run_for(t.step);
  t.fresh();
  for (std::uint32_t at = 0; at < 60'000; at += 1000) t.piece(at, 1000);
  EXPECT_TRUE(rig::received(t.e, t.id(), 60'000)) << "and the stream is exact";
}

TEST(TcpSack, ATinyMssCountsAsTheLeast) {
  for (const std::uint16_t mss_option : {1, 48, 64, 215}) {
    solo t;
    t.syn_options.mss = mss_option;
    t.establish();
    EXPECT_EQ(t.view().hard.mss, 216u);
    t.e.post(t.id(), 408);
    t.time.run_for(t.step);
    EXPECT_EQ(t.fresh().size(), 2u);
  }
}

}  // namespace
}  // namespace understudy::tb
