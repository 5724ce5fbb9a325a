#include "tb/report/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>

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

}  // namespace

void prepare_folder(const std::string& path) {
  std::error_code e;
  std::filesystem::create_directories(path, e);
  const int error = e ? e.value() : ENOTDIR;
  if (!std::filesystem::is_directory(path, e)) fail(path, "make the folder", error);
  if (::access(path.c_str(), W_OK | X_OK) != 0) fail(path, "write", errno);
}

void write_whole(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".partial";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) fail(path, "write", errno);
  int error = write_all(fd, text);
  if (::close(fd) != 0 && !error) error = errno;
  if (!error && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error) {
    ::unlink(temporary.c_str());
    fail(path, "write", error);
  }
}

void write_result(const std::string& out_dir, const run_result& r, std::string_view summary) {
  write_whole(out_dir + "/summary.txt", summary);
  write_whole(out_dir + "/result.json", to_json(r));
}

}  // namespace understudy::tb
