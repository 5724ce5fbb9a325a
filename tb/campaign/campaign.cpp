#include "tb/campaign/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "model/core/rng.h"
#include "tb/campaign/golden.h"
#include "tb/campaign/injector.h"
#include "tb/campaign/mutants.h"
#include "tb/campaign/processes.h"
#include "tb/platform/run.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/report/sha256.h"
#include "tb/scenario/parameters.h"

namespace understudy::tb {

namespace {

using steady = std::chrono::steady_clock;
double seconds_since(steady::time_point t) {
  return std::chrono::duration<double>(steady::now() - t).count();
}

constexpr std::size_t shown_failures = 20;
constexpr double commit_seconds = 0.5;  // what a lost machine costs
constexpr unsigned rerun_samples = 8;  // injections that are run from the start to measure what forking saves

std::string config_hash(const campaign_plan& p) {
  std::string all = p.text;
  for (const auto& [key, value] : changed_parameters(p.base)) all += key + "=" + value + ";";
  return sha256(all);
}

golden_run checked_golden(const campaign_plan& p) {
  const golden_run g = run_golden(p.base);
  const std::string unfit = why_unfit(g, g.failed.empty() ? run_golden(p.base) : g);
  if (!unfit.empty()) throw scenario_error(p.path + ": " + unfit);
  return g;
}

// The points of the fault space that plan and shard select, in order.
std::vector<injection_point> select(const campaign_plan& p, const campaign_options& o, const golden_run& g) {
  std::vector<injection_point> space;
  if (p.mode == campaign_mode::torn_writes) {
    for (const torn_point& t : g.torn) space.push_back({t.event, t.landed});
  } else {
    for (std::uint64_t k = g.first_event; k <= g.events; ++k) space.push_back({k});
  }
  if (space.empty()) throw scenario_error(p.path + ": the fault space is empty");
  std::vector<injection_point> chosen;
  for (std::size_t i = 0; i < space.size(); i += p.stride)
    if (i / p.stride % o.shards == o.shard - 1) chosen.push_back(space[i]);
  return chosen;
}

campaign_identity identity_of(const campaign_plan& p, const golden_run& g) {
  campaign_identity id;
  const fault_class what = class_of(p.mode);
  const library_versions built = built_with();
  id.name = p.path;
  id.mode = name(p.mode);
  id.revision = source_revision();
  id.config = config_hash(p);
  id.toolchain = fmt::format("g++ {}, SystemC {}, Verilator {}, lwIP {}", __VERSION__, built.systemc,
                             built.verilator, built.lwip);
  id.seed = p.base.seed;
  id.scenario = p.scenario_path;
  id.model = what.model;
  id.site_path = what.site;
  id.site_kind = what.kind;
  id.first_event = g.first_event;
  id.golden_events = g.events;
  id.golden_hash = g.hash;
  if (!g.rests.empty())
    id.state_hash =
        std::stoull(sha256({reinterpret_cast<const char*>(g.rests.back().data()), g.rests.back().size() * 8})
                        .substr(0, 16),
                    nullptr, 16);
  id.golden_ps = g.sim_ps;
  id.golden_wall_s = static_cast<double>(g.wall_us) / 1e6;
  return id;
}

// What is left to do of `chosen`, with the control forks and the injections that run to the end: the same
// ones whatever was done before, and wherever the plan lies.
std::vector<injection_point> points_left(const campaign_plan& p, const std::vector<injection_point>& chosen,
                                         const result_store& store) {
  const auto done = store.done();
  const auto controlled = store.controlled();
  rng dice(p.base.seed, "campaign/" + std::filesystem::path(p.path).filename().string());
  std::vector<injection_point> points;
  for (injection_point x : chosen) {
    x.to_end = dice.chance(p.tail_share);
    const bool control = dice.chance(p.control_share);
    if (control && !controlled.contains(x.k)) points.push_back({x.k, 0, true, true});
    if (p.mode == campaign_mode::double_failure || !done.contains({x.k, x.param})) points.push_back(x);
  }
  return points;
}

// A line now and then: how many, how fast, how long still. Points are done in their order, so that the share
// of them that is behind us tells what is left.
class progress_meter {
 public:
  progress_meter(const campaign_options& o, std::uint64_t first, std::uint64_t last)
      : tell_(o.progress), first_(first), last_(last) {}
  void at(std::uint64_t k, std::uint64_t done) {
    if (!tell_) return;
    const double spent = seconds_since(began_);
    const double share =
        last_ > first_ ? static_cast<double>(k - first_) / static_cast<double>(last_ - first_) : 0;
    tell_(fmt::format("{:3.0f} %, {} injections, {:.0f} a second{}", share * 100, done,
                      static_cast<double>(done) / spent,
                      share > 0 ? fmt::format(", {:.0f} s left", spent * (1 - share) / share) : ""));
  }

