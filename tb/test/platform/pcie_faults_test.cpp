// Faults of bus and host, at the level of the program.
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

void expect_held(const program_run& r, std::uint64_t failovers) {
  ASSERT_FALSE(r.result.is_discarded()) << r.output;
  EXPECT_EQ(r.held(), "held") << r.reasons();
  EXPECT_EQ(r.result["failovers"].size(), failovers);
  EXPECT_EQ(r.result["bytes"]["delivered"], r.result["bytes"]["expected"]);
  for (const auto& m : r.result["monitors"]) EXPECT_EQ(m["violations"], 0) << m.dump();
}

// Fences (a) and (b) of decision 3 fail: registers are silent, the port ignores Link Disable.
TEST(fence, by_revoking_mappings_holds_where_neither_adapter_nor_port_obeys) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {fault_at_fraction(0.5, "unfenceable"), "pcie.iommu=true"});
  expect_held(r, 1);
  EXPECT_EQ(r.result["pcie"]["iommu"]["revoked"], 1);
  EXPECT_GT(r.result["pcie"]["iommu"]["refused"], 0) << "the old adapter went on writing";
  EXPECT_GT(r.result["pcie"]["timeouts"], 0);
  EXPECT_GT(r.monitor("I-DMA-2")["checked"], 0);
}

TEST(fence, of_such_an_adapter_fails_without_an_iommu_and_the_run_says_so) {
  const program_run r = run_program(scenario_file("failover.toml"),
                                    {fault_at_fraction(0.5, "unfenceable"), "run.deadline=\"20 ms\""});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.held(), "failed");
}

TEST(fence, by_link_disable_holds_when_the_link_went_down) {
  const program_run r = run_program(scenario_file("failover.toml"), {fault_at_fraction(0.5, "link_down")});
  expect_held(r, 1);
  EXPECT_GT(r.result["pcie"]["dropped"], 0);
}

// Nothing of the adapter has its state any more, and its registers answer: it is fenced by its bus master.
TEST(link_fault, a_link_that_comes_back_with_an_adapter_that_has_reset_is_a_failover_like_another) {
  for (const double at : {0.0, 0.1, 0.3, 0.5, 0.7, 0.9}) {
    const program_run r = run_program(scenario_file("failover.toml"), {fault_at_fraction(at, "link_flap")});
    expect_held(r, 1);
    EXPECT_EQ(r.result["pcie"]["retrains"], 1);
    EXPECT_EQ(r.result["pcie"]["timeouts"], 0) << "whatever the driver asked was answered";
    EXPECT_EQ(r.result["faults"][0]["outcome"], "recovered");
    EXPECT_GT(r.monitor("I-DMA-2")["checked"], 0);
  }
}

// It resets while the heartbeats that A misses are counted; its own would tell later.
TEST(link_fault, a_substitute_that_has_reset_is_passed_over) {
  const program_run r =
      run_program(scenario_file("failover.toml"),
                  {"topology.adapters=3", R"(fault=[{kind="kill", target="A", at="1400 us"},)"
                                          R"({kind="link_flap", target="B", at="1600 us"}])"});
  expect_held(r, 2);
  const auto& to_b = r.result["failovers"][0];
  EXPECT_EQ(to_b["to"], "B");
  EXPECT_TRUE(to_b["block_ps"].is_null()) << "nothing is loaded into it";
  EXPECT_EQ(r.result["failovers"][1]["to"], "C");
}

TEST(link_fault, a_downgrade_is_no_failover) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {fault_at_fraction(0.5, "link_downgrade")});
  expect_held(r, 0);
  EXPECT_EQ(r.result["pcie"]["retrains"], 1);
  EXPECT_EQ(r.result["pcie"]["err_nonfatal"], 0) << "nothing is wrong with the adapter";
}

