// The adapter dies between two numbered events, wherever that is: inside its own work, its bus, its cable or
// the host's. A stride over all events with a random phase, so that every kind of event is among the
// instants.
#include <cstdlib>
#include <iostream>
#include <map>

#include "model/core/rng.h"
#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

struct plan {
  const char* name;
  const char* scenario;
  std::vector<std::string> settings;
  friend void PrintTo(const plan& p, std::ostream* to) { *to << p.name; }
};

const plan plans[] = {
    {"hello", "hello.toml", {"topology.adapters=2", R"(workload.bytes="32 KiB")"}},
    {"hello_client",
     "hello.toml",
     {"topology.adapters=2", "workload.side=client", R"(workload.bytes="32 KiB")"}},
    {"twin",
     "hello.toml",
     {"topology.adapters=2", "peer=twin", "workload.connections=2", R"(workload.bytes="32 KiB")"}},
    {"failover",
     "failover.toml",
     {"topology.adapters=3", "workload.connections=16", "topology.twin_connections=4"}},
    {"lossy",
     "failover.toml",
     {"workload.connections=16", "topology.twin_connections=4",
      "wire.impair=loss 1% duplicate 1% reorder 2%"}},
};

// Points of a plan: US_CRASH_POINTS of the environment, else few.
std::uint64_t points() {
  const char* n = std::getenv("US_CRASH_POINTS");
  return n ? std::strtoull(n, nullptr, 10) : US_CRASH_POINTS;
}

class crash_point : public ::testing::TestWithParam<plan> {};

TEST_P(crash_point, is_any_event_and_no_connection_notices) {
  const plan& p = GetParam();
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  std::vector<std::string> settings = p.settings;
  settings.push_back("fault=[]");
  const program_run whole = run_program(scenario_file(p.scenario), settings, "--captures off -v -v", text);
  ASSERT_EQ(whole.status, 0) << whole.reasons();
  const std::vector<event_line> events = read_events(text);
  ASSERT_EQ(events.size(), whole.events());
  // From the first frame that the adapter hears: before that there is no connection. Of heartbeats that pass
  // while all is quiet one in a hundred.
  std::map<std::string, unsigned> seen;
  std::vector<std::uint64_t> eligible;
  bool begun = false;
  for (const event_line& e : events) {
    begun = begun || (e.kind == "frame_in" && e.unit == 0);
    if (begun && (++seen[e.kind + e.rest] < 100 || seen[e.kind + e.rest] % 100 == 0))
      eligible.push_back(e.number);
  }
  ASSERT_GT(eligible.size(), 100u);
  const std::uint64_t n = std::min<std::uint64_t>(points(), eligible.size());
  const std::uint64_t seed = 20260101 + static_cast<std::uint64_t>(p.name[0]);
  rng dice(seed, std::string("crash_point/") + p.name);
  std::cout << p.name << ": seed " << seed << ", " << n << " of " << eligible.size() << " events\n";
  std::map<std::string, unsigned> struck;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t begin = eligible.size() * i / n;
    const std::uint64_t end = eligible.size() * (i + 1) / n;
    const std::uint64_t k = eligible[begin + dice.below(end - begin)];
    settings.back() = fault_at_event(k, "A");
    const program_run r = run_program(scenario_file(p.scenario), settings);
    ++struck[events[k - 1].kind];
    EXPECT_EQ(r.status, 0) << "kill behind event " << k << " (" << events[k - 1].kind << events[k - 1].rest
                           << "): " << r.reasons();
    if (::testing::Test::HasFailure() && r.status != 0 && r.status != 1) return;  // a crash: one is enough
  }
  for (const auto& [kind, count] : struck) std::cout << "  behind " << kind << ": " << count << '\n';
  std::filesystem::remove(text);
}

INSTANTIATE_TEST_SUITE_P(plans, crash_point, ::testing::ValuesIn(plans),
                         [](const auto& i) { return std::string(i.param.name); });

}  // namespace
}  // namespace understudy::tb
