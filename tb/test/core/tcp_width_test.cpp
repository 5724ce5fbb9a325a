// Counters that a peer can drive up: tiny segments, reports of them, duplicates without end. None wraps
// (CVE-2019-11477, 11479), whatever the MSS.
#include "model/core/reassembly.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t many = 70'000;  // more than 16 bits count

// What counts bytes or segments of a window is as wide as a window; what is narrower stops at its end.
static_assert(sizeof(tcp_view::cwnd) >= 4 && sizeof(tcp_view::snd_wnd) >= 4);
static_assert(sizeof(tcp_view::sacked_bytes) >= 4 && sizeof(tcp_view::reassembly_bytes) >= 4);
static_assert(sizeof(reassembly_queue::bytes) >= 4 && sizeof(reassembly_queue::slices) >= 4);
static_assert(sizeof(tcp_counters::retransmissions) == 8 && sizeof(tcp_counters::duplicate_bytes) == 8);
static_assert(reassembly_pool::least_charge * std::uint64_t{0xffff} > tcp_config{}.reassembly_bytes);

// A peer whose MSS is as small as it may be and whose window is a gigabyte; `many` full segments in flight.
struct tiny : solo {
  static tcp_config config(std::uint16_t least_mss) {
    tcp_config c;
    c.least_mss = least_mss;
    c.initial_window_segments = many;
    return c;
  }
  tiny(std::uint16_t least_mss, bool timestamps, bool sack) : solo(config(least_mss)) {
    syn_options = {.mss = 8, .wscale = 14, .sack_permitted = sack, .has_ts = timestamps, .tsval = 100};
    establish();
    ack_only();  // the window of a SYN has no scale
    una = ack;
    unit = least_mss - (timestamps ? 12u : 0u);
    e.post(id(), many * unit);
    time.run_for(step);
    const auto sent = fresh();
    EXPECT_EQ(sent.size(), many);
    for (const sent_segment& s : sent)
      if (s.s.payload_length != unit) ADD_FAILURE() << s.s.payload_length;
  }
  seq32 una;
  std::uint32_t unit = 0;  // bytes of a segment
};

TEST(tcp_width, one_report_of_seventy_thousand_tiny_segments_is_counted_right) {
  for (const std::uint16_t least_mss : {std::uint16_t{48}, std::uint16_t{216}}) {
    for (const bool timestamps : {false, true}) {
      tiny t(least_mss, timestamps, true);
      segment s = t.make(tcp_ack);
      s.options.sack_count = 1;
      s.options.sack[0] = {t.una + t.unit, t.una + many * t.unit};
      t.give(s);
      EXPECT_EQ(t.view().sacked_bytes, (many - 1) * t.unit);
      EXPECT_TRUE(t.view().in_recovery);
      const auto again = t.fresh();
      ASSERT_EQ(again.size(), 1u) << "the one that is missing";
      EXPECT_EQ(again[0].s.seq, t.una);
      EXPECT_EQ(again[0].s.payload_length, t.unit);
      EXPECT_LE(t.counters().most_steps, 100u);
      t.ack = t.una + many * t.unit;
      t.ack_only();
      EXPECT_EQ(t.view().hard.snd_una, t.ack);
      EXPECT_FALSE(t.view().in_recovery);
      EXPECT_EQ(t.view().sacked_bytes, 0u);
      EXPECT_EQ(t.view().retransmitted_segments, 1u);
    }
  }
}

// Every second one of the first ones, block by block, and then the bytes between them.
TEST(tcp_width, reports_of_single_tiny_segments_are_bounded_in_work_and_end_right) {
  tiny t(48, true, true);
  for (std::uint32_t n = 1; n + 6 < 6000; n += 6) {
    segment s = t.make(tcp_ack);
    s.options.sack_count = 3;
    for (std::uint32_t k = 0; k < 3; ++k) {
      const seq32 left = t.una + (n + 2 * k) * t.unit;
      s.options.sack[k] = {left, left + t.unit};
    }
    t.e.take(s);
  }
  t.time.run_for(t.step);
  EXPECT_LE(t.view().sacked_bytes, many * t.unit);
  EXPECT_LE(t.counters().most_steps, 1000u);
  t.ack = t.una + many * t.unit;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
  EXPECT_EQ(t.view().sacked_bytes, 0u);
}

// The count of duplicates is one byte: it stops at 255 and does not reach three again.
TEST(tcp_width, duplicates_without_end_start_one_recovery) {
  tiny t(216, false, false);
  for (std::uint32_t n = 0; n < many; ++n) t.e.take(t.make(tcp_ack));
  t.time.run_for(t.step);
  EXPECT_EQ(t.counters().fast_retransmits, 1u);
  EXPECT_EQ(t.fresh().size(), 1u);
  EXPECT_LE(t.view().cwnd, 1u << 30);
  t.ack = t.una + many * t.unit;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
  EXPECT_LE(t.view().cwnd, t.view().ssthresh) << "what the duplicates added is gone";
}

}  // namespace
}  // namespace understudy::tb
