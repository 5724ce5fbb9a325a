// What tshark says of the packets of a capture.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace understudy::tb {

// One word of a shell's command.
inline std::string quoted(const std::string& s) {
  std::string q = "'";
  for (const char c : s) q += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return q + "'";
}

// Lines that tshark prints for the packets of `file` that match `filter`; `more`: which fields, say. That it
// cannot read the file, or does not understand the filter, fails the test.
inline std::vector<std::string> packets(const std::filesystem::path& file, const std::string& filter,
                                        const std::string& more = "") {
  const std::string command = "tshark -n -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE " + more +
                              " -r " + quoted(file.string()) + " -Y " + quoted(filter) + " 2>/dev/null";
  std::FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr) << command;
  if (!pipe) return {};
  std::string output;
  char part[65536];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) output.append(part, n);
  EXPECT_EQ(pclose(pipe), 0) << command;
  std::vector<std::string> lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace understudy::tb
