#include "model/core/secded.h"

#include <gtest/gtest.h>

#include <bit>

#include "model/core/rng.h"

namespace understudy {
namespace {

template <class Code>
class secded_test : public testing::Test {};
using codes =
    testing::Types<secded<1>, secded<4>, secded<8>, secded<20>, secded<64>, secded<117>, secded<128>>;
TYPED_TEST_SUITE(secded_test, codes);

template <class Code>
typename Code::data_type some_data(rng& random) {
  typename Code::data_type d{};
  for (unsigned i = 0; i + Code::check_bits < Code::code_bits; ++i)
    if (random.chance(0.5)) Code::flip(d, i);
  return d;
}

TYPED_TEST(secded_test, every_single_bit_is_corrected_and_every_pair_detected) {
  rng random(1, "test/secded");
  unsigned single = 0, pairs = 0;
  for (int round = 0; round < 8; ++round) {
    const auto data = some_data<TypeParam>(random);
    const auto code = TypeParam::encode(data);
    const auto right = TypeParam::decode(code);
    ASSERT_EQ(right.status, secded_status::clean);
    ASSERT_EQ(right.data, data);
    for (unsigned i = 0; i < TypeParam::code_bits; ++i) {
      auto wrong = code;
      TypeParam::flip(wrong, i);
      const auto r = TypeParam::decode(wrong);
      ASSERT_EQ(r.status, secded_status::corrected) << i;
      ASSERT_EQ(r.data, data) << i;
      ++single;
      for (unsigned k = i + 1; k < TypeParam::code_bits; ++k) {
        auto twice = wrong;
        TypeParam::flip(twice, k);
        ASSERT_EQ(TypeParam::decode(twice).status, secded_status::uncorrectable) << i << " " << k;
        ++pairs;
      }
    }
  }
  EXPECT_EQ(single, 8 * TypeParam::code_bits);
  EXPECT_EQ(pairs, 4 * TypeParam::code_bits * (TypeParam::code_bits - 1));
}

TEST(secded, sizes_are_those_of_the_shortest_code) {
  EXPECT_EQ(secded<4>::code_bits, 8u);
  EXPECT_EQ(secded<8>::code_bits, 13u);
  EXPECT_EQ(secded<20>::code_bits, 26u);
  EXPECT_EQ(secded<64>::code_bits, 72u);
  EXPECT_EQ(secded<117>::code_bits, 125u);
}

// Parity trees as shallow as can be, and no words but 0 in cleared memory.
TEST(secded, columns_are_odd_in_ones_and_the_lightest_there_are) {
  using code = secded<64>;
  unsigned of_weight[code::check_bits + 1] = {};
  for (unsigned i = 0; i < 64; ++i) {
    const code::code_type word = code::encode({std::uint64_t{1} << i});
    EXPECT_EQ(word[0], std::uint64_t{1} << i);
    ++of_weight[std::popcount(word[1])];
  }
  EXPECT_EQ(of_weight[3], 56u) << "all there are";
  EXPECT_EQ(of_weight[5], 8u);
  EXPECT_EQ(code::encode({0}), code::code_type{});
}

// What a user with decoded values and flips relies on.
TEST(secded, decoding_is_linear) {
  using code = secded<20>;
  rng random(1, "test/secded/linear");
  int odd_ones = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto data = some_data<code>(random);
    auto word = code::encode(data);
    code::code_type flips{};
    for (auto n = random.below(6); n; --n)
      code::flip(flips, static_cast<unsigned>(random.below(code::code_bits)));
    word[0] ^= flips[0];
    const auto a = code::decode(word);
    const auto b = code::decode(flips);
    ASSERT_EQ(a.status, b.status);
    ASSERT_EQ(a.data[0], data[0] ^ b.data[0]);
    odd_ones += a.status == secded_status::corrected;
  }
  EXPECT_GT(odd_ones, 500);
}

}  // namespace
}  // namespace understudy
