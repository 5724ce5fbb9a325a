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
    EXPECT_EQ(two["unmaps"], 2.0);
    for (const auto& row : {one, two}) {
      EXPECT_EQ(row["iommu_maps"], 0.0) << "there is no IOMMU";
      const double rate = row["packets_per_s"], formula_rate = row["packets_per_s_analytic"];
      std::cout << row["bytes"] << " bytes, " << row["layout"] << ": " << rate / 1e6
                << " M packets/s, by the formulas " << formula_rate / 1e6 << "\n";
      EXPECT_LE(std::abs(rate / formula_rate - 1), 0.05);
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

// Two descriptors lie on either side of the table's end, which takes two reads.
TEST(single_dma_scenario, formulas_hold_wherever_the_table_begins) {
  const program_run r = run_program(scenario_file("single_dma.toml"),
                                    {"adapter.first_index=4294967293", "workload.raw_packets=1"});
  ASSERT_EQ(r.status, 0) << r.reasons();
  ASSERT_EQ(r.result["single_dma"].size(), 16u);
  for (const auto& row : r.result["single_dma"]) {
    EXPECT_EQ(row["tlps"], row["tlps_analytic"]) << row;
    EXPECT_EQ(row["link_bytes"], row["link_bytes_analytic"]) << row;
  }
}

// Ethernet at 400 Gb/s, so that the bus decides.
TEST(single_dma_scenario, one_DMA_a_packet_doubles_the_rate_of_small_packets_while_reads_go_one_by_one) {
  const program_run r =
      run_program(scenario_file("single_dma.toml"), {"workload.raw_packets=1", "wire.rate=\"400 Gb/s\""});
  ASSERT_EQ(r.status, 0) << r.reasons();
  double gain = 3;
  for (std::size_t i = 0; i < r.result["single_dma"].size(); i += 2) {
    const auto &one = r.result["single_dma"][i], &two = r.result["single_dma"][i + 1];
    const double a = one["packets_per_s"], b = two["packets_per_s"];
    std::cout << one["bytes"] << " bytes: " << a / 1e6 << " and " << b / 1e6 << " M packets/s\n";
    for (const auto& row : {one, two})
      EXPECT_NEAR(row["packets_per_s"].get<double>() / row["packets_per_s_analytic"].get<double>(), 1, 0.05);
    if (i == 0) {
      EXPECT_GT(a / b, 1.8);
    }
    EXPECT_LT(a / b, gain) << "the gain shrinks with the size";
    gain = a / b;
  }
}

// What is printed about maps is what the adapter's IOMMU was asked for.
TEST(single_dma_scenario, the_IOMMU_counts_the_maps_that_are_printed) {
  const program_run r =
      run_program(scenario_file("single_dma.toml"), {"pcie.iommu=true", "workload.raw_packets=20"});
  ASSERT_EQ(r.status, 0) << r.reasons();
  const auto& rows = r.result["single_dma"];
  ASSERT_EQ(rows.size(), 16u);
  for (const auto& row : rows) {
    EXPECT_EQ(row["maps"], row["layout"] == "gather" ? 2.0 : 0.0);
    EXPECT_EQ(row["iommu_maps"], row["maps"]) << row["bytes"] << " " << row["layout"];
    EXPECT_EQ(row["iommu_unmaps"], row["unmaps"]) << row["bytes"] << " " << row["layout"];
    EXPECT_EQ(row["maps"], row["unmaps"]);
  }
  const auto& raw = r.result["raw_frames"];
  EXPECT_EQ(raw["maps"], raw["unmaps"]);
  EXPECT_EQ(raw["maps"], 2 * raw["gathered"].get<std::uint64_t>());
  EXPECT_EQ(raw["gathered"], 8 * (20 + 48));
  EXPECT_EQ(r.result["pcie"]["iommu"]["refused"], 0);
  EXPECT_GE(r.result["pcie"]["iommu"]["maps"].get<std::uint64_t>(), raw["maps"].get<std::uint64_t>());
}

TEST(single_dma_scenario, prints_for_each_size_what_the_result_holds) {
  const std::filesystem::path out = test_folder();
  std::filesystem::create_directories(out);
  const program_run r = shell(quoted(US_PROGRAM) + " run " + quoted(scenario_file("single_dma.toml")) +
                              " --captures off --out " + quoted(out.string()));
  ASSERT_EQ(r.status, 0) << r.output;
  std::ifstream file(out / "result.json");
  const nlohmann::json result = nlohmann::json::parse(file);
  std::vector<std::string> lines;
  std::istringstream text(r.output);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  const auto number = [](double v, int digits) {
    char s[32];
    std::snprintf(s, sizeof s, "%.*f", digits, v);
    return std::string(s);
  };
  const auto& rows = result["single_dma"];
  ASSERT_EQ(rows.size(), 16u);
  std::size_t at = 0;
  while (at < lines.size() && lines[at].rfind("single DMA", 0) != 0) ++at;
  ASSERT_LT(at + 3 * 8 + 1, lines.size()) << r.output;
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    const auto &a = rows[i], &b = rows[i + 1];
    const auto pair = [&](const char* key, double unit, int digits) {
      return number(a[key].get<double>() / unit, digits) + "/" + number(b[key].get<double>() / unit, digits);
    };
    const double gain = b["latency_ps"].get<double>() - a["latency_ps"].get<double>();
    const double formula = b["latency_analytic_ps"].get<double>() - a["latency_analytic_ps"].get<double>();
    const std::string indent(13, ' ');
    EXPECT_EQ(lines[++at], indent + number(a["bytes"], 0) + " B: " + pair("operations", 1, 2) + " ops, " +
                               pair("maps", 1, 0) + " maps, " + pair("unmaps", 1, 0) + " unmaps, " +
                               pair("tlps", 1, 0) + " TLPs [" + pair("tlps_analytic", 1, 0) + "]");
    EXPECT_EQ(lines[++at], indent + "  " + pair("link_bytes", 1, 0) + " B on the link [" +
                               pair("link_bytes_analytic", 1, 0) + "], " + pair("packets_per_s", 1e6, 3) +
                               " M packets/s [" + pair("packets_per_s_analytic", 1e6, 3) + "]");
    EXPECT_EQ(lines[++at], indent + "  " + pair("latency_ps", 1e3, 1) + " ns [" +
                               pair("latency_analytic_ps", 1e3, 1) + "], gain " + number(gain / 1e3, 1) +
                               " ns [" + number(formula / 1e3, 1) + "]");
    EXPECT_NE(a["bytes"].get<int>(), 0);
  }
  EXPECT_EQ(lines[++at], std::string(13, ' ') +
                             "fallbacks: header too long 0, other interface 0, pool empty 0; "
                             "0 frames not sent");
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
  EXPECT_GT(r.result["rtl"]["dma_engine"]["cycles"].get<std::uint64_t>(), 0u);
  for (const auto& row : r.result["single_dma"])
    EXPECT_NEAR(row["latency_ps"].get<double>() / row["latency_analytic_ps"].get<double>(), 1, 0.05);
}

}  // namespace
}  // namespace understudy::tb
