// The adapter's store of receive buffers: order, quota, lending, double posts, broken words, and a long
// random run against a model of lists.
#include "model/core/buffer_allocator.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "model/core/rng.h"

namespace understudy {
namespace {

pool_buffer buffer(std::uint32_t id) {
  return {iova{0x1000'0000 + std::uint64_t{id} * 4096}, buf_id{id}, 4096};
}

TEST(buffer_allocator, gives_buffers_in_the_order_in_which_they_came) {
  buffer_allocator a(16);
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(a.put(0, buffer(i)).status, alloc_status::ok);
  EXPECT_EQ(a.free(0), 5u);
  for (std::uint32_t i = 0; i < 5; ++i) {
    const taken_buffer t = a.take(0);
    ASSERT_EQ(t.status, alloc_status::ok);
    EXPECT_EQ(t.buffer.id, buf_id{i});
    EXPECT_EQ(t.buffer.at, buffer(i).at);
    EXPECT_EQ(t.cycles, buffer_allocator::memory_cycles);
  }
  EXPECT_EQ(a.out(0), 5u);
  const taken_buffer none = a.take(0);
  EXPECT_EQ(none.status, alloc_status::empty);
  EXPECT_EQ(none.cycles, buffer_allocator::quick_cycles);
}

TEST(buffer_allocator, a_buffer_that_is_in_a_list_cannot_be_put_again) {
  buffer_allocator a(16);
  ASSERT_EQ(a.put(1, buffer(7)).status, alloc_status::ok);
  EXPECT_EQ(a.put(1, buffer(7)).status, alloc_status::double_free);
  EXPECT_EQ(a.put(2, buffer(7)).status, alloc_status::double_free) << "whatever the group";
  EXPECT_EQ(a.counters().double_frees, 2u);
  EXPECT_EQ(a.free(1) + a.free(2), 1u);
  ASSERT_EQ(a.take(1).status, alloc_status::ok);
  EXPECT_EQ(a.put(2, buffer(7)).status, alloc_status::ok) << "it has been given out in between";
}

TEST(buffer_allocator, a_quota_bounds_what_is_out_until_it_is_settled_or_given_back) {
  buffer_allocator a(16);
  for (std::uint32_t i = 0; i < 8; ++i) a.put(3, buffer(i));
  ASSERT_EQ(a.configure(3, 2, US_NO_GROUP).status, alloc_status::ok);
  ASSERT_EQ(a.take(3).status, alloc_status::ok);
  const taken_buffer second = a.take(3);
  EXPECT_EQ(a.take(3).status, alloc_status::over_quota);
  EXPECT_EQ(a.settle(3).status, alloc_status::ok);
  EXPECT_EQ(a.take(3).status, alloc_status::ok);
  EXPECT_EQ(a.take(3).status, alloc_status::over_quota);
  EXPECT_EQ(a.give_back(3, 3, second.buffer).status, alloc_status::ok);
  const taken_buffer again = a.take(3);
  EXPECT_EQ(again.buffer.id, second.buffer.id) << "to the front of the list";
  EXPECT_EQ(a.settle(4).status, alloc_status::bad_state);
}

TEST(buffer_allocator, a_group_borrows_when_it_has_none_and_the_loan_counts_as_its_own) {
  buffer_allocator a(16);
  a.configure(1, 0, 0);
  a.put(0, buffer(1));
  a.put(1, buffer(2));
  EXPECT_EQ(a.take(1).from, 1u);
  const taken_buffer loan = a.take(1);
  EXPECT_EQ(loan.status, alloc_status::ok);
  EXPECT_EQ(loan.from, 0u);
  EXPECT_EQ(a.out(1), 2u);
  EXPECT_EQ(a.out(0), 0u);
  EXPECT_EQ(a.counters().borrowed, 1u);
  EXPECT_EQ(a.take(1).status, alloc_status::empty);
  EXPECT_EQ(a.give_back(1, 0, loan.buffer).status, alloc_status::ok);
  EXPECT_EQ(a.free(0), 1u);
}

TEST(buffer_allocator, what_is_impossible_is_refused) {
  buffer_allocator a(2, 4);
  EXPECT_EQ(a.put(US_GROUPS, buffer(1)).status, alloc_status::bad_group);
  EXPECT_EQ(a.take(US_GROUPS).status, alloc_status::bad_group);
  EXPECT_EQ(a.configure(1, 0, 1).status, alloc_status::bad_group) << "its own lender";
  EXPECT_EQ(a.put(0, {iova{0}, buf_id{1}, 0}).status, alloc_status::bad_length);
  EXPECT_EQ(a.put(0, {iova{0}, buf_id{1}, (1u << 20) + 1}).status, alloc_status::bad_length);
  EXPECT_EQ(a.put(0, buffer(16)).status, alloc_status::bad_id);
  a.put(0, buffer(1));
  a.put(0, buffer(2));
  EXPECT_EQ(a.put(0, buffer(3)).status, alloc_status::full);
}

TEST(buffer_allocator, one_wrong_bit_is_corrected_and_two_lose_the_buffer_and_say_so) {
  buffer_allocator a(16);
  for (std::uint32_t i = 0; i < 4; ++i) a.put(0, buffer(i));
  ASSERT_TRUE(a.flip(0, 0, 5));
  ASSERT_TRUE(a.flip(0, 1, 5));
  ASSERT_TRUE(a.flip(0, 1, 99));
  ASSERT_TRUE(a.flip(0, 2, 7));
  ASSERT_TRUE(a.flip(0, 2, 7)) << "and back again";
  EXPECT_EQ(a.take(0).buffer.id, buf_id{0});
  EXPECT_EQ(a.take(0).status, alloc_status::uncorrectable);
  EXPECT_EQ(a.take(0).buffer.id, buf_id{2});
  EXPECT_EQ(a.counters().corrected, 1u);
  EXPECT_EQ(a.counters().uncorrectable, 1u);
  EXPECT_FALSE(a.flip(0, 1, 0)) << "one is left";
}

TEST(buffer_allocator, agrees_with_plain_lists_over_a_long_random_run) {
  const std::uint64_t seed = 11;
  rng random(seed, "allocator");
  constexpr std::uint32_t entries = 200;
  buffer_allocator a(entries, 9);
  std::deque<std::uint32_t> lists[US_GROUPS];
  std::uint32_t out[US_GROUPS] = {}, stored = 0;
  std::set<std::uint32_t> present;
  struct taken {
    unsigned group, from;
    std::uint32_t id;
  };
  std::vector<taken> held;
  std::uint64_t takes = 0, gives = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto group = static_cast<unsigned>(random.below(US_GROUPS));
    switch (random.below(4)) {
      case 0: {
        const auto id = static_cast<std::uint32_t>(random.below(512));
        const alloc_status s = a.put(group, buffer(id)).status;
        ASSERT_EQ(s, present.count(id)   ? alloc_status::double_free
                     : stored == entries ? alloc_status::full
                                         : alloc_status::ok)
            << "seed " << seed << " step " << i;
        if (s != alloc_status::ok) break;
        lists[group].push_back(id);
        present.insert(id);
        ++stored;
        break;
      }
      case 1: {
        const taken_buffer t = a.take(group);
        if (lists[group].empty()) {
          ASSERT_EQ(t.status, alloc_status::empty);
          break;
        }
        ASSERT_EQ(t.status, alloc_status::ok);
        ASSERT_EQ(t.buffer.id.raw, lists[group].front());
        lists[group].pop_front();
        present.erase(t.buffer.id.raw);
        --stored;
        ++out[group];
        ++takes;
        held.push_back({group, group, t.buffer.id.raw});
        break;
      }
      case 2: {
        if (held.empty()) break;
        const taken t = held.back();
        held.pop_back();
        if (present.count(t.id)) {  // posted again meanwhile
          ASSERT_EQ(a.give_back(t.group, t.from, buffer(t.id)).status, alloc_status::double_free);
          ASSERT_EQ(a.settle(t.group).status, alloc_status::ok);
        } else if (stored == entries) {
          ASSERT_EQ(a.settle(t.group).status, alloc_status::ok);
        } else {
          ASSERT_EQ(a.give_back(t.group, t.from, buffer(t.id)).status, alloc_status::ok);
          lists[t.from].push_front(t.id);
          present.insert(t.id);
          ++stored;
          ++gives;
        }
        --out[t.group];
        break;
      }
      default:
        ASSERT_EQ(a.free(group), lists[group].size());
        ASSERT_EQ(a.out(group), out[group]);
    }
  }
  EXPECT_GT(takes, 10'000u);
  EXPECT_GT(gives, 1'000u);
}

}  // namespace
}  // namespace understudy
