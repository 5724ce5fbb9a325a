// Lock-step comparison of two implementations of the record coalescer.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "model/cosim/record_coalescer_unit.h"

namespace understudy {

enum class coalescer_op : std::uint8_t { configure, add, flushed, expire, oldest, next_deadline, reset };

struct coalescer_command {
  coalescer_op op = coalescer_op::oldest;
  hold_terms terms;          // configure
  std::uint32_t slot = 0;    // add, flushed
  std::uint64_t at = 0;      // add
  std::uint32_t length = 0;  // add
  std::uint64_t now = 0;     // add, expire
};

// What a command does not answer is as constructed.
struct coalescer_outcome {
  bool merges = false, flush = false;   // add
  held_amount amount;                   // flushed, without its cycles
  std::optional<std::uint32_t> slot;    // expire, oldest
  std::uint64_t deadline = hold_never;  // next_deadline
  std::uint32_t cycles = 0;             // as answered, or else as they went by
};
coalescer_outcome run_coalescer(record_coalescer_unit& unit, const coalescer_command& c);

struct coalescer_mismatch {
  std::string field;        // the first that differs
  std::uint64_t cycle = 0;  // rtl.cycles() after the command
  coalescer_outcome rtl, twin;
  std::string text;  // one line with all of it
};

// The command to both units; what differs first, or nothing. `seen`: the twin's outcome.
std::optional<coalescer_mismatch> compare_coalescer(const coalescer_command& c, record_coalescer_unit& rtl,
                                                    record_coalescer_unit& twin,
                                                    coalescer_outcome* seen = nullptr);

}  // namespace understudy
