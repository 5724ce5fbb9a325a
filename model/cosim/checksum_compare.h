// Lock-step comparison of two implementations of the checksum block.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "model/cosim/checksum_unit.h"

namespace understudy {

struct checksum_mismatch {
  std::string field;        // of checksum_result, the first that differs
  std::uint64_t cycle = 0;  // rtl.cycles() when the result was taken
  checksum_result rtl;
  checksum_result twin;
  std::string text;  // one line with all of it
};

// The frame through both units, in one mode; what differs first, or nothing.
std::optional<checksum_mismatch> compare_checksum(const frame_ref& frame, checksum_mode mode,
                                                  checksum_unit& rtl, checksum_unit& twin);

}  // namespace understudy
