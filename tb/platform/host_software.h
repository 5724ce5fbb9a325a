// What runs on a host above the HAL, as the platform sees it: a driver with something like sockets on top. Ours is
// host_streams; a program that uses the platform may bring its own (run_options::software).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/inet.h"
#include "tb/workload/stream.h"

namespace understudy::tb {

// Everything here runs on the host's CPU: the platform calls it from tasks, it calls its stream users from handlers of the HAL.
class host_software : public host::driver_view {
 public:
  // Names the user of an accepted connection by the peer's port; null: reset it.
  using acceptor = std::function<stream_user*(stream& s, std::uint16_t peer_port)>;

  // Bring the adapters up.
  virtual host::start_result start() = 0;
  // 0, or a negative errno value. `failover`: the connections are to survive their adapter.
  virtual int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) = 0;
  // Null: refused; `user` hears nothing then.
  virtual stream* connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port, bool failover,
                          stream_user& user) = 0;

  // The adapter that serves now, or host::driver::no_adapter.
  virtual unsigned active_adapter() const = 0;
  // none; anything else: the network is gone.
  virtual host::driver_error condition() const = 0;
  virtual const host::driver_counters& counters() const = 0;
  // State of every connection that an adapter knows.
  virtual std::vector<us_tcp_state> states() const = 0;
};

using host_software_factory =
    std::function<std::unique_ptr<host_software>(host::hal& machine, const host::driver_config& config)>;

}  // namespace understudy::tb
