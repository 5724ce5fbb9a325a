// How long received bytes wait in an adapter until the host can find them: what holding back costs.
#pragma once
#include <unordered_map>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "tb/report/result.h"

namespace understudy::tb {

// From the instant at which an engine has accepted a segment's bytes to that at which their record is visible
// in host memory. What dies with its adapter is not counted.
class delivery_latency : public event_observer {
 public:
  // Watches adapters 0 to adapters - 1 of the host that `driver` runs on. Subscribes itself.
  delivery_latency(event_log& log, const host::any_driver& driver, unsigned adapters);
  void on_event(const event& e) override;
  delivery_times times() const;
  // From the hand-over alone: what the way to host memory takes.
  delivery_times commit_times() const;

 private:
  struct accepted {
    seq32 seq;
    picos at;
    picos handed_over;  // as at, if it was not held back
  };
  const host::any_driver& driver_;
  std::vector<std::unordered_map<std::uint32_t, fifo<accepted>>>
      waiting_;  // by adapter and cid; never walked
  std::vector<picos> samples_;
  std::vector<picos> commits_;
};

}  // namespace understudy::tb
