#include "tb/campaign/injector.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include "tb/campaign/fork_server.h"
#include "tb/platform/simulation.h"

namespace understudy::tb {

namespace {

constexpr int look_ms = 100;  // between two looks at the stop flag while nothing comes

// A flag that every process forked from here shares.
class shared_flag {
 public:
  shared_flag() {
    void* p =
        mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("shared memory: cannot be had");
    flag_ = new (p) std::atomic<bool>(false);
  }
  ~shared_flag() { munmap(flag_, sizeof *flag_); }
  shared_flag(const shared_flag&) = delete;
  shared_flag& operator=(const shared_flag&) = delete;
  std::atomic<bool>& get() { return *flag_; }

 private:
  std::atomic<bool>* flag_;
};

[[noreturn]] void serve(const scenario& s, const golden_run& golden,
                        const std::vector<injection_point>& points, const injector_options& options, int pipe,
                        const std::atomic<bool>& stop) {
  run_options run;
  run.captures = false;
  std::unique_ptr<fork_server> server;
  try {
    simulation sim(s, run);
    server = std::make_unique<fork_server>(sim, s, golden, points, options, pipe, stop);
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

// Messages until every process has closed its end.
void listen(int pipe, const std::function<void(const injector_message&)>& told, const std::atomic<bool>* stop,
            std::atomic<bool>& stop_all) {
  wire_message m;
  for (;;) {
    if (stop && stop->load()) stop_all = true;
    pollfd p{pipe, POLLIN, 0};
    if (poll(&p, 1, look_ms) <= 0) continue;
    const ssize_t n = read(pipe, &m, sizeof m);
    if (n < 0 && errno == EINTR) continue;
    if (n != static_cast<ssize_t>(sizeof m)) return;
    told(m.unpack());
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

void inject(const scenario& s, const golden_run& golden, const std::vector<injection_point>& points,
            const injector_options& options, const std::function<void(const injector_message&)>& told,
            const std::atomic<bool>* stop) {
  shared_flag stop_all;
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  const pid_t server = fork();
  if (server < 0) throw std::runtime_error("fork failed");
  if (server == 0) {
    close(ends[0]);
    serve(s, golden, points, options, ends[1], stop_all.get());
  }
  close(ends[1]);
  try {
    listen(ends[0], told, stop, stop_all.get());
  } catch (...) {
    stop_all.get() = true;
    close(ends[0]);
    kill(server, SIGTERM);  // its children end at their next word: nobody reads it
    wait_for(server);
    throw;
  }
  close(ends[0]);
  const int status = wait_for(server);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("the process that simulates the golden run's prefix died");
}

}  // namespace understudy::tb
