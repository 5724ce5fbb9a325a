// Single error correction, double error detection: a Hamming code with an overall parity bit. The twin of
// rtl/secded_encoder.sv and rtl/secded_decoder.sv.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace understudy {

enum class secded_status : std::uint8_t { clean, corrected, uncorrectable };

// A code word, bit 0 first: DataBits of data, CheckBits - 1 check bits of the Hamming code, the overall
// parity bit.
//
// Check bit k is the parity of the data bits whose column has bit k. The column of data bit i is the i-th
// number that is no power of two: 3, 5, 6, 7, 9, ... The overall parity makes the number of ones even.
template <unsigned DataBits>
class secded {
  static constexpr unsigned hamming_bits() {
    unsigned r = 2;
    while ((1u << r) < DataBits + r + 1) ++r;
    return r;
  }
  static constexpr unsigned words(unsigned bits) { return (bits + 63) / 64; }

 public:
  static constexpr unsigned check_bits = hamming_bits() + 1;
  static constexpr unsigned code_bits = DataBits + check_bits;
  using data_type = std::array<std::uint64_t, words(DataBits)>;  // bit i is bit i % 64 of word i / 64
  using code_type = std::array<std::uint64_t, words(code_bits)>;
  struct decoded {
    secded_status status = secded_status::clean;
    data_type data{};  // as it was encoded, unless uncorrectable
  };

  static constexpr code_type encode(const data_type& data) {
    code_type code{};
    for (unsigned i = 0; i < data.size(); ++i) code[i] = data[i];
    const std::uint32_t check = check_of(data);
    for (unsigned k = 0; k < hamming; ++k)
      if (check >> k & 1) flip(code, DataBits + k);
    if (odd(code)) flip(code, code_bits - 1);
    return code;
  }

  // One wrong bit is corrected, two are detected. More may be taken for fewer; hardware and twin take them
  // for the same.
  static constexpr decoded decode(const code_type& code) {
    decoded r;
    std::uint32_t check = 0;
    for (unsigned i = 0; i < DataBits; ++i)
      if (bit(code, i)) flip(r.data, i);
    for (unsigned k = 0; k < hamming; ++k) check |= static_cast<std::uint32_t>(bit(code, DataBits + k)) << k;
    const std::uint32_t syndrome = check_of(r.data) ^ check;
    if (!odd(code)) {
      if (syndrome) r.status = secded_status::uncorrectable;
      return r;
    }
    r.status = secded_status::corrected;
    if (syndrome == 0 || std::has_single_bit(syndrome)) return r;  // a check bit or the parity bit was wrong
    const unsigned i = index_of(syndrome);
    if (i < DataBits)
      flip(r.data, i);
    else
      r.status = secded_status::uncorrectable;
    return r;
  }

  template <std::size_t N>
  static constexpr void flip(std::array<std::uint64_t, N>& v, unsigned i) {
    v[i / 64] ^= std::uint64_t{1} << i % 64;
  }
  template <std::size_t N>
  static constexpr bool bit(const std::array<std::uint64_t, N>& v, unsigned i) {
    return v[i / 64] >> i % 64 & 1;
  }

 private:
  static constexpr unsigned hamming = check_bits - 1;

  // Which data bit has this column, which is no power of two: as many numbers below it are powers of two,
  // or zero, as it has bits, and one.
  static constexpr unsigned index_of(std::uint32_t column) {
    return column - static_cast<unsigned>(std::bit_width(column)) - 1;
  }
  // masks[k]: the data bits under check bit k.
  static constexpr std::array<data_type, hamming> masks = [] {
    std::array<data_type, hamming> m{};
    std::uint32_t column = 3;
    for (unsigned i = 0; i < DataBits; ++i, ++column) {
      while (std::has_single_bit(column)) ++column;
      for (unsigned k = 0; k < hamming; ++k)
        if (column >> k & 1) flip(m[k], i);
    }
    return m;
  }();
  static constexpr std::uint32_t check_of(const data_type& data) {
    std::uint32_t check = 0;
    for (unsigned k = 0; k < hamming; ++k) {
      std::uint64_t x = 0;
      for (unsigned i = 0; i < data.size(); ++i) x ^= data[i] & masks[k][i];
      check |= static_cast<std::uint32_t>(std::popcount(x) & 1) << k;
    }
    return check;
  }
  static constexpr bool odd(const code_type& code) {
    std::uint64_t x = 0;
    for (const std::uint64_t w : code) x ^= w;
    return std::popcount(x) & 1;
  }
};

}  // namespace understudy
