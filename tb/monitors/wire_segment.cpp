#include "tb/monitors/wire_segment.h"

#include <algorithm>
#include <cstring>

#include "model/core/wire_bytes.h"

namespace understudy::tb {

namespace {
constexpr std::uint16_t type_v4 = 0x0800, type_v6 = 0x86dd, type_tag = 0x8100;
constexpr std::uint8_t tcp = 6;

// Ones' complement sum of 16-bit words in network order; an odd last byte is the high half of a word.
std::uint64_t word_sum(const std::uint8_t* p, std::uint32_t length) {
  std::uint64_t sum = 0;
  for (; length >= 4; p += 4, length -= 4) sum += get32(p);
  if (length >= 2) {
    sum += get16(p);
    p += 2;
    length -= 2;
  }
  return length ? sum + (std::uint64_t{*p} << 8) : sum;
}
bool is_all_ones(std::uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

// Bytes of the Ethernet header, with one IEEE 802.1Q tag or without; the frame has at least 18.
std::uint32_t ethernet_bytes(const std::uint8_t* frame) {
  return get16(frame + 12) == type_tag ? 18 : 14;
}

// Where a segment lies behind the Ethernet header.
struct place {
  std::uint32_t header = 0;  // bytes of the IP header
  std::uint32_t total = 0;   // of the packet
};
std::optional<place> find_segment(const std::uint8_t* frame, std::uint32_t length) {
  if (length < 14 + 20 + 20) return {};
  const std::uint32_t ethernet = ethernet_bytes(frame);
  if (length < ethernet + 20 + 20) return {};
  const std::uint8_t* ip = frame + ethernet;
  const std::uint16_t type = get16(ip - 2);
  place p;
  if (type == type_v6) {
    p = {40, 40u + get16(ip + 4)};
    if (ip[0] >> 4 != 6 || ip[6] != tcp) return {};
  } else if (type == type_v4) {
    p = {(ip[0] & 15u) * 4, get16(ip + 2)};
    if (ip[0] >> 4 != 4 || p.header < 20 || ip[9] != tcp || get16(ip + 6) & 0x3fff) return {};
  } else {
    return {};
  }
  if (p.total > length - ethernet || p.total < p.header + 20) return {};
  return p;
}
}  // namespace

std::size_t wire_connection_hash::operator()(const wire_connection& c) const {
  std::uint64_t h = std::uint64_t{c.peer_port} << 16 | c.host_port;
  for (std::size_t i = 0; i < 16; i += 8) {
    std::uint64_t half;
    std::memcpy(&half, c.peer.bytes.data() + i, sizeof half);
    h = (h ^ half) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
  }
  return h;
}

bool checksums_hold(const std::uint8_t* frame) {
  const std::uint8_t* ip = frame + ethernet_bytes(frame);
  if (get16(ip - 2) == type_v6)
    return is_all_ones(word_sum(ip + 8, 32) + tcp + get16(ip + 4) + word_sum(ip + 40, get16(ip + 4)));
  const std::uint32_t header = (ip[0] & 15u) * 4;
  const std::uint32_t segment = get16(ip + 2) - header;
  return is_all_ones(word_sum(ip, header)) &&
         is_all_ones(word_sum(ip + 12, 8) + tcp + segment + word_sum(ip + header, segment));
}

std::optional<wire_segment> read_segment(const std::uint8_t* frame, std::uint32_t length) {
  const auto found = find_segment(frame, length);
  if (!found) return {};
  const std::uint8_t* ip = frame + ethernet_bytes(frame);
  const std::uint32_t ip_header = found->header, total = found->total;
  const std::uint8_t* t = ip + ip_header;
  const std::uint32_t tcp_header = (t[12] >> 4) * 4u;
  if (tcp_header < 20 || ip_header + tcp_header > total) return {};
  wire_segment s;
  if (ip_header == 40 && ip[0] >> 4 == 6) {
    std::copy_n(ip + 8, 16, s.source_ip.bytes.begin());
    std::copy_n(ip + 24, 16, s.destination_ip.bytes.begin());
  } else {
    s.source_ip = ip_address::v4(get32(ip + 12));
    s.destination_ip = ip_address::v4(get32(ip + 16));
  }
  s.source_port = get16(t);
  s.destination_port = get16(t + 2);
  s.seq = seq32{get32(t + 4)};
  s.ack = seq32{get32(t + 8)};
  s.fin = t[13] & 1;
  s.syn = t[13] & 2;
  s.rst = t[13] & 4;
  s.has_ack = t[13] & 16;
  s.window = get16(t + 14);
  s.payload = t + tcp_header;
  s.payload_length = total - ip_header - tcp_header;
  for (std::uint32_t i = 20; i < tcp_header;) {
    if (t[i] == 0) break;
    if (t[i] == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= tcp_header || t[i + 1] < 2 || i + t[i + 1] > tcp_header) break;
    if (t[i] == 3 && t[i + 1] == 3) {
      s.wscale = t[i + 2];
      s.has_wscale = true;
    }
    if (t[i] == 8 && t[i + 1] == 10) s.tsval = get32(t + i + 2);
    i += t[i + 1];
  }
  return s;
}

}  // namespace understudy::tb
