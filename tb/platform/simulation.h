// One simulation: platform, workload, faults, monitors, from start to judgement.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "model/net/pcapng.h"
#include "tb/monitors/monitor_set.h"
#include "tb/platform/ack_latency.h"
#include "tb/platform/announce_latency.h"
#include "tb/platform/bus_tap.h"
#include "tb/platform/connections.h"
#include "tb/platform/delivery_latency.h"
#include "tb/platform/event_printer.h"
#include "tb/platform/failover_log.h"
#include "tb/platform/fault_schedule.h"
#include "tb/platform/phases.h"
#include "tb/platform/platform.h"
#include "tb/platform/queue_waits.h"
#include "tb/platform/run.h"
#include "tb/platform/single_dma.h"
#include "tb/platform/timeline.h"
#include "tb/platform/timeout_log.h"
#include "tb/workload/stall_log.h"

namespace understudy::tb {

// The connections that `s` asks for, with what each of them says: recorded, or made up; of made-up ones
// workload.active (all, if there are fewer), which the seed chooses, carry bytes. Throws scenario_error.
replay_set workload_of(const scenario& s);

class simulation {
 public:
  // `s` and `options` outlive this. Throws as run_scenario() does.
  simulation(const scenario& s, const run_options& options);
  // Once.
  run_result run();

  event_log& log() { return log_; }
  platform& parts() { return platform_; }
  const connections& workload() const { return connections_; }
  const failover_log& failovers() const { return failovers_; }
  // Everything of a phase of the first round has come to rest (a scenario with workload.phases). Called
  // outside every block.
  void on_rest(std::function<void(std::uint32_t phase)> f) { on_rest_ = std::move(f); }
  // The adapters are up; the workload begins.
  void on_started(std::function<void()> f) { on_started_ = std::move(f); }
  // What must be equal at a rest whatever happened before: stream offsets and states of every connection on
  // both sides, owned buffers, monitors; not epoch, adapter, times or sequence bases.
  std::vector<std::uint64_t> state_at_rest() const;
  // The adapter that serves, or `index`, dies now.
  void kill(unsigned index);
  // Make a fault happen now; the adapter that it struck, "none" if there was nobody to strike.
  std::string strike(const fault_spec& f);
  // Bytes and monitors as they stand; nothing else is filled in.
  run_result so_far() const;
  // Violations of all monitors so far.
  std::uint64_t violations() const;

 private:
  void start();
  void run_round();
  void close_down();
  void note_fault(unsigned index, std::uint64_t kind = 0);
  std::vector<fault_result> faults() const;
  bool stopped() const { return options_.stop && options_.stop->load(); }
  bool only_time_wait() const;
  bool nothing_left() const;
  // An adapter has died, and connection `i` had not asked to be saved.
  bool lost_by_choice(std::size_t i) const { return !marks_.empty() && connections_.lost_by_choice(i); }
  struct unfinished_ends {
    std::uint64_t count = 0;
    std::string first;  // described
    picos at = 0;
  };
  unfinished_ends unfinished() const;
  void judge();
  void count();
  byte_counts bytes() const;

  const scenario& s_;
  const run_options& options_;
  run_result result_;
  event_log log_;
  replay_set flows_;
  std::vector<bool> twin_;
  failover_log failovers_;
  platform platform_;
  stall_log stalls_;
  // Tells the monitors of the first byte that an application should not have got.
  class wrong_bytes final : public replay_observer {
   public:
    explicit wrong_bytes(std::unique_ptr<monitor_set>& monitors) : monitors_(monitors) {}
    void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) override;
    void on_finished(const replay_end&, picos) override {}

   private:
    std::unique_ptr<monitor_set>& monitors_;
    bool told_ = false;
  };
  wrong_bytes wrong_bytes_{monitors_};
  fault_schedule faults_;
  std::unique_ptr<monitor_set> monitors_;
  std::uint32_t open_phase_ = 0;
  connections connections_;
  std::unique_ptr<event_printer> printer_;
  std::unique_ptr<timeline> timeline_;
  std::unique_ptr<pcapng_writer> capture_;
  std::unique_ptr<bus_tap> bus_tap_;
  std::unique_ptr<timeout_log> timeouts_;
  std::unique_ptr<ack_latency> ack_latency_;
  std::unique_ptr<delivery_latency> delivery_latency_;
  std::unique_ptr<announce_latency> announce_latency_;
  struct mark {
    std::uint64_t retransmitted_bytes;
    timeout_counts timeouts;
  };
  std::vector<mark> marks_;
  unfinished_ends overdue_;  // at the deadline
  std::function<void(std::uint32_t)> on_rest_;
  std::function<void()> on_started_;
  std::unique_ptr<phases> phases_;
  std::unique_ptr<single_dma> single_dma_;
  std::unique_ptr<queue_waits> queue_waits_;
};

}  // namespace understudy::tb
