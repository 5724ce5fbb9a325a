// ICMP errors that say a packet was too big for the path: type 3 code 4 (RFC 792, RFC 1191 4) and ICMPv6
// Packet Too Big (RFC 4443 3.2). Whether one is believed is the engine's: tcp_path_mtu.cpp.
#pragma once
#include <cstdint>

namespace understudy {

struct parsed_frame;

inline constexpr std::uint8_t icmp_unreachable = 3;
inline constexpr std::uint8_t icmp_fragmentation_needed = 4;  // code of the above
inline constexpr std::uint8_t icmpv6_packet_too_big = 2;

inline constexpr std::uint16_t least_ipv4_mtu = 68;  // RFC 791 3.2

// The next lower plateau below a packet of `length` bytes (RFC 1191 7.1): what to try where the router is too
// old to name its MTU. least_ipv4_mtu where there is none.
std::uint16_t plateau_below(std::uint32_t length);

// Take apart what the error quotes. `ip` points at the IP header around it, `m` at the ICMP message of `n`
// bytes, at least 8, whose checksum is right. The kind becomes packet_too_big, with r.mtu (an IPv4 MTU of 0
// replaced by plateau_below() the quoted packet's length), and in r.tcp the tuple and sequence number of the
// quoted segment, whose source is `local`. It becomes bad_length if the quote ends before the sequence
// number, and stays as it is if the quote is no segment in one piece from the address that gets the error.
void parse_too_big4(const std::uint8_t* ip, const std::uint8_t* m, std::uint32_t n, parsed_frame& r);
void parse_too_big6(const std::uint8_t* ip, const std::uint8_t* m, std::uint32_t n, parsed_frame& r);

}  // namespace understudy
