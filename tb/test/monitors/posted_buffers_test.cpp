#include "tb/monitors/posted_buffers.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tb/test/allocations.h"

namespace understudy::tb {
namespace {

TEST(posted_buffers, hold_their_bytes_and_no_others) {
  posted_buffers p;
  p.post(1, buf_id{7}, iova{0x1000}, 0x100);
  ASSERT_NE(p.holding(0x1000), nullptr);
  EXPECT_EQ(p.holding(0x1000)->second.name, buf_id{7});
  EXPECT_EQ(p.holding(0x10ff)->second.adapter, 1u);
  EXPECT_EQ(p.holding(0xfff), nullptr);
  EXPECT_EQ(p.holding(0x1100), nullptr);
}

TEST(posted_buffers, one_that_was_taken_back_holds_nothing) {
  posted_buffers p;
  p.post(0, buf_id{7}, iova{0x1000}, 0x100);
  ASSERT_NE(p.holding(0x1010), nullptr);
  p.take_back(buf_id{7});
  EXPECT_EQ(p.holding(0x1010), nullptr);
  EXPECT_EQ(p.overlapping(0x1000, 0x100), nullptr);
  EXPECT_EQ(p.size(), 0u);
  p.take_back(buf_id{7});
  EXPECT_EQ(p.size(), 0u);
}

TEST(posted_buffers, what_was_taken_of_one_is_the_hosts_again) {
  posted_buffers p;
  p.post(0, buf_id{7}, iova{0x1000}, 0x100);
  p.post(0, buf_id{8}, iova{0x1100}, 0x100);
  p.take(buf_id{7}, 0x40);
  EXPECT_EQ(p.overlapping(0x1000, 0x40), nullptr);
  ASSERT_NE(p.overlapping(0x1000, 0x41), nullptr);
  p.take(buf_id{8}, 0x10);  // one range over the end of the first and the taken bytes of the second
  ASSERT_NE(p.overlapping(0x10f0, 0x20), nullptr);
  EXPECT_EQ(p.overlapping(0x10f0, 0x20)->second.name, buf_id{7});
  EXPECT_NE(p.holding(0x1000), nullptr)
      << "it is the adapter's mistake still if it writes beside what is posted";
}

TEST(posted_buffers, two_at_one_address_are_two) {
  posted_buffers p;
  p.post(0, buf_id{7}, iova{0x1000}, 0x100);
  p.post(0, buf_id{8}, iova{0x1000}, 0x100);
  EXPECT_EQ(p.size(), 2u);
  p.take_back(buf_id{8});
  ASSERT_NE(p.holding(0x1000), nullptr);
  EXPECT_EQ(p.holding(0x1000)->second.name, buf_id{7});
}

TEST(posted_buffers, allocate_only_while_more_are_posted_than_ever_before) {
  posted_buffers p;
  constexpr std::uint32_t most = 300;
  const auto round = [&] {
    for (std::uint32_t i = 0; i < most; ++i) p.post(0, buf_id{i}, iova{0x1000 * std::uint64_t{i}}, 0x100);
    for (std::uint32_t i = 0; i < most; ++i) p.take_back(buf_id{i});
  };
  const std::uint64_t empty = allocations;
  round();
  const std::uint64_t before = allocations;
  EXPECT_GT(before, empty);
  for (int i = 0; i < 100; ++i) round();
  EXPECT_EQ(allocations, before);
}

// Beside a list that is walked.
TEST(posted_buffers, agree_with_a_plain_list_over_many_postings) {
  struct plain {
    std::uint64_t at;
    std::uint32_t length, taken;
  };
  constexpr std::uint32_t places = 64, each = 0x1000;
  posted_buffers p;
  std::map<std::uint32_t, plain> list;
  std::mt19937 random(1);
  for (int step = 0; step < 20000; ++step) {
    const std::uint32_t name = random() % places;
    if (const auto it = list.find(name); it == list.end()) {
      const plain b{std::uint64_t{name} * each + random() % 0x100,
                    static_cast<std::uint32_t>(1 + random() % 0xf00), 0};
      p.post(name % 2, buf_id{name}, iova{b.at}, b.length);
      list[name] = b;
    } else if (random() % 3 == 0) {
      const std::uint32_t n = random() % 0x400;
      p.take(buf_id{name}, n);
      if (n < it->second.length - it->second.taken) it->second.taken += n;
    } else {
      p.take_back(buf_id{name});
      list.erase(it);
    }
    const std::uint64_t at = random() % (places * each), length = 1 + random() % each;
    bool held = false, overlaps = false;
    for (const auto& [n, b] : list) {
      held = held || (at >= b.at && at < b.at + b.length);
      overlaps = overlaps || (b.at + b.taken < at + length && at < b.at + b.length);
    }
    ASSERT_EQ(p.holding(at) != nullptr, held) << "step " << step;
    ASSERT_EQ(p.overlapping(at, length) != nullptr, overlaps) << "step " << step;
    ASSERT_EQ(p.size(), list.size());
  }
}

}  // namespace
}  // namespace understudy::tb
