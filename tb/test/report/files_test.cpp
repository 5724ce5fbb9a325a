#include "tb/report/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

std::string content(const std::string& path) {
  std::ifstream f(path);
  std::ostringstream t;
  t << f.rdbuf();
  return t.str();
}

template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "none";
}

class files : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string folder = ::testing::TempDir() + "files_test_folder";
};

TEST_F(files, are_replaced_whole_and_leave_nothing_beside_them) {
  const std::string path = folder + "/a.txt";
  write_whole(path, "first");
  write_whole(path, "second");
  EXPECT_EQ(content(path), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(files, that_cannot_be_written_are_named_with_the_cause) {
  const std::string path = folder + "/none/a.txt";
  EXPECT_EQ(error_of([&] { write_whole(path, "x"); }), path + ": cannot write: No such file or directory");
  fs::create_directories(folder + "/b");
  EXPECT_EQ(error_of([&] { write_whole(folder + "/b", "x"); }), folder + "/b: cannot write: Is a directory");
  EXPECT_FALSE(fs::exists(folder + "/b.partial"));
}

TEST_F(files, on_a_full_disk_leave_the_old_text) {
  const std::string path = folder + "/full.txt";
  write_whole(path, "old");
  fs::create_symlink("/dev/full", path + ".partial");
  EXPECT_EQ(error_of([&] { write_whole(path, "new"); }), path + ": cannot write: No space left on device");
  EXPECT_EQ(content(path), "old");
}

TEST_F(files, folder_is_made_with_parents_or_reused) {
  prepare_folder(folder + "/x/y");
  write_whole(folder + "/x/y/keep", "1");
  prepare_folder(folder + "/x/y");
  EXPECT_EQ(content(folder + "/x/y/keep"), "1");
  write_whole(folder + "/file", "1");
  EXPECT_EQ(error_of([&] { prepare_folder(folder + "/file"); }),
            folder + "/file: cannot make the folder: Not a directory");
  EXPECT_EQ(error_of([&] { prepare_folder(folder + "/file/z"); }),
            folder + "/file/z: cannot make the folder: Not a directory");
}

TEST_F(files, of_a_result_are_json_and_summary) {
  write_result(folder, run_result{}, "text\n");
  EXPECT_EQ(content(folder + "/summary.txt"), "text\n");
  EXPECT_EQ(content(folder + "/result.json"), to_json(run_result{}));
}

}  // namespace
}  // namespace understudy::tb
