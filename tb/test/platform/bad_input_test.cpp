// What a user may get wrong: exit status 2, one line that names file and cause, nothing half-written.
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class bad_input : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    recorded_ = text_of(std::string(US_SOURCE_DIR) + "/traces/captures/mixed.pcapng");
    ASSERT_GT(recorded_.size(), 10000u);
  }
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  // Exit status 2, one line on standard error that has `words`, no file in the output folder.
  void expect_refused(const std::vector<std::string>& settings, const std::vector<std::string>& words) const {
    const fs::path out = folder_ / "out";
    std::string command = quoted(US_PROGRAM) + " run " + quoted(scenario_file("failover.toml")) +
                          " --json --out " + quoted(out.string());
    for (const std::string& s : settings) command += " --set " + quoted(s);
    const program_run r = shell(command, folder_ / "errors");
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.output, "");
    const std::string said = text_of(folder_ / "errors");
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    for (const std::string& w : words)
      EXPECT_NE(said.find(w), std::string::npos) << w << " is not in: " << said;
    EXPECT_TRUE(!fs::exists(out) || fs::is_empty(out));
  }
  void expect_capture_refused(const fs::path& capture) const {
    expect_refused({"workload.capture=\"" + capture.string() + "\""}, {capture.filename().string()});
  }
  fs::path folder_;
  std::string recorded_;
};

TEST_F(bad_input, a_capture_that_is_missing) {
  expect_capture_refused(folder_ / "nothing.pcapng");
}
TEST_F(bad_input, a_capture_that_is_empty) {
  expect_capture_refused(write("empty.pcapng", ""));
}
TEST_F(bad_input, a_capture_that_is_none) {
  expect_capture_refused(write("letter.pcapng", "Dear sir or madam, here are my packets.\n"));
}
TEST_F(bad_input, a_capture_that_is_truncated_at_any_place) {
  for (const std::size_t keep :
       {std::size_t{3}, std::size_t{20}, std::size_t{150}, recorded_.size() / 2 + 1, recorded_.size() - 1}) {
    SCOPED_TRACE(keep);
    expect_capture_refused(write("cut.pcapng", recorded_.substr(0, keep)));
  }
}
TEST_F(bad_input, a_capture_without_tcp) {
  // A classic pcap of one ARP frame.
  const unsigned char header[] = {0xd4, 0xc3, 0xb2, 0xa1, 2,    0,    4, 0, 0, 0, 0, 0,
                                  0,    0,    0,    0,    0xff, 0xff, 0, 0, 1, 0, 0, 0};
  const unsigned char record[] = {0, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 42, 0, 0, 0};
  std::string bytes(std::begin(header), std::end(header));
  bytes.append(std::begin(record), std::end(record));
  std::string frame(42, '\0');
  frame[12] = 8;
  frame[13] = 6;
  expect_capture_refused(write("arp.pcap", bytes + frame));
}
TEST_F(bad_input, a_capture_that_is_a_folder) {
  expect_capture_refused(folder_);
}

TEST_F(bad_input, an_output_folder_that_is_a_file) {
  const fs::path file = write("file", "x");
  const program_run r = shell(quoted(US_PROGRAM) + " run " + quoted(scenario_file("hello.toml")) + " --out " +
                                  quoted((file / "sub").string()),
                              folder_ / "errors");
  EXPECT_EQ(r.status, 2);
  const std::string said = text_of(folder_ / "errors");
  EXPECT_NE(said.find(file.string()), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(bad_input, an_output_folder_that_may_not_be_written) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const fs::path sealed = folder_ / "sealed";
  fs::create_directories(sealed);
  fs::permissions(sealed, fs::perms::owner_read | fs::perms::owner_exec);
  const program_run r = shell(quoted(US_PROGRAM) + " run " + quoted(scenario_file("hello.toml")) + " --out " +
                                  quoted(sealed.string()),
                              folder_ / "errors");
  fs::permissions(sealed, fs::perms::owner_all);
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(text_of(folder_ / "errors").find(sealed.string()), std::string::npos);
}

TEST_F(bad_input, a_disk_that_fills_up_leaves_nothing_half_written) {
  const fs::path disk = folder_ / "disk";
  fs::create_directories(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "a small file system needs root";
  for (const char* captures : {"on", "off"}) {
    const fs::path filler = disk / "filler";
    if (std::string(captures) == "off") {  // no room even for the result
      std::ofstream f(filler, std::ios::binary);
      const std::string block(4096, 'x');
      while (f.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
      }
    }
    const program_run r = shell(quoted(US_PROGRAM) + " run " + quoted(scenario_file("failover.toml")) +
                                    " --out " + quoted((disk / "out").string()) + " --captures " + captures,
                                folder_ / "errors");
    EXPECT_EQ(r.status, 2) << captures;
    const std::string said = text_of(folder_ / "errors");
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    EXPECT_NE(said.find(disk.string()), std::string::npos) << said;
    for (const char* file : {"result.json", "summary.txt", "capture.pcapng"})
      EXPECT_FALSE(fs::exists(disk / "out" / file)) << captures << ": " << file;
    fs::remove_all(disk / "out");
  }
  EXPECT_EQ(umount(disk.c_str()), 0);
}

TEST_F(bad_input, standard_output_that_is_full) {
  const program_run r =
      shell(quoted(US_PROGRAM) + " run " + quoted(scenario_file("hello.toml")) +
                " --json --captures off --out " + quoted((folder_ / "out").string()) + " > /dev/full",
            folder_ / "errors");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(text_of(folder_ / "errors").find("standard output"), std::string::npos);
}

}  // namespace
}  // namespace understudy::tb
