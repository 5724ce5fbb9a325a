// VLANs from end to end: peers on access ports of two VLANs, adapters on trunks.
#include <map>

#include "tb/test/platform/tshark.h"

namespace understudy::tb {
namespace {

const std::vector<std::string> two_vlans = {"topology.peer_vlan=10", "topology.twin_vlan=20"};

std::vector<std::string> with(std::vector<std::string> settings, const std::string& more) {
  settings.push_back(more);
  return settings;
}

TEST(vlan_scenario, connections_of_two_vlans_survive_their_adapter_over_both_ip_versions) {
  for (const std::string family : {"ipv4", "ipv6"}) {
    const program_run r =
        run_program(scenario_file("failover.toml"), with(two_vlans, "workload.family=" + family));
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.result["connections"]["completed"], 64);
    EXPECT_EQ(r.result["failovers"].size(), 1u);
    EXPECT_GT(r.monitor("I-RX-1")["checked"], 0) << "monitors read behind the tags";
  }
}

TEST(vlan_scenario, every_frame_of_an_adapter_carries_its_peers_tag_and_no_peer_sees_one) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run r = run_program(scenario_file("failover.toml"), two_vlans, "");
  ASSERT_EQ(r.status, 0) << r.reasons();
  std::map<std::string, unsigned> frames;
  for (const std::string& line :
       packets(r.out / "capture.pcapng", "frame", "-T fields -e frame.interface_name -e vlan.id"))
    ++frames[line];
  for (const char* adapter : {"adapter_A", "adapter_B"}) {
    EXPECT_GT(frames[std::string(adapter) + "\t10"], 100u);
    EXPECT_GT(frames[std::string(adapter) + "\t20"], 10u);
    EXPECT_EQ(frames[std::string(adapter) + "\t"], 0u);
  }
  EXPECT_GT(frames["lwip\t"], 100u);
  EXPECT_GT(frames["twin\t"], 10u);
  EXPECT_EQ(frames["lwip\t10"] + frames["twin\t20"], 0u);
}

TEST(vlan_scenario, a_buffer_group_serves_the_connections_of_its_vlan) {
  for (const unsigned matched : {20u, 30u}) {
    const program_run r = run_program(
        scenario_file("failover.toml"),
        with(two_vlans, "memory.group=[{match=\"vlan " + std::to_string(matched) + "\", buffers=20}]"));
    EXPECT_EQ(r.status, 0) << r.reasons();
    const auto& group = r.result["memory"]["groups"][1];
    EXPECT_EQ(group["match"], "vlan " + std::to_string(matched));
    if (matched == 20) {
      EXPECT_GT(group["exhausted"], 0) << "eight connections want more than twenty buffers";
    } else {
      EXPECT_EQ(group["exhausted"], 0) << "the control: nobody is in VLAN 30";
    }
  }
}

TEST(vlan_scenario, a_vlan_beyond_the_range_is_refused_in_one_line) {
  for (const char* key : {"topology.peer_vlan", "topology.twin_vlan", "live.vlan"})
    for (const char* value : {"4095", "-1"}) {
      const auto errors = test_folder() / "errors.txt";
      std::filesystem::create_directories(test_folder());
      const program_run r =
          run_program(scenario_file("hello.toml"), {std::string(key) + "=" + value}, "", errors);
      EXPECT_EQ(r.status, 2);
      EXPECT_EQ(lines_of(errors).size(), 1u);
      EXPECT_FALSE(std::filesystem::exists(r.out / "result.json"));
    }
}

}  // namespace
}  // namespace understudy::tb
