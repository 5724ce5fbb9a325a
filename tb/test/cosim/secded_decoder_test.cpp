// rtl/secded_decoder.sv beside its twin: every single and every double error of random words.
#include <Vsecded_decoder.h>
#include <gtest/gtest.h>

#include "model/core/rng.h"
#include "model/core/secded.h"

namespace understudy {
namespace {

using code64 = secded<64>;

struct answer {
  std::uint64_t data;
  secded_status status;
};

answer decoded(Vsecded_decoder& top, const code64::code_type& code) {
  top.code_i[0] = static_cast<std::uint32_t>(code[0]);
  top.code_i[1] = static_cast<std::uint32_t>(code[0] >> 32);
  top.code_i[2] = static_cast<std::uint32_t>(code[1]);
  top.eval();
  EXPECT_FALSE(top.corrected_o && top.uncorrectable_o);
  return {top.data_o, top.uncorrectable_o ? secded_status::uncorrectable
                      : top.corrected_o   ? secded_status::corrected
                                          : secded_status::clean};
}

TEST(secded_decoder, corrects_every_single_error_and_finds_every_double_one) {
  VerilatedContext context;
  Vsecded_decoder top(&context, "top");
  rng random(4, "test/secded_decoder");
  std::uint64_t doubles = 0;
  for (int word = 0; word < 4; ++word) {
    const std::uint64_t data = random.next();
    const code64::code_type clean = code64::encode({data});
    EXPECT_EQ(decoded(top, clean).status, secded_status::clean);
    for (unsigned a = 0; a < code64::code_bits; ++a) {
      code64::code_type one = clean;
      code64::flip(one, a);
      const answer single = decoded(top, one);
      ASSERT_EQ(single.status, secded_status::corrected) << a;
      ASSERT_EQ(single.data, data) << a;
      for (unsigned b = a + 1; b < code64::code_bits; ++b) {
        code64::code_type two = one;
        code64::flip(two, b);
        ASSERT_EQ(decoded(top, two).status, secded_status::uncorrectable) << a << " " << b;
        ++doubles;
      }
    }
  }
  EXPECT_EQ(doubles, 4u * 72 * 71 / 2);
  top.final();
}

TEST(secded_decoder, takes_anything_for_what_its_twin_takes_it_for) {
  VerilatedContext context;
  Vsecded_decoder top(&context, "top");
  rng random(5, "test/secded_decoder/any");
  for (int i = 0; i < 20'000; ++i) {
    const code64::code_type code{random.next(), random.below(256)};
    const answer rtl = decoded(top, code);
    const code64::decoded twin = code64::decode(code);
    ASSERT_EQ(rtl.status, twin.status) << i;
    if (twin.status != secded_status::uncorrectable) {
      ASSERT_EQ(rtl.data, twin.data[0]) << i;
    }
  }
  top.final();
}

}  // namespace
}  // namespace understudy
