// One run of the platform against a real network: platform, applications, kills, and time that follows the
// wall clock.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/net/pcapng.h"
#include "tb/live/live.h"
#include "tb/live/live_apps.h"
#include "tb/live/live_control.h"
#include "tb/live/stall_meter.h"
#include "tb/monitors/monitor_set.h"
#include "tb/platform/event_printer.h"
#include "tb/platform/failover_log.h"
#include "tb/platform/outside_port.h"
#include "tb/platform/platform.h"

namespace understudy::tb {

class live_session {
 public:
  // All outlive it. Throws scenario_error.
  live_session(const scenario& s, const live_options& o, far_end& far);
  live_result run();

 private:
  void start();
  void loop();
  void finish();
  void let_resets_leave();
  // Simulate up to `t`, but not more than a slice with something in it at once. No frame waits afterwards.
  void advance(picos t);
  void take_in(far_end::arrival a);
  // What the far end has sent, so many frames at most.
  void take_arrivals();
  void sleep_until_needed();
  // Wait for the far end or for `others`, `longest` at most; their revents say what came.
  void wait(std::span<pollfd> others, wall_nanos longest);
  void obey(const live_order& o);
  void kill(const std::string& target);
  void kill_when_due(wall_nanos now);
  // Kill the adapter that serves. While the last one is dead and not yet replaced that waits.
  void kill_active();
  void kill_waiting();
  // One more in faults_, which has struck nobody yet.
  fault_result& note_kill(const std::string& target);
  bool serves() const;
  void report_recoveries();
  void report_pace(wall_nanos now);
  void report_fetches();
  void say(const std::string& line);
  void count();
  void judge();

  const scenario& s_;
  const live_options& options_;
  far_end& far_;
  live_result result_;
  event_log log_;
  failover_log failovers_;
  host::driver* driver_ = nullptr;  // of the platform
  outside_port port_;
  outside_world outside_;
  platform platform_;
  std::unique_ptr<live_apps> apps_;
  std::unique_ptr<monitor_set> monitors_;
  std::unique_ptr<event_printer> printer_;
  std::unique_ptr<pcapng_writer> capture_;
  stall_meter stalls_;
  live_control control_;
  pacer pacer_;
  std::vector<wall_nanos> kills_;  // still to come, from ready, the next one last
  std::size_t waiting_kills_ = 0;  // ordered, of the adapter that serves, and nobody does
  std::vector<fault_result> faults_;
  wall_nanos ready_at_ = 0;
  bool stop_ = false;
  std::size_t told_recoveries_ = 0;
  std::size_t told_fetches_ = 0;
  wall_nanos pace_told_at_ = 0;
  wall_nanos pace_told_ = 0;
  bool listening_ = false;
  std::string refused_;  // why the applications do not start
};

}  // namespace understudy::tb
