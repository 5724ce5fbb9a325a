// Frames and segments that an attacker or a broken host sends: what is written is judged frame by frame, from
// the parser to the engine, and the connection goes on.
#include <cstdio>

#include "model/core/checksum.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// A connection that hears whole frames.
struct target : solo {
  explicit target(const tcp_config& c = {}) : solo(c) { establish(); }
  frame_ref frame(segment s) const {
    std::swap(s.tuple.local, s.tuple.remote);
    std::swap(s.tuple.local_port, s.tuple.remote_port);
    frame_ref f = frame_ref::make(s.payload_length, 128);
    for (std::uint32_t i = 0; i < s.payload_length; ++i)
      f.data()[i] = stream_byte(0, s.seq.minus(first_byte) + i);
    prepend_headers(f, s, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 1);
    return f;
  }
  static void correct(frame_ref& f) {
    std::uint8_t* ip = f.data() + 14;
    const auto put = [](std::uint8_t* at, std::uint16_t sum) {
      at[0] = static_cast<std::uint8_t>(sum >> 8);
      at[1] = static_cast<std::uint8_t>(sum);
    };
    put(ip + 10, 0);
    put(ip + 10, checksum_finish(checksum_add({ip, 20})));
    put(ip + 36, 0);
    const std::uint32_t n = f.size() - 34;
    put(ip + 36, checksum_finish(checksum_add({ip + 20, n}, checksum_add({ip + 12, 8}, 6 + n))));
  }
  // True: it was a segment for the engine.
  bool hear(const frame_ref& f) {
    const parsed_frame p = parse_frame(f);
    if (p.kind != frame_class::tcp) return false;
    e.engine->on_segment(time.now, p.tcp, f, 0);
    e.wake();
    time.run_for(step);
    return true;
  }
  // The stream goes on exactly where it was.
  void goes_on() {
    const std::size_t before = host().rx.size();
    data(500);
    EXPECT_EQ(state(), US_TCP_ESTABLISHED);
    EXPECT_TRUE(rig::received(e, id(), before + 500));
    EXPECT_EQ(e.violations, 0u);
  }
};

// ------------------------------------------------------------------------------------------------ malformed

TEST(Hostile, ADataOffsetBelowFiveOrBeyondTheSegmentIsDropped) {
  target t;
  for (std::uint8_t words = 0; words < 16; ++words) {
    frame_ref f = t.frame(t.make(tcp_ack, 4));
    const std::uint8_t real = f.data()[46] >> 4;
    if (words >= 5 && words <= real + 1) continue;
    f.data()[46] = static_cast<std::uint8_t>(words << 4);
    target::correct(f);
    EXPECT_FALSE(t.hear(f)) << +words;
  }
  t.goes_on();
}

TEST(Hostile, ATotalLengthBelowTheHeadersOrBeyondTheFrameIsDropped) {
  target t;
  const frame_ref whole = t.frame(t.make(tcp_ack, 4));
  for (std::uint32_t total = 0; total < whole.size() + 200; ++total) {
    if (total == whole.size() - 14) continue;
    frame_ref f = t.frame(t.make(tcp_ack, 4));
    f.data()[16] = static_cast<std::uint8_t>(total >> 8);
    f.data()[17] = static_cast<std::uint8_t>(total);
    std::uint8_t* ip = f.data() + 14;
    ip[10] = ip[11] = 0;
    const std::uint16_t sum = checksum_finish(checksum_add({ip, 20}));
    ip[10] = static_cast<std::uint8_t>(sum >> 8);
    ip[11] = static_cast<std::uint8_t>(sum);
    const parsed_frame p = parse_frame(f);
    if (total < 52 || total > whole.size() - 14) {
      EXPECT_NE(p.kind, frame_class::tcp) << total;
    }
  }
  t.goes_on();
}

TEST(Hostile, FragmentsAreNeverPutTogetherSoNoneOverlap) {
  target t;
  for (const std::uint16_t fragment : {0x2000, 0x2001, 0x0001, 0x1fff, 0x3fff}) {
    frame_ref f = t.frame(t.make(tcp_ack, 100));
    f.data()[20] = static_cast<std::uint8_t>(fragment >> 8);
    f.data()[21] = static_cast<std::uint8_t>(fragment);
    target::correct(f);
    EXPECT_EQ(parse_frame(f).kind, frame_class::other);
    EXPECT_EQ(cause_of_drop(f), drop_cause::fragment);
    EXPECT_FALSE(t.hear(f));
  }
  EXPECT_TRUE(t.host().rx.empty());
  t.goes_on();
}

TEST(Hostile, OptionsOfLengthZeroOneAndBeyondTheHeaderAreDropped) {
  target t;
  for (const std::uint8_t kind : {2, 3, 4, 5, 8, 29, 254}) {
    for (const std::uint8_t length : {0, 1, 13, 40, 255}) {
      frame_ref f = t.frame(t.make(tcp_ack, 10));  // its options: NOP NOP TS
      f.data()[54] = kind;
      f.data()[55] = length;
      target::correct(f);
      EXPECT_FALSE(t.hear(f)) << +kind << ' ' << +length;
    }
  }
  t.goes_on();
}

TEST(Hostile, UrgentPointersAreHarmless) {
  target t;
  for (const std::uint32_t pointer : {0u, 1u, 50u, 100u, 101u, 0x7fffu, 0x8000u, 0xffffu}) {
    segment s = t.make(tcp_ack | tcp_urg, 100);
    s.urgent = static_cast<std::uint16_t>(pointer);
    t.seq += 100;
    EXPECT_TRUE(t.hear(t.frame(s)));
  }
  EXPECT_TRUE(rig::received(t.e, t.id(), 800));
  segment s = t.make(tcp_ack | tcp_urg);  // no payload at all
  s.urgent = 0xffff;
  t.hear(t.frame(s));
  t.goes_on();
}

