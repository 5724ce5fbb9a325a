// The golden run of a campaign: what an injection is compared with, and the numbered points at which it can
// strike.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

struct golden_run {
  std::uint64_t first_event = 0;  // first crash point: the first event after the adapters' bring-up
  std::uint64_t events = 0;       // number of the last event
  std::uint64_t hash = 0;
  std::uint64_t sim_ps = 0;
  std::uint64_t wall_us = 0;
  std::vector<std::vector<std::uint64_t>> rests;  // state at the rest of each phase
  std::vector<std::uint64_t>
      torn;            // events after which a write is torn: one TLP of it is on the wire, not the first
  std::string failed;  // why the run did not hold; empty: it did
};

// Runs the scenario without a fault in a process of its own. Throws std::runtime_error if that process dies.
golden_run run_golden(const scenario& s);

}  // namespace understudy::tb
