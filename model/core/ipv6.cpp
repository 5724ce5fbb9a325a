#include "model/core/ipv6.h"

#include <algorithm>
#include <cstring>

#include "model/core/checksum.h"
#include "model/core/icmp_error.h"
#include "model/core/packet.h"
#include "model/core/wire_bytes.h"

namespace understudy {

namespace {

constexpr std::uint32_t ethernet_bytes = 14;
constexpr std::uint32_t neighbor_bytes = 24 + 8;  // message and one link-layer address option
constexpr std::uint8_t hop_limit = 64;
constexpr std::uint8_t own_link = 255;  // hop limit that no router lets through (RFC 4861 3.1)

enum icmpv6_type : std::uint8_t {
  echo_request = 128,
  echo_reply = 129,
  neighbor_solicitation = 135,
  neighbor_advertisement = 136
};
enum neighbor_option : std::uint8_t { source_address = 1, target_address = 2 };
constexpr std::uint8_t solicited = 0x40, override_known = 0x20;

bool is_multicast(const ip_address& a) {
  return a.bytes[0] == 0xff;
}

// The checksum over an ICMPv6 message of `length` bytes behind `ip`, whose field holds `message + 2`.
std::uint16_t icmpv6_sum(const std::uint8_t* ip, const std::uint8_t* message, std::uint32_t length) {
  return checksum_finish(checksum_add({message, length}, pseudo_header6_sum(ip, protocol_icmpv6, length)));
}

frame_ref make_neighbor(std::uint8_t type, std::uint8_t flags, const mac_address& destination_mac,
                        const mac_address& source, const ip_address& from, const ip_address& to,
                        const ip_address& target, neighbor_option option) {
  frame_ref f = frame_ref::make(ethernet_bytes + ipv6_bytes + neighbor_bytes);
  std::uint8_t* p = f.data();
  std::memset(p, 0, f.size());
  std::copy(destination_mac.begin(), destination_mac.end(), p);
  std::copy(source.begin(), source.end(), p + 6);
  put16(p + 12, type_ipv6);
  std::uint8_t* ip = p + ethernet_bytes;
  ip[0] = 0x60;
  put16(ip + 4, neighbor_bytes);
  ip[6] = protocol_icmpv6;
  ip[7] = own_link;
  std::copy(from.bytes.begin(), from.bytes.end(), ip + 8);
  std::copy(to.bytes.begin(), to.bytes.end(), ip + 24);
  std::uint8_t* m = ip + ipv6_bytes;
  m[0] = type;
  m[4] = flags;
  std::copy(target.bytes.begin(), target.bytes.end(), m + 8);
  m[24] = option;
  m[25] = 1;  // in units of 8 bytes
  std::copy(source.begin(), source.end(), m + 26);
  put16(m + 2, icmpv6_sum(ip, m, neighbor_bytes));
  return f;
}

// The link-layer address in the options of a neighbour discovery message; false if an option has no length,
// which makes the message invalid.
bool read_option(const std::uint8_t* p, std::uint32_t n, neighbor_option wanted, mac_address& to) {
  while (n) {
    const std::uint32_t length = n >= 2 ? p[1] * 8u : 0;
    if (!length || length > n) return false;
    if (p[0] == wanted) std::copy_n(p + 2, 6, to.begin());
    p += length;
    n -= length;
  }
  return true;
}

}  // namespace

ip_address solicited_node(const ip_address& ip) {
  ip_address a{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}};
  std::copy_n(ip.bytes.begin() + 13, 3, a.bytes.begin() + 13);
  return a;
}

mac_address multicast_mac(const ip_address& group) {
  return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]};
}

std::uint64_t pseudo_header6_sum(const std::uint8_t* ip, std::uint8_t protocol, std::uint32_t length) {
  return checksum_add({ip + 8, 32}, (length >> 16) + (length & 0xffff) + protocol);
}

