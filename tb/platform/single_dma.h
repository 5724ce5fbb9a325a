// Frames that the host's stack builds, in one DMA and gathered from two buffers, beside the formulas.
#pragma once
#include <vector>

#include "model/core/event_log.h"
#include "tb/platform/platform.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// What the published formulas say of a frame whose pieces lie at `pieces`, fetched with at most `raw_reads`
// outstanding, behind its descriptors at `table` (one each): requests of MRRS and 4 KiB, completions of MPS
// and RCB, serialised on the way down; nothing else on the link.
struct raw_piece_at {
  std::uint64_t at = 0;
  std::uint32_t bytes = 0;
};
struct raw_forecast {
  double latency_ns = 0;  // doorbell's arrival to the frame's first bit
  std::uint64_t tlps = 0, link_bytes = 0;
};
raw_forecast forecast_raw(const pcie_config& bus, const adapter_config& card, std::uint64_t table,
                          const std::vector<raw_piece_at>& pieces);

// Run the started platform until s.workload.raw_packets frames of each size have left in each layout, in
// turn. One row a size and layout. std::runtime_error if a frame does not leave.
std::vector<single_dma_row> run_single_dma(platform& p, event_log& log, const scenario& s);

}  // namespace understudy::tb
