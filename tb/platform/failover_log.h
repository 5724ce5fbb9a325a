// The timeline of each failover of the main host, from the driver's steps and the events on the wire.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "model/core/event_log.h"
#include "tb/platform/host_machine.h"
#include "tb/report/result.h"

namespace understudy::tb {

class failover_log : public recovery_watcher, public event_observer {
 public:
  // Subscribes itself to `log`, which is told of every step as an event. `connections` says how many are
  // alive when a recovery begins.
  failover_log(event_log& log, std::function<std::uint64_t()> connections)
      : log_(log), connections_(std::move(connections)) {
    log.subscribe(this, {event_kind::frame_in});
  }

  // An adapter was killed now.
  void note_fault(unsigned adapter) { faults_.push_back({adapter, now_ps()}); }

  void on_recovery(unsigned from, unsigned to, unsigned state, picos at) override;
  void on_event(const event& e) override;

  const std::vector<failover_result>& results() const { return results_; }
  // The newest failover has reached RUNNING, or there was none.
  bool settled() const { return results_.empty() || results_.back().unblock.has_value(); }

 private:
  struct death {
    unsigned adapter;
    picos at;
  };
  event_log& log_;
  std::function<std::uint64_t()> connections_;
  std::vector<death> faults_;
  std::vector<failover_result> results_;
  int accepting_ = -1;  // unit whose first accepted frame ends the blackout of the newest failover
};

}  // namespace understudy::tb
