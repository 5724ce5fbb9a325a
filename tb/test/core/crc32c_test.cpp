#include "model/abi/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace understudy {
namespace {

std::uint32_t bit_by_bit(const std::vector<std::uint8_t>& b) {
  std::uint32_t c = 0xffffffff;
  for (std::uint8_t x : b) {
    c ^= x;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0u);
  }
  return ~c;
}

struct way {
  const char* name;
  std::uint32_t (*run)(const std::uint8_t*, std::size_t, std::uint32_t);  // without the inversions
};
// What this processor takes: its instruction, if it has one; and the table that others take.
constexpr way ways[] = {
    {"chosen", [](const std::uint8_t* p, std::size_t len, std::uint32_t c) { return ~crc32c(p, len, ~c); }},
    {"table", detail::crc32c_by_table},
};

class crc32c_test : public testing::TestWithParam<way> {
 protected:
  static std::uint32_t crc(const void* data, std::size_t len, std::uint32_t seed = 0) {
    return ~GetParam().run(static_cast<const std::uint8_t*>(data), len, ~seed);
  }
};
INSTANTIATE_TEST_SUITE_P(way, crc32c_test, testing::ValuesIn(ways),
                         [](const auto& p) { return p.param.name; });

TEST_P(crc32c_test, published_vectors) {  // of RFC 3720 B.4
  EXPECT_EQ(crc("123456789", 9), 0xe3069283u);
  std::vector<std::uint8_t> b(32, 0);
  EXPECT_EQ(crc(b.data(), 32), 0x8a9136aau);
  b.assign(32, 0xff);
  EXPECT_EQ(crc(b.data(), 32), 0x62a8ab43u);
  for (std::size_t i = 0; i < 32; ++i) b[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(crc(b.data(), 32), 0x46dd794eu);
}

TEST_P(crc32c_test, every_length_and_alignment_equals_the_bitwise_definition) {
  std::vector<std::uint8_t> b;
  for (std::uint32_t i = 0; i < 80; ++i) {
    EXPECT_EQ(crc(b.data(), b.size()), bit_by_bit(b)) << i;
    b.push_back(static_cast<std::uint8_t>(i * 37 + 11));
  }
  for (std::size_t from = 0; from < 9; ++from)
    EXPECT_EQ(crc(b.data() + from, 60), bit_by_bit({b.begin() + static_cast<std::ptrdiff_t>(from),
                                                    b.begin() + static_cast<std::ptrdiff_t>(from) + 60}));
}

TEST_P(crc32c_test, pieces_chain) {
  const std::string s = "the quick brown fox jumps over the lazy dog";
  for (std::size_t cut = 0; cut <= s.size(); ++cut)
    EXPECT_EQ(crc(s.data() + cut, s.size() - cut, crc(s.data(), cut)), crc(s.data(), s.size()));
}

TEST_P(crc32c_test, every_single_bit_error_of_a_record_is_seen) {
  std::vector<std::uint8_t> b(60, 0x5a);
  const std::uint32_t good = crc(b.data(), b.size());
  for (std::size_t bit = 0; bit < 480; ++bit) {
    b[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    EXPECT_NE(crc(b.data(), b.size()), good);
    b[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
  }
}

}  // namespace
}  // namespace understudy
