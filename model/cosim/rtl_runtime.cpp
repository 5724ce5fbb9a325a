// What the harness and Verilator's library share of a process.
#include <verilated.h>

#include <filesystem>
#include <stdexcept>
#include <string>

#include "model/cosim/rtl_harness.h"

namespace understudy {

void set_rtl_context(VerilatedContext* context) {
  Verilated::threadContextp(context ? context : Verilated::defaultContextp());
}

}  // namespace understudy

// What a failed assertion of the RTL does (Verilator's default ends the process): throws std::logic_error
// with the place in rtl/. Verilator has printed the assertion's sentence by then.
void vl_stop(const char* filename, int line, const char*) {
  throw std::logic_error("rtl/" + std::filesystem::path(filename).filename().string() + ":" +
                         std::to_string(line) + ": assertion failed");
}
