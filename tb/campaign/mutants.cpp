#include "tb/campaign/mutants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tb/campaign/processes.h"
#include "tb/platform/run.h"

namespace understudy::tb {

namespace {

struct one_run {
  std::string scenario;
  std::vector<std::string> sets;
  bool operator==(const one_run&) const = default;
};

// "held" or "failed", and the monitors that fired.
std::string verdict_of(const one_run& r) {
  run_options options;
  options.captures = false;
  const run_result result = run_scenario(load_scenario(r.scenario, r.sets), options);
  std::string text = result.held() ? "held " : "failed ";
  for (const monitor_result& m : result.monitors)
    if (m.violations) text += m.id + " ";
  if (!result.held() && text == "failed ") text += result.reasons.empty() ? "" : result.reasons.front();
  return text;
}

}  // namespace

void run_mutants(const campaign_plan& p, const campaign_options& o, campaign_result& r) {
  std::vector<one_run> runs;
  const auto number = [&runs](one_run wanted) {
    const auto it = std::find(runs.begin(), runs.end(), wanted);
    if (it != runs.end()) return static_cast<std::size_t>(it - runs.begin());
    runs.push_back(std::move(wanted));
    return runs.size() - 1;
  };
  struct pair {
    const mutant_row* row;
    std::size_t with, without;
  };
  std::vector<pair> pairs;
  for (std::size_t i = o.shard - 1; i < p.mutants.size(); i += o.shards) {
    const mutant_row& row = p.mutants[i];
    one_run with{row.scenario, row.sets};
    const std::size_t without = number(with);
    with.sets.push_back("mutants=[\"" + row.mutant + "\"]");
    pairs.push_back({&row, number(std::move(with)), without});
  }
  if (o.progress) o.progress(fmt::format("{} mutants, {} runs", pairs.size(), runs.size()));
  const auto verdicts = in_processes(
      runs.size(), o.jobs, static_cast<unsigned>(std::ceil(p.guard_seconds)),
      [&runs](std::size_t i) { return verdict_of(runs[i]); }, o.stop);
  r.stopped = o.stop && o.stop->load();
  for (const pair& x : pairs) {
    const std::string& with = verdicts[x.with];
    const std::string& without = verdicts[x.without];
    if (with.empty() || without.empty()) continue;  // stopped before
    mutant_verdict v;
    v.row = *x.row;
    v.caught = with.find(x.row->monitor + " ") != std::string::npos && with.rfind("failed", 0) == 0;
    v.clean = without.rfind("held", 0) == 0;
    v.note = (v.caught ? "" : "with it: " + with + "; ") + (v.clean ? "" : "without it: " + without);
    r.mutants.push_back(v);
  }
}

}  // namespace understudy::tb
