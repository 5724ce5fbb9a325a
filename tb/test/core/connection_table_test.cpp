#include "model/core/connection_table.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "model/core/rng.h"

namespace understudy {
namespace {

four_tuple tuple(std::uint32_t n) {
  return {ip_address::v4(10, 0, 0, 1), ip_address::v4(0x0a010000u + (n >> 10)), 80,
          static_cast<std::uint16_t>(1024 + (n & 1023))};
}

// The vectors of the SipHash paper's reference code: key 00..0f, message 00, 01, ... of 8 and 16 bytes.
TEST(SipHash, ReferenceVectors) {
  const sip_key key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  const std::uint64_t m[] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  EXPECT_EQ(siphash(key, {m, 0}), 0x726fdb47dd0e0e31ULL);
  EXPECT_EQ(siphash(key, {m, 1}), 0x93f5f5799a932462ULL);
  EXPECT_EQ(siphash(key, {m, 2}), 0x3f2acc7f57c29bdbULL);
}

TEST(ConnectionTable, FindsByTupleAndById) {
  connection_table t(100);
  const std::uint32_t i = t.take(tuple(1));
  EXPECT_EQ(t.find(tuple(1)), i);
  EXPECT_EQ(t.find(t.id(i)), i);
  EXPECT_EQ(t.find(tuple(2)), connection_table::none);
  EXPECT_EQ(t.find(cid{i, 1}), connection_table::none);
  EXPECT_EQ(t.find(cid{}), connection_table::none);
}

TEST(ConnectionTable, AReleasedIndexComesBackWithAnotherGeneration) {
  connection_table t(1);
  const std::uint32_t i = t.take(tuple(1));
  const cid first = t.id(i);
  EXPECT_EQ(t.take(tuple(2)), connection_table::none) << "full";
  t.release(i);
  EXPECT_EQ(t.find(first), connection_table::none);
  EXPECT_EQ(t.take(tuple(2)), i);
  EXPECT_EQ(t.id(i).generation(), first.generation() + 1);
}

TEST(ConnectionTable, TakesAsManyAsIndexesHaveNamesAndNotOneMore) {
  constexpr std::uint32_t most = 1u << cid::index_bits;
  connection_table t(most);
  for (std::uint32_t n = 0; n < most; ++n) ASSERT_EQ(t.take(tuple(n)), n);
  EXPECT_TRUE(t.full());
  EXPECT_EQ(t.take(tuple(most)), connection_table::none);
  EXPECT_EQ(t.find(tuple(most - 1)), most - 1);
  EXPECT_EQ(t.find(t.id(most - 1)), most - 1);
}

// The last index's last generation would spell the id that names nothing.
TEST(ConnectionTable, NoIdEverIsTheOneThatNamesNothing) {
  constexpr std::uint32_t last = (1u << cid::index_bits) - 1;
  connection_table t(last + 1);
  ASSERT_EQ(t.take(tuple(1), cid{last, 0xffe}), last);
  t.release(last);
  ASSERT_EQ(t.take(tuple(1), cid{last, 0}), last);
  t.release(last);
  ASSERT_EQ(t.take(tuple(1), cid{last, 0xffe}), last);
  t.release(last);
  for (std::uint32_t n = 0; n < last; ++n) t.take(tuple(n));
  ASSERT_EQ(t.take(tuple(last)), last);
  EXPECT_EQ(t.id(last), (cid{last, 0}));
  EXPECT_TRUE(t.id(last).valid());
}

TEST(ConnectionTable, AGivenIdIsInstalledOnce) {
  connection_table t(1000);
  EXPECT_EQ(t.take(tuple(1), cid{500, 9}), 500u);
  EXPECT_EQ(t.id(500), (cid{500, 9}));
  EXPECT_EQ(t.take(tuple(2), cid{500, 3}), connection_table::none);
  EXPECT_EQ(t.take(tuple(2), cid{1000, 3}), connection_table::none);
  EXPECT_EQ(t.take(tuple(2)), 0u);
  t.release(500);
  EXPECT_EQ(t.take(tuple(3), cid{500, 20}), 500u);
}

TEST(ConnectionTable, AgreesWithAMapUnderChurnAndNewKeys) {
  const std::uint64_t seed = 8;
  rng draws(seed, "table");
  connection_table t(3000);
  std::map<std::uint32_t, std::uint32_t> model;
  for (int step = 0; step < 100'000; ++step) {
    const auto n = static_cast<std::uint32_t>(draws.below(4000));
    const auto m = model.find(n);
    ASSERT_EQ(t.find(tuple(n)), m == model.end() ? connection_table::none : m->second) << "seed " << seed;
    if (m != model.end() && draws.chance(0.6)) {
      t.release(m->second);
      model.erase(m);
    } else if (m == model.end()) {
      const std::uint32_t i = t.take(tuple(n));
      ASSERT_EQ(i == connection_table::none, model.size() == 3000);
      if (i != connection_table::none) model[n] = i;
    }
    if (step % 20'000 == 0) t.set_key({draws.next(), draws.next()});
    ASSERT_EQ(t.size(), model.size());
  }
  EXPECT_GT(model.size(), 1000u);
}

}  // namespace
}  // namespace understudy
