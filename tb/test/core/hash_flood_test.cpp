// Hash-collision floods: an attacker who knows the hash function but not its key gains nothing. The test is
// an attacker who has searched for tuples that collide under one key; they meet that key, and another.
#include <gtest/gtest.h>

#include <vector>

#include "model/core/connection_store.h"
#include "model/core/connection_table.h"
#include "tb/test/core/engine_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t words_known[4] = {21, 22, 23, 24};   // the key that the attacker has found out
constexpr std::uint32_t words_secret[4] = {31, 32, 33, 34};  // the key that is in use
constexpr std::uint32_t flood = 500;
constexpr std::uint32_t buckets = 1024;  // of a table of 500

// Clients of ip_b:port_b, as many as there are addresses and ports.
four_tuple client(std::uint32_t n) {
  return {ip_b, ip_address::v4(0x0b000000u + n / 60'000), port_b,
          static_cast<std::uint16_t>(1024 + n % 60'000)};
}

sip_key key_of(const std::uint32_t (&w)[4]) {
  return {static_cast<std::uint64_t>(w[1]) << 32 | w[0], static_cast<std::uint64_t>(w[3]) << 32 | w[2]};
}

// Tuples whose positions in a table of `buckets` are the same under the known key.
const std::vector<four_tuple>& collisions() {
  static const std::vector<four_tuple> found = [] {
    connection_table t(1);
    t.set_key(key_of(words_known));
    std::vector<four_tuple> r;
    for (std::uint32_t n = 0; r.size() < flood; ++n)
      if ((t.hash(client(n), 0) & (buckets - 1)) == 5) r.push_back(client(n));
    return r;
  }();
  return found;
}

// Buckets that the most laborious find, insertion or removal of them all looks at.
std::uint64_t most_probes(const sip_key& key) {
  connection_table t(flood);
  t.set_key(key);
  std::uint64_t most = 0;
  const auto note = [&] {
    most = std::max(most, t.steps);
    t.steps = 0;
  };
  std::vector<std::uint32_t> taken;
  for (const four_tuple& c : collisions()) {
    EXPECT_EQ(t.find(c), connection_table::none);
    note();
    taken.push_back(t.take(c));
    note();
  }
  for (std::uint32_t n = 0; n < flood; ++n) {
    EXPECT_EQ(t.find(collisions()[n]), taken[n]);
    note();
  }
  for (const std::uint32_t i : taken) {
    t.release(i);
    note();
  }
  return most;
}

TEST(hash_flood, tuples_that_collide_under_another_key_are_found_in_a_few_probes) {
  ASSERT_EQ(collisions().size(), flood);
  const std::uint64_t most = most_probes(key_of(words_secret));
  EXPECT_GT(most, 1u);
  EXPECT_LE(most, 40u);
}

TEST(hash_flood, with_the_key_in_the_attackers_hands_the_probes_are_as_many_as_tuples) {
  EXPECT_GE(most_probes(key_of(words_known)), flood);
}

// Of an engine whose host chose the key: the steps of a SYN flood by those tuples.
std::uint64_t most_steps(const std::uint32_t (&key)[4]) {
  tcp_config c;
  c.max_connections = flood;
  timeline time;
  rig_end e(time, 1, c);
  e.engine->set_secret(key);
  EXPECT_TRUE(e.engine->listen(ip_b, port_b, 0, flood, US_CONN_PROTECTED));
  for (const four_tuple& t : collisions()) {
    segment s;
    s.tuple = t;
    s.flags = tcp_syn;
    s.window = 1000;
    e.take(s);
  }
  EXPECT_EQ(e.engine->connections(), flood);
  segment stranger;  // one more bucket, and a reset
  stranger.tuple = client(1);
  stranger.flags = tcp_ack;
  e.take(stranger);
  return e.engine->counters().most_steps;
}

TEST(hash_flood, costs_an_engine_no_more_steps_than_any_clients) {
  const std::uint64_t most = most_steps(words_secret);
  EXPECT_GT(most, 1u);
  EXPECT_LE(most, 60u);
}

TEST(hash_flood, of_a_known_key_shows_in_the_counter) {
  EXPECT_GE(most_steps(words_known), flood);
}

// The store on the chip looks at the ways of one set, come what may. What a collision can do there is to make
// connections drive each other out.
std::uint32_t store_hits(const sip_key& key) {
  connection_table hashes(1);
  hashes.set_key(key);
  connection_store store(buckets, 4);
  constexpr std::uint32_t tuples = flood;
  std::uint32_t hits = 0;
  for (const store_op op : {store_op::insert, store_op::lookup}) {
    for (std::uint32_t n = 0; n < tuples; ++n) {
      store_request r;
      r.op = op;
      r.key = hashes.hash(collisions()[n], 0);
      r.index = n;
      const store_answer a = store.run(r);
      EXPECT_EQ(a.cycles, store_cycles);
      if (op == store_op::lookup && a.hit) {
        EXPECT_EQ(a.index, n);
        ++hits;
      }
    }
  }
  return hits;
}

TEST(hash_flood, is_spread_over_the_sets_of_the_store_on_the_chip) {
  EXPECT_GE(store_hits(key_of(words_secret)), flood * 98 / 100);
}

TEST(hash_flood, of_a_known_key_leaves_one_set_of_the_store) {
  EXPECT_LE(store_hits(key_of(words_known)), 4u);
}

}  // namespace
}  // namespace understudy::tb