 private:
  const std::function<void(const std::string&)>& tell_;
  std::uint64_t first_, last_;
  steady::time_point began_ = steady::now();
};

// What an injection costs when it is run alone from the start, in seconds.
double rerun_cost(const campaign_plan& p, const std::vector<injection_point>& points) {
  const auto begin = steady::now();
  unsigned n = 0;
  for (; n < rerun_samples && n < points.size(); ++n) {
    scenario s = p.base;
    fault_spec f;
    f.kind = "kill";
    f.when = fault_spec::trigger::at_event;
    f.at_event = points[points.size() * (2 * n + 1) / (2 * rerun_samples)].k;
    s.faults.push_back(f);
    in_processes(1, 1, 0, [&s](std::size_t) {
      run_options options;
      options.captures = false;
      return std::string(run_scenario(s, options).held() ? "held" : "failed");
    });
  }
  return n ? seconds_since(begin) / n : 0;
}

}  // namespace

std::uint64_t campaign_result::killed() const {
  return static_cast<std::uint64_t>(std::count_if(
      mutants.begin(), mutants.end(), [](const mutant_verdict& v) { return v.caught && v.clean; }));
}

bool campaign_result::held() const {
  return !stopped && not_allowed == 0 && inconclusive == 0 && control_mismatches == 0 &&
         tail_mismatches == 0 && killed() == mutants.size();
}

campaign_result run_campaign(const campaign_plan& p, const campaign_options& o) {
  campaign_result r;
  r.mode = p.mode;
  r.plan = p.path;
  const auto begin = steady::now();
  const std::filesystem::path out(o.out_dir);
  if (p.mode == campaign_mode::mutants) {
    run_mutants(p, o, r);
    r.wall_s = seconds_since(begin);
    r.files.push_back("junit.xml");
    write_whole((out / "junit.xml").string(), to_junit(r));
    return r;
  }

  if (o.progress) o.progress("golden run, twice");
  const golden_run g = checked_golden(p);
  r.scenario = p.scenario_path;
  r.golden_events = g.events - g.first_event + 1;
  r.rtl = g.rtl;
  const std::vector<injection_point> chosen = select(p, o, g);
  r.points = chosen.size();
  result_store store((out / "results.sqlite").string(), identity_of(p, g));
  r.files = {"results.sqlite", "junit.xml"};
  const auto done = store.done();
  r.resumed = done.size();
  const std::vector<injection_point> points = points_left(p, chosen, store);

  injector_options io;
  io.jobs = o.jobs;
  io.guard_seconds = p.guard_seconds;
  if (p.mode == campaign_mode::double_failure) {
    io.second_stride = p.second_stride;
    io.skip = [&done](std::uint64_t k, std::uint64_t j) { return done.contains({k, j}); };
  }
  if (p.mode == campaign_mode::liveness || p.mode == campaign_mode::safety) io.train = p.train;
  progress_meter meter(o, points.empty() ? 0 : points.front().k, points.empty() ? 0 : points.back().k);
  const auto injecting = steady::now();
  std::uint64_t fresh = 0;
  auto committed = injecting;
  inject(
      p.base, g, points, io,
      [&](const injector_message& m) {
        if (m.control) {
          store.add_control(m.result.k, m.control_equal);
          return;
        }
        ++fresh;
        store.add(m.result);
        if (seconds_since(committed) < commit_seconds) return;
        committed = steady::now();
        store.commit();
        meter.at(m.result.k, fresh);
      },
      o.stop);
  store.commit();
  const double injected_s = seconds_since(injecting);
  r.stopped = o.stop && o.stop->load();
  const store_totals t = store.totals();
  r.injections = t.injections;
  r.outcomes = t.outcomes;
  r.not_allowed = t.not_allowed;
  r.inconclusive = t.inconclusive;
  r.tail_checks = t.tail_checks;
  r.tail_mismatches = t.tail_mismatches;
  r.control_forks = t.control_forks;
  r.control_mismatches = t.control_mismatches;
  r.failures = store.failures(shown_failures);
  if (fresh) r.injections_per_wall_s = static_cast<double>(fresh) / injected_s;
  if (fresh && p.mode == campaign_mode::crash_points && !r.stopped) {
    const double alone = rerun_cost(p, chosen);
    r.speedup_over_rerun = alone * static_cast<double>(fresh) / (injected_s * o.jobs);
  }
  r.wall_s = seconds_since(begin);
  write_whole((out / "junit.xml").string(), to_junit(r));
  return r;
}

}  // namespace understudy::tb
