// Strikes the faults of a scenario when their triggers come: an instant, a share of the bytes, a number of
// events.
#pragma once
#include <functional>
#include <vector>

#include "model/core/event_log.h"
#include "model/sim/agenda.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"
#include "tb/workload/replay.h"

namespace understudy::tb {

class fault_schedule : public event_observer, public replay_observer {
 public:
  // `strike(fault)` makes the fault happen and answers the adapter it struck; "none" if there was nobody to
  // strike: the fault is not activated then. `expected`: bytes of the workload.
  using strike = std::function<std::string(const fault_spec&)>;
  fault_schedule(const scenario& s, std::uint64_t expected, strike f);

  // Whether any fault's trigger is a number of events: then it is to be told of events.
  bool at_events() const { return any_at_event_; }
  void on_event(const event& e) override;
  void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) override;
  void on_finished(const replay_end&, picos) override {}

  std::uint64_t delivered() const { return delivered_; }
  // As they stand, outcomes still empty.
  const std::vector<fault_result>& results() const { return results_; }

 private:
  void fire(std::size_t i);
  const scenario& scenario_;
  std::uint64_t expected_;
  strike strike_;
  std::vector<fault_result> results_;
  std::vector<bool> fired_;
  std::uint64_t delivered_ = 0;
  bool any_at_event_ = false;
  agenda agenda_;
};

}  // namespace understudy::tb
