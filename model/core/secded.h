// Single error correction, double error detection: a code of odd-weight columns (M. Y. Hsiao, "A Class of
// Optimal Minimum Odd-weight-column SEC-DED Codes", 1970). The twin of rtl/secded_encoder.sv and
// rtl/secded_decoder.sv.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace understudy {

enum class secded_status : std::uint8_t { clean, corrected, uncorrectable };

// A code word, bit 0 first: DataBits of data, then the check bits. Of data 0 it is 0: a cleared memory holds
// code words.
//
// Check bit k is the parity of the data bits whose column has bit k. The columns of data bits are the numbers
// of check_bits bits with 3 ones in ascending order, then those with 5, with 7, and so on. Two wrong bits
// give an even number of ones, which is no column.
template <unsigned DataBits>
class secded {
  static constexpr unsigned words(unsigned bits) { return (bits + 63) / 64; }
  // The fewest that have a column for every data bit: half of all numbers are odd in ones, less those with
  // one.
  static constexpr unsigned fewest_check_bits() {
    unsigned r = 3;
    while ((1u << (r - 1)) - r < DataBits) ++r;
    return r;
  }

 public:
  static constexpr unsigned check_bits = fewest_check_bits();
  static constexpr unsigned code_bits = DataBits + check_bits;
  using data_type = std::array<std::uint64_t, words(DataBits)>;  // bit i is bit i % 64 of word i / 64
  using code_type = std::array<std::uint64_t, words(code_bits)>;
  struct decoded {
    secded_status status = secded_status::clean;
    data_type data{};  // as it was encoded, unless uncorrectable: then as it came
  };

  static constexpr code_type encode(const data_type& data) {
    code_type code{};
    std::copy(data.begin(), data.end(), code.begin());
    const std::uint64_t check = check_of(data);
    code[check_word] |= check << check_shift;
    if constexpr (straddles) code[check_word + 1] |= check >> (64 - check_shift);
    return code;
  }

  static constexpr data_type data_of(const code_type& code) {
    data_type data{};
    std::copy_n(code.begin(), data.size(), data.begin());
    if constexpr (check_shift != 0) data.back() &= (std::uint64_t{1} << check_shift) - 1;
    return data;
  }

  // One wrong bit is corrected, two are detected. More may be taken for fewer; hardware and twin take them
  // for the same.
  static constexpr decoded decode(const code_type& code) {
    decoded r;
    r.data = data_of(code);
    const std::uint64_t syndrome = check_of(r.data) ^ check_in(code);
    if (syndrome == 0) return r;
    r.status = secded_status::corrected;
    if (std::has_single_bit(syndrome)) return r;  // a check bit was wrong
    const auto column = std::find(columns.begin(), columns.end(), syndrome);
    if (column == columns.end())
      r.status = secded_status::uncorrectable;
    else
      flip(r.data, static_cast<unsigned>(column - columns.begin()));
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
  using check_type = std::uint16_t;
  static_assert(check_bits <= 16);
  // Where the check bits begin in a code word.
  static constexpr unsigned check_word = DataBits / 64, check_shift = DataBits % 64;
  static constexpr bool straddles = check_shift + check_bits > 64;
  static constexpr unsigned data_bytes = (DataBits + 7) / 8;

  static constexpr std::array<check_type, DataBits> columns = [] {
    std::array<check_type, DataBits> all{};
    unsigned n = 0;
    for (int ones = 3; n < DataBits; ones += 2)
      for (unsigned c = 0; c < (1u << check_bits) && n < DataBits; ++c)
        if (std::popcount(c) == ones) all[n++] = static_cast<check_type>(c);
    return all;
  }();
  // Check bits of each value of each byte of data.
  static constexpr std::array<std::array<check_type, 256>, data_bytes> checks = [] {
    std::array<std::array<check_type, 256>, data_bytes> all{};
    for (unsigned i = 0; i < DataBits; ++i)
      for (unsigned value = 0; value < 256; ++value)
        if (value >> i % 8 & 1) all[i / 8][value] ^= columns[i];
    return all;
  }();

  static constexpr std::uint64_t check_of(const data_type& data) {
    check_type check = 0;
    for (unsigned byte = 0; byte < data_bytes; ++byte)
      check ^= checks[byte][data[byte / 8] >> 8 * (byte % 8) & 255];
    return check;
  }
  static constexpr std::uint64_t check_in(const code_type& code) {
    std::uint64_t check = code[check_word] >> check_shift;
    if constexpr (straddles) check |= code[check_word + 1] << (64 - check_shift);
    return check & ((1u << check_bits) - 1);
  }
};

}  // namespace understudy
