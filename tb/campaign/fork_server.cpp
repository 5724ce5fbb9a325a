#include "tb/campaign/fork_server.h"

#include <fmt/format.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace understudy::tb {

namespace {

const train_options no_train;

std::uint32_t since_us(std::chrono::steady_clock::time_point t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - t).count());
}

bool is_liveness(const std::string& monitor) {
  return monitor.starts_with("I-LV-");
}

std::string first_invariant(const std::vector<monitor_result>& monitors, bool safety_only) {
  for (const monitor_result& m : monitors)
    if (m.violations && !(safety_only && is_liveness(m.id))) return m.id;
  return {};
}

outcome judge(const run_result& r) {
  if (r.held()) return r.failovers.empty() ? outcome::m0_masked : outcome::r2_recovered;
  if (r.bytes.corrupted || r.bytes.duplicated) return outcome::s1_stream;
  for (const monitor_result& m : r.monitors)
    if (m.violations && m.id != "I-LV-1") return outcome::p1_violation;
  if (r.bytes.lost && r.connections.reset + r.connections.aborted == 0) return outcome::h1_hang;
  return outcome::a1_aborted;
}

// Of what was done, nothing may have been wrong; what was not done is not judged.
void judge_safety(const run_result& r, injection_result& i) {
  i.bytes_dup = r.bytes.duplicated;
  i.invariant = first_invariant(r.monitors, true);
  i.what = outcome::a1_aborted;
  i.why = "no adapter is left";
  if (r.bytes.corrupted || r.bytes.duplicated) {
    i.what = outcome::s1_stream;
    i.why = fmt::format("{} bytes corrupted, {} duplicated", r.bytes.corrupted, r.bytes.duplicated);
  } else if (!i.invariant.empty()) {
    i.what = outcome::p1_violation;
    for (const monitor_result& m : r.monitors)
      if (m.id == i.invariant) i.why = m.id + ": " + m.first;
  } else if (r.held()) {
    i.what = outcome::r2_recovered;
    i.why.clear();
  }
}

}  // namespace

wire_message wire_message::pack(const injector_message& from) {
  const injection_result& i = from.result;
  wire_message m{};
  m.k = i.k;
  m.param = i.param;
  m.trigger_ps = i.trigger_ps;
  m.n_faults = i.n_faults;
  m.detect_ps = i.detect_ps.value_or(none);
  m.recovered_ps = i.recovered_ps.value_or(none);
  m.bytes_lost = i.bytes_lost;
  m.bytes_dup = i.bytes_dup;
  m.bytes_resent = i.bytes_resent;
  m.conns_hit = i.conns_hit;
  m.converged_at = i.converged_at.value_or(none);
  m.end_event = i.end_event;
  m.end_hash = i.end_hash;
  m.wall_us = i.wall_us;
  m.worker = i.worker;
  m.rc = i.rc;
  m.what = static_cast<std::uint8_t>(i.what);
  m.allowed = i.allowed;
  m.to_end = i.to_end;
  m.rest_equal = i.rest_equal;
  m.control = from.control;
  m.control_equal = from.control_equal;
  i.invariant.copy(m.invariant, sizeof m.invariant - 1);
  i.why.copy(m.why, sizeof m.why - 1);
  return m;
}

injector_message wire_message::unpack() const {
  const auto optional = [](std::uint64_t v) {
    return v == none ? std::nullopt : std::optional<std::uint64_t>(v);
  };
  injector_message m;
  injection_result& i = m.result;
  i.k = k;
  i.param = param;
  i.what = static_cast<outcome>(what);
  i.allowed = allowed != 0;
  i.to_end = to_end != 0;
  i.rest_equal = rest_equal != 0;
  i.trigger_ps = trigger_ps;
  i.n_faults = n_faults;
  i.detect_ps = optional(detect_ps);
  i.recovered_ps = optional(recovered_ps);
  i.bytes_lost = bytes_lost;
  i.bytes_dup = bytes_dup;
  i.bytes_resent = bytes_resent;
  i.conns_hit = conns_hit;
  i.converged_at = optional(converged_at);
  i.end_event = end_event;
  i.end_hash = end_hash;
  i.wall_us = wall_us;
  i.worker = worker;
  i.rc = rc;
  i.invariant = invariant;
  i.why = why;
  m.control = control != 0;
  m.control_equal = control_equal != 0;
  return m;
}

