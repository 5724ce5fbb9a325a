#include "model/core/checksum.h"

#include <bit>
#include <cstring>

namespace understudy {

std::uint64_t checksum_add(std::span<const std::uint8_t> bytes, std::uint64_t sum) {
  // Sums 32-bit words in memory order and swaps at the end: the sum of swapped words is the swapped sum (RFC 1071 2 B).
  const std::uint8_t* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t s = 0;
  for (; n >= 16; n -= 16, p += 16) {
    std::uint32_t w[4];
    std::memcpy(w, p, 16);
    s += static_cast<std::uint64_t>(w[0]) + w[1] + w[2] + w[3];
  }
  for (; n >= 2; n -= 2, p += 2) {
    std::uint16_t w;
    std::memcpy(&w, p, 2);
    s += w;
  }
  if (n) {
    const std::uint8_t last[2] = {*p, 0};
    std::uint16_t w;
    std::memcpy(&w, last, 2);
    s += w;
  }
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  if constexpr (std::endian::native == std::endian::little) s = (s >> 8 | s << 8) & 0xffff;
  return sum + s;
}

std::uint16_t checksum_finish(std::uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace understudy
