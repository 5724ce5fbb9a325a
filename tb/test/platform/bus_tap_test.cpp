// Headers of TLPs in captures, bit by bit (PCIe 2.2.1), whether or not there is a tshark to read them.
#include "tb/platform/bus_tap.h"

#include <gtest/gtest.h>

namespace understudy::tb {
namespace {

constexpr std::size_t own_bytes = 4;

std::uint32_t word(const tlp_on_link& t, std::size_t n) {
  std::uint8_t out[20];
  const std::size_t bytes = tlp_header(out, t);
  EXPECT_LE(own_bytes + 4 * n + 4, bytes);
  const std::uint8_t* at = out + own_bytes + 4 * n;
  return std::uint32_t{at[0]} << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

tlp_on_link write_of(std::uint32_t bytes) {
  tlp_on_link t;
  t.address = 0x1'0000'0000;
  t.length = bytes;
  return t;
}

TEST(tlp_header, of_a_write_says_format_and_whole_words) {
  EXPECT_EQ(word(write_of(64), 0), 0x6000'0010u);
  EXPECT_EQ(word(write_of(4096), 0), 0x6000'0000u) << "1024 DW is written as 0";
}

TEST(tlp_header, says_what_is_poisoned_or_relaxed) {
  tlp_on_link t = write_of(64);
  t.poisoned = true;
  EXPECT_EQ(word(t, 0), 0x6000'4010u);
  t.poisoned = false;
  t.relaxed = true;
  EXPECT_EQ(word(t, 0), 0x6000'2010u);
}

TEST(tlp_header, of_a_completion_says_byte_count_and_lower_address) {
  tlp_on_link t;
  t.up = false;
  t.type = tlp_type::completion_data;
  t.address = 0x1'0000'0fc4;
  t.length = 60;
  t.left = 4096;
  t.tag = 0x305;
  EXPECT_EQ(word(t, 0), 0x4a88'000fu) << "bits 9 and 8 of the tag";
  EXPECT_EQ(word(t, 1) & 0xfff, 0u) << "4096 bytes are written as 0";
  EXPECT_EQ(word(t, 2), 0x0000'0544u);
}

}  // namespace
}  // namespace understudy::tb
