#include "tb/live/segment_splitter.h"

#include <algorithm>
#include <cstring>

#include "model/core/checksum.h"
#include "model/core/ipv6.h"
#include "model/core/wire_bytes.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t ethernet_header = 14, v4_header = 20, tcp_header = 20, vlan_tag = 4;
constexpr std::uint16_t type_v4 = 0x0800, type_tag = 0x8100, type_service_tag = 0x88a8;
constexpr std::uint8_t protocol_tcp = 6;
constexpr std::uint8_t fin = 0x01, psh = 0x08, cwr = 0x80;
constexpr std::uint16_t tcp_checksum = 16;  // its place in the header
constexpr std::uint8_t gso_ecn = 0x80;      // beside a gso_type: CWR is set

// Where the IP header is, behind two tags at most.
std::uint32_t ip_header_of(std::span<const std::uint8_t> frame) {
  std::uint32_t type = ethernet_header - 2;
  for (int tags = 0; tags < 2 && type + vlan_tag + 2 <= frame.size(); ++tags) {
    const std::uint16_t t = get16(frame.data() + type);
    if (t != type_tag && t != type_service_tag) break;
    type += vlan_tag;
  }
  return type + 2;
}

// Of `frame` from `ip` on: an IPv4 packet as long as it says, no fragment, whose TCP header is at `tcp`.
bool is_v4(std::span<const std::uint8_t> frame, std::uint32_t ip, std::uint32_t tcp) {
  const std::uint8_t* p = frame.data() + ip;
  return get16(p - 2) == type_v4 && ip + v4_header <= tcp && p[0] >> 4 == 4 && ip + (p[0] & 15u) * 4 == tcp &&
         get16(p + 2) == frame.size() - ip && (get16(p + 6) & 0x3fff) == 0 && p[9] == protocol_tcp;
}
// The same of IPv6, with extension headers or none.
bool is_v6(std::span<const std::uint8_t> frame, std::uint32_t ip, std::uint32_t tcp) {
  const std::uint8_t* p = frame.data() + ip;
  if (get16(p - 2) != type_ipv6 || ip + ipv6_bytes > tcp || p[0] >> 4 != 6) return false;
  const ipv6_payload found = find_ipv6_payload(p, static_cast<std::uint32_t>(frame.size()) - ip);
  return found.what == ipv6_payload::kind::found && found.protocol == protocol_tcp &&
         ip + found.offset == tcp && tcp + found.length == frame.size();
}

}  // namespace

bool segment_splitter::take(const vnet_header& h, std::span<const std::uint8_t> frame) {
  frame_ = {};
  at_ = index_ = gso_size_ = field_ = 0;
  if (frame.size() < ethernet_header) return false;
  if ((h.gso_type & ~gso_ecn) != 0) {
    if (!lay_out(h, frame)) return false;
    gso_size_ = h.gso_size;
    at_ = payload_;
  } else {
    if (frame.size() > frame_ref::max_bytes) return false;
    if (h.flags & vnet_header::needs_csum) {
      tcp_ = h.csum_start;
      field_ = std::uint32_t{h.csum_start} + h.csum_offset;
      if (tcp_ < ethernet_header || field_ + 2 > frame.size()) return false;
    }
  }
  frame_ = frame;
  return true;
}

bool segment_splitter::lay_out(const vnet_header& h, std::span<const std::uint8_t> frame) {
  const std::uint8_t type = h.gso_type & static_cast<std::uint8_t>(~gso_ecn);
  ip_ = ip_header_of(frame);
  tcp_ = h.csum_start;
  if (!(h.flags & vnet_header::needs_csum) || h.csum_offset != tcp_checksum || h.gso_size == 0 ||
      tcp_ + tcp_header > frame.size())
    return false;
  if (type == vnet_header::gso_tcpv4   ? !is_v4(frame, ip_, tcp_)
      : type == vnet_header::gso_tcpv6 ? !is_v6(frame, ip_, tcp_)
                                       : true)
    return false;
  const std::uint32_t header = (frame[tcp_ + 12] >> 4) * 4u;
  payload_ = tcp_ + header;
  // What the kernel left in the checksum's field is the sum of the pseudo-header, with the length of all.
  const auto all = static_cast<std::uint32_t>(frame.size()) - tcp_;
  pseudo_ = get16(frame.data() + tcp_ + tcp_checksum) + (0xffff - all);
  return header >= tcp_header && payload_ < frame.size() && payload_ + h.gso_size <= frame_ref::max_bytes;
}

frame_ref segment_splitter::next() {
  if (gso_size_ == 0) return whole();
  const auto bytes = static_cast<std::uint32_t>(std::min<std::size_t>(gso_size_, frame_.size() - at_));
  frame_ref f = frame_ref::make(payload_ + bytes);
  std::memcpy(f.data(), frame_.data(), payload_);
  std::memcpy(f.data() + payload_, frame_.data() + at_, bytes);
  std::uint8_t* ip = f.data() + ip_;
  std::uint8_t* tcp = f.data() + tcp_;
  const std::uint32_t packet = f.size() - ip_, segment = f.size() - tcp_;
  if (ip[0] >> 4 == 4) {
    put16(ip + 2, packet);
    put16(ip + 4, get16(ip + 4) + index_);
    put16(ip + 10, 0);
    put16(ip + 10, checksum_finish(checksum_add({ip, tcp_ - ip_})));
  } else {
    put16(ip + 4, packet - ipv6_bytes);
  }
  put32(tcp + 4, get32(tcp + 4) + static_cast<std::uint32_t>(at_ - payload_));
  if (index_ != 0) tcp[13] &= static_cast<std::uint8_t>(~cwr);
  ++index_;
  at_ += bytes;
  if (more()) tcp[13] &= static_cast<std::uint8_t>(~(fin | psh));
  put16(tcp + tcp_checksum, 0);
  put16(tcp + tcp_checksum, checksum_finish(checksum_add({tcp, segment}, pseudo_ + segment)));
  return f;
}

frame_ref segment_splitter::whole() {
  frame_ref f = frame_ref::copy_of(frame_.data(), static_cast<std::uint32_t>(frame_.size()));
  at_ = frame_.size();
  if (field_ == 0) return f;
  // A sum of 0 is written as 0xffff, as the kernel does where it completes one: in UDP 0 means none (RFC
  // 768).
  const std::uint16_t sum = checksum_finish(checksum_add(f.bytes().subspan(tcp_)));
  put16(f.data() + field_, sum ? sum : 0xffff);
  return f;
}

}  // namespace understudy::tb
