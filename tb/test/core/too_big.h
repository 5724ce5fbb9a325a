// What a router says of a frame that its next link does not take, byte by byte.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/core/checksum.h"
#include "model/core/ipv6.h"
#include "model/core/packet.h"
#include "model/core/wire_bytes.h"

namespace understudy::tb {

// A message on its way to the sender of a frame without VLAN tag. Tests change its bytes and seal it again.
struct too_big_message {
  static constexpr std::size_t ip_at = 14;
  std::vector<std::uint8_t> bytes;
  bool v4 = true;

  // `quote`: bytes of the packet that are quoted, at most as many as a router would.
  too_big_message(const frame_ref& dropped, std::uint32_t mtu, std::size_t quote = 9000) {
    const std::uint8_t* packet = dropped.data() + ip_at;
    v4 = packet[0] >> 4 == 4;
    quote = std::min({quote, std::size_t{dropped.size()} - ip_at, std::size_t{v4 ? 548u : 1232u}});
    const std::size_t header = v4 ? 20 : 40;
    bytes.assign(ip_at + header + 8 + quote, 0);
    std::copy_n(dropped.data() + 6, 6, bytes.data());
    std::copy_n(dropped.data(), 6, bytes.data() + 6);
    std::copy_n(dropped.data() + 12, 2, bytes.data() + 12);
    std::uint8_t* ip = bytes.data() + ip_at;
    if (v4) {
      ip[0] = 0x45;
      put16(ip + 2, static_cast<std::uint32_t>(28 + quote));
      ip[8] = 64;
      ip[9] = 1;
      put32(ip + 12, 0xc0a80001u);  // any router: 192.168.0.1
      std::copy_n(packet + 12, 4, ip + 16);
      icmp()[0] = 3;
      icmp()[1] = 4;
      put16(icmp() + 6, mtu);
    } else {
      ip[0] = 0x60;
      put16(ip + 4, static_cast<std::uint32_t>(8 + quote));
      ip[6] = 58;
      ip[7] = 64;
      ip[8] = 0xfd;
      ip[23] = 0x99;
      std::copy_n(packet + 8, 16, ip + 24);
      icmp()[0] = 2;
      put32(icmp() + 4, mtu);
    }
    std::copy_n(packet, quote, this->quote());
    seal();
  }

  std::uint8_t* icmp() { return bytes.data() + ip_at + (v4 ? 20 : 40); }
  std::uint8_t* quote() { return icmp() + 8; }
  // Make every checksum right.
  void seal() {
    std::uint8_t* ip = bytes.data() + ip_at;
    const std::size_t n = bytes.size() - ip_at - (v4 ? 20 : 40);
    if (v4) {
      put16(ip + 10, 0);
      put16(ip + 10, checksum_finish(checksum_add({ip, 20})));
    }
    put16(icmp() + 2, 0);
    const std::uint64_t pseudo =
        v4 ? 0 : pseudo_header6_sum(ip, protocol_icmpv6, static_cast<std::uint32_t>(n));
    put16(icmp() + 2, checksum_finish(checksum_add({icmp(), n}, pseudo)));
  }
  frame_ref frame() const {
    return frame_ref::copy_of(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  }
  parsed_frame parsed() const { return parse_frame(frame()); }
};

}  // namespace understudy::tb
