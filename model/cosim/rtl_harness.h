// Runs one Verilated model: the one place that knows the order of its life. Context and seed, construction,
// trace, reset, run, final. Single-threaded and without state outside itself, but for the name of the model
// that Verilator has at hand, so that it survives fork().
#pragma once
#include <verilated.h>
#include <verilated_vcd_c.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace understudy {

// Verilator's library takes the context of much that it does from a global place, not from the model: to be
// set before each call into a model. Null: the library's own context. Defined beside the Verilated models,
// which are built without sanitizers of undefined behaviour, because those find fault with Verilator's
// header.
void set_rtl_context(VerilatedContext* context);
// The same, where it is another one than before.
inline VerilatedContext* entered_rtl_context = nullptr;
inline void enter_rtl_context(VerilatedContext* context) {
  if (context == entered_rtl_context) return;
  entered_rtl_context = context;
  set_rtl_context(context);
}

// Top: a class made by `verilator --cc` whose module has clk_i and a synchronous rst_ni. Traced: made with
// --trace as well.
//
// A cycle is two calls: settle() with the inputs of the cycle, after which its outputs can be read, then
// edge(). Inputs may change only before settle(). The clock stands still between calls.
template <class Top, bool Traced = false>
class rtl_harness {
 public:
  static constexpr std::uint32_t reset_cycles = 4;

  // `seed` (1 to 2^31 - 1) fills whatever the RTL does not reset, so that a use before definition shows as a
  // difference between seeds and yet every run is the same.
  // The inputs other than clock and reset are random, too, until driven: drive all of them before the first
  // settle().
  explicit rtl_harness(std::uint32_t seed = 1, const std::string& vcd_path = {}) {
    enter_rtl_context(&context_);  // a new context has put itself in the global place
    context_.threads(1);           // by default a pool of them is made for each context
    context_.randReset(2);
    context_.randSeed(static_cast<int>(seed));
    if constexpr (Traced) context_.traceEverOn(true);
    top_ = std::make_unique<Top>(&context_, "top");
    if constexpr (Traced) {
      if (!vcd_path.empty()) open_trace(vcd_path);
    }
    top_->rst_ni = 0;
    for (std::uint32_t i = 0; i < reset_cycles; ++i) {
      settle();
      edge();
    }
    top_->rst_ni = 1;
  }
  rtl_harness(const rtl_harness&) = delete;
  rtl_harness& operator=(const rtl_harness&) = delete;
  ~rtl_harness() {
    enter_rtl_context(&context_);
    top_->final();
    if constexpr (Traced) close_trace();
    top_.reset();
    enter_rtl_context(nullptr);
  }

  Top& pins() { return *top_; }

  // A failed assertion of the RTL throws std::logic_error from settle() or edge(); the model is of no more
  // use then.
  //
  // The half of the cycle before the clock's edge: what is combinational follows the inputs.
  void settle() {
    top_->clk_i = 0;
    evaluate();
  }
  void edge() {
    top_->clk_i = 1;
    evaluate();
    ++cycles_;
  }
  // Clock cycles evaluated, reset included.
  std::uint64_t cycles() const { return cycles_; }

  // From here on every change goes to `vcd_path`, at one time unit a half cycle. Throws std::runtime_error,
  // naming the path, if it cannot be written. Open it on the far side of a fork(): two processes must not
  // share the file.
  void open_trace(const std::string& vcd_path) requires Traced {
    std::FILE* probe = std::fopen(vcd_path.c_str(), "w");
    if (!probe) throw std::runtime_error(vcd_path + ": " + std::strerror(errno));
    std::fclose(probe);
    trace_ = std::make_unique<VerilatedVcdC>();
    top_->trace(trace_.get(), 99);
    trace_->open(vcd_path.c_str());
  }
  // What was traced is complete in the file after this.
  void close_trace() requires Traced {
    if (trace_) trace_->close();
    trace_.reset();
  }

 private:
  void evaluate() {
    enter_rtl_context(&context_);
    top_->eval();
    if constexpr (Traced) {
      if (trace_) trace_->dump(context_.time());
      context_.timeInc(1);
    }
  }

  VerilatedContext context_;
  std::unique_ptr<Top> top_;
  std::unique_ptr<VerilatedVcdC> trace_;
  std::uint64_t cycles_ = 0;
};

}  // namespace understudy
