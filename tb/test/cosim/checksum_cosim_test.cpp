// rtl/checksum.sv against its twin: the same frames, the same results, the same cycles.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>

#include "model/cosim/checksum_compare.h"
#include "model/cosim/checksum_unit.h"
#include "tb/test/core/checksum_frames.h"

namespace understudy {
namespace {

using tb::frame_spec;
using tb::make_frame;
using tb::test_frame;

constexpr std::uint64_t seed = 1;
constexpr std::array modes{checksum_mode::check, checksum_mode::insert};

class checksum_cosim_test : public testing::TestWithParam<std::uint32_t> {
 protected:
  static void SetUpTestSuite() { std::printf("seed %llu\n", static_cast<unsigned long long>(seed)); }
  void compare(const test_frame& f) {
    const frame_ref frame = f.ref();
    for (auto mode : modes) {
      const auto m = compare_checksum(frame, mode, *rtl, *twin);
      ASSERT_FALSE(m) << m->text;
      ++compared;
    }
  }
  rng random{seed, "test/checksum_cosim"};
  std::unique_ptr<checksum_unit> rtl = make_checksum_rtl(GetParam());
  std::unique_ptr<checksum_unit> twin = make_checksum_twin(GetParam());
  int compared = 0;
};
INSTANTIATE_TEST_SUITE_P(width, checksum_cosim_test, testing::Values(4, 8, 16, 32, 64));

TEST_P(checksum_cosim_test, every_frame_size_agrees) {
  for (std::size_t n = 0; n <= 1514; ++n)
    for (std::uint8_t protocol : {6, 17})
      for (const bool v6 : {false, true}) {
        frame_spec s;
        s.protocol = protocol;
        s.v6 = v6;
        const std::size_t headers = v6 ? 54 : 34;
        s.segment_bytes = n >= headers ? static_cast<std::uint32_t>(n - headers) : 0;
        auto f = make_frame(s, random);
        f.bytes.resize(n);
        ASSERT_NO_FATAL_FAILURE(compare(f)) << n;
      }
  EXPECT_EQ(compared, 1515 * 8);
  EXPECT_EQ(rtl->data_bytes(), GetParam());
}

TEST_P(checksum_cosim_test, options_tags_padding_and_slack_agree) {
  for (std::uint32_t options = 0; options <= 10; ++options)
    for (std::uint32_t n = 0; n < 90; ++n)
      for (std::uint8_t protocol : {6, 17, 1}) {
        frame_spec s;
        s.protocol = protocol;
        s.ip_option_words = options;
        s.segment_bytes = n;
        s.vlan_tags = n % 3;
        s.padding_bytes = (n + options) % 7;
        s.udp_slack_bytes = n > 24 ? n % 6 : 0;
        s.udp_without_checksum = n % 11 == 0;
        s.fragment_word = n % 13 == 0 ? 0x2000 : n % 17 == 0 ? 0x0123 : 0x4000;
        ASSERT_NO_FATAL_FAILURE(compare(make_frame(s, random))) << options << " " << n;
      }
  EXPECT_EQ(compared, 11 * 90 * 3 * 2);
}

TEST_P(checksum_cosim_test, bad_total_lengths_and_udp_lengths_agree) {
  for (std::uint8_t protocol : {6, 17}) {
    frame_spec s;
    s.protocol = protocol;
    s.segment_bytes = 60;
    auto f = make_frame(s, random);
    for (std::uint32_t length = 0; length < 100; ++length) {
      f.put16(f.ip + 2, length);
      fix_ip_checksum(f);
      ASSERT_NO_FATAL_FAILURE(compare(f)) << length;
    }
    f.put16(f.ip + 2, 80);
    fix_ip_checksum(f);
    for (std::uint32_t length : {0u, 7u, 8u, 9u, 59u, 60u, 61u, 0x7fffu, 0x8000u, 0xffc4u, 0xffffu}) {
      f.put16(f.segment + 4, length);
      ASSERT_NO_FATAL_FAILURE(compare(f)) << length;
    }
    for (int first = 0; first < 256; ++first) {
      f.bytes[f.ip] = static_cast<std::uint8_t>(first);
      ASSERT_NO_FATAL_FAILURE(compare(f)) << first;
    }
  }
  EXPECT_EQ(compared, 2 * (100 + 11 + 256) * 2);
}

TEST_P(checksum_cosim_test, tags_padding_slack_and_bad_lengths_of_ipv6_agree) {
  for (std::uint32_t n = 0; n < 90; ++n)
    for (std::uint8_t protocol : {6, 17, 58, 44}) {
      frame_spec s;
      s.v6 = true;
      s.protocol = protocol;
      s.segment_bytes = n;
      s.vlan_tags = n % 3;
      s.padding_bytes = n % 7;
      s.udp_slack_bytes = n > 24 ? n % 6 : 0;
      s.udp_without_checksum = n % 11 == 0;
      auto f = make_frame(s, random);
      ASSERT_NO_FATAL_FAILURE(compare(f)) << n;
      f.put16(f.ip + 4, n % 2 ? 89 - n : 0xffc0 + n);
      ASSERT_NO_FATAL_FAILURE(compare(f)) << n;
    }
  EXPECT_EQ(compared, 90 * 4 * 2 * 2);
}

// Right frames, frames with a bit flipped anywhere, and noise; each kind must have occurred with each verdict
// it can have.
TEST_P(checksum_cosim_test, random_and_corrupted_frames_agree_and_the_verdicts_are_right) {
  int right = 0, found = 0, unjudged = 0;
  for (int i = 0; i < 3000; ++i) {
    frame_spec s;
    s.protocol = random.chance(0.5) ? 6 : 17;
    s.v6 = i % 4 == 3;
    s.ip_option_words = static_cast<std::uint32_t>(random.below(11));
    s.segment_bytes = static_cast<std::uint32_t>(20 + random.below(random.chance(0.2) ? 1440 : 100));
    s.padding_bytes = static_cast<std::uint32_t>(random.below(20));
    auto f = make_frame(s, random);
    const auto kind = random.below(3);
    if (kind == 1) {
      // Traffic class, flow label and hop limit of IPv6 are under no checksum.
      auto bit = random.below((f.end - f.ip) * 8);
      while (s.v6 && ((bit >= 4 && bit < 32) || bit / 8 == 7)) bit = random.below((f.end - f.ip) * 8);
      f.bytes[f.ip + bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    } else if (kind == 2) {
      for (std::size_t at = f.ip; at < f.bytes.size(); ++at)
        f.bytes[at] = static_cast<std::uint8_t>(random.below(256));
      f.bytes[f.ip] = static_cast<std::uint8_t>(0x45 + random.below(3));
      f.put16(f.ip + 2, static_cast<std::uint32_t>(f.bytes.size() - f.ip - random.below(8)));
      f.segment = f.ip + 4u * (f.bytes[f.ip] & 0xfu);
      fix_ip_checksum(f);
    }
    ASSERT_NO_FATAL_FAILURE(compare(f)) << i;
    const auto r = rtl->check(f.ref());
    if (kind == 0) {
      ASSERT_TRUE(r.ip_ok && r.l4_ok);
      ASSERT_EQ(r.ip_sum, s.v6 ? 0 : tb::rfc1071_sum(f.part(f.ip, f.segment)));
      ASSERT_EQ(r.l4_sum, tb::rfc1071_segment_sum(f, f.end));
      ++right;
    } else if (kind == 1) {
      ASSERT_FALSE(checksum_passes(r) && r.l4_checked);
      ++found;
    } else {
      unjudged += r.ip_ok && !r.l4_checked;
    }
  }
  EXPECT_GT(right, 800);
  EXPECT_GT(found, 800);
  EXPECT_GT(unjudged, 800);
}

TEST_P(checksum_cosim_test, largest_packet_agrees) {
  for (std::uint8_t protocol : {6, 17}) {
    frame_spec s;
    s.protocol = protocol;
    s.segment_bytes = frame_ref::max_bytes - 34;
    ASSERT_NO_FATAL_FAILURE(compare(make_frame(s, random)));
  }
  EXPECT_EQ(compared, 4);
}

TEST_P(checksum_cosim_test, cycle_error_is_zero_and_printed) {
  std::printf("%10s %12s %8s %8s %6s\n", "data_bytes", "packet bytes", "rtl", "twin", "error");
  int rows = 0;
  for (std::uint32_t n : {20u, 40u, 46u, 64u, 128u, 256u, 576u, 1024u, 1460u, 1500u, 9000u}) {
    frame_spec s;
    s.segment_bytes = n - 20;
    const auto f = make_frame(s, random).ref();
    const auto r = rtl->check(f).cycles, t = twin->check(f).cycles;
    std::printf("%10u %12u %8u %8u %6d\n", GetParam(), n, r, t, static_cast<int>(t) - static_cast<int>(r));
    EXPECT_EQ(r, t);
    ++rows;
  }
  EXPECT_EQ(rows, 11);
}

TEST_P(checksum_cosim_test, clock_runs_only_for_frames) {
  const auto f = make_frame({}, random).ref();
  const auto before = rtl->cycles();
  const auto r = rtl->check(f);
  EXPECT_EQ(rtl->cycles() - before, r.cycles);
  auto other = make_frame({}, random);
  other.put16(12, 0x0806);
  EXPECT_EQ(rtl->check(other.ref()), checksum_result{});
  EXPECT_EQ(rtl->cycles() - before, r.cycles);
}

TEST_P(checksum_cosim_test, both_sides_of_a_fork_go_on_alike) {
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(compare(make_frame({}, random)));
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  bool same = true;
  for (int i = 0; i < 50; ++i)
    for (auto mode : modes) same = same && !compare_checksum(make_frame({}, random).ref(), mode, *rtl, *twin);
  if (child == 0) _exit(same ? 42 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(same);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST_P(checksum_cosim_test, traced_model_agrees_and_writes_its_waveform) {
  const std::string path = testing::TempDir() + "checksum_" + std::to_string(GetParam()) + ".vcd";
  rtl = make_checksum_rtl_traced(path, GetParam());
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(compare(make_frame({}, random)));
  rtl.reset();
  std::stringstream vcd;
  vcd << std::ifstream(path).rdbuf();
  for (const char* name : {"clk_i", "ready_o", "l4_ok_o", "header_q", "$enddefinitions"})
    EXPECT_NE(vcd.str().find(name), std::string::npos) << name;
  const std::string last_edge = "#" + std::to_string(2 * twin->cycles());
  EXPECT_NE(vcd.str().find(last_edge), std::string::npos);
  std::remove(path.c_str());
}

TEST_P(checksum_cosim_test, trace_that_cannot_be_written_throws_with_its_path_bad) {
  try {
    make_checksum_rtl_traced("/nowhere/at/all.vcd", GetParam());
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(std::string(e.what()), "/nowhere/at/all.vcd: No such file or directory");
  }
}

TEST(checksum_unit_test, other_widths_are_refused_bad) {
  for (std::uint32_t width : {0u, 1u, 5u, 12u, 128u}) {
    EXPECT_THROW(make_checksum_twin(width), std::invalid_argument);
    EXPECT_THROW(make_checksum_rtl(width), std::invalid_argument);
    EXPECT_THROW(make_checksum_rtl_traced("unused.vcd", width), std::invalid_argument);
  }
}

// An RTL with one of its outputs wrong.
class corrupted_unit final : public checksum_unit {
 public:
  corrupted_unit(std::function<void(checksum_result&)> corrupt) : corrupt_(std::move(corrupt)) {}
  checksum_result check(const frame_ref& f) override { return corrupted(rtl_->check(f)); }
  checksum_result compute(const frame_ref& f) override { return corrupted(rtl_->compute(f)); }
  std::uint32_t data_bytes() const override { return rtl_->data_bytes(); }
  std::uint64_t cycles() const override { return rtl_->cycles(); }

 private:
  checksum_result corrupted(checksum_result r) {
    corrupt_(r);
    return r;
  }
  std::function<void(checksum_result&)> corrupt_;
  std::unique_ptr<checksum_unit> rtl_ = make_checksum_rtl();
};

TEST(checksum_compare_test, each_corrupted_output_is_reported_with_both_sides_and_the_cycle_bad) {
  struct output {
    const char* name;
    std::function<void(checksum_result&)> corrupt;
  };
  const output outputs[] = {
      {"is_ip", [](checksum_result& r) { r.is_ip = !r.is_ip; }},
      {"ip_ok", [](checksum_result& r) { r.ip_ok = !r.ip_ok; }},
      {"l4_checked", [](checksum_result& r) { r.l4_checked = !r.l4_checked; }},
      {"l4_ok", [](checksum_result& r) { r.l4_ok = !r.l4_ok; }},
      {"ip_sum", [](checksum_result& r) { r.ip_sum ^= 1; }},
      {"l4_sum", [](checksum_result& r) { r.l4_sum ^= 0x8000; }},
      {"ip_csum", [](checksum_result& r) { r.ip_csum ^= 0x10; }},
      {"l4_csum", [](checksum_result& r) { r.l4_csum ^= 2; }},
      {"cycles", [](checksum_result& r) { ++r.cycles; }},
  };
  rng random(seed, "test/checksum_compare");
  const auto f = make_frame({}, random).ref();
  for (const auto& o : outputs)
    for (auto mode : modes) {
      corrupted_unit rtl(o.corrupt);
      const auto twin = make_checksum_twin();
      const auto m = compare_checksum(f, mode, rtl, *twin);
      ASSERT_TRUE(m) << o.name;
      EXPECT_EQ(m->field, o.name);
      EXPECT_EQ(m->cycle, rtl.cycles());
      EXPECT_NE(m->rtl, m->twin);
      EXPECT_NE(m->text.find(o.name), std::string::npos);
      EXPECT_NE(m->text.find("cycle " + std::to_string(m->cycle)), std::string::npos);
      EXPECT_NE(m->text.find("rtl ["), std::string::npos);
      EXPECT_NE(m->text.find("twin ["), std::string::npos);
    }
}

}  // namespace
}  // namespace understudy
