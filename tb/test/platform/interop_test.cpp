// The adapter against an independent TCP and against its own kind, whatever the wire does: bytes exact, every
// connection ends, nothing is left, and what was to happen did happen. US_WHOLE_MATRIX in the environment: as
// many bytes as the scenario says, else few.
#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <tuple>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

using events = std::vector<event_line>;

struct cell {
  std::string peer;  // lwip, twin
  std::string side;  // of the host behind the adapter: server, client
};

struct trouble {
  const char* name;
  std::vector<std::string> settings;
  std::vector<std::string> counts;  // of the wire in the result: these are not 0, the others are
  bool (*seen)(const events&,
               const cell&) = nullptr;  // in the events of the run; null: need not be looked for
  const char* few_bytes = "16 KiB";
  friend void PrintTo(const trouble& t, std::ostream* to) { *to << t.name; }
};

constexpr unsigned adapter_unit = 0, window_scale = 7;

// Windows that the adapter offers once a connection is open, in bytes; fewer where the peer scales none.
std::vector<unsigned> offered_windows(const events& all) {
  std::vector<unsigned> windows;
  for (const event_line& e : all) {
    const std::size_t at = e.rest.find(" win ");
    const bool opens_or_breaks =
        e.rest.find("SYN") != std::string::npos || e.rest.find("RST") != std::string::npos;
    if (e.unit != adapter_unit || e.kind != "frame_out" || at == std::string::npos || opens_or_breaks)
      continue;
    windows.push_back(static_cast<unsigned>(std::atoi(e.rest.c_str() + at + 5)) << window_scale);
  }
  return windows;
}

bool all_windows_were_small(const events& all, const cell&) {
  const auto windows = offered_windows(all);
  return windows.size() > 100 && *std::max_element(windows.begin(), windows.end()) <= 2048;
}

bool a_window_was_shut(const events& all, const cell&) {
  const auto windows = offered_windows(all);
  return std::find(windows.begin(), windows.end(), 0u) != windows.end();
}

// Payload before the wrap and payload behind it went in this direction.
bool wrapped(const events& all, const char* kind) {
  bool high = false, low = false;
  for (const event_line& e : all) {
    if (e.unit != adapter_unit || e.kind != kind || !e.is_segment || !e.length) continue;
    high = high || e.seq > 0xfffff000u;
    low = low || e.seq < 0x00010000u;
  }
  return high && low;
}

// workload.iss is for lwIP and for whoever is opened to.
bool numbers_wrapped(const events& all, const cell& c) {
  const bool ours = c.side == "server", theirs = c.peer == "lwip" || c.side == "client";
  return (!ours || wrapped(all, "frame_out")) && (!theirs || wrapped(all, "frame_in"));
}

const trouble troubles[] = {
    {"clean", {}, {}},
    {"loss_0_1", {R"(wire.impair="loss 0.1%")"}, {"lost"}, nullptr, "128 KiB"},
    {"loss_1", {R"(wire.impair="loss 1%")"}, {"lost"}},
    {"loss_5", {R"(wire.impair="loss 5%")"}, {"lost"}},
    {"loss_10", {R"(wire.impair="loss 10%")"}, {"lost"}},
    {"reordering", {R"(wire.impair="delay 50us reorder 25%")"}, {"overtaken"}},
    {"duplication", {R"(wire.impair="duplicate 10%")"}, {"duplicated"}},
    {"corruption", {R"(wire.impair="corrupt 2%")"}, {"corrupted"}},
    {"jitter", {R"(wire.impair="delay 200us 150us")"}, {"overtaken"}},
    {"everything",
     {R"(wire.impair="loss 2% duplicate 2% corrupt 1% delay 100us 80us")"},
     {"lost", "duplicated", "corrupted", "overtaken"}},
    {"small_windows",
     {R"(memory.receive_buffer="2 KiB")", R"(memory.buffer_bytes="2 KiB")", R"(wire.impair="loss 1%")"},
     {"lost"},
     all_windows_were_small},
    {"windows_that_shut",  // a host that copies slowly
     {R"(memory.receive_buffer="4 KiB")", R"(memory.buffer_bytes="2 KiB")", R"(host.copy_per_byte="20 ns")",
      R"(wire.impair="loss 1%")"},
     {"lost"},
     a_window_was_shut,
     "64 KiB"},
    {"sequence_wrap",  // 4 KiB before it
     {"workload.iss=4294963200", R"(wire.impair="loss 1%")"},
     {"lost"},
     numbers_wrapped},
    {"churn",
     {"workload.connections=64", "workload.rounds=4", R"(wire.impair="loss 1%")"},
     {"lost"},
     nullptr,
     "1 KiB"},
};

