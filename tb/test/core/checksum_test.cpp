#include "model/core/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "tb/test/core/checksum_frames.h"

namespace understudy {
namespace {

using tb::frame_spec;
using tb::make_frame;
using tb::test_frame;

constexpr std::uint64_t seed = 1;

checksum_result check(const test_frame& f) {
  return checksum_block(f.bytes, checksum_mode::check, 32);
}
checksum_result insert(const test_frame& f) {
  return checksum_block(f.bytes, checksum_mode::insert, 32);
}

class checksum_test : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::printf("seed %llu\n", static_cast<unsigned long long>(seed)); }
  rng random{seed, "test/checksum"};
};

TEST_F(checksum_test, sum_of_the_rfc_1071_example) {
  const std::array<std::uint8_t, 8> b{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum_finish(checksum_add(b)), 0xffff - 0xddf2);
}

TEST_F(checksum_test, sum_of_nothing_is_zero) {
  EXPECT_EQ(checksum_finish(checksum_add({})), 0xffff);
}

TEST_F(checksum_test, sum_agrees_with_the_bytewise_one_at_every_length_and_alignment) {
  std::vector<std::uint8_t> b(300);
  for (auto& v : b) v = static_cast<std::uint8_t>(random.below(256));
  for (std::size_t at = 0; at < 16; ++at)
    for (std::size_t n = 0; n + at <= b.size(); ++n) {
      const auto part = std::span<const std::uint8_t>(b).subspan(at, n);
      const auto want = static_cast<std::uint16_t>(~tb::rfc1071_sum(part));
      ASSERT_EQ(checksum_finish(checksum_add(part)), want) << at << " " << n;
      const std::size_t cut = n / 4 * 2;
      ASSERT_EQ(checksum_finish(checksum_add(part.subspan(cut), checksum_add(part.first(cut)))), want)
          << at << " " << n;
    }
}

TEST_F(checksum_test, right_frames_pass_and_agree_with_the_bytewise_sums) {
  int tcp = 0, udp = 0;
  for (std::uint32_t n = 8; n <= 1480; ++n)
    for (std::uint8_t protocol : {6, 17}) {
      if (protocol == 6 && n < 20) continue;
      frame_spec s;
      s.protocol = protocol;
      s.segment_bytes = n;
      s.ip_option_words = n % 11;
      s.vlan_tags = n % 3;
      s.padding_bytes = n < 46 ? 46 - n : 0;
      s.udp_slack_bytes = protocol == 17 && n > 20 ? n % 5 : 0;
      const auto f = make_frame(s, random);
      const auto r = check(f);
      ASSERT_TRUE(r.is_ip && r.ip_ok && r.l4_checked && r.l4_ok) << n;
      ASSERT_TRUE(checksum_passes(r));
      ASSERT_EQ(r.ip_sum, tb::rfc1071_sum(f.part(f.ip, f.segment)));
      ASSERT_EQ(r.l4_sum, tb::rfc1071_segment_sum(f, f.end - s.udp_slack_bytes));
      ASSERT_EQ(r.ip_csum, 0);
      ASSERT_EQ(r.l4_csum, 0);
      ++(protocol == 6 ? tcp : udp);
    }
  EXPECT_EQ(tcp, 1461);
  EXPECT_EQ(udp, 1473);
}

TEST_F(checksum_test, of_ipv6_the_segment_is_judged_and_computed_and_a_udp_checksum_is_a_must) {
  for (std::uint32_t n = 20; n < 300; ++n)
    for (std::uint8_t protocol : {6, 17}) {
      frame_spec s;
      s.v6 = true;
      s.protocol = protocol;
      s.segment_bytes = n;
      s.vlan_tags = n % 3;
      s.padding_bytes = n % 5;
      auto f = make_frame(s, random);
      auto r = check(f);
      ASSERT_TRUE(r.is_ip && r.ip_ok && r.l4_checked && r.l4_ok) << n;
      ASSERT_EQ(r.ip_sum, 0);
      ASSERT_EQ(r.l4_sum, tb::rfc1071_segment_sum(f, f.end));
      const std::uint16_t right = f.get16(f.checksum);
      f.put16(f.checksum, 0);
      ASSERT_FALSE(checksum_passes(check(f))) << n;
      r = insert(f);
      ASSERT_TRUE(r.ip_ok && r.l4_ok);
      ASSERT_EQ(r.ip_csum, 0);
      ASSERT_EQ(r.l4_csum, right);
    }
}

TEST_F(checksum_test,
       ipv6_headers_that_promise_more_than_there_is_fail_and_extension_headers_go_unjudged_bad) {
  frame_spec s;
  s.v6 = true;
  s.segment_bytes = 60;
  auto f = make_frame(s, random);
  for (std::uint32_t length : {61u, 0xffd8u, 0xffffu}) {
    f.put16(f.ip + 4, length);
    EXPECT_FALSE(check(f).ip_ok) << length;
  }
  f.put16(f.ip + 4, 60);
  EXPECT_TRUE(check(f).l4_ok);
  for (std::uint8_t next : {0, 43, 44, 58, 60}) {
    f.bytes[f.ip + 6] = next;
    EXPECT_TRUE(check(f).ip_ok);
    EXPECT_FALSE(check(f).l4_checked);
  }
  f.bytes.resize(f.ip + 39);
  EXPECT_FALSE(check(f).ip_ok);
}

