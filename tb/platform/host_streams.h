// Our driver and sockets as a host's software: byte streams that the replay speaks to.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host_sw/sockets/sockets.h"
#include "model/core/inet.h"
#include "tb/platform/host_machine.h"
#include "tb/platform/host_software.h"

namespace understudy::tb {

class host_streams : public host_software {
 public:
  host_streams(host_machine& machine, const host::driver_config& config);
  ~host_streams() override;

  host::start_result start() override { return driver_.start(); }
  int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) override;
  stream* connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port, bool failover,
                  stream_user& user) override;

  unsigned active_adapter() const override { return driver_.active_adapter(); }
  host::driver_error condition() const override { return driver_.condition(); }
  const host::driver_counters& counters() const override { return driver_.counters(); }
  std::vector<us_tcp_state> states() const override;

  void add_observer(host::driver_observer* o) override { driver_.add_observer(o); }
  host::ring_facts rings(unsigned adapter) const override { return driver_.rings(adapter); }
  std::size_t connections() const override { return driver_.connections(); }
  std::size_t buffers_free() const override { return driver_.buffers_free(); }
  std::size_t buffers_total() const override { return driver_.buffers_total(); }

 private:
  class socket_stream;
  static void notified(void* context, int fd, unsigned events);
  void dispatch();
  socket_stream& new_stream(int fd, stream_user* user);

  host_machine& machine_;
  host::driver driver_;
  host::sockets sockets_;
  std::vector<std::unique_ptr<socket_stream>> by_fd_;
  std::vector<acceptor> acceptors_;  // by fd
  std::vector<unsigned> pending_;    // events by fd
  std::vector<int> ready_;
  bool scheduled_ = false;
};

}  // namespace understudy::tb