// PCIe 2.7.2.2: what is behind a poisoned write never lands, so that no record names bytes that are not
// there.
TEST(poisoned, write_is_contained_and_the_substitute_goes_on) {
  for (const double at : {0.0, 0.2, 0.5, 0.8}) {
    const program_run r =
        run_program(scenario_file("failover.toml"), {fault_at_fraction(at, "poisoned_write")});
    expect_held(r, 1);
    EXPECT_EQ(r.result["pcie"]["poisoned_writes"], 1);
    EXPECT_EQ(r.result["pcie"]["contained"], 1);
    EXPECT_EQ(r.result["faults"][0]["outcome"], "recovered");
    EXPECT_GT(r.monitor("I-RX-2")["checked"], 0);
  }
}

// The control: payload is missing, and its record is believed.
TEST(poisoned, write_that_nobody_contains_is_missed_and_the_monitors_say_so) {
  unsigned caught = 0;
  for (const double at : {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}) {
    const program_run r =
        run_program(scenario_file("failover.toml"),
                    {fault_at_fraction(at, "poisoned_write"), "pcie.dpc=false", "run.deadline=\"2 s\""});
    EXPECT_EQ(r.result["pcie"]["poisoned_writes"], 1);
    EXPECT_EQ(r.result["pcie"]["contained"], 0);
    caught += r.monitor("I-RX-2")["violations"] > 0;
  }
  EXPECT_GT(caught, 0u) << "one of these writes was payload";
}

TEST(poisoned, doorbell_is_rung_again_and_nothing_else_happens) {
  std::uint64_t again = 0;
  for (const double at : {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}) {
    const program_run r =
        run_program(scenario_file("failover.toml"), {fault_at_fraction(at, "poisoned_doorbell")});
    expect_held(r, 0);
    EXPECT_EQ(r.result["pcie"]["poisoned_writes"], 1);
    EXPECT_EQ(r.result["pcie"]["err_nonfatal"], 1) << "the adapter tells the root port";
    EXPECT_EQ(r.result["pcie"]["err_cor"], 0);
    EXPECT_EQ(r.result["pcie"]["err_fatal"], 0);
    EXPECT_EQ(r.result["faults"][0]["outcome"], "recovered");
    again += r.result["host_interface"]["lost_doorbells"].get<std::uint64_t>();
  }
  EXPECT_GT(again, 0u) << "the others were made good by the next doorbell";
}

// Nobody writes to a substitute that waits.
TEST(poisoned, doorbell_that_nobody_rings_is_a_fault_that_was_not_activated) {
  const program_run r = run_program(scenario_file("failover.toml"),
                                    {"fault=[{kind=\"poisoned_doorbell\", target=\"B\", at_fraction=0.5}]"});
  EXPECT_EQ(r.status, 1) << r.output;
  EXPECT_NE(r.reasons().find("never activated"), std::string::npos) << r.reasons();
  EXPECT_EQ(r.result["faults"][0]["outcome"], "not activated");
}

TEST(link_fault, broken_tlps_cost_time_and_nothing_else) {
  const program_run r = run_program(scenario_file("failover.toml"), {"pcie.lcrc_errors=10000"});
  expect_held(r, 1);
  EXPECT_GT(r.result["pcie"]["lcrc_errors"], 100);
}

TEST(link_fault, lost_dllps_cost_time_and_nothing_else) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {"pcie.dllp_errors=20000", "pcie.lcrc_errors=2000"});
  expect_held(r, 1);
  EXPECT_GT(r.result["pcie"]["bad_dllps"], 100);
  EXPECT_GT(r.result["pcie"]["replay_timeouts"], 0);
  EXPECT_GT(r.result["pcie"]["err_cor"], 10) << "adapters tell of those that they have found";
}

// Every byte that an engine was to read is there, failed or was given up, and the result says which.
void expect_reads_accounted(const program_run& r) {
  const auto figure = [&](const char* key) { return r.result["dma"][key].get<std::uint64_t>(); };
  EXPECT_EQ(figure("read_bytes_done") + figure("read_bytes_failed") + figure("read_bytes_aborted"),
            figure("read_bytes"));
}