TEST_F(checksum_test, each_flipped_bit_of_the_packet_is_found_and_none_of_the_padding) {
  for (std::uint8_t protocol : {6, 17})
    for (std::uint32_t n : {20u, 33u, 64u}) {
      frame_spec s;
      s.protocol = protocol;
      s.segment_bytes = n;
      s.ip_option_words = n % 3;
      s.padding_bytes = 6;
      auto f = make_frame(s, random);
      for (std::size_t bit = f.ip * 8; bit < f.bytes.size() * 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1u << bit % 8);
        f.bytes[bit / 8] ^= mask;
        const auto r = check(f);
        ASSERT_EQ(r.ip_ok, bit / 8 >= f.segment) << bit;
        ASSERT_EQ(r.l4_ok, r.ip_ok && bit / 8 >= f.end) << bit;
        ASSERT_EQ(checksum_passes(r), bit / 8 >= f.end) << bit;
        f.bytes[bit / 8] ^= mask;
      }
    }
}

TEST_F(checksum_test, inserted_values_make_a_frame_right_whatever_the_fields_held) {
  for (std::uint32_t n = 8; n < 200; ++n)
    for (std::uint8_t protocol : {6, 17}) {
      if (protocol == 6 && n < 20) continue;
      frame_spec s;
      s.protocol = protocol;
      s.segment_bytes = n;
      s.ip_option_words = n % 11;
      auto f = make_frame(s, random);
      const std::uint16_t ip = f.get16(f.ip + 10), l4 = f.get16(f.checksum);
      f.put16(f.ip + 10, static_cast<std::uint32_t>(random.below(0x10000)));
      f.put16(f.checksum, static_cast<std::uint32_t>(random.below(0x10000)));
      const auto r = insert(f);
      ASSERT_TRUE(r.ip_ok && r.l4_ok);
      ASSERT_EQ(r.ip_csum, ip);
      ASSERT_EQ(r.l4_csum, l4);
      f.put16(f.ip + 10, r.ip_csum);
      f.put16(f.checksum, r.l4_csum);
      ASSERT_TRUE(checksum_passes(check(f)));
    }
}

// A payload word that makes the sum 0xffff, whose complement is 0.
TEST_F(checksum_test, udp_value_of_zero_is_inserted_as_ffff_and_passes) {
  frame_spec s;
  s.protocol = 17;
  s.segment_bytes = 10;
  auto f = make_frame(s, random);
  f.put16(f.checksum, 0);
  f.put16(f.segment + 8, 0);
  f.put16(f.segment + 8, static_cast<std::uint16_t>(~tb::rfc1071_segment_sum(f, f.end)));
  EXPECT_EQ(insert(f).l4_csum, 0xffff);
  f.put16(f.checksum, 0xffff);
  EXPECT_TRUE(check(f).l4_ok);
}

TEST_F(checksum_test, tcp_value_of_zero_is_inserted_as_zero) {
  auto f = make_frame({}, random);
  f.put16(f.checksum, 0);
  f.put16(f.segment, 0);
  f.put16(f.segment, static_cast<std::uint16_t>(~tb::rfc1071_segment_sum(f, f.end)));
  EXPECT_EQ(insert(f).l4_csum, 0);
  EXPECT_TRUE(check(f).l4_ok);
}

TEST_F(checksum_test, udp_without_checksum_passes) {
  frame_spec s;
  s.protocol = 17;
  s.segment_bytes = 31;
  s.udp_without_checksum = true;
  const auto r = check(make_frame(s, random));
  EXPECT_TRUE(r.l4_checked && r.l4_ok);
  EXPECT_NE(r.l4_sum, 0xffff);
}

TEST_F(checksum_test, tcp_checksum_of_zero_is_judged) {
  auto f = make_frame({}, random);
  ASSERT_NE(f.get16(f.checksum), 0);
  f.put16(f.checksum, 0);
  const auto r = check(f);
  EXPECT_TRUE(r.ip_ok && r.l4_checked);
  EXPECT_FALSE(r.l4_ok);
}

TEST_F(checksum_test, of_fragments_and_other_protocols_only_the_ip_header_is_judged) {
  for (std::uint16_t fragment_word : {0x2000, 0x0001, 0x1fff, 0x3000}) {
    frame_spec s;
    s.fragment_word = fragment_word;
    auto f = make_frame(s, random);
    f.bytes[f.segment] ^= 1;
    const auto r = check(f);
    EXPECT_TRUE(r.ip_ok && !r.l4_checked && !r.l4_ok && checksum_passes(r)) << fragment_word;
    EXPECT_EQ(r.l4_sum, 0);
  }
  for (std::uint8_t protocol : {0, 1, 5, 7, 16, 18, 136, 255}) {
    frame_spec s;
    s.protocol = protocol;
    const auto r = check(make_frame(s, random));
    EXPECT_TRUE(r.ip_ok && !r.l4_checked && !r.l4_ok && checksum_passes(r)) << int{protocol};
  }
}

