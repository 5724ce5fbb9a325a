// A network of a test's own, for those who may make one.
#pragma once
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "tb/test/live/shell.h"

namespace understudy::tb {

// Move this process into a new network namespace, which is gone when it ends. Empty, or what is in the way.
inline std::string enter_own_network() {
  if (unshare(CLONE_NEWNET) != 0)
    return std::string("needs the right to make a network namespace (root): ") + std::strerror(errno);
  const auto tried = shell("ip link set lo up && ip tuntap add probe mode tap && ip link del probe");
  if (tried.status != 0) return "needs the right to make a TAP device (root): " + tried.output;
  return {};
}

// Root with CAP_NET_ADMIN, who is to run the tests in namespaces and not to skip them.
inline bool is_network_root() {
  constexpr unsigned cap_net_admin = 12;
  const std::string status = text_of("/proc/self/status");
  const std::size_t at = status.find("CapEff:");
  if (geteuid() != 0 || at == std::string::npos) return false;
  return std::stoull(status.substr(at + 7), nullptr, 16) >> cap_net_admin & 1;
}

}  // namespace understudy::tb
