#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <ostream>

#include "tb/campaign/campaign.h"
#include "tb/campaign/story.h"
#include "tb/cli/campaign_command.h"
#include "tb/platform/simulation.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/report/summary.h"

namespace understudy::tb {

namespace {

// Strikes as the injection did: at event k, and as its mode says behind it.
class striker : public event_observer {
 public:
  striker(simulation& s, const campaign_plan& p, const stored_injection& i)
      : simulation_(s), plan_(p), injection_(i), train_(s, p.train) {}
  void on_event(const event& e) override {
    if (e.number == injection_.k) {
      if (plan_.mode == campaign_mode::liveness || plan_.mode == campaign_mode::safety)
        train_.start(plan_.base.seed, injection_.k, [] {});
      else
        simulation_.kill(simulation_.parts().main.driver->active_adapter());
    }
    if (plan_.mode != campaign_mode::double_failure || e.number <= injection_.k || done_) return;
    if (e.kind == event_kind::recovery_step) {
      recovering_ = true;
      substitute_ = static_cast<unsigned>(e.b);
    }
    if (recovering_ && ++count_ == injection_.param) {
      done_ = true;
      simulation_.kill(substitute_);
    }
  }

 private:
  simulation& simulation_;
  const campaign_plan& plan_;
  const stored_injection& injection_;
  fault_train train_;
  std::uint64_t count_ = 0;
  unsigned substitute_ = 0;
  bool recovering_ = false, done_ = false;
};

std::string newest_database(const std::string& out) {
  namespace fs = std::filesystem;
  std::string best;
  fs::file_time_type when;
  for (const std::string& root : {out, std::string("results")}) {
    if (root.empty() || !fs::is_directory(root)) continue;
    for (const auto& e : fs::recursive_directory_iterator(root)) {
      if (e.path().filename() != "results.sqlite") continue;
      if (best.empty() || e.last_write_time() > when) {
        best = e.path().string();
        when = e.last_write_time();
      }
    }
    if (!best.empty()) return best;
  }
  throw std::runtime_error("no results.sqlite under " + (out.empty() ? "./results" : out + " or ./results") +
                           "; name one with --db");
}

// Of a file that a run wrote.
std::string kind_of(const std::string& file) {
  if (file.ends_with(".vcd")) return "waves";
  return std::filesystem::path(file).stem().string();
}

std::string what_was_injected(const stored_injection& i, campaign_mode mode) {
  switch (mode) {
    case campaign_mode::double_failure:
      return fmt::format(
          "the active adapter dies behind event {}, its substitute behind event {} of the recovery", i.k,
          i.param);
    case campaign_mode::torn_writes:
      return fmt::format("the active adapter dies behind event {}, {} TLP{} into a write", i.k, i.param,
                         i.param == 1 ? "" : "s");
    case campaign_mode::liveness:
    case campaign_mode::safety:
      return fmt::format("a train of faults from event {} on", i.k);
    default:
      return fmt::format("the active adapter dies behind event {}", i.k);
  }
}

// Without a limit of faults connections end: held is then that nothing wrong was done.
bool safe(const run_result& r) {
  for (const monitor_result& m : r.monitors)
    if (m.violations && !m.id.starts_with("I-LV-")) return false;
  return r.bytes.corrupted + r.bytes.duplicated == 0;
}

std::string fit(const std::string& line) {
  return line.size() <= summary_columns ? line : line.substr(0, summary_columns - 3) + "...";
}

}  // namespace

int replay_command(const replay_arguments& a, const cli_environment& env) {
  const std::string database = a.database.empty() ? newest_database(a.common.out) : a.database;
  const stored_injection found = find_injection(database, a.id);
  const campaign_plan plan = load_plan(found.plan, env.checks);
  const std::string out = a.common.out.empty() ? "results/" + a.id : a.common.out;
  prepare_folder(out);

  run_options options;
  options.out_dir = out;
  options.timeline = true;
  options.waves = true;
  options.stop = env.stop;
  simulation sim(plan.base, options);
  story tale(sim);
  striker strike(sim, plan, found);
  sim.log().subscribe(&tale);
  sim.log().subscribe(&strike);
  run_result r = sim.run();
  add_origin(r, plan.base);
  r.files.insert(r.files.begin(), {"result.json", "summary.txt"});

  const bool unlimited = plan.mode == campaign_mode::safety;
  const bool held = unlimited ? safe(r) : r.held();
  const std::string now = !held       ? "FAILED: " + (r.reasons.empty() ? "stopped" : r.reasons.front())
                          : unlimited ? "HELD: nothing wrong was done"
                                      : "HELD: every byte arrived once and in order";
  std::vector<std::string> lines{
      fmt::format("replay       {}: {}", a.id, what_was_injected(found, plan.mode))};
  if (found.revision != r.revision)
    lines.push_back(
        fmt::format("             recorded with revision {}, this is {}", found.revision, r.revision));
  for (const std::string& l : tale.lines(r)) lines.push_back(l);
  lines.push_back(fmt::format("outcome      recorded {}; now {}", found.outcome, now));
  for (const monitor_result& m : r.monitors)
    if (m.violations) lines.push_back(fmt::format("broken       {}: {}", m.id, m.first));
  if (plan.base.adapter.rtl.empty())
    lines.push_back("waves        none: no block of the plan's scenario is in RTL (adapter.rtl)");
  lines.push_back("next         open timeline.json in ui.perfetto.dev, capture.pcapng in Wireshark");
  std::string text;
  for (const std::string& l : lines) text += fit(l) + "\n";
  text += fmt::format("files        {}: {}\n", out, fmt::join(r.files, " "));
  write_result(out, r, text);
  std::vector<artifact> written;
  for (const std::string& f : r.files)
    written.push_back({kind_of(f), (std::filesystem::path(out) / f).string()});
  store_artifacts(database, a.id, written);
  *env.out << (a.common.json ? to_json(r) : text) << std::flush;
  return held ? exit_held : exit_failed;
}

}  // namespace understudy::tb
