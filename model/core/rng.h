// One seed feeds a tree of named random streams: a draw added in one block shifts no other block's draws.
#pragma once
#include <cstdint>
#include <string_view>

#include "model/core/units.h"

namespace understudy {

// xoshiro256** (Blackman, Vigna 2018), seeded by SplitMix64 over a hash of the root seed and the stream's
// name.
class rng {
 public:
  rng() : rng(0, "") {}
  // The stream `name` of the tree that `seed` feeds. Names are paths: "wire/lwip/loss".
  rng(std::uint64_t seed, std::string_view name) {
    // FNV-1a over the name, begun from a mixed seed: neighbouring seeds must not meet under neighbouring
    // names.
    std::uint64_t h = 0xcbf29ce484222325ULL ^ split_mix(seed);
    for (char c : name) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
    for (auto& s : s_) s = split_mix(h);
  }
  std::uint64_t next() {
    const std::uint64_t r = rotl(s_[1] * 5, 7) * 9;
    const std::uint64_t t = s_[1] << 17;
    s_[2] ^= s_[0];
    s_[3] ^= s_[1];
    s_[1] ^= s_[2];
    s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = rotl(s_[3], 45);
    return r;
  }
  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<uint128>(next()) * bound) >> 64);
  }
  // Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  // True with probability p (0: never and no draw is made).
  bool chance(double p) { return p > 0 && uniform() < p; }

 private:
  static std::uint64_t rotl(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  static std::uint64_t split_mix(std::uint64_t& x) {
    std::uint64_t z = (x += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t s_[4];
};

}  // namespace understudy
