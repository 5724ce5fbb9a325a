// Failover with many connections, to responders: what it costs, and that it takes no connection's life.
#include <algorithm>
#include <string>
#include <vector>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

program_run blackout(unsigned connections, std::vector<std::string> more = {}) {
  more.push_back("workload.connections=" + std::to_string(connections));
  return run_program(scenario_file("blackout.toml"), more);
}

void expect_held(const program_run& r, unsigned connections) {
  ASSERT_FALSE(r.result.is_discarded()) << r.output;
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["peers"], nlohmann::json{"responder"});
  EXPECT_EQ(r.result["connections"]["opened"], connections);
  EXPECT_EQ(r.result["connections"]["completed"], connections);
  EXPECT_GT(r.result["bytes"]["expected"], 0);
  EXPECT_EQ(r.result["bytes"]["delivered"], r.result["bytes"]["expected"]);
  ASSERT_EQ(r.result["failovers"].size(), 1u);
  EXPECT_EQ(r.result["failovers"][0]["connections"], connections);
  for (const auto& m : r.result["monitors"]) EXPECT_EQ(m["violations"], 0) << m.dump();
}

TEST(blackout, of_a_thousand_connections_takes_no_connection_whichever_side_opened) {
  for (const char* side : {"client", "server"}) {
    SCOPED_TRACE(side);
    expect_held(blackout(1000, {std::string("workload.side=") + side}), 1000);
  }
}

// More kicks leave at once than frames may wait for a neighbour.
TEST(blackout, kicks_every_connection_before_any_time_out) {
  const program_run r = blackout(3000);
  expect_held(r, 3000);
  EXPECT_LT(r.result["failovers"][0]["stall_ps"]["max"].get<std::uint64_t>(), 50'000'000'000u);
}

}  // namespace
}  // namespace understudy::tb
