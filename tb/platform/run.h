// One simulation from a scenario to its result.
#pragma once
#include <atomic>
#include <functional>
#include <string>

#include "tb/platform/host_streams.h"
#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

struct run_options {
  std::string out_dir;        // exists; captures, waves and the timeline go there
  bool captures = true;       // a nanosecond capture of every link
  bool bus_captures = false;  // in it, with captures: the TLPs and descriptors of every adapter under test
  bool waves = false;
  bool timeline = false;
  // Called now and then with the share of the workload's bytes delivered (0 to 1) and the simulated time. May
  // be empty.
  std::function<void(double fraction, picos now)> progress;
  // Set by a signal handler: the run ends soon and returns what it has, with run_result::stopped. May be
  // null.
  const std::atomic<bool>* stop = nullptr;
  int verbosity = 0;
  // What runs on the host under test instead of our driver and sockets. May be empty.
  host_software_factory software;
};

// Elaborates and runs the platform: once in a process (SystemC elaborates once). Files it wrote are named in
// run_result::files. Throws scenario_error where the scenario cannot be built (a capture that is none),
// std::runtime_error with path and cause where the machine fails us.
run_result run_scenario(const scenario& s, const run_options& options);

}  // namespace understudy::tb
