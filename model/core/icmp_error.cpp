#include "model/core/icmp_error.h"

#include "model/core/ipv6.h"
#include "model/core/packet.h"
#include "model/core/wire_bytes.h"

namespace understudy {

namespace {

constexpr std::uint32_t ipv4_bytes = 20;
constexpr std::uint32_t icmp_bytes = 8;
constexpr std::uint32_t least_quote = 8;  // bytes behind the IP header: ports and sequence number
constexpr std::uint8_t protocol_tcp = 6;

// `segment` points at the ports of a quoted segment.
void take_quote(const ip_address& source, const ip_address& destination, const std::uint8_t* segment,
                std::uint32_t mtu, parsed_frame& r) {
  r.kind = frame_class::packet_too_big;
  r.mtu = mtu;
  r.tcp.tuple = {source, destination, get16(segment), get16(segment + 2)};
  r.tcp.seq = seq32{get32(segment + 4)};
}

}  // namespace

std::uint16_t plateau_below(std::uint32_t length) {
  constexpr std::uint16_t plateaus[] = {65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
  for (const std::uint16_t p : plateaus)
    if (p < length) return p;
  return least_ipv4_mtu;
}

void parse_too_big4(const std::uint8_t* ip, const std::uint8_t* m, std::uint32_t n, parsed_frame& r) {
  const auto short_quote = [&r] { r.kind = frame_class::bad_length; };
  const std::uint8_t* quote = m + icmp_bytes;
  const std::uint32_t have = n - icmp_bytes;
  if (have < ipv4_bytes) return short_quote();
  const std::uint32_t header = (quote[0] & 0xf) * 4u;
  if (quote[0] >> 4 != 4 || header < ipv4_bytes) return;
  if (have < header + least_quote) return short_quote();
  if (quote[9] != protocol_tcp || get16(quote + 6) & 0x3fff) return;  // no segment, or a fragment
  const ip_address source = ip_address::v4(get32(quote + 12));
  if (source != ip_address::v4(get32(ip + 16))) return;
  const std::uint32_t told = get16(m + 6);
  take_quote(source, ip_address::v4(get32(quote + 16)), quote + header,
             told ? told : plateau_below(get16(quote + 2)), r);
}

void parse_too_big6(const std::uint8_t* ip, const std::uint8_t* m, std::uint32_t n, parsed_frame& r) {
  const std::uint8_t* quote = m + icmp_bytes;
  if (n < icmp_bytes + ipv6_bytes + least_quote) {
    r.kind = frame_class::bad_length;
    return;
  }
  // Our segments have no extension headers: what is quoted with one is not ours.
  if (quote[0] >> 4 != 6 || quote[6] != protocol_tcp) return;
  const ip_address source = ip_address::at(quote + 8);
  if (source != ip_address::at(ip + 24)) return;
  take_quote(source, ip_address::at(quote + 24), quote + ipv6_bytes, get32(m + 4), r);
}

}  // namespace understudy
