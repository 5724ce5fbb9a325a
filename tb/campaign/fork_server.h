// The process that simulates a campaign's golden run, and every process forked off it.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

#include "model/core/event_log.h"
#include "tb/campaign/injector.h"
#include "tb/platform/simulation.h"

namespace understudy::tb {

// A message as it crosses the pipe: one write, below PIPE_BUF, so that messages never mix.
struct wire_message {
  static constexpr std::uint64_t none = ~std::uint64_t{0};  // an optional that is empty
  std::uint64_t k, param, trigger_ps, n_faults, detect_ps, recovered_ps, bytes_lost, bytes_dup, bytes_resent,
      conns_hit, converged_at, end_event, end_hash;
  std::uint32_t wall_us, worker, rc;
  std::uint8_t what, allowed, to_end, rest_equal, control, control_equal;
  char invariant[16];
  char why[200];

  static wire_message pack(const injector_message& m);
  injector_message unpack() const;
};
static_assert(sizeof(wire_message) < 4096);

class fork_server : public event_observer {
 public:
  // All references outlive it. Messages go to `pipe`. Made during elaboration.
  fork_server(simulation& s, const scenario& of, const golden_run& g,
              const std::vector<injection_point>& points, const injector_options& o, int pipe,
              const std::atomic<bool>& stop);

  void on_event(const event& e) override;
  void at_rest(std::uint32_t phase);
  // The simulation has ended, in whichever process this is. Returns in the server alone.
  void ended(const run_result& r);
  // The model gave up, in a process forked off.
  [[noreturn]] void died(const char* why);
  bool is_server() const { return role_ == role::server; }

 private:
  enum class role : std::uint8_t { server, injection, control, first_fault };
  struct child {
    std::uint64_t k, param;
    bool control;
    std::uint32_t worker;
  };

  bool recovered() const;
  injection_result base() const;
  void report(injection_result i, bool control = false, bool control_equal = false);
  void report_death(const child& c, int status);
  [[noreturn]] void deadline_passed();
  void fork_off(const injection_point& p);
  void become(role r);
  void arm_guard() const;
  void strike(unsigned adapter);
  void second_faults(const event& e);
  void reap();

  simulation& simulation_;
  const scenario& scenario_;
  const golden_run& golden_;
  const std::vector<injection_point>& points_;
  const injector_options& options_;
  const int pipe_;
  const std::atomic<bool>& stop_;
  fault_train train_;
  role role_ = role::server;
  std::size_t next_ = 0;
  std::map<pid_t, child> children_;
  std::uint64_t k_ = 0;
  std::uint64_t param_ = 0;
  std::uint64_t strikes_ = 0;
  picos trigger_ = 0;
  std::uint64_t resent_before_ = 0;
  bool to_end_ = false;
  bool rested_ = false;
  std::uint64_t converged_at_ = 0;
  bool recovering_ = false;
  unsigned substitute_ = 0;
  std::uint64_t recovery_events_ = 0;
  std::uint32_t worker_ = 0;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace understudy::tb
