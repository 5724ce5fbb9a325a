// The verdict that nothing is left fires, whoever keeps a connection: the host under test, lwIP, the twin.
// The connections of the workload end as they should in each of these runs; one beside them stays.
#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t beside = 8080;
constexpr ip_address nobody = ip_address::v4(10, 0, 0, 77);

std::vector<std::string> two_connections(const char* peer) {
  return {std::string("peer=") + peer, "workload.connections=2", R"(workload.bytes="4 KiB")",
          R"(run.deadline="2 s")"};
}

using reasons = std::vector<std::string>;

TEST(nothing_left, holds_when_all_connections_have_ended) {
  inside i("hello.toml", two_connections("lwip"));
  EXPECT_EQ(i.sim.run().reasons, reasons{});
}

TEST(nothing_left, names_adapter_driver_and_lwip_if_they_keep_a_connection) {
  inside i("hello.toml", two_connections("lwip"));
  inside::bystander ours, theirs;
  agenda later;
  i.sim.on_started([&] {
    inside::serve(i.main(), beside, ours);
    later.in(1_ms, [&] { i.sim.parts().lwip->connect(host_ip, beside, 9000, theirs); });
  });
  const run_result r = i.sim.run();
  EXPECT_TRUE(ours.on && theirs.open);
  EXPECT_EQ(r.connections.completed, 2u);
  EXPECT_EQ(r.reasons, (reasons{"an adapter still holds 1 connection", "the driver still holds 1 connection",
                                "lwIP still holds 1 connection"}));
}

TEST(nothing_left, names_lwip_alone_if_it_alone_keeps_one) {
  inside i("hello.toml", two_connections("lwip"));
  inside::bystander theirs;
  i.sim.on_started([&] { i.sim.parts().lwip->connect(nobody, beside, 9000, theirs); });
  const run_result r = i.sim.run();
  EXPECT_EQ(r.connections.completed, 2u);
  EXPECT_EQ(r.reasons, reasons{"lwIP still holds 1 connection"});
}

TEST(nothing_left, names_both_ends_if_the_twin_keeps_a_connection_to_the_host) {
  inside i("hello.toml", two_connections("twin"));
  inside::bystander ours, theirs;
  agenda later;
  i.sim.on_started([&] {
    inside::serve(i.main(), beside, ours);
    later.in(1_ms, [&] { inside::connect(*i.sim.parts().twin, host_ip, beside, 9000, theirs); });
  });
  const run_result r = i.sim.run();
  EXPECT_TRUE(ours.on && theirs.open);
  EXPECT_EQ(r.connections.completed, 2u);
  EXPECT_EQ(r.reasons,
            (reasons{"an adapter still holds 1 connection", "the driver still holds 1 connection",
                     "the twin still holds 1 connection", "the twin's driver still holds 1 connection"}));
}

TEST(nothing_left, names_the_twin_alone_if_it_alone_keeps_one) {
  inside i("hello.toml", two_connections("twin"));
  inside::bystander theirs;
  i.sim.on_started([&] { inside::connect(*i.sim.parts().twin, nobody, beside, 9000, theirs); });
  const run_result r = i.sim.run();
  EXPECT_EQ(r.connections.completed, 2u);
  EXPECT_EQ(r.reasons, reasons{"the twin still holds 1 connection"});
}

}  // namespace
}  // namespace understudy::tb
