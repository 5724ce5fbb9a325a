// What a device does for the kernel, switched and read as ethtool does.
#pragma once
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace understudy::tb {

struct offload {
  std::uint32_t set, get;  // commands of ethtool
};
inline constexpr offload tso{ETHTOOL_STSO, ETHTOOL_GTSO}, gso{ETHTOOL_SGSO, ETHTOOL_GGSO},
    gro{ETHTOOL_SGRO, ETHTOOL_GGRO};
// Checksums of what the kernel sends; without them it does not leave segmentation to the device, either.
inline constexpr offload tx_checksums{ETHTOOL_STXCSUM, ETHTOOL_GTXCSUM};

inline bool ethtool(const char* device, std::uint32_t command, std::uint32_t& value) {
  ethtool_value v = {command, value};
  ifreq r = {};
  std::strncpy(r.ifr_name, device, sizeof r.ifr_name - 1);
  r.ifr_data = reinterpret_cast<char*>(&v);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool done = ioctl(fd, SIOCETHTOOL, &r) == 0;
  ::close(fd);
  value = v.data;
  return done;
}
// Whether it is on; -1: the kernel does not say.
inline int is_on(const char* device, const offload& o) {
  std::uint32_t value = 0;
  return ethtool(device, o.get, value) ? static_cast<int>(value) : -1;
}
// False: it is not `on` afterwards.
inline bool switch_offload(const char* device, const offload& o, bool on) {
  std::uint32_t value = on;
  ethtool(device, o.set, value);
  return is_on(device, o) == static_cast<int>(on);
}

}  // namespace understudy::tb
