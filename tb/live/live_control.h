// What a user tells a running `understudy live`: signals and lines on standard input.
#pragma once
#include <poll.h>
#include <signal.h>

#include <string>
#include <string_view>
#include <vector>

namespace understudy::tb {

struct live_order {
  enum class kind : std::uint8_t { none, stop, kill, unknown };
  kind what = kind::none;
  std::string target;  // kill: "active", "A", "B", ...; unknown: the line
};

// "kill", "kill active", "kill A" (to P), "stop"; white space around words does not count.
live_order parse_order(std::string_view line);

// While it lives, SIGINT, SIGTERM (stop; a second one ends the program) and SIGUSR1 (kill the active adapter)
// arrive as orders, as do lines of standard input until its end; SIGTTIN and SIGPIPE are ignored.
class live_control {
 public:
  live_control();
  ~live_control();
  live_control(const live_control&) = delete;
  live_control& operator=(const live_control&) = delete;

  // Descriptors to poll for reading; then take() what they brought.
  std::vector<pollfd> descriptors() const;
  std::vector<live_order> take();

 private:
  void take_signals(std::vector<live_order>& orders);
  void take_lines(std::vector<live_order>& orders);

  int signals_ = -1;
  bool input_open_ = true;
  std::string line_;
  sigset_t before_;
  struct sigaction terminal_input_before_, broken_pipe_before_;
};

}  // namespace understudy::tb
