// rtl/checksum.sv at its pins: a stream with idle gaps, results not taken at once, packets back to back, and
// a source that misbehaves.
#include <Vchecksum_16.h>
#include <Vchecksum_32.h>
#include <Vchecksum_4.h>
#include <Vchecksum_64.h>
#include <Vchecksum_8.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>

#include "model/cosim/checksum_pins.h"
#include "model/cosim/rtl_harness.h"
#include "tb/test/core/checksum_frames.h"

namespace understudy {
namespace {

using tb::frame_spec;
using tb::make_frame;

constexpr std::uint64_t seed = 1;

struct pattern {
  double gap;    // chance of an idle cycle before a beat
  double stall;  // chance of a cycle in which the result is not taken
};

struct stream_counts {
  int results = 0;
  int gaps = 0;
  int stalls = 0;         // cycles in which a result waited
  int back_pressure = 0;  // cycles in which a beat waited
  int aborted = 0;
  int strays = 0;
};

checksum_result without_cycles(checksum_result r) {
  r.cycles = 0;
  return r;
}

template <class Top>
class checksum_stream_test : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::printf("seed %llu\n", static_cast<unsigned long long>(seed)); }
  static constexpr std::uint32_t width = sizeof(Top::data_i);
  rng random{seed, "test/checksum_stream"};

  struct packet {
    std::vector<std::uint8_t> bytes;
    checksum_mode mode;
    std::size_t beats;  // to send; fewer than all: the next packet aborts it
    bool stray;         // its first beat is withheld: all of it is swallowed
  };

