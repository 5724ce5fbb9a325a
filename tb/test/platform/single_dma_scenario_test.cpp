// traces/scenarios/single_dma.toml: both layouts in turn, beside the formulas, with every monitor on.
#include <cmath>
#include <iostream>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

TEST(single_dma_scenario, measures_what_the_formulas_say_in_either_layout_and_holds) {
  const program_run r = run_program(scenario_file("single_dma.toml"));
  ASSERT_EQ(r.status, 0) << r.reasons();
  const auto& rows = r.result["single_dma"];
  ASSERT_EQ(rows.size(), 16u);
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    const auto &one = rows[i], &two = rows[i + 1];
    ASSERT_EQ(one["layout"], "single");
    ASSERT_EQ(two["layout"], "gather");
    EXPECT_EQ(one["operations"], 1.0);
    EXPECT_EQ(two["operations"], 2.0);
    EXPECT_EQ(one["maps"], 0.0);
    EXPECT_EQ(one["unmaps"], 0.0);
    EXPECT_EQ(two["maps"], 2.0);
    for (const auto& row : {one, two}) {
      EXPECT_EQ(row["tlps"], row["tlps_analytic"]);
      EXPECT_EQ(row["link_bytes"], row["link_bytes_analytic"]);
    }
    const double gain = two["latency_ps"].get<double>() - one["latency_ps"].get<double>();
    const double formula =
        two["latency_analytic_ps"].get<double>() - one["latency_analytic_ps"].get<double>();
    std::cout << one["bytes"] << " bytes: gain " << gain / 1e3 << " ns, by the formulas " << formula / 1e3
              << " ns\n";
    EXPECT_LE(std::abs(gain / formula - 1), 0.02);
  }
}

TEST(single_dma_scenario, with_two_reads_at_a_time_little_is_left_of_the_gain) {
  const program_run r =
      run_program(scenario_file("single_dma.toml"), {"adapter.raw_reads=2", "workload.raw_packets=5"});
  ASSERT_EQ(r.status, 0) << r.reasons();
  for (std::size_t i = 0; i < r.result["single_dma"].size(); i += 2) {
    const auto &one = r.result["single_dma"][i], &two = r.result["single_dma"][i + 1];
    EXPECT_LT(two["latency_ps"].get<double>() - one["latency_ps"].get<double>(), 40e3);
  }
}

TEST(single_dma_scenario, goes_through_the_RTL_engine_as_well) {
  const program_run r = run_program(scenario_file("single_dma.toml"),
                                    {"adapter.rtl=[\"dma_engine\"]", "workload.raw_packets=5"});
  ASSERT_EQ(r.status, 0) << r.reasons();
  for (const auto& row : r.result["single_dma"])
    EXPECT_NEAR(row["latency_ps"].get<double>() / row["latency_analytic_ps"].get<double>(), 1, 0.05);
}

}  // namespace
}  // namespace understudy::tb
