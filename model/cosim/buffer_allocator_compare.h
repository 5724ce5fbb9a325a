// Lock-step comparison of two implementations of the buffer allocator.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "model/cosim/buffer_allocator_unit.h"

namespace understudy {

enum class allocator_op : std::uint8_t { configure, put, take, settle, give_back, reset, flip };

struct allocator_command {
  allocator_op op = allocator_op::take;
  unsigned group = 0;
  unsigned other = 0;       // configure: lender; give_back: from; flip: bit
  std::uint16_t quota = 0;  // configure
  pool_buffer buffer;       // put, give_back
  std::uint32_t n = 0;      // flip
};

// All that can be seen of a unit after a command.
struct allocator_outcome {
  taken_buffer answer;  // of reset: ok and its cycles. Of flip: ok or empty, and no cycles
  std::uint32_t free[US_GROUPS] = {};
  std::uint32_t out[US_GROUPS] = {};
  allocator_counters counters;
};
allocator_outcome run_allocator(buffer_allocator_unit& unit, const allocator_command& c);

struct allocator_mismatch {
  std::string field;        // the first that differs
  std::uint64_t cycle = 0;  // rtl.cycles() after the command
  allocator_outcome rtl, twin;
  std::string text;  // one line with all of it
};

// The command to both units; what differs first, or nothing. `seen`: the twin's outcome.
std::optional<allocator_mismatch> compare_allocator(const allocator_command& c, buffer_allocator_unit& rtl,
                                                    buffer_allocator_unit& twin,
                                                    allocator_outcome* seen = nullptr);

}  // namespace understudy