TEST(dma_counts, of_a_run_without_faults_have_no_failure) {
  const program_run r = run_program(scenario_file("hello.toml"));
  expect_reads_accounted(r);
  for (const char* key : {"refused", "failed", "timeouts", "unexpected", "read_bytes_failed",
                          "read_bytes_aborted", "write_bytes_aborted"})
    EXPECT_EQ(r.result["dma"][key], 0) << key;
  EXPECT_EQ(r.result["dma"]["read_bytes"].get<std::uint64_t>() +
                r.result["dma"]["write_bytes"].get<std::uint64_t>(),
            r.result["host_interface"]["dma_bytes"].get<std::uint64_t>());
  EXPECT_GT(r.result["dma"]["requests"], 0);
}

// What an adapter reads the driver has written last: descriptors and payload. Only a cache too small for them
// makes the host fetch lines from memory.
TEST(host_cache, holds_what_the_driver_has_written_for_the_adapter) {
  const std::vector<std::string> set = {"pcie.cache=\"20 MiB\"", "pcie.cache_miss=\"200 ns\""};
  const program_run r = run_program(scenario_file("hello.toml"), set);
  ASSERT_EQ(r.status, 0) << r.reasons();
  EXPECT_GT(r.result["pcie"]["cache"]["core_lines"], 0);
  EXPECT_EQ(r.result["pcie"]["cache"]["memory_lines"], 0);
  const program_run small =
      run_program(scenario_file("hello.toml"), {"pcie.cache=\"4 KiB\"", "pcie.cache_miss=\"200 ns\""});
  EXPECT_GT(small.result["pcie"]["cache"]["memory_lines"], 0);
  const program_run none = run_program(scenario_file("hello.toml"));
  EXPECT_EQ(none.result["pcie"]["cache"]["core_lines"], 0);
}

TEST(link_fault, reads_that_fail_are_survived) {
  const program_run r =
      run_program(scenario_file("hello.toml"),
                  {"topology.adapters=2", "pcie.poisoned_reads=2000", "pcie.aborted_reads=2000"});
  EXPECT_GT(r.result["dma"]["failed"], 0);
  EXPECT_GT(r.result["dma"]["read_bytes_failed"], 0);
  expect_reads_accounted(r);
  EXPECT_GT(r.result["pcie"]["poisoned"].get<int>() + r.result["pcie"]["aborted"].get<int>(), 0);
  EXPECT_EQ(r.result["bytes"]["delivered"], r.result["bytes"]["expected"]) << r.reasons();
  for (const auto& m : r.result["monitors"]) EXPECT_EQ(m["violations"], 0) << m.dump();
}

// Payload overtakes where the IOMMU makes writes wait; commit records do not, and so every monitor is
// content.
TEST(relaxed_ordering, of_payload_changes_no_order_that_anybody_relies_on) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {"pcie.iommu=true", "adapter.relaxed_ordering=true"});
  expect_held(r, 1);
  EXPECT_GT(r.result["pcie"]["overtakings"], 0);
}

TEST(relaxed_ordering, of_commit_records_is_caught) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {"pcie.iommu=true", "mutants=[\"relaxed_records\"]"});
  EXPECT_GT(r.result["pcie"]["overtakings"], 0);
  EXPECT_GT(r.monitor("I-RX-2")["violations"], 0);
}

TEST(relaxed_ordering, is_off_unless_asked_for) {
  const program_run r = run_program(scenario_file("hello.toml"), {"pcie.iommu=true"});
  expect_held(r, 0);
  EXPECT_EQ(r.result["pcie"]["overtakings"], 0);
}

TEST(iommu_on, every_dma_of_a_run_and_its_failover_lies_in_what_the_driver_mapped) {
  const program_run r = run_program(scenario_file("failover.toml"), {"pcie.iommu=true"});
  expect_held(r, 1);
  const auto& i = r.result["pcie"]["iommu"];
  EXPECT_EQ(i["refused"], 0);
  EXPECT_GT(i["maps"], 0);
  EXPECT_GT(i["misses"], 0);
  EXPECT_EQ(r.result["pcie"]["unsupported"], 0);
}

}  // namespace
}  // namespace understudy::tb
