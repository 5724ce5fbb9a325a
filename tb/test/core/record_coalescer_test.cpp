// When received payload that is held back is handed over, and what goes together.
#include "model/core/record_coalescer.h"

#include <gtest/gtest.h>

#include <map>

#include "model/core/rng.h"

namespace understudy {
namespace {

TEST(record_coalescer, flushes_at_the_count_or_the_bytes_whichever_comes_first) {
  record_coalescer c;
  c.configure({.hold_bytes = 1000, .hold_count = 4, .hold_age = 100});
  EXPECT_FALSE(c.add(0, 0, 64, 0).flush);
  EXPECT_FALSE(c.add(0, 64, 64, 1).flush);
  EXPECT_FALSE(c.add(0, 128, 64, 2).flush);
  EXPECT_TRUE(c.add(0, 192, 64, 3).flush) << "the fourth";
  EXPECT_EQ(c.flushed(0).pieces, 4u);
  EXPECT_FALSE(c.add(0, 0, 999, 4).flush);
  EXPECT_TRUE(c.add(0, 999, 1, 5).flush) << "1000 bytes";
}

TEST(record_coalescer, no_age_means_no_holding_whatever_count_and_bytes_say) {
  record_coalescer c;
  c.configure({.hold_bytes = 1 << 20, .hold_count = 1000, .hold_age = 0});
  EXPECT_TRUE(c.add(0, 0, 1, 0).flush);
}

TEST(record_coalescer, pieces_merge_that_follow_each_other_in_memory_up_to_the_longest_range) {
  record_coalescer c;
  c.configure({.hold_age = 100, .max_range = 200});
  EXPECT_FALSE(c.add(3, 1000, 100, 0).merges) << "the first";
  EXPECT_TRUE(c.add(3, 1100, 100, 0).merges);
  EXPECT_FALSE(c.add(3, 1200, 100, 0).merges) << "the range is full";
  EXPECT_FALSE(c.add(3, 1299, 10, 0).merges) << "it overlaps";
  EXPECT_FALSE(c.add(3, 5000, 10, 0).merges);
  EXPECT_FALSE(c.add(4, 5010, 10, 0).merges) << "another connection's";
  const held_amount a = c.flushed(3);
  EXPECT_EQ(a.bytes, 320u);
  EXPECT_EQ(a.pieces, 5u);
  EXPECT_EQ(a.ranges, 4u);
  EXPECT_EQ(c.flushed(3).pieces, 0u) << "empty now";
}

TEST(record_coalescer, deadlines_come_in_the_order_of_first_pieces_and_flushed_slots_fall_out) {
  record_coalescer c(8);
  c.configure({.hold_age = 50});
  EXPECT_EQ(c.next_deadline(), hold_never);
  c.add(5, 0, 10, 100);
  c.add(2, 0, 10, 110);
  c.add(7, 0, 10, 120);
  c.add(5, 10, 10, 140);
  EXPECT_EQ(c.oldest(), 5u);
  EXPECT_EQ(c.next_deadline(), 150u) << "of its first piece";
  EXPECT_EQ(c.expire(149), std::nullopt);
  EXPECT_EQ(c.expire(150), 5u);
  c.flushed(2);
  c.flushed(5);
  EXPECT_EQ(c.expire(1000), 7u);
  c.flushed(7);
  EXPECT_EQ(c.oldest(), std::nullopt);
  EXPECT_TRUE(c.add(8, 0, 10, 0).flush) << "there is no such slot: nothing is kept";
}

TEST(record_coalescer, a_new_age_holds_for_what_is_held_already) {
  record_coalescer c;
  c.configure({.hold_age = 100});
  c.add(0, 0, 1, 10);
  c.configure({.hold_age = 5});
  c.add(1, 0, 1, 20);
  EXPECT_EQ(c.next_deadline(), 15u);
  EXPECT_EQ(c.expire(20), 0u);
  c.flushed(0);
  EXPECT_EQ(c.next_deadline(), 25u);
  c.flushed(1);
  c.add(0, 0, 1, hold_never - 2);
  EXPECT_EQ(c.next_deadline(), hold_never - 1) << "it ends with the clock";
}

TEST(record_coalescer, counters_that_can_hold_no_more_flush) {
  record_coalescer c;
  c.configure({.hold_age = 1000});
  for (int i = 0; i < 4095; ++i) ASSERT_FALSE(c.add(0, 0, 1u << 20, 0).flush);
  EXPECT_TRUE(c.add(0, 0, 1u << 20, 0).flush);
  EXPECT_EQ(c.flushed(0).bytes, 0xffffffffu);
  for (int i = 0; i < 65534; ++i) ASSERT_FALSE(c.add(0, 0, 1, 0).flush);
  EXPECT_TRUE(c.add(0, 0, 1, 0).flush);
  c.add(0, 0, 1, 0);
  const held_amount a = c.flushed(0);
  EXPECT_EQ(a.pieces, 0xffffu);
  EXPECT_EQ(a.ranges, 0xffffu);
}

TEST(record_coalescer, an_impossible_piece_flushes_and_is_not_kept) {
  record_coalescer c(8);
  c.configure({.hold_age = 1000});
  EXPECT_TRUE(c.add(8, 0, 1, 0).flush);
  EXPECT_TRUE(c.add(0, 0, 0, 0).flush);
  EXPECT_TRUE(c.add(0, 0, (1u << 20) + 1, 0).flush);
  EXPECT_TRUE(c.add(0, ~std::uint64_t{0}, 1, 0).flush);
  EXPECT_EQ(c.oldest(), std::nullopt);
  EXPECT_FALSE(c.add(0, ~std::uint64_t{0} - 1, 1, 0).flush) << "the highest place that there is";
  EXPECT_EQ(c.oldest(), 0u);
  c.reset();
  EXPECT_EQ(c.oldest(), std::nullopt);
  EXPECT_EQ(c.flushed(0).pieces, 0u);
}

TEST(record_coalescer, agrees_with_a_plain_model_over_a_long_random_run) {
  const std::uint64_t seed = 5;
  rng random(seed, "coalescer");
  constexpr std::uint32_t slots = 16;
  record_coalescer c(slots);
  c.configure({.hold_bytes = 3000, .hold_count = 7, .hold_age = 300, .max_range = 1000});
  struct plain {
    std::uint32_t bytes = 0, pieces = 0, range = 0;
    std::uint64_t end = 0, deadline = 0;
  };
  std::map<std::uint32_t, plain> held;
  std::uint64_t now = 0, merges = 0, expiries = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += random.below(40);
    if (random.below(3)) {
      const auto slot = static_cast<std::uint32_t>(random.below(slots));
      plain& p = held[slot];
      const auto length = static_cast<std::uint32_t>(1 + random.below(400));
      const std::uint64_t at = p.pieces && random.below(2) ? p.end : random.below(1 << 20);
      const bool merge = p.pieces && p.end == at && p.range + length <= 1000;
      if (!p.pieces) p.deadline = now + 300;
      p.range = merge ? p.range + length : length;
      p.end = at + length;
      p.bytes += length;
      ++p.pieces;
      const hold_verdict v = c.add(slot, at, length, now);
      ASSERT_EQ(v.merges, merge) << "seed " << seed << " step " << i;
      ASSERT_EQ(v.flush, p.bytes >= 3000 || p.pieces >= 7);
      merges += merge;
      if (!v.flush) continue;
      ASSERT_EQ(c.flushed(slot).bytes, p.bytes);
      held.erase(slot);
    } else if (const auto slot = c.expire(now)) {
      ASSERT_TRUE(held.count(*slot));
      for (const auto& [s, p] : held) {
        if (p.pieces) {
          ASSERT_GE(p.deadline, held[*slot].deadline);
        }
      }
      ASSERT_LE(held[*slot].deadline, now);
      ASSERT_EQ(c.flushed(*slot).pieces, held[*slot].pieces);
      held.erase(*slot);
      ++expiries;
    } else {
      for (const auto& [s, p] : held) {
        if (p.pieces) {
          ASSERT_GT(p.deadline, now);
        }
      }
    }
  }
  EXPECT_GT(merges, 1000u);
  EXPECT_GT(expiries, 1000u);
}

}  // namespace
}  // namespace understudy
