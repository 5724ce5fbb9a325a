// What a campaign injects, and where: traces/campaigns/*.toml.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tb/campaign/fault_train.h"
#include "tb/scenario/load.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

enum class campaign_mode : std::uint8_t {
  crash_points,    // the active adapter dies after event k, for every k
  double_failure,  // and its substitute after event j of the recovery
  torn_writes,     // dies between two TLPs of one write, for every such boundary
  liveness,        // a bounded number of faults; everything goes on within a deadline of simulated time
  safety,          // faults until no adapter is left; what was done was right
  mutants,         // each deliberate defect is caught by the monitor that must catch it
};
const char* name(campaign_mode m);

// A row of a mutants plan.
struct mutant_row {
  std::string mutant;
  std::string monitor;            // must fire with the mutant; without it nothing may
  std::string scenario;           // path that opens from the working directory
  std::vector<std::string> sets;  // as --set
};

struct campaign_plan {
  std::string path;
  std::string text;  // of the file, for the identity of its injections
  campaign_mode mode = campaign_mode::crash_points;
  std::string scenario_path;
  std::vector<std::string> sets;
  scenario base;                    // scenario_path with sets
  std::uint64_t stride = 1;         // every stride-th point of the fault space
  std::uint64_t second_stride = 1;  // double_failure: every so many events of the recovery
  double control_share = 0.001;     // of the injections: un-injected forks that must equal the golden run
  double tail_share = 0.01;         // of the injections: run to the end although they could stop at a rest
  double guard_seconds = 30;        // of wall-clock time an injection may take; more is inconclusive
  train_options train;              // liveness, safety
  std::vector<mutant_row> mutants;
};

// What stands in a result beside the plan: class of its faults, and where they strike (faults.md).
struct fault_class {
  const char* model;
  const char* site;
  const char* kind;
};
fault_class class_of(campaign_mode m);

// Throws scenario_error with one line: file:line: key: what is wrong, what is allowed.
campaign_plan load_plan(const std::string& path, const load_checks& checks);

}  // namespace understudy::tb
