// The one queue behind all agendas: one SC_METHOD and one event for the whole model, so that an instant costs
// SystemC's scheduler one timed notification, however many blocks have something to do then. Where the model
// is all there is (pass_time()), instants at which SystemC itself has nothing to do cost it nothing.
#pragma once
#include <cstdint>
#include <memory>
#include <systemc>
#include <utility>
#include <vector>

#include "model/core/inplace_function.h"
#include "model/core/units.h"
#include "model/sim/instant_queue.h"

namespace understudy {

class agenda;

namespace detail {
// SystemC's clock: it stays where it is for the life of a process.
inline const sc_core::sc_time& kernel_time = sc_core::sc_get_curr_simcontext()->time_stamp();
// How far the action that runs is ahead of it.
inline picos ahead = 0;
}  // namespace detail
// Simulated time now, as plain picoseconds (every platform keeps SystemC's default resolution of 1 ps).
// As sc_time_stamp(), without a call into the library, and right inside pass_time() too.
inline picos now_ps() {
  return detail::kernel_time.value() + detail::ahead;
}
inline sc_core::sc_time to_sc(picos t) {
  return sc_core::sc_time::from_value(t);
}
// Let `d` picoseconds pass, as sc_start(d) does, with the same order of all actions and of the threads that
// in_step() wakes. SystemC's clock stands still while actions run at instants before whatever else it has to
// do; so this is for platforms in which nobody asks sc_time_stamp() (a report of SystemC does), and whose
// actions notify events of SystemC inside in_step() alone. One that does so by itself while it is ahead ends
// the simulation ("pass_time", fatal), unless by a notification with a delay, which comes too early. Called
// by none of SystemC's processes.
void pass_time(picos d);

class agenda_queue : public sc_core::sc_module {
 public:
  // The queue of this process; made by the first call, which must come during elaboration. Never destroyed.
  static agenda_queue& shared();

  template <typename F>
  void enter(const agenda& owner, picos t, F&& a) {
    if (const picos now = now_ps(); t < now) t = now;
    const std::uint32_t slot = take_slot();
    at(slot).emplace(std::forward<F>(a));
    owners_[slot] = &owner;
    queue_.enter(t, slot);
    if (t < armed_) arm(t);
  }
  // Forget everything of `owner`.
  void drop(const agenda& owner);

 private:
  friend void pass_time(picos d);
  template <typename F>
  friend void in_step(F notify);
  using action = inplace_function<void(), 72>;
  static constexpr std::uint32_t chunk_slots = 64;

  explicit agenda_queue(const sc_core::sc_module_name& name);
  SC_HAS_PROCESS(agenda_queue);

  action& at(std::uint32_t slot) { return chunks_[slot / chunk_slots][slot % chunk_slots]; }
  std::uint32_t take_slot() {
    if (free_.empty()) grow();
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void grow();
  void forget(std::uint32_t slot) {
    at(slot).reset();
    free_.push_back(slot);
  }
  void arm(picos t) {
    armed_ = t;
    // An earlier notification takes the place of a later one (IEEE 1666 5.10.8).
    wake_.notify(to_sc(t - detail::kernel_time.value()));
  }
  void run();
  // Run what is due now.
  void take_due();
  // The instant at which SystemC has something to do next.
  static picos next_of_systemc();

  sc_core::sc_event wake_{"wake"};
  instant_queue queue_;                            // of slots
  std::vector<std::unique_ptr<action[]>> chunks_;  // by slot; actions stay where they are while they run
  std::vector<const agenda*> owners_;              // by slot
  std::vector<std::uint32_t> free_;
  picos armed_ = never;           // instant of the next run; 0 during one, which arms itself at its end
  picos until_ = 0;               // SystemC's clock may stand still before this instant
  std::vector<action> deferred_;  // of in_step(): to be called when it has come up
};

// Call `notify`, which notifies an event of SystemC without a delay, while SystemC's clock says now_ps(): at
// once, or behind the actions of this instant if these are ahead of it.
template <typename F>
void in_step(F notify) {
  if (detail::ahead) {
    agenda_queue::shared().deferred_.emplace_back().emplace(std::move(notify));
  } else {
    notify();
  }
}

}  // namespace understudy
