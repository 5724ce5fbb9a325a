// How long established connections wait until the host knows of them: what bulk announcement costs.
#pragma once
#include <map>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "tb/report/result.h"

namespace understudy::tb {

class host_machine;

// From the end of a handshake in an adapter to the instant at which the driver takes its announcement.
class announce_latency : public event_observer, public host::driver_observer {
 public:
  // Watches adapters 0 to adapters - 1 of the host that `driver` runs on. Subscribes itself to both.
  announce_latency(event_log& log, host::any_driver& driver, const host_machine& machine, unsigned adapters);
  void on_event(const event& e) override;
  void on_record(unsigned adapter, const us_record& r) override;
  announce_times times() const;

 private:
  const host_machine& machine_;
  unsigned adapters_;
  std::map<std::uint64_t, picos> established_;  // adapter and cid
  std::vector<picos> samples_;
};

}  // namespace understudy::tb
