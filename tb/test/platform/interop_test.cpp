// The adapter against an independent TCP and against its own kind, whatever the wire does: bytes exact, every
// connection ends, nothing is left. US_WHOLE_MATRIX in the environment: every cell, else a few.
#include <cstdlib>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

struct trouble {
  const char* name;
  std::vector<std::string> settings;
  bool always;  // also in the short form
};

const trouble troubles[] = {
    {"clean", {}, true},
    {"loss_0_1", {R"(wire.impair="loss 0.1%")"}, false},
    {"loss_1", {R"(wire.impair="loss 1%")"}, true},
    {"loss_5", {R"(wire.impair="loss 5%")"}, false},
    {"loss_10", {R"(wire.impair="loss 10%")"}, false},
    {"reordering", {R"(wire.impair="delay 50us reorder 25%")"}, true},
    {"duplication", {R"(wire.impair="duplicate 10%")"}, false},
    {"corruption", {R"(wire.impair="corrupt 2%")"}, false},
    {"jitter", {R"(wire.impair="delay 200us 150us")"}, false},
    {"everything", {R"(wire.impair="loss 2% duplicate 2% corrupt 1% delay 100us 80us")"}, true},
    {"small_windows",
     {R"(memory.receive_buffer="2 KiB")", R"(memory.buffer_bytes="2 KiB")", R"(wire.impair="loss 1%")"},
     false},
    {"windows_that_shut",  // a host that copies slowly
     {R"(memory.receive_buffer="4 KiB")", R"(memory.buffer_bytes="2 KiB")", R"(host.copy_per_byte="20 ns")",
      R"(wire.impair="loss 1%")"},
     false},
    {"sequence_wrap", {"workload.iss=4294950000", R"(wire.impair="loss 1%")"}, true},
    {"churn",
     {"workload.connections=64", R"(workload.bytes="1 KiB")", "workload.rounds=4",
      R"(wire.impair="loss 1%")"},
     false},
};

bool whole() {
  return std::getenv("US_WHOLE_MATRIX") != nullptr;
}

void expect_exact(const std::string& what, const std::vector<std::string>& settings) {
  const program_run r = run_program(scenario_file("interop.toml"), settings);
  EXPECT_EQ(r.status, 0) << what << ": " << r.reasons();
  const auto& b = r.result["bytes"];
  EXPECT_GT(b["expected"], 0) << what;
  EXPECT_EQ(b["delivered"], b["expected"]) << what;
  EXPECT_EQ(r.result["connections"]["completed"], r.result["connections"]["opened"]) << what;
}

void matrix(const std::string& peer, const std::string& side) {
  for (const trouble& t : troubles) {
    if (!t.always && !whole()) continue;
    std::vector<std::string> all{"peer=" + peer, "workload.side=" + side};
    all.insert(all.end(), t.settings.begin(), t.settings.end());
    if (!whole()) all.push_back(t.name == std::string("clean") ? "seed=1" : R"(workload.bytes="16 KiB")");
    expect_exact(peer + " " + side + " " + t.name, all);
  }
}

TEST(interop, lwip_opens) {
  matrix("lwip", "server");
}
TEST(interop, lwip_listens) {
  matrix("lwip", "client");
}
TEST(interop, twin_opens) {
  matrix("twin", "server");
}
TEST(interop, twin_listens) {
  matrix("twin", "client");
}

// 10 % is lost of everything: among 400 connections some peer gives a handshake up, and the replay opens it
// again.
TEST(interop, a_handshake_that_the_peer_gave_up_is_opened_again_and_counted) {
  const program_run r =
      run_program(scenario_file("interop.toml"),
                  {"workload.side=client", "workload.connections=400", R"(workload.bytes="1 KiB")",
                   R"(wire.impair="loss 30%")", "workload.direction=down"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_GT(r.result["connections"]["reopened"], 0);
  EXPECT_EQ(r.result["connections"]["completed"], 400);
}

}  // namespace
}  // namespace understudy::tb
