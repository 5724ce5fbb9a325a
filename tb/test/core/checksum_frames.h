// Frames for the tests of the checksum block, with checksums computed by the letter of RFC 1071: byte by
// byte, no shared code.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/core/frame.h"
#include "model/core/rng.h"

namespace understudy::tb {

// One's complement sum of big-endian words with the carry added back after each, as RFC 1071 1 describes it.
inline std::uint16_t rfc1071_sum(std::span<const std::uint8_t> bytes, std::uint16_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint32_t s = sum + (i % 2 == 0 ? bytes[i] * 256u : bytes[i]);
    sum = static_cast<std::uint16_t>(s > 0xffff ? s - 0xffff : s);
  }
  return sum;
}

struct frame_spec {
  std::uint8_t protocol = 6;
  bool v6 = false;  // then the protocol is the next header, and there are neither options nor fragments
  std::uint32_t vlan_tags = 0;
  std::uint32_t ip_option_words = 0;  // 0 to 10
  std::uint32_t segment_bytes = 20;   // TCP or UDP header and payload
  std::uint32_t padding_bytes = 0;    // behind the IP packet
  std::uint16_t fragment_word = 0x4000;
  std::uint32_t udp_slack_bytes = 0;  // bytes that IP carries behind the UDP length
  bool udp_without_checksum = false;
};

// A frame and where its parts lie.
struct test_frame {
  std::vector<std::uint8_t> bytes;
  std::size_t ip = 0;
  std::size_t segment = 0;
  std::size_t end = 0;       // behind the IP packet
  std::size_t checksum = 0;  // of TCP or UDP; 0 if the segment has none
  frame_ref ref() const { return frame_ref::copy_of(bytes.data(), static_cast<std::uint32_t>(bytes.size())); }
  void put16(std::size_t at, std::uint32_t v) {
    bytes[at] = static_cast<std::uint8_t>(v >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(v);
  }
  std::uint16_t get16(std::size_t at) const {
    return static_cast<std::uint16_t>(bytes[at] * 256 + bytes[at + 1]);
  }
  std::span<const std::uint8_t> part(std::size_t from, std::size_t to) const {
    return std::span(bytes).subspan(from, to - from);
  }
};

inline void fix_ip_checksum(test_frame& f) {
  if (f.bytes[f.ip] >> 4 == 6) return;
  f.put16(f.ip + 10, 0);
  f.put16(f.ip + 10, static_cast<std::uint16_t>(~rfc1071_sum(f.part(f.ip, f.segment))));
}

// The pseudo-header of RFC 9293 3.1 and RFC 768, or RFC 8200 8.1, then the segment up to `end`.
inline std::uint16_t rfc1071_segment_sum(const test_frame& f, std::size_t end) {
  const bool v6 = f.bytes[f.ip] >> 4 == 6;
  const auto first = f.bytes.begin() + static_cast<std::ptrdiff_t>(f.ip + (v6 ? 8 : 12));
  std::vector<std::uint8_t> covered(first, first + (v6 ? 32 : 8));
  const std::size_t length = end - f.segment;
  covered.insert(covered.end(), {0, f.bytes[f.ip + (v6 ? 6 : 9)], static_cast<std::uint8_t>(length >> 8),
                                 static_cast<std::uint8_t>(length)});
  const auto segment = f.part(f.segment, end);
  covered.insert(covered.end(), segment.begin(), segment.end());
  return rfc1071_sum(covered);
}

// A frame of random bytes with right headers and checksums.
inline test_frame make_frame(const frame_spec& s, rng& random) {
  test_frame f;
  f.ip = 14 + 4 * s.vlan_tags;
  f.segment = f.ip + (s.v6 ? 40 : 20 + 4 * s.ip_option_words);
  f.end = f.segment + s.segment_bytes;
  f.bytes.resize(f.end + s.padding_bytes);
  for (auto& b : f.bytes) b = static_cast<std::uint8_t>(random.below(256));
  for (std::uint32_t t = 0; t < s.vlan_tags; ++t) f.put16(12 + 4 * t, t + 1 < s.vlan_tags ? 0x88a8 : 0x8100);
  f.put16(f.ip - 2, s.v6 ? 0x86dd : 0x0800);
  if (s.v6) {
    f.bytes[f.ip] = static_cast<std::uint8_t>(0x60 | (f.bytes[f.ip] & 0xf));
    f.put16(f.ip + 4, static_cast<std::uint32_t>(f.end - f.segment));
    f.bytes[f.ip + 6] = s.protocol;
  } else {
    f.bytes[f.ip] = static_cast<std::uint8_t>(0x45 + s.ip_option_words);
    f.put16(f.ip + 2, static_cast<std::uint32_t>(f.end - f.ip));
    f.put16(f.ip + 6, s.fragment_word);
    f.bytes[f.ip + 9] = s.protocol;
    fix_ip_checksum(f);
  }
  const bool udp = s.protocol == 17;
  if (s.segment_bytes >= (udp ? 8u : 20u) && (udp || s.protocol == 6)) {
    const std::size_t end = f.end - (udp ? s.udp_slack_bytes : 0);
    if (udp) f.put16(f.segment + 4, static_cast<std::uint32_t>(end - f.segment));
    f.checksum = f.segment + (udp ? 6 : 16);
    f.put16(f.checksum, 0);
    if (!s.udp_without_checksum) {
      const auto value = static_cast<std::uint16_t>(~rfc1071_segment_sum(f, end));
      f.put16(f.checksum, udp && value == 0 ? 0xffff : value);
    }
  }
  return f;
}

}  // namespace understudy::tb
