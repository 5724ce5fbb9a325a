#include "model/net/pcapng.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace understudy {
namespace {

namespace fs = std::filesystem;

// A folder of its own for each test, removed at the end.
struct pcapng_test : testing::Test {
  pcapng_test() {
    std::string name = (fs::temp_directory_path() / "pcapng_testXXXXXX").string();
    if (!mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
    dir = name;
  }
  ~pcapng_test() override { fs::remove_all(dir); }
  std::string file() const { return (dir / "wire.pcapng").string(); }
  // 200 frames on two interfaces, of lengths that need every kind of padding.
  void write_frames() {
    pcapng_writer w(file(), "Understudy adapter", "understudy 0.1.0");
    const unsigned client = w.add_interface("client", 10'000'000'000);
    const unsigned adapter = w.add_interface("adapter A");
    for (unsigned i = 0; i < 200; ++i)
      w.frame(start + i * 1'234'567, i % 2 ? client : adapter, i % 3 == 0, frame(i),
              i % 10 == 0 ? "lost on the wire" : nullptr);
    EXPECT_EQ(w.frames(), 200u);
    w.close();
  }
  static frame_ref frame(unsigned i) {
    frame_ref f = frame_ref::make(60 + i);
    for (std::uint32_t k = 0; k < f.size(); ++k) f.data()[k] = static_cast<std::uint8_t>(k * 7 + i);
    f.data()[12] = 0x88;
    f.data()[13] = 0xb5;
    return f;
  }
  static constexpr picos start = 5'000'000'000'000'123;

  fs::path dir;
};

// What a command prints; fails the test if it cannot be run or does not succeed.
std::string output_of(const std::string& command) {
  std::FILE* p = popen(command.c_str(), "r");
  if (!p) throw std::system_error(errno, std::generic_category(), command);
  std::string text;
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), p)) > 0;)
    text.append(buffer.data(), n);
  EXPECT_EQ(pclose(p), 0) << command;
  return text;
}

TEST_F(pcapng_test, libpcap_reads_every_frame_back_with_its_nanosecond) {
  write_frames();
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* p = pcap_open_offline_with_tstamp_precision(file().c_str(), PCAP_TSTAMP_PRECISION_NANO, error);
  ASSERT_NE(p, nullptr) << error;
  EXPECT_EQ(pcap_datalink(p), DLT_EN10MB);
  unsigned n = 0;
  pcap_pkthdr* h = nullptr;
  const u_char* data = nullptr;
  while (pcap_next_ex(p, &h, &data) == 1) {
    const frame_ref f = frame(n);
    const picos at = start + n * 1'234'567;
    ASSERT_EQ(h->caplen, f.size());
    EXPECT_EQ(h->len, f.size());
    EXPECT_EQ(std::memcmp(data, f.data(), f.size()), 0) << n;
    EXPECT_EQ(static_cast<picos>(h->ts.tv_sec) * 1'000'000'000 + static_cast<picos>(h->ts.tv_usec), at / 1000)
        << n;
    ++n;
  }
  EXPECT_STREQ(pcap_geterr(p), "");
  pcap_close(p);
  EXPECT_EQ(n, 200u);
}

TEST_F(pcapng_test, tshark_sees_interfaces_directions_comments_and_times) {
  write_frames();
  std::istringstream lines(
      output_of("tshark -n -r '" + file() +
                "' -T fields -E separator=';' -e frame.interface_name -e frame.packet_flags_direction "
                "-e frame.comment -e frame.time_epoch -e frame.len 2>&1"));
  std::string line;
  unsigned n = 0;
  while (std::getline(lines, line)) {
    if (line.find("Running as user") != line.npos) continue;
    const std::uint64_t ns = (start + n * 1'234'567) / 1000;
    char expected[200];
    std::snprintf(expected, sizeof expected, "%s;%s;%s;%llu.%09llu;%u", n % 2 ? "client" : "adapter A",
                  n % 3 == 0 ? "0x00000002" : "0x00000001", n % 10 == 0 ? "lost on the wire" : "",
                  static_cast<unsigned long long>(ns / 1'000'000'000),
                  static_cast<unsigned long long>(ns % 1'000'000'000), 60 + n);
    EXPECT_EQ(line, expected);
    ++n;
  }
  EXPECT_EQ(n, 200u);
}

TEST_F(pcapng_test, nothing_stands_under_the_name_before_close) {
  {
    pcapng_writer w(file(), "", "");
    w.frame(0, w.add_interface("x"), true, frame(0), nullptr);
    EXPECT_FALSE(fs::exists(file()));
  }
  EXPECT_TRUE(fs::is_empty(dir)) << "a writer that was not closed leaves nothing";
  write_frames();
  EXPECT_TRUE(fs::exists(file()));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
}

TEST_F(pcapng_test, a_file_that_cannot_be_opened_is_named) {
  const std::string path = (dir / "missing" / "x.pcapng").string();
  try {
    pcapng_writer w(path, "", "");
    FAIL() << "opened";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
  }
}

TEST_F(pcapng_test, a_full_disk_is_reported_and_leaves_nothing) {
  fs::create_symlink("/dev/full", file() + ".partial");
  {
    pcapng_writer w(file(), "", "");
    w.frame(0, w.add_interface("x"), true, frame(0), nullptr);
    try {
      w.close();
      FAIL() << "closed";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::no_space_on_device);
      EXPECT_NE(std::string(e.what()).find(file()), std::string::npos) << e.what();
    }
  }
  EXPECT_TRUE(fs::is_empty(dir));
}

}  // namespace
}  // namespace understudy
