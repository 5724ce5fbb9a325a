// The Internet checksum (RFC 1071), and the twin of the adapter's checksum block (rtl/checksum.sv).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace understudy {

// One's complement sum of the bytes as big-endian 16-bit words (an odd last byte is padded with zero), added
// to `sum`. Partial sums of pieces may be chained when every piece but the last has even length.
std::uint64_t checksum_add(std::span<const std::uint8_t> bytes, std::uint64_t sum = 0);

// Fold a sum to 16 bits and complement it: the value of a checksum field in host order. Over data that
// already holds a correct checksum the result is 0.
std::uint16_t checksum_finish(std::uint64_t sum);

// check: the checksum fields of a received packet are judged. insert: the fields count as zero and their
// values are computed.
enum class checksum_mode : std::uint8_t { check, insert };

// What the block says of one packet. All 16-bit values are in host order.
struct checksum_result {
  // The frame carries IPv4 or IPv6 by its EtherType. A frame that does not bypasses the block: everything
  // else here is 0 or false.
  bool is_ip = false;
  // check: the IP header is well formed and its checksum, which IPv6 has none of, is right. insert: the
  // header is well formed. Well formed (RFC 791 3.1): version 4, header length at least 20, total length at
  // least the header length; or (RFC 8200 3) version 6, 40 bytes and a payload of at most 65495; and all of
  // it present.
  bool ip_ok = false;
  // The packet holds a TCP or UDP checksum to judge or to compute: ip_ok, protocol 6 or 17 behind the header
  // (IPv6: without extension headers), not a fragment.
  bool l4_checked = false;
  // l4_checked, the segment is long enough for its header (TCP 20; UDP 8, and its own length field between 8
  // and the bytes that IP carries), and, in check mode, the checksum is right, or zero in UDP over IPv4,
  // which means that it is not used (RFC 768; RFC 8200 8.1).
  bool l4_ok = false;
  // One's complement sums, folded but not complemented: 0xffff when right. ip_sum over the header, 0 unless
  // well formed, and in IPv6; l4_sum over pseudo-header and segment, 0 unless l4_checked and long enough.
  std::uint16_t ip_sum = 0;
  std::uint16_t l4_sum = 0;
  // insert: the values for the fields, where ip_ok and l4_ok, else 0; a UDP value of 0 is given as 0xffff
  // (RFC 768). check: 0.
  std::uint16_t ip_csum = 0;
  std::uint16_t l4_csum = 0;
  // Clock cycles from the one in which the first beat is accepted to the one in which the result is taken,
  // both counted, without stalls: checksum_cycles().
  std::uint32_t cycles = 0;

  bool operator==(const checksum_result&) const = default;
};

// Whether a receiver delivers the frame: not IP, or both checksums right where they exist.
constexpr bool checksum_passes(const checksum_result& r) {
  return !r.is_ip || (r.ip_ok && (!r.l4_checked || r.l4_ok));
}

// Where the checksum is in a TCP header.
inline constexpr std::uint32_t tcp_checksum_at = 16;

// Cycles after the last beat's until the result can be taken (rtl/checksum.sv: parse, add, accumulate, fold).
inline constexpr std::uint32_t checksum_latency_cycles = 4;

// Cycles for a packet of `bytes` (the frame from the IP header to its end, padding included) at `data_bytes`
// a cycle.
constexpr std::uint32_t checksum_cycles(std::uint32_t bytes, std::uint32_t data_bytes) {
  const std::uint32_t beats = bytes == 0 ? 1 : (bytes + data_bytes - 1) / data_bytes;
  return beats + checksum_latency_cycles;
}

// The part of an Ethernet frame that the block sees: from the IP header to the frame's end, behind up to
// two VLAN tags (IEEE 802.1Q).
struct checksum_packet {
  bool is_ip = false;  // EtherType 0x0800 or 0x86dd
  std::span<const std::uint8_t> bytes;
};
checksum_packet checksum_packet_of(std::span<const std::uint8_t> frame);

// The twin of rtl/checksum.sv over a whole Ethernet frame without FCS. `data_bytes` (4, 8, 16, 32 or 64) sets
// the cycles alone.
checksum_result checksum_block(std::span<const std::uint8_t> frame, checksum_mode mode,
                               std::uint32_t data_bytes);

}  // namespace understudy