TEST(Hostile, AnUrgentPointerAcrossTheWrapIsHarmless) {
  solo t;
  t.seq = seq32{0xffffffc0u};
  t.establish();
  segment s = t.make(tcp_ack | tcp_urg, 200);
  s.urgent = 150;
  t.seq += 200;
  t.give(s);
  EXPECT_TRUE(rig::received(t.e, t.id(), 200));
}

TEST(Hostile, EveryCombinationOfFlagsIsSurvived) {
  for (int flags = 0; flags < 256; ++flags) {
    for (const std::uint32_t offset : {0u, 1u, 100'000u, 0xffffff00u}) {
      target t;
      segment s = t.make(static_cast<std::uint8_t>(flags), 20);
      s.seq += offset;
      t.give(s);
      EXPECT_EQ(t.e.violations, 0u) << flags;
      EXPECT_LE(t.fresh().size(), 3u);
    }
  }
}

// ------------------------------------------------------------------------------------------------ blind

TEST(Hostile, BlindResetsSynsAndDataDoNothing) {
  constexpr std::uint64_t seed = 3;
  std::printf("[ seed %llu ]\n", static_cast<unsigned long long>(seed));
  rng draws(seed, "blind");
  target t;
  t.e.post(t.id(), 1000);
  t.time.run_for(t.step);
  const std::uint64_t before = t.counters().segments_out;
  for (int n = 0; n < 30'000; ++n) {
    const std::uint8_t kinds[] = {tcp_rst, tcp_rst | tcp_ack, tcp_syn,          tcp_syn | tcp_ack,
                                  tcp_ack, tcp_ack | tcp_psh, tcp_ack | tcp_fin};
    segment s = t.make(kinds[draws.below(7)], draws.chance(0.5) ? 100 : 0);
    s.options.has_ts = false;
    // Never the expected number itself: hitting that is what a 1 in 2^32 guess would have to do.
    s.seq = t.seq + static_cast<std::uint32_t>(1 + draws.below(0xfffffffeu));
    s.ack = t.ack + static_cast<std::uint32_t>(draws.below(0xffffffffu));
    t.e.take(s);
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
  EXPECT_TRUE(t.host().rx.empty());
  t.time.run_for(t.step);
  EXPECT_LE(t.counters().segments_out - before, 11u) << "the allowance of one second";
}

TEST(Hostile, AnAckFloodCostsNoSegments) {
  target t;
  t.e.post(t.id(), 5000);
  t.time.run_for(t.step);
  t.fresh();
  for (int n = 0; n < 50'000; ++n) {
    segment s = t.make(tcp_ack);
    s.ack = t.ack + 5001 + static_cast<std::uint32_t>(n);  // never sent
    t.e.take(s);
  }
  t.time.run_for(t.step);
  EXPECT_LE(t.fresh().size(), 10u);
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
}

TEST(Hostile, OptimisticAcksMoveNothing) {
  target t;
  t.e.post(t.id(), 100'000);
  t.time.run_for(t.step);
  const std::size_t sent = t.fresh().size();
  segment s = t.make(tcp_ack);
  s.ack = t.view().snd_nxt + 1;
  t.give(s);
  EXPECT_EQ(sent, 10u);
  for (const sent_segment& x : t.fresh()) EXPECT_EQ(x.s.payload_length, 0u);
  EXPECT_EQ(t.view().cwnd, 10u * 1448);
}

TEST(Hostile, ASynFloodTakesNoMoreThanTheBacklog) {
  solo t;
  for (std::uint32_t n = 0; n < 10'000; ++n) {
    segment s = t.make(tcp_syn);
    s.tuple.remote = ip_address::v4(0x0b000000u + n);
    s.options = t.syn_options;
    t.e.take(s);
  }
  EXPECT_EQ(t.e.engine->connections(), 16u);
  EXPECT_EQ(t.counters().refused_syns, 10'000u - 16);
}

// ------------------------------------------------------------------------------------------------ stalling

TEST(Hostile, AZeroWindowHeldForEverCostsOneProbeAMinute) {
  target t;
  t.window = 0;
  t.ack_only();
  t.e.post(t.id(), 10'000);
  t.time.run_for(600_s);
  t.ack_only();
  t.fresh();
  t.e.sent.clear();
  t.seen = 0;
  std::size_t probes = 0;
  for (int minute = 0; minute < 600; ++minute) {
    t.time.run_for(60_s);
    t.ack_only();
    probes += t.fresh().size();
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_LE(probes, 1200u);
  EXPECT_GE(probes, 300u);
  t.window = 0xffff;
  t.ack_only();
  EXPECT_EQ(t.view().snd_nxt, t.ack + 10'000) << "and it goes on at once";
}

TEST(Hostile, AWindowOfOneByteIsNotFilledByteByByte) {
  target t;
  t.window = 1;
  t.ack_only();
  t.e.post(t.id(), 10'000);
  t.time.run_for(10_s);
  EXPECT_LE(t.fresh().size(), 8u);
}

TEST(Hostile, DuplicatesOfOldDataAreAnsweredOneForOneAndNotStored) {
  target t;
  t.data(1000);
  t.time.run_for(100_ms);
  t.fresh();
  for (int n = 0; n < 100; ++n) {
    segment s = t.make(tcp_ack, 1000);
    s.seq = t.first_byte;
    t.give(s);
  }
  EXPECT_LE(t.fresh().size(), 100u);
  EXPECT_EQ(t.view().reassembly_bytes, 0u);
  t.goes_on();
}

}  // namespace
}  // namespace understudy::tb
