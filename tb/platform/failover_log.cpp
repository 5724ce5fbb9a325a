#include "tb/platform/failover_log.h"

#include "tb/platform/configure.h"

namespace understudy::tb {

void failover_log::on_recovery(unsigned from, unsigned to, unsigned state, picos at) {
  log_.emit({event_kind::recovery_step, static_cast<std::uint16_t>(from), now_ps(), state, to});
  using enum host::recovery_state;
  const auto step = static_cast<host::recovery_state>(state);
  if (step == fencing &&
      (results_.empty() || results_.back().unblock || results_.back().from != adapter_name(from))) {
    failover_result r;
    r.from = adapter_name(from);
    r.detect = at;
    for (const death& d : faults_)
      if (d.adapter == from) r.fault = d.at;
    r.connections = connections_();
    results_.push_back(r);
    accepting_ = -1;
    return;
  }
  if (results_.empty()) return;
  failover_result& r = results_.back();
  switch (step) {
    case blocked:
      r.fence = at;
      r.to = adapter_name(to);
      break;
    case draining:
      r.block = at;
      break;
    case rebuilding:
      r.drain = at;
      break;
    case loading:
      r.rebuild = at;
      r.to = adapter_name(to);
      break;
    case identity:
      r.load = at;
      break;
    case running:
      r.identity = at;
      r.unblock = at;
      accepting_ = static_cast<int>(to);
      break;
    default:
      break;
  }
}

void failover_log::on_event(const event& e) {
  if (accepting_ < 0 || e.unit != accepting_) return;
  failover_result& r = results_.back();
  if (r.fault && !r.blackout) r.blackout = e.at - *r.fault;
  accepting_ = -1;
}

}  // namespace understudy::tb
