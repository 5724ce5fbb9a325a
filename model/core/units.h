// Simulated time and rates as plain numbers, for code that must not know SystemC.
#pragma once
#include <cstdint>

namespace understudy {

// An instant or a duration of simulated time in picoseconds (1 ps is the SystemC resolution of every
// platform).
using picos = std::uint64_t;

inline constexpr picos operator""_ps(unsigned long long v) {
  return v;
}
inline constexpr picos operator""_ns(unsigned long long v) {
  return v * 1000;
}
inline constexpr picos operator""_us(unsigned long long v) {
  return v * 1000 * 1000;
}
inline constexpr picos operator""_ms(unsigned long long v) {
  return v * 1000 * 1000 * 1000;
}
inline constexpr picos operator""_s(unsigned long long v) {
  return v * 1000 * 1000 * 1000 * 1000;
}

// Wide products; a GCC and Clang extension.
__extension__ using uint128 = unsigned __int128;

// "Never": later than every instant a run can reach.
inline constexpr picos never = ~picos{0};

// Bits per second.
using bits_per_second = std::uint64_t;

// The time that `bytes` occupy a serial medium of `rate` bits per second; rounded up to a picosecond.
inline constexpr picos wire_time(std::uint64_t bytes, bits_per_second rate) {
  constexpr std::uint64_t picobits = 8 * 1'000'000'000'000ULL;  // of a byte
  // Nearly always 64 bits hold it, whose division is an instruction and not a call.
  if (bytes < 1'000'000 && rate < 1'000'000'000'000'000'000) return (bytes * picobits + rate - 1) / rate;
  return static_cast<picos>((static_cast<uint128>(bytes) * picobits + rate - 1) / rate);
}

}  // namespace understudy
