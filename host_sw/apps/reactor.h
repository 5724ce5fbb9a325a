// Hands the events of sockets to those who wait for them, outside of the notifier, in order of arrival.
#pragma once
#include <cstddef>
#include <vector>

#include "host_sw/driver/ring_queue.h"
#include "host_sw/hal/hal.h"
#include "host_sw/sockets/sockets.h"

namespace understudy::host {

// Hears of the events of sockets that it watches; may call anything from inside.
class socket_user {
 public:
  virtual ~socket_user() = default;
  virtual void on_events(int fd, unsigned events) = 0;
};

class reactor {
 public:
  // Becomes the notifier of `s`. Both outlive it.
  reactor(sockets& s, hal& machine);
  ~reactor();
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  // From now on `user` hears of `fd`; null: nobody does, and what has not been told yet is forgotten.
  void watch(int fd, socket_user* user);
  // Tell the user of `fd` of `events` soon, beside what happens by itself.
  void again(int fd, unsigned events);
  sockets& net() { return sockets_; }

 private:
  void note(int fd, unsigned events);
  void schedule();
  void dispatch();

  sockets& sockets_;
  hal& machine_;
  std::vector<socket_user*> users_;  // by fd
  std::vector<unsigned> pending_;    // by fd
  ring_queue<int> ready_;
  std::uint64_t timer_ = 0;
  bool scheduled_ = false;
};

}  // namespace understudy::host
