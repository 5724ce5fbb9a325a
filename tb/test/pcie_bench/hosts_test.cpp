// The card on three measured hosts, each described by three of its latencies: what the model predicts beside
// what was measured and what the mean of the other hosts would predict.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "tb/pcie_bench/bench.h"
#include "tb/pcie_bench/calibrate.h"
#include "tb/pcie_bench/card_file.h"
#include "tb/pcie_bench/tables.h"
#include "tb/platform/configure.h"
#include "tb/test/pcie_bench/measured_hosts.h"

namespace understudy::tb {
namespace {

TEST(hosts, the_latency_of_the_card_alone_is_what_calibrate_simulates) {
  const card_parameters card = load_card("nfp6000");
  const auto simulated = card_latencies(card), computed = card_alone(card);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(simulated[i], computed[i], 1.0) << calibration_sizes[i];
}

TEST(hosts, bandwidth_and_latency_of_each_host_follow_from_three_latencies) {
  const card_parameters card = load_card("nfp6000");
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const char* h : hosts) {
    made.push_back(std::make_unique<bench>(h, pcie_of(profile_of(h, card)), card, data_set_plan()));
    all.push_back(made.back().get());
  }
  bench::run(all);

  std::printf(
      "mean absolute error in %%         reads  writes  both   all | null model: reads writes both\n");
  double total = 0, reads = 0, null_reads = 0;
  for (std::size_t h = 0; h < host_count; ++h) {
    const by_test_and_size truth = measured_rates(hosts[h]), model = rates_of(*made[h]);
    const by_test_and_size null_model = mean_of_others(h);
    double e[3], null_error[3];
    for (int t = 0; t < 3; ++t) {
      e[t] = error_of(model, truth, rates[t]);
      null_error[t] = error_of(null_model, truth, rates[t]);
      EXPECT_LE(e[t], 6.0) << hosts[h] << " " << rates[t];
    }
    const double mean = (e[0] + e[1] + e[2]) / 3;
    std::printf("  %-22s         %5.2f   %5.2f %5.2f %5.2f |             %5.2f  %5.2f %5.2f\n", hosts[h],
                e[0], e[1], e[2], mean, null_error[0], null_error[1], null_error[2]);
    EXPECT_LE(mean, 4.0) << hosts[h];
    EXPECT_LE(e[0], null_error[0]) << hosts[h] << ": the mean of the others predicts reads better";
    total += mean / host_count;
    reads += e[0] / host_count;
    null_reads += null_error[0] / host_count;
  }
  std::printf("  bandwidth of all: %.2f %%; reads %.2f %%, null model %.2f %%\n", total, reads, null_reads);
  EXPECT_LE(total, 4.0);
  EXPECT_LT(reads, null_reads);

  for (std::size_t h = 0; h < host_count; ++h) {
    const latency_table truth = read_latencies(data + hosts[h] + std::string("/lat_dma_sizes.csv"));
    std::map<std::string, std::pair<double, unsigned>> sum;
    for (const auto& r : made[h]->results().latency) {
      const bool given = r.test == "LAT_DMA_RD" && (r.size == 8 || r.size == 64 || r.size == 512);
      if (given || r.test.starts_with("LAT_CMD")) continue;
      auto& [error, n] = sum[r.test];
      error += std::abs(r.median_ns / truth.at({r.test, r.size}).median_ns - 1);
      ++n;
    }
    ASSERT_EQ(sum.size(), 2u);
    for (const auto& [test, s] : sum) {
      std::printf("  %-22s %-12s %5.2f %% of %u sizes that were not given\n", hosts[h], test.c_str(),
                  100 * s.first / s.second, s.second);
      EXPECT_LE(100 * s.first / s.second, 3.0) << hosts[h] << " " << test;
    }
  }
}

// Beyond the sizes of the data set: the directions are beside one another, whatever a transfer takes of slots
// and of the link.
TEST(hosts, bandwidth_of_both_directions_does_not_fall_with_large_transfers) {
  const card_parameters card = load_card("nfp6000");
  bench_plan plan = plan_of({2048, 4096, 8192, 16384, 65536});
  plan.latency_sizes.clear();
  plan.transfers = 400;
  bench b("large", pcie_of(profile_of(hosts[0], card)), card, plan);
  bench::run({&b});
  const by_test_and_size rate = rates_of(b);
  ASSERT_EQ(rate.size(), 15u);
  for (const char* test : rates)
    for (const std::uint32_t size : {4096u, 8192u, 16384u, 65536u})
      EXPECT_NEAR(rate.at({test, size}) / rate.at({test, 2048u}), 1, 0.02) << test << " " << size;
}

// One set of IOMMU parameters for all hosts.
TEST(hosts, with_the_iommu_on_bandwidth_falls_with_the_window_as_measured) {
  const card_parameters card = load_card("nfp6000");
  const char* const with_iommu[] = {"hsw-e5-2637v3", "bdw-e5-2630v4-local"};
  const struct {
    const char* file;
    const char* test;
    std::uint32_t size;
  } sweeps[] = {{"rd_rnd_64", "BW_DMA_RD", 64},
                {"rd_rnd_256", "BW_DMA_RD", 256},
                {"rd_rnd_512", "BW_DMA_RD", 512},
                {"wr_rnd_64", "BW_DMA_WR", 64}};
  std::vector<std::uint64_t> windows;
  for (const auto& r : read_bandwidths(data + "hsw-e5-2637v3-iommu/bw_dma_win_sweep_rd_rnd_64.csv"))
    if (r.cache == "HWarm") windows.push_back(r.window);
  ASSERT_EQ(windows.size(), 13u);
  bench_plan plan = plan_of({64, 256, 512});
  plan.latency_sizes.clear();
  plan.command_sizes.clear();
  plan.windows = windows;
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const char* h : with_iommu) {
    pcie_config bus = pcie_of(profile_of(h, card));
    bus.translation.on = true;
    made.push_back(std::make_unique<bench>(h, bus, card, plan));
    all.push_back(made.back().get());
  }
  bench::run(all);
  for (std::size_t h = 0; h < std::size(with_iommu); ++h)
    for (const auto& s : sweeps) {
      std::map<std::uint64_t, double> model;
      for (const auto& r : made[h]->results().bandwidth)
        if (r.test == s.test && r.size == s.size) model[r.window] = r.gbps;
      double error = 0;
      unsigned n = 0;
      for (const auto& r :
           read_bandwidths(data + with_iommu[h] + "-iommu/bw_dma_win_sweep_" + s.file + ".csv")) {
        if (r.cache != "HWarm" || r.test != s.test) continue;
        error += std::abs(model.at(r.window) / r.gbps - 1);
        ++n;
      }
      ASSERT_EQ(n, 13u);
      std::printf("%-22s %-10s %4u bytes: %5.2f %% of 13 windows\n", with_iommu[h], s.test, s.size,
                  100 * error / n);
      EXPECT_LE(100 * error / n, std::string(s.test) == rates[1] ? 10.0 : 8.0);
    }
}

}  // namespace
}  // namespace understudy::tb
