// Files that pcie-bench and calibrate read: what they make of good ones, and that they refuse the others.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tb/pcie_bench/calibrate.h"
#include "tb/pcie_bench/card_file.h"
#include "tb/pcie_bench/tables.h"

namespace understudy::tb {
namespace {

const std::string measured = std::string(US_SOURCE_DIR) + "/traces/pcie-bench/snb-e5-2630/lat_dma_sizes.csv";
constexpr std::array<double, 3> card_ns = {303, 325, 461};
constexpr const char* heading = "Test,SZ,Avg(ns),Med(ns),95%(ns),99.9%(ns)\n";

// Tests may run beside one another.
std::string file_with(const std::string& text, const char* name = "case.csv") {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string path = testing::TempDir() + test->name() + "_" + name;
  std::ofstream(path) << text;
  return path;
}

template <typename F>
std::string refusal(F f) {
  try {
    f();
  } catch (const scenario_error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "was accepted";
  return "";
}

scenario profile(double at8, double at64, double at512) {
  latency_table t;
  t[{"LAT_DMA_RD", 8}] = {at8, at8, at8 + 13, at8 + 50};
  t[{"LAT_DMA_RD", 64}] = {at64, at64, at64 + 13, at64 + 50};
  t[{"LAT_DMA_RD", 512}] = {at512, at512, at512 + 13, at512 + 50};
  return host_profile(t, "x", card_ns);
}

TEST(calibrate, looks_at_three_rows_and_no_others) {
  latency_table t = read_latencies(measured);
  ASSERT_GT(t.size(), 20u);
  const std::string all = profile_text(host_profile(t, measured, card_ns), "x");
  latency_table three;
  for (const std::uint32_t n : calibration_sizes) three[{"LAT_DMA_RD", n}] = t.at({"LAT_DMA_RD", n});
  EXPECT_EQ(profile_text(host_profile(three, measured, card_ns), "x"), all);
}

TEST(calibrate, tells_a_remote_node_by_its_latency_and_spares_what_the_device_wrote) {
  const scenario near = profile(545, 558, 710), far = profile(651, 664, 816);
  EXPECT_EQ(near.pcie.remote_node, 0u);
  EXPECT_EQ(far.pcie.remote_node, 106_ns);
  EXPECT_NEAR(static_cast<double>(far.pcie.read_latency), static_cast<double>(near.pcie.read_latency), 200);
}

TEST(calibrate, makes_a_slower_host_of_longer_latencies) {
  const scenario a = profile(545, 558, 710), b = profile(575, 588, 740);
  const picos of_a = a.pcie.read_latency + a.pcie.core_snoop, of_b = b.pcie.read_latency + b.pcie.core_snoop;
  EXPECT_NEAR(static_cast<double>(of_b - of_a), 30'000, 300);
}

TEST(calibrate, refuses_malformed_latency_files) {
  const auto reads = [](const std::string& text) {
    return refusal([&] {
      const std::string path = file_with(text);
      host_profile(read_latencies(path), path, card_ns);
    });
  };
  EXPECT_NE(reads("").find("is empty"), std::string::npos);
  EXPECT_NE(reads("Test,SZ\n").find("no column \"Avg(ns)\""), std::string::npos);
  EXPECT_NE(reads(std::string(heading) + "LAT_DMA_RD,8,1,2\n").find(":2: has 4 fields"), std::string::npos);
  EXPECT_NE(reads(std::string(heading) + "LAT_DMA_RD,8,545,547,560,707\n").find("no row LAT_DMA_RD of 64"),
            std::string::npos);
  EXPECT_NE(
      reads(std::string(heading) + "LAT_DMA_RD,8,5,5,5,5\nLAT_DMA_RD,64,5,5,5,5\nLAT_DMA_RD,512,5,5,5,5\n")
          .find("shorter than the card"),
      std::string::npos);
  EXPECT_NE(refusal([] { read_latencies("/nowhere/at/all.csv"); }).find("cannot read"), std::string::npos);
  const std::string folder = US_SOURCE_DIR;
  EXPECT_EQ(refusal([&] { read_latencies(folder); }), folder + ": cannot read: Is a directory");
}

TEST(calibrate, refuses_times_beyond_the_least_and_the_largest_of_their_row) {
  const std::string all = "Test,SZ,Avg(ns),Med(ns),Min(ns),Max(ns),95%(ns),99.9%(ns)\n";
  const struct {
    const char *row, *says;
  } cases[] = {{"LAT_DMA_RD,8,545,547,548,760,560,707", "Min(ns) 548 is above Med(ns) 547"},
               {"LAT_DMA_RD,8,545,547,546,760,560,707", "Min(ns) 546 is above Avg(ns) 545"},
               {"LAT_DMA_RD,8,545,547,507,700,560,707", "99.9%(ns) 707 is above Max(ns) 700"},
               {"LAT_DMA_RD,8,545,547,x,760,560,707", "Min(ns): \"x\" is not a number above 0"}};
  for (const auto& c : cases) {
    const std::string path = file_with(all + c.row + "\n");
    EXPECT_EQ(refusal([&] { read_latencies(path); }), path + ":2: " + c.says);
  }
  EXPECT_EQ(read_latencies(file_with(all + "LAT_DMA_RD,8,547.0000001,547,547,547,547,547\n")).size(), 1u);
}

TEST(calibrate, refuses_latencies_of_another_unit_and_such_that_fall_with_size) {
  const auto says = [](double at8, double at64, double at512) {
    return refusal([&] { profile(at8, at64, at512); });
  };
  EXPECT_EQ(
      says(5450, 5580, 7100),
      "x: Avg(ns) of LAT_DMA_RD grows by 1650 from 8 to 512 bytes, allowed: up to 632, 4 times what card "
      "and link take");
  for (const double factor : {100.0, 1000.0})
    EXPECT_NE(says(545 * factor, 558 * factor, 710 * factor).find("grows by"), std::string::npos);
  EXPECT_EQ(says(560, 558, 710), "x: Avg(ns) 558 of LAT_DMA_RD of 64 bytes is below 560 of 8 bytes");
  EXPECT_EQ(says(545, 558, 550), "x: Avg(ns) 550 of LAT_DMA_RD of 512 bytes is below 558 of 64 bytes");
  const std::string path =
      file_with(std::string(heading) + "LAT_DMA_RD,512,550,550,550,550\nLAT_DMA_RD,64,558,558,558,558\n" +
                "LAT_DMA_RD,8,545,545,545,545\n");
  EXPECT_EQ(
      refusal([&] { host_profile(read_latencies(path), path, card_ns); }).find(path + ":2: Avg(ns) 550"), 0u);
}

// A profile is a scenario: what calibrate writes, pcie-bench reads.
TEST(calibrate, refuses_what_no_scenario_may_hold) {
  EXPECT_EQ(
      refusal([] { profile(545e3, 545.02e3, 545.2e3); }),
      "x: makes pcie.read_latency: \"217974.9 ns\" is out of range, allowed: \"0 ps\" to \"100 us\" (units "
      "ps, ns, us, ms, s)");
  EXPECT_NE(refusal([] { profile(54'500, 54'520, 54'700); }).find("makes pcie.core_snoop: "),
            std::string::npos);
  latency_table t;
  for (const std::uint32_t n : calibration_sizes) t[{"LAT_DMA_RD", n}] = {558, 558, 571, 558e3};
  EXPECT_NE(refusal([&] { host_profile(t, "x", card_ns); }).find("makes pcie.read_jitter_p999: "),
            std::string::npos);
}

TEST(calibrate, reads_a_file_with_a_byte_order_mark) {
  const std::string path =
      file_with("\xEF\xBB\xBF" + std::string(heading) + "LAT_DMA_RD,8,545,547,560,707\r\n");
  EXPECT_EQ(read_latencies(path).at({"LAT_DMA_RD", 8}).average_ns, 545);
}

TEST(tables, show_small_and_large_bandwidths_with_six_digits) {
  EXPECT_EQ(bandwidth_csv({{"BW_DMA_RD", 1, 8192, 0.03812345}, {"BW_DMA_WR", 64, 8192, 252.1}}),
            "test,size,gbps\nBW_DMA_RD,1,0.0381235\nBW_DMA_WR,64,252.100\n");
  EXPECT_EQ(window_csv({{"BW_DMA_RW", 64, 4096, 44.0}}),
            "test,size,window,gbps\nBW_DMA_RW,64,4096,44.0000\n");
}

// Each row stands on line 3, behind a good one.
TEST(calibrate, refuses_rows_that_no_measurement_writes) {
  const struct {
    const char *row, *says;
  } cases[] = {
      {"LAT_DMA_RD,8.5,5,5,5,5", "SZ: 8.5 is no whole number"},
      {"LAT_DMA_RD,1e300,5,5,5,5", "SZ: 1e300 is out of range"},
      {"LAT_DMA_RD,1e999,5,5,5,5", "SZ: 1e999 is out of range"},
      {"LAT_DMA_RD,4294967304,5,5,5,5", "SZ: 4294967304 is out of range"},
      {"LAT_DMA_RD,-8,5,5,5,5", "SZ: \"-8\" is not a number above 0"},
      {"LAT_DMA_RD,0,5,5,5,5", "SZ: \"0\" is not a number above 0"},
      {"LAT_DMA_RD,nan,5,5,5,5", "SZ: \"nan\" is not a number above 0"},
      {"LAT_DMA_RD,inf,5,5,5,5", "SZ: inf is out of range"},
      {"LAT_DMA_RD,0x8,5,5,5,5", "SZ: \"0x8\" is not a number above 0"},
      {"LAT_DMA_RD, 8,5,5,5,5", "SZ: \" 8\" is not a number above 0"},
      {"LAT_DMA_RD,8 B,5,5,5,5", "SZ: \"8 B\" is not a number above 0"},
      {"LAT_DMA_RD,,5,5,5,5", "SZ: \"\" is not a number above 0"},
      {"LAT_DMA_RD,8,x,5,5,5", "Avg(ns): \"x\" is not a number above 0"},
      {"LAT_DMA_RD,8,nan,5,5,5", "Avg(ns): \"nan\" is not a number above 0"},
      {"LAT_DMA_RD,8,-5,5,5,5", "Avg(ns): \"-5\" is not a number above 0"},
      {"LAT_DMA_RD,8,1e300,5,5,5", "Avg(ns): 1e300 is out of range"},
      {"LAT_DMA_RD,8,5,0,5,5", "Med(ns): \"0\" is not a number above 0"},
      {"LAT_DMA_RD,8,5,5,inf,5", "95%(ns): inf is out of range"},
      {"LAT_DMA_RD,8,5,5,5,nan", "99.9%(ns): \"nan\" is not a number above 0"},
      {"LAT_DMA_RD,8,5,6,5,7", "fall: 6, 5, 7"},
      {"LAT_DMA_RD,8,5460,546.7,560,707", "Avg(ns) 5460 is above 99.9%(ns) 707"},
      {"LAT_DMA_RD,8,54.6,546.7,560,707", "half of Med(ns) 273.35 is above Avg(ns) 54.6"},
      {"LAT_DMA_RD,4,5,5,5,5", "is a second row LAT_DMA_RD of 4 bytes, the first is line 2"},
      {"LAT_DMA_RD,4.0,5,5,5,5", "is a second row LAT_DMA_RD of 4 bytes, the first is line 2"},
  };
  for (const auto& c : cases) {
    const std::string path =
        file_with(std::string(heading) + "LAT_DMA_RD,4,545,547,560,707\n" + c.row + "\n");
    const std::string said = refusal([&] { read_latencies(path); });
    EXPECT_EQ(said.rfind(path + ":3: ", 0), 0u) << said;
    EXPECT_NE(said.find(c.says), std::string::npos) << said;
  }
  const std::string good = file_with(std::string(heading) + "LAT_DMA_RD,8.0,5,5,5,5\nLAT_CMD_RD,8,5,5,5,5\n");
  EXPECT_EQ(read_latencies(good).size(), 2u);
}

TEST(card, refuses_what_is_no_card) {
  const auto loads = [](const std::string& text) {
    return refusal([&] { load_card(file_with(text, "case.toml")); });
  };
  EXPECT_NE(refusal([] { load_card("nfp7000"); }).find("allowed: nfp6000"), std::string::npos);
  EXPECT_NE(loads("[card]\nchunk = 128\n").find("are missing"), std::string::npos);
  EXPECT_NE(loads("[card]\ncolour = \"red\"\n").find("unknown key"), std::string::npos);
  EXPECT_NE(loads("[car]\n").find("unknown key"), std::string::npos);
  EXPECT_NE(loads("[card]\nwrite_issue = \"4 km\"\n").find("allowed: a time"), std::string::npos);
  EXPECT_NE(loads("[card]\nwrite_issue = \"4 s\"\n").find("allowed: a time"), std::string::npos);
  EXPECT_NE(loads("[card]\nread_slots = 0\n").find("allowed: an integer"), std::string::npos);
  EXPECT_NE(loads("[card\n").find("case.toml:"), std::string::npos);
}

TEST(card, is_at_most_twelve_parameters) {
  const std::string path = std::string(US_SOURCE_DIR) + "/traces/devices/nfp6000.toml";
  EXPECT_EQ(load_card(path).read_overhead, load_card("nfp6000").read_overhead);
  std::ifstream in(path);
  unsigned parameters = 0;
  for (std::string line; std::getline(in, line);) parameters += line.find(" = ") != std::string::npos;
  EXPECT_EQ(parameters, 12u);
}

}  // namespace
}  // namespace understudy::tb