TEST_F(checksum_test, reserved_bit_and_dont_fragment_make_no_fragment) {
  for (std::uint16_t fragment_word : {0x0000, 0x4000, 0x8000, 0xc000}) {
    frame_spec s;
    s.fragment_word = fragment_word;
    EXPECT_TRUE(check(make_frame(s, random)).l4_ok) << fragment_word;
  }
}

TEST_F(checksum_test, malformed_headers_fail_bad) {
  const auto expect_bad = [](test_frame f, const char* what) {
    for (auto mode : {checksum_mode::check, checksum_mode::insert}) {
      const auto r = checksum_block(f.bytes, mode, 32);
      EXPECT_TRUE(r.is_ip) << what;
      EXPECT_FALSE(r.ip_ok || r.l4_checked || r.l4_ok || checksum_passes(r)) << what;
      EXPECT_EQ(r.ip_sum | r.l4_sum | r.ip_csum | r.l4_csum, 0) << what;
    }
  };
  const auto good = make_frame({}, random);
  auto f = good;
  f.bytes[f.ip] = 0x65;
  fix_ip_checksum(f);
  expect_bad(f, "version 6");
  f = good;
  f.bytes[f.ip] = 0x44;
  f.segment = f.ip + 16;
  fix_ip_checksum(f);
  expect_bad(f, "header of 16 bytes");
  f = good;
  f.put16(f.ip + 2, 19);
  fix_ip_checksum(f);
  expect_bad(f, "total length below the header's");
  f = good;
  f.put16(f.ip + 2, 41);
  fix_ip_checksum(f);
  expect_bad(f, "total length above what is there");
  f = good;
  f.put16(f.ip + 2, 0xffff);
  fix_ip_checksum(f);
  expect_bad(f, "largest total length");
  for (std::size_t n = 0; n < 40; ++n) {
    f = good;
    f.bytes.resize(f.ip + n);
    expect_bad(f, "cut short");
  }
}

TEST_F(checksum_test, segments_shorter_than_their_header_fail_bad) {
  for (std::uint32_t n = 0; n < 20; ++n) {
    frame_spec s;
    s.segment_bytes = n;
    s.padding_bytes = 30;
    const auto r = check(make_frame(s, random));
    EXPECT_TRUE(r.ip_ok && r.l4_checked && !r.l4_ok) << n;
    EXPECT_EQ(r.l4_sum, 0);
  }
  for (std::uint32_t n = 0; n < 8; ++n) {
    frame_spec s;
    s.protocol = 17;
    s.segment_bytes = n;
    s.padding_bytes = 30;
    const auto r = check(make_frame(s, random));
    EXPECT_TRUE(r.ip_ok && r.l4_checked && !r.l4_ok) << n;
  }
}

TEST_F(checksum_test, impossible_udp_lengths_fail_bad) {
  frame_spec s;
  s.protocol = 17;
  s.segment_bytes = 20;
  s.udp_without_checksum = true;
  auto f = make_frame(s, random);
  for (std::uint32_t length = 0; length < 30; ++length) {
    f.put16(f.segment + 4, length);
    EXPECT_EQ(check(f).l4_ok, length >= 8 && length <= 20) << length;
  }
}

TEST_F(checksum_test, other_ether_types_bypass_the_block) {
  auto f = make_frame({}, random);
  for (std::uint16_t type : {0x86de, 0x0806, 0x88cc, 0x0801}) {
    f.put16(12, type);
    EXPECT_EQ(check(f), checksum_result{}) << type;
    EXPECT_TRUE(checksum_passes(check(f)));
  }
  for (std::size_t n = 0; n < 14; ++n) {
    f = make_frame({}, random);
    f.bytes.resize(n);
    EXPECT_EQ(check(f), checksum_result{}) << n;
  }
  frame_spec s;
  s.vlan_tags = 3;
  EXPECT_EQ(check(make_frame(s, random)), checksum_result{});
}

TEST_F(checksum_test, cycles_are_beats_and_latency_and_nothing_is_one_beat) {
  EXPECT_EQ(checksum_cycles(0, 32), 1 + checksum_latency_cycles);
  EXPECT_EQ(checksum_cycles(1, 32), 1 + checksum_latency_cycles);
  EXPECT_EQ(checksum_cycles(32, 32), 1 + checksum_latency_cycles);
  EXPECT_EQ(checksum_cycles(33, 32), 2 + checksum_latency_cycles);
  EXPECT_EQ(checksum_cycles(1500, 4), 375 + checksum_latency_cycles);
  frame_spec s;
  s.padding_bytes = 6;
  const auto f = make_frame(s, random);
  EXPECT_EQ(checksum_block(f.bytes, checksum_mode::check, 8).cycles, 6 + checksum_latency_cycles);
}

}  // namespace
}  // namespace understudy
