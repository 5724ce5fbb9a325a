// rtl/secded_encoder.sv beside its twin: every bit by itself, and random words.
#include <Vsecded_encoder.h>
#include <gtest/gtest.h>

#include "model/core/rng.h"
#include "model/core/secded.h"

namespace understudy {
namespace {

using code64 = secded<64>;

code64::code_type encoded(Vsecded_encoder& top, std::uint64_t data) {
  top.data_i = data;
  top.eval();
  return {top.code_o[0] | std::uint64_t{top.code_o[1]} << 32, top.code_o[2]};
}

TEST(secded_encoder, makes_the_twin_s_code_words) {
  static_assert(code64::code_bits == 72);
  VerilatedContext context;
  Vsecded_encoder top(&context, "top");
  EXPECT_EQ(encoded(top, 0), code64::encode({0}));
  for (unsigned i = 0; i < 64; ++i) {
    const std::uint64_t data = std::uint64_t{1} << i;
    EXPECT_EQ(encoded(top, data), code64::encode({data})) << i;
    EXPECT_NE(encoded(top, data), code64::encode({data ^ 1})) << "the control: the comparison can fail";
  }
  rng random(3, "test/secded_encoder");
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t data = random.next();
    ASSERT_EQ(encoded(top, data), code64::encode({data})) << data;
  }
  top.final();
}

}  // namespace
}  // namespace understudy
