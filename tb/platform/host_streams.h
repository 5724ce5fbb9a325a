// Byte streams over the offload: what the replay speaks to on a host with an adapter. And what a host runs
// above the HAL: a driver with streams on top. Ours are host::driver and socket_streams; a program that uses
// the platform may bring its own.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "host_sw/driver/driver.h"
#include "host_sw/hal/hal.h"
#include "model/core/inet.h"
#include "tb/platform/lent_memory.h"
#include "tb/workload/stream.h"

namespace understudy::tb {

class host_machine;

// Everything here runs on the host's CPU: call it from tasks only.
class host_streams {
 public:
  // Names the user of an accepted connection by the peer's port; null: reset it.
  using acceptor = std::function<stream_user*(stream& s, std::uint16_t peer_port)>;
  virtual ~host_streams() = default;

  // 0, or a negative errno value. `failover`: the connections are to survive their adapter.
  virtual int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) = 0;
  // The same for a server that speaks first: its peers may wait for it without a word.
  virtual int listen_speaking(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) {
    return listen(port, backlog, failover, std::move(accept));
  }
  // Null: refused; `user` hears nothing then.
  virtual stream* connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port, bool failover,
                          stream_user& user) = 0;
};

// Over the sockets of our driver.
std::unique_ptr<host_streams> make_socket_streams(host_machine& machine, host::driver& d,
                                                  const stream_memory& use = {});

// What runs on a host; `streams` may use `driver` and goes first.
struct host_software {
  std::unique_ptr<host::any_driver> driver;
  std::unique_ptr<host_streams> streams;
};
// Stream users are called from handlers of the machine, never from inside a call to a stream.
using host_software_factory =
    std::function<host_software(host::hal& machine, const host::driver_config& config)>;

}  // namespace understudy::tb
