// Work at simulated times for one block: no thread, no process of its own, no allocation in steady state.
#pragma once
#include <systemc>
#include <utility>

#include "model/core/units.h"
#include "model/sim/agenda_queue.h"

namespace understudy {

// Runs callables at instants; those of one instant in the order in which they were entered, over all agendas.
// Made during elaboration or later; the first one of a process during elaboration.
class agenda {
 public:
  agenda() : queue_(agenda_queue::shared()) {}
  ~agenda() { clear(); }
  agenda(const agenda&) = delete;
  agenda& operator=(const agenda&) = delete;

  // Run `a` at instant `t`, which is now or later (an earlier one counts as now).
  template <typename F>
  void at(picos t, F&& a) {
    if (!closed_) queue_.enter(*this, t, std::forward<F>(a));
  }
  // Run `a` after `delay` picoseconds.
  template <typename F>
  void in(picos delay, F&& a) {
    at(now_ps() + delay, std::forward<F>(a));
  }
  // Have a thread of SystemC, which calls, wait for `delay` picoseconds: as wait(), whose order among others
  // at that instant SystemC leaves open (IEEE 1666 4.2.1.2), but in order of entry; for ever, if the agenda
  // is closed or is cleared meanwhile. `over` is the thread's own.
  void wait_for(picos delay, sc_core::sc_event& over) {
    in(delay, [&over] { understudy::in_step([&over] { over.notify(); }); });
    sc_core::wait(over);
  }
  // Drop everything that is entered. May be called from an action.
  void clear() { queue_.drop(*this); }
  // Drop everything and take nothing more: a module that has died does nothing. May be called from an action.
  void close() {
    clear();
    closed_ = true;
  }

 private:
  agenda_queue& queue_;
  bool closed_ = false;
};

}  // namespace understudy
