// A host from three measured latencies of the card on it.
#pragma once
#include <array>
#include <string>

#include "tb/pcie_bench/bench.h"
#include "tb/pcie_bench/tables.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// LAT_DMA_RD of these sizes is all that is looked at.
inline constexpr std::array<std::uint32_t, 3> calibration_sizes = {8, 64, 512};

// The latencies of `card` on a host that takes no time, in ns, by calibration_sizes. Simulates.
std::array<double, 3> card_latencies(const card_parameters& card);

// How much of a host's latency is the way to a line that a core holds. Reads of such lines were slower than
// reads of lines that the device wrote by 14, 38 and 14 ns on hosts with 558, 597 and 552 ns for 64 bytes of
// a core: of what a host is slower than another, three fifths are that way.
struct snoop_rule {
  double latency_ns = 555, snoop_ns = 14;  // of a usual host
  double share = 0.6;                      // of what a host is slower than that
};

// The host behind `measured`, as parameters `pcie.*` of a scenario. Throws scenario_error naming `path` where
// one of the three rows is missing, a larger read is faster, the growth from the least to the largest is
// several times that of card and link, a latency is shorter than the card's own, or a parameter comes out of
// the range that a scenario allows.
scenario host_profile(const latency_table& measured, const std::string& path,
                      const std::array<double, 3>& card_ns, const snoop_rule& rule = {});

// The profile as a scenario file that says where it comes from.
std::string profile_text(const scenario& host, const std::string& origin);

}  // namespace understudy::tb
