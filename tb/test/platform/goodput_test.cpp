// One connection on a wire of 100 Gb/s, slow start included.
#include <cstdio>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

double gigabits(const std::vector<std::string>& settings) {
  std::vector<std::string> all{"monitors=off"};
  all.insert(all.end(), settings.begin(), settings.end());
  const program_run r = run_program(scenario_file("line_rate.toml"), all, "--captures off");
  EXPECT_EQ(r.status, 0) << r.reasons();
  const auto& b = r.result["bytes"];
  EXPECT_EQ(b["delivered"], 512u * 1024 * 1024);
  EXPECT_EQ(r.result["memory"]["copied_bytes"], 0);
  EXPECT_EQ(r.result["memory"]["fallbacks"], 0);
  const double seconds =
      (r.result["delivered_ps"]["last"].get<double>() - r.result["delivered_ps"]["first"].get<double>()) /
      1e12;
  return b["delivered"].get<double>() * 8 / seconds / 1e9;
}

void fills(const char* mtu, double possible) {
  const double got = gigabits({std::string("adapter.mtu=") + mtu});
  std::printf("MTU %s: %.2f of %.2f Gb/s, %.1f %%\n", mtu, got, possible, 100 * got / possible);
  EXPECT_GE(got, 0.97 * possible);
  EXPECT_LE(got, possible * 1.001) << "more than the wire holds";
}

TEST(goodput, one_connection_fills_a_hundred_gigabits_with_ordinary_frames) {
  fills("1500", 94.15);
}
TEST(goodput, one_connection_fills_a_hundred_gigabits_with_jumbo_frames) {
  fills("9000", 99.00);
}
TEST(goodput, a_bus_of_half_the_rate_is_seen) {
  EXPECT_LT(gigabits({"pcie.generation=3", "pcie.lanes=8"}), 60);
}

}  // namespace
}  // namespace understudy::tb
