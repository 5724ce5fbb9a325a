// How fast the Verilated DMA engine runs inside whole simulations, beside the bare model on the same inputs.
//
//   rtl_in_the_loop SCENARIO [KEY=VALUE ...]
//
// The scenario runs once with the inputs of each adapter's block recorded, the twin's too, not measured; then
// whole runs and bare ones alternate, each in a process of its own. Both evaluate the same cycles, twice
// each: counts that differ end the program. Wall clock and CPU time of either; the ratios are the medians of
// the rounds' ratios.
#include <Vdma_engine_32.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <systemc>
#include <vector>

#include "model/cosim/dma_pins.h"
#include "model/cosim/rtl_harness.h"
#include "tb/platform/simulation.h"
#include "tb/report/percentile.h"
#include "tb/scenario/load.h"

namespace understudy::tb {
namespace {

using top = Vdma_engine_32;
using pins = dma_inputs<top>;
constexpr std::size_t least_rounds = 5, most_rounds = 31;
constexpr double enough_s = 5;  // in the loop, all rounds together

// What a run took, and the cycles in it.
struct cost {
  double wall_s = 0, cpu_s = 0;
  std::uint64_t cycles = 0;
};

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

class stopwatch {
 public:
  cost stop(std::uint64_t cycles) const {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - wall_;
    return {wall.count(), cpu_seconds() - cpu_, cycles};
  }

 private:
  std::chrono::steady_clock::time_point wall_ = std::chrono::steady_clock::now();
  double cpu_ = cpu_seconds();
};

// Run `work`, which returns a cost, in a process of its own (SystemC elaborates once).
template <class F>
cost in_a_child(F work) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const cost v = work();
    const bool written = write(ends[1], &v, sizeof v) == sizeof v;
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  cost v;
  const bool answered = read(ends[0], &v, sizeof v) == sizeof v;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!answered || status != 0) throw std::runtime_error("a run does not hold");
  return v;
}

std::vector<dma_unit*> blocks_of(platform& p) {
  std::vector<dma_unit*> all;
  for (const host_side* h : {&p.main, p.twin ? &*p.twin : nullptr})
    if (h)
      for (const slot& s : h->slots) all.push_back(s.device->dma.block());
  return all;
}

std::uint64_t cycles_of(platform& p) {
  std::uint64_t n = 0;
  for (const dma_unit* b : blocks_of(p)) n += b->cycles();
  return n;
}

cost whole(const scenario& s) {
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  const stopwatch watch;
  if (!sim.run().held()) _exit(1);
  return watch.stop(cycles_of(sim.parts()));
}

// The inputs of each adapter's block, cycle by cycle, to the file, adapter by adapter: a count of bytes
// first.
cost recorded(const scenario& s, std::FILE* to) {
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  const std::vector<dma_unit*> blocks = blocks_of(sim.parts());
  std::vector<std::vector<std::uint8_t>> inputs(blocks.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) blocks[i]->record(&inputs[i]);
  if (!sim.run().held()) _exit(1);
  for (const auto& block : inputs) {
    const std::uint64_t bytes = block.size();
    if (std::fwrite(&bytes, sizeof bytes, 1, to) != 1 || std::fwrite(block.data(), 1, bytes, to) != bytes)
      _exit(1);
  }
  if (std::fflush(to) != 0) _exit(1);
  return {0, 0, cycles_of(sim.parts())};
}

std::vector<std::vector<std::uint8_t>> read_back(std::FILE* from) {
  std::vector<std::vector<std::uint8_t>> inputs;
  std::rewind(from);
  for (std::uint64_t bytes; std::fread(&bytes, sizeof bytes, 1, from) == 1;) {
    inputs.emplace_back(bytes);
    if (std::fread(inputs.back().data(), 1, bytes, from) != bytes)
      throw std::runtime_error("cannot read the recorded inputs");
  }
  return inputs;
}

// The same inputs, and nothing else of the harness.
cost bare(const std::vector<std::vector<std::uint8_t>>& inputs, std::uint32_t mps, std::uint32_t mrrs) {
  cost sum;
  for (const auto& block : inputs) {
    rtl_harness<top> rtl;
    idle_dma_pins(rtl.pins(), mps, mrrs, 64);
    const std::size_t cycles = block.size() / sizeof(pins);
    pins now;
    const stopwatch watch;
    for (std::size_t i = 0; i < cycles; ++i) {
      std::memcpy(&now, block.data() + i * sizeof now, sizeof now);
      now.give(rtl.pins());
      rtl.pins().clk_i = 0;
      rtl.pins().eval();
      rtl.pins().clk_i = 1;
      rtl.pins().eval();
    }
    const cost c = watch.stop(cycles);
    sum = {sum.wall_s + c.wall_s, sum.cpu_s + c.cpu_s, sum.cycles + c.cycles};
  }
  return sum;
}

int measure(const std::string& file, const std::vector<std::string>& set) {
  const scenario s = load_scenario(file, set);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> tape(std::tmpfile(), &std::fclose);
  if (!tape) throw std::runtime_error("cannot make a temporary file");
  in_a_child([&] { return recorded(s, tape.get()); });
  const auto inputs = read_back(tape.get());
  std::vector<double> loop_rate, bare_rate, wall, cpu;
  std::uint64_t cycles = 0;
  double spent_s = 0;
  while (wall.size() < least_rounds || (wall.size() < most_rounds && spent_s < enough_s)) {
    const cost w = in_a_child([&] { return whole(s); });
    const cost b = in_a_child([&] { return bare(inputs, 256, 512); });
    spent_s += w.wall_s;
    const auto loop_cycles = static_cast<double>(w.cycles), bare_cycles = static_cast<double>(b.cycles);
    cycles = w.cycles;
    if (w.cycles != b.cycles + inputs.size() * rtl_harness<top>::reset_cycles)
      throw std::runtime_error("whole and bare runs differ in their cycles");
    loop_rate.push_back(loop_cycles / w.wall_s);
    bare_rate.push_back(bare_cycles / b.wall_s);
    wall.push_back(loop_rate.back() / bare_rate.back());
    cpu.push_back(loop_cycles / w.cpu_s / (bare_cycles / b.cpu_s));
  }
  std::printf(
      "%s: %llu cycles; in the loop %.0f cycles/s, bare %.0f cycles/s: %.0f %%; of CPU time %.0f %%\n",
      file.c_str(), static_cast<unsigned long long>(cycles), percentile(loop_rate, 500),
      percentile(bare_rate, 500), 100 * percentile(wall, 500), 100 * percentile(cpu, 500));
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
