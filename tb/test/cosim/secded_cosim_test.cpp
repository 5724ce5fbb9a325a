// rtl/secded_decoder.sv, and the encoder in it, against model/core/secded.h: code words with up to four wrong
// bits.
#include <Vsecded_decoder_117.h>
#include <Vsecded_decoder_20.h>
#include <Vsecded_decoder_4.h>
#include <Vsecded_decoder_64.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "model/core/rng.h"
#include "model/core/secded.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

constexpr std::uint64_t seed = 1;

template <class Top, unsigned DataBits>
void compare() {
  using code = secded<DataBits>;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  rng random(seed, "test/secded_cosim");
  VerilatedContext context;
  Top top(&context, "top");
  int seen[3] = {};
  int differ_if_mutated = 0;
  const auto check = [&](const typename code::code_type& word) {
    std::memcpy(&top.code_i, word.data(), sizeof(top.code_i));
    enter_rtl_context(&context);
    top.eval();
    typename code::data_type data{};
    std::memcpy(data.data(), &top.data_o, sizeof(top.data_o));
    const auto expected = code::decode(word);
    ASSERT_EQ(top.corrected_o, expected.status == secded_status::corrected);
    ASSERT_EQ(top.uncorrectable_o, expected.status == secded_status::uncorrectable);
    ASSERT_EQ(data, expected.data);
    ++seen[static_cast<unsigned>(expected.status)];
    // The comparison can fail: the answer is not that of a word with another bit wrong.
    auto other = word;
    code::flip(other, 0);
    const auto of_other = code::decode(other);
    differ_if_mutated += of_other.status != expected.status || of_other.data != expected.data;
  };
  for (int round = 0; round < 30; ++round) {
    typename code::data_type data{};
    for (unsigned i = 0; i < DataBits; ++i)
      if (random.chance(0.5)) code::flip(data, i);
    const auto word = code::encode(data);
    ASSERT_NO_FATAL_FAILURE(check(word));
    for (unsigned i = 0; i < code::code_bits; ++i) {
      auto wrong = word;
      code::flip(wrong, i);
      ASSERT_NO_FATAL_FAILURE(check(wrong)) << i;
      for (int more = 0; more < 3; ++more) {
        code::flip(wrong, static_cast<unsigned>(random.below(code::code_bits)));
        ASSERT_NO_FATAL_FAILURE(check(wrong)) << i;
      }
    }
  }
  EXPECT_EQ(seen[0] + seen[1] + seen[2], static_cast<int>(30 * (1 + 4 * code::code_bits)));
  EXPECT_GE(seen[0], 30);
  EXPECT_GT(seen[1], static_cast<int>(30 * code::code_bits));
  EXPECT_GT(seen[2], static_cast<int>(20 * code::code_bits));
  EXPECT_EQ(differ_if_mutated, seen[0] + seen[1] + seen[2]);
  enter_rtl_context(nullptr);
}

TEST(secded_cosim, four_bits_agree) {
  compare<Vsecded_decoder_4, 4>();
}
TEST(secded_cosim, links_agree) {
  compare<Vsecded_decoder_20, 20>();
}
TEST(secded_cosim, sixty_four_bits_agree) {
  compare<Vsecded_decoder_64, 64>();
}
TEST(secded_cosim, buffers_agree) {
  compare<Vsecded_decoder_117, 117>();
}

}  // namespace
}  // namespace understudy
