#pragma once
#include <gtest/gtest.h>

#include "model/pcie/pcie_port.h"

namespace understudy::tb {

// A word of the port's own configuration space. Takes 5 us, which is long enough for it to be answered.
inline std::uint32_t port_word(pcie_port& port, std::uint32_t offset) {
  std::uint32_t value = 0;
  bool answered = false;
  port.port_cfg_read(offset, [&](std::uint32_t v) {
    value = v;
    answered = true;
  });
  sc_core::sc_start(to_sc(5_us));
  EXPECT_TRUE(answered);
  return value;
}

}  // namespace understudy::tb