  packet random_packet(double broken) {
    frame_spec s;
    s.protocol = random.chance(0.5) ? 6 : 17;
    s.ip_option_words = random.chance(0.3) ? static_cast<std::uint32_t>(random.below(11)) : 0;
    s.segment_bytes = static_cast<std::uint32_t>(random.below(random.chance(0.2) ? 400 : 70));
    s.padding_bytes = static_cast<std::uint32_t>(random.below(9));
    auto f = make_frame(s, random);
    if (random.chance(0.3)) {
      const auto bit = random.below((f.end - f.ip) * 8);
      f.bytes[f.ip + bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    }
    packet p;
    p.bytes.assign(f.bytes.begin() + static_cast<std::ptrdiff_t>(f.ip), f.bytes.end());
    if (random.chance(0.02)) p.bytes.clear();
    p.mode = random.chance(0.5) ? checksum_mode::check : checksum_mode::insert;
    p.beats = p.bytes.empty() ? 1 : (p.bytes.size() + width - 1) / width;
    p.stray = false;
    if (p.beats > 1 && random.chance(broken)) {
      if (random.chance(0.5))
        p.beats = 1 + random.below(p.beats - 1);
      else
        p.stray = true;
    }
    return p;
  }

  static checksum_result expected(const packet& p) {
    std::vector<std::uint8_t> frame(14 + p.bytes.size());
    frame[12] = 8;
    std::copy(p.bytes.begin(), p.bytes.end(), frame.begin() + 14);
    return without_cycles(checksum_block(frame, p.mode, width));
  }

  stream_counts run(std::uint32_t reset_seed, int packets, pattern pat, double broken) {
    rtl_harness<Top> rtl(reset_seed);
    Top& top = rtl.pins();
    stream_counts n;
    std::deque<checksum_result> want;
    int sent = 0;
    bool open = false;  // the block is inside a packet
    packet p = random_packet(broken);
    std::size_t beat = 0;
    bool offered = false;
    for (int quiet = 0; quiet < 200;) {
      if (!offered && sent < packets) {
        if (random.chance(pat.gap)) {
          ++n.gaps;
          top.valid_i = 0;
        } else {
          if (p.stray && beat == 0 && !open) {
            beat = 1;
            ++n.strays;
          } else if (p.stray && beat == 0) {
            p.stray = false;
          }
          drive_beat(top, p.bytes, beat * width, p.mode);
          offered = true;
        }
      }
      top.result_ready_i = !random.chance(pat.stall);
      rtl.settle();
      if (top.result_valid_o) {
        quiet = 0;
        if (top.result_ready_i) {
          EXPECT_FALSE(want.empty()) << "a result without its packet";
          if (want.empty()) return n;
          EXPECT_EQ(read_result(top), want.front()) << "result " << n.results;
          want.pop_front();
          ++n.results;
        } else {
          ++n.stalls;
        }
      }
      const bool accepted = offered && top.ready_o;
      n.back_pressure += offered && !accepted;
      rtl.edge();
      if (accepted) {
        offered = false;
        top.valid_i = 0;
        const bool last = (beat + 1) * width >= p.bytes.size();
        if (!p.stray) open = !last;
        if (last && !p.stray) want.push_back(expected(p));
        ++beat;
        if (last || beat == p.beats) {
          n.aborted += !last;
          ++sent;
          p = random_packet(broken);
          beat = 0;
        }
      }
      if (sent == packets) ++quiet;
    }
    EXPECT_TRUE(want.empty()) << want.size() << " results are missing";
    return n;
  }
};

using tops = testing::Types<Vchecksum_4, Vchecksum_8, Vchecksum_16, Vchecksum_32, Vchecksum_64>;
struct width_name {
  template <class Top>
  static std::string GetName(int) {
    return std::to_string(sizeof(Top::data_i));
  }
};
TYPED_TEST_SUITE(checksum_stream_test, tops, width_name);

TYPED_TEST(checksum_stream_test, steady_stream) {
  const auto n = this->run(1, 400, {0, 0}, 0);
  EXPECT_EQ(n.results, 400);
  EXPECT_EQ(n.back_pressure, 0);
}

TYPED_TEST(checksum_stream_test, idle_gaps_change_nothing) {
  const auto n = this->run(1, 400, {0.5, 0}, 0);
  EXPECT_EQ(n.results, 400);
  EXPECT_GT(n.gaps, 400);
}

TYPED_TEST(checksum_stream_test, results_not_taken_press_back_and_none_is_lost) {
  const auto n = this->run(1, 400, {0, 0.97}, 0);
  EXPECT_EQ(n.results, 400);
  EXPECT_GT(n.stalls, 400);
  EXPECT_GT(n.back_pressure, 400);
}

TYPED_TEST(checksum_stream_test, gaps_and_stalls_together) {
  const auto n = this->run(1, 400, {0.4, 0.6}, 0);
  EXPECT_EQ(n.results, 400);
  EXPECT_GT(n.gaps, 400);
  EXPECT_GT(n.stalls, 100);
}

TYPED_TEST(checksum_stream_test, unfinished_packets_are_dropped_and_strays_swallowed_bad) {
  const auto n = this->run(1, 600, {0.2, 0.3}, 0.4);
  EXPECT_GT(n.aborted, 20);
  EXPECT_GT(n.strays, 20);
  EXPECT_GT(n.results, 200);
  EXPECT_EQ(n.results + n.aborted + n.strays, 600);
}

TYPED_TEST(checksum_stream_test, what_reset_leaves_undefined_is_never_seen) {
  for (std::uint32_t reset_seed = 2; reset_seed < 10; ++reset_seed)
    EXPECT_EQ(this->run(reset_seed, 20, {0.1, 0.1}, 0).results, 20) << reset_seed;
}

TYPED_TEST(checksum_stream_test, one_beat_packets_flow_one_a_cycle) {
  rtl_harness<TypeParam> rtl;
  auto& top = rtl.pins();
  top.result_ready_i = 1;
  const std::vector<std::uint8_t> packet(this->width, 0x45);
  int results = 0;
  constexpr int cycles = 100;
  for (int i = 0; i < cycles; ++i) {
    drive_beat(top, packet, 0, checksum_mode::check);
    rtl.settle();
    EXPECT_TRUE(top.ready_o);
    results += top.result_valid_o;
    rtl.edge();
  }
  EXPECT_EQ(results, cycles - static_cast<int>(checksum_latency_cycles));
}

// What the block's assertions say of a misuse of its pins; nothing if they let it pass.
template <class Misuse>
std::string assertion_of(Misuse misuse) {
  testing::internal::CaptureStdout();
  bool thrown = false;
  try {
    misuse();
  } catch (const std::logic_error& e) {
    thrown = std::string(e.what()).find("rtl/checksum.sv:") == 0;
  }
  const std::string text = testing::internal::GetCapturedStdout();
  return thrown ? text : "";
}

TYPED_TEST(checksum_stream_test, keep_with_a_hole_is_asserted_bad) {
  const auto text = assertion_of([] {
    rtl_harness<TypeParam> rtl;
    rtl.pins().result_ready_i = 1;
    drive_beat(rtl.pins(), std::vector<std::uint8_t>(3), 0, checksum_mode::check);
    rtl.pins().keep_i = 5;
    rtl.settle();
    rtl.edge();
  });
  EXPECT_NE(text.find("keep_i has a hole"), std::string::npos) << text;
}

TYPED_TEST(checksum_stream_test, beat_that_is_not_full_before_the_last_is_asserted_bad) {
  const auto text = assertion_of([] {
    rtl_harness<TypeParam> rtl;
    rtl.pins().result_ready_i = 1;
    drive_beat(rtl.pins(), std::vector<std::uint8_t>(3), 0, checksum_mode::check);
    rtl.pins().last_i = 0;
    rtl.settle();
    rtl.edge();
  });
  EXPECT_NE(text.find("a beat before the last one is not full"), std::string::npos) << text;
}

TYPED_TEST(checksum_stream_test, beat_changed_before_it_was_accepted_is_asserted_bad) {
  const auto text = assertion_of([] {
    rtl_harness<TypeParam> rtl;
    rtl.pins().result_ready_i = 0;
    for (std::uint8_t i = 0; i < 20; ++i) {
      drive_beat(rtl.pins(), std::vector<std::uint8_t>(1, i), 0, checksum_mode::check);
      rtl.settle();
      rtl.edge();
    }
  });
  EXPECT_NE(text.find("the source changed a beat before it was accepted"), std::string::npos) << text;
}

TYPED_TEST(checksum_stream_test, right_use_asserts_nothing) {
  EXPECT_EQ(assertion_of([this] { this->run(1, 20, {0.3, 0.3}, 0); }), "");
}

}  // namespace
}  // namespace understudy
