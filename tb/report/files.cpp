#include "tb/report/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace understudy::tb {
namespace {

[[noreturn]] void fail(const std::string& path, const char* doing, int error) {
  throw std::runtime_error(fmt::format("{}: cannot {}: {}", path, doing, std::strerror(error)));
}

// 0, or the error number.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// Where the text of one file goes.
struct destination {
  std::string path;  // behind all symbolic links
  bool in_place = false;
  std::string temporary() const { return path + ".partial"; }
};

// The place behind the links at `path`, which need not be there.
std::string behind_links(const std::string& path) {
  constexpr int most_links = 40;  // as Linux follows
  std::filesystem::path at = path;
  std::error_code e;
  for (int i = 0; std::filesystem::is_symlink(at, e); ++i) {
    if (i == most_links) fail(path, "write", ELOOP);
    const std::filesystem::path to = std::filesystem::read_symlink(at, e);
    if (e) fail(path, "write", e.value());
    at = at.parent_path() / to;
  }
  return at.string();
}

destination destination_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode)) {
    if (S_ISDIR(s.st_mode)) fail(path, "write", EISDIR);
    return {path, true};  // a link in /proc leads to no path
  }
  return {behind_links(path), false};
}

// 0, or the error number.
int write_file(const std::string& path, int flags, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (fd < 0) return errno;
  int error = write_all(fd, text);
  if (::close(fd) != 0 && !error) error = errno;
  return error;
}

}  // namespace

void prepare_folder(const std::string& path) {
  std::error_code e;
  std::filesystem::create_directories(path, e);
  const int error = e ? e.value() : ENOTDIR;
  if (!std::filesystem::is_directory(path, e)) fail(path, "make the folder", error);
  if (::access(path.c_str(), W_OK | X_OK) != 0) fail(path, "write", errno);
}

void write_set(std::span<const file_text> files) {
  std::vector<destination> to;
  to.reserve(files.size());
  for (const file_text& f : files) to.push_back(destination_of(f.path));
  std::vector<std::string> temporaries;  // that are there
  const auto give_up = [&](std::size_t at, int error) {
    for (const std::string& t : temporaries) ::unlink(t.c_str());
    fail(files[at].path, "write", error);
  };
  for (const bool in_place : {false, true})
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (to[i].in_place != in_place) continue;
      if (!in_place) temporaries.push_back(to[i].temporary());
      const int error = write_file(in_place ? to[i].path : to[i].temporary(),
                                   in_place ? 0 : O_CREAT | O_TRUNC, files[i].text);
      if (error) give_up(i, error);
    }
  for (std::size_t i = 0; i < files.size(); ++i)
    if (!to[i].in_place && std::rename(to[i].temporary().c_str(), to[i].path.c_str()) != 0) give_up(i, errno);
}

void write_whole(const std::string& path, std::string_view text) {
  const file_text one[] = {{path, std::string(text)}};
  write_set(one);
}

void write_result(const std::string& out_dir, const run_result& r, std::string_view summary) {
  const file_text both[] = {{out_dir + "/summary.txt", std::string(summary)},
                            {out_dir + "/result.json", to_json(r)}};
  write_set(both);
}

}  // namespace understudy::tb
