// Very many connections in one adapter.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

program_run with(const std::string& connections) {
  return run_program(scenario_file("scale.toml"), {"monitors=off", "adapter.connections=" + connections},
                     "--captures off");
}

// US_SCALE_CONNECTIONS: so many instead of 100,000; the nightly preset sets it to the most that there can be.
TEST(scale, as_many_connections_as_the_table_holds_open_talk_and_close_and_nothing_is_left) {
  const char* set = std::getenv("US_SCALE_CONNECTIONS");
  const std::string count = set ? set : "100000";
  const program_run many = with(count);
  ASSERT_EQ(many.status, 0) << many.reasons();
  EXPECT_EQ(many.result["connections"]["completed"], std::stoi(count));
  EXPECT_EQ(many.result["bytes"]["delivered"], 10000u * 16 * 1024);
  const program_run few = with("1000");
  ASSERT_EQ(few.status, 0) << few.reasons();
  EXPECT_EQ(few.result["bytes"]["delivered"], 1000u * 16 * 1024) << "active ones are clipped to their number";
  std::printf(
      "frames a second: %.0f with 1000, %.0f with %s: %.0f %%\n",
      few.result["frames_per_wall_s"].get<double>(), many.result["frames_per_wall_s"].get<double>(),
      count.c_str(),
      100 * many.result["frames_per_wall_s"].get<double>() / few.result["frames_per_wall_s"].get<double>());
}

}  // namespace
}  // namespace understudy::tb