fork_server::fork_server(simulation& s, const scenario& of, const golden_run& g,
                         const std::vector<injection_point>& points, const injector_options& o, int pipe,
                         const std::atomic<bool>& stop)
    : simulation_(s),
      scenario_(of),
      golden_(g),
      points_(points),
      options_(o),
      pipe_(pipe),
      stop_(stop),
      train_(s, o.train ? *o.train : no_train) {}

void fork_server::on_event(const event& e) {
  switch (role_) {
    case role::server:
      while (role_ == role::server && next_ < points_.size() && points_[next_].k == e.number)
        fork_off(points_[next_++]);  // a child comes back here in another role
      break;
    case role::first_fault:
      second_faults(e);
      break;
    default:
      break;
  }
}

bool fork_server::recovered() const {
  if (options_.train) return train_.over();
  const failover_log& f = simulation_.failovers();
  return strikes_ > 0 && f.results().size() >= strikes_ && f.settled();
}

void fork_server::at_rest(std::uint32_t phase) {
  if (role_ != role::injection || rested_ || !recovered()) return;
  rested_ = true;
  if (phase >= golden_.rests.size() || simulation_.state_at_rest() != golden_.rests[phase]) return;
  converged_at_ = simulation_.log().count();
  if (to_end_) return;
  injection_result r = base();
  r.what = outcome::r2_recovered;
  report(r);
  _exit(0);
}

void fork_server::ended(const run_result& r) {
  if (role_ == role::control) {
    report(base(), true, r.held() && r.trace_hash == golden_.hash && r.events == golden_.events);
    _exit(0);
  }
  if (role_ == role::injection) {
    injection_result i = base();
    i.to_end = true;
    i.end_event = r.events;
    i.bytes_lost = r.bytes.lost;
    i.bytes_dup = r.bytes.duplicated;
    if (options_.train && options_.train->unlimited()) {
      judge_safety(r, i);
    } else {
      i.what = judge(r);
      i.invariant = first_invariant(r.monitors, false);
      if (!r.reasons.empty()) i.why = r.reasons.front();
    }
    report(i);
    _exit(0);
  }
  if (role_ == role::first_fault) _exit(0);
  while (!children_.empty()) reap();
}

void fork_server::died(const char* why) {
  injection_result i = base();
  i.what = outcome::n1_model_error;
  i.why = why;
  report(i, role_ == role::control);
  _exit(0);
}

// The deadline of a fault train. Bounded faults: a rest must have been reached. Unlimited ones: what was
// done until now must have been right, that is all.
void fork_server::deadline_passed() {
  injection_result i = base();
  run_result r = simulation_.so_far();
  r.stopped = true;
  judge_safety(r, i);
  if (i.what == outcome::a1_aborted && !options_.train->unlimited()) {
    i.what = outcome::h1_hang;
    i.why = fmt::format("no rest within {} ms of the last fault", options_.train->deadline / 1_ms);
  }
  report(i);
  _exit(0);
}

injection_result fork_server::base() const {
  injection_result i;
  i.k = k_;
  i.param = param_;
  i.to_end = to_end_;
  i.rest_equal = converged_at_ != 0;
  if (converged_at_) i.converged_at = converged_at_;
  i.trigger_ps = trigger_;
  i.n_faults = options_.train ? train_.strikes() : strikes_;
  i.end_event = simulation_.log().count();
  i.end_hash = simulation_.log().hash();
  i.wall_us = since_us(began_);
  i.worker = worker_;
  if (simulation_.parts().lwip)
    i.bytes_resent = simulation_.parts().lwip->count().retransmitted_bytes - resent_before_;
  const auto& f = simulation_.failovers().results();
  if (f.empty()) return i;
  i.conns_hit = f.front().connections;
  if (f.front().detect) i.detect_ps = *f.front().detect - trigger_;
  if (f.back().unblock) i.recovered_ps = *f.back().unblock - trigger_;
  return i;
}

