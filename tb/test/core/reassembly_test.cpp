#include "model/core/reassembly.h"

#include <gtest/gtest.h>

#include <map>

#include "model/core/rng.h"

namespace understudy {
namespace {

// A slice of a stream whose byte n is n modulo 251.
payload_slice slice(std::uint32_t from, std::uint32_t length, std::uint32_t base) {
  frame_ref f = frame_ref::make(length + 10);
  for (std::uint32_t i = 0; i < length; ++i) f.data()[10 + i] = static_cast<std::uint8_t>((from + i) % 251);
  return {f, seq32{base + from}, 10, length, false};
}

TEST(Reassembly, AFilledHoleReleasesWhatFollows) {
  reassembly_pool p;
  reassembly_queue q;
  EXPECT_TRUE(p.insert(q, slice(100, 50, 0), 10'000));
  EXPECT_TRUE(p.insert(q, slice(200, 50, 0), 10'000));
  EXPECT_TRUE(p.insert(q, slice(110, 20, 0), 10'000)) << "known already";
  payload_slice s;
  EXPECT_FALSE(p.take(q, seq32{0}, s));
  ASSERT_TRUE(p.take(q, seq32{100}, s));
  EXPECT_EQ(s.length, 50u);
  EXPECT_FALSE(p.take(q, seq32{150}, s));
  ASSERT_TRUE(p.take(q, seq32{210}, s));
  EXPECT_EQ(s.seq, seq32{210});
  EXPECT_EQ(s.length, 40u);
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.bytes, 0u);
}

TEST(Reassembly, TheLimitCountsSmallSlicesAsLarge) {
  reassembly_pool p;
  reassembly_queue q;
  for (std::uint32_t i = 0; i < 100; ++i) p.insert(q, slice(i * 2, 1, 0), 2560);
  EXPECT_EQ(q.slices, 10u);
  p.clear(q);
  EXPECT_TRUE(q.empty());
  EXPECT_TRUE(p.insert(q, slice(0, 2560, 0), 2560));
  EXPECT_FALSE(p.insert(q, slice(4000, 1, 0), 2560));
}

TEST(Reassembly, AnyOverlapsGiveEveryByteOnceAcrossTheWrap) {
  const std::uint64_t seed = 5;
  rng draws(seed, "reassembly");
  reassembly_pool p;
  std::uint64_t taken = 0;
  for (int round = 0; round < 400; ++round) {
    const std::uint32_t base = 0xffffffffu - 500;
    reassembly_queue q;
    std::map<std::uint32_t, bool> have;
    for (int i = 0; i < 40; ++i) {
      const auto from = static_cast<std::uint32_t>(draws.below(1000)),
                 n = static_cast<std::uint32_t>(1 + draws.below(80));
      p.insert(q, slice(from, n, base), 1'000'000);
      for (std::uint32_t k = from; k < from + n; ++k) have[k] = true;
    }
    ASSERT_EQ(q.bytes, have.size()) << "seed " << seed;
    for (std::uint32_t at = 0; at < 1100;) {
      payload_slice s;
      if (!p.take(q, seq32{base + at}, s)) {
        ASSERT_FALSE(have.contains(at)) << "seed " << seed;
        ++at;
        continue;
      }
      ASSERT_EQ(s.seq, seq32{base + at});
      for (std::uint32_t k = 0; k < s.length; ++k) {
        ASSERT_TRUE(have.contains(at + k));
        ASSERT_EQ(s.frame.data()[s.offset + k], (at + k) % 251);
      }
      at += s.length;
      taken += s.length;
    }
    ASSERT_TRUE(q.empty());
  }
  EXPECT_GT(taken, 100'000u);
}

}  // namespace
}  // namespace understudy
