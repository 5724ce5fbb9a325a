#include "tb/platform/announce_latency.h"

#include "tb/platform/host_machine.h"
#include "tb/report/percentile.h"

namespace understudy::tb {

namespace {
std::uint64_t key(std::uint64_t adapter, std::uint64_t connection) {
  return adapter << 32 | connection;
}
}  // namespace

announce_latency::announce_latency(event_log& log, host::any_driver& driver, const host_machine& machine,
                                   unsigned adapters)
    : machine_(machine), adapters_(adapters) {
  log.subscribe(this, {event_kind::engine_step});
  driver.add_observer(this);
}

void announce_latency::on_event(const event& e) {
  if (e.unit < adapters_ && e.b >> 32 == US_REC_ESTABLISHED) established_[key(e.unit, e.a)] = e.at;
}

void announce_latency::on_record(unsigned adapter, const us_record& r) {
  if (r.type != US_REC_ESTABLISHED) return;
  const auto it = established_.find(key(adapter, r.cid));
  if (it == established_.end()) return;
  samples_.push_back(machine_.cpu_now() - it->second);
  established_.erase(it);
}

announce_times announce_latency::times() const {
  return {percentile(samples_, 500), percentile(samples_, 990), percentile(samples_, 1000)};
}

}  // namespace understudy::tb
