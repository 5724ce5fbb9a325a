#include "tb/report/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
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

TEST_F(files, behind_links_are_written_and_the_links_stay) {
  fs::create_directories(folder + "/far");
  write_whole(folder + "/far/a.txt", "old");
  fs::create_symlink("far/a.txt", folder + "/near");
  fs::create_symlink("near", folder + "/nearer");
  write_whole(folder + "/nearer", "new");
  EXPECT_EQ(content(folder + "/far/a.txt"), "new");
  fs::create_symlink("far/made.txt", folder + "/dangling");
  write_whole(folder + "/dangling", "made");
  EXPECT_EQ(content(folder + "/far/made.txt"), "made");
  for (const char* link : {"/near", "/nearer", "/dangling"})
    EXPECT_TRUE(fs::is_symlink(folder + link)) << link;
  fs::create_symlink("round", folder + "/round");
  EXPECT_EQ(error_of([&] { write_whole(folder + "/round", "x"); }),
            folder + "/round: cannot write: Too many levels of symbolic links");
}

TEST_F(files, that_are_no_regular_ones_are_written_where_they_are) {
  const std::string pipe = folder + "/pipe", link = folder + "/link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("pipe", link);
  const int end = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK);
  ASSERT_GE(end, 0);
  for (const std::string& path : {pipe, link}) {
    write_whole(path, "text");
    char read[8] = {};
    EXPECT_EQ(::read(end, read, sizeof read), 4);
    EXPECT_STREQ(read, "text");
    EXPECT_TRUE(fs::is_fifo(pipe));
  }
  ::close(end);
  EXPECT_TRUE(fs::is_symlink(link));
}

TEST_F(files, that_are_devices_stay_devices) {
  const std::string null = folder + "/null", full = folder + "/full";
  if (::mknod(null.c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0 ||
      ::mknod(full.c_str(), S_IFCHR | 0600, makedev(1, 7)) != 0)
    GTEST_SKIP() << "makes no devices without privileges";
  if (std::ofstream probe(null); !probe) GTEST_SKIP() << "the folder's file system has no devices";
  write_whole(null, "text");
  EXPECT_TRUE(fs::is_character_file(null));
  EXPECT_EQ(error_of([&] { write_whole(full, "x"); }), full + ": cannot write: No space left on device");
  EXPECT_TRUE(fs::is_character_file(full));
}

TEST_F(files, of_a_set_are_written_all_or_none) {
  const file_text both[] = {{folder + "/a", "new a"}, {folder + "/b", "new b"}};
  write_whole(folder + "/a", "old a");
  write_whole(folder + "/b", "old b");
  fs::create_symlink("/dev/full", folder + "/b.partial");
  EXPECT_EQ(error_of([&] { write_set(both); }), folder + "/b: cannot write: No space left on device");
  EXPECT_EQ(content(folder + "/a"), "old a");
  EXPECT_EQ(content(folder + "/b"), "old b");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 2);
  write_set(both);
  EXPECT_EQ(content(folder + "/a"), "new a");
  EXPECT_EQ(content(folder + "/b"), "new b");
  fs::remove(folder + "/b");
  fs::create_directories(folder + "/b");
  write_whole(folder + "/a", "old a");
  EXPECT_EQ(error_of([&] { write_set(both); }), folder + "/b: cannot write: Is a directory");
  EXPECT_EQ(content(folder + "/a"), "old a");
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
