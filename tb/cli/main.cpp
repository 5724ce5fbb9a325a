// The program. main() stands in for libsystemc's own, so that SystemC's banner does not mix with error
// messages.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <systemc>
#include <vector>

#include "tb/cli/campaign_command.h"
#include "tb/cli/cli.h"
#include "tb/cli/explore_command.h"
#include "tb/cli/live_command.h"
#include "tb/cli/pcie_bench_command.h"
#include "tb/monitors/monitor_set.h"
#include "tb/platform/configure.h"

namespace {

std::atomic<bool> stop_wanted{false};

// The first Ctrl-C asks the run to stop, the second ends the program.
void stop_on_interrupt() {
  struct sigaction a = {};
  a.sa_handler = [](int) { stop_wanted = true; };
  a.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &a, nullptr);
}

}  // namespace

int sc_main(int argc, char** argv) {
  stop_on_interrupt();
  std::vector<understudy::tb::monitor_row> monitors;
  for (const auto& m : understudy::tb::monitor_sentences()) monitors.push_back({m.id, m.sentence});
  understudy::tb::cli_environment env;
  env.monitors = monitors;
  env.run = understudy::tb::run_scenario;
  env.campaign = understudy::tb::campaign_command;
  env.merge = understudy::tb::merge_command;
  env.replay = understudy::tb::replay_command;
  env.explore = understudy::tb::explore_command;
  env.live = understudy::tb::live_command;
  env.pcie_bench = understudy::tb::pcie_bench_command;
  env.calibrate = understudy::tb::calibrate_command;
  env.checks = understudy::tb::checks_of_parts();
  env.out = &std::cout;
  env.err = &std::cerr;
  env.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  env.err_is_terminal = isatty(STDERR_FILENO) == 1;
  env.stop = &stop_wanted;
  return understudy::tb::run_cli({argv + 1, argv + argc}, env);
}

int main(int argc, char** argv) {
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);
  return sc_core::sc_elab_and_sim(argc, argv);
}
