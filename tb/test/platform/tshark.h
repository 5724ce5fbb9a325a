// tshark as an independent reader of the captures that runs leave.
#pragma once
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tb/test/platform/program.h"

namespace understudy::tb {

inline bool tshark_is_installed() {
  return shell("tshark --version").status == 0;
}

// Lines that tshark prints for the packets of `file` that match `filter`; `more`: which fields, say.
inline std::vector<std::string> packets(const std::filesystem::path& file, const std::string& filter,
                                        const std::string& more = "") {
  const program_run r = shell("tshark -n -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE " + more +
                              " -r " + quoted(file.string()) + " -Y " + quoted(filter));
  EXPECT_EQ(r.status, 0) << filter;
  std::vector<std::string> lines;
  std::istringstream in(r.output);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The frames of one link alone: each passes two links, and twice it would be called a retransmission.
inline std::filesystem::path frames_of_link(const program_run& r, const std::string& name) {
  std::filesystem::path file = r.out / (name + ".pcapng");
  const program_run cut =
      shell("tshark -n -r " + quoted((r.out / "capture.pcapng").string()) + " -Y " +
            quoted("frame.interface_name == \"" + name + "\"") + " -w " + quoted(file.string()));
  EXPECT_EQ(cut.status, 0);
  return file;
}

}  // namespace understudy::tb
