// A simulation in the test's own process, to be looked into and meddled with while it runs: once in a
// process.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tb/platform/configure.h"
#include "tb/platform/simulation.h"
#include "tb/scenario/load.h"

namespace understudy::tb {

struct inside {
  // `file`: below traces/scenarios; empty: defaults alone.
  explicit inside(const std::string& file, const std::vector<std::string>& settings)
      : s(load_scenario(file.empty() ? file : std::string(US_SOURCE_DIR) + "/traces/scenarios/" + file,
                        settings, checks_of_parts())),
        sim(s, options) {}

  // Nobody's application: remembers what it was told.
  struct bystander : stream_user {
    stream* on = nullptr;
    bool open = false, eof = false, closed = false;
    std::string error;
    picos opened_at = never, ended_at = never;
    void on_open() override {
      open = true;
      opened_at = now_ps();
    }
    void on_readable() override {}
    void on_writable() override {}
    void on_eof() override {
      eof = true;
      if (on) on->shutdown_write();
    }
    void on_closed() override { closed = true; }
    void on_error(const char* why) override {
      error = why;
      ended_at = now_ps();
    }
  };

  host_side& main() { return sim.parts().main; }
  // A server on `h` that takes every connection to `port` for `user`.
  static void serve(host_side& h, std::uint16_t port, bystander& user) {
    h.machine->post([&h, port, &user] {
      h.streams->listen(port, 16, true, [&user](stream& s, std::uint16_t) {
        user.on = &s;
        return &user;
      });
    });
  }
  static void connect(host_side& h, const ip_address& to, std::uint16_t port, std::uint16_t local,
                      bystander& user) {
    h.machine->post(
        [&h, to, port, local, &user] { user.on = h.streams->connect(to, port, local, true, user); });
  }

  scenario s;
  run_options options;
  simulation sim;
};

}  // namespace understudy::tb
