// CE-3, connection by connection: whatever the wire loses of a handshake, the host's connect() ends in time,
// by a connection or by ETIMEDOUT; no two live connections share a cid; nothing is left.
#include <map>
#include <memory>

#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

// Connections that the driver knows, by what names them.
struct roll_call : host::driver_observer {
  std::map<std::uint32_t, std::uint32_t> live;  // by the place in the adapter's table: cid
  std::uint64_t begun = 0, twice = 0, strangers = 0;
  void on_connection(const host::connection_facts& f) override {
    ++begun;
    twice += !live.emplace(f.id.index(), f.id.raw).second;
  }
  void on_connection_end(cid c, int) override { strangers += live.erase(c.index()) == 0; }
};

TEST(handshake_loss, CE_3_no_two_live_connections_share_a_cid) {
  inside i("interop.toml", {"workload.connections=256", R"(workload.bytes="1 KiB")", "workload.rounds=2",
                            R"(wire.impair="loss 20%")"});
  roll_call roll;
  i.main().driver->add_observer(&roll);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  EXPECT_GT(r.wire.lost, 256u);
  EXPECT_GE(roll.begun, 512u);
  EXPECT_EQ(roll.twice, 0u);
  EXPECT_EQ(roll.strangers, 0u);
  EXPECT_TRUE(roll.live.empty());
}

// SYNs leave after 0, 1 and 3 seconds; 4 seconds behind the last one the handshake is given up.
TEST(handshake_loss, CE_3_every_connect_ends_established_or_timed_out_within_the_backoff_schedule) {
  constexpr std::uint16_t tries = 200, ports = 30000;
  constexpr picos schedule = 7_s, tick = 100_us;
  inside i("hello.toml",
           {"workload.connections=1", R"(workload.bytes="1 KiB")", R"(wire.impair="loss 50%")",
            "adapter.syn_retries=2", R"(run.deadline="12 s")", R"(workload.peer_keepalive="30 s")",
            "adapter.keepalive=true", R"(adapter.keepalive_idle="30 s")"});
  std::vector<inside::bystander> ours(tries), theirs(tries);
  agenda later;
  picos begun = 0;
  i.sim.on_started([&] {
    for (std::uint16_t n = 0; n < tries; ++n)
      i.sim.parts().lwip->listen(static_cast<std::uint16_t>(ports + n), [&, n](stream& s) {
        theirs[n].on = &s;
        return &theirs[n];
      });
    // A quiet second, in which the neighbours find each other.
    later.in(1_s, [&] {
      begun = now_ps();
      for (std::uint16_t n = 0; n < tries; ++n)
        inside::connect(i.main(), lwip_ip, static_cast<std::uint16_t>(ports + n),
                        static_cast<std::uint16_t>(ports + n), ours[n]);
    });
  });
  i.sim.run();  // the deadline finds them as they are: nobody closes them
  unsigned established = 0, timed_out = 0;
  for (const inside::bystander& b : ours) {
    established += b.open;
    if (b.open) {
      EXPECT_LE(b.opened_at, begun + schedule + 1_ms);
      continue;
    }
    timed_out += b.error == "timed out";
    EXPECT_EQ(b.error, "timed out") << "the text for ETIMEDOUT";
    EXPECT_GE(b.ended_at, begun + schedule);
    EXPECT_LE(b.ended_at, begun + schedule + 3 * tick + 1_ms);
  }
  EXPECT_EQ(established + timed_out, tries);
  EXPECT_GT(established, tries / 4);
  EXPECT_GT(timed_out, tries / 10);
}

}  // namespace
}  // namespace understudy::tb
