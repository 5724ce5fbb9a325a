// The adapter dies inside a call that it makes itself: at every one of its events.
#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

// Kills at event `k`, as the platform does.
struct killer : event_observer {
  adapter_rig* rig = nullptr;
  std::uint64_t at = 0;
  void on_event(const event& e) override {
    if (e.number != at) return;
    rig->dev.kill();
    rig->port.power_off_device();
    rig->link.set_up(eth_link::side_a, false);
  }
};

class kill_in : public ::testing::TestWithParam<int> {};

// Bring-up, handshake, transfer: a few hundred events. Each test kills behind one of them.
TEST_P(kill_in, an_event_ends_the_adapter_there) {
  adapter_rig g;
  killer k;
  k.rig = &g;
  g.log.subscribe(&k);
  g.bring_up();
  g.post_address();
  g.post_listen(80);
  for (int i = 0; i < 4; ++i) g.post_pool();
  g.ring(50_us);
  g.introduce_peer();
  const std::uint64_t begin = g.log.count();
  k.at = begin + static_cast<std::uint64_t>(GetParam());
  seq32 iss;
  if (g.establish(80, 5000, seq32{1000}, &iss)) {
    seq32 at{1001};
    for (int i = 0; i < 4; ++i, at += 1460)
      g.wire.send(g.segment_from_peer(80, 5000, at, iss + 1, tcp_ack, 1460));
    g.wire.send(g.segment_from_peer(80, 5000, at, iss + 1, tcp_ack | tcp_fin));
    for (int i = 0; i < 5; ++i) g.port.mmio_write(US_REG_ODT_HEAD, g.head);
    g.run(200_us);
  }
  g.run(5_s);
  ASSERT_GE(g.log.count(), k.at) << "there is no such event";
  ASSERT_TRUE(g.dev.dead());
  // Nothing of the adapter's own doing is behind the kill: no frame, no request on the bus, no step, no
  // timer. What the bus had carried lands.
  for (const event& e : g.events.all) {
    if (e.number <= k.at) continue;
    EXPECT_TRUE(e.kind == event_kind::write_visible || e.kind == event_kind::interrupt ||
                e.kind == event_kind::mmio_read)
        << "event " << e.number << " of kind " << static_cast<int>(e.kind) << " behind the kill at " << k.at;
  }
  g.expect_no_report();
}
INSTANTIATE_TEST_SUITE_P(every, kill_in, ::testing::Range(1, 90, 2));

}  // namespace
}  // namespace understudy::tb
