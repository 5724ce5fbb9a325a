// A card on a link to a host, measured as pcie-bench does: bandwidth by size at random places of a window
// that the host's cores have written, latency by size one transfer after the other.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/pcie/bench_card.h"
#include "model/pcie/pcie_port.h"

namespace understudy::tb {

struct bandwidth_row {
  std::string test;  // BW_DMA_RD, BW_DMA_WR, BW_DMA_RW
  std::uint32_t size = 0;
  std::uint64_t window = 0;  // as the plan has it
  double gbps = 0;
};
struct latency_row {
  std::string test;  // LAT_DMA_RD, LAT_DMA_WRRD, LAT_CMD_RD, LAT_CMD_WRRD
  std::uint32_t size = 0;
  double median_ns = 0, p95_ns = 0, p999_ns = 0;
};
struct bench_results {
  std::vector<bandwidth_row> bandwidth;
  std::vector<latency_row> latency;
};

// What is measured. Sizes and windows are each named once.
struct bench_plan {
  std::vector<std::uint32_t> bandwidth_sizes;
  std::vector<std::uint32_t> latency_sizes;  // of DMA; the command interface moves those up to 64 bytes
  std::vector<std::uint32_t> command_sizes;
  // For bandwidth; one that is smaller than a place of a size is measured as that one place.
  std::vector<std::uint64_t> windows{default_window};
  std::uint32_t transfers = 4000;  // for each bandwidth
  std::uint32_t samples = 2000;    // for each latency
  static constexpr std::uint64_t default_window = 8192;
};
// Host memory that a transfer of `size` bytes has to itself: those of an analytic figure (`ideal`) begin at
// pages, those of a measurement at lines.
std::uint32_t place_bytes(std::uint32_t size, bool ideal);

// The sizes of the data set.
bench_plan data_set_plan();
// The same tests at `sizes`.
bench_plan plan_of(const std::vector<std::uint32_t>& sizes);

// The analytic convention: no latency, no limits, worst-case DLLP spacing, no padding.
pcie_config ideal_bus(const link_parameters& link);

// Made during elaboration; several may be measured in one process, beside one another.
class bench {
 public:
  bench(const std::string& name, const pcie_config& bus, const card_parameters& card, const bench_plan& plan);
  ~bench();
  // Carry out the plans of all of `benches`: one simulation.
  static void run(const std::vector<bench*>& benches);
  const bench_results& results() const { return results_; }

 private:
  struct parts;
  struct step;
  void next();

  std::unique_ptr<parts> parts_;
  std::vector<step> steps_;
  std::size_t at_ = 0;
  bench_results results_;
};

}  // namespace understudy::tb
