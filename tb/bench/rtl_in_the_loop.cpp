// How fast the Verilated DMA engine runs inside whole simulations, beside the bare model on the same inputs.
//
//   rtl_in_the_loop SCENARIO [KEY=VALUE ...]
//
// The scenario runs once with every input of adapter A's block recorded, not measured, and then as often as
// said below; bare runs and whole ones alternate. Cycles are those of all adapters, the
// twin's too.
#include <Vdma_engine_32.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <systemc>
#include <vector>

#include "model/cosim/dma_pins.h"
#include "model/cosim/rtl_harness.h"
#include "tb/platform/simulation.h"
#include "tb/scenario/load.h"

namespace understudy::tb {
namespace {

using top = Vdma_engine_32;
using pins = dma_inputs<top>;
constexpr int rounds = 5;

double seconds_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}

// Run `work`, which returns a figure, in a process of its own (SystemC elaborates once).
template <class F>
double in_a_child(F work) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const double v = work();
    const bool written = write(ends[1], &v, sizeof v) == sizeof v;
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  double v = 0;
  const bool answered = read(ends[0], &v, sizeof v) == sizeof v;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!answered || status != 0) throw std::runtime_error("a run does not hold");
  return v;
}

std::uint64_t cycles_of(platform& p) {
  std::uint64_t n = 0;
  for (const host_side* h : {&p.main, p.twin ? &*p.twin : nullptr})
    if (h)
      for (const slot& s : h->slots) n += s.device->dma.block()->cycles();
  return n;
}

// Cycles a wall-clock second of a whole simulation.
double whole(const scenario& s) {
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  const auto begin = std::chrono::steady_clock::now();
  if (!sim.run().held()) _exit(1);
  return static_cast<double>(cycles_of(sim.parts())) / seconds_since(begin);
}

// The same inputs, and nothing else of the harness.
double bare(const std::vector<std::uint8_t>& inputs) {
  rtl_harness<top> rtl;
  idle_dma_pins(rtl.pins(), 256, 512, 64);
  const std::size_t cycles = inputs.size() / sizeof(pins);
  pins now;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < cycles; ++i) {
    std::memcpy(&now, inputs.data() + i * sizeof now, sizeof now);
    now.give(rtl.pins());
    rtl.pins().clk_i = 0;
    rtl.pins().eval();
    rtl.pins().clk_i = 1;
    rtl.pins().eval();
  }
  return static_cast<double>(cycles) / seconds_since(begin);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

int measure(const std::string& file, const std::vector<std::string>& set) {
  const scenario s = load_scenario(file, set);
  std::vector<double> w, b;
  for (int i = 0; i < rounds; ++i) w.push_back(in_a_child([&] { return whole(s); }));
  std::vector<std::uint8_t> inputs;
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  sim.parts().main.slots[0].device->dma.block()->record(&inputs);
  if (!sim.run().held()) return 1;
  for (int i = 0; i < rounds; ++i) b.push_back(bare(inputs));
  std::printf("%s: %llu cycles; in the loop %.0f cycles/s, bare %.0f cycles/s: %.0f %%\n", file.c_str(),
              static_cast<unsigned long long>(cycles_of(sim.parts())), median(w), median(b),
              100 * median(w) / median(b));
  return 0;
}

}  // namespace
}  // namespace understudy::tb

int sc_main(int argc, char** argv) {
  if (argc < 2) return 2;
  std::vector<std::string> set{"adapter.rtl=[\"dma_engine\"]"};
  set.insert(set.end(), argv + 2, argv + argc);
  try {
    return understudy::tb::measure(argv[1], set);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rtl_in_the_loop: %s\n", e.what());
    return 1;
  }
}
int main(int argc, char** argv) {
  return sc_core::sc_elab_and_sim(argc, argv);
}
