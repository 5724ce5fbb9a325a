// The promise, at the level of the program: the adapter dies, no connection notices.
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr const char* must_be_checked[] = {"I-RX-1",  "I-RX-2",  "I-RX-3",  "I-RX-4",  "I-RX-6", "I-RX-7",
                                           "I-TX-1",  "I-TX-2",  "I-TX-3",  "I-TX-4",  "I-TX-5", "I-DMA-1",
                                           "I-DMA-2", "I-DMA-3", "I-DMA-4", "I-DMA-5", "I-Q-1",  "I-Q-2",
                                           "I-Q-3",   "I-Q-4",   "I-LV-1",  "I-LV-2",  "I-LV-4"};

void expect_nothing_noticed(const program_run& r, std::uint64_t failovers) {
  ASSERT_FALSE(r.result.is_discarded()) << r.output;
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.held(), "held") << r.reasons();
  const auto& c = r.result["connections"];
  EXPECT_GE(c["opened"], 64);
  EXPECT_EQ(c["completed"], c["opened"]);
  for (const char* bad : {"refused", "aborted", "reset"}) EXPECT_EQ(c[bad], 0) << bad;
  const auto& b = r.result["bytes"];
  EXPECT_GT(b["expected"], 0);
  EXPECT_EQ(b["delivered"], b["expected"]);
  for (const char* bad : {"lost", "duplicated", "corrupted"}) EXPECT_EQ(b[bad], 0) << bad;
  EXPECT_GE(r.result["failovers"].size(), failovers);
  for (const auto& m : r.result["monitors"]) EXPECT_EQ(m["violations"], 0) << m.dump();
  for (const auto& f : r.result["failovers"])
    EXPECT_EQ(f["peer_timeout_causes"]["unexplained"], 0) << f.dump();
}

void expect_every_monitor_checked(const program_run& r) {
  for (const char* id : must_be_checked) {
    const auto& m = r.monitor(id);
    EXPECT_TRUE(m["armed"]) << id;
    EXPECT_GT(m["checked"], 0) << id;
  }
}

TEST(failover, holds_sixty_four_connections_with_every_monitor_checked) {
  const program_run r = run_program(scenario_file("failover.toml"));
  expect_nothing_noticed(r, 1);
  expect_every_monitor_checked(r);
  EXPECT_EQ(r.result["peers"], (nlohmann::json{"lwip", "twin"}));
  EXPECT_EQ(r.result["parameters"]["topology.twin_connections"], "8");
  const auto& f = r.result["failovers"][0];
  EXPECT_EQ(f["kind"], "cold");
  EXPECT_EQ(f["from"], "A");
  EXPECT_EQ(f["to"], "B");
  const char* steps[] = {"fault_ps",   "detect_ps", "fence_ps",    "block_ps",  "drain_ps",
                         "rebuild_ps", "load_ps",   "identity_ps", "unblock_ps"};
  for (std::size_t i = 1; i < std::size(steps); ++i)
    EXPECT_LE(f[steps[i - 1]].get<std::uint64_t>(), f[steps[i]].get<std::uint64_t>()) << steps[i];
  EXPECT_GT(f["blackout_ps"], 0);
  EXPECT_LT(r.result["wall_s"].get<double>(), 20.0);
  EXPECT_TRUE(r.result["faults"][0]["activated"]);
}

class fraction : public ::testing::TestWithParam<int> {};

TEST_P(fraction, of_the_bytes_at_which_the_kill_comes_does_not_matter) {
  const std::string fault = fault_at_fraction(GetParam() / 20.0);
  expect_nothing_noticed(run_program(scenario_file("failover.toml"), {fault}), 1);
  expect_nothing_noticed(run_program(scenario_file("failover.toml"), {fault, "wire.impair=loss 1%"}), 1);
}
INSTANTIATE_TEST_SUITE_P(twenty, fraction, ::testing::Range(0, 20));

TEST(failover, holds_for_other_seeds_and_a_lossy_wire) {
  for (const char* seed : {"2", "3", "4"})
    for (const char* impair : {"", "loss 1%", "loss 1% duplicate 1% reorder 1% corrupt 0.5%"}) {
      SCOPED_TRACE(std::string("seed ") + seed + ", " + impair);
      expect_nothing_noticed(
          run_program(scenario_file("failover.toml"), {std::string("wire.impair=") + impair},
                      std::string("--captures off --seed ") + seed),
          1);
    }
}

TEST(failover, holds_over_ipv6_whoever_opens_and_whatever_the_wire_loses) {
  for (const char* side : {"server", "client"})
    for (const char* impair : {"", "loss 1% duplicate 1% reorder 1% corrupt 0.5%"})
      for (const double at : {0.2, 0.5, 0.8}) {
        SCOPED_TRACE(std::string(side) + ", " + impair + ", " + std::to_string(at));
        const program_run r = run_program(scenario_file("failover.toml"),
                                          {"workload.family=ipv6", std::string("workload.side=") + side,
                                           std::string("wire.impair=") + impair, fault_at_fraction(at)});
        expect_nothing_noticed(r, 1);
        expect_every_monitor_checked(r);
      }
}

TEST(failover, replays_recorded_ipv6_flows_over_ipv6) {
  const std::string capture =
      std::string("workload.capture=") + US_SOURCE_DIR + "/traces/captures/http_ipv6.pcap";
  const program_run as_recorded = run_program(scenario_file("failover.toml"), {capture});
  expect_nothing_noticed(as_recorded, 1);
  const program_run over_v6 = run_program(scenario_file("failover.toml"), {capture, "workload.family=ipv6"});
  const program_run over_v4 = run_program(scenario_file("failover.toml"), {capture, "workload.family=ipv4"});
  EXPECT_EQ(as_recorded.result["trace_hash"], over_v6.result["trace_hash"]);
  EXPECT_NE(as_recorded.result["trace_hash"], over_v4.result["trace_hash"]);
  EXPECT_EQ(as_recorded.result["bytes"]["delivered"], over_v4.result["bytes"]["delivered"]);
}

