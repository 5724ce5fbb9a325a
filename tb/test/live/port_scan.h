// Knocks at ports with the kernel's TCP, many at once.
#pragma once
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

namespace understudy::tb {

struct port_scan {
  std::vector<std::uint16_t> open;  // connected; closed at once
  unsigned refused = 0;             // by a reset
  unsigned other = 0;               // any other error
  unsigned silent = 0;              // no answer in time
};

// Ports `first` to `last` of an IPv4 address in host order, at most `within` for all.
inline port_scan scan_ports(std::uint32_t address, unsigned first, unsigned last,
                            std::chrono::seconds within) {
  constexpr unsigned at_once = 256;
  const auto until = std::chrono::steady_clock::now() + within;
  const int events = epoll_create1(EPOLL_CLOEXEC);
  port_scan r;
  std::map<int, unsigned> waiting;  // descriptor, port
  const auto judge = [&r](int error, unsigned port) {
    if (error == 0)
      r.open.push_back(static_cast<std::uint16_t>(port));
    else
      ++(error == ECONNREFUSED ? r.refused : r.other);
  };
  const auto knock = [&](unsigned port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(address);
    const int error = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      epoll_event e = {};
      e.events = EPOLLOUT;
      e.data.fd = fd;
      epoll_ctl(events, EPOLL_CTL_ADD, fd, &e);
      waiting[fd] = port;
      return;
    }
    judge(error, port);
    ::close(fd);
  };
  unsigned next = first;
  while ((next <= last || !waiting.empty()) && std::chrono::steady_clock::now() < until) {
    while (next <= last && waiting.size() < at_once) knock(next++);
    std::array<epoll_event, at_once> ready;
    const int n = epoll_wait(events, ready.data(), at_once, 100);
    for (int i = 0; i < n; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      judge(error, waiting.at(fd));
      ::close(fd);
      waiting.erase(fd);
    }
  }
  r.silent = static_cast<unsigned>(waiting.size()) + (last + 1 - next);
  for (const auto& [fd, port] : waiting) ::close(fd);
  ::close(events);
  return r;
}

}  // namespace understudy::tb
