// `understudy calibrate` and `understudy pcie-bench` on the three measured hosts, IOMMU off and on: their
// files beside what was measured.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <tuple>

#include "tb/pcie_bench/tables.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

const std::string data = std::string(US_SOURCE_DIR) + "/traces/pcie-bench/";
const char* const hosts[] = {"snb-e5-2630", "hsw-e5-2637v3", "bdw-e5-2630v4-local"};

using table = std::map<std::vector<std::string>, double>;  // the last column by those before it

// A table of the program, `keys` columns and then the one that counts.
table read(const fs::path& file, const std::string& heading, std::size_t keys) {
  const std::vector<std::string> lines = lines_of(file);
  EXPECT_FALSE(lines.empty()) << file;
  if (lines.empty()) return {};
  EXPECT_EQ(lines[0], heading);
  table t;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields;
    std::istringstream in(lines[i]);
    for (std::string part; std::getline(in, part, ',');) fields.push_back(part);
    EXPECT_GT(fields.size(), keys) << lines[i];
    const double value = std::stod(fields[keys]);
    fields.resize(keys);
    EXPECT_TRUE(t.emplace(fields, value).second) << lines[i];
  }
  return t;
}

struct mean_error {
  double sum = 0;
  unsigned n = 0;
  void add(double model, double truth) {
    sum += std::abs(model / truth - 1);
    ++n;
  }
  double percent() const { return 100 * sum / n; }
};

class hosts_program : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = test_folder();
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void run(const std::string& arguments) const {
    const program_run r = shell(quoted(US_PROGRAM) + " " + arguments, folder / "errors");
    EXPECT_EQ(r.status, 0) << arguments << "\n"
                           << (lines_of(folder / "errors").empty() ? "" : lines_of(folder / "errors")[0]);
  }
  std::string profile(const char* host) const {
    const std::string file = (folder / (std::string(host) + ".toml")).string();
    run("calibrate --latency " + quoted(data + host + "/lat_dma_sizes.csv") + " -o " + quoted(file));
    return file;
  }
  fs::path folder;
};

TEST_F(hosts_program, predicts_bandwidth_and_latency_of_each_host_with_the_IOMMU_off) {
  for (const char* host : hosts) {
    const fs::path out = folder / host;
    run("pcie-bench --device nfp6000 --host " + quoted(profile(host)) + " --out " + quoted(out.string()));
    const table rates = read(out / "bandwidth.csv", "test,size,gbps", 2);
    ASSERT_EQ(rates.size(), 120u) << host;
    std::map<std::string, mean_error> error;
    for (const auto& r : read_bandwidths(data + host + "/bw_dma_sz_sweep.csv"))
      error[r.test].add(rates.at({r.test, std::to_string(r.size)}), r.gbps);
    ASSERT_EQ(error.size(), 3u);
    double all = 0;
    for (const auto& [test, e] : error) {
      EXPECT_EQ(e.n, 40u) << test;
      all += e.percent() / 3;
      std::printf("%-20s %-12s %5.2f %%\n", host, test.c_str(), e.percent());
    }
    EXPECT_LE(all, 4.0) << host;

    const table medians = read(out / "latency.csv", "test,size,median_ns,p95_ns,p999_ns", 2);
    ASSERT_EQ(medians.size(), 44u) << host;
    std::map<std::string, mean_error> slow;
    for (const auto& [key, m] : read_latencies(data + host + "/lat_dma_sizes.csv"))
      if (key.first != "LAT_DMA_RD" || (key.second != 8 && key.second != 64 && key.second != 512))
        slow[key.first].add(medians.at({key.first, std::to_string(key.second)}), m.median_ns);
    ASSERT_EQ(slow.size(), 2u);
    for (const auto& [test, e] : slow) {
      std::printf("%-20s %-12s %5.2f %% of %u sizes\n", host, test.c_str(), e.percent(), e.n);
      EXPECT_LE(e.percent(), 3.0) << host << " " << test;
    }
  }
}

TEST_F(hosts_program, predicts_bandwidth_by_window_of_each_host_with_the_IOMMU_on) {
  std::string windows;
  for (const auto& r : read_bandwidths(data + "hsw-e5-2637v3-iommu/bw_dma_win_sweep_rd_rnd_64.csv"))
    if (r.cache == "HWarm") {
      if (!windows.empty()) windows += ',';
      windows += std::to_string(r.window);
    }
  for (const char* host : hosts) {
    const std::string common = "pcie-bench --device nfp6000 --host " + quoted(profile(host)) +
                               " --sizes 64,256,512 --window " + windows + " --out ";
    const auto measure = [&](const std::string& iommu) {
      const fs::path out = folder / (host + iommu);
      run(common + quoted(out.string()) + " --iommu " + iommu);
      return read(out / "window.csv", "test,size,window,gbps", 3);
    };
    const table off = measure("off"), small = measure("4k"), large = measure("2m");
    ASSERT_EQ(small.size(), 3u * 3 * 13) << host;
    ASSERT_EQ(off.size(), small.size());
    ASSERT_EQ(large.size(), small.size());
    // 64 translations cover 256 KiB in pages of 4 KiB, 128 MiB in pages of 2 MiB.
    const std::vector<std::string> narrow{"BW_DMA_RD", "64", "4096"}, wide{"BW_DMA_RD", "64", "67108864"};
    EXPECT_NEAR(small.at(narrow) / off.at(narrow), 1, 0.01) << host;
    EXPECT_LT(small.at(wide) / off.at(wide), 0.5) << host;
    EXPECT_NEAR(large.at(wide) / off.at(wide), 1, 0.03) << host;
    if (!fs::exists(data + host + "-iommu")) continue;
    unsigned files = 0;
    for (const auto& f : fs::directory_iterator(data + host + "-iommu")) {
      mean_error e;
      std::string test, size;
      for (const auto& r : read_bandwidths(f.path().string())) {
        if (r.cache != "HWarm") continue;
        test = r.test;
        size = std::to_string(r.size);
        e.add(small.at({test, size, std::to_string(r.window)}), r.gbps);
      }
      ASSERT_EQ(e.n, 13u) << f.path();
      ++files;
      std::printf("%-20s %-12s %3s bytes %5.2f %% of %u windows\n", host, test.c_str(), size.c_str(),
                  e.percent(), e.n);
      EXPECT_LE(e.percent(), test == "BW_DMA_WR" ? 10.0 : 8.0) << f.path();
    }
    EXPECT_EQ(files, 4u) << host;
  }
}

}  // namespace
}  // namespace understudy::tb
