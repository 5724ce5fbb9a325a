#include "tb/workload/segment.h"

#include <pcap/dlt.h>

#include <algorithm>

namespace understudy::tb {
namespace {

constexpr std::uint16_t type_ipv4 = 0x0800;
constexpr std::uint16_t type_ipv6 = 0x86dd;

constexpr bool is_vlan(std::uint16_t type) {
  return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

// What is left of a packet: the captured bytes and their length on the wire.
struct rest {
  std::span<const std::uint8_t> bytes;
  std::uint64_t sent;
  bool has(std::size_t n) const { return bytes.size() >= n; }
  std::uint8_t u8(std::size_t i) const { return bytes[i]; }
  std::uint16_t u16(std::size_t i) const { return static_cast<std::uint16_t>(bytes[i] << 8 | bytes[i + 1]); }
  std::uint32_t u32(std::size_t i) const { return static_cast<std::uint32_t>(u16(i)) << 16 | u16(i + 2); }
  // Drops the first `n` bytes; has(n).
  void skip(std::size_t n) {
    bytes = bytes.subspan(n);
    sent -= n;
  }
  // Nothing lies beyond `n` bytes (what follows is padding).
  void limit(std::uint64_t n) {
    sent = std::min(sent, n);
    if (bytes.size() > sent) bytes = bytes.first(sent);
  }
};

segment_verdict find_tcp(rest r, captured_segment& s) {
  if (!r.has(20)) return segment_verdict::malformed;
  const std::size_t header = std::size_t{4} * (r.u8(12) >> 4);
  if (header < 20 || r.sent < header) return segment_verdict::malformed;
  s.from_port = r.u16(0);
  s.to_port = r.u16(2);
  s.seq = seq32{r.u32(4)};
  s.ack = seq32{r.u32(8)};
  const std::uint8_t flags = r.u8(13);
  s.fin = flags & 0x01;
  s.syn = flags & 0x02;
  s.rst = flags & 0x04;
  s.has_ack = flags & 0x10;
  s.payload_length = r.sent - header;
  s.payload = r.bytes.subspan(std::min(header, r.bytes.size()));
  return segment_verdict::tcp;
}

segment_verdict find_in_ipv4(rest r, captured_segment& s) {
  if (!r.has(20)) return segment_verdict::malformed;
  const std::size_t header = std::size_t{4} * (r.u8(0) & 0x0f);
  const std::uint16_t total = r.u16(2);
  if (header < 20) return segment_verdict::malformed;
  if (r.u8(9) != 6) return segment_verdict::not_tcp;
  if (r.u16(6) & 0x3fff) return segment_verdict::fragment;  // more fragments, or an offset
  // A length of 0 is a frame that the sender's adapter had yet to cut (TSO): it goes to the end of the
  // packet.
  if (total != 0) {
    if (total < header) return segment_verdict::malformed;
    r.limit(total);
  }
  if (!r.has(header)) return segment_verdict::malformed;
  s.from = ip_address::v4(r.u32(12));
  s.to = ip_address::v4(r.u32(16));
  r.skip(header);
  return find_tcp(r, s);
}

segment_verdict find_in_ipv6(rest r, captured_segment& s) {
  if (!r.has(40)) return segment_verdict::malformed;
  const std::uint16_t payload = r.u16(4);
  if (payload != 0) r.limit(40u + payload);
  std::copy_n(r.bytes.begin() + 8, 16, s.from.bytes.begin());
  std::copy_n(r.bytes.begin() + 24, 16, s.to.bytes.begin());
  s.ipv6 = true;
  std::uint8_t next = r.u8(6);
  r.skip(40);
  // Extension headers, RFC 8200 4.
  for (;;) {
    std::size_t length = 0;
    switch (next) {
      case 6:
        return find_tcp(r, s);
      case 0:    // hop-by-hop options
      case 43:   // routing
      case 60:   // destination options
      case 135:  // mobility
        if (!r.has(8)) return segment_verdict::malformed;
        length = (r.u8(1) + std::size_t{1}) * 8;
        break;
      case 44:  // fragment; one that is whole may pass (RFC 6946)
        if (!r.has(8)) return segment_verdict::malformed;
        if (r.u16(2) & 0xfff9) return segment_verdict::fragment;
        length = 8;
        break;
      case 51:  // authentication
        if (!r.has(8)) return segment_verdict::malformed;
        length = (r.u8(1) + std::size_t{2}) * 4;
        break;
      default:
        return segment_verdict::not_tcp;
    }
    if (!r.has(length)) return segment_verdict::malformed;
    next = r.u8(0);
    r.skip(length);
  }
}

segment_verdict find_in_ip(rest r, captured_segment& s) {
  if (!r.has(1)) return segment_verdict::malformed;
  switch (r.u8(0) >> 4) {
    case 4:
      return find_in_ipv4(r, s);
    case 6:
      return find_in_ipv6(r, s);
    default:
      return segment_verdict::not_ip;
  }
}

// `r` starts behind an EtherType.
segment_verdict find_by_type(std::uint16_t type, rest r, captured_segment& s) {
  while (is_vlan(type)) {
    if (!r.has(4)) return segment_verdict::malformed;
    s.vlan = true;
    type = r.u16(2);
    r.skip(4);
  }
  if (type != type_ipv4 && type != type_ipv6) return segment_verdict::not_ip;
  return find_in_ip(r, s);
}

}  // namespace

bool link_type_supported(int link_type) {
  switch (link_type) {
    case DLT_EN10MB:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_NULL:
    case DLT_LOOP:
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return true;
    default:
      return false;
  }
}

segment_verdict find_segment(int link_type, std::span<const std::uint8_t> packet, std::uint64_t sent,
                             captured_segment& s) {
  rest r{packet, std::max<std::uint64_t>(sent, packet.size())};
  s = {};
  std::size_t header = 0;
  std::size_t type_at = 0;
  switch (link_type) {
    case DLT_EN10MB:
      header = 14;
      type_at = 12;
      break;
    case DLT_LINUX_SLL:
      header = 16;
      type_at = 14;
      break;
    case DLT_LINUX_SLL2:
      header = 20;
      type_at = 0;
      break;
    case DLT_NULL:
    case DLT_LOOP:  // an address family, whose value differs from system to system: the IP version says the
                    // same
      if (!r.has(4)) return segment_verdict::malformed;
      r.skip(4);
      return find_in_ip(r, s);
    default:
      return find_in_ip(r, s);
  }
  if (!r.has(header)) return segment_verdict::malformed;
  const std::uint16_t type = r.u16(type_at);
  r.skip(header);
  return find_by_type(type, r, s);
}

}  // namespace understudy::tb
