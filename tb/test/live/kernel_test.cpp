// The kernel's TCP in its several moods, and other people's judgement of the frames.
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";
// A checksum of 0xffff is right where 0 is (RFC 1624 3): the kernel sends it, tshark objects.
constexpr const char* broken =
    "(tcp.checksum.status == 0 && tcp.checksum != 0xffff) || ip.checksum.status == 0 || _ws.malformed";

class live_kernel : public live_network {
 protected:
  // Down and up, with a death in each.
  void both_ways_survive(const std::string& how) {
    SCOPED_TRACE(how);
    const std::string kill = "sleep 0.3; kill -USR1 " + std::to_string(program) + "; wait";
    const auto down =
        shell("curl -sS -m 60 --limit-rate 12M -o " + in_folder("got") + " " + base + "big & " + kill);
    EXPECT_EQ(down.output, "");
    EXPECT_TRUE(same("got", "www/big"));
    const auto up = shell("curl -sS -m 60 --limit-rate 12M -o /dev/null -T " + in_folder("www/big") + " " +
                          base + "copy & " + kill);
    EXPECT_EQ(up.output, "");
    EXPECT_TRUE(same("www/big", "www/copy"));
    EXPECT_EQ(counter("TcpEstabResets"), 0);
  }
  // Switch a generic offload of the device; false: the kernel refuses.
  static bool set_offload(std::uint32_t command, bool on) {
    ethtool_value v = {command, on};
    ifreq r = {};
    std::strcpy(r.ifr_name, device);
    r.ifr_data = reinterpret_cast<char*>(&v);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool done = ioctl(fd, SIOCETHTOOL, &r) == 0;
    ::close(fd);
    return done;
  }
  static bool has_tshark() { return shell("tshark --version").status == 0; }
  // Frames of the outer wire that `filter` selects, one a line.
  std::string frames(const std::string& filter) {
    const std::string outside = in_folder("outside.pcapng");
    shell("tshark -r " + in_folder("out/capture.pcapng") + " -Y 'frame.interface_name == \"outside\"' -w " +
          outside);
    return shell("(tshark -r " + outside +
                 " -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -o tcp.desegment_tcp_streams:FALSE "
                 "-Y '" +
                 filter + "' 2>/dev/null)")
        .output;
  }
};

TEST_F(live_kernel, every_congestion_control_at_the_peer_survives_deaths) {
  make_file("big", 6 << 20);
  unsigned tried = 0;
  std::istringstream known(text_of("/proc/sys/net/ipv4/tcp_available_congestion_control"));
  for (std::string name; known >> name; ++tried) {
    start();
    const auto route = shell("ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl " + name);
    ASSERT_EQ(route.status, 0) << route.output;
    const auto used = shell("bash -c 'exec 3<>/dev/tcp/10.77.0.2/7; ss -Htin dst 10.77.0.2'");
    EXPECT_NE(used.output.find(" " + name + " "), std::string::npos) << used.output;
    both_ways_survive(name);
    EXPECT_EQ(stop(), 0) << said();
    EXPECT_EQ(result["connections"]["reset"], 0);
  }
  EXPECT_GE(tried, 1u);
}

TEST_F(live_kernel, a_peer_in_a_vlan_survives_deaths) {
  make_file("big", 6 << 20);
  spawn({"--tap", device, "--set", "live.vlan=10"});
  ASSERT_TRUE(says("ready")) << said();
  const auto up = shell(
      "ip link add link us0 name us0.10 type vlan id 10 && ip addr add 10.77.0.1/24 dev us0.10 && "
      "ip addr add fd77::1/64 dev us0.10 nodad && ip link set us0 up && ip link set us0.10 up");
  if (up.status != 0) GTEST_SKIP() << "this kernel has no VLANs: " << up.output;
  both_ways_survive("VLAN 10");
  const auto v6 = shell("curl -sS -m 20 -o " + in_folder("got6") + " 'http://[fd77::2]:8080/big'");
  EXPECT_EQ(v6.output, "");
  EXPECT_TRUE(same("got6", "www/big"));
  EXPECT_EQ(stop(), 0) << said();
  if (!has_tshark()) return;
  EXPECT_EQ(frames("tcp && !(vlan.id == 10)"), "");
  EXPECT_NE(frames("tcp && vlan.id == 10"), "");
}

TEST_F(live_kernel, segmentation_and_receive_offloads_on_and_off_survive_deaths) {
  make_file("big", 6 << 20);
  for (const bool on : {false, true}) {
    start();
    if (!set_offload(ETHTOOL_SGSO, on) || !set_offload(ETHTOOL_SGRO, on))
      GTEST_SKIP() << "cannot switch offloads";
    both_ways_survive(on ? "on" : "off");
    EXPECT_EQ(stop(), 0) << said();
  }
}

TEST_F(live_kernel, the_peer_keeps_one_socket_through_deaths) {
  make_file("big", 24 << 20);  // three seconds: long enough for both looks on a busy machine
  start();
  const std::string look =
      "sleep 0.3; ss -Htin dst 10.77.0.2 | grep -v '^[[:space:]]' | tr -s ' ' | cut -d' ' -f1,4,5; ";
  const auto r = shell("curl -sS -m 60 --limit-rate 8M -o /dev/null " + base + "big & " + look +
                       "kill -USR1 " + std::to_string(program) + "; " + look + "wait");
  const auto half = r.output.size() / 2;
  EXPECT_GT(half, 20u) << r.output;
  EXPECT_EQ(r.output.substr(0, half), r.output.substr(half)) << r.output;
  EXPECT_EQ(r.output.find("ESTAB"), 0u) << r.output;
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_kernel, tshark_finds_nothing_wrong_on_a_sound_wire) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  make_file("a.bin", 2 << 20);
  start({"--captures", "on"});
  EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null " + base + "a.bin").output, "");
  EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null -T " + in_folder("www/a.bin") + " " + base + "copy").output,
            "");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_NE(frames("tcp.len > 1000"), "");
  EXPECT_EQ(frames(broken), "");
  EXPECT_EQ(
      frames("tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.out_of_order || "
             "(tcp.analysis.retransmission && ip.src == 10.77.0.2)"),
      "");
  // On a busy machine the kernel may probe for a tail whose ACK is delayed (RFC 8985 7).
  const std::string probes = frames("tcp.analysis.retransmission && ip.src == 10.77.0.1");
  EXPECT_LE(std::count(probes.begin(), probes.end(), '\n'), 1) << probes;
}

TEST_F(live_kernel, tshark_finds_no_broken_frame_through_a_death) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  make_file("big", 6 << 20);
  start({"--captures", "on"});
  both_ways_survive("captured");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(frames(std::string(broken) + " || tcp.analysis.ack_lost_segment || tcp.flags.reset == 1"), "");
}

}  // namespace
}  // namespace understudy::tb
