#include "tb/platform/run.h"

#include <stdexcept>
#include <string>
#include <string_view>
#include <systemc>

#include "tb/platform/simulation.h"

namespace understudy::tb {

// SystemC turns whatever a process throws into a report of several lines; the message alone says what is
// wrong.
run_result run_scenario(const scenario& s, const run_options& options) {
  try {
    return simulation(s, options).run();
  } catch (const sc_core::sc_report& r) {
    const bool ours = std::string_view(r.get_msg_type()) == sc_core::SC_ID_SIMULATION_UNCAUGHT_EXCEPTION_;
    throw std::runtime_error((ours ? std::string() : r.get_msg_type() + std::string(": ")) + r.get_msg());
  }
}

}  // namespace understudy::tb
