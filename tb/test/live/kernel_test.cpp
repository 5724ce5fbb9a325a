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
  // A wire that holds back the kernel: bytes of an upload are under way throughout.
  const std::vector<std::string> slow{"--set", "wire.rate=\"64 Mb/s\""};

  // Down and up, with a death in each while bytes are under way.
  void both_ways_survive(const std::string& how) {
    SCOPED_TRACE(how);
    hold_back_little();
    const std::size_t bytes = std::filesystem::file_size(folder / "www/big");
    EXPECT_EQ(through_deaths("curl -sS -m 60 --limit-rate 6M -o " + in_folder("got") + " " + base + "big",
                             bytes, 1),
              "");
    EXPECT_TRUE(same("got", "www/big"));
    EXPECT_EQ(through_deaths("curl -sS -m 60 -o /dev/null -T " + in_folder("www/big") + " " + base + "copy",
                             bytes, 1),
              "");
    EXPECT_TRUE(same("www/big", "www/copy"));
    expect_content_kernel();
  }
  // After both_ways_survive() and stop().
  void expect_both_carried() {
    expect_carried(2, 1, false);
    EXPECT_GT(result["failovers"].back()["stall_ps"]["max"], 0) << "of the upload";
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
    return frames_of(outside, filter);
  }
  // Those of a capture.
  static std::string frames_of(const std::string& file, const std::string& filter) {
    return shell("(tshark -r " + file +
                 " -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE -o tcp.desegment_tcp_streams:FALSE "
                 "-Y '" +
                 filter + "' 2>/dev/null)")
        .output;
  }
  static std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
};

