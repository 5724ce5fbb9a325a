// The applications of the host behind the adapter.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "host_sw/apps/http_client.h"
#include "host_sw/apps/http_server.h"
#include "host_sw/apps/reactor.h"
#include "host_sw/apps/service.h"
#include "host_sw/driver/driver.h"
#include "host_sw/sockets/sockets.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Everything but the reading of counters runs on the host's CPU.
class live_apps : public host::driver_observer {
 public:
  // All outlive it. Throws scenario_error for app.fetch.
  live_apps(const scenario& s, host::driver& d, host::hal& machine);
  // Start every service that has a port. Empty, or what is in the way.
  std::string listen();
  // Begin to fetch app.fetch into files in `folder`.
  void fetch(const std::string& folder);
  const std::vector<host::http_fetch>& fetches() const { return client_.fetches(); }
  // Stop listening; reset what is open.
  void abort_all();

  connection_counts connections() const;
  std::size_t open() const;
  const host::http_counters& http() const { return http_; }
  std::uint64_t bytes_received() const { return received_; }  // by applications
  std::uint64_t bytes_sent() const;                           // by applications

  void on_delivered(int fd, cid c, std::span<const std::uint8_t> bytes) override;

 private:
  struct running {
    std::string name;
    std::uint32_t port;
    std::unique_ptr<host::service> work;
  };
  host::driver& driver_;
  host::sockets sockets_;
  host::reactor reactor_;
  host::http_counters http_;
  std::string root_;
  std::vector<running> services_;
  std::vector<std::string> urls_;
  host::http_client client_;
  std::uint64_t received_ = 0;
};

}  // namespace understudy::tb
