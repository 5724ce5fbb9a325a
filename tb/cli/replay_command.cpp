#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "tb/campaign/campaign.h"
#include "tb/cli/campaign_command.h"
#include "tb/platform/simulation.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/report/summary.h"

namespace understudy::tb {

namespace {

// Kills the active adapter after event k and, for a double failure, its substitute after event j of the
// recovery.
class striker : public event_observer {
 public:
  striker(simulation& s, std::uint64_t k, std::uint64_t j) : simulation_(s), k_(k), j_(j) {}
  void on_event(const event& e) override {
    if (e.number == k_) simulation_.kill(simulation_.parts().main.driver->active_adapter());
    if (j_ == 0 || e.number <= k_ || done_) return;
    if (e.kind == event_kind::recovery_step) {
      recovering_ = true;
      substitute_ = static_cast<unsigned>(e.b);
    }
    if (recovering_ && ++count_ == j_) {
      done_ = true;
      simulation_.kill(substitute_);
    }
  }

 private:
  simulation& simulation_;
  std::uint64_t k_, j_;
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
  striker strike(sim, found.k, found.j);
  sim.log().subscribe(&strike);
  run_result r = sim.run();
  add_origin(r, plan.base);
  r.files.insert(r.files.begin(), {"result.json", "summary.txt"});
  const std::string head =
      fmt::format("replay       {} of {}: active adapter killed after event {}{}; was {}\n", a.id, found.mode,
                  found.k, found.j ? fmt::format(", substitute after event {} of the recovery", found.j) : "",
                  found.outcome) +
      (found.revision == r.revision
           ? ""
           : fmt::format("             recorded with revision {}, this is {}\n", found.revision, r.revision));
  const std::string summary = summary_text(r, plan.base, out, false);
  write_result(out, r, head + summary);
  *env.out << (a.common.json ? to_json(r) : head + summary) << std::flush;
  return r.held() ? exit_held : exit_failed;
}

}  // namespace understudy::tb
