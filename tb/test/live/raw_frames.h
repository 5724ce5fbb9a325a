// Frames as no well-behaved program sends them.
#pragma once
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace understudy::tb {

class raw_socket {
 public:
  explicit raw_socket(const char* device) : fd_(::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
    to_.sll_family = AF_PACKET;
    to_.sll_ifindex = static_cast<int>(if_nametoindex(device));
  }
  ~raw_socket() { ::close(fd_); }
  bool good() const { return fd_ >= 0 && to_.sll_ifindex > 0; }
  bool send(std::span<const std::uint8_t> frame) {
    return ::sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to_),
                    sizeof to_) == static_cast<ssize_t>(frame.size());
  }

 private:
  int fd_;
  sockaddr_ll to_ = {};
};

// An Ethernet frame with a TCP SYN to the adapter's host, checksums in order.
inline std::vector<std::uint8_t> syn_frame(std::uint32_t source_ip, std::uint16_t source_port,
                                           std::uint16_t port, std::uint32_t seq) {
  std::vector<std::uint8_t> f(14 + 20 + 20);
  const auto put16 = [&f](std::size_t at, std::uint32_t v) {
    f[at] = static_cast<std::uint8_t>(v >> 8);
    f[at + 1] = static_cast<std::uint8_t>(v);
  };
  const auto put32 = [&put16](std::size_t at, std::uint32_t v) {
    put16(at, v >> 16);
    put16(at + 2, v);
  };
  const auto sum = [&f](std::size_t from, std::size_t to, std::uint32_t start) {
    std::uint32_t s = start;
    for (std::size_t i = from; i < to; i += 2) s += static_cast<std::uint32_t>(f[i]) << 8 | f[i + 1];
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return ~s & 0xffff;
  };
  constexpr std::uint32_t adapter_ip = 10u << 24 | 77u << 16 | 2;
  const std::uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x77};
  std::memcpy(f.data(), macs, sizeof macs);
  put16(12, 0x0800);
  f[14] = 0x45;
  put16(16, 40);
  f[22] = 64;
  f[23] = 6;
  put32(26, source_ip);
  put32(30, adapter_ip);
  put16(24, sum(14, 34, 0));
  put16(34, source_port);
  put16(36, port);
  put32(38, seq);
  f[46] = 0x50;
  f[47] = 0x02;
  put16(48, 0xffff);
  const std::uint32_t pseudo =
      (source_ip >> 16) + (source_ip & 0xffff) + (adapter_ip >> 16) + (adapter_ip & 0xffff) + 6 + 20;
  put16(50, sum(34, 54, pseudo));
  return f;
}

}  // namespace understudy::tb
