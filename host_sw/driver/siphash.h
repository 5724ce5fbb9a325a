// SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): the keyed hash of RFC 6528 and
// RFC 6056.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace understudy::host {

inline std::uint64_t siphash(const std::uint32_t (&key)[4], const void* data, std::size_t len) {
  const std::uint64_t k0 = key[0] | static_cast<std::uint64_t>(key[1]) << 32;
  const std::uint64_t k1 = key[2] | static_cast<std::uint64_t>(key[3]) << 32;
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
  const auto rotl = [](std::uint64_t x, int b) { return x << b | x >> (64 - b); };
  const auto rounds = [&](int n) {
    while (n--) {
      v0 += v1, v1 = rotl(v1, 13), v1 ^= v0, v0 = rotl(v0, 32);
      v2 += v3, v3 = rotl(v3, 16), v3 ^= v2;
      v0 += v3, v3 = rotl(v3, 21), v3 ^= v0;
      v2 += v1, v1 = rotl(v1, 17), v1 ^= v2, v2 = rotl(v2, 32);
    }
  };
  const auto* p = static_cast<const std::uint8_t*>(data);
  std::uint64_t last = static_cast<std::uint64_t>(len) << 56;
  for (; len >= 8; len -= 8, p += 8) {
    std::uint64_t m;
    std::memcpy(&m, p, 8);
    v3 ^= m;
    rounds(2);
    v0 ^= m;
  }
  for (std::size_t i = 0; i < len; ++i) last |= static_cast<std::uint64_t>(p[i]) << (8 * i);
  v3 ^= last;
  rounds(2);
  v0 ^= last;
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace understudy::host
