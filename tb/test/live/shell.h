// What a test of programs needs of the machine: files and commands.
#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace understudy::tb {

inline std::string text_of(const std::filesystem::path& p) {
  std::ifstream f(p, std::ios::binary);
  std::ostringstream t;
  t << f.rdbuf();
  return t.str();
}

// Standard output and exit status of a shell command.
struct shell_result {
  int status = -1;
  std::string output;
};
inline shell_result shell(const std::string& command) {
  shell_result r;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return r;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) r.output.append(part, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) r.status = WEXITSTATUS(status);
  return r;
}

}  // namespace understudy::tb
