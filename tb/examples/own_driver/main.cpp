// Understudy's command line with another driver under it.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <systemc>
#include <vector>

#include "polling_driver.h"
#include "tb/cli/cli.h"
#include "tb/platform/run.h"

namespace tb = understudy::tb;

int sc_main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) words = {"run", SCENARIOS "/failover.toml", "--out", "results"};
  tb::cli_environment env;
  env.run = [](const tb::scenario& s, const tb::run_options& given) {
    tb::run_options options = given;
    options.software = [](understudy::host::hal& machine, const understudy::host::driver_config& config) {
      auto driver = std::make_unique<own::polling_driver>(machine, config);
      auto streams = std::make_unique<own::polling_streams>(*driver);
      return tb::host_software{std::move(driver), std::move(streams)};
    };
    return tb::run_scenario(s, options);
  };
  env.out = &std::cout;
  env.err = &std::cerr;
  return tb::run_cli(words, env);
}

int main(int argc, char** argv) {
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);
  return sc_core::sc_elab_and_sim(argc, argv);
}
