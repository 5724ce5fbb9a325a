// A platform that another program drives: its clock, the sockets of its host, and frames on its wire.
#pragma once
#include <memory>
#include <utility>

#include "host_sw/sockets/sockets.h"
#include "model/core/event_log.h"
#include "tb/embed/emitted_frames.h"
#include "tb/embed/services.h"
#include "tb/monitors/monitor_set.h"
#include "tb/platform/failover_log.h"
#include "tb/platform/outside_port.h"
#include "tb/platform/platform.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Throws scenario_error for what an embedded platform cannot take.
void check_embedded(const scenario& s);

class embedded_platform {
 public:
  // `s` passes check_embedded(). Once in a process. What the model throws comes through every function that
  // lets time pass.
  explicit embedded_platform(scenario s);
  // Let the driver start; throws std::runtime_error if it does not.
  void start();

  // ---- time
  // Everything up to `t` (now or later), `t` included.
  void advance(picos t);
  // On to the next instant at which anything happens; false: nothing ever will.
  bool step();
  // On until `reached()` holds or `t` is reached.
  template <typename Condition>
  void advance_until(picos t, Condition reached) {
    while (!reached()) {
      if (tick()) continue;
      const picos next = next_instant();
      if (next > t || next == never) return t == never ? nothing_left() : advance(t);
      leap(next);
    }
  }

  // Run `call` on the host's CPU, after what waits there; returns its result when it has.
  template <typename Call>
  auto on_cpu(Call call) {
    decltype(call()) result{};
    bool done = false;
    const auto run = [&] {
      result = call();
      done = true;
    };
    platform_.main.machine->post([&run] { run(); });
    advance_until(never, [&] { return done; });
    return result;
  }
  host::sockets& sockets() { return *sockets_; }
  // Something happened on a socket since this was last asked.
  bool take_socket_news() { return std::exchange(socket_news_, false); }
  bool socket_news() const { return socket_news_; }

  // ---- wire
  void put_frame(frame_ref f, picos at) { port_.inject(std::move(f), at); }
  emitted_frames& emitted() { return emitted_; }

  // ---- adapters
  const host::driver& driver() const { return *driver_; }
  const platform& parts() const { return platform_; }
  const outside_world& outside() const { return outside_; }
  unsigned adapters() const { return static_cast<unsigned>(platform_.main.slots.size()); }
  // False: there is none of that number, or it is dead.
  bool kill(unsigned adapter);

  // ---- judgement
  const monitor_set* monitors() const { return monitors_.get(); }
  const event_log& log() const { return log_; }

 private:
  [[noreturn]] static void nothing_left();
  // One delta cycle of what is to happen now; false: nothing is.
  static bool tick();
  static picos next_instant();
  // To the instant `t`; everything before it happens.
  static void leap(picos t);

  const scenario s_;
  event_log log_;
  failover_log failovers_;
  host::driver* driver_ = nullptr;  // of the platform
  emitted_frames emitted_;
  outside_port port_;
  outside_world outside_;
  lwip_services services_;
  platform platform_;
  std::unique_ptr<host::sockets> sockets_;
  std::unique_ptr<monitor_set> monitors_;
  bool socket_news_ = false;
};

}  // namespace understudy::tb
