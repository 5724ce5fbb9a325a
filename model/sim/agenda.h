// Work at simulated times for one SystemC module: one event, one SC_METHOD, no thread, no allocation in
// steady state.
#pragma once
#include <algorithm>
#include <systemc>
#include <vector>

#include "model/core/inplace_function.h"
#include "model/core/units.h"

namespace understudy {

// Simulated time now, as plain picoseconds (every platform keeps SystemC's default resolution of 1 ps).
inline picos now_ps() {
  return sc_core::sc_time_stamp().value();
}
inline sc_core::sc_time to_sc(picos t) {
  return sc_core::sc_time::from_value(t);
}

// Runs callables at instants; those of one instant in the order in which they were entered.
class agenda : public sc_core::sc_module {
 public:
  using action = inplace_function<void(), 72>;

  explicit agenda(const sc_core::sc_module_name& name) : sc_module(name) {
    SC_METHOD(run);
    sensitive << wake_;
    dont_initialize();
    heap_.reserve(256);
  }
  SC_HAS_PROCESS(agenda);

  // Run `a` at instant `t`, which is now or later (an earlier one counts as now).
  void at(picos t, action a) {
    if (closed_) return;
    const picos now = now_ps();
    if (t < now) t = now;
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot] = std::move(a);
    heap_.push_back({t, ++order_, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
    if (!running_ && t < armed_) arm(t);
  }
  // Run `a` after `delay` picoseconds.
  void in(picos delay, action a) { at(now_ps() + delay, std::move(a)); }
  // Drop everything that is entered. May be called from an action.
  void clear() {
    for (const auto& e : heap_) {
      slots_[e.slot] = action{};
      free_.push_back(e.slot);
    }
    heap_.clear();
  }
  // Drop everything and take nothing more: a module that has died does nothing. May be called from an action.
  void close() {
    clear();
    closed_ = true;
  }
  bool idle() const { return heap_.empty(); }

 private:
  struct entry {
    picos at;
    std::uint64_t order;
    std::uint32_t slot;
  };
  static bool later(const entry& x, const entry& y) { return x.at != y.at ? x.at > y.at : x.order > y.order; }

  void arm(picos t) {
    armed_ = t;
    wake_.cancel();
    wake_.notify(to_sc(t - now_ps()));
  }
  void run() {
    running_ = true;
    armed_ = never;
    const picos now = now_ps();
    while (!heap_.empty() && heap_.front().at <= now) {
      const std::uint32_t slot = heap_.front().slot;
      std::pop_heap(heap_.begin(), heap_.end(), later);
      heap_.pop_back();
      action a = std::move(slots_[slot]);
      free_.push_back(slot);
      a();
    }
    running_ = false;
    if (!heap_.empty()) arm(heap_.front().at);
  }

  sc_core::sc_event wake_{"wake"};
  std::vector<entry> heap_;
  std::vector<action> slots_;
  std::vector<std::uint32_t> free_;
  std::uint64_t order_ = 0;
  picos armed_ = never;
  bool running_ = false;
  bool closed_ = false;
};

}  // namespace understudy
