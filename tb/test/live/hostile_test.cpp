// What a network throws at a server that stands in it: floods, scans, broken frames, very many connections.
#include "tb/test/live/live_rig.h"
#include "tb/test/live/raw_frames.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";

class live_hostile : public live_network {
 protected:
  // It serves one more request.
  void serves() {
    const auto r = shell("curl -sS -m 15 -o " + in_folder("got") + " " + base + "a.bin");
    EXPECT_EQ(r.output, "");
    EXPECT_TRUE(same("got", "www/a.bin"));
    std::filesystem::remove(folder / "got");
  }
};

TEST_F(live_hostile, a_syn_flood_leaves_it_serving) {
  make_file("a.bin", 100'000);
  start();
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  unsigned sent = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    // From addresses of the network that nobody has, from one far away, and from the peer's own.
    const std::uint32_t net = 10u << 24 | 77u << 16;
    const std::uint32_t from = i % 8 == 0 ? net | 1 : i % 2 == 0 ? net | (3 + i % 250) : 192u << 24 | i;
    sent += raw.send(syn_frame(from, static_cast<std::uint16_t>(1024 + i % 60'000), 8080, i * 7919));
    if (i == 10'000) serves();
  }
  EXPECT_GT(sent, 10'000u);
  serves();
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_hostile, a_port_scan_leaves_it_serving) {
  make_file("a.bin", 100'000);
  start();
  raw_socket raw(device);
  ASSERT_TRUE(raw.good());
  for (std::uint32_t port = 1; port < 65536; port += 7)
    raw.send(syn_frame(10u << 24 | 77u << 16 | 1, 50'000, static_cast<std::uint16_t>(port), port));
  serves();
  EXPECT_EQ(shell("curl -sS -m 5 -o /dev/null http://10.77.0.2:81/").status, 7);  // refused
  EXPECT_EQ(stop(), 0) << said();
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
    raw.send(f);
  }
  serves();
  EXPECT_EQ(stop(), 0) << said();
}

// 10,000 in the nightly run.
TEST_F(live_hostile, connections_opened_and_closed_leave_nothing_behind) {
  make_file("a.bin", 1'000);
  start({"--set", "adapter.msl=\"5 ms\""});
  const char* many = std::getenv("US_LIVE_CONNECTIONS");
  const std::string n = many ? many : "1500";
  const auto ab = shell("ab -q -s 60 -n " + n + " -c 32 " + base + "a.bin");
  EXPECT_NE(ab.output.find("Failed requests:        0"), std::string::npos) << ab.output;
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GE(result["connections"]["completed"], std::stoi(n));
  EXPECT_EQ(result["connections"]["reset"], 0);
  EXPECT_EQ(result["live"]["driver_connections"], 0);
  EXPECT_EQ(result["live"]["adapter_connections"], 0);
}

}  // namespace
}  // namespace understudy::tb
