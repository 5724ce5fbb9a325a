// Replaces a failed adapter: ACTIVE -> FENCING -> BLOCKED -> DRAINING -> REBUILDING -> LOADING -> IDENTITY ->
// RUNNING.
//
// A recovery runs from timers of its own. Up to the doorbell of LOADING it is one run of the driver's
// context, so that no application can change a connection between its rebuilding and its loading; then the
// substitute is polled until it has consumed what it was given. If it fails at any point it is fenced and
// drained like the first, and the next takes its place.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/driver/driver.h"
#include "host_sw/driver/ring_queue.h"

namespace understudy::host {

class device;
class driver_core;
struct connection;

class failover {
 public:
  explicit failover(driver_core& d) : d_(d) {}
  ~failover();
  failover(const failover&) = delete;
  failover& operator=(const failover&) = delete;

  // Adapter `a` has failed. Noted; the recovery starts from a timer. True if this is news.
  bool fail(unsigned a);
  // `a` was reported and its recovery has not begun.
  bool noted(unsigned a) const;
  recovery_state state() const { return state_; }
  driver_error condition() const { return condition_; }

 private:
  void run();
  // Look at the substitute: has it consumed what it was given, is it stuck?
  void poll();
  bool recovering() const { return state_ != recovery_state::active && state_ != recovery_state::running; }
  unsigned pick() const;
  void enter(recovery_state s);
  void recover(unsigned a);
  void detach();
  void drain();
  // Give the substitute everything that it needs. False: it does not answer.
  bool rebuild(device& b);
  void restore(device& b, connection& c);
  // Learn what it has consumed. False: it does not answer.
  bool look_at_head(device& b);
  void release_ports();
  void give_up(driver_error why);
  void poll_later();

  driver_core& d_;
  recovery_state state_ = recovery_state::active;
  driver_error condition_ = driver_error::none;
  ring_queue<unsigned> failures_;
  bool run_pending_ = false;
  unsigned from_ = driver::no_adapter;
  unsigned to_ = driver::no_adapter;
  std::vector<unsigned> undrained_;  // fenced, records not yet read
  std::vector<unsigned> held_;       // port down, frames held for a successor
  std::uint32_t mark_ = 0;         // the substitute is done when it has consumed everything before this index
  std::uint32_t consumed_ = 0;     // what it had consumed at the last look
  std::uint64_t progress_ns_ = 0;  // when that last moved
  std::uint64_t poll_timer_ = 0;
  std::uint64_t run_timer_ = 0;
};

}  // namespace understudy::host
