// The kernel's TCP in its several moods, and other people's judgement of the frames.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <string>

#include "tb/test/live/congestion_marker.h"
#include "tb/test/live/live_rig.h"
#include "tb/test/live/offload.h"
#include "tb/test/live/tcp_watch.h"
#include "tb/test/platform/packets.h"

namespace understudy::tb {
namespace {

using frame_lines = std::vector<std::string>;
const frame_lines none;
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
  static bool has_tshark() { return shell("tshark --version").status == 0; }
  // Frames of the outer wire that `filter` selects. After the program's end.
  frame_lines frames(const std::string& filter) const {
    const std::string outside = in_folder("outside.pcapng");
    if (!std::filesystem::exists(outside)) {
      const auto cut = shell("tshark -r " + in_folder("out/capture.pcapng") +
                             " -Y 'frame.interface_name == \"outside\"' -w " + outside);
      EXPECT_EQ(cut.status, 0) << cut.output;
    }
    return frames_of(outside, filter);
  }
  // Those of a capture.
  static frame_lines frames_of(const std::string& file, const std::string& filter) {
    return packets(file, filter, "-o tcp.desegment_tcp_streams:FALSE");
  }
};

// `dumpcap` on the device: what the kernel's own tap sees. It sends whole checksums here, for tshark to
// judge; what it gets may be as large as GRO makes it.
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
    ASSERT_TRUE(switch_offload(device, tx_checksums, false));
    ASSERT_EQ(is_on(device, tso), 0);
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
  frame_lines tapped(const std::string& filter) const { return frames_of(tap_, filter); }
  // Frames with payload in both directions are there, and none is broken.
  void expect_sound_frames() const {
    EXPECT_NE(tapped("tcp.len > 1000 && ip.src == 10.77.0.1"), none);
    EXPECT_NE(tapped("tcp.len > 1000 && ip.src == 10.77.0.2"), none);
    // Joined segments bring half a checksum, for the kernel to complete.
    EXPECT_EQ(tapped("frame.len <= 1514 && (" + std::string(broken) + ")"), none);
    EXPECT_EQ(tapped("_ws.malformed || ip.checksum.status == 0 || tcp.flags.reset == 1"), none);
  }

 private:
  std::string tap_;
  pid_t ear_ = -1;
};

TEST_F(live_kernel, every_congestion_control_at_the_peer_survives_deaths) {
  make_file("big", 6 << 20);
  const std::set<std::string> ours{"bbr", "cubic", "reno"};
  for (const std::string& name : ours) shell("modprobe tcp_" + name);
  std::istringstream known(text_of("/proc/sys/net/ipv4/tcp_available_congestion_control"));
  const std::set<std::string> offered{std::istream_iterator<std::string>(known), {}};
  EXPECT_TRUE(offered.contains("reno")) << "no kernel is without it";
  for (const std::string& name : ours)
    if (!offered.contains(name)) std::printf("the kernel does not offer %s\n", name.c_str());
  std::set<std::string> tried;
  for (const std::string& name : offered) {
    start(slow);
    const auto route = shell("ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl " + name);
    ASSERT_EQ(route.status, 0) << route.output;
    const auto used = shell("bash -c 'exec 3<>/dev/tcp/10.77.0.2/7; ss -Htin dst 10.77.0.2'");
    EXPECT_NE(used.output.find(" " + name + " "), std::string::npos) << used.output;
    both_ways_survive(name);
    EXPECT_EQ(stop(), 0) << said();
    expect_both_carried();
    tried.insert(name);
  }
  EXPECT_EQ(tried, offered);
}