// `dumpcap` on the device: what the kernel's own tap sees. Frames may be as large as GRO makes them.
class live_tap_capture : public live_kernel {
 protected:
  void SetUp() override {
    live_kernel::SetUp();
    if (!IsSkipped() && shell("tshark --version && dumpcap --version").status != 0)
      GTEST_SKIP() << "needs tshark and dumpcap";
  }
  void TearDown() override {
    if (ear_ > 0) end_capture();
    live_kernel::TearDown();
  }
  void begin_capture() {
    tap_ = in_folder("tap.pcapng");
    ear_ = fork();
    if (ear_ == 0) {
      dup2(::open((folder / "dumpcap").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
      execlp("dumpcap", "dumpcap", "-i", device, "-B", "64", "-w", tap_.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 1000 && text_of(folder / "dumpcap").find("File:") == std::string::npos; ++i)
      std::this_thread::sleep_for(10ms);
    ASSERT_NE(text_of(folder / "dumpcap").find("File:"), std::string::npos) << text_of(folder / "dumpcap");
  }
  // No frame was missed.
  void end_capture() {
    std::this_thread::sleep_for(500ms);  // dumpcap looks at its ring now and then
    ::kill(ear_, SIGINT);
    waitpid(ear_, nullptr, 0);
    ear_ = -1;
    EXPECT_NE(text_of(folder / "dumpcap").find("/0 ("), std::string::npos) << text_of(folder / "dumpcap");
  }
  // A file down and up.
  void move() {
    make_file("a.bin", 1 << 20);
    EXPECT_EQ(shell("curl -sS -m 60 -o " + in_folder("got") + " " + base + "a.bin").output, "");
    EXPECT_EQ(shell("curl -sS -m 60 -o /dev/null -T " + in_folder("www/a.bin") + " " + base + "copy").output,
              "");
    EXPECT_TRUE(same("got", "www/a.bin"));
    EXPECT_TRUE(same("www/copy", "www/a.bin"));
  }
  std::string tapped(const std::string& filter) const { return frames_of(tap_, filter); }
  // Frames with payload in both directions are there, and none is broken.
  void expect_sound_frames() const {
    EXPECT_NE(tapped("tcp.len > 1000 && ip.src == 10.77.0.1"), "");
    EXPECT_NE(tapped("tcp.len > 1000 && ip.src == 10.77.0.2"), "");
    // Joined segments bring half a checksum, for the kernel to complete.
    EXPECT_EQ(tapped("frame.len <= 1514 && (" + std::string(broken) + ")"), "");
    EXPECT_EQ(tapped("_ws.malformed || ip.checksum.status == 0 || tcp.flags.reset == 1"), "");
  }

 private:
  std::string tap_;
  pid_t ear_ = -1;
};

TEST_F(live_kernel, every_congestion_control_at_the_peer_survives_deaths) {
  make_file("big", 6 << 20);
  unsigned tried = 0;
  std::istringstream known(text_of("/proc/sys/net/ipv4/tcp_available_congestion_control"));
  for (std::string name; known >> name; ++tried) {
    start(slow);
    const auto route = shell("ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl " + name);
    ASSERT_EQ(route.status, 0) << route.output;
    const auto used = shell("bash -c 'exec 3<>/dev/tcp/10.77.0.2/7; ss -Htin dst 10.77.0.2'");
    EXPECT_NE(used.output.find(" " + name + " "), std::string::npos) << used.output;
    both_ways_survive(name);
    EXPECT_EQ(stop(), 0) << said();
    expect_both_carried();
  }
  EXPECT_GE(tried, 1u);
}

// A whole window queues before the wire, for an eighth of a second, and so does the answer to what a
// substitute asks of its neighbours. It acknowledges what it hears meanwhile, and what it holds behind the
// gap need not come again.
TEST_F(live_kernel, sends_again_only_what_was_lost_when_a_deep_queue_outlasts_a_death) {
  make_file("big", 6 << 20);
  start(slow);
  ASSERT_EQ(shell("ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl reno").status, 0);
  EXPECT_EQ(through_deaths("curl -sS -m 60 -o /dev/null -T " + in_folder("www/big") + " " + base + "copy",
                           6 << 20, 1),
            "");
  EXPECT_TRUE(same("www/big", "www/copy"));
  const long again = counter("TcpRetransSegs"), time_outs = counter("TcpExtTCPTimeouts");
  std::printf("%ld segments again, %ld time-outs\n", again, time_outs);
  EXPECT_EQ(stop(), 0) << said() << result["reasons"];
  expect_carried(1, 1, true);
  if (result["live"]["put_off_s"] > 0) return;
  EXPECT_EQ(time_outs, 0);
  EXPECT_LT(again, 100) << "8 MB/s for four milliseconds are 22";
}

TEST_F(live_kernel, a_peer_in_a_vlan_survives_deaths) {
  make_file("big", 6 << 20);
  spawn({"--tap", device, "--set", "live.vlan=10", "--set", slow[1]});
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
  expect_both_carried();
  if (!has_tshark()) return;
  EXPECT_EQ(frames("tcp && !(vlan.id == 10)"), "");
  EXPECT_NE(frames("tcp && vlan.id == 10"), "");
}

TEST_F(live_kernel, segmentation_and_receive_offloads_on_and_off_survive_deaths) {
  make_file("big", 6 << 20);
  for (const bool on : {false, true}) {
    start(slow);
    if (!set_offload(ETHTOOL_SGSO, on) || !set_offload(ETHTOOL_SGRO, on))
      GTEST_SKIP() << "cannot switch offloads";
    both_ways_survive(on ? "on" : "off");
    EXPECT_EQ(stop(), 0) << said();
    expect_both_carried();
  }
}

TEST_F(live_kernel, the_peer_keeps_one_socket_through_three_deaths) {
  constexpr std::size_t bytes = 16 << 20;
  make_file("big", bytes);
  hold_back_little();
  start();
  EXPECT_EQ(
      through_deaths("curl -sS -m 60 --limit-rate 8M -o " + in_folder("got") + " " + base + "big", bytes, 3),
      "");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(3, 1, false);
  EXPECT_EQ(result["connections"]["opened"], 1);
}

// A death that is noticed late: the kernel's time-out (200 ms and more, RFC 6298) comes first.
TEST_F(live_kernel, times_out_in_a_long_blackout_and_sends_again) {
  constexpr std::size_t bytes = 4 << 20;
  make_file("big", bytes);
  start({"--set", "failover.heartbeat=\"200 ms\"", "--set", "wire.rate=\"40 Mb/s\""});
  EXPECT_EQ(counter("TcpExtTCPTimeouts"), 0);
  EXPECT_EQ(through_deaths("curl -sS -m 60 -o /dev/null -T " + in_folder("www/big") + " " + base + "copy",
                           bytes, 1),
            "");
  EXPECT_TRUE(same("www/big", "www/copy"));
  EXPECT_GT(counter("TcpExtTCPTimeouts"), 0);
  expect_content_kernel();
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(1, 1, true);
}

TEST_F(live_kernel, delays_acknowledgements_and_the_adapter_waits_for_them) {
  start();
  // Quick answers make the kernel wait for something to send with its ACK; each pause lets it wait in vain.
  EXPECT_EQ(
      shell("timeout 20 bash -c 'exec 3<>/dev/tcp/10.77.0.2/7; for i in $(seq 8); do for j in $(seq 8); "
            "do echo hello >&3; read -r x <&3; [ $x = hello ] || echo $x; done; sleep 0.1; done'")
          .output,
      "");
  EXPECT_GT(counter("TcpExtDelayedACKs"), 0);
  EXPECT_EQ(counter("TcpExtDelayedACKLost"), 0) << "bytes came again whose ACK was delayed";
  EXPECT_EQ(counter("TcpExtTCPDSACKOldSent"), 0);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["bytes_received"], 64 * 6);
  EXPECT_EQ(result["live"]["bytes_sent"], 64 * 6);
}

// Other people's programs on the byte services.
class live_services : public live_network {
 protected:
  static constexpr std::size_t bytes = 5 << 20;
  void needs(const std::string& program) {
    if (shell("command -v " + program).status != 0) GTEST_SKIP() << "needs " << program;
  }
};

TEST_F(live_services, socat_gets_its_echo_through_a_death) {
  needs("socat");
  if (IsSkipped()) return;
  make_file("big", bytes);
  start({"--set", "wire.rate=\"60 Mb/s\""});
  EXPECT_EQ(
      through_deaths("socat -t 30 - TCP:10.77.0.2:7 < " + in_folder("www/big") + " > " + in_folder("got"),
                     2 * bytes, 1, 7),
      "");
  EXPECT_EQ(shell("sha256sum < " + in_folder("got")).output,
            shell("sha256sum < " + in_folder("www/big")).output);
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(1, 1, true);
}

TEST_F(live_services, nc_pumps_the_known_bytes_through_a_death) {
  needs("nc");
  if (IsSkipped()) return;
  start({"--set", "wire.rate=\"60 Mb/s\""});
  EXPECT_EQ(
      through_deaths("nc -d 10.77.0.2 5001 | head -c " + std::to_string(bytes) + " > " + in_folder("got"),
                     bytes, 1, 5001),
      "");
  const std::string got = text_of(folder / "got");
  ASSERT_EQ(got.size(), bytes);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < bytes; ++i) wrong += static_cast<unsigned char>(got[i]) != i % 251;
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["failovers"].size(), 1u);
  EXPECT_EQ(result["failovers"][0]["connections"], 1);
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
  start({"--captures", "on", "--set", slow[1]});
  both_ways_survive("captured");
  EXPECT_EQ(stop(), 0) << said();
  expect_both_carried();
  EXPECT_EQ(frames(std::string(broken) + " || tcp.analysis.ack_lost_segment || tcp.flags.reset == 1"), "");
}

