// Connection establishment as a user runs it: CE-1, CE-3, CE-5, what a commit policy means when the adapter
// dies, and that data never overtake their announcement.
#include <cstdio>
#include <tuple>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

const char* const policies[] = {"before_synack", "before_data_ack", "lazy"};

struct announced {
  program_run run;
  double connections = 0, bursts = 0, interrupts = 0, doorbells = 0, commit_writes = 0;
  double transactions() const { return (bursts + interrupts + doorbells) / connections; }
};

announced establish(const std::vector<std::string>& settings) {
  announced a;
  a.run = run_program(scenario_file("establish.toml"), settings);
  EXPECT_EQ(a.run.status, 0) << a.run.reasons();
  const auto& r = a.run.result["announce"];
  a.connections = r["connections"];
  a.bursts = r["bursts"];
  a.interrupts = r["interrupts"];
  a.doorbells = r["doorbells"];
  a.commit_writes = r["commit_writes"];
  std::printf("%-60s %5.0f connections %5.0f bursts %5.0f interrupts %5.0f doorbells, %5.0f commit writes\n",
              settings.empty() ? "" : (settings[0] + " " + settings.back()).c_str(), a.connections, a.bursts,
              a.interrupts, a.doorbells, a.commit_writes);
  return a;
}

// CE-1: N connections an announcement, and as long as it takes: the transactions of one connection fall by at
// least 0.9 N, whoever opens and whatever the policy.
class establish_in_bulk : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(establish_in_bulk, CE_1_takes_transactions_fewer_by_nine_tenths_of_the_connections_of_a_burst) {
  constexpr double n = 32, all = 1024;
  const std::string side = std::get<0>(GetParam()), policy = std::get<1>(GetParam());
  const auto with = [&](const char* set) {
    return establish({"workload.side=" + side, "establish.commit=" + policy, set});
  };
  const announced bulk = with("establish.age_us=0");
  const announced piecemeal = with("establish.batch=1");
  EXPECT_EQ(bulk.connections, all);
  EXPECT_EQ(bulk.bursts, all / n) << "T without limit";
  EXPECT_LE(bulk.interrupts, all / n);
  EXPECT_EQ(piecemeal.connections, all);
  EXPECT_EQ(piecemeal.bursts, all);
  EXPECT_EQ(piecemeal.interrupts, all);
  EXPECT_GE(piecemeal.transactions() / bulk.transactions(), 0.9 * n);
  for (const announced* a : {&bulk, &piecemeal}) {
    EXPECT_EQ(a->run.result["connections"]["completed"], all) << "the right tuples: each end met its peer";
    const bool commits = policy == policies[0] || side == "client";
    EXPECT_EQ(a->commit_writes, commits ? all : 0);
  }
}
INSTANTIATE_TEST_SUITE_P(of, establish_in_bulk,
                         ::testing::Combine(::testing::Values("server", "client"),
                                            ::testing::Values("before_synack", "before_data_ack", "lazy")),
                         [](const auto& i) { return std::get<0>(i.param) + "_" + std::get<1>(i.param); });

// lwIP forgets a handshake after 20 s without a word; the keep-alive finds out, and the replay opens again.
TEST(establish, CE_3_whatever_is_lost_of_a_handshake_it_ends_and_nothing_is_left) {
  for (const char* side : {"server", "client"}) {
    const program_run r = run_program(
        scenario_file("establish.toml"),
        {"workload.side=" + std::string(side), "workload.connections=64", R"(wire.impair="loss 20%")",
         "adapter.keepalive=true", R"(adapter.keepalive_idle="30 s")"});
    EXPECT_EQ(r.status, 0) << side << ": " << r.reasons();
    EXPECT_EQ(r.result["connections"]["completed"], 64) << side;
  }
}

TEST(establish, CE_4_data_never_overtake_their_announcement) {
  const std::vector<std::string> talk{R"(workload.bytes="1 KiB")", "workload.connections=64",
                                      "establish.age_us=1000"};
  const program_run sound = run_program(scenario_file("establish.toml"), talk);
  EXPECT_EQ(sound.status, 0) << sound.reasons();
  EXPECT_GT(sound.monitor("I-RX-8")["checked"], 64);
  std::vector<std::string> mutant = talk;
  mutant.push_back(R"(mutants=["data_before_announcement"])");
  mutant.push_back(R"(run.deadline="5 s")");
  const program_run broken = run_program(scenario_file("establish.toml"), mutant);
  EXPECT_EQ(broken.status, 1);
  EXPECT_GT(broken.violations("I-RX-8"), 0u);
}

// 20 connections wait in the batch, none of them announced, when the adapter dies.
program_run die_unannounced(const std::string& policy) {
  return run_program(
      scenario_file("establish.toml"),
      {"establish.commit=" + policy, "topology.adapters=2", "workload.connections=20", "establish.batch=64",
       "establish.age_us=2000", R"(run.deadline="20 s")", R"(fault=[{kind="kill", at="1600 us"}])"});
}

TEST(establish, CE_5_connections_that_wait_for_their_announcement_survive_the_adapter) {
  for (const std::string policy : {policies[0], policies[1]}) {
    const program_run r = die_unannounced(policy);
    EXPECT_EQ(r.status, 0) << policy << ": " << r.reasons();
    EXPECT_EQ(r.result["failovers"].size(), 1u) << policy;
    EXPECT_EQ(r.result["connections"]["completed"], 20) << policy;
    EXPECT_EQ(r.result["connections"]["reset"], 0) << policy;
    EXPECT_EQ(r.result["announce"]["cookies_taken"], policy == policies[1] ? 20 : 0) << policy;
  }
}

TEST(establish, CE_5_lazy_connections_are_lost_with_an_rst_each) {
  const program_run r = die_unannounced(policies[2]);
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.result["failovers"].size(), 1u);
  EXPECT_EQ(r.result["connections"]["completed"], 0);
  EXPECT_EQ(r.result["connections"]["reset"], 20);
}

TEST(establish, a_thousand_twins_are_all_accepted) {
  for (const char* side : {"server", "client"}) {
    const program_run r = run_program(scenario_file("hello.toml"),
                                      {"peer=twin", "workload.connections=1000", R"(workload.bytes="2 KiB")",
                                       "workload.side=" + std::string(side)});
    EXPECT_EQ(r.status, 0) << side << ": " << r.reasons();
    EXPECT_EQ(r.result["connections"]["completed"], 1000) << side;
    EXPECT_EQ(r.result["connections"]["refused"], 0) << side;
  }
}

TEST(establish, cookies_carry_connections_when_many_are_half_open) {
  const program_run r =
      run_program(scenario_file("hello.toml"), {"workload.connections=200", R"(workload.bytes="2 KiB")",
                                                R"(wire.delay="1 ms")", "establish.cookies_above=16"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["connections"]["completed"], 200);
  EXPECT_GT(r.result["announce"]["cookies_taken"], 50);
}

}  // namespace
}  // namespace understudy::tb