TEST(failover, holds_when_the_host_is_the_client) {
  for (const double at : {0.1, 0.5, 0.9}) {
    SCOPED_TRACE(at);
    expect_nothing_noticed(
        run_program(scenario_file("failover.toml"), {"workload.side=client", fault_at_fraction(at)}), 1);
  }
}

TEST(failover, holds_when_two_adapters_die_one_after_the_other) {
  const std::string faults = "fault=[{kind=\"kill\", at_fraction=0.3}, {kind=\"kill\", at_fraction=0.7}]";
  const program_run r = run_program(scenario_file("failover.toml"), {"topology.adapters=3", faults});
  expect_nothing_noticed(r, 2);
  EXPECT_EQ(r.result["failovers"][1]["from"], "B");
  EXPECT_EQ(r.result["failovers"][1]["to"], "C");
}

TEST(failover, holds_when_the_substitute_dies_during_the_recovery) {
  const program_run plain = run_program(scenario_file("failover.toml"), {"topology.adapters=3"});
  const std::uint64_t fault = plain.result["failovers"][0]["fault_ps"];
  const std::uint64_t done = plain.result["failovers"][0]["unblock_ps"];
  for (int i = 0; i <= 10; ++i) {
    const std::uint64_t at = fault + (done + 100'000'000 - fault) * static_cast<std::uint64_t>(i) / 10;
    SCOPED_TRACE(at);
    const program_run r =
        run_program(scenario_file("failover.toml"),
                    {"topology.adapters=3",
                     "fault=[{kind=\"kill\", at_fraction=0.5}, {kind=\"kill\", target=\"B\", at=\"" +
                         std::to_string(at) + " ps\"}]"});
    expect_nothing_noticed(r, 1);
    EXPECT_TRUE(r.result["faults"][1]["activated"]);
  }
}

// What the old adapter took and did not commit comes back by fast retransmission, not by the peers' timers:
// lwIP's shortest is half a second.
TEST(failover, ends_every_stall_but_that_of_a_peer_without_newreno_within_a_millisecond) {
  const program_run r = run_program(scenario_file("failover.toml"));
  expect_nothing_noticed(r, 1);
  const auto& f = r.result["failovers"][0];
  EXPECT_LT(f["stall_ps"]["p99"].get<std::uint64_t>(), 1'000'000'000u);
  EXPECT_LE(f["peer_timeouts"], 1);
  EXPECT_EQ(f["peer_timeout_causes"]["old_adapter"], f["peer_timeouts"]);
}

// Frames that wait in the switch longer than their senders' timers run are not lost.
TEST(failover, that_outlasts_its_peers_timers_fails_for_time_outs_without_a_loss) {
  std::vector<std::string> settings{"peer=twin", "adapter.rto_min=\"1 ms\"", "failover.heartbeat=\"5 us\""};
  expect_nothing_noticed(run_program(scenario_file("failover.toml"), settings), 1);
  settings.insert(settings.end(), {"host.restore_connection=\"1 ms\"", fault_at_fraction(0.3)});
  const program_run r = run_program(scenario_file("failover.toml"), settings);
  EXPECT_EQ(r.status, 1);
  EXPECT_GT(r.result["failovers"][0]["peer_timeout_causes"]["unexplained"], 0);
  EXPECT_NE(r.reasons().find("had lost nothing"), std::string::npos) << r.reasons();
}

// A twin's first SYNs wait for an ARP answer that dies with the adapter, and leave only at their time-outs.
TEST(failover, explains_time_outs_of_connections_that_waited_for_an_address) {
  std::uint64_t timeouts = 0;
  for (int us = 1000; us <= 1100; us += 10) {
    SCOPED_TRACE(us);
    const program_run r = run_program(
        scenario_file("hello.toml"),
        {"peer=twin", "topology.adapters=2", "workload.connections=4", R"(workload.bytes="4 KiB")",
         "fault=[{kind=\"kill\", at=\"" + std::to_string(us) + " us\"}]"});
    EXPECT_EQ(r.status, 0) << r.reasons();
    timeouts += r.result["failovers"][0]["peer_timeout_causes"]["old_adapter"].get<std::uint64_t>();
  }
  EXPECT_GT(timeouts, 0u);
}

// At this instant of seed 1 the wire loses the answer to the substitute's ARP question, and the twin waits
// for it.
TEST(failover, explains_time_outs_of_connections_whose_substitute_waited_for_an_address) {
  const program_run r = run_program(scenario_file("reference.toml"),
                                    {"fault=[{kind=\"kill\", target=\"A\", at=\"14453033936218 ps\"}]"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["failovers"][0]["peer_timeout_causes"]["unexplained"], 0);
}

TEST(failover, fences_a_zombie) {
  for (const double at : {0.2, 0.5, 0.8}) {
    SCOPED_TRACE(at);
    const program_run r = run_program(scenario_file("failover.toml"), {fault_at_fraction(at, "zombie")});
    expect_nothing_noticed(r, 1);
    expect_every_monitor_checked(r);
    EXPECT_EQ(r.result["faults"][0]["kind"], "zombie");
  }
}

}  // namespace
}  // namespace understudy::tb
