// The presets named after published engines stop where those stop: with as many connections as the engine has
// room for, the next SYN is dropped without an answer, the next connect() is refused, and both are counted.
#include <ostream>

#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

struct preset {
  const char* name;
  std::uint32_t connections;
  friend void PrintTo(const preset& p, std::ostream* to) { *to << p.name; }
};

class preset_limit : public ::testing::TestWithParam<preset> {};

TEST_P(preset_limit, drops_the_next_syn_and_refuses_the_next_connect) {
  constexpr std::uint16_t beside = 8080, port_of_one_more = 9000;
  const std::string name = GetParam().name;
  const std::uint32_t limit = GetParam().connections;
  std::vector<std::string> settings{"peer=responder",
                                    "adapter.preset=" + name,
                                    "workload.side=client",
                                    "workload.connections=" + std::to_string(limit),
                                    R"(workload.bytes="0 B")",
                                    "monitors=off",
                                    R"(memory.buffer_bytes="2 KiB")",
                                    R"(run.deadline="600 s")"};
  if (name != "eth_toe") settings.push_back(R"(memory.receive_buffer="2 KiB")");  // its own is a limit
  inside i("", settings);
  ASSERT_EQ(i.s.adapter.tcp.max_connections, limit);
  platform& p = i.sim.parts();
  const tcp_engine& engine = p.main.slots[0].device->engine();
  inside::bystander server, client;
  i.sim.on_started([&] { inside::serve(i.main(), beside, server); });
  bool full = false;
  i.sim.on_rest([&](std::uint32_t phase) {
    if (phase != 0) return;
    full = engine.connections() == limit;
    EXPECT_EQ(engine.counters().refused_syns, 0u);
    EXPECT_EQ(p.responder->count().opened, limit);
    p.responder->connect(host_ip, beside, port_of_one_more);
    inside::connect(p.main, responder_ip, 20000, port_of_one_more, client);
  });
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  EXPECT_TRUE(full);
  EXPECT_EQ(r.connections.completed, limit);

  EXPECT_EQ(r.announce.refused_syns, 1u);
  EXPECT_EQ(server.on, nullptr);
  EXPECT_EQ(p.responder->count().opened, limit) << "the SYN got no answer";
  EXPECT_EQ(p.responder->count().rst_received, 0u) << "not even a reset";

  EXPECT_EQ(client.error, "no room in the adapter");
  EXPECT_EQ(p.main.driver->counters().refused, 1u);
}

INSTANTIATE_TEST_SUITE_P(of, preset_limit,
                         ::testing::Values(preset{"tonic", 1024}, preset{"eth_toe", 10'000},
                                           preset{"flextoe", 16'384}, preset{"f4t", 65'536}),
                         [](const auto& i) { return std::string(i.param.name); });

// The largest window that each side offers, and the most bytes that each has in flight.
struct window_watch : event_observer {
  struct side {
    std::uint32_t window = 0, in_flight = 0;
    std::uint8_t scale = 0;
    seq32 sent, acknowledged;
  };
  side host, peer;
  void on_event(const event& e) override {
    if (e.kind != event_kind::frame_out || (e.unit != 0 && e.unit != twin_unit)) return;
    const auto s = read_segment(e.data, e.length);
    if (!s) return;
    side& from = e.unit == 0 ? host : peer;
    side& to = e.unit == 0 ? peer : host;
    if (s->syn) {
      from.scale = s->has_wscale ? s->wscale : 0;
      from.sent = from.acknowledged = s->end();
      return;
    }
    from.window = std::max(from.window, std::uint32_t{s->window} << from.scale);
    if (s->end().after(from.sent)) from.sent = s->end();
    to.acknowledged = s->ack;
    from.in_flight = std::max(from.in_flight, from.sent.minus(from.acknowledged));
  }
};

// The far end is of the same make; the wire is so long that a window, not the round trip, is the limit.
TEST(preset_window, of_eth_toe_is_64_kib_in_each_direction) {
  inside i("", {"peer=twin", "adapter.preset=eth_toe", "workload.connections=1", R"(workload.bytes="1 MiB")",
                R"(wire.delay="1 ms")", R"(run.deadline="60 s")"});
  window_watch seen;
  i.sim.log().subscribe(&seen);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  for (const window_watch::side* s : {&seen.host, &seen.peer}) {
    EXPECT_EQ(s->window, 64u * 1024);
    EXPECT_LE(s->in_flight, 64u * 1024);
    EXPECT_GT(s->in_flight, 63u * 1024);
  }
}

// What an application may hand over before anything is acknowledged.
TEST(preset_window, of_eth_toe_keeps_64_kib_to_be_sent) {
  struct writer : inside::bystander {
    std::size_t taken = 0;
    void on_open() override {
      const std::vector<std::uint8_t> much(200'000);
      taken = on->write(much);
    }
  };
  inside i("", {"peer=twin", "adapter.preset=eth_toe", "workload.connections=1", R"(workload.bytes="1 KiB")",
                R"(run.deadline="2 s")"});
  inside::bystander server;
  writer client;
  agenda later;
  i.sim.on_started([&] {
    inside::serve(*i.sim.parts().twin, 8080, server);
    later.in(1_ms, [&] { inside::connect(i.main(), twin_ip, 8080, 9000, client); });
  });
  i.sim.run();
  EXPECT_EQ(client.taken, 64u * 1024);
}

}  // namespace
}  // namespace understudy::tb