// The adapter hears marks until the kernel says that it has slowed down; so does the one that takes its
// place.
TEST_F(live_kernel, marked_congestion_below_an_upload_is_echoed_and_heeded_through_a_death) {
  constexpr std::size_t bytes = 16 << 20;
  make_file("small", 1 << 20);
  make_file("big", bytes);
  ASSERT_TRUE(set_kernel("tcp_ecn", "1"));
  start({"--set", "adapter.ecn=true", "--set", slow[1]});
  const auto route = shell("ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl reno");
  ASSERT_EQ(route.status, 0) << route.output;
  const auto upload = [this](const std::string& name) {
    return shell("curl -sS -m 60 -o /dev/null -T " + in_folder("www/" + name) + " " + base + "copy").output;
  };
  tcp_watch unmarked(device);
  EXPECT_EQ(upload("small"), "");
  EXPECT_TRUE(unmarked.stop());
  EXPECT_GT(unmarked.kernel.capable, 0u);
  EXPECT_EQ(unmarked.kernel.marked + unmarked.kernel.reducing + unmarked.beyond.echoing, 0u);

  const congestion_marker marker(device, 20);
  if (!marker.trouble().empty())
    GTEST_SKIP() << "this kernel lets nobody mark packets (bpf, Linux 6.6): " << marker.trouble();
  tcp_watch before(device);
  auto running = std::async(std::launch::async, upload, "big");
  while (look_at_socket().crossed() < bytes / 3 && running.wait_for(5ms) != std::future_status::ready) {
  }
  EXPECT_TRUE(before.stop());
  const std::string identity = look_at_socket().identity();
  die();
  tcp_watch after(device);
  EXPECT_EQ(look_at_socket().identity(), identity);
  EXPECT_EQ(running.get(), "");
  EXPECT_TRUE(after.stop());
  EXPECT_TRUE(same("www/big", "www/copy"));
  for (const tcp_watch* heard : {&before, &after}) {
    SCOPED_TRACE(heard == &before ? "before the death" : "after it");
    std::printf("%lu packets, %lu marked, %lu of %lu answers echo it, %lu say that the kernel slowed down\n",
                heard->kernel.segments, heard->kernel.marked, heard->beyond.echoing, heard->beyond.segments,
                heard->kernel.reducing);
    EXPECT_GT(heard->kernel.marked, 0u);
    EXPECT_GT(heard->beyond.echoing, 0u);
    EXPECT_LT(heard->beyond.echoing, heard->beyond.segments) << "the kernel's word ends it";
    EXPECT_GT(heard->kernel.reducing, 0u);
  }
  expect_content_kernel();
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(1, 1, false);
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
  if (result["live"]["put_off_s"] > 0) GTEST_SKIP() << time_was_put_off;
  EXPECT_EQ(time_outs, 0);
  EXPECT_LT(again, 100) << "8 MB/s for four milliseconds are 22";
}

TEST_F(live_kernel, a_peer_in_a_vlan_survives_deaths) {
  make_file("big", 6 << 20);
  spawn({"--tap", device, "--captures", "on", "--set", "live.vlan=10", "--set", slow[1]});
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
  EXPECT_EQ(frames("tcp && !(vlan.id == 10)"), none);
  EXPECT_NE(frames("tcp && vlan.id == 10"), none);
}

// What the device does not do, the kernel does or nobody.
TEST_F(live_kernel, generic_offloads_on_and_off_survive_deaths) {
  make_file("big", 6 << 20);
  for (const bool on : {false, true}) {
    start(slow);
    ASSERT_TRUE(switch_offload(device, tso, false));
    ASSERT_TRUE(switch_offload(device, gso, on));
    ASSERT_TRUE(switch_offload(device, gro, on));
    both_ways_survive(on ? "on" : "off");
    EXPECT_EQ(stop(), 0) << said();
    expect_both_carried();
    EXPECT_EQ(result["live"]["reads"], result["live"]["frames_in"]);
  }
}

TEST_F(live_kernel, sends_large_segments_with_half_a_checksum_if_the_device_takes_them) {
  make_file("a.bin", 4 << 20);
  start();
  for (const bool on : {true, false, true}) {
    ASSERT_TRUE(switch_offload(device, tx_checksums, on));
    EXPECT_EQ(is_on(device, tso), on) << "none without checksums";
    EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null -T " + in_folder("www/a.bin") + " " + base + "copy").output,
              "");
    EXPECT_TRUE(same("www/a.bin", "www/copy"));
  }
  EXPECT_EQ(stop(), 0) << said();
  // A third of the segments came alone, of the others many at once.
  EXPECT_GT(result["live"]["reads"], (4 << 20) / 1460);
  EXPECT_LT(result["live"]["reads"], 2 * (4 << 20) / 1460);
  EXPECT_EQ(result["live"]["refused_in"], 0);
  EXPECT_EQ(result["dropped_frames"]["l4_checksum"], 0);
}

TEST_F(live_kernel, the_peer_keeps_one_socket_through_three_deaths) {
  constexpr std::size_t bytes = 16 << 20;
  make_file("big", bytes);
  hold_back_little();
  start();
  EXPECT_EQ(
      through_deaths("curl -sS -m 60 --limit-rate 8M -o " + in_folder("got") + " " + base + "big", bytes, 3),
      "");
  expect_survived("www/big", "got", 3, false);
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
  EXPECT_GT(counter("TcpExtTCPTimeouts"), 0);
  expect_survived("www/big", "www/copy", 1, true);
}

