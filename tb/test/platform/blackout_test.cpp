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

struct phases {
  std::uint64_t drained, work, identity, blackout;  // ps; work: from the end of DRAINING to that of LOADING
};

phases phases_of(const program_run& r) {
  const auto& f = r.result["failovers"][0];
  const auto at = [&](const char* key) { return f[key].get<std::uint64_t>(); };
  return {at("drain_ps") - at("fault_ps"), at("load_ps") - at("drain_ps"), at("unblock_ps") - at("load_ps"),
          at("blackout_ps")};
}

constexpr std::uint64_t us = 1'000'000;

// SR-4: fence + drain + n * t_restore + identity.
TEST(blackout, grows_by_a_constant_for_each_connection) {
  const phases few = phases_of(blackout(250));
  const phases some = phases_of(blackout(500));
  const phases many = phases_of(blackout(1000));
  const double first = static_cast<double>(some.work - few.work) / 250;
  const double second = static_cast<double>(many.work - some.work) / 500;
  EXPECT_GT(first, 0);
  EXPECT_NEAR(second / first, 1, 0.2) << first << " and " << second << " ps a connection";
  for (const phases& p : {few, some, many}) {
    EXPECT_LE(p.drained, 500 * us) << "detection by a heartbeat of 100 us, and the fence";
    EXPECT_LE(p.identity, 10 * us);
  }
  EXPECT_LE(many.blackout, 5000 * us);
}

TEST(blackout_of_ten_thousand, ends_within_ten_milliseconds) {
  const program_run r = blackout(10000);
  expect_held(r, 10000);
  EXPECT_LE(phases_of(r).blackout, 10'000 * us);
}

}  // namespace
}  // namespace understudy::tb
