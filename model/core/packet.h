// Frames to fields and back: Ethernet II, IPv4 and IPv6, TCP with options, ARP, neighbour discovery, ICMP
// echo; what ICMP errors quote is in icmp_error.h.
#pragma once
#include <cstdint>

#include "model/abi/seq32.h"
#include "model/core/frame.h"
#include "model/core/inet.h"

namespace understudy {

enum tcp_flags : std::uint8_t {
  tcp_fin = 0x01,
  tcp_syn = 0x02,
  tcp_rst = 0x04,
  tcp_psh = 0x08,
  tcp_ack = 0x10,
  tcp_urg = 0x20,
  tcp_ece = 0x40,
  tcp_cwr = 0x80
};

struct sack_block {
  seq32 left;   // first number of the block
  seq32 right;  // number after the block
};

// TCP options of one segment (RFC 9293 3.2, 7323, 2018).
struct tcp_options {
  std::uint16_t mss = 0;    // 0: absent
  std::int8_t wscale = -1;  // -1: absent; above 14 counts as 14 (RFC 7323 2.3)
  bool sack_permitted = false;
  bool has_ts = false;
  std::uint32_t tsval = 0;
  std::uint32_t tsecr = 0;
  std::uint8_t sack_count = 0;  // 0 to 4
  sack_block sack[4]{};
};

// A TCP segment, received or about to be sent. `local` is ours in both cases.
struct segment {
  four_tuple tuple;
  seq32 seq;
  seq32 ack;
  std::uint8_t flags = 0;    // tcp_flags
  std::uint16_t window = 0;  // as on the wire, not scaled
  std::uint16_t urgent = 0;
  std::uint8_t ecn = 0;  // ECN bits of the IP header
  tcp_options options;
  std::uint32_t payload_offset = 0;  // in the frame
  std::uint32_t payload_length = 0;
  // Sequence space that the segment takes (SYN and FIN count).
  std::uint32_t length() const {
    return payload_length + ((flags & tcp_syn) ? 1u : 0u) + ((flags & tcp_fin) ? 1u : 0u);
  }
};

// What a received frame is.
enum class frame_class : std::uint8_t {
  tcp,
  arp_request,
  arp_reply,
  neighbor_solicitation,
  neighbor_advertisement,
  icmp_echo_request,  // over IPv4 or IPv6
  packet_too_big,     // ICMP or ICMPv6: a segment of ours did not fit the path
  other,              // well-formed as far as looked at, not for us to handle: EtherType, protocol, fragment
  bad_length,         // a length field contradicts the frame
  bad_header,         // version, IHL, data offset, option length
  bad_checksum,       // IPv4 header, TCP, ICMP or ICMPv6
};

struct parsed_frame {
  frame_class kind = frame_class::other;
  mac_address source_mac{};
  mac_address destination_mac{};
  std::uint16_t vlan = 0;  // of its IEEE 802.1Q tag; 0: untagged, or tagged with a priority alone
  segment tcp;             // kind tcp; packet_too_big: tuple and seq alone, of the quoted segment
  std::uint32_t mtu = 0;   // kind packet_too_big: of the next hop
  std::uint8_t dscp = 0;   // kind tcp: differentiated services (RFC 2474)
  ip_address sender_ip;    // arp_*, icmp: source; neighbor_advertisement: the address that is advertised
  ip_address target_ip;    // arp_*, icmp: destination; neighbor_solicitation: the address that is asked for
  mac_address station{};   // arp_*, neighbor_*: where sender_ip is; zero: the frame does not say
};

// Classify and take apart a frame, behind one customer VLAN tag if it has one; behind two it is `other`.
// `verify_checksums` false: sums of IPv4, ICMP and TCP were verified by hardware (or are not to be). IPv6
// extension headers are skipped, at most eight. Reads nothing beyond the frame whatever its fields say.
// Malformed TCP options end the option list (RFC 9293 MUST-7 says to cope), an option of length 0 or 1 or one
// that overruns the header gives bad_header.
parsed_frame parse_frame(const frame_ref& f, bool verify_checksums = true);

// Why a receiver drops a whole frame that it has heard.
enum class drop_cause : std::uint8_t {
  length,       // cut short, or a length field contradicts the frame
  header,       // version, header length, data offset, option length
  ip_checksum,  // of the IPv4 header
  l4_checksum,  // of TCP, ICMP or ICMPv6 (a checksum block judges UDP, too)
  fragment,     // of IPv4 or IPv6
  unknown,      // EtherType, protocol, ICMP type, neighbour discovery that RFC 4861 calls invalid
  not_ours,     // nothing is wrong with it: an address or a VLAN of somebody else
};
inline constexpr std::size_t drop_causes = static_cast<std::size_t>(drop_cause::not_ours) + 1;
// The frame is broken: the first four; others are sound and not for us.
constexpr bool is_bad(drop_cause c) {
  return c <= drop_cause::l4_checksum;
}
// The cause that the frame itself shows; checksums are verified.
drop_cause cause_of_drop(const frame_ref& f);

// Bytes in front of the payload for a segment with these options: Ethernet 14 + IPv4 20 or IPv6 40 + TCP 20
// to 60. The local address decides.
std::uint32_t header_bytes(const segment& s);

// Write Ethernet, IP and TCP headers with checksums in front of the payload. `f` holds exactly the payload
// and has at least header_bytes(s) of headroom. `ip_id` goes to the IPv4 identification field. DF is set,
// TTL 64, flow label 0.
void prepend_headers(frame_ref& f, const segment& s, const mac_address& source,
                     const mac_address& destination, std::uint16_t ip_id);

// ARP (RFC 826) frames, padded to 60 bytes. A gratuitous ARP is a request whose sender and target IP are the
// same.
frame_ref make_arp_request(const mac_address& source, const ip_address& sender_ip,
                           const ip_address& target_ip);
frame_ref make_arp_reply(const mac_address& source, const ip_address& sender_ip,
                         const mac_address& target_mac, const ip_address& target_ip);
// The echo reply (RFC 792, 4443) of `our_ip` to a frame that parsed as icmp_echo_request, sent back where it
// came from.
frame_ref make_echo_reply(const frame_ref& request, const mac_address& source, const ip_address& our_ip);

}  // namespace understudy
