// pcie-bench and calibrate as a shell sees them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct outcome {
  int status = -1;
  std::string text;
};
// Run the program; `redirection` decides what `text` holds: standard error, unless it says otherwise.
outcome shell(const std::string& arguments, const std::string& redirection = " 2>&1 >/dev/null") {
  outcome o;
  std::FILE* pipe = popen((std::string("\"") + US_PROGRAM + "\" " + arguments + redirection).c_str(), "r");
  if (!pipe) return o;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) o.text.append(part, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) o.status = WEXITSTATUS(status);
  return o;
}
std::string text_of(const fs::path& p) {
  std::ostringstream s;
  s << std::ifstream(p).rdbuf();
  return s.str();
}

// The lines of a table without heading and last column.
std::string keys_of(const fs::path& p) {
  std::istringstream in(text_of(p));
  std::string line, keys;
  std::getline(in, line);
  while (std::getline(in, line)) {
    if (!keys.empty()) keys += ' ';
    keys.append(line, 0, line.rfind(','));
  }
  return keys;
}

class pcie_bench_program : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::path(testing::TempDir()) / (std::string("pcie_bench_program_") + test->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
    latency = std::string(US_SOURCE_DIR) + "/traces/pcie-bench/snb-e5-2630/lat_dma_sizes.csv";
    host = (folder / "host.toml").string();
  }
  fs::path folder;
  std::string latency, host;
};

TEST_F(pcie_bench_program, calibrates_a_host_and_writes_its_tables) {
  ASSERT_EQ(shell("calibrate --latency " + latency + " -o " + host).status, 0);
  const std::string bench = "pcie-bench --device nfp6000 --host " + host + " --sizes 64,512 ";
  const fs::path out = folder / "out";
  ASSERT_EQ(shell(bench + "--iommu 4k --window 4096,1048576 --out " + out.string()).status, 0);
  EXPECT_EQ(text_of(out / "bandwidth.csv").substr(0, 15), "test,size,gbps\n");
  EXPECT_EQ(text_of(out / "latency.csv").substr(0, 35), "test,size,median_ns,p95_ns,p999_ns\n");
  const std::string windows = text_of(out / "window.csv");
  EXPECT_EQ(windows.substr(0, 22), "test,size,window,gbps\n");
  EXPECT_NE(windows.find("BW_DMA_RD,64,1048576,"), std::string::npos);
  EXPECT_EQ(std::count(windows.begin(), windows.end(), '\n'), 1 + 3 * 2 * 2);
  const fs::path again = folder / "again";
  ASSERT_EQ(shell(bench + "--iommu 4k --window 4096,1048576 --out " + again.string()).status, 0);
  for (const char* file : {"bandwidth.csv", "latency.csv", "window.csv"})
    EXPECT_EQ(text_of(out / file), text_of(again / file)) << file;
}

TEST_F(pcie_bench_program, names_each_window_as_it_was_asked_for_or_refuses_it) {
  ASSERT_EQ(shell("calibrate --latency " + latency + " -o " + host).status, 0);
  const std::string on_host = "pcie-bench --device nfp6000 --host " + host, out = (folder / "out").string();
  // A transfer of 65 or 100 bytes takes two lines.
  ASSERT_EQ(shell(on_host + " --sizes 65,100,64 --window 128,4096 --out " + out).status, 0);
  EXPECT_EQ(keys_of(out + "/window.csv"),
            "BW_DMA_RD,65,128 BW_DMA_RD,100,128 BW_DMA_RD,64,128 BW_DMA_RD,65,4096 BW_DMA_RD,100,4096 "
            "BW_DMA_RD,64,4096 BW_DMA_WR,65,128 BW_DMA_WR,100,128 BW_DMA_WR,64,128 BW_DMA_WR,65,4096 "
            "BW_DMA_WR,100,4096 BW_DMA_WR,64,4096 BW_DMA_RW,65,128 BW_DMA_RW,100,128 BW_DMA_RW,64,128 "
            "BW_DMA_RW,65,4096 BW_DMA_RW,100,4096 BW_DMA_RW,64,4096");
  EXPECT_EQ(keys_of(out + "/bandwidth.csv"),
            "BW_DMA_RD,65 BW_DMA_RD,100 BW_DMA_RD,64 BW_DMA_WR,65 BW_DMA_WR,100 BW_DMA_WR,64 BW_DMA_RW,65 "
            "BW_DMA_RW,100 BW_DMA_RW,64");
  const std::string none = (folder / "none").string();
  EXPECT_EQ(shell("pcie-bench --ideal --sizes 64 --window 64,8192 --out " + none).text,
            "understudy pcie-bench: --window: 64 is smaller than the 4096 bytes that a transfer of 64 bytes "
            "takes with --ideal, "
            "whole pages\n");
  EXPECT_EQ(shell(on_host + " --sizes 65 --window 100 --out " + none).text,
            "understudy pcie-bench: --window: 100 is smaller than the 128 bytes that a transfer of 65 bytes "
            "takes, whole lines\n");
  EXPECT_FALSE(fs::exists(none));
  // A transfer that is larger than the usual window has one of its own.
  ASSERT_EQ(shell("pcie-bench --ideal --sizes 16384 --window 65536 --out " + out).status, 0);
  EXPECT_EQ(keys_of(out + "/bandwidth.csv"), "BW_DMA_RD,16384 BW_DMA_WR,16384 BW_DMA_RW,16384");
  EXPECT_EQ(keys_of(out + "/window.csv"),
            "BW_DMA_RD,16384,65536 BW_DMA_WR,16384,65536 BW_DMA_RW,16384,65536");
}

