#include "host_sw/apps/service.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace understudy::host {

service::~service() {
  if (listener_ >= 0) reactor_.watch(listener_, nullptr);
  for (const auto& [fd, c] : sessions_) reactor_.watch(fd, nullptr);
}

int service::listen(std::uint16_t port, unsigned backlog) {
  sockets& net = reactor_.net();
  const int fd = net.socket();
  if (fd < 0) return fd;
  socket_address any;
  any.port = port;
  int e = net.bind(fd, any);
  if (e == 0) e = net.listen(fd, backlog);
  if (e != 0) {
    net.close(fd);
    return e;
  }
  listener_ = fd;
  reactor_.watch(fd, this);
  return 0;
}

void service::abort_all() {
  sockets& net = reactor_.net();
  if (listener_ >= 0) {
    reactor_.watch(listener_, nullptr);
    net.close(listener_);
    listener_ = -1;
  }
  std::vector<int> open;
  for (const auto& [fd, c] : sessions_) open.push_back(fd);
  std::sort(open.begin(), open.end());
  for (const int fd : open) {
    net.abort(fd);
    ++count_.aborted;
    end(fd);
  }
}

void service::on_events(int fd, unsigned events) {
  if (fd == listener_) return accept_all();
  const auto it = sessions_.find(fd);
  if (it == sessions_.end()) return;
  if (events & ev_error) {
    int error = 0;
    reactor_.net().getsockopt(fd, socket_option::error, &error);
    ++(error == ECONNRESET ? count_.reset : count_.aborted);
    return end(fd);
  }
  if (!it->second.finishing)
    serve(fd, it->second);
  else
    drain(fd);
  if (events & ev_closed && sessions_.contains(fd)) {
    ++count_.closed;
    end(fd);
  }
}

void service::accept_all() {
  sockets& net = reactor_.net();
  for (;;) {
    const int fd = net.accept(listener_, nullptr);
    if (fd < 0) return;
    ++count_.accepted;
    reactor_.watch(fd, this);
    connection& c = sessions_[fd];
    c.work = make_();
    serve(fd, c);
  }
}

void service::serve(int fd, connection& c) {
  switch (c.work->work(reactor_.net(), fd)) {
    case session::next::wait:
      break;
    case session::next::again:
      reactor_.again(fd, ev_writable);
      break;
    case session::next::finish:
      c.finishing = true;
      reactor_.net().shutdown(fd);
      drain(fd);
      break;
  }
}

// What the peer still says after the end is read, so that closing does not reset the connection
// (RFC 1122 4.2.2.13).
void service::drain(int fd) {
  std::array<std::uint8_t, 4096> nowhere;
  while (reactor_.net().recv(fd, nowhere.data(), nowhere.size()) > 0) {
  }
}

void service::end(int fd) {
  reactor_.watch(fd, nullptr);
  reactor_.net().close(fd);
  sessions_.erase(fd);
}

}  // namespace understudy::host
