// Byte streams over the offload's sockets: what the replay speaks to on a host with an adapter.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host_sw/sockets/sockets.h"
#include "model/core/inet.h"
#include "tb/platform/host_machine.h"
#include "tb/workload/stream.h"

namespace understudy::tb {

// Everything here runs on the host's CPU: call it from tasks only.
class host_streams {
 public:
  // Names the user of an accepted connection by the peer's port; null: reset it.
  using acceptor = std::function<stream_user*(stream& s, std::uint16_t peer_port)>;

  host_streams(host_machine& machine, host::driver& d);
  ~host_streams();

  // 0, or a negative errno value.
  int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept);
  // Null: the sockets layer refused; `user` hears nothing then.
  stream* connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port, bool failover, stream_user& user);

 private:
  class socket_stream;
  static void notified(void* context, int fd, unsigned events);
  void dispatch();
  socket_stream& new_stream(int fd, stream_user* user);

  host_machine& machine_;
  host::sockets sockets_;
  std::vector<std::unique_ptr<socket_stream>> by_fd_;
  std::vector<acceptor> acceptors_;  // by fd
  std::vector<unsigned> pending_;    // events by fd
  std::vector<int> ready_;
  bool scheduled_ = false;
};

}  // namespace understudy::tb
