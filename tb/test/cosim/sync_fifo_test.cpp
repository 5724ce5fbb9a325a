// rtl/sync_fifo.sv at its pins, beside a std::deque.
#include <Vsync_fifo.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <stdexcept>

#include "model/core/rng.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

constexpr std::uint64_t seed = 1;
constexpr std::size_t depth = 4;  // of the module, unless told

TEST(sync_fifo, gives_what_it_took_in_order_whoever_is_faster) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  rng random(seed, "test/sync_fifo");
  for (const double push : {0.2, 0.5, 0.9}) {
    rtl_harness<Vsync_fifo> rtl;
    auto& p = rtl.pins();
    std::deque<std::uint8_t> model;
    int full = 0, empty = 0, through = 0;
    p.push_i = p.pop_i = p.data_i = 0;
    for (int cycle = 0; cycle < 2000; ++cycle) {
      rtl.settle();
      ASSERT_EQ(p.ready_o, model.size() < depth) << cycle;
      ASSERT_EQ(p.valid_o, !model.empty()) << cycle;
      if (p.valid_o) {
        ASSERT_EQ(p.data_o, model.front()) << cycle;
      }
      full += !p.ready_o;
      empty += !p.valid_o;
      p.push_i = p.ready_o && random.chance(push);
      p.pop_i = p.valid_o && random.chance(0.5);
      p.data_i = static_cast<std::uint8_t>(random.below(256));
      rtl.settle();
      through += p.push_i && p.pop_i;
      if (p.pop_i) model.pop_front();
      if (p.push_i) model.push_back(p.data_i);
      rtl.edge();
    }
    EXPECT_GT(through, 50) << push;
    EXPECT_GT(push < 0.5 ? empty : full, 100) << push;
  }
}

TEST(sync_fifo, a_push_into_the_full_queue_or_a_pop_from_the_empty_one_fails_an_assertion_bad) {
  rtl_harness<Vsync_fifo> full;
  auto& p = full.pins();
  p.pop_i = p.data_i = 0;
  p.push_i = 1;
  EXPECT_THROW(
      for (std::size_t i = 0; i < depth + 1; ++i) {
        full.settle();
        full.edge();
      },
      std::logic_error);
  rtl_harness<Vsync_fifo> empty;
  auto& q = empty.pins();
  q.push_i = q.data_i = 0;
  q.pop_i = 1;
  EXPECT_THROW(
      {
        empty.settle();
        empty.edge();
      },
      std::logic_error);
}

}  // namespace
}  // namespace understudy
