// A capture as the far end of the wire.
#include "tb/test/live/live_rig.h"
#include "tb/workload/capture_file.h"

namespace understudy::tb {
namespace {

struct recorded {
  std::uint64_t ns;
  std::string frame;
};

// A question for the adapter's address, from 10.77.0.9.
std::string arp_request() {
  std::string f(12, '\xff');
  f.replace(6, 6, std::string("\x02\0\0\0\0\x77", 6));
  f += std::string(
      "\x08\x06\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x77\x0a\x4d\0\x09\0\0\0\0\0\0\x0a\x4d\0\x02", 30);
  return f;
}

class live_pcap_in : public live_program {
 protected:
  // A capture with times in nanoseconds and this link type.
  std::string capture(const std::vector<recorded>& all, std::uint32_t link = 1, std::uint32_t cut = 0) {
    std::ofstream f(folder / "in.pcap", std::ios::binary);
    const auto put = [&f](std::uint32_t v) { f.write(reinterpret_cast<const char*>(&v), 4); };
    for (const std::uint32_t v : {0xa1b23c4du, 0x00040002u, 0u, 0u, 65535u, link}) put(v);
    for (const recorded& r : all) {
      put(static_cast<std::uint32_t>(r.ns / 1'000'000'000));
      put(static_cast<std::uint32_t>(r.ns % 1'000'000'000));
      put(static_cast<std::uint32_t>(r.frame.size()) - cut);
      put(static_cast<std::uint32_t>(r.frame.size()));
      f.write(r.frame.data(), static_cast<std::streamsize>(r.frame.size() - cut));
    }
    return in_folder("in.pcap");
  }
  // Instants of the answers to the questions, in nanoseconds, in the capture of the run's links: as they
  // leave an adapter, and again as they pass the outer wire.
  std::vector<std::uint64_t> answers() {
    std::vector<std::uint64_t> all;
    const pcap_handle p = open_capture((folder / "out/capture.pcapng").string());
    pcap_pkthdr* h;
    const unsigned char* d;
    while (pcap_next_ex(p.get(), &h, &d) == 1)
      if (d[12] == 8 && d[13] == 6 && d[21] == 2)
        all.push_back(static_cast<std::uint64_t>(h->ts.tv_sec) * 1'000'000'000 +
                      static_cast<std::uint64_t>(h->ts.tv_usec));
    return all;
  }
};

TEST_F(live_pcap_in, frames_come_at_their_times_and_the_run_ends_behind_the_last) {
  constexpr std::uint64_t pause = 123'456'789;
  spawn({"--pcap-in", capture({{5'000'000'000, arp_request()}, {5'000'000'000 + pause, arp_request()}}),
         "--captures", "on"});
  EXPECT_EQ(wait_for_end(), 0) << said();
  EXPECT_EQ(result["peers"].dump(), "[\"capture\"]");
  EXPECT_EQ(result["live"]["frames_in"], 2);
  EXPECT_GE(result["sim_time_ps"].get<double>(), 1.12e12);
  EXPECT_LT(result["sim_time_ps"].get<double>(), 2e12);
  const auto at = answers();
  ASSERT_EQ(at.size(), 4u);
  EXPECT_EQ(at[2] - at[0], pause);
  EXPECT_EQ(at[3] - at[1], pause);
}

TEST_F(live_pcap_in, unusable_captures_are_refused_with_one_line) {
  const auto refused = [this](const std::string& file, const std::string& why) {
    spawn({"--pcap-in", file});
    EXPECT_EQ(wait_for_end(), 2);
    const std::string all = said();
    EXPECT_NE(all.find(why), std::string::npos) << all;
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1) << all;
  };
  refused(in_folder("none.pcap"), "No such file");
  refused(std::string(US_SOURCE_DIR) + "/README.md", "not a packet capture");
  refused(capture({}), "holds no frame");
  refused(capture({{0, arp_request()}}, 101), "not Ethernet");
  refused(capture({{0, arp_request()}}, 1, 10), "holds no frame");
}

TEST_F(live_pcap_in, a_damaged_capture_fails_the_run) {
  const std::string file = capture({{0, arp_request()}, {1000, arp_request()}});
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 5);
  spawn({"--pcap-in", file});
  EXPECT_EQ(wait_for_end(), 1) << said();
  EXPECT_NE(result["reasons"].dump().find("truncated"), std::string::npos) << result["reasons"];
}

}  // namespace
}  // namespace understudy::tb
