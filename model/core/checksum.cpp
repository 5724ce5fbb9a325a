#include "model/core/checksum.h"

#include <bit>
#include <cstring>

#include "model/core/ipv6.h"
#include "model/core/packet.h"
#include "model/core/vlan.h"

namespace understudy {

std::uint64_t checksum_add(std::span<const std::uint8_t> bytes, std::uint64_t sum) {
  // Sums 32-bit words in memory order and swaps at the end: the sum of swapped words is the swapped sum (RFC
  // 1071 2 B).
  const std::uint8_t* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t s = 0;
  for (; n >= 16; n -= 16, p += 16) {
    std::uint32_t w[4];
    std::memcpy(w, p, 16);
    s += static_cast<std::uint64_t>(w[0]) + w[1] + w[2] + w[3];
  }
  for (; n >= 2; n -= 2, p += 2) {
    std::uint16_t w;
    std::memcpy(&w, p, 2);
    s += w;
  }
  if (n) {
    const std::uint8_t last[2] = {*p, 0};
    std::uint16_t w;
    std::memcpy(&w, last, 2);
    s += w;
  }
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  if constexpr (std::endian::native == std::endian::little) s = (s >> 8 | s << 8) & 0xffff;
  return sum + s;
}

std::uint16_t checksum_finish(std::uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

namespace {

using bytes_t = std::span<const std::uint8_t>;

constexpr std::uint8_t protocol_udp = 17;
constexpr std::size_t ip_checksum_at = 10;
constexpr std::size_t udp_length_at = 4;
constexpr std::size_t udp_checksum_at = 6;

std::uint16_t word_at(bytes_t b, std::size_t at) {
  return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]);
}

// The folded sum of `bytes` added to `sum`; with insert, as if the 16-bit field at `field` were zero.
std::uint16_t folded_sum(bytes_t bytes, std::size_t field, checksum_mode mode, std::uint64_t sum) {
  if (mode == checksum_mode::insert) {
    sum = checksum_add(bytes.first(field), sum);
    bytes = bytes.subspan(field + 2);
  }
  return static_cast<std::uint16_t>(~checksum_finish(checksum_add(bytes, sum)));
}

}  // namespace

checksum_packet checksum_packet_of(std::span<const std::uint8_t> frame) {
  constexpr std::uint16_t type_service_vlan = 0x88a8;  // IEEE 802.1Q table 9-1
  std::size_t at = 12;
  for (int tags = 0; tags < 2 && frame.size() >= at + 2; ++tags) {
    const std::uint16_t type = word_at(frame, at);
    if (type != type_vlan && type != type_service_vlan) break;
    at += vlan_tag_bytes;
  }
  if (frame.size() < at + 2 || (word_at(frame, at) != type_ipv4 && word_at(frame, at) != type_ipv6))
    return {};
  return {true, frame.subspan(at + 2)};
}

checksum_result checksum_block(std::span<const std::uint8_t> frame, checksum_mode mode,
                               std::uint32_t data_bytes) {
  checksum_result r;
  const auto [is_ip, packet] = checksum_packet_of(frame);
  r.is_ip = is_ip;
  if (!is_ip) return r;
  r.cycles = checksum_cycles(static_cast<std::uint32_t>(packet.size()), data_bytes);
  const bool insert = mode == checksum_mode::insert;

  if (packet.size() < 20) return r;
  const bool v6 = packet[0] >> 4 == 6;
  const std::size_t header_bytes = v6 ? 40u : (packet[0] & 0xfu) * 4u;
  const std::size_t total_bytes = v6 ? header_bytes + word_at(packet, 4) : word_at(packet, 2);
  const bool well_formed = (v6 || (packet[0] >> 4 == 4 && header_bytes >= 20)) &&
                           header_bytes <= total_bytes && total_bytes <= 0xffff &&
                           total_bytes <= packet.size();
  if (!well_formed) return r;
  if (!v6) r.ip_sum = folded_sum(packet.first(header_bytes), ip_checksum_at, mode, 0);
  r.ip_ok = v6 || insert || r.ip_sum == 0xffff;
  if (!r.ip_ok) return r;
  if (insert && !v6) r.ip_csum = static_cast<std::uint16_t>(~r.ip_sum);

  const std::uint8_t protocol = packet[v6 ? 6 : 9];
  const bool udp = protocol == protocol_udp;
  const bool fragment = !v6 && (word_at(packet, 6) & 0x3fff) != 0;
  r.l4_checked = !fragment && (udp || protocol == protocol_tcp);
  if (!r.l4_checked) return r;
  bytes_t segment = packet.subspan(header_bytes, total_bytes - header_bytes);
  if (segment.size() < (udp ? 8u : 20u)) return r;
  if (udp) {
    const std::size_t length = word_at(segment, udp_length_at);
    if (length < 8 || length > segment.size()) return r;
    segment = segment.first(length);
  }
  const std::size_t field = udp ? udp_checksum_at : tcp_checksum_at;
  const bytes_t addresses = v6 ? packet.subspan(8, 32) : packet.subspan(12, 8);
  r.l4_sum = folded_sum(segment, field, mode, checksum_add(addresses, protocol + segment.size()));
  const bool unused = udp && !v6 && word_at(segment, field) == 0;
  r.l4_ok = insert || unused || r.l4_sum == 0xffff;
  if (insert) r.l4_csum = udp && r.l4_sum == 0xffff ? 0xffff : static_cast<std::uint16_t>(~r.l4_sum);
  return r;
}

}  // namespace understudy
