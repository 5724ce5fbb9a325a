// What a host counted, of all its adapters together.
#pragma once
#include "tb/platform/platform.h"
#include "tb/report/result.h"

namespace understudy::tb {

// Fill `host_interface`, `announce` (but for its latency), `dma`, `pcie`, `table`, `timers`, `path_mtu`,
// `dropped_frames`, `memory` and `rtl` of `r`, where nothing stands yet.
void count_host(run_result& r, const host_side& host, const scenario& s);

// Add what both directions of a wire did to frames.
void add_wire(wire_counts& sum, const eth_link& link);

}  // namespace understudy::tb
