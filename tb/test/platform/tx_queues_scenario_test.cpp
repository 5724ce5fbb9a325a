// traces/scenarios/tx_queues.toml: what a small frame waits for, and what the test bench shows of the queues.
#include <fstream>
#include <iostream>
#include <sstream>

#include "tb/test/platform/program.h"
#include "tb/test/platform/tshark.h"

namespace understudy::tb {
namespace {

TEST(tx_queues_scenario, small_frame_with_a_queue_of_its_own_waits_for_one_frame_of_each_other_at_most) {
  const program_run r = run_program(scenario_file("tx_queues.toml"));
  ASSERT_EQ(r.status, 0) << r.reasons();
  const auto& rows = r.result["queue_waits"];
  ASSERT_EQ(rows.size(), 2u);
  const double one = rows[0]["wait_ps"]["p50"], own = rows[1]["wait_ps"]["p50"],
               most = rows[1]["wait_ps"]["max"];
  std::cout << "one queue " << one / 1e6 << " us, its own " << own / 1e6 << " us\n";
  EXPECT_EQ(rows[0]["queues"], 1);
  EXPECT_EQ(rows[1]["queues"], 2);
  EXPECT_EQ(rows[1]["samples"], 50);
  EXPECT_GT(one, 40 * own);
  // A frame of 9000 bytes takes 7.23 us at 10 Gb/s, a doorbell to first bit without any other 1.2 us.
  EXPECT_LT(most, 9e6);
  EXPECT_EQ(r.result["raw_frames"]["sent"], 2 * 50 * 49);
  EXPECT_EQ(r.result["raw_frames"]["failed"], 0);
}

TEST(tx_queues_scenario, small_frame_waits_for_more_others_the_more_queues_there_are) {
  const program_run r =
      run_program(scenario_file("tx_queues.toml"), {"adapter.tx_queues=8", "workload.raw_queues=8"});
  ASSERT_EQ(r.status, 0) << r.reasons();
  const double most = r.result["queue_waits"][1]["wait_ps"]["max"];
  EXPECT_LT(most, 8 * 7.3e6) << "one frame of each of seven queues and the one on the wire";
  EXPECT_GT(most, 4 * 7.3e6);
}

TEST(tx_queues_scenario, gives_the_same_events_again_and_holds_with_the_dma_engine_in_rtl) {
  const program_run a = run_program(scenario_file("tx_queues.toml")),
                    b = run_program(scenario_file("tx_queues.toml"));
  EXPECT_EQ(a.hash(), b.hash());
  const program_run rtl = run_program(scenario_file("tx_queues.toml"), {"adapter.rtl=[\"dma_engine\"]"});
  EXPECT_EQ(rtl.status, 0) << rtl.reasons();
}

TEST(tx_queues_scenario, holds_where_the_indices_of_rings_wrap) {
  const program_run r = run_program(scenario_file("tx_queues.toml"), {"adapter.first_index=4294967200"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["raw_frames"]["sent"], 2 * 50 * 49);
}

TEST(tx_queues_scenario, holds_behind_an_iommu) {
  const program_run r = run_program(scenario_file("tx_queues.toml"), {"pcie.iommu=true"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["raw_frames"]["sent"], 2 * 50 * 49);
  EXPECT_GT(r.result["pcie"]["iommu"]["hits"], 2 * 50 * 49) << "every frame is translated";
  EXPECT_EQ(r.result["pcie"]["iommu"]["refused"], 0);
}

// The negative control of the rings' monitor.
TEST(tx_queues_scenario, fetch_beyond_a_queues_doorbell_is_noticed) {
  const program_run r = run_program(scenario_file("tx_queues.toml"),
                                    {R"(mutants=["fetch_beyond_tail"])", "workload.connections=1"});
  EXPECT_EQ(r.status, 1);
  EXPECT_GT(r.violations("I-Q-2"), 0u);
  EXPECT_NE(r.reasons().find("I-Q-2"), std::string::npos);
}

TEST(tx_queues_scenario, more_queues_than_the_adapter_has_are_refused) {
  for (const char* wrong : {"workload.raw_queues=3", "workload.raw_queues=1"}) {
    const program_run r = run_program(scenario_file("tx_queues.toml"), {wrong});
    EXPECT_EQ(r.status, 2) << wrong;
  }
  EXPECT_EQ(run_program(scenario_file("tx_queues.toml"), {"adapter.tx_queues=9"}).status, 2);
}

TEST(tx_queues_capture, names_the_ring_of_each_descriptor_and_report) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run r = run_program(scenario_file("tx_queues.toml"), {}, "--captures all --timeline");
  ASSERT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(
      dissected(r, "understudy_descriptor.ring == \"transmit 0\"", "-e understudy_descriptor.index").size(),
      50u * 49 + 50 * 48);
  const auto small =
      dissected(r, "understudy_descriptor.ring == \"transmit 1\"", "-e understudy_descriptor.index");
  ASSERT_EQ(small.size(), 50u);
  for (std::size_t i = 0; i < small.size(); ++i) EXPECT_EQ(small[i], std::to_string(i));
  EXPECT_EQ(
      dissected(r, "understudy_descriptor.about == \"transmit 1\"", "-e understudy_descriptor.last").size(),
      50u);
  EXPECT_EQ(dissected(r, "understudy_descriptor.ring == \"input\" && understudy_descriptor.opcode == 14",
                      "-e frame.number")
                .size(),
            0u)
      << "none by the input table";
  std::ifstream file(r.out / "timeline.json");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("TX 0 TAIL"), std::string::npos);
  EXPECT_NE(text.str().find("TX 1 TAIL"), std::string::npos);
}

}  // namespace
}  // namespace understudy::tb
