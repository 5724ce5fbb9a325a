// tshark as an independent reader of the captures that runs leave.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "tb/test/platform/packets.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {

inline bool tshark_is_installed() {
  return shell("tshark --version").status == 0;
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

// Fields of those packets of a run's capture that match `filter`, by the project's dissector.
inline std::vector<std::string> dissected(const program_run& r, const std::string& filter,
                                          const std::string& fields) {
  const std::string script = std::string(US_SOURCE_DIR) + "/traces/wireshark/understudy.lua";
  return packets(r.out / "capture.pcapng", filter,
                 "-X lua_script:" + quoted(script) + " -T fields " + fields);
}

}  // namespace understudy::tb
