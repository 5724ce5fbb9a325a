// tshark judges what the adapter sends: an independent reader of the capture that a run leaves.
#include "tb/test/platform/tshark.h"

namespace understudy::tb {
namespace {

constexpr const char* broken =
    "ip.checksum.status == 0 || tcp.checksum.status == 0 || icmp.checksum.status == 0 || _ws.malformed || "
    "ip.bogus_header_length "
    "|| tcp.bogus_header_length || _ws.expert.severity == error";

class wire_judge : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  }
};

TEST_F(wire_judge, finds_no_broken_frame_on_any_link_of_a_failover) {
  const program_run r = run_program(scenario_file("failover.toml"), {}, "--captures on");
  ASSERT_EQ(r.status, 0) << r.reasons();
  for (const char* name : {"adapter_A", "adapter_B", "twin", "lwip"}) {
    SCOPED_TRACE(name);
    const auto file = frames_of_link(r, name);
    EXPECT_GT(packets(file, "tcp").size(), 100u);
    EXPECT_EQ(packets(file, broken), std::vector<std::string>{});
  }
}

TEST_F(wire_judge, explains_every_oddity_of_a_run_without_loss_or_fault) {
  for (const char* side : {"server", "client"}) {
    SCOPED_TRACE(side);
    const program_run r = run_program(scenario_file("failover.toml"),
                                      {"fault=[]", std::string("workload.side=") + side}, "--captures on");
    ASSERT_EQ(r.status, 0) << r.reasons();
    const auto file = frames_of_link(r, "adapter_A");
    EXPECT_GT(packets(file, "tcp.len > 0").size(), 1000u);
    EXPECT_EQ(
        packets(file,
                std::string(broken) +
                    " || tcp.analysis.retransmission || tcp.analysis.lost_segment || "
                    "tcp.analysis.ack_lost_segment || "
                    "tcp.analysis.out_of_order || tcp.analysis.duplicate_ack || tcp.analysis.zero_window || "
                    "tcp.flags.reset == 1"),
        std::vector<std::string>{});
  }
}

// The judge can see: the wire flips a bit of some frames, and tshark says so.
TEST_F(wire_judge, sees_frames_that_the_wire_has_broken) {
  const program_run r = run_program(scenario_file("hello.toml"), {"wire.impair=corrupt 5%"}, "--captures on");
  ASSERT_EQ(r.status, 0) << r.reasons();
  EXPECT_GT(packets(r.out / "capture.pcapng", "ip.checksum.status == 0 || tcp.checksum.status == 0").size(),
            0u);
}

}  // namespace
}  // namespace understudy::tb