TEST_F(live_tap_capture, of_a_sound_wire_shows_nothing_wrong) {
  start();
  begin_capture();
  move();
  end_capture();
  expect_sound_frames();
  EXPECT_EQ(tapped("tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || "
                   "tcp.analysis.out_of_order || (tcp.analysis.retransmission && ip.src == 10.77.0.2)"),
            "");
  EXPECT_LE(lines(tapped("tcp.analysis.retransmission && ip.src == 10.77.0.1")), 1);  // a probe: see above
  EXPECT_EQ(stop(), 0) << said();
}

// The wire that loses lies between the device and the adapter: what the kernel sends is on the device whole,
// what the adapter sends has gaps, no more than frames were lost.
TEST_F(live_tap_capture, of_a_wire_that_loses_frames_shows_what_loss_explains) {
  start({"--set", "wire.impair=loss 1%"});
  begin_capture();
  move();
  end_capture();
  expect_sound_frames();
  EXPECT_EQ(tapped("tcp.analysis.ack_lost_segment || (tcp.analysis.lost_segment && ip.src == 10.77.0.1)"),
            "");
  const auto gaps = lines(tapped("tcp.analysis.lost_segment && ip.src == 10.77.0.2"));
  EXPECT_EQ(stop(), 0) << said();
  const auto lost = result["wire"]["lost"].get<std::ptrdiff_t>();
  std::printf("%td frames lost, %td gaps on the device\n", lost, gaps);
  EXPECT_GT(gaps, 0);
  EXPECT_LE(gaps, lost);
}

}  // namespace
}  // namespace understudy::tb
