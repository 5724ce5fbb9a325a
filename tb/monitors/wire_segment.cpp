#include "tb/monitors/wire_segment.h"

namespace understudy::tb {

namespace {
std::uint16_t be16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
std::uint32_t be32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | p[3];
}

// Ones' complement sum of 16-bit words in network order; an odd last byte is the high half of a word.
std::uint64_t word_sum(const std::uint8_t* p, std::uint32_t length) {
  std::uint64_t sum = 0;
  for (; length >= 4; p += 4, length -= 4) sum += be32(p);
  if (length >= 2) {
    sum += be16(p);
    p += 2;
    length -= 2;
  }
  return length ? sum + (std::uint64_t{*p} << 8) : sum;
}
bool is_all_ones(std::uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}
}  // namespace

bool checksums_hold(const std::uint8_t* frame) {
  const std::uint8_t* ip = frame + 14;
  const std::uint32_t header = (ip[0] & 15u) * 4;
  const std::uint32_t segment = be16(ip + 2) - header;
  constexpr std::uint64_t tcp = 6;
  return is_all_ones(word_sum(ip, header)) &&
         is_all_ones(word_sum(ip + 12, 8) + tcp + segment + word_sum(ip + header, segment));
}

std::optional<wire_segment> read_segment(const std::uint8_t* frame, std::uint32_t length) {
  if (length < 14 + 20 + 20 || be16(frame + 12) != 0x0800) return {};
  const std::uint8_t* ip = frame + 14;
  const std::uint32_t ip_header = (ip[0] & 15u) * 4;
  const std::uint32_t total = be16(ip + 2);
  if (ip[0] >> 4 != 4 || ip_header < 20 || ip[9] != 6 || be16(ip + 6) & 0x3fff) return {};
  if (total > length - 14 || total < ip_header + 20) return {};
  const std::uint8_t* tcp = ip + ip_header;
  const std::uint32_t tcp_header = (tcp[12] >> 4) * 4u;
  if (tcp_header < 20 || ip_header + tcp_header > total) return {};
  wire_segment s;
  s.source_ip = be32(ip + 12);
  s.destination_ip = be32(ip + 16);
  s.source_port = be16(tcp);
  s.destination_port = be16(tcp + 2);
  s.seq = seq32{be32(tcp + 4)};
  s.ack = seq32{be32(tcp + 8)};
  s.fin = tcp[13] & 1;
  s.syn = tcp[13] & 2;
  s.rst = tcp[13] & 4;
  s.has_ack = tcp[13] & 16;
  s.window = be16(tcp + 14);
  s.payload = tcp + tcp_header;
  s.payload_length = total - ip_header - tcp_header;
  for (std::uint32_t i = 20; i < tcp_header;) {
    if (tcp[i] == 0) break;
    if (tcp[i] == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= tcp_header || tcp[i + 1] < 2 || i + tcp[i + 1] > tcp_header) break;
    if (tcp[i] == 3 && tcp[i + 1] == 3) {
      s.wscale = tcp[i + 2];
      s.has_wscale = true;
    }
    if (tcp[i] == 8 && tcp[i + 1] == 10) s.tsval = be32(tcp + i + 2);
    i += tcp[i + 1];
  }
  return s;
}

}  // namespace understudy::tb
