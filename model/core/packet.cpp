#include "model/core/packet.h"

#include <algorithm>
#include <cstring>

#include "model/core/checksum.h"
#include "model/core/icmp_error.h"
#include "model/core/ipv6.h"
#include "model/core/vlan.h"
#include "model/core/wire_bytes.h"

namespace understudy {

namespace {

constexpr std::uint32_t ethernet_bytes = 14;
constexpr std::uint32_t ipv4_bytes = 20;
constexpr std::uint32_t tcp_bytes = 20;
constexpr std::uint32_t arp_bytes = 28;
constexpr std::uint32_t least_frame = 60;  // IEEE 802.3 minimum without FCS
constexpr std::uint16_t type_ipv4 = 0x0800;
constexpr std::uint16_t type_arp = 0x0806;
constexpr std::uint8_t protocol_icmp = 1;
constexpr std::uint8_t protocol_tcp = 6;
constexpr std::uint8_t icmp_echo = 8;
constexpr std::uint8_t ttl = 64;

enum option_kind : std::uint8_t {
  option_end = 0,
  option_nop = 1,
  option_mss = 2,
  option_wscale = 3,
  option_sack_permitted = 4,
  option_sack = 5,
  option_ts = 8
};

// Sum of the TCP pseudo header of RFC 9293 3.1; `ip` points at the IPv4 header.
std::uint64_t pseudo_header_sum(const std::uint8_t* ip, std::uint32_t tcp_length) {
  return checksum_add({ip + 12, 8}, protocol_tcp + tcp_length);
}

bool parse_options(const std::uint8_t* p, std::uint32_t n, tcp_options& o) {
  for (std::uint32_t i = 0; i < n;) {
    const std::uint8_t kind = p[i];
    if (kind == option_end) return true;
    if (kind == option_nop) {
      ++i;
      continue;
    }
    if (i + 1 >= n) return false;
    const std::uint32_t len = p[i + 1];
    if (len < 2 || len > n - i) return false;
    const std::uint8_t* v = p + i + 2;
    switch (kind) {
      case option_mss:
        if (len != 4) return true;
        o.mss = get16(v);
        break;
      case option_wscale:
        if (len != 3) return true;
        o.wscale = static_cast<std::int8_t>(std::min<std::uint8_t>(v[0], 14));
        break;
      case option_sack_permitted:
        if (len != 2) return true;
        o.sack_permitted = true;
        break;
      case option_sack: {
        if (len < 10 || len > 34 || (len - 2) % 8) return true;
        o.sack_count = static_cast<std::uint8_t>((len - 2) / 8);
        for (std::uint8_t b = 0; b < o.sack_count; ++b)
          o.sack[b] = {seq32{get32(v + 8 * b)}, seq32{get32(v + 8 * b + 4)}};
        break;
      }
      case option_ts:
        if (len != 10) return true;
        o.has_ts = true;
        o.tsval = get32(v);
        o.tsecr = get32(v + 4);
        break;
      default:
        break;
    }
    i += len;
  }
  return true;
}

void parse_arp(const std::uint8_t* p, std::uint32_t n, parsed_frame& r) {
  if (n < arp_bytes) {
    r.kind = frame_class::bad_length;
    return;
  }
  if (get16(p) != 1 || get16(p + 2) != type_ipv4 || p[4] != 6 || p[5] != 4) return;
  r.sender_ip = ip_address::v4(get32(p + 14));
  r.target_ip = ip_address::v4(get32(p + 24));
  r.station = r.source_mac;
  if (get16(p + 6) == 1) r.kind = frame_class::arp_request;
  if (get16(p + 6) == 2) r.kind = frame_class::arp_reply;
}

// `p` and `n`: the segment, `pseudo` the sum of its pseudo header. Addresses and ECN bits are the caller's.
frame_class parse_tcp(const std::uint8_t* p, std::uint32_t n, bool verify, std::uint64_t pseudo, segment& s) {
  if (n < tcp_bytes) return frame_class::bad_length;
  const std::uint32_t header = (p[12] >> 4) * 4u;
  if (header < tcp_bytes || header > n) return frame_class::bad_header;
  if (verify && checksum_finish(checksum_add({p, n}, pseudo))) return frame_class::bad_checksum;
  s.tuple.remote_port = get16(p);
  s.tuple.local_port = get16(p + 2);
  s.seq = seq32{get32(p + 4)};
  s.ack = seq32{get32(p + 8)};
  s.flags = p[13];
  s.window = get16(p + 14);
  s.urgent = get16(p + 18);
  if (!parse_options(p + tcp_bytes, header - tcp_bytes, s.options)) return frame_class::bad_header;
  s.payload_offset += header;
  s.payload_length = n - header;
  return frame_class::tcp;
}

void parse_ipv4(const std::uint8_t* ip, std::uint32_t n, bool verify, parsed_frame& r) {
  const auto is = [&r](frame_class k) { r.kind = k; };
  if (n < ipv4_bytes) return is(frame_class::bad_length);
  const std::uint32_t header = (ip[0] & 0xf) * 4u;
  if (ip[0] >> 4 != 4 || header < ipv4_bytes) return is(frame_class::bad_header);
  const std::uint32_t total = get16(ip + 2);
  if (total < header || total > n) return is(frame_class::bad_length);
  if (verify && checksum_finish(checksum_add({ip, header}))) return is(frame_class::bad_checksum);
  if (get16(ip + 6) & 0x3fff) return;  // a fragment: MF or an offset
  if (ip[9] == protocol_tcp) {
    const std::uint32_t length = total - header;
    r.tcp.tuple.remote = ip_address::v4(get32(ip + 12));
    r.tcp.tuple.local = ip_address::v4(get32(ip + 16));
    r.tcp.ecn = ip[1] & 3;
    r.dscp = ip[1] >> 2;
    r.tcp.payload_offset += header;
    return is(parse_tcp(ip + header, length, verify, verify ? pseudo_header_sum(ip, length) : 0, r.tcp));
  }
  if (ip[9] != protocol_icmp) return;
  if (total - header < 8) return is(frame_class::bad_length);
  if (verify && checksum_finish(checksum_add({ip + header, total - header})))
    return is(frame_class::bad_checksum);
  const std::uint8_t type = ip[header], code = ip[header + 1];
  if (type == icmp_unreachable && code == icmp_fragmentation_needed)
    return parse_too_big4(ip, ip + header, total - header, r);
  if (type != icmp_echo || code != 0) return;
  r.sender_ip = ip_address::v4(get32(ip + 12));
  r.target_ip = ip_address::v4(get32(ip + 16));
  is(frame_class::icmp_echo_request);
}

void parse_ipv6(const std::uint8_t* ip, std::uint32_t n, bool verify, parsed_frame& r) {
  const auto is = [&r](frame_class k) { r.kind = k; };
  if (n < ipv6_bytes) return is(frame_class::bad_length);
  if (ip[0] >> 4 != 6) return is(frame_class::bad_header);
  const ipv6_payload p = find_ipv6_payload(ip, n);
  if (p.what == ipv6_payload::kind::bad_length) return is(frame_class::bad_length);
  if (p.what != ipv6_payload::kind::found) return;
  const ip_address source = ip_address::at(ip + 8), destination = ip_address::at(ip + 24);
  // An IPv4 address written as IPv6 (RFC 4291 2.5.5.2): inside it stands for IPv4, on the wire for nobody.
  if (source.is_v4() || destination.is_v4()) return;
  if (p.protocol == protocol_icmpv6) return parse_icmpv6(ip, p, r);
  if (p.protocol != protocol_tcp) return;
  r.tcp.tuple.remote = source;
  r.tcp.tuple.local = destination;
  r.tcp.ecn = ip[1] >> 4 & 3;
  r.dscp = static_cast<std::uint8_t>((ip[0] & 15) << 2 | ip[1] >> 6);
  r.tcp.payload_offset += p.offset;
  is(parse_tcp(ip + p.offset, p.length, verify, verify ? pseudo_header6_sum(ip, protocol_tcp, p.length) : 0,
               r.tcp));
}

// SACK blocks that fit beside the other options into the 40 bytes that TCP has.
std::uint32_t sack_blocks(const tcp_options& o) {
  const std::uint32_t room = o.has_ts ? 3 : 4;
  return o.mss || o.wscale >= 0 || o.sack_permitted ? 0 : std::min<std::uint32_t>(o.sack_count, room);
}

std::uint32_t option_bytes(const tcp_options& o) {
  std::uint32_t n = (o.mss ? 4u : 0u) + (o.wscale >= 0 ? 4u : 0u) +
                    (o.has_ts           ? 12u
                     : o.sack_permitted ? 4u
                                        : 0u);
  if (const std::uint32_t b = sack_blocks(o)) n += 4 + 8 * b;
  return n;
}

void put_options(std::uint8_t* p, const tcp_options& o) {
  if (o.mss) {
    p[0] = option_mss;
    p[1] = 4;
    put16(p + 2, o.mss);
    p += 4;
  }
  if (o.has_ts || o.sack_permitted) {
    p[0] = o.sack_permitted ? std::uint8_t{option_sack_permitted} : std::uint8_t{option_nop};
    p[1] = o.sack_permitted ? 2 : std::uint8_t{option_nop};
    if (o.has_ts) {
      p[2] = option_ts;
      p[3] = 10;
      put32(p + 4, o.tsval);
      put32(p + 8, o.tsecr);
      p += 12;
    } else {
      p[2] = p[3] = option_nop;
      p += 4;
    }
  }
  if (o.wscale >= 0) {
    p[0] = option_nop;
    p[1] = option_wscale;
    p[2] = 3;
    p[3] = static_cast<std::uint8_t>(o.wscale);
    p += 4;
  }
  if (const std::uint32_t b = sack_blocks(o)) {
    p[0] = p[1] = option_nop;
    p[2] = option_sack;
    p[3] = static_cast<std::uint8_t>(2 + 8 * b);
    for (std::uint32_t i = 0; i < b; ++i) {
      put32(p + 4 + 8 * i, o.sack[i].left.raw);
      put32(p + 8 + 8 * i, o.sack[i].right.raw);
    }
  }
}

void put_ethernet(std::uint8_t* p, const mac_address& destination, const mac_address& source,
                  std::uint16_t type) {
  std::memcpy(p, destination.data(), 6);
  std::memcpy(p + 6, source.data(), 6);
  put16(p + 12, type);
}

void put_ipv4(std::uint8_t* ip, const segment& s, std::uint32_t tcp_length, std::uint16_t id) {
  ip[0] = 0x45;
  ip[1] = s.ecn & 3;
  put16(ip + 2, ipv4_bytes + tcp_length);
  put16(ip + 4, id);
  put16(ip + 6, 0x4000);
  ip[8] = ttl;
  ip[9] = protocol_tcp;
  put16(ip + 10, 0);
  put32(ip + 12, s.tuple.local.v4_value());
  put32(ip + 16, s.tuple.remote.v4_value());
  put16(ip + 10, checksum_finish(checksum_add({ip, ipv4_bytes})));
}

void put_ipv6(std::uint8_t* ip, const segment& s, std::uint32_t tcp_length) {
  put32(ip, 0x60000000u | std::uint32_t{s.ecn & 3u} << 20);
  put16(ip + 4, tcp_length);
  ip[6] = protocol_tcp;
  ip[7] = ttl;
  std::copy(s.tuple.local.bytes.begin(), s.tuple.local.bytes.end(), ip + 8);
  std::copy(s.tuple.remote.bytes.begin(), s.tuple.remote.bytes.end(), ip + 24);
}

frame_ref make_arp(std::uint16_t operation, const mac_address& ethernet_destination,
                   const mac_address& source, const ip_address& sender_ip, const mac_address& target_mac,
                   const ip_address& target_ip) {
  frame_ref f = frame_ref::make(least_frame);
  std::uint8_t* p = f.data();
  std::memset(p, 0, least_frame);
  put_ethernet(p, ethernet_destination, source, type_arp);
  p += ethernet_bytes;
  put16(p, 1);
  put16(p + 2, type_ipv4);
  p[4] = 6;
  p[5] = 4;
  put16(p + 6, operation);
  std::memcpy(p + 8, source.data(), 6);
  put32(p + 14, sender_ip.v4_value());
  std::memcpy(p + 18, target_mac.data(), 6);
  put32(p + 24, target_ip.v4_value());
  return f;
}

// The IP packet in a frame that parse_frame() found long enough for its header; version 0: none.
struct ip_packet {
  unsigned version = 0;
  const std::uint8_t* at = nullptr;
  std::uint32_t bytes = 0;
};
ip_packet ip_packet_of(const frame_ref& f) {
  const std::uint32_t at = ethernet_bytes + (has_vlan_tag(f) ? vlan_tag_bytes : 0);
  const std::uint16_t type = get16(f.data() + at - 2);
  const unsigned version = type == type_ipv4 ? 4 : type == type_ipv6 ? 6 : 0;
  return {version, f.data() + at, f.size() - at};
}

}  // namespace

parsed_frame parse_frame(const frame_ref& f, bool verify_checksums) {
  parsed_frame r;
  const std::uint32_t n = f ? f.size() : 0;
  if (n < ethernet_bytes) {
    r.kind = frame_class::bad_length;
    return r;
  }
  const std::uint8_t* p = f.data();
  std::memcpy(r.destination_mac.data(), p, 6);
  std::memcpy(r.source_mac.data(), p + 6, 6);
  r.vlan = vlan_of(f);
  const std::uint32_t at = ethernet_bytes + (has_vlan_tag(f) ? vlan_tag_bytes : 0);
  r.tcp.payload_offset = at;
  const std::uint16_t type = get16(p + at - 2);
  if (type == type_arp) parse_arp(p + at, n - at, r);
  if (type == type_ipv4) parse_ipv4(p + at, n - at, verify_checksums, r);
  if (type == type_ipv6) parse_ipv6(p + at, n - at, verify_checksums, r);
  return r;
}

drop_cause cause_of_drop(const frame_ref& f) {
  switch (parse_frame(f).kind) {
    case frame_class::bad_length:
      return drop_cause::length;
    case frame_class::bad_header:
      return drop_cause::header;
    case frame_class::bad_checksum: {
      const ip_packet p = ip_packet_of(f);
      const bool header_is_right =
          p.version == 6 || !checksum_finish(checksum_add({p.at, (p.at[0] & 0xf) * 4u}));
      return header_is_right ? drop_cause::l4_checksum : drop_cause::ip_checksum;
    }
    case frame_class::other: {
      const ip_packet p = ip_packet_of(f);
      const bool fragment = p.version == 4 ? get16(p.at + 6) & 0x3fff
                            : p.version == 6
                                ? find_ipv6_payload(p.at, p.bytes).what == ipv6_payload::kind::fragment
                                : false;
      return fragment ? drop_cause::fragment : drop_cause::unknown;
    }
    default:
      return drop_cause::not_ours;
  }
}

std::uint32_t header_bytes(const segment& s) {
  return ethernet_bytes + (s.tuple.local.is_v4() ? ipv4_bytes : ipv6_bytes) + tcp_bytes +
         option_bytes(s.options);
}

void prepend_headers(frame_ref& f, const segment& s, const mac_address& source,
                     const mac_address& destination, std::uint16_t ip_id) {
  f.extend_front(header_bytes(s));
  const bool v4 = s.tuple.local.is_v4();
  const std::uint32_t ip_bytes = v4 ? ipv4_bytes : ipv6_bytes;
  const std::uint32_t tcp_length = f.size() - ethernet_bytes - ip_bytes;
  put_ethernet(f.data(), destination, source, v4 ? type_ipv4 : type_ipv6);
  std::uint8_t* ip = f.data() + ethernet_bytes;
  if (v4)
    put_ipv4(ip, s, tcp_length, ip_id);
  else
    put_ipv6(ip, s, tcp_length);
  std::uint8_t* p = ip + ip_bytes;
  put16(p, s.tuple.local_port);
  put16(p + 2, s.tuple.remote_port);
  put32(p + 4, s.seq.raw);
  put32(p + 8, s.ack.raw);
  p[12] = static_cast<std::uint8_t>((tcp_bytes + option_bytes(s.options)) / 4 << 4);
  p[13] = s.flags;
  put16(p + 14, s.window);
  put16(p + 16, 0);
  put16(p + 18, s.urgent);
  put_options(p + tcp_bytes, s.options);
  const std::uint64_t pseudo =
      v4 ? pseudo_header_sum(ip, tcp_length) : pseudo_header6_sum(ip, protocol_tcp, tcp_length);
  put16(p + 16, checksum_finish(checksum_add({p, tcp_length}, pseudo)));
}

frame_ref make_arp_request(const mac_address& source, const ip_address& sender_ip,
                           const ip_address& target_ip) {
  return make_arp(1, broadcast_mac, source, sender_ip, mac_address{}, target_ip);
}

frame_ref make_arp_reply(const mac_address& source, const ip_address& sender_ip,
                         const mac_address& target_mac, const ip_address& target_ip) {
  return make_arp(2, target_mac, source, sender_ip, target_mac, target_ip);
}

frame_ref make_echo_reply(const frame_ref& request, const mac_address& source, const ip_address& our_ip) {
  if (!our_ip.is_v4()) return make_echo_reply6(request, source, our_ip);
  frame_ref f = frame_ref::copy_of(request.data(), request.size());
  std::uint8_t* p = f.data();
  put_ethernet(p, mac_address{p[6], p[7], p[8], p[9], p[10], p[11]}, source, type_ipv4);
  std::uint8_t* ip = p + ethernet_bytes;
  const std::uint32_t header = (ip[0] & 0xf) * 4u;
  const std::uint32_t length = get16(ip + 2) - header;
  ip[8] = ttl;
  std::swap_ranges(ip + 12, ip + 16, ip + 16);
  put16(ip + 10, 0);
  put16(ip + 10, checksum_finish(checksum_add({ip, header})));
  std::uint8_t* icmp = ip + header;
  icmp[0] = 0;
  put16(icmp + 2, 0);
  put16(icmp + 2, checksum_finish(checksum_add({icmp, length})));
  return f;
}

}  // namespace understudy
