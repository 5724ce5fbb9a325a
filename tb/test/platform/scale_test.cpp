// Very many connections in one adapter.
#include <cstdio>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

program_run with(const char* connections) {
  return run_program(scenario_file("scale.toml"),
                     {"monitors=off", std::string("adapter.connections=") + connections}, "--captures off");
}

TEST(scale, a_hundred_thousand_connections_open_talk_and_close_and_nothing_is_left) {
  const program_run many = with("100000");
  ASSERT_EQ(many.status, 0) << many.reasons();
  EXPECT_EQ(many.result["connections"]["completed"], 100000) << "as many as the adapter's table holds";
  EXPECT_EQ(many.result["bytes"]["delivered"], 10000u * 16 * 1024);
  const program_run few = with("1000");
  ASSERT_EQ(few.status, 0) << few.reasons();
  EXPECT_EQ(few.result["bytes"]["delivered"], 1000u * 16 * 1024) << "active ones are clipped to their number";
  std::printf(
      "frames a second: %.0f with 1,000, %.0f with 100,000: %.0f %%\n",
      few.result["frames_per_wall_s"].get<double>(), many.result["frames_per_wall_s"].get<double>(),
      100 * many.result["frames_per_wall_s"].get<double>() / few.result["frames_per_wall_s"].get<double>());
}

}  // namespace
}  // namespace understudy::tb
