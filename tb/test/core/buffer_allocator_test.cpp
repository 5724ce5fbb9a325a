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

constexpr unsigned payload_bits = buffer_allocator::buffer_code::code_bits;

// The first of a list loses both its links.
void cut(buffer_allocator& a, unsigned list) {
  for (const unsigned bit : {0u, 1u}) {
    EXPECT_TRUE(a.flip(list, 0, payload_bits + bit));
    EXPECT_TRUE(a.flip(list, 0, payload_bits + buffer_allocator::link_code::code_bits + bit));
  }
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

TEST(buffer_allocator, a_word_is_kept_for_every_buffer_that_is_out) {
  buffer_allocator a(2);
  a.put(0, buffer(0));
  a.put(0, buffer(1));
  const taken_buffer t = a.take(0);
  EXPECT_EQ(a.put(0, buffer(2)).status, alloc_status::full);
  EXPECT_EQ(a.give_back(0, 0, t.buffer).status, alloc_status::ok);
  a.take(0);
  a.settle(0);
  EXPECT_EQ(a.put(0, buffer(2)).status, alloc_status::ok);
}

TEST(buffer_allocator, another_generation_of_a_buffer_in_a_list_is_the_same_buffer) {
  buffer_allocator a(8);
  a.put(0, buffer(5));
  pool_buffer later = buffer(5);
  later.id.raw |= 3u << 21;
  EXPECT_EQ(a.put(0, later).status, alloc_status::double_free);
  a.take(0);
  EXPECT_EQ(a.put(0, later).status, alloc_status::ok);
  EXPECT_EQ(a.give_back(0, 0, buffer(5)).status, alloc_status::double_free);
  EXPECT_EQ(a.out(0), 1u);
  EXPECT_EQ(a.take(0).buffer, later);
}

TEST(buffer_allocator, reset_forgets_all_but_the_counters) {
  buffer_allocator a(4, 6);
  a.configure(0, 1, 1);
  for (std::uint32_t i = 0; i < 3; ++i) a.put(0, buffer(i));
  a.take(0);
  a.reset();
  EXPECT_EQ(a.free(0) + a.out(0), 0u);
  EXPECT_EQ(a.counters().puts, 3u);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(a.put(0, buffer(i)).status, alloc_status::ok);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(a.take(0).buffer.id.raw, i);
}

TEST(buffer_allocator, every_single_wrong_bit_is_corrected_and_counted) {
  unsigned corrected = 0;
  for (unsigned bit = 0; bit < buffer_allocator::word_bits; ++bit) {
    buffer_allocator a(4, 6);
    a.put(0, buffer(40));
    a.put(0, buffer(41));
    ASSERT_TRUE(a.flip(0, 0, bit));
    ASSERT_EQ(a.take(0).buffer, buffer(40)) << bit;
    ASSERT_EQ(a.counters().corrected, 1u) << bit;
    ASSERT_EQ(a.take(0).buffer, buffer(41)) << bit;
    ASSERT_EQ(a.counters().corrected, 1u) << bit;
    ++corrected;
  }
  EXPECT_EQ(corrected, 177u);
}

TEST(buffer_allocator, two_wrong_bits_lose_the_buffer_and_nothing_else) {
  buffer_allocator a(4, 6);
  for (std::uint32_t i = 0; i < 3; ++i) a.put(0, buffer(i));
  a.flip(0, 0, 3);
  a.flip(0, 0, 90);
  const taken_buffer t = a.take(0);
  EXPECT_EQ(t.status, alloc_status::uncorrectable);
  EXPECT_EQ(t.buffer, pool_buffer{});
  EXPECT_EQ(a.free(0), 2u);
  EXPECT_EQ(a.out(0), 0u);
  EXPECT_EQ(a.put(0, buffer(0)).status, alloc_status::double_free) << "its id stays marked";
  EXPECT_EQ(a.take(0).buffer, buffer(1));
  EXPECT_EQ(a.take(0).buffer, buffer(2));
}

TEST(buffer_allocator, any_two_wrong_bits_of_the_links_lose_nothing) {
  unsigned pairs = 0;
  for (unsigned i = payload_bits; i < buffer_allocator::word_bits; ++i)
    for (unsigned k = i + 1; k < buffer_allocator::word_bits; ++k) {
      buffer_allocator a(4, 6);
      a.put(0, buffer(0));
      a.put(0, buffer(1));
      a.flip(0, 0, i);
      a.flip(0, 0, k);
      ASSERT_EQ(a.take(0).buffer, buffer(0));
      ASSERT_EQ(a.take(0).buffer, buffer(1)) << i << " " << k;
      ASSERT_EQ(a.counters().corrected, 1u);
      ++pairs;
    }
  EXPECT_EQ(pairs, 52u * 51 / 2);
}

TEST(buffer_allocator, both_links_lost_lose_what_is_behind_them) {
  buffer_allocator a(4, 6);
  for (std::uint32_t i = 0; i < 4; ++i) a.put(0, buffer(i));
  cut(a, 0);
  EXPECT_FALSE(a.flip(0, 1, 0)) << "no link leads there";
  EXPECT_EQ(a.take(0).status, alloc_status::uncorrectable);
  EXPECT_EQ(a.free(0), 0u);
  EXPECT_EQ(a.put(0, buffer(10)).status, alloc_status::ok) << "in the word that was read";
  EXPECT_EQ(a.put(0, buffer(11)).status, alloc_status::full);
  EXPECT_EQ(a.take(0).buffer, buffer(10));
}

TEST(buffer_allocator, the_last_of_a_list_needs_no_link) {
  buffer_allocator a(4, 6);
  a.put(0, buffer(0));
  cut(a, 0);
  EXPECT_EQ(a.take(0).buffer, buffer(0));
  EXPECT_EQ(a.counters().corrected, 1u);
}

TEST(buffer_allocator, a_lost_link_of_unused_words_refuses_one_put_and_loses_them) {
  buffer_allocator a(4, 6);
  for (std::uint32_t i = 0; i < 3; ++i) a.put(0, buffer(i));
  for (std::uint32_t i = 0; i < 3; ++i) {
    a.take(0);
    a.settle(0);
  }
  cut(a, buffer_allocator::unused_words);
  EXPECT_EQ(a.put(0, buffer(9)).status, alloc_status::uncorrectable);
  EXPECT_EQ(a.free(0), 0u);
  EXPECT_EQ(a.put(0, buffer(9)).status, alloc_status::ok) << "in the word that never was used";
  EXPECT_EQ(a.put(0, buffer(10)).status, alloc_status::full);
  EXPECT_EQ(a.counters().uncorrectable, 1u);
}

// Whatever is wrong in memory: no id is handed out that was not put since, and nothing leaves the arrays.
TEST(buffer_allocator, no_number_of_wrong_bits_hands_a_buffer_out_twice) {
  rng random(1, "test/buffer_allocator/noise");
  buffer_allocator a(16, 6);
  std::set<std::uint32_t> in_list;
  std::uint32_t lost = 0, taken = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto g = static_cast<unsigned>(random.below(3));
    switch (random.below(5)) {
      case 0:
      case 1: {
        const auto id = static_cast<std::uint32_t>(random.below(64));
        if (a.put(g, buffer(id)).status == alloc_status::ok) in_list.insert(id);
        break;
      }
      case 2:
      case 3: {
        const taken_buffer t = a.take(g);
        if (t.status == alloc_status::ok) {
          ASSERT_EQ(in_list.erase(t.buffer.id.raw & 0x1fffff), 1u) << i;
          ++taken;
          a.settle(g);
        }
        lost += t.status == alloc_status::uncorrectable;
        break;
      }
      default:
        for (auto n = random.chance(0.2) ? random.below(40) : 0; n; --n)
          a.flip(static_cast<unsigned>(random.below(3)), static_cast<std::uint32_t>(random.below(4)),
                 static_cast<unsigned>(random.below(buffer_allocator::word_bits)));
    }
    if (i % 200 == 199) {
      a.reset();
      in_list.clear();
    }
  }
  EXPECT_GT(lost, 1000u);
  EXPECT_GT(taken, 5000u);
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
        ASSERT_EQ(s, present.count(id)                 ? alloc_status::double_free
                     : stored + held.size() >= entries ? alloc_status::full
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
