// Cutting a failed adapter off: afterwards nothing that it does can reach host memory.
#pragma once
#include "host_sw/hal/hal.h"

namespace understudy::host {

enum class fence_result : unsigned char {
  bus_master,  // bus-master enable is clear and the adapter itself answered a read sent behind: its posted
               // writes have landed
  link,        // the link above it is disabled and the port answered a read sent behind
  mappings,    // its IOMMU mappings are revoked, and an invalidation with drain has completed
  failed,      // none could be had
};

// First the polite way, which needs the adapter's answer; then the port above, then the IOMMU, which need
// nothing of the adapter. An all-ones answer proves nothing. Blocks for at most a few configuration accesses.
fence_result fence(hal& h, unsigned adapter);

}  // namespace understudy::host
