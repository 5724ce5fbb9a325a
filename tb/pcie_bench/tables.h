// Results and measured data as CSV.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tb/pcie_bench/bench.h"

namespace understudy::tb {

// Gb/s with six significant digits.
std::string bandwidth_csv(const std::vector<bandwidth_row>& rows);  // test,size,gbps
std::string window_csv(const std::vector<bandwidth_row>& rows);     // test,size,window,gbps
std::string latency_csv(const std::vector<latency_row>& rows);      // test,size,median_ns,p95_ns,p999_ns

// A latency file of the data set, with or without a byte order mark: column `Test`, `SZ` in bytes, and of
// each row the times that are used here.
struct measured_latency {
  double average_ns = 0, median_ns = 0, p95_ns = 0, p999_ns = 0;
  std::size_t line = 0;  // of the file; 0: of none
};
using latency_table = std::map<std::pair<std::string, std::uint32_t>, measured_latency>;
// Throws scenario_error, path:line: what is wrong: a field that is no number above 0 or out of range, a size
// that is no whole number, a test and size that a line before had, times that fall from the least (where the
// file has `Min(ns)`) by way of the percentiles to the largest (`Max(ns)`), an average outside of those two,
// above the 99.9 % or below half of the median.
latency_table read_latencies(const std::string& path);

// A bandwidth file of the data set: Gb/s (whatever its heading says) by test, cache state, size and window.
struct measured_bandwidth {
  std::string test, cache;
  std::uint32_t size = 0;
  std::uint64_t window = 0;
  double gbps = 0;
};
std::vector<measured_bandwidth> read_bandwidths(const std::string& path);

}  // namespace understudy::tb
