// What a small frame of the host's waits for behind large ones: in one transmit queue, and with a queue of
// its own.
#pragma once
#include <memory>
#include <vector>

#include "model/core/event_log.h"
#include "tb/platform/platform.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

class queue_waits {
 public:
  // Subscribes to the log: keep it as long as that. std::runtime_error if the adapter has fewer than
  // s.workload.raw_queues transmit queues.
  queue_waits(platform& p, event_log& log, const scenario& s);
  ~queue_waits();
  // Run the started platform until every frame has left. One row with all frames in one queue, one with the
  // small one in a queue of its own. std::runtime_error if a frame does not leave.
  std::vector<queue_wait_row> run();
  // Add what went by the queues.
  void add_to(raw_frame_counts& counts) const;

 private:
  class experiment;
  std::unique_ptr<experiment> experiment_;
};

}  // namespace understudy::tb
