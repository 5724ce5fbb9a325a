// Frames with one thing wrong each, and everything else in order.
#pragma once
#include <string>
#include <vector>

#include "model/core/checksum.h"
#include "model/core/ipv6.h"
#include "model/core/packet.h"
#include "tb/test/live/raw_frames.h"

namespace understudy::tb {

struct broken_frame {
  std::string cause;  // the key in `dropped_frames`
  std::vector<std::uint8_t> bytes;
};

namespace broken {

using bytes = std::vector<std::uint8_t>;

constexpr mac_address our_mac{2, 0, 0, 0, 0, 0x77}, adapter_mac{2, 0, 0, 0, 0, 1};
constexpr std::uint32_t peer4 = 10u << 24 | 77u << 16 | 1, adapter4 = peer4 + 1;
constexpr std::size_t ip = 14, tcp = 34, message6 = 54;

inline bytes of(const frame_ref& f) {
  return {f.data(), f.data() + f.size()};
}
inline ip_address six(std::uint8_t last) {
  return {{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}
inline bytes with(bytes f, std::size_t at, std::uint8_t value) {
  f[at] = value;
  return f;
}
inline bytes cut(bytes f, std::size_t size) {
  f.resize(size);
  return f;
}
// The checksum of the IPv4 header made right again.
inline bytes sealed4(bytes f) {
  f[ip + 10] = f[ip + 11] = 0;
  const std::uint16_t sum = checksum_finish(checksum_add({f.data() + ip, 20}));
  f[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
  f[ip + 11] = static_cast<std::uint8_t>(sum);
  return f;
}
// The checksum of the ICMPv6 message made right again.
inline bytes sealed6(bytes f) {
  f[message6 + 2] = f[message6 + 3] = 0;
  const auto n = static_cast<std::uint32_t>(f.size() - message6);
  const std::uint16_t sum = checksum_finish(
      checksum_add({f.data() + message6, n}, pseudo_header6_sum(f.data() + ip, protocol_icmpv6, n)));
  f[message6 + 2] = static_cast<std::uint8_t>(sum >> 8);
  f[message6 + 3] = static_cast<std::uint8_t>(sum);
  return f;
}
inline bytes syn6(std::uint8_t to) {
  segment s;
  s.tuple = {six(1), six(to), 40'000, 8080};
  s.flags = tcp_syn;
  s.window = 0xffff;
  frame_ref f = frame_ref::make(0, 128);
  prepend_headers(f, s, our_mac, adapter_mac, 0);
  return of(f);
}

}  // namespace broken

// IPv4, IPv6, ARP and neighbour discovery, to the adapter's host from its peer.
inline std::vector<broken_frame> broken_frames() {
  using namespace broken;
  const bytes four = syn_frame(peer4, 40'000, 8080, 1);
  bytes elsewhere = of(make_arp_request(our_mac, ip_address::v4(peer4), ip_address::v4(adapter4 + 7)));
  const bytes syn = syn6(2);
  const bytes arp = of(make_arp_request(our_mac, ip_address::v4(peer4), ip_address::v4(adapter4)));
  const bytes asked = of(make_neighbor_solicitation(our_mac, six(1), six(2)));
  const bytes told = of(make_neighbor_advertisement(our_mac, six(1), adapter_mac, six(2)));
  bytes echo = cut(asked, message6 + 8);
  echo[ip + 5] = 8;
  echo[message6] = 128;
  return {
      {"length", cut(four, four.size() - 1)},
      {"length", cut(four, ip + 3)},
      {"length", sealed4(with(four, ip + 3, 39))},
      {"length", cut(syn, syn.size() - 1)},
      {"length", with(syn, ip + 5, 60)},
      {"length", cut(asked, message6 + 10)},
      {"length", cut(arp, 41)},
      {"header", with(four, ip, 0x44)},
      {"header", sealed4(with(four, tcp + 12, 0x40))},
      {"header", with(syn, ip, 0x50)},
      {"header", with(syn, message6 + 12, 0xf0)},
      {"ip_checksum", with(four, ip + 8, 63)},
      {"l4_checksum", with(four, tcp + 4, 1)},
      {"l4_checksum", with(syn, message6 + 4, 1)},
      {"l4_checksum", with(asked, message6 + 2, static_cast<std::uint8_t>(asked[message6 + 2] ^ 1))},
      {"l4_checksum", with(told, message6 + 26, 9)},
      {"fragment", sealed4(with(four, ip + 6, 0x20))},
      {"fragment", sealed4(with(four, ip + 7, 1))},
      {"fragment", with(syn, ip + 6, 44)},
      {"unknown", with(four, 12, 0x88)},
      {"unknown", sealed4(with(four, ip + 9, 132))},
      {"unknown", with(syn, ip + 6, 132)},
      {"unknown", with(arp, 14, 9)},
      {"unknown", with(arp, 21, 9)},
      {"unknown", with(asked, ip + 7, 254)},
      {"unknown", sealed6(with(asked, message6 + 25, 0))},
      {"unknown", sealed6(with(asked, message6 + 25, 2))},
      {"unknown", sealed6(with(told, message6 + 8, 0xff))},
      {"unknown", sealed6(with(echo, message6 + 1, 1))},
      {"not_ours", syn6(9)},
      {"not_ours", elsewhere},
      {"not_ours", of(make_neighbor_solicitation(our_mac, six(1), six(9)))},
  };
}

}  // namespace understudy::tb
