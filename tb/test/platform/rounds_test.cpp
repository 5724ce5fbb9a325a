// workload.rounds with workloads that wait for all of their connections: each round is the whole workload.
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr unsigned rounds = 3;

void expect_whole_rounds(const std::string& scenario, std::vector<std::string> settings) {
  SCOPED_TRACE(settings.empty() ? scenario : settings.back());
  const program_run one = run_program(scenario_file(scenario), settings);
  settings.push_back("workload.rounds=" + std::to_string(rounds));
  const program_run all = run_program(scenario_file(scenario), settings);
  ASSERT_EQ(one.status, 0) << one.reasons();
  ASSERT_EQ(all.status, 0) << all.reasons();
  const auto opened = one.result["connections"]["opened"].get<unsigned>();
  EXPECT_GE(opened, 4u);
  EXPECT_EQ(all.result["connections"]["opened"], opened * rounds);
  EXPECT_EQ(all.result["connections"]["completed"], opened * rounds);
  EXPECT_EQ(all.result["bytes"]["delivered"], one.result["bytes"]["delivered"].get<std::uint64_t>() * rounds);
}

TEST(rounds, of_idle_connections_open_and_close_them_again) {
  for (const std::string side : {"server", "client"})
    for (const std::string peer : {"lwip", "twin", "responder"})
      expect_whole_rounds("hello.toml", {"workload.bytes=0", "workload.connections=4",
                                         "workload.side=" + side, "run.deadline=\"5 s\"", "peer=" + peer});
}

TEST(rounds, with_active_connections_among_idle_ones_move_their_bytes_again) {
  expect_whole_rounds("hello.toml", {"workload.connections=6", "workload.bytes=\"64 KiB\"",
                                     "run.deadline=\"20 s\"", "workload.active=2"});
}

TEST(rounds, of_the_reference_conversations_go_through_all_phases_again) {
  expect_whole_rounds("reference.toml", {"workload.phases=8"});
}

}  // namespace
}  // namespace understudy::tb
