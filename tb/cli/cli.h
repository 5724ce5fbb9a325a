// The command line, without what it starts: a program or a test hands that in.
#pragma once
#include <atomic>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tb/platform/run.h"
#include "tb/scenario/load.h"

namespace understudy::tb {

// A monitor, for `understudy describe monitors`.
struct monitor_row {
  std::string_view id;
  std::string_view sentence;  // what it holds to, and the rule behind it
};

struct campaign_arguments;
struct merge_arguments;
struct replay_arguments;
struct explore_arguments;
struct live_arguments;
struct pcie_bench_arguments;
struct calibrate_arguments;

struct cli_environment {
  std::function<run_result(const scenario&, const run_options&)> run;
  // Commands of the campaign engine; empty: not offered.
  std::function<int(const campaign_arguments&, const cli_environment&)> campaign;
  std::function<int(const merge_arguments&, const cli_environment&)> merge;
  std::function<int(const replay_arguments&, const cli_environment&)> replay;
  // A grid of runs; empty: not offered.
  std::function<int(const explore_arguments&, const cli_environment&)> explore;
  // The model on a real network; empty: not offered.
  std::function<int(const live_arguments&, const cli_environment&)> live;
  // The card of pcie-bench on the bus; empty: not offered.
  std::function<int(const pcie_bench_arguments&, const cli_environment&)> pcie_bench;
  std::function<int(const calibrate_arguments&, const cli_environment&)> calibrate;
  load_checks checks;
  std::span<const monitor_row> monitors;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_terminal = false;             // colours
  bool err_is_terminal = false;             // progress line
  const std::atomic<bool>* stop = nullptr;  // set by Ctrl-C
};

inline constexpr int exit_held = 0;  // all that must hold held
inline constexpr int exit_failed =
    1;  // something did not, a fault was never activated, the deadline passed, Ctrl-C
inline constexpr int exit_bad_input = 2;  // usage, scenario, a file that cannot be read or written

// `args` without the program's name. Returns the exit status; throws nothing.
int run_cli(const std::vector<std::string>& args, const cli_environment& env);

}  // namespace understudy::tb
