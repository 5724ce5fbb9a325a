// rtl/connection_table.sv and its C++ twin in lock step, over directed and random streams of operations.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <set>
#include <utility>

#include "model/core/rng.h"
#include "model/cosim/connection_table_unit.h"

namespace understudy {
namespace {

constexpr std::uint64_t seed = 1;

// The n-th key of a set.
std::uint64_t key_of(std::uint32_t set, std::uint64_t n) {
  return (n + 1) << 21 | set;
}
store_code::code_type bit(unsigned n) {
  store_code::code_type c{};
  store_code::flip(c, n);
  return c;
}
store_code::code_type both(const store_code::code_type& a, const store_code::code_type& b) {
  return {a[0] ^ b[0], a[1] ^ b[1]};
}

class connection_table_cosim_test : public testing::TestWithParam<std::pair<std::uint32_t, std::uint32_t>> {
 protected:
  std::uint32_t sets = GetParam().first, ways = GetParam().second;
  std::unique_ptr<connection_table_unit> rtl = make_connection_table_rtl(sets, ways);
  std::unique_ptr<connection_table_unit> twin = make_connection_table_twin(sets, ways);

  // Runs it on both; they agree.
  store_answer run(const store_request& r) {
    store_answer a;
    class remembering final : public connection_table_unit {
     public:
      remembering(connection_table_unit& u, store_answer& a) : unit_(u), answer_(a) {}
      store_answer run(const store_request& request) override { return answer_ = unit_.run(request); }
      std::uint64_t cycles() const override { return unit_.cycles(); }

     private:
      connection_table_unit& unit_;
      store_answer& answer_;
    } watched(*twin, a);
    const auto m = compare_connection_table(r, *rtl, watched);
    EXPECT_FALSE(m) << m->text;
    return a;
  }
  store_answer lookup(std::uint64_t key) { return run({store_op::lookup, key, 0, 0, {}}); }
  store_answer insert(std::uint64_t key, std::uint32_t index) {
    return run({store_op::insert, key, index, 0, {}});
  }
  store_answer remove(std::uint64_t key) { return run({store_op::remove, key, 0, 0, {}}); }
  store_answer scrub(std::uint32_t set) { return run({store_op::scrub, set, 0, 0, {}}); }
  void flip(std::uint32_t set, std::uint32_t way, const store_code::code_type& mask) {
    run({store_op::flip, set, 0, way, mask});
  }
};
INSTANTIATE_TEST_SUITE_P(geometry, connection_table_cosim_test,
                         testing::Values(std::pair{1024u, 4u}, std::pair{4u, 2u}), [](const auto& p) {
                           return std::to_string(p.param.first) + "x" + std::to_string(p.param.second);
                         });

TEST_P(connection_table_cosim_test, what_was_inserted_is_found_until_it_is_removed) {
  EXPECT_FALSE(lookup(key_of(1, 0)).hit);
  EXPECT_FALSE(insert(key_of(1, 0), 0xfffff).hit);
  const store_answer a = lookup(key_of(1, 0));
  EXPECT_TRUE(a.hit);
  EXPECT_EQ(a.index, 0xfffffu);
  EXPECT_EQ(a.cycles, store_cycles);
  EXPECT_FALSE(lookup(key_of(2, 0)).hit);
  EXPECT_FALSE(lookup(key_of(1, 1)).hit);
  EXPECT_TRUE(insert(key_of(1, 0), 5).hit);
  EXPECT_EQ(lookup(key_of(1, 0)).index, 5u);
  EXPECT_TRUE(remove(key_of(1, 0)).hit);
  EXPECT_FALSE(lookup(key_of(1, 0)).hit);
  EXPECT_FALSE(remove(key_of(1, 0)).hit);
}

TEST_P(connection_table_cosim_test, full_set_evicts_what_was_not_used_recently) {
  for (std::uint32_t n = 0; n < ways; ++n) EXPECT_FALSE(insert(key_of(3, n), n).evicted);
  for (std::uint32_t n = 0; n + 1 < ways; ++n) EXPECT_TRUE(lookup(key_of(3, n)).hit);
  const store_answer a = insert(key_of(3, ways), ways);
  EXPECT_TRUE(a.evicted);
  EXPECT_FALSE(lookup(key_of(3, a.victim)).hit);
  EXPECT_TRUE(lookup(key_of(3, ways)).hit);
  std::uint32_t there = 0;
  for (std::uint32_t n = 0; n <= ways; ++n) there += lookup(key_of(3, n)).hit;
  EXPECT_EQ(there, ways);
}

TEST_P(connection_table_cosim_test, any_one_bit_is_corrected_and_counted) {
  insert(key_of(0, 9), 0x12345);
  for (std::uint32_t n = 0; n < 72; ++n) {
    flip(0, 0, bit(n));
    const store_answer a = lookup(key_of(0, 9));
    EXPECT_TRUE(a.hit) << n;
    EXPECT_EQ(a.index, 0x12345u) << n;
    EXPECT_EQ(a.corrected, 1) << n;
    EXPECT_EQ(a.dropped, 0) << n;
    EXPECT_EQ(lookup(key_of(0, 9)).corrected, 0) << n;
  }
}

TEST_P(connection_table_cosim_test, any_two_bits_are_detected_and_never_answered) {
  int pairs = 0;
  for (std::uint32_t n = 0; n < 72; ++n)
    for (std::uint32_t m = n + 1; m < 72; ++m, ++pairs) {
      insert(key_of(0, 9), 0x12345);
      flip(0, 0, both(bit(n), bit(m)));
      const store_answer a = lookup(key_of(0, 9));
      ASSERT_FALSE(a.hit) << n << ' ' << m;
      ASSERT_EQ(a.dropped, 1) << n << ' ' << m;
      ASSERT_EQ(lookup(key_of(0, 9)).dropped, 0);
    }
  EXPECT_EQ(pairs, 72 * 71 / 2);
}

TEST_P(connection_table_cosim_test, scrubbing_corrects_before_a_second_bit_falls) {
  insert(key_of(2, 0), 7);
  flip(2, 0, bit(3));
  EXPECT_EQ(scrub(2).corrected, 1);
  flip(2, 0, bit(50));
  const store_answer a = lookup(key_of(2, 0));
  EXPECT_TRUE(a.hit);
  EXPECT_EQ(a.corrected, 1);
  flip(2, 0, bit(3));
  flip(2, 0, bit(50));
  EXPECT_FALSE(lookup(key_of(2, 0)).hit);
}

TEST_P(connection_table_cosim_test, random_operations_agree) {
  rng random(seed, "test/connection_table_cosim");
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  int hits = 0, evictions = 0, corrections = 0, drops = 0;
  for (int i = 0; i < 100000; ++i) {
    store_request r;
    const auto set = static_cast<std::uint32_t>(random.below(4));
    r.key = key_of(set, random.below(2ull * ways));
    r.index = static_cast<std::uint32_t>(random.below(1u << 20));
    r.way = static_cast<std::uint32_t>(random.below(ways));
    const auto what = random.below(20);
    r.op = what < 9    ? store_op::lookup
           : what < 15 ? store_op::insert
           : what < 17 ? store_op::remove
           : what < 18 ? store_op::scrub
                       : store_op::flip;
    r.flip = bit(static_cast<std::uint32_t>(random.below(72)));
    if (what == 19) r.flip = both(r.flip, bit(static_cast<std::uint32_t>(random.below(72))));
    const store_answer a = run(r);
    ASSERT_FALSE(HasFailure()) << i;
    hits += a.hit;
    evictions += a.evicted;
    corrections += a.corrected;
    drops += a.dropped;
  }
  EXPECT_GT(hits, 10000);
  EXPECT_GT(evictions, 3000);
  EXPECT_GT(corrections, 1000);
  EXPECT_GT(drops, 1000);
}

TEST(connection_table_compare_test, each_corrupted_output_is_reported_bad) {
  class corrupted final : public connection_table_unit {
   public:
    explicit corrupted(std::function<void(store_answer&)> f) : corrupt_(std::move(f)) {}
    store_answer run(const store_request& r) override {
      store_answer a = rtl_->run(r);
      corrupt_(a);
      return a;
    }
    std::uint64_t cycles() const override { return rtl_->cycles(); }

   private:
    std::function<void(store_answer&)> corrupt_;
    std::unique_ptr<connection_table_unit> rtl_ = make_connection_table_rtl(4, 2);
  };
  const std::pair<const char*, std::function<void(store_answer&)>> outputs[] = {
      {"hit", [](store_answer& a) { a.hit = !a.hit; }},
      {"index", [](store_answer& a) { a.index ^= 1; }},
      {"evicted", [](store_answer& a) { a.evicted = !a.evicted; }},
      {"victim", [](store_answer& a) { a.victim ^= 0x80000; }},
      {"corrected", [](store_answer& a) { ++a.corrected; }},
      {"dropped", [](store_answer& a) { ++a.dropped; }},
      {"cycles", [](store_answer& a) { ++a.cycles; }},
  };
  for (const auto& [name, corrupt] : outputs) {
    corrupted rtl(corrupt);
    const auto twin = make_connection_table_twin(4, 2);
    const auto m = compare_connection_table({store_op::insert, 5, 6, 0, {}}, rtl, *twin);
    ASSERT_TRUE(m) << name;
    EXPECT_EQ(m->field, name);
    EXPECT_NE(m->text.find(name), std::string::npos);
  }
}

TEST(connection_table_compare_test, another_geometry_is_refused_bad) {
  EXPECT_THROW(make_connection_table_rtl(512, 4), std::invalid_argument);
  EXPECT_THROW(make_connection_table_rtl(1024, 2), std::invalid_argument);
}

}  // namespace
}  // namespace understudy
