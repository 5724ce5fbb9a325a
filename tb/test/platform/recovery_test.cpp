// What a recovery promises, one test a promise: SR-1 to SR-6.
#include <cmath>
#include <iostream>
#include <map>

#include "model/core/rng.h"
#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr const char* every_way = "fault=[{kind=\"kill\", at=\"";

std::string kill_at(std::uint64_t ps) {
  return every_way + std::to_string(ps) + " ps\"}]";
}

void expect_intact(const program_run& r, std::uint64_t connections) {
  ASSERT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["connections"]["completed"], connections);
  EXPECT_EQ(r.result["connections"]["reset"], 0);
  EXPECT_EQ(r.result["bytes"]["delivered"], r.result["bytes"]["expected"]);
  for (const char* id : {"I-RX-1", "I-TX-1", "I-DMA-2"}) EXPECT_EQ(r.violations(id), 0u) << id;
}

const std::vector<std::string> sixty_four{"topology.adapters=2", "topology.twin_connections=8",
                                          "workload.connections=64", R"(workload.bytes="64 KiB")"};

std::vector<std::string> with(std::vector<std::string> settings, const std::string& more) {
  settings.push_back(more);
  return settings;
}

// US_KILLS of the environment more instants than in the quick run; the crash points go through all of them.
TEST(SR_1, any_instant_of_death_leaves_every_stream_exact) {
  const program_run whole = run_program(scenario_file("hello.toml"), sixty_four);
  expect_intact(whole, 64);
  const char* n = std::getenv("US_KILLS");
  const int kills = n ? std::atoi(n) : 12;
  const std::uint64_t end = whole.result["sim_time_ps"];
  rng dice(20261122, "SR-1");
  std::cout << "seed 20261122, " << kills << " kills\n";
  int struck = 0;
  for (int i = 0; i < kills; ++i) {
    const std::uint64_t at = 1'000'000'000 + dice.below(end > 2'000'000'000 ? 20'000'000'000 : end);
    const program_run r = run_program(scenario_file("hello.toml"), with(sixty_four, kill_at(at)));
    if (r.result["faults"][0]["activated"] != true) continue;
    SCOPED_TRACE(at);
    expect_intact(r, 64);
    ++struck;
  }
  EXPECT_GT(struck, kills / 2);
}

TEST(SR_1, without_the_commit_rule_a_death_loses_bytes) {
  std::vector<std::string> settings = with(sixty_four, "commit.rule=false");
  settings.push_back("pcie.generation=1");
  settings.push_back("pcie.lanes=1");
  settings.push_back(R"(run.deadline="20 s")");
  unsigned lost = 0;
  for (std::uint64_t ms = 2; ms <= 6; ++ms) {
    const program_run r =
        run_program(scenario_file("hello.toml"), with(settings, kill_at(ms * 1'000'000'000)));
    lost += r.result["bytes"]["lost"] > 0;
  }
  EXPECT_GT(lost, 0u);
}

TEST(SR_2, protected_connections_live_and_the_others_end_at_both_ends) {
  std::vector<std::string> settings = with(sixty_four, "workload.unprotected=32");
  settings.push_back(R"(workload.peer_keepalive="5 s")");
  settings.push_back("topology.twin_connections=0");
  expect_intact(run_program(scenario_file("hello.toml"), settings), 64);
  for (const char* side : {"server", "client"}) {
    SCOPED_TRACE(side);
    std::vector<std::string> s = with(settings, std::string("workload.side=") + side);
    s.push_back(fault_at_fraction(0.2));
    const program_run r = run_program(scenario_file("hello.toml"), s);
    expect_intact(r, 32);
    EXPECT_EQ(r.result["connections"]["unprotected_lost"], 32);
    EXPECT_EQ(r.violations("I-LV-1"), 0u) << "both ends were told";
  }
}

// An unprotected connection that ends although nothing has died is a failure like any other.
TEST(SR_2, being_unprotected_excuses_nothing_while_the_adapter_lives) {
  std::vector<std::string> settings = with(sixty_four, "workload.unprotected=64");
  settings.push_back("wire.impair=loss 100%");
  settings.push_back(R"(run.deadline="30 s")");
  const program_run r = run_program(scenario_file("hello.toml"), settings);
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.result["connections"]["unprotected_lost"], 0);
}

// The blackout's length is judged by blackout_test; this is what comes behind it.
TEST(SR_4, throughput_is_back_within_twenty_round_trips_and_no_more_is_sent_again_than_was_in_flight) {
  constexpr double round_trip_us = 30;  // four cables of 5 us, the switch, two adapters
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  const program_run r =
      run_program(scenario_file("hello.toml"),
                  {"peer=twin", "topology.adapters=2", "workload.direction=up", "workload.connections=4",
                   R"(workload.bytes="2 MiB")", fault_at_fraction(0.5)},
                  "--captures off -v -v", text);
  expect_intact(r, 4);
  const auto& f = r.result["failovers"][0];
  const double fault = f["fault_ps"].get<double>() / 1e6, unblock = f["unblock_ps"].get<double>() / 1e6;
  const double behind = unblock + 20 * round_trip_us;
  std::uint64_t before = 0, after = 0, again = 0, in_flight = 0;
  std::map<unsigned, std::uint32_t> sent, acked;  // by the peer's port, up to the fault
  for (const event_line& e : read_events(text)) {
    if (!e.is_segment) continue;
    if (e.unit == 0 && e.kind == "frame_out" && e.us < fault) {
      if (e.us >= fault - 1000) before += e.length;
      sent[e.destination_port] = std::max(sent[e.destination_port], e.seq + e.length);
    }
    if (e.unit == 0 && e.kind == "frame_in" && e.us < fault) acked[e.source_port] = e.ack;
    if (e.unit != 1 || e.kind != "frame_out") continue;
    if (e.us >= behind && e.us < behind + 1000) after += e.length;
    if (e.length && e.seq < sent[e.destination_port])
      again += std::min(e.length, sent[e.destination_port] - e.seq);
  }
  std::filesystem::remove(text);
  for (const auto& [port, end] : sent) in_flight += end - acked[port];
  std::cout << before << " bytes in the last millisecond before, " << after << " in one behind; " << again
            << " bytes sent again of " << in_flight << " in flight\n";
  EXPECT_GT(before, 500'000u);
  EXPECT_GE(static_cast<double>(after), 0.9 * static_cast<double>(before));
  EXPECT_LE(again, in_flight);
}

TEST(SR_5, with_nothing_held_all_that_arrives_while_reception_is_blocked_is_sent_again) {
  std::vector<std::string> settings{R"(failover.hold_bytes="0 B")", R"(failover.heartbeat="5 us")",
                                    "wire.delay=\"50 us\""};
  const program_run r = run_program(scenario_file("failover.toml"), settings);
  expect_intact(r, 64);
  const auto& causes = r.result["failovers"][0]["peer_timeout_causes"];
  EXPECT_EQ(causes["unexplained"], 0) << causes;
}

}  // namespace
}  // namespace understudy::tb