// A substitute whose clock begins too low is heard by nobody, and is what the counters are there for.
TEST_F(live_kernel, counts_segments_whose_timestamps_are_too_old) {
  make_file("big", 6 << 20);
  start({"--set", slow[1], "--set", "mutants=[\"tsval_regress\"]"});
  EXPECT_EQ(old_timestamps()["TcpExtPAWSEstab"], 0);
  auto got = download("big", "1G -m 3");
  ASSERT_TRUE(under_way(got));
  die();
  EXPECT_NE(got.get().status, 0);
  long all = 0;
  for (const auto& [name, n] : old_timestamps()) {
    std::printf("%s %ld\n", name.c_str(), n);
    all += n;
  }
  EXPECT_GT(all, 0);
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
class live_services : public live_network {};

TEST_F(live_services, socat_gets_its_echo_through_a_death) {
  socat_gets_its_echo();
}

TEST_F(live_services, nc_pumps_the_known_bytes_through_a_death) {
  nc_pumps_the_known_bytes();
}

TEST_F(live_kernel, tshark_finds_nothing_wrong_on_a_sound_wire) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  make_file("a.bin", 2 << 20);
  start({"--captures", "on"});
  EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null " + base + "a.bin").output, "");
  EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null -T " + in_folder("www/a.bin") + " " + base + "copy").output,
            "");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_NE(frames("tcp.len > 1000"), none);
  EXPECT_EQ(frames(broken), none);
  EXPECT_EQ(
      frames("tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.out_of_order || "
             "(tcp.analysis.retransmission && ip.src == 10.77.0.2)"),
      none);
  // On a busy machine the kernel may probe for a tail whose ACK is delayed (RFC 8985 7).
  const frame_lines probes = frames("tcp.analysis.retransmission && ip.src == 10.77.0.1");
  EXPECT_LE(probes.size(), 1u) << ::testing::PrintToString(probes);
}

TEST_F(live_kernel, tshark_finds_no_broken_frame_through_a_death) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  make_file("big", 6 << 20);
  start({"--captures", "on", "--set", slow[1]});
  both_ways_survive("captured");
  const std::string v6 = "curl -g -6 -sS -m 60 -o ", there = "'http://[fd77::2]:8080/";
  EXPECT_EQ(shell(v6 + in_folder("got6") + " " + there + "big'").output, "");
  EXPECT_EQ(shell(v6 + "/dev/null -T " + in_folder("www/big") + " " + there + "copy6'").output, "");
  EXPECT_TRUE(same("got6", "www/big"));
  EXPECT_TRUE(same("www/copy6", "www/big"));
  EXPECT_EQ(stop(), 0) << said();
  expect_both_carried();
  for (const char* from :
       {"ip.src == 10.77.0.1", "ip.src == 10.77.0.2", "ipv6.src == fd77::1", "ipv6.src == fd77::2"})
    EXPECT_GT(frames(std::string("tcp.len > 1000 && ") + from).size(), 1000u) << from;
  EXPECT_EQ(frames(std::string(broken) + " || tcp.analysis.ack_lost_segment || tcp.flags.reset == 1"), none);
}

// What judges the frames of the other cases sees broken ones where there are any.
TEST_F(live_tap_capture, of_a_wire_that_corrupts_frames_shows_broken_ones) {
  start({"--captures", "on", "--set", "wire.impair=corrupt 2%"});
  begin_capture();
  move();
  end_capture();
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GT(result["wire"]["corrupted"], 0);
  EXPECT_NE(tapped("frame.len <= 1514 && (" + std::string(broken) + ")"), none);
  // The outer wire is captured before it corrupts.
  EXPECT_NE(frames_of(in_folder("out/capture.pcapng"),
                      "frame.interface_name == \"adapter_A\" && (" + std::string(broken) + ")"),
            none);
}

TEST_F(live_tap_capture, of_a_sound_wire_shows_nothing_wrong) {
  start();
  begin_capture();
  move();
  end_capture();
  expect_sound_frames();
  EXPECT_EQ(tapped("tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || "
                   "tcp.analysis.out_of_order || (tcp.analysis.retransmission && ip.src == 10.77.0.2)"),
            none);
  EXPECT_LE(tapped("tcp.analysis.retransmission && ip.src == 10.77.0.1").size(), 1u);  // a probe: see above
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
            none);
  const auto gaps = std::ssize(tapped("tcp.analysis.lost_segment && ip.src == 10.77.0.2"));
  EXPECT_EQ(stop(), 0) << said();
  const auto lost = result["wire"]["lost"].get<std::ptrdiff_t>();
  std::printf("%td frames lost, %td gaps on the device\n", lost, gaps);
  EXPECT_GT(gaps, 0);
  EXPECT_LE(gaps, lost);
}

}  // namespace
}  // namespace understudy::tb
