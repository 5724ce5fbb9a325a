#include "tb/live/live_control.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace understudy::tb {

live_order parse_order(std::string_view line) {
  std::vector<std::string> words;
  for (std::size_t at = line.find_first_not_of(" \t\r"); at != line.npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = line.find_first_not_of(" \t\r", end);
  }
  using enum live_order::kind;
  if (words.empty()) return {};
  if (words[0] == "stop" && words.size() == 1) return {stop, {}};
  if (words[0] == "kill" && words.size() == 1) return {kill, "active"};
  if (words[0] == "kill" && words.size() == 2) {
    const std::string& t = words[1];
    if (t == "active" || (t.size() == 1 && t[0] >= 'A' && t[0] <= 'P')) return {kill, t};
  }
  return {unknown, std::string(line)};
}

live_control::live_control() {
  sigset_t mine;
  sigemptyset(&mine);
  for (const int s : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&mine, s);
  sigprocmask(SIG_BLOCK, &mine, &before_);
  signals_ = signalfd(-1, &mine, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals_ < 0) throw std::runtime_error(std::string("signalfd: ") + std::strerror(errno));
  // Reading from a terminal in the background is an error then, instead of stopping the program.
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGTTIN, &ignore, &terminal_input_before_);
  // So is writing to a program that has gone: libslirp sends without MSG_NOSIGNAL.
  sigaction(SIGPIPE, &ignore, &broken_pipe_before_);
}

live_control::~live_control() {
  ::close(signals_);
  sigaction(SIGPIPE, &broken_pipe_before_, nullptr);
  sigaction(SIGTTIN, &terminal_input_before_, nullptr);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

std::vector<pollfd> live_control::descriptors() const {
  std::vector<pollfd> all{{signals_, POLLIN, 0}};
  if (input_open_) all.push_back({STDIN_FILENO, POLLIN, 0});
  return all;
}

std::vector<live_order> live_control::take() {
  std::vector<live_order> orders;
  take_signals(orders);
  if (input_open_) take_lines(orders);
  return orders;
}

void live_control::take_signals(std::vector<live_order>& orders) {
  signalfd_siginfo s;
  while (::read(signals_, &s, sizeof s) == sizeof s) {
    if (s.ssi_signo == SIGUSR1) {
      orders.push_back({live_order::kind::kill, "active"});
      continue;
    }
    orders.push_back({live_order::kind::stop, {}});
    sigset_t again;
    sigemptyset(&again);
    for (const int n : {SIGINT, SIGTERM}) {
      sigaddset(&again, n);
      signal(n, SIG_DFL);
    }
    sigprocmask(SIG_UNBLOCK, &again, nullptr);
  }
}

void live_control::take_lines(std::vector<live_order>& orders) {
  pollfd p{STDIN_FILENO, POLLIN, 0};
  if (::poll(&p, 1, 0) <= 0) return;
  char part[512];
  const auto n = ::read(STDIN_FILENO, part, sizeof part);
  if (n <= 0) {
    input_open_ = n < 0 && (errno == EINTR || errno == EAGAIN);
    return;
  }
  line_.append(part, static_cast<std::size_t>(n));
  for (std::size_t end; (end = line_.find('\n')) != line_.npos; line_.erase(0, end + 1)) {
    live_order o = parse_order(std::string_view(line_).substr(0, end));
    if (o.what != live_order::kind::none) orders.push_back(std::move(o));
  }
  if (line_.size() > sizeof part) line_.clear();
}

}  // namespace understudy::tb
