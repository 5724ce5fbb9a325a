// What TCP says on a network device, read from the frames themselves: neither end is asked.
#pragma once
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace understudy::tb {

// The TCP header of a frame, and of the IP header what congestion notification needs.
struct tcp_header {
  std::uint16_t from = 0, to = 0;  // ports
  bool syn = false, ack = false, rst = false;
  unsigned ecn_flags = 0;  // AE, CWR, ECE: bits 2, 1, 0
  unsigned ecn_field = 0;  // of the IP header
  std::optional<std::uint32_t> stamp;
  std::optional<unsigned> scale;
  bool sack_permitted = false;
  bool sack_blocks = false;
};

// Nothing: no TCP over Ethernet and IPv4 or IPv6 without extension headers, or cut short before its options
// end.
inline std::optional<tcp_header> read_tcp(std::span<const std::uint8_t> f) {
  const auto u16 = [&f](std::size_t at) { return static_cast<std::uint16_t>(f[at] << 8 | f[at + 1]); };
  if (f.size() < 14 + 20) return {};
  tcp_header h;
  std::size_t tcp = 0;
  if (u16(12) == ETH_P_IP && f[23] == IPPROTO_TCP) {
    tcp = 14 + 4u * (f[14] & 15);
    h.ecn_field = f[15] & 3;
  } else if (u16(12) == ETH_P_IPV6 && f[20] == IPPROTO_TCP) {
    tcp = 14 + 40;
    h.ecn_field = f[15] >> 4 & 3;
  }
  if (tcp == 0 || f.size() < tcp + 20) return {};
  const std::size_t end = tcp + 4u * (f[tcp + 12] >> 4);
  if (f.size() < end) return {};
  h.from = u16(tcp);
  h.to = u16(tcp + 2);
  const unsigned flags = f[tcp + 13];
  h.syn = flags & 2;
  h.rst = flags & 4;
  h.ack = flags & 16;
  h.ecn_flags = (f[tcp + 12] & 1u) << 2 | flags >> 6;
  for (std::size_t at = tcp + 20; at < end && f[at] != 0;) {
    if (f[at] == 1) {
      ++at;
      continue;
    }
    if (at + 1 >= end || f[at + 1] < 2 || at + f[at + 1] > end) return {};
    const unsigned length = f[at + 1];
    if (f[at] == 3 && length == 3) h.scale = f[at + 2];
    if (f[at] == 4 && length == 2) h.sack_permitted = true;
    if (f[at] == 5 && length > 2) h.sack_blocks = true;
    if (f[at] == 8 && length == 10)
      h.stamp = static_cast<std::uint32_t>(u16(at + 2)) << 16 | static_cast<std::uint32_t>(u16(at + 4));
    at += length;
  }
  return h;
}

// All that one side said.
struct tcp_speech {
  std::vector<tcp_header> openings;  // SYN or SYN-ACK
  std::uint64_t segments = 0;        // neither opening nor reset
  std::uint64_t stamped = 0;         // of them: with a timestamp
  std::uint64_t stepped_back = 0;    // with one older than its connection has had
  std::uint64_t sacking = 0;         // with SACK blocks
  std::uint64_t capable = 0;         // in a packet that congestion may mark
  std::uint64_t marked = 0;          // in one that it has marked
  std::uint64_t echoing = 0;         // with ECE
  std::uint64_t reducing = 0;        // with CWR
  std::uint64_t large = 0;           // frames longer than Ethernet's: to be cut still, or joined

  void hear(const tcp_header& h, std::size_t frame_bytes = 0) {
    large += frame_bytes > ETH_FRAME_LEN;
    if (h.rst) return;
    if (h.syn) {
      openings.push_back(h);
    } else {
      ++segments;
      stamped += h.stamp.has_value();
      sacking += h.sack_blocks;
      capable += h.ecn_field != 0;
      marked += h.ecn_field == 3;
      echoing += h.ecn_flags & 1;
      reducing += h.ecn_flags >> 1 & 1;
    }
    if (!h.stamp) return;
    const auto [last, first] = newest_.try_emplace({h.from, h.to}, *h.stamp);
    const bool back = !first && static_cast<std::int32_t>(*h.stamp - last->second) < 0;
    stepped_back += back;
    if (!back) last->second = *h.stamp;
  }

 private:
  std::map<std::pair<std::uint16_t, std::uint16_t>, std::uint32_t> newest_;
};

// Listens on a device until it is stopped.
class tcp_watch {
 public:
  explicit tcp_watch(const char* device) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    const int room = 32 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    sockaddr_ll at = {};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex(device));
    good_ = fd_ >= 0 && ::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    ear_ = std::thread([this] { listen(); });
  }
  ~tcp_watch() {
    stop();
    ::close(fd_);
  }
  // What has arrived is heard still. False: it could not listen, or missed frames.
  bool stop() {
    if (ear_.joinable()) {
      enough_ = true;
      ear_.join();
      tpacket_stats missed = {};
      socklen_t n = sizeof missed;
      good_ =
          good_ && getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &missed, &n) == 0 && missed.tp_drops == 0;
    }
    return good_;
  }
  // After stop(): the kernel, and who stands beyond the device.
  tcp_speech kernel, beyond;

 private:
  void listen() {
    for (;;) {
      const bool last = enough_;
      pollfd p{fd_, POLLIN, 0};
      ::poll(&p, 1, 10);
      while (hear_one()) {
      }
      if (last) return;
    }
  }
  bool hear_one() {
    std::uint8_t head[160];
    sockaddr_ll at = {};
    socklen_t size = sizeof at;
    const ssize_t n =
        ::recvfrom(fd_, head, sizeof head, MSG_DONTWAIT | MSG_TRUNC, reinterpret_cast<sockaddr*>(&at), &size);
    if (n <= 0) return false;
    const auto frame = static_cast<std::size_t>(n);
    if (const auto h = read_tcp({head, std::min(frame, sizeof head)}))
      (at.sll_pkttype == PACKET_OUTGOING ? kernel : beyond).hear(*h, frame);
    return true;
  }

  int fd_;
  bool good_ = false;
  std::atomic<bool> enough_ = false;
  std::thread ear_;
};

}  // namespace understudy::tb
