// What a network throws at a server that stands in it: floods, scans, broken frames, very many connections.
#include <algorithm>
#include <future>

#include "tb/test/live/broken_frames.h"
#include "tb/test/live/live_rig.h"
#include "tb/test/live/port_scan.h"
#include "tb/test/live/raw_frames.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";
constexpr std::uint32_t peer = 10u << 24 | 77u << 16 | 1;

// What is half-open is given up after a second, what has ended is forgotten at once.
const std::vector<std::string> short_memory{"--set", "adapter.msl=\"5 ms\"", "--set",
                                            "adapter.syn_retries=0"};
const std::uint32_t syns = nightly ? 200'000 : 20'000;

std::vector<std::uint16_t> sorted(std::vector<std::uint16_t> ports) {
  std::ranges::sort(ports);
  return ports;
}

class live_hostile : public live_network {
 protected:
  // It serves one more request.
  void serves() {
    const auto r = shell("curl -sS -m 15 -o " + in_folder("got") + " " + base + "a.bin");
    EXPECT_EQ(r.output, "");
    EXPECT_TRUE(same("got", "www/a.bin"));
    std::filesystem::remove(folder / "got");
  }
  // Start, and get the file `big` at a rate that takes the network some seconds.
  void start_below_a_download() {
    make_file("a.bin", 100'000);
    make_file("big", nightly ? 32 << 20 : 10 << 20);
    hold_back_little();
    start(short_memory);
    download_ = std::async(std::launch::async, [this] {
      return shell("curl -sS -m 120 --limit-rate " + std::string(nightly ? "4M" : "2M") + " -o " +
                   in_folder("big") + " " + base + "big")
          .output;
    });
    for (int i = 0; i < 500 && !std::filesystem::exists(folder / "big"); ++i)
      std::this_thread::sleep_for(10ms);
  }
  bool goes_on() const { return download_.wait_for(0s) == std::future_status::timeout; }
  void download_is_whole() {
    EXPECT_EQ(download_.get(), "");
    EXPECT_TRUE(same("big", "www/big"));
  }
  // SYNs `first` to `last` of a flood: from addresses of the network that nobody has, from far away, and from
  // the peer's own, whose kernel resets what is answered.
  static void flood(std::uint32_t first, std::uint32_t last) {
    raw_socket raw(device);
    ASSERT_TRUE(raw.good());
    for (std::uint32_t i = first; i < last; ++i) {
      const std::uint32_t nobody = peer + 2 + (i + i / 60'000) % 250;
      const std::uint32_t from = i % 8 == 0 ? peer : i % 2 == 0 ? nobody : 192u << 24 | i;
      send(raw, syn_frame(from, static_cast<std::uint16_t>(1024 + i % 60'000), 8080, i * 7919));
    }
  }
  // Some 50,000 a second: what finds the device's queue full is lost without a word.
  static void send(raw_socket& raw, const std::vector<std::uint8_t>& frame) {
    static unsigned sent = 0;
    if (++sent % 256 == 0) std::this_thread::sleep_for(5ms);
    while (!raw.send(frame)) std::this_thread::sleep_for(1ms);
  }
  // The run ends and knows no connection, not even half of one. The driver, which nobody interrupts for
  // halves that end, learns of them with the next whole one.
  void nothing_is_left() {
    std::this_thread::sleep_for(2s);
    serves();
    std::this_thread::sleep_for(300ms);
    lost_by_device_ = lost_by_device();
    EXPECT_EQ(stop(), 0) << said();
    EXPECT_EQ(result["live"]["open_at_end"], 0);
    EXPECT_EQ(result["live"]["driver_connections"], 0);
    EXPECT_EQ(result["live"]["adapter_connections"], 0);
  }
  // After the end: each of so many SYNs was half-open for a while, answered by a cookie or refused; and
  // nothing else was, but for the few connections of the test.
  void every_syn_is_counted(std::uint64_t sent) {
    constexpr std::uint64_t few = 16;
    const auto& a = result["announce"];
    const std::uint64_t counted = a["commit_writes"].get<std::uint64_t>() +
                                  a["cookies_sent"].get<std::uint64_t>() +
                                  a["refused_syns"].get<std::uint64_t>();
    EXPECT_GE(counted, sent - lost_by_device_);
    EXPECT_LE(counted, sent + few);
    EXPECT_LT(lost_by_device_, sent / 2);
  }
  // After the end: frames that the adapters heard and dropped.
  std::uint64_t dropped() const {
    std::uint64_t n = 0;
    for (const char* cause :
         {"length", "header", "ip_checksum", "l4_checksum", "fragment", "unknown", "not_ours"})
      n += result["dropped_frames"][cause].get<std::uint64_t>();
    return n;
  }
  std::uint64_t lost_by_then() const { return lost_by_device_; }

 private:
  std::future<std::string> download_;
  std::uint64_t lost_by_device_ = 0;
};

TEST_F(live_hostile, a_syn_flood_is_counted_and_leaves_it_serving) {
  start_below_a_download();
  flood(0, syns / 2);
  serves();
  flood(syns / 2, syns);
  EXPECT_TRUE(goes_on()) << "the flood outlasted the download";
  serves();
  download_is_whole();
  nothing_is_left();
  every_syn_is_counted(syns);
}

TEST_F(live_hostile, a_death_in_a_syn_flood_takes_no_connection) {
  start_below_a_download();
  flood(0, syns / 2);
  ::kill(program, SIGUSR1);
  flood(syns / 2, syns);
  EXPECT_TRUE(says("B serves")) << said();
  EXPECT_TRUE(goes_on()) << "the flood outlasted the download";
  serves();
  download_is_whole();
  nothing_is_left();
  ASSERT_EQ(result["failovers"].size(), 1u);
  EXPECT_GT(result["failovers"][0]["connections"], 1) << "half-open ones, too";
  EXPECT_EQ(result["connections"]["reset"], 0);
}

TEST_F(live_hostile, a_scan_of_every_port_finds_the_services_and_is_counted) {
  start_below_a_download();
  const port_scan low = scan_ports(peer + 1, 1, 32'767, 60s);
  EXPECT_TRUE(goes_on()) << "half of the scan outlasted the download";
  const port_scan high = scan_ports(peer + 1, 32'768, 65'535, 60s);
  EXPECT_EQ(sorted(low.open), (std::vector<std::uint16_t>{7, 9, 5001, 8080}));
  EXPECT_TRUE(high.open.empty());
  EXPECT_EQ(low.refused + high.refused, 65'531u);
  EXPECT_EQ(low.silent + low.other + high.silent + high.other, 0u);
  EXPECT_EQ(scan_ports(peer + 8, 1, 3, 1s).silent, 3u) << "nobody is there";
  serves();
  download_is_whole();
  nothing_is_left();
  EXPECT_EQ(result["announce"]["refused_syns"], 65'531);
  EXPECT_EQ(result["connections"]["opened"], 4 + 3);
}

// As a scanner knocks that never means to connect: the kernel, which knows of nothing, resets what is
// answered.
TEST_F(live_hostile, a_scan_that_never_connects_leaves_nothing_behind) {
  make_file("a.bin", 100'000);
  start(short_memory);
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  for (std::uint32_t port = 1; port < 65536; port += port == 8080 || nightly ? 1 : 7)
    send(raw, syn_frame(peer, 50'000, static_cast<std::uint16_t>(port), port));
  serves();
  nothing_is_left();
  EXPECT_GE(result["announce"]["refused_syns"].get<std::uint64_t>() + lost_by_then(),
            nightly ? 65'531 : 9'000);
  EXPECT_LT(lost_by_then(), 4'000u);
}

TEST_F(live_hostile, a_station_that_is_there_is_served_behind_many_that_are_not) {
  make_file("a.bin", 100'000);
  start();
  ASSERT_EQ(shell("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:01 dev us0").status, 0);  // it never asks
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  for (std::uint32_t i = 0; i < 2'000; ++i)
    send(raw, syn_frame(peer + 2 + i % 250, static_cast<std::uint16_t>(1024 + i), 8080, i));
  serves();
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_hostile, connections_that_are_left_at_the_end_are_counted) {
  start();
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  for (std::uint16_t i = 0; i < 10; ++i) send(raw, syn_frame(peer + 2, 1024 + i, 8080, i));
  EXPECT_EQ(shell("bash -c 'exec 3<>/dev/tcp/10.77.0.2/7; echo hello >&3; read -r x <&3; kill -INT " +
                  std::to_string(program) + "; sleep 1'")
                .status,
            0);
  EXPECT_EQ(wait_for_end(), 0) << said();
  EXPECT_EQ(result["live"]["open_at_end"], 1);
  EXPECT_GE(result["live"]["driver_connections"], 1);
  EXPECT_EQ(result["live"]["adapter_connections"], 11);
}

TEST_F(live_hostile, broken_frames_are_dropped) {
  make_file("a.bin", 100'000);
  start();
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  std::uint64_t x = 1;
  const auto random = [&x] { return x = x * 6364136223846793005ull + 1442695040888963407ull, x >> 33; };
  const auto whole = syn_frame(10u << 24 | 77u << 16 | 1, 40'000, 8080, 1);
  for (unsigned i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> f = whole;
    switch (i % 4) {
      case 0:  // any byte behind the Ethernet header
        f[14 + random() % (f.size() - 14)] = static_cast<std::uint8_t>(random());
        break;
      case 1:  // cut short
        f.resize(14 + random() % (f.size() - 14));
        break;
      case 2:  // noise of any type and length
        f.resize(14 + random() % 1500);
        for (std::size_t k = 12; k < f.size(); ++k) f[k] = static_cast<std::uint8_t>(random());
        break;
      case 3:  // noise behind a good IPv4 header
        for (std::size_t k = 34; k < f.size(); ++k) f[k] = static_cast<std::uint8_t>(random());
        break;
    }
    send(raw, f);
  }
  serves();
  const std::uint64_t lost = lost_by_device();
  EXPECT_EQ(stop(), 0) << said();
  // A byte that is replaced by itself leaves the SYN whole: one of 256 of the first kind.
  const std::uint64_t whole_ones = 2 * 5'000 / 256;
  EXPECT_GE(dropped(), 20'000 - whole_ones - lost);
  EXPECT_LT(lost, 10'000u);
  for (const char* cause : {"length", "header", "ip_checksum", "l4_checksum", "unknown"})
    EXPECT_GT(result["dropped_frames"][cause], 100) << cause;
}

TEST_F(live_hostile, a_broken_frame_is_counted_by_its_cause) {
  make_file("a.bin", 100'000);
  start();
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  std::map<std::string, std::uint64_t> sent;
  for (unsigned round = 0; round < 100; ++round)
    for (const broken_frame& b : broken_frames()) {
      send(raw, b.bytes);
      ++sent[b.cause];
    }
  serves();
  EXPECT_EQ(lost_by_device(), 0u);
  EXPECT_EQ(stop(), 0) << said();
  const auto& counted = result["dropped_frames"];
  for (const char* cause : {"length", "header", "ip_checksum", "l4_checksum", "fragment"}) {
    EXPECT_GT(sent[cause], 0u) << cause;
    EXPECT_EQ(counted[cause], sent[cause]) << cause;
  }
  // The kernel looks for routers and tells of groups, too.
  constexpr std::uint64_t few = 64;
  for (const char* cause : {"unknown", "not_ours"}) {
    EXPECT_GT(sent[cause], 0u) << cause;
    EXPECT_GE(counted[cause], sent[cause]) << cause;
    EXPECT_LE(counted[cause], sent[cause] + few) << cause;
  }
  EXPECT_EQ(counted["overflow"], 0);
  EXPECT_EQ(result["connections"]["opened"], 1);
}

// 10,000 in the nightly run.
TEST_F(live_hostile, connections_opened_and_closed_leave_nothing_behind) {
  connections_leave_nothing_behind();
}

}  // namespace
}  // namespace understudy::tb