class interop : public ::testing::TestWithParam<std::tuple<std::string, std::string, trouble>> {};

TEST_P(interop, is_exact) {
  const auto& [peer, side, t] = GetParam();
  const cell c{peer, side};
  std::vector<std::string> settings{"peer=" + c.peer, "workload.side=" + c.side};
  settings.insert(settings.end(), t.settings.begin(), t.settings.end());
  const bool churn = t.name == std::string("churn");
  if (!std::getenv("US_WHOLE_MATRIX") || churn)
    settings.push_back(std::string("workload.bytes=\"") + t.few_bytes + "\"");
  const auto text = test_folder() / "events.txt";
  std::filesystem::create_directories(test_folder());
  const program_run r =
      t.seen ? run_program(scenario_file("interop.toml"), settings, "--captures off -v -v", text)
             : run_program(scenario_file("interop.toml"), settings);
  ASSERT_EQ(r.status, 0) << r.reasons();
  const auto& b = r.result["bytes"];
  EXPECT_GT(b["expected"], 0);
  EXPECT_EQ(b["delivered"], b["expected"]);
  EXPECT_EQ(r.result["connections"]["opened"], churn ? 256 : 16);
  EXPECT_EQ(r.result["connections"]["completed"], r.result["connections"]["opened"]);
  for (const char* what : {"lost", "duplicated", "corrupted", "overtaken"}) {
    const bool expected = std::find(t.counts.begin(), t.counts.end(), what) != t.counts.end();
    EXPECT_EQ(r.result["wire"][what] > 0, expected) << what << ": " << r.result["wire"].dump();
  }
  if (!t.seen) return;
  const events all = read_events(text);
  EXPECT_EQ(all.size(), r.events());
  EXPECT_TRUE(t.seen(all, c)) << "the trouble did not occur";
  std::filesystem::remove(text);
}

std::string name_of(const ::testing::TestParamInfo<interop::ParamType>& i) {
  const auto& [peer, side, t] = i.param;
  return peer + (side == "server" ? "_opens_" : "_listens_") + t.name;
}
INSTANTIATE_TEST_SUITE_P(matrix, interop,
                         ::testing::Combine(::testing::Values("lwip", "twin"),
                                            ::testing::Values("server", "client"),
                                            ::testing::ValuesIn(troubles)),
                         name_of);

// 35 % is lost of everything: among 900 connections some peer gives a handshake up, and the replay opens it
// again. The adapter's sign of life, which nobody waits for, comes seldom: minutes pass.
class interop_reopening : public ::testing::TestWithParam<std::string> {};

TEST_P(interop_reopening, of_a_handshake_that_the_peer_gave_up_is_counted) {
  std::uint64_t reopened = 0;
  for (const char* seed : {"seed=2", "seed=3", "seed=5"}) {
    SCOPED_TRACE(seed);
    const program_run r = run_program(
        scenario_file("interop.toml"),
        {"workload.side=" + GetParam(), "workload.connections=300", R"(workload.bytes="1 KiB")",
         R"(wire.impair="loss 35%")", "workload.direction=down", R"(failover.heartbeat="100 ms")", seed});
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.result["connections"]["completed"], 300);
    reopened += r.result["connections"]["reopened"].get<std::uint64_t>();
  }
  EXPECT_GT(reopened, 0u);
}
INSTANTIATE_TEST_SUITE_P(side, interop_reopening, ::testing::Values("server", "client"),
                         [](const auto& i) { return i.param; });

}  // namespace
}  // namespace understudy::tb