void fork_server::report(injection_result i, bool control, bool control_equal) {
  // A crash is a fault of the set F: it may be masked or recovered, nothing else; without a limit of faults
  // connections may end (docs/campaigns.md).
  i.allowed = i.what == outcome::m0_masked || i.what == outcome::r2_recovered ||
              (i.what == outcome::a1_aborted && options_.train && options_.train->unlimited());
  const wire_message m = wire_message::pack({std::move(i), control, control_equal});
  if (write(pipe_, &m, sizeof m) != static_cast<ssize_t>(sizeof m)) _exit(3);
}

void fork_server::report_death(const child& c, int status) {
  const bool by_signal = WIFSIGNALED(status);
  injection_result i;
  i.k = c.k;
  i.param = c.param;
  i.worker = c.worker;
  i.rc = static_cast<std::uint32_t>(by_signal ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  const bool guard = by_signal && WTERMSIG(status) == SIGALRM;
  i.what = guard ? outcome::n2_inconclusive : outcome::n1_model_error;
  i.why = guard       ? fmt::format("not finished within the guard's {} s", options_.guard_seconds)
          : by_signal ? std::string("the process ended by signal ") + strsignal(WTERMSIG(status))
                      : fmt::format("the process ended with status {}", i.rc);
  report(i, c.control);
}

void fork_server::fork_off(const injection_point& p) {
  if (stop_) return;
  while (children_.size() >= options_.jobs) reap();
  std::uint32_t worker = 0;
  while (std::any_of(children_.begin(), children_.end(),
                     [worker](const auto& c) { return c.second.worker == worker; }))
    ++worker;
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) {
    children_[pid] = {p.k, p.param, p.control, worker};
    return;
  }
  worker_ = worker;
  become(p.control ? role::control : options_.second_stride ? role::first_fault : role::injection);
  k_ = p.k;
  param_ = p.param;
  to_end_ = p.to_end;
  trigger_ = now_ps();
  if (simulation_.parts().lwip) resent_before_ = simulation_.parts().lwip->count().retransmitted_bytes;
  if (p.control) return;
  if (options_.train)
    train_.start(scenario_.seed, k_, [this] {
      if (options_.train->unlimited() || !rested_) deadline_passed();
    });
  else
    strike(simulation_.parts().main.driver->active_adapter());
}

void fork_server::become(role r) {
  role_ = r;
  children_.clear();
  began_ = std::chrono::steady_clock::now();
  std::signal(SIGALRM, SIG_DFL);
  arm_guard();
}

void fork_server::arm_guard() const {
  double whole = 0;
  const double part = std::modf(options_.guard_seconds, &whole);
  const itimerval t{{0, 0}, {static_cast<time_t>(whole), static_cast<suseconds_t>(part * 1e6)}};
  setitimer(ITIMER_REAL, &t, nullptr);
}

void fork_server::strike(unsigned adapter) {
  ++strikes_;
  simulation_.kill(adapter);
}

// In the process of a first fault: count the recovery's events, fork a second fault off at those wanted.
void fork_server::second_faults(const event& e) {
  if (e.kind == event_kind::recovery_step) {
    if (static_cast<host::recovery_state>(e.a) == host::recovery_state::running) _exit(0);
    substitute_ = static_cast<unsigned>(e.b);
    recovering_ = true;
  }
  if (!recovering_) return;
  const std::uint64_t j = ++recovery_events_;
  if (j % options_.second_stride != 0 || (options_.skip && options_.skip(k_, j))) return;
  if (stop_) _exit(0);
  arm_guard();
  const pid_t pid = fork();
  if (pid < 0) _exit(3);
  if (pid == 0) {
    become(role::injection);
    param_ = j;
    strike(substitute_);
    return;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_death({k_, j, false, worker_}, status);
}

void fork_server::reap() {
  int status = 0;
  const pid_t pid = wait(&status);
  if (pid < 0) {
    if (errno != EINTR) children_.clear();
    return;
  }
  const auto it = children_.find(pid);
  if (it == children_.end()) return;
  const child c = it->second;
  children_.erase(it);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_death(c, status);
}

}  // namespace understudy::tb
