// A code that corrects one wrong bit of 72 and detects two: 64 bits of data, 8 check bits (M. Y. Hsiao, "A
// Class of Optimal Minimum Odd-weight-column SEC-DED Codes", 1970). The column of data bit n is the n-th byte
// of weight 3, in ascending order, and behind the 56 of them the first eight of weight 5.
// rtl/connection_table.sv makes the same columns.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace understudy {

inline constexpr std::uint32_t secded_data_bits = 64;
inline constexpr std::uint32_t secded_check_bits = 8;

struct secded_word {
  std::uint64_t data = 0;
  std::uint8_t check = 0;  // of data 0 it is 0: a cleared memory holds code words
  bool operator==(const secded_word&) const = default;
};

inline constexpr std::array<std::uint8_t, secded_data_bits> secded_columns = [] {
  std::array<std::uint8_t, secded_data_bits> columns{};
  std::uint32_t n = 0;
  for (int weight : {3, 5})
    for (std::uint32_t c = 0; c < 256 && n < secded_data_bits; ++c)
      if (std::popcount(c) == weight) columns[n++] = static_cast<std::uint8_t>(c);
  return columns;
}();

// Check bits of each value of each byte of data.
inline constexpr std::array<std::array<std::uint8_t, 256>, 8> secded_bytes = [] {
  std::array<std::array<std::uint8_t, 256>, 8> checks{};
  for (std::uint32_t byte = 0; byte < 8; ++byte)
    for (std::uint32_t value = 0; value < 256; ++value)
      for (std::uint32_t bit = 0; bit < 8; ++bit)
        if (value >> bit & 1) checks[byte][value] ^= secded_columns[byte * 8 + bit];
  return checks;
}();

constexpr secded_word secded_encode(std::uint64_t data) {
  secded_word w{data, 0};
  for (std::uint32_t byte = 0; byte < 8; ++byte) w.check ^= secded_bytes[byte][data >> (8 * byte) & 255];
  return w;
}

enum class secded_verdict : std::uint8_t { right, corrected, uncorrectable };

// Corrects `w` in place if it can.
constexpr secded_verdict secded_correct(secded_word& w) {
  const auto syndrome = static_cast<std::uint8_t>(secded_encode(w.data).check ^ w.check);
  if (syndrome == 0) return secded_verdict::right;
  if (std::popcount(syndrome) == 1) {
    w.check = static_cast<std::uint8_t>(w.check ^ syndrome);
    return secded_verdict::corrected;
  }
  for (std::uint32_t n = 0; n < secded_data_bits; ++n) {
    if (secded_columns[n] != syndrome) continue;
    w.data ^= std::uint64_t{1} << n;
    return secded_verdict::corrected;
  }
  return secded_verdict::uncorrectable;
}

}  // namespace understudy
