#include "tb/campaign/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "model/abi/crc32c.h"
#include "model/core/rng.h"
#include "tb/campaign/golden.h"
#include "tb/campaign/injector.h"
#include "tb/campaign/mutants.h"
#include "tb/campaign/processes.h"
#include "tb/platform/run.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/scenario/parameters.h"

namespace understudy::tb {

namespace {

using steady = std::chrono::steady_clock;
double seconds_since(steady::time_point t) {
  return std::chrono::duration<double>(steady::now() - t).count();
}

constexpr std::size_t shown_failures = 20;
constexpr unsigned rerun_samples = 8;  // injections that are run from the start to measure what forking saves

std::string config_hash(const campaign_plan& p) {
  std::string all = p.text;
  for (const auto& [key, value] : changed_parameters(p.base)) all += key + "=" + value + ";";
  return fmt::format("{:08x}{:08x}", crc32c(all.data(), all.size()), crc32c(all.data(), all.size(), 1));
}

golden_run checked_golden(const campaign_plan& p) {
  const golden_run g = run_golden(p.base);
  if (!g.failed.empty()) throw scenario_error(p.path + ": the golden run does not hold: " + g.failed);
  const golden_run again = run_golden(p.base);
  if (again.hash != g.hash || again.events != g.events)
    throw scenario_error(p.path +
                         ": the golden run is not deterministic: a campaign on it would prove nothing");
  return g;
}

// The points of the fault space that plan and shard select, in order.
std::vector<std::uint64_t> select(const campaign_plan& p, const campaign_options& o, const golden_run& g) {
  std::vector<std::uint64_t> space = g.torn;
  if (p.mode != campaign_mode::torn_writes) {
    space.clear();
    for (std::uint64_t k = g.first_event; k <= g.events; ++k) space.push_back(k);
  }
  if (space.empty()) throw scenario_error(p.path + ": the fault space is empty");
  std::vector<std::uint64_t> chosen;
  for (std::size_t i = 0; i < space.size(); i += p.stride)
    if (i / p.stride % o.shards == o.shard - 1) chosen.push_back(space[i]);
  return chosen;
}

// What an injection costs when it is run alone from the start, in seconds.
double rerun_cost(const campaign_plan& p, const std::vector<std::uint64_t>& points) {
  const auto begin = steady::now();
  unsigned n = 0;
  for (; n < rerun_samples && n < points.size(); ++n) {
    scenario s = p.base;
    fault_spec f;
    f.kind = "kill";
    f.when = fault_spec::trigger::at_event;
    f.at_event = points[points.size() * (2 * n + 1) / (2 * rerun_samples)];
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
  r.golden_events = g.events - g.first_event + 1;
  const std::vector<std::uint64_t> chosen = select(p, o, g);
  r.points = chosen.size();

  campaign_identity id;
  id.name = p.path;
  id.mode = name(p.mode);
  id.revision = source_revision();
  id.config = config_hash(p);
  id.seed = p.base.seed;
  id.scenario = p.scenario_path;
  id.golden_events = g.events;
  id.golden_hash = g.hash;
  const std::string database = (out / "results.sqlite").string();
  result_store store(database, id);
  r.files = {"results.sqlite", "junit.xml"};
  const auto done = store.done();
  r.resumed = done.size();

  rng dice(p.base.seed, "campaign/" + p.path);
  std::vector<injection_point> points;
  for (const std::uint64_t k : chosen) {
    const bool to_end = dice.chance(p.tail_share);
    const bool control = dice.chance(p.control_share);
    if (control) points.push_back({k, true, true});
    if (p.mode == campaign_mode::double_failure || !done.count({k, 0})) points.push_back({k, false, to_end});
  }

  injector_options io;
  io.jobs = o.jobs;
  io.guard_seconds = p.guard_seconds;
  if (p.mode == campaign_mode::double_failure) {
    io.second_stride = p.second_stride;
    io.skip = [&done](std::uint64_t k, std::uint64_t j) { return done.count({k, j}) != 0; };
  }
  const auto injecting = steady::now();
  std::uint64_t fresh = 0;
  auto told = injecting;
  inject(
      p.base, g, points, io,
      [&](const injector_message& m) {
        if (m.control) {
          ++r.control_forks;
          r.control_mismatches += !m.control_equal;
          return;
        }
        ++fresh;
        const injection_result& i = m.result;
        store.add(i);
        if (i.to_end && i.rest_equal) ++r.tail_checks;
        r.tail_mismatches += m.tail_mismatch;
        r.inconclusive += i.what == outcome::n2_inconclusive;
        if (!i.allowed && r.failures.size() < shown_failures)
          r.failures.push_back(fmt::format("{} after event {}{}: {} {}", injection_id(id, i.k, i.j), i.k,
                                           i.j ? fmt::format(" and {} of the recovery", i.j) : "",
                                           code(i.what), i.why));
        if (seconds_since(told) < 0.5) return;
        told = steady::now();
        store.commit();
        if (!o.progress) return;
        const double rate = static_cast<double>(fresh) / seconds_since(injecting);
        const double left =
            p.mode == campaign_mode::double_failure || rate <= 0
                ? 0
                : static_cast<double>(points.size() - std::min<std::size_t>(points.size(), fresh)) / rate;
        o.progress(fmt::format("{} injections, {:.0f} a second{}", fresh, rate,
                               left > 0 ? fmt::format(", {:.0f} s left", left) : ""));
      },
      o.stop);
  store.commit();
  const double injected_s = seconds_since(injecting);
  r.stopped = o.stop && o.stop->load();
  r.injections = done.size() + fresh;
  r.outcomes = store.outcomes();
  r.not_allowed = store.not_allowed();
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
