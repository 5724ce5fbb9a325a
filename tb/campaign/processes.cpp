#include "tb/campaign/processes.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <stdexcept>

namespace understudy::tb {

namespace {

struct running {
  std::size_t index;
  std::FILE* answer;
};

std::string text_of(std::FILE* f) {
  std::rewind(f);
  std::string text;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, f)) text.append(buffer, n);
  std::fclose(f);
  return text;
}

}  // namespace

std::vector<std::string> in_processes(std::size_t n, unsigned jobs, unsigned guard_seconds,
                                      const std::function<std::string(std::size_t)>& work,
                                      const std::atomic<bool>* stop, const std::function<void()>& begins) {
  std::vector<std::string> answers(n);
  std::map<pid_t, running> children;
  const auto reap = [&] {
    int status = 0;
    const pid_t pid = wait(&status);
    const auto child = children.find(pid);
    if (child == children.end()) return;
    std::string text = text_of(child->second.answer);
    if (WIFSIGNALED(status))
      text = WTERMSIG(status) == SIGALRM ? "error not finished within the guard's time"
                                         : "error the process died";
    answers[child->second.index] = text;
    children.erase(child);
  };
  for (std::size_t i = 0; i < n && !(stop && stop->load()); ++i) {
    while (children.size() >= jobs) reap();
    if (begins) begins();
    std::FILE* answer = std::tmpfile();
    if (!answer) throw std::runtime_error("temporary file: cannot be made");
    std::fflush(nullptr);
    const pid_t pid = fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid > 0) {
      children[pid] = {i, answer};
      continue;
    }
    if (guard_seconds) {
      std::signal(SIGALRM, SIG_DFL);
      alarm(guard_seconds);
    }
    try {
      const std::string text = work(i);
      std::fwrite(text.data(), 1, text.size(), answer);
    } catch (const std::exception& e) {
      std::fprintf(answer, "error %s", e.what());
    }
    std::fflush(answer);
    _exit(0);
  }
  while (!children.empty()) reap();
  return answers;
}

}  // namespace understudy::tb
