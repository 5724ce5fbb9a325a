// The golden run of a campaign: what an injection is compared with, and the numbered points at which it can
// strike.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// The event at which TLP number `landed` + 1 of one write is on the wire and everything before it has left
// the adapter: death behind it tears the write there.
struct torn_point {
  std::uint64_t event = 0;
  std::uint64_t landed = 0;  // TLPs of the write that land, at least 1
};

struct golden_run {
  std::uint64_t first_event = 0;  // first crash point: the first event after the adapters' bring-up
  std::uint64_t events = 0;       // number of the last event
  std::uint64_t hash = 0;
  std::uint64_t sim_ps = 0;
  std::uint64_t wall_us = 0;
  std::vector<rtl_block> rtl;
  std::vector<std::vector<std::uint64_t>> rests;  // state at the rest of each phase
  std::vector<torn_point> torn;                   // every boundary inside a write
  std::string failed;                             // why the run did not hold; empty: it did
};

// Why no campaign can be built on two golden runs of one scenario: the first does not hold, or the second
// differs from it. Empty: one can.
std::string why_unfit(const golden_run& first, const golden_run& second);

// Runs the scenario without a fault in a process of its own. Throws std::runtime_error if that process dies.
golden_run run_golden(const scenario& s);

}  // namespace understudy::tb
