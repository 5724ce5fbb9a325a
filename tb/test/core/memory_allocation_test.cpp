// The buffer allocator and the record coalescer allocate nothing once they have grown.
#include <gtest/gtest.h>

#include "model/core/buffer_allocator.h"
#include "model/core/record_coalescer.h"
#include "tb/test/allocations.h"

namespace understudy {
namespace {

TEST(memory_allocation, a_buffer_allocator_in_use_allocates_nothing) {
  buffer_allocator a(1024);
  const auto round = [&] {
    for (std::uint32_t i = 0; i < 1024; ++i)
      ASSERT_EQ(a.put(i % US_GROUPS, {iova{i}, buf_id{i}, 64}).status, alloc_status::ok);
    for (std::uint32_t i = 0; i < 1024; ++i) {
      const taken_buffer t = a.take(i % US_GROUPS);
      ASSERT_EQ(t.status, alloc_status::ok);
      if (i % 3 == 0) {
        ASSERT_EQ(a.give_back(i % US_GROUPS, t.from, t.buffer).status, alloc_status::ok);
        ASSERT_EQ(a.take(i % US_GROUPS).status, alloc_status::ok);
      }
      ASSERT_EQ(a.settle(i % US_GROUPS).status, alloc_status::ok);
    }
  };
  const std::uint64_t before = tb::allocations;
  round();
  const std::uint64_t grown = tb::allocations;
  EXPECT_GT(grown, before) << "the count counts";
  for (int i = 0; i < 5; ++i) round();
  a.reset();
  round();
  EXPECT_EQ(tb::allocations, grown);
}

TEST(memory_allocation, a_record_coalescer_allocates_nothing) {
  record_coalescer c;
  c.configure({.hold_count = 4, .hold_age = 100});
  std::uint32_t flushes = 0;
  const std::uint64_t before = tb::allocations;
  for (std::uint32_t i = 0; i < 20000; ++i) {
    if (c.add(i * 7 % 256, i, 64, i).flush) flushes += c.flushed(i * 7 % 256).pieces == 4;
    if (const auto due = c.expire(i)) c.flushed(*due);
  }
  c.configure({.hold_count = 4, .hold_age = 1u << 30});
  for (std::uint32_t i = 0; i < 20000; ++i)
    if (c.add(i % 256, i, 64, 20000 + i).flush) flushes += c.flushed(i % 256).pieces == 4;
  EXPECT_EQ(tb::allocations, before);
  EXPECT_GT(flushes, 4000u);
}

}  // namespace
}  // namespace understudy
