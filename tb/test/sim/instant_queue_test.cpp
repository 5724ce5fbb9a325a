#include "model/sim/instant_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace understudy {
namespace {

constexpr picos at_the_end = never - 1;

instant_queue of(std::uint32_t numbers) {
  instant_queue q;
  q.reserve(numbers);
  return q;
}

TEST(instant_queue, gives_what_is_due_and_no_more) {
  instant_queue q = of(2);
  EXPECT_EQ(q.first(), never);
  q.enter(500, 0);
  q.enter(300, 1);
  EXPECT_EQ(q.first(), 300u);
  EXPECT_EQ(q.take(299), instant_queue::none);
  EXPECT_EQ(q.take(300), 1u);
  EXPECT_EQ(q.first(), 500u);
  EXPECT_EQ(q.take(499), instant_queue::none);
  EXPECT_EQ(q.take(at_the_end), 0u);
  EXPECT_EQ(q.take(at_the_end), instant_queue::none);
}

TEST(instant_queue, takes_something_earlier_than_what_waits) {
  instant_queue q = of(3);
  q.enter(1000, 0);
  EXPECT_EQ(q.take(900), instant_queue::none);
  q.enter(901, 1);
  q.enter(1000, 2);
  EXPECT_EQ(q.first(), 901u);
  EXPECT_EQ(q.take(1000), 1u);
  EXPECT_EQ(q.take(1000), 0u);
  EXPECT_EQ(q.take(1000), 2u);
}

TEST(instant_queue, knows_the_ends_of_time) {
  instant_queue q = of(3);
  q.enter(never, 0);
  q.enter(0, 1);
  q.enter(at_the_end, 2);
  EXPECT_EQ(q.take(0), 1u);
  EXPECT_EQ(q.first(), at_the_end);
  EXPECT_EQ(q.take(at_the_end), 2u);
  EXPECT_EQ(q.first(), never);
  EXPECT_EQ(q.take(at_the_end), instant_queue::none);
}

TEST(instant_queue, forgets_what_is_removed_and_keeps_the_order_of_the_rest) {
  instant_queue q = of(6);
  for (std::uint32_t n = 0; n < 6; ++n) q.enter(n < 3 ? 70 : 7, n);
  q.remove_if([](std::uint32_t n) { return n % 3 == 1; });
  std::vector<std::uint32_t> order;
  for (std::uint32_t n; (n = q.take(at_the_end)) != instant_queue::none;) order.push_back(n);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{3, 5, 0, 2}));
}

// Beside a sorted map, which keeps equal instants in order of entry too.
TEST(instant_queue, agrees_with_a_sorted_map_over_many_steps) {
  constexpr std::uint32_t numbers = 300;
  for (const unsigned spread : {1u, 4u, 12u, 30u, 50u}) {
    SCOPED_TRACE(spread);
    instant_queue q = of(numbers);
    std::multimap<picos, std::uint32_t> plain;
    std::vector<std::uint32_t> free;
    for (std::uint32_t n = 0; n < numbers; ++n) free.push_back(n);
    std::mt19937_64 random(spread);
    picos now = 0;
    std::uint64_t taken = 0;
    for (int step = 0; step < 50000; ++step) {
      if (random() % 5 < 3 && !free.empty()) {
        const picos t = now + (random() >> (63 - random() % spread));
        q.enter(t, free.back());
        plain.emplace(t, free.back());
        free.pop_back();
      } else if (random() % 500 == 0) {
        const auto unlucky = [](std::uint32_t n) { return n % 7 == 0; };
        q.remove_if(unlucky);
        for (auto it = plain.begin(); it != plain.end();) {
          if (unlucky(it->second)) free.push_back(it->second);
          it = unlucky(it->second) ? plain.erase(it) : std::next(it);
        }
      } else {
        if (!plain.empty() && random() % 2) now = std::max(now, plain.begin()->first);
        const bool due = !plain.empty() && plain.begin()->first <= now;
        ASSERT_EQ(q.first(), plain.empty() ? never : plain.begin()->first);
        ASSERT_EQ(q.take(now), due ? plain.begin()->second : instant_queue::none) << "step " << step;
        if (!due) continue;
        free.push_back(plain.begin()->second);
        plain.erase(plain.begin());
        ++taken;
      }
    }
    EXPECT_GT(taken, 5000u);
  }
}

}  // namespace
}  // namespace understudy
