// A campaign from plan to verdict.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tb/campaign/plan.h"
#include "tb/campaign/store.h"
#include "tb/report/result.h"

namespace understudy::tb {

struct campaign_options {
  std::string out_dir;  // exists; results.sqlite, junit.xml go there
  unsigned jobs = 1;
  std::uint64_t shard = 1, shards = 1;                    // this one of so many, from 1
  std::function<void(const std::string& line)> progress;  // may be empty
  const std::atomic<bool>* stop = nullptr;
};

struct mutant_verdict {
  mutant_row row;
  bool caught = false;  // the named monitor fired
  bool clean = false;   // the same row without the mutant held
  std::string note;
};

struct campaign_result {
  campaign_mode mode = campaign_mode::crash_points;
  std::string plan;
  std::string scenario;             // not for mutants
  std::uint64_t golden_events = 0;  // crash points there are
  std::vector<rtl_block> rtl;       // of the golden run
  std::uint64_t points = 0;         // of the fault space that the plan and shard select
  std::uint64_t injections = 0;     // in the database, resumed ones included: each counts once
  std::uint64_t resumed = 0;
  std::uint64_t control_forks = 0, control_mismatches = 0;
  std::uint64_t tail_checks = 0, tail_mismatches = 0;
  std::uint64_t not_allowed = 0, inconclusive = 0;
  std::map<std::string, std::uint64_t> outcomes;
  double wall_s = 0;
  double injections_per_wall_s = 0;
  double speedup_over_rerun = 0;  // 0: not measured
  bool stopped = false;
  std::vector<std::string> failures;  // a line each, at most twenty: id, point, outcome, why
  std::vector<mutant_verdict> mutants;
  std::vector<std::string> files;

  std::uint64_t killed() const;
  // All that must hold held. A stopped campaign did not finish and so did not hold.
  bool held() const;
};

// Throws scenario_error (a golden run that fails or is not deterministic included), std::runtime_error
// (database, disk).
campaign_result run_campaign(const campaign_plan& p, const campaign_options& o);

std::string to_json(const campaign_result& r);
std::string summary_text(const campaign_result& r);
// JUnit: one case for a scenario and fault class.
std::string to_junit(const campaign_result& r);

}  // namespace understudy::tb
