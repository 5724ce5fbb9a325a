// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, initial value and final xor all-ones) of descriptors
// and records.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace understudy {

namespace detail {
// Slicing-by-8 tables: table[k][b] is the CRC of byte b followed by k zero bytes.
inline constexpr auto crc32c_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0u);
    t[0][i] = c;
  }
  for (std::uint32_t i = 0; i < 256; ++i)
    for (std::size_t k = 1; k < 8; ++k) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xff];
  return t;
}();
}  // namespace detail

// CRC-32C of `len` bytes at `data`. `seed` is the CRC of what came before them (0: nothing).
inline std::uint32_t crc32c(const void* data, std::size_t len, std::uint32_t seed = 0) {
  const auto& t = detail::crc32c_tables;
  const auto* p = static_cast<const std::uint8_t*>(data);
  std::uint32_t c = ~seed;
  for (; len >= 8; len -= 8, p += 8) {
    const std::uint32_t lo = c ^ (p[0] | p[1] << 8 | p[2] << 16 | static_cast<std::uint32_t>(p[3]) << 24);
    c = t[7][lo & 0xff] ^ t[6][(lo >> 8) & 0xff] ^ t[5][(lo >> 16) & 0xff] ^ t[4][lo >> 24] ^ t[3][p[4]] ^
        t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
  }
  for (; len; --len, ++p) c = (c >> 8) ^ t[0][(c ^ *p) & 0xff];
  return ~c;
}

}  // namespace understudy
