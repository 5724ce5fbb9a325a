// The driver's tables at their limits: connections by handle and by tuple, buffers by name.
#include <gtest/gtest.h>

#include <unordered_set>

#include "host_sw/driver/buffer_pool.h"
#include "host_sw/driver/shadow_table.h"
#include "tb/test/host_sw/fake_machine.h"

namespace understudy::host {
namespace {

constexpr std::uint32_t most = 1u << 20;
constexpr std::uint32_t secret[4] = {1, 2, 3, 4};

tuple_key key(std::uint32_t n) {
  tuple_key k;
  k.peer_ip[15] = 1;
  k.local_port = static_cast<std::uint16_t>(n >> 16);
  k.peer_port = static_cast<std::uint16_t>(n);
  return k;
}

TEST(shadow_table, holds_as_many_connections_as_an_adapter_and_not_one_more) {
  shadow_table t(secret);
  std::vector<conn> handles;
  for (std::uint32_t n = 0; n < most; ++n) {
    const connection* c = t.create(key(n));
    ASSERT_NE(c, nullptr) << n;
    ASSERT_NE(c->handle, no_conn);
    handles.push_back(c->handle);
  }
  EXPECT_EQ(t.create(key(most)), nullptr);
  EXPECT_EQ(t.size(), most);
  for (std::uint32_t n = 0; n < most; n += 997) {
    ASSERT_EQ(t.find(handles[n]), t.find(key(n))) << n;
    ASSERT_EQ(t.find(handles[n])->key, key(n));
  }
  t.erase(*t.find(handles[most - 1]));
  EXPECT_EQ(t.find(key(most - 1)), nullptr);
  EXPECT_EQ(t.find(handles[most - 1]), nullptr);
  const connection* again = t.create(key(most));
  ASSERT_NE(again, nullptr);
  EXPECT_NE(again->handle, handles[most - 1]);
}

TEST(shadow_table, a_handle_is_not_used_again_before_4095_others_of_its_slot) {
  shadow_table t(secret);
  std::unordered_set<conn> seen;
  for (int i = 0; i < 4095; ++i) {
    connection* c = t.create(key(1));
    EXPECT_NE(c->handle, no_conn);
    EXPECT_TRUE(seen.insert(c->handle).second) << i;
    t.erase(*c);
  }
  EXPECT_EQ(t.find(*seen.begin()), nullptr);
  EXPECT_FALSE(seen.insert(t.create(key(1))->handle).second);
}

TEST(shadow_table, a_tuple_is_free_once_no_adapter_knows_its_connection) {
  shadow_table t(secret);
  connection* first = t.create(key(1));
  const conn handle = first->handle;
  t.bind(*first, cid{7, 1});
  EXPECT_EQ(t.find(cid{7, 1}), first);
  t.unbind(*first);
  EXPECT_EQ(t.find(key(1)), nullptr);
  EXPECT_FALSE(t.index_in_use(7));
  connection* second = t.create(key(1));
  EXPECT_EQ(t.find(handle), first) << "its user still holds it";
  t.erase(*first);
  EXPECT_EQ(t.find(key(1)), second) << "the tuple is the second's";
}

TEST(buffer_pool, has_a_buffer_for_every_connection_of_a_full_adapter_and_more) {
  tb::fake_machine machine(1);
  buffer_pool pool;
  ASSERT_TRUE(pool.add_group(machine, 64, 0));
  std::unordered_set<std::uint32_t> names;
  for (std::uint32_t n = 0; n < most + 4096; ++n) {
    const buf_id id = pool.take(0, buffer_holder::connection, 0);
    ASSERT_TRUE(id.valid()) << n;
    ASSERT_TRUE(names.insert(id.raw).second) << n;
  }
  const buf_id last{*names.begin()};
  pool.give_back(last);
  EXPECT_EQ(pool.find(last), nullptr);
  const buf_id again = pool.take(0, buffer_holder::connection, 0);
  EXPECT_NE(again, last) << "another generation";
  EXPECT_NE(pool.find(again), nullptr);
}

}  // namespace
}  // namespace understudy::host
