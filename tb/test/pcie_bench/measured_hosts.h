// The three measured hosts of traces/pcie-bench beside the model: errors, and the model that knows nothing
// but the mean of the other hosts.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "tb/pcie_bench/bench.h"
#include "tb/pcie_bench/calibrate.h"
#include "tb/pcie_bench/tables.h"

namespace understudy::tb {

inline const std::string data = std::string(US_SOURCE_DIR) + "/traces/pcie-bench/";
inline const char* const hosts[] = {"snb-e5-2630", "hsw-e5-2637v3", "bdw-e5-2630v4-local"};
inline constexpr std::size_t host_count = std::size(hosts);
inline const char* const rates[] = {"BW_DMA_RD", "BW_DMA_WR", "BW_DMA_RW"};

// LAT_DMA_RD on the card and link alone, computed: elaboration cannot follow the run of card_latencies().
inline std::array<double, 3> card_alone(const card_parameters& card) {
  const link_parameters link;
  std::array<double, 3> ns{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::uint32_t n = calibration_sizes[i];
    const double rate = raw_rate(link) * skp_share() / 8e9;  // bytes each ns
    const std::uint32_t first = first_completion(link, 0, n);
    const double wires = (tlp_wire_bytes(link, tlp_type::memory_read, 0, true) +
                          tlp_wire_bytes(link, tlp_type::completion_data, padded_bytes(0, first), false)) /
                         rate;
    ns[i] = static_cast<double>(card.read_overhead) / 1000 + 100 + wires +
            n * static_cast<double>(card.memory_byte) / 1000 -
            (n > first ? static_cast<double>(card.tlp_gap) / 1000 : 0);
  }
  return ns;
}

inline scenario profile_of(const char* host, const card_parameters& card, const snoop_rule& rule = {}) {
  const std::string path = data + host + "/lat_dma_sizes.csv";
  return host_profile(read_latencies(path), path, card_alone(card), rule);
}

using by_test_and_size = std::map<std::pair<std::string, std::uint32_t>, double>;

inline by_test_and_size measured_rates(const char* host) {
  by_test_and_size t;
  for (const auto& r : read_bandwidths(data + host + "/bw_dma_sz_sweep.csv")) t[{r.test, r.size}] = r.gbps;
  return t;
}

inline by_test_and_size rates_of(const bench& b) {
  by_test_and_size t;
  for (const auto& r : b.results().bandwidth) t[{r.test, r.size}] = r.gbps;
  return t;
}

// Mean absolute error of one test over all sizes, in percent.
inline double error_of(const by_test_and_size& model, const by_test_and_size& truth,
                       const std::string& test) {
  double sum = 0;
  unsigned n = 0;
  for (const auto& [key, value] : truth) {
    if (key.first != test) continue;
    sum += std::abs(model.at(key) / value - 1);
    ++n;
  }
  EXPECT_EQ(n, 40u) << test;
  return 100 * sum / n;
}

inline by_test_and_size mean_of_others(std::size_t left_out) {
  by_test_and_size mean;
  for (std::size_t h = 0; h < host_count; ++h)
    if (h != left_out)
      for (const auto& [key, value] : measured_rates(hosts[h])) mean[key] += value / (host_count - 1);
  return mean;
}

}  // namespace understudy::tb
