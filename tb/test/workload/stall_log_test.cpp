#include "tb/workload/stall_log.h"

#include <gtest/gtest.h>

#include "tb/test/workload/fake_wire.h"

namespace understudy::tb::test {
namespace {

TEST(stall_log, measures_from_the_last_byte_before_to_the_first_after) {
  const flow f = make_bulk_flow(10, 10, 10, make_pattern(1), 0);
  fake_clock clock;
  const replay_end a(f, flow_role::client, 0, clock, {}, nullptr);
  const replay_end b(f, flow_role::client, 1, clock, {}, nullptr);
  constexpr auto up = flow_direction::client_to_server;
  constexpr auto down = flow_direction::server_to_client;
  stall_log log(3);
  log.on_delivered(b, up, 1, 5_us);
  log.on_delivered(a, up, 1, 10_us);
  log.on_delivered(a, down, 1, 20_us);
  log.on_delivered(a, up, 1, 30_us);
  log.mark();
  log.on_delivered(b, down, 1, 40_us);  // nothing came before the mark: no stall
  log.on_delivered(a, up, 1, 100_us);
  log.on_delivered(a, up, 1, 101_us);
  log.mark();
  log.on_delivered(a, down, 1, 200_us);
  log.on_delivered(b, up, 1, 300_us);

  ASSERT_EQ(log.marks(), 2u);
  EXPECT_EQ(log.stalls(0), (std::vector<picos>{70_us, 180_us, 295_us}));
  EXPECT_EQ(log.stalls(1), (std::vector<picos>{180_us, 295_us}));
}

}  // namespace
}  // namespace understudy::tb::test
