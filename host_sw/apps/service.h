// A service on a port: accepts connections and gives each its work.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "host_sw/apps/reactor.h"

namespace understudy::host {

// What a service does on one accepted connection.
class session {
 public:
  enum class next : std::uint8_t {
    wait,   // for events of the socket
    again,  // there is more to do at once: let others have their turn first
    finish  // all is said: close the socket in order (it is released once the peer has closed too)
  };
  virtual ~session() = default;
  // Do what can be done now. A socket that has ended is closed without asking.
  virtual next work(sockets& net, int fd) = 0;
};

struct service_counters {
  std::uint64_t accepted = 0;
  std::uint64_t closed = 0;   // in order
  std::uint64_t reset = 0;    // by the peer
  std::uint64_t aborted = 0;  // timed out, or no adapter was left
};

class service : private socket_user {
 public:
  using factory = std::function<std::unique_ptr<session>()>;

  service(reactor& r, factory f) : reactor_(r), make_(std::move(f)) {}
  ~service() override;
  // 0 or -errno. Once.
  int listen(std::uint16_t port, unsigned backlog);
  // Stop listening and reset what is open.
  void abort_all();
  std::size_t open() const { return sessions_.size(); }
  const service_counters& count() const { return count_; }

 private:
  struct connection {
    std::unique_ptr<session> work;
    bool finishing = false;
  };
  void on_events(int fd, unsigned events) override;
  void accept_all();
  void serve(int fd, connection& c);
  void drain(int fd);
  void end(int fd);

  reactor& reactor_;
  factory make_;
  int listener_ = -1;
  std::unordered_map<int, connection> sessions_;  // by fd; the order of walks does not matter
  service_counters count_;
};

}  // namespace understudy::host
