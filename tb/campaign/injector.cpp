#include "tb/campaign/injector.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <stdexcept>

#include "tb/platform/simulation.h"

namespace understudy::tb {

namespace {

// A message as it crosses the pipe: one write, below PIPE_BUF, so that messages never mix.
struct wire_message {
  std::uint64_t k, j, recovered_ps, end_event;
  std::uint32_t wall_us;
  std::uint8_t what, allowed, to_end, rest_equal, control, control_equal, tail_mismatch;
  char why[200];
};
static_assert(sizeof(wire_message) < 4096);

std::uint32_t since_us(std::chrono::steady_clock::time_point t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - t).count());
}

// The process that simulates, and every process forked off it.
class fork_server : public event_observer {
 public:
  fork_server(simulation& s, const golden_run& g, const std::vector<injection_point>& points,
              const injector_options& o, int pipe, const std::atomic<bool>* stop)
      : simulation_(s), golden_(g), points_(points), options_(o), pipe_(pipe), stop_(stop) {}

  void on_event(const event& e) override {
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

  void at_rest(std::uint32_t phase) {
    if (role_ != role::injection || rested_ || !recovered()) return;
    rested_ = true;
    const bool equal = phase < golden_.rests.size() && simulation_.state_at_rest() == golden_.rests[phase];
    rest_equal_ = equal;
    if (equal && !to_end_) {
      injection_result r = base();
      r.what = outcome::r2_recovered;
      report(r, false, false, false);
      _exit(0);
    }
  }

  // The simulation has ended, in whichever process this is.
  void ended(const run_result& r) {
    if (role_ == role::control) {
      injection_result i = base();
      report(i, true, r.held() && r.trace_hash == golden_.hash && r.events == golden_.events, false);
      _exit(0);
    }
    if (role_ == role::injection) {
      injection_result i = base();
      i.to_end = true;
      i.end_event = r.events;
      i.what = judge(r);
      if (!r.reasons.empty()) i.why = r.reasons.front();
      report(i, false, false, to_end_ && rest_equal_ && i.what != outcome::r2_recovered);
      _exit(0);
    }
    if (role_ == role::first_fault) _exit(0);
    while (!children_.empty()) reap();
  }

  [[noreturn]] void died(const char* why) {
    injection_result i = base();
    i.what = outcome::n1_model_error;
    i.why = why;
    report(i, role_ == role::control, false, false);
    _exit(0);
  }
  bool is_server() const { return role_ == role::server; }

 private:
  enum class role : std::uint8_t { server, injection, control, first_fault };
  struct child {
    std::uint64_t k, j;
    bool control;
  };

  bool stopped() const { return stop_ && stop_->load(); }
  bool recovered() const {
    return !simulation_.failovers().results().empty() && simulation_.failovers().settled() && strikes_ > 0 &&
           simulation_.failovers().results().size() >= strikes_;
  }

  injection_result base() const {
    injection_result i;
    i.k = k_;
    i.j = j_;
    i.to_end = to_end_;
    i.rest_equal = rest_equal_;
    i.end_event = simulation_.log().count();
    i.wall_us = since_us(began_);
    const auto& f = simulation_.failovers().results();
    if (!f.empty() && f.back().unblock && f.back().fault)
      i.recovered_ps = *f.back().unblock - *f.back().fault;
    return i;
  }

  static outcome judge(const run_result& r) {
    if (r.held()) return r.failovers.empty() ? outcome::m0_masked : outcome::r2_recovered;
    if (r.bytes.corrupted || r.bytes.duplicated) return outcome::s1_stream;
    for (const monitor_result& m : r.monitors)
      if (m.violations && m.id != "I-LV-1") return outcome::p1_violation;
    if (r.bytes.lost && r.connections.reset + r.connections.aborted == 0) return outcome::h1_hang;
    return outcome::a1_aborted;
  }

  void report(const injection_result& i, bool control, bool control_equal, bool tail_mismatch) {
    wire_message m{};
    m.k = i.k;
    m.j = i.j;
    m.recovered_ps = i.recovered_ps;
    m.end_event = i.end_event;
    m.wall_us = i.wall_us;
    m.what = static_cast<std::uint8_t>(i.what);
    // A crash is a fault of the set F: it may be masked or recovered, nothing else (docs/campaigns.md).
    m.allowed = i.what == outcome::m0_masked || i.what == outcome::r2_recovered;
    m.to_end = i.to_end;
    m.rest_equal = i.rest_equal;
    m.control = control;
    m.control_equal = control_equal;
    m.tail_mismatch = tail_mismatch;
    std::strncpy(m.why, i.why.c_str(), sizeof m.why - 1);
    if (write(pipe_, &m, sizeof m) != static_cast<ssize_t>(sizeof m)) _exit(3);
  }

  void fork_off(const injection_point& p) {
    if (stopped()) return;
    while (children_.size() >= options_.jobs) reap();
    const pid_t pid = fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid > 0) {
      children_[pid] = {p.k, 0, p.control};
      return;
    }
    become(p.control ? role::control : options_.second_stride ? role::first_fault : role::injection);
    k_ = p.k;
    to_end_ = p.to_end;
    if (!p.control) strike(simulation_.parts().main.driver->active_adapter());
  }

