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

// The register behind `len` more bytes at `p`, without the inversions at either end.
inline std::uint32_t crc32c_by_table(const std::uint8_t* p, std::size_t len, std::uint32_t c) {
  const auto& t = crc32c_tables;
  for (; len >= 8; len -= 8, p += 8) {
    const std::uint32_t lo = c ^ (p[0] | p[1] << 8 | p[2] << 16 | static_cast<std::uint32_t>(p[3]) << 24);
    c = t[7][lo & 0xff] ^ t[6][(lo >> 8) & 0xff] ^ t[5][(lo >> 16) & 0xff] ^ t[4][lo >> 24] ^ t[3][p[4]] ^
        t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
  }
  for (; len; --len, ++p) c = (c >> 8) ^ t[0][(c ^ *p) & 0xff];
  return c;
}

#ifdef __x86_64__
// Whether the processor has SSE 4.2, with an instruction for this CRC; false before static initialisation.
inline const bool has_crc32c_instruction = [] {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}();
[[gnu::target("sse4.2")]] inline std::uint32_t crc32c_by_instruction(const std::uint8_t* p, std::size_t len,
                                                                     std::uint32_t c) {
  std::uint64_t wide = c;
  for (; len >= 8; len -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  c = static_cast<std::uint32_t>(wide);
  for (; len; --len, ++p) c = __builtin_ia32_crc32qi(c, *p);
  return c;
}
#endif
}  // namespace detail

// CRC-32C of `len` bytes at `data`. `seed` is the CRC of what came before them (0: nothing).
inline std::uint32_t crc32c(const void* data, std::size_t len, std::uint32_t seed = 0) {
  const auto* p = static_cast<const std::uint8_t*>(data);
#ifdef __x86_64__
  if (detail::has_crc32c_instruction) return ~detail::crc32c_by_instruction(p, len, ~seed);
#endif
  return ~detail::crc32c_by_table(p, len, ~seed);
}

}  // namespace understudy