TEST_F(pcie_bench_program, measures_what_is_named_twice_once_where_it_is_named_first) {
  const auto measured = [&](const char* arguments, const char* name) {
    const fs::path out = folder / name;
    const outcome o = shell(std::string("pcie-bench --ideal ") + arguments + " --out " + out.string(),
                            " 2>&1 | grep -v '^files'");
    EXPECT_EQ(o.status, 0) << o.text;
    return o.text + text_of(out / "bandwidth.csv") + text_of(out / "latency.csv") +
           text_of(out / "window.csv");
  };
  const std::string once = measured("--sizes 64,16 --window 4096,8192", "once");
  EXPECT_NE(once.find("BW_DMA_RW,16,4096,"), std::string::npos);
  EXPECT_EQ(measured("--sizes 64,16,64,64,16 --window 4096,8192,4096", "twice"), once);
}

TEST_F(pcie_bench_program, takes_no_number_for_another) {
  const std::string none = (folder / "none").string();
  const std::string sizes = "allowed: 1 to 65536, with commas between\n";
  const struct {
    const char* options;
    std::string says;
  } cases[] = {
      {"--gen ''", "--gen: \"\" is no whole number, allowed: an integer from 1 to 5\n"},
      {"--gen 2.5", "--gen: \"2.5\" is no whole number, allowed: an integer from 1 to 5\n"},
      {"--gen 0x3", "--gen: \"0x3\" is no whole number, allowed: an integer from 1 to 5\n"},
      {"--gen -3", "--gen: -3 is out of range, allowed: an integer from 1 to 5\n"},
      {"--gen 99999999999999999999",
       "--gen: 99999999999999999999 is out of range, allowed: an integer from 1 to 5\n"},
      {"--lanes ''", "--lanes: \"\" is no whole number, allowed: 1, 2, 4, 8, 12, 16, 32\n"},
      {"--mps ''", "--mps: \"\" is no whole number, allowed: 128, 256, 512, 1024, 2048, 4096\n"},
      {"--mrrs ''", "--mrrs: \"\" is no whole number, allowed: 128, 256, 512, 1024, 2048, 4096\n"},
      {"--rcb ''", "--rcb: \"\" is no whole number, allowed: 64, 128\n"},
      {"--sizes ''", "--sizes: \"\" is no whole number, " + sizes},
      {"--sizes ,", "--sizes: \"\" is no whole number, " + sizes},
      {"--sizes 64,,128", "--sizes: \"\" is no whole number, " + sizes},
      {"--sizes 64,", "--sizes: \"\" is no whole number, " + sizes},
      {"--sizes 64,x", "--sizes: \"x\" is no whole number, " + sizes},
      {"--sizes -1", "--sizes: -1 is out of range, " + sizes},
      {"--sizes 65537", "--sizes: 65537 is out of range, " + sizes},
      {"--sizes 18446744073709551680", "--sizes: 18446744073709551680 is out of range, " + sizes},
      {"--window 8192,",
       "--window: \"\" is no whole number, allowed: 1 to 1073741824, with commas between\n"},
      {"--window 0", "--window: 0 is out of range, allowed: 1 to 1073741824, with commas between\n"},
  };
  for (const auto& c : cases) {
    const outcome o = shell(std::string("pcie-bench --ideal ") + c.options + " --out " + none);
    EXPECT_EQ(o.status, 2) << c.options;
    EXPECT_EQ(o.text, "understudy pcie-bench: " + c.says);
  }
  EXPECT_FALSE(fs::exists(none));
}

