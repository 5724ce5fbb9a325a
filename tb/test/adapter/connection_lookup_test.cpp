// What a look-up costs by where the connection is, and what wrong bits in the store do.
#include "model/adapter/connection_lookup.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

constexpr picos op_time = store_cycles * 2500_ps;

lookup_config small() {
  lookup_config c;
  c.sets = 4;
  c.ways = 2;
  c.scrub = 0;
  return c;
}
// A key of set `set` whose tag is `tag`.
std::uint64_t key(std::uint64_t set, std::uint64_t tag) {
  return tag << 21 | set;
}

TEST(connection_lookup, a_connection_is_fetched_from_memory_once_and_then_found_at_once) {
  for (const bool rtl : {false, true}) {
    lookup_config c = small();
    c.rtl = rtl;
    connection_lookup l(c);
    EXPECT_EQ(l.look_up(1_us, key(1, 7), 5), 1_us + c.miss);
    EXPECT_EQ(l.look_up(2_us, key(1, 7), 5), 2_us);
    EXPECT_EQ(l.counters().lookups, 2u);
    EXPECT_EQ(l.counters().hits, 1u);
    EXPECT_EQ(l.counters().waited, c.miss);
    l.forget(3_us, key(1, 7));
    EXPECT_EQ(l.look_up(4_us, key(1, 7), 5), 4_us + c.miss) << "it had ended";
    l.reset();
    EXPECT_EQ(l.look_up(5_us, key(1, 7), 5), 5_us + c.miss);
  }
}

TEST(connection_lookup, a_stranger_costs_a_read_each_time_and_takes_no_place) {
  connection_lookup l(small());
  for (int i = 1; i <= 10; ++i)
    EXPECT_EQ(l.look_up(i * 1_us, key(1, 7), connection_lookup::unknown), i * 1_us + 150_ns);
  EXPECT_EQ(l.counters().strangers, 10u);
  EXPECT_EQ(l.counters().evictions, 0u);
}

TEST(connection_lookup, reads_of_memory_overlap_as_far_as_memory_can) {
  connection_lookup l(small());
  const picos access = small().access;
  EXPECT_EQ(l.look_up(1_us, key(0, 1), connection_lookup::unknown), 1_us + 150_ns);
  EXPECT_EQ(l.look_up(1_us, key(1, 2), connection_lookup::unknown), 1_us + op_time + 150_ns)
      << "the store's port is later than the memory";
  lookup_config slow = small();
  slow.access = 40_ns;
  connection_lookup s(slow);
  s.look_up(1_us, key(0, 1), connection_lookup::unknown);
  EXPECT_EQ(s.look_up(1_us, key(1, 2), connection_lookup::unknown), 1_us + 40_ns + 150_ns);
  EXPECT_LT(access, op_time);
}

TEST(connection_lookup, more_connections_than_a_set_has_ways_evict_each_other) {
  connection_lookup l(small());
  picos now = 1_us;
  for (int round = 0; round < 10; ++round)
    for (std::uint32_t i = 0; i < 3; ++i) l.look_up(now += 1_us, key(2, i + 1), i);
  EXPECT_GT(l.counters().evictions, 10u);
  EXPECT_LT(l.counters().hits, 20u);
}

TEST(connection_lookup, a_name_that_the_tuple_contradicts_is_not_used) {
  connection_lookup l(small());
  l.look_up(1_us, key(1, 7), 5);
  EXPECT_EQ(l.look_up(2_us, key(1, 7), 6), 2_us + 150_ns);
  EXPECT_EQ(l.counters().mistaken, 1u);
  EXPECT_EQ(l.look_up(3_us, key(1, 7), 6), 3_us) << "the right one has taken its place";
}

TEST(connection_lookup, one_wrong_bit_is_corrected_and_two_cost_a_fetch) {
  connection_lookup l(small());
  l.look_up(1_us, key(1, 7), 5);
  l.upset(key(1, 7), 1);
  EXPECT_EQ(l.look_up(2_us, key(1, 7), 5), 2_us);
  EXPECT_EQ(l.counters().corrected, 2u) << "in both words of the set";
  EXPECT_EQ(l.counters().dropped, 0u);
  l.upset(key(1, 7), 2);
  EXPECT_EQ(l.look_up(3_us, key(1, 7), 5), 3_us + 150_ns);
  EXPECT_EQ(l.counters().dropped, 2u);
  EXPECT_EQ(l.look_up(4_us, key(1, 7), 5), 4_us);
}

TEST(connection_lookup, the_scrubber_mends_what_nobody_looks_up) {
  for (const picos turn : {picos{0}, 1_ms}) {
    lookup_config c = small();
    c.scrub = turn;
    connection_lookup l(c);
    l.look_up(1_us, key(1, 7), 5);
    l.upset(key(1, 7), 1);
    l.look_up(2_ms, key(3, 9), 8);  // another set
    EXPECT_EQ(l.counters().corrected, turn ? 2u : 0u);
    EXPECT_EQ(l.counters().scrubs, turn ? 4u : 0u) << "a whole turn and no more";
  }
}

TEST(connection_lookup, in_rtl_it_has_one_geometry_of_each_size) {
  lookup_config c;
  c.rtl = true;
  c.sets = 512;
  EXPECT_THROW(connection_lookup{c}, std::invalid_argument);
}

}  // namespace
}  // namespace understudy
