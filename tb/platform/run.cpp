#include "tb/platform/run.h"

#include "tb/platform/simulation.h"

namespace understudy::tb {

run_result run_scenario(const scenario& s, const run_options& options) {
  return simulation(s, options).run();
}

}  // namespace understudy::tb