TEST_F(pcie_bench_program, has_the_IOMMU_of_the_host_file_unless_told_otherwise) {
  ASSERT_EQ(shell("calibrate --latency " + latency + " -o " + host).status, 0);
  const std::string plain = text_of(host), with_iommu = (folder / "with_iommu.toml").string();
  std::ofstream(with_iommu) << plain << "iommu = true\niommu_walk = \"1 us\"\n";
  const auto windows = [&](const std::string& file, const char* options) {
    const fs::path out = folder / "out";
    fs::remove_all(out);
    EXPECT_EQ(shell("pcie-bench --device nfp6000 --host " + file + " --sizes 64 --window 4194304 " + options +
                    " --out " + out.string())
                  .status,
              0);
    return text_of(out / "window.csv");
  };
  const std::string off = windows(host, ""), slow = windows(with_iommu, "");
  EXPECT_FALSE(off.empty());
  EXPECT_EQ(windows(host, "--iommu off"), off);
  EXPECT_EQ(windows(with_iommu, "--iommu off"), off);
  EXPECT_NE(slow, off);
  EXPECT_EQ(windows(with_iommu, "--iommu 4k"), slow);
  EXPECT_NE(windows(host, "--iommu 4k"), slow);
  // A walk without `iommu` is a mistake, unless the command line has the IOMMU.
  std::ofstream(with_iommu) << plain << "iommu_walk = \"1 us\"\n";
  EXPECT_EQ(windows(with_iommu, "--iommu 4k"), slow);
  const outcome o =
      shell("pcie-bench --device nfp6000 --host " + with_iommu + " --out " + (folder / "none").string());
  EXPECT_EQ(o.status, 2);
  EXPECT_EQ(
      o.text,
      with_iommu + ":11: pcie.iommu_walk: \"1 us\" has no meaning here, allowed: with pcie.iommu = true\n");
  EXPECT_FALSE(fs::exists(folder / "none"));
}

TEST_F(pcie_bench_program, refuses_a_host_whose_reads_fail) {
  ASSERT_EQ(shell("calibrate --latency " + latency + " -o " + host).status, 0);
  const std::string failing = (folder / "failing.toml").string(), none = (folder / "none").string();
  const std::string bench = "pcie-bench --device nfp6000 --host " + failing + " --out " + none;
  for (const std::string key : {"poisoned_reads", "aborted_reads"}) {
    std::ofstream(failing) << text_of(host) << key << " = 1000\n";
    const outcome o = shell(bench);
    EXPECT_EQ(o.status, 2);
    std::string says = failing;
    says.append(":11: pcie.").append(key);
    says += ": 1000 is refused, allowed: 0, for pcie-bench measures reads that bring their data\n";
    EXPECT_EQ(o.text, says);
    EXPECT_FALSE(fs::exists(none));
  }
}

TEST_F(pcie_bench_program, replaces_all_of_its_tables_or_none) {
  const fs::path out = folder / "out";
  const std::string bench = "pcie-bench --ideal --sizes 64 --out " + out.string();
  ASSERT_EQ(shell(bench + " --window 4096").status, 0);
  const std::string bandwidth = text_of(out / "bandwidth.csv"), window = text_of(out / "window.csv");
  for (const char* missing : {"latency.csv", "latency.csv.partial"}) {
    fs::remove(out / missing);
    fs::create_directories(out / missing / "in_the_way");
    const outcome o = shell(bench + " --gen 4 --window 4096");
    EXPECT_EQ(o.status, 2);
    EXPECT_EQ(o.text, "understudy: " + out.string() + "/latency.csv: cannot write: Is a directory\n");
    EXPECT_EQ(text_of(out / "bandwidth.csv"), bandwidth);
    EXPECT_EQ(text_of(out / "window.csv"), window);
    EXPECT_FALSE(fs::exists(out / "bandwidth.csv.partial"));
    fs::remove_all(out / missing);
  }
  ASSERT_EQ(shell(bench + " --gen 4 --window 4096").status, 0);
  EXPECT_NE(text_of(out / "bandwidth.csv"), bandwidth);
}