  void become(role r) {
    role_ = r;
    children_.clear();
    began_ = std::chrono::steady_clock::now();
    alarm(options_.guard_seconds);
  }

  void strike(unsigned adapter) {
    ++strikes_;
    simulation_.kill(adapter);
  }

  // In the process of a first fault: count the recovery's events, fork a second fault off at those wanted.
  void second_faults(const event& e) {
    if (e.kind == event_kind::recovery_step) {
      if (e.a == 7) _exit(0);  // RUNNING: the recovery is over
      substitute_ = static_cast<unsigned>(e.b);
      recovering_ = true;
    }
    if (!recovering_) return;
    const std::uint64_t j = ++j_;
    if (j % options_.second_stride != 0 || (options_.skip && options_.skip(k_, j))) return;
    alarm(options_.guard_seconds);
    const pid_t pid = fork();
    if (pid < 0) _exit(3);
    if (pid == 0) {
      become(role::injection);
      j_ = j;
      strike(substitute_);
      return;
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_death(k_, j, false, status);
  }

  void report_death(std::uint64_t k, std::uint64_t j, bool control, int status) {
    injection_result i;
    i.k = k;
    i.j = j;
    i.what = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? outcome::n2_inconclusive
                                                                : outcome::n1_model_error;
    i.why = WIFSIGNALED(status) ? std::string("the process ended by signal ") + strsignal(WTERMSIG(status))
                                : "the process ended with status " + std::to_string(WEXITSTATUS(status));
    report(i, control, false, false);
  }

  void reap() {
    int status = 0;
    const pid_t pid = wait(&status);
    if (pid < 0) {
      if (errno == EINTR) return;
      children_.clear();
      return;
    }
    const auto it = children_.find(pid);
    if (it == children_.end()) return;
    const child c = it->second;
    children_.erase(it);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_death(c.k, c.j, c.control, status);
  }

  simulation& simulation_;
  const golden_run& golden_;
  const std::vector<injection_point>& points_;
  const injector_options& options_;
  const int pipe_;
  const std::atomic<bool>* stop_;
  role role_ = role::server;
  std::size_t next_ = 0;
  std::map<pid_t, child> children_;
  std::uint64_t k_ = 0;
  std::uint64_t j_ = 0;
  std::uint64_t strikes_ = 0;
  bool to_end_ = false;
  bool rested_ = false;
  bool rest_equal_ = false;
  bool recovering_ = false;
  unsigned substitute_ = 0;
  std::chrono::steady_clock::time_point began_;
};

[[noreturn]] void serve(const scenario& s, const golden_run& golden,
                        const std::vector<injection_point>& points, const injector_options& options, int pipe,
                        const std::atomic<bool>* stop) {
  run_options run;
  run.captures = false;
  std::unique_ptr<fork_server> server;
  try {
    simulation sim(s, run);
    server = std::make_unique<fork_server>(sim, golden, points, options, pipe, stop);
    sim.log().subscribe(server.get());
    sim.on_rest([&](std::uint32_t phase) { server->at_rest(phase); });
    const run_result r = sim.run();
    server->ended(r);
  } catch (const std::exception& e) {
    if (server && !server->is_server()) server->died(e.what());
    std::fprintf(stderr, "understudy: %s\n", e.what());
    _exit(2);
  }
  _exit(0);
}

}  // namespace

void inject(const scenario& s, const golden_run& golden, const std::vector<injection_point>& points,
            const injector_options& options, const std::function<void(const injector_message&)>& told,
            const std::atomic<bool>* stop) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  const pid_t server = fork();
  if (server < 0) throw std::runtime_error("fork failed");
  if (server == 0) {
    close(ends[0]);
    serve(s, golden, points, options, ends[1], stop);
  }
  close(ends[1]);
  wire_message m;
  for (;;) {
    const ssize_t n = read(ends[0], &m, sizeof m);
    if (n < 0 && errno == EINTR) continue;
    if (n != static_cast<ssize_t>(sizeof m)) break;
    injector_message out;
    out.result = {m.k,
                  m.j,
                  static_cast<outcome>(m.what),
                  m.allowed != 0,
                  m.to_end != 0,
                  m.rest_equal != 0,
                  m.recovered_ps,
                  m.end_event,
                  m.wall_us,
                  m.why};
    out.control = m.control;
    out.control_equal = m.control_equal;
    out.tail_mismatch = m.tail_mismatch;
    told(out);
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(server, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("the process that simulates the golden run's prefix died");
}

}  // namespace understudy::tb
