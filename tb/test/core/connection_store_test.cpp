// The on-chip store of connections by itself: what is found, what makes room, what a wrong bit does.
#include "model/core/connection_store.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

store_request ask(store_op op, std::uint64_t key, std::uint32_t index = 0) {
  store_request r;
  r.op = op;
  r.key = key;
  r.index = index;
  return r;
}
// Keys of one set of four, told apart by their tags.
std::uint64_t key_of(std::uint64_t n) {
  return n << 30 | 1;
}

TEST(connection_store, finds_what_was_inserted_and_not_what_was_removed) {
  connection_store s(4, 2);
  EXPECT_FALSE(s.run(ask(store_op::lookup, key_of(1))).hit);
  EXPECT_FALSE(s.run(ask(store_op::insert, key_of(1), 77)).hit);
  const store_answer found = s.run(ask(store_op::lookup, key_of(1)));
  EXPECT_TRUE(found.hit);
  EXPECT_EQ(found.index, 77u);
  EXPECT_EQ(found.cycles, store_cycles);
  EXPECT_FALSE(s.run(ask(store_op::lookup, key_of(2))).hit);
  EXPECT_TRUE(s.run(ask(store_op::remove, key_of(1))).hit);
  EXPECT_FALSE(s.run(ask(store_op::lookup, key_of(1))).hit);
}

TEST(connection_store, a_full_set_gives_up_what_was_not_used_of_late) {
  connection_store s(4, 2);
  s.run(ask(store_op::insert, key_of(1), 1));
  s.run(ask(store_op::insert, key_of(2), 2));
  s.run(ask(store_op::lookup, key_of(2)));
  const store_answer a = s.run(ask(store_op::insert, key_of(3), 3));
  EXPECT_TRUE(a.evicted);
  EXPECT_EQ(a.victim, 1u);
  EXPECT_TRUE(s.run(ask(store_op::lookup, key_of(2))).hit);
  EXPECT_FALSE(s.run(ask(store_op::lookup, key_of(1))).hit);
}

TEST(connection_store, one_wrong_bit_is_corrected_and_two_are_a_miss) {
  connection_store s(4, 2);
  s.run(ask(store_op::insert, key_of(1), 5));
  store_request flip = ask(store_op::flip, key_of(1));
  flip.flip[0] = 1;
  s.run(flip);
  const store_answer once = s.run(ask(store_op::lookup, key_of(1)));
  EXPECT_TRUE(once.hit);
  EXPECT_EQ(once.index, 5u);
  EXPECT_EQ(once.corrected, 1u);
  EXPECT_EQ(s.run(ask(store_op::scrub, key_of(1))).corrected, 0u) << "it was written back right";
  flip.flip[0] = 3;
  s.run(flip);
  const store_answer twice = s.run(ask(store_op::lookup, key_of(1)));
  EXPECT_FALSE(twice.hit);
  EXPECT_EQ(twice.dropped, 1u);
}

}  // namespace
}  // namespace understudy