ipv6_payload find_ipv6_payload(const std::uint8_t* ip, std::uint32_t length) {
  using kind = ipv6_payload::kind;
  constexpr int most_headers = 8;
  const std::uint32_t end = ipv6_bytes + get16(ip + 4);
  if (end > length) return {.what = kind::bad_length};
  std::uint8_t next = ip[6];
  std::uint32_t at = ipv6_bytes;
  for (int n = 0; n < most_headers; ++n) {
    const bool options = next == 0 || next == 60, routing = next == 43;
    if (!options && !routing) {
      if (next == 44) return {.what = kind::fragment};
      if (next == 59) return {};  // nothing
      return {kind::found, next, at, end - at};
    }
    if (end - at < 8) return {.what = kind::bad_length};
    const std::uint32_t header = (ip[at + 1] + 1u) * 8;
    if (header > end - at) return {.what = kind::bad_length};
    if (routing && ip[at + 3]) return {};  // we are not its last station
    next = ip[at];
    at += header;
  }
  return {};
}

frame_ref make_neighbor_solicitation(const mac_address& source, const ip_address& sender_ip,
                                     const ip_address& target_ip) {
  const ip_address group = solicited_node(target_ip);
  return make_neighbor(neighbor_solicitation, 0, multicast_mac(group), source, sender_ip, group, target_ip,
                       source_address);
}

frame_ref make_neighbor_advertisement(const mac_address& source, const ip_address& our_ip,
                                      const mac_address& target_mac, const ip_address& to) {
  if (to.is_zero())
    return make_neighbor(neighbor_advertisement, override_known, multicast_mac(all_nodes), source, our_ip,
                         all_nodes, our_ip, target_address);
  return make_neighbor(neighbor_advertisement, solicited | override_known, target_mac, source, our_ip, to,
                       our_ip, target_address);
}

frame_ref make_echo_reply6(const frame_ref& request, const mac_address& source, const ip_address& our_ip) {
  frame_ref f = frame_ref::copy_of(request.data(), request.size());
  std::uint8_t* p = f.data();
  std::copy_n(p + 6, 6, p);
  std::copy(source.begin(), source.end(), p + 6);
  std::uint8_t* ip = p + ethernet_bytes;
  const ipv6_payload found = find_ipv6_payload(ip, f.size() - ethernet_bytes);
  ip[7] = hop_limit;
  std::copy_n(ip + 8, 16, ip + 24);
  std::copy(our_ip.bytes.begin(), our_ip.bytes.end(), ip + 8);
  std::uint8_t* m = ip + found.offset;
  m[0] = echo_reply;
  put16(m + 2, 0);
  put16(m + 2, icmpv6_sum(ip, m, found.length));
  return f;
}

void parse_icmpv6(const std::uint8_t* ip, const ipv6_payload& p, parsed_frame& r) {
  const std::uint8_t* m = ip + p.offset;
  if (p.length < 8) {
    r.kind = frame_class::bad_length;
    return;
  }
  if (icmpv6_sum(ip, m, p.length)) {
    r.kind = frame_class::bad_checksum;
    return;
  }
  if (m[0] == icmpv6_packet_too_big) return parse_too_big6(ip, m, p.length, r);  // whatever its code
  const ip_address source = ip_address::at(ip + 8), destination = ip_address::at(ip + 24);
  if (m[1] != 0) return;
  if (m[0] == echo_request) {
    r.sender_ip = source;
    r.target_ip = destination;
    r.kind = frame_class::icmp_echo_request;
    return;
  }
  if (m[0] != neighbor_solicitation && m[0] != neighbor_advertisement) return;
  if (ip[7] != own_link || p.length < 24) return;
  const ip_address target = ip_address::at(m + 8);
  if (is_multicast(target)) return;
  if (m[0] == neighbor_solicitation) {
    if (!read_option(m + 24, p.length - 24, source_address, r.station)) return;
    r.sender_ip = source;
    r.target_ip = target;
    r.kind = frame_class::neighbor_solicitation;
    return;
  }
  if (is_multicast(destination) && m[4] & solicited) return;
  if (!read_option(m + 24, p.length - 24, target_address, r.station)) return;
  r.sender_ip = target;
  r.target_ip = destination;
  r.kind = frame_class::neighbor_advertisement;
}

}  // namespace understudy