TEST_F(pcie_bench_program, writes_a_host_into_what_is_there) {
  const std::string pipe = (folder / "pipe").string(), link = (folder / "link").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int end = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK);
  ASSERT_GE(end, 0);
  EXPECT_EQ(shell("calibrate --latency " + latency + " -o " + pipe).status, 0);
  EXPECT_TRUE(fs::is_fifo(pipe));
  ::close(end);
  fs::create_symlink("host.toml", link);
  EXPECT_EQ(shell("calibrate --latency " + latency + " -o " + link).status, 0);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_FALSE(text_of(host).empty());
}

TEST_F(pcie_bench_program, refuses_bad_input_in_one_line_and_writes_nothing) {
  std::ofstream(folder / "bad.csv") << "Test,SZ\n";
  ASSERT_EQ(shell("calibrate --latency " + latency + " -o " + host).status, 0);
  const std::string out = (folder / "none").string();
  const std::string cases[] = {
      "pcie-bench --out " + out,
      "pcie-bench --ideal --gen 7 --out " + out,
      "pcie-bench --ideal --lanes 3 --out " + out,
      "pcie-bench --ideal --mps 100 --out " + out,
      "pcie-bench --ideal --gen three --out " + out,
      "pcie-bench --ideal --sizes 0 --out " + out,
      "pcie-bench --ideal --iommu 4k --out " + out,
      "pcie-bench --ideal --device nfp6000 --host " + host + " --out " + out,
      "pcie-bench --device nfp6000 --out " + out,
      "pcie-bench --device nfp7000 --host " + host + " --out " + out,
      "pcie-bench --device nfp6000 --host /nowhere.toml --out " + out,
      "pcie-bench --device nfp6000 --host " + host + " --iommu 5k --out " + out,
      "pcie-bench --device nfp6000 --host " + host + " --sizes 512 --window 64 --out " + out,
      "calibrate --latency " + (folder / "bad.csv").string() + " -o " + out,
      "calibrate --latency /nowhere.csv -o " + out,
  };
  for (const std::string& c : cases) {
    const outcome o = shell(c);
    EXPECT_EQ(o.status, 2) << c;
    EXPECT_EQ(std::count(o.text.begin(), o.text.end(), '\n'), 1) << c << "\n" << o.text;
    EXPECT_FALSE(fs::exists(out)) << c;
  }
}

TEST_F(pcie_bench_program, refuses_latency_files_with_a_wrong_row_and_writes_no_host) {
  std::istringstream good(text_of(latency));
  std::string heading, line;
  std::getline(good, heading);
  std::vector<std::string> rows;
  while (std::getline(good, line)) rows.push_back(line);
  ASSERT_GT(rows.size(), 20u);
  // Field 7 of the heading is the size, 16 the average in ns.
  const auto with = [](const std::string& row, std::size_t field, const std::string& value) {
    std::istringstream in(row);
    std::string out, part;
    for (std::size_t i = 1; std::getline(in, part, ','); ++i)
      out += (i == 1 ? "" : ",") + (i == field ? value : part);
    return out;
  };
  const std::string last = rows.back();
  const std::string wrong[] = {
      with(last, 7, "8.5"),   with(last, 7, "1e300"),  with(last, 7, "-64"), with(last, 7, "nan"),
      with(last, 7, "4e9"),   with(last, 16, "1e300"), with(last, 16, "-1"), with(last, 16, "nan"),
      with(last, 16, "fast"), rows[rows.size() - 2],   last + ",1"};
  const fs::path file = folder / "wrong.csv";
  for (const std::string& row : wrong) {
    std::ofstream out(file);
    out << heading << '\n';
    for (std::size_t i = 0; i + 1 < rows.size(); ++i) out << rows[i] << '\n';
    out << row << '\n';
    out.close();
    const outcome o = shell("calibrate --latency " + file.string() + " -o " + host);
    EXPECT_EQ(o.status, 2) << row;
    EXPECT_EQ(o.text.rfind(file.string() + ":" + std::to_string(rows.size() + 1) + ": ", 0), 0u) << o.text;
    EXPECT_EQ(std::count(o.text.begin(), o.text.end(), '\n'), 1) << o.text;
    EXPECT_FALSE(fs::exists(host)) << row;
  }
}

}  // namespace
