// Frames that the host's stack builds, in one DMA and gathered from two buffers, beside the formulas.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "model/core/event_log.h"
#include "tb/platform/platform.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

class single_dma {
 public:
  // Subscribes to the log: keep it as long as that. std::runtime_error if the
  // adapter sends no such frames.
  single_dma(platform& p, event_log& log, const scenario& s);
  ~single_dma();
  // Run the started platform until s.workload.raw_packets frames of each size have left in each layout, in
  // turn. One row a size and layout. std::runtime_error if a frame does not leave.
  std::vector<single_dma_row> run();
  // Add everything sent so far.
  void add_to(raw_frame_counts& counts) const;

 private:
  class experiment;
  std::unique_ptr<experiment> experiment_;
  std::uint32_t packets_;
};

}  // namespace understudy::tb
