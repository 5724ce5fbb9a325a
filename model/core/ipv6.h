// IPv6 (RFC 8200), ICMPv6 echo (RFC 4443) and neighbour discovery (RFC 4861).
#pragma once
#include <cstdint>

#include "model/core/frame.h"
#include "model/core/inet.h"

namespace understudy {

inline constexpr std::uint32_t ipv6_bytes = 40;
inline constexpr std::uint16_t type_ipv6 = 0x86dd;
inline constexpr std::uint8_t protocol_icmpv6 = 58;

// Every station of the link.
inline constexpr ip_address all_nodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
// The group in which a station listens for questions after `ip` (RFC 4291 2.7.1).
ip_address solicited_node(const ip_address& ip);
// The Ethernet address of a group (RFC 2464 7).
mac_address multicast_mac(const ip_address& group);

// Sum of the pseudo header (RFC 8200 8.1); `ip` points at the IPv6 header.
std::uint64_t pseudo_header6_sum(const std::uint8_t* ip, std::uint8_t protocol, std::uint32_t length);

// What stands behind the extension headers of a packet of `length` bytes whose fixed header is whole.
struct ipv6_payload {
  enum class kind : std::uint8_t { found, bad_length, fragment, skipped };  // skipped: not to be read
  kind what = kind::skipped;
  std::uint8_t protocol = 0;
  std::uint32_t offset = 0;  // from the fixed header
  std::uint32_t length = 0;
};
ipv6_payload find_ipv6_payload(const std::uint8_t* ip, std::uint32_t length);

// Frames of neighbour discovery. A solicitation goes to the solicited-node group; an advertisement to
// `target_mac`, `to`, or to every station if `to` is zero: unsolicited. It always overrides what is known.
frame_ref make_neighbor_solicitation(const mac_address& source, const ip_address& sender_ip,
                                     const ip_address& target_ip);
frame_ref make_neighbor_advertisement(const mac_address& source, const ip_address& our_ip,
                                      const mac_address& target_mac, const ip_address& to);
// The echo reply to a frame that carries an echo request over IPv6, sent back where it came from.
frame_ref make_echo_reply6(const frame_ref& request, const mac_address& source, const ip_address& our_ip);

struct parsed_frame;
// Fill in kind, addresses and station of an ICMPv6 message whose checksum is right; RFC 4861 7.1.1 and 7.1.2
// say which ones are valid, icmp_error.h what becomes of errors. What is not for an end station stays
// `other`.
void parse_icmpv6(const std::uint8_t* ip, const ipv6_payload& p, parsed_frame& r);

}  // namespace understudy
