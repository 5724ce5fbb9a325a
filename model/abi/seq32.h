// A TCP sequence number: arithmetic modulo 2^32, compared by signed distance (RFC 9293 3.4).
// Raw `<` does not compile. Valid while two compared numbers are less than 2^31 apart.
#pragma once
#include <compare>
#include <cstdint>

namespace understudy {

struct seq32 {
  std::uint32_t raw = 0;

  constexpr seq32() = default;
  constexpr explicit seq32(std::uint32_t v) : raw(v) {}

  // True if this number lies strictly before / at or before / strictly after / at or after `o`.
  constexpr bool before(seq32 o) const { return static_cast<std::int32_t>(raw - o.raw) < 0; }
  constexpr bool before_eq(seq32 o) const { return static_cast<std::int32_t>(raw - o.raw) <= 0; }
  constexpr bool after(seq32 o) const { return static_cast<std::int32_t>(raw - o.raw) > 0; }
  constexpr bool after_eq(seq32 o) const { return static_cast<std::int32_t>(raw - o.raw) >= 0; }

  // Bytes from `o` to this number, modulo 2^32; meaningful as a length only when this is at or after `o`.
  constexpr std::uint32_t minus(seq32 o) const { return raw - o.raw; }

  constexpr seq32 operator+(std::uint32_t n) const { return seq32{raw + n}; }
  constexpr seq32 operator-(std::uint32_t n) const { return seq32{raw - n}; }
  constexpr seq32& operator+=(std::uint32_t n) {
    raw += n;
    return *this;
  }

  constexpr bool operator==(const seq32&) const = default;
  auto operator<=>(const seq32&) const = delete;
};

constexpr seq32 later(seq32 a, seq32 b) {
  return a.after(b) ? a : b;
}
constexpr seq32 earlier(seq32 a, seq32 b) {
  return a.before(b) ? a : b;
}

}  // namespace understudy
