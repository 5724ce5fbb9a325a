#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>

#include "tb/cli/commands.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/report/summary.h"
#include "tb/scenario/parameters.h"
#include "tb/scenario/quantity.h"

namespace understudy::tb {
namespace {

constexpr const char* default_out = "results";
constexpr auto progress_period = std::chrono::milliseconds(100);  // of wall time: what an eye follows
constexpr const char* clear_line = "\r\x1b[K";

// One line on a terminal, drawn again and again.
class progress_line {
 public:
  explicit progress_line(std::ostream& to) : to_(to) {}
  ~progress_line() {
    if (drawn_) to_ << clear_line << std::flush;
  }
  void show(double fraction, picos now) {
    const auto wall = std::chrono::steady_clock::now();
    if (drawn_ && wall - last_ < progress_period) return;
    last_ = wall;
    drawn_ = true;
    to_ << clear_line
        << fmt::format("{:3.0f} % of the bytes, {} simulated", std::clamp(fraction, 0.0, 1.0) * 100,
                       quantity_text(now / 1_us * 1_us, quantity::time))
        << std::flush;
  }

 private:
  std::ostream& to_;
  std::chrono::steady_clock::time_point last_;
  bool drawn_ = false;
};

void show_parameters(const scenario& s, std::ostream& to) {
  for (const auto& [key, value] : changed_parameters(s)) to << key << " = " << value << '\n';
}

run_result simulate(const scenario& s, run_options& options, const cli_environment& env) {
  if (!env.err_is_terminal) return env.run(s, options);
  progress_line line(*env.err);
  options.progress = [&line](double fraction, picos now) { line.show(fraction, now); };
  return env.run(s, options);
}

}  // namespace

int run_command(const run_arguments& a, const cli_environment& env) {
  scenario s = load_scenario(a.scenario, a.sets, env.checks);
  if (a.seed) s.seed = *a.seed;
  run_options options;
  options.out_dir = a.common.out.empty() ? default_out : a.common.out;
  options.captures = a.captures;
  options.bus_captures = a.bus_captures;
  options.waves = a.waves;
  options.timeline = a.timeline;
  options.stop = env.stop;
  options.verbosity = a.common.verbosity;
  prepare_folder(options.out_dir);
  if (a.common.verbosity) show_parameters(s, *env.err);

  run_result r = simulate(s, options, env);
  if (a.common.verbosity) *env.err << violations_text(r);
  add_origin(r, s);
  r.files.insert(r.files.begin(), {"result.json", "summary.txt"});
  write_result(options.out_dir, r, summary_text(r, s, options.out_dir, false));
  *env.out << (a.common.json ? to_json(r) : summary_text(r, s, options.out_dir, env.out_is_terminal))
           << std::flush;
  if (!*env.out) throw std::runtime_error("standard output: cannot write");
  return r.held() ? exit_held : exit_failed;
}

}  // namespace understudy::tb
