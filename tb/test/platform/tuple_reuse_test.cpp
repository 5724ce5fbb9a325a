// 4-tuples that open again on another adapter than the one they were opened on first: their numbers go on.
#include <map>
#include <utility>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr unsigned adapters = 2;  // units 0 and 1 of the event text

bool has_flag(const event_line& e, const char* flag) {
  return e.is_segment && e.rest.find(flag) != std::string::npos;
}

using ports = std::pair<unsigned, unsigned>;

// The events of a run of two rounds, the same connections in each.
std::vector<event_line> events_of(const std::vector<std::string>& settings, program_run* run) {
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  *run = run_program(scenario_file("failover.toml"), settings, "--captures off -v -v", text);
  return read_events(text);
}

// The event before the first SYN of the second round: what the first one opened is closed.
std::uint64_t end_of_round_one() {
  program_run r;
  std::map<ports, std::uint32_t> first;
  for (const event_line& e : events_of({"workload.rounds=2", "fault=[]"}, &r)) {
    if (!has_flag(e, " SYN") || has_flag(e, " ACK")) continue;
    const auto [at, fresh] = first.try_emplace({e.source_port, e.destination_port}, e.seq);
    if (!fresh && at->second != e.seq) return e.number - 1;
  }
  ADD_FAILURE() << "no tuple opens twice: " << r.reasons();
  return 0;
}

TEST(tuple_reuse, a_substitute_opens_a_dead_adapters_tuples_with_the_numbers_of_the_same_clock) {
  const std::uint64_t between = end_of_round_one();
  ASSERT_GT(between, 0u);
  program_run r;
  struct opening {
    unsigned unit;
    std::uint32_t iss;
    double us;
  };
  std::map<ports, opening> last;
  unsigned judged = 0;
  for (const event_line& e : events_of({"workload.rounds=2", fault_at_event(between)}, &r)) {
    if (e.kind != "frame_out" || e.unit >= adapters || !has_flag(e, " SYN") || !has_flag(e, " ACK")) continue;
    const auto [at, fresh] =
        last.try_emplace({e.source_port, e.destination_port}, opening{e.unit, e.seq, e.us});
    if (fresh || at->second.unit == e.unit) continue;
    // RFC 6528: four microseconds a number. A substitute's clock is a millisecond ahead at most, so that it
    // is never behind.
    const std::uint32_t on = e.seq - at->second.iss;
    const double ticks = (e.us - at->second.us) / 4;
    EXPECT_GE(on, ticks - 1) << e.rest;
    EXPECT_LE(on, ticks + 2 * 250) << e.rest;
    at->second = {e.unit, e.seq, e.us};
    ++judged;
  }
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(judged, 64u) << "every tuple, once by A and once by B";
  EXPECT_EQ(r.violations("I-TX-6"), 0u);
  EXPECT_GE(r.monitor("I-TX-6")["checked"], 64);
}

TEST(tuple_reuse, a_number_that_comes_again_on_the_substitute_is_seen) {
  const std::uint64_t between = end_of_round_one();
  ASSERT_GT(between, 0u);
  const program_run r =
      run_program(scenario_file("failover.toml"),
                  {"workload.rounds=2", fault_at_event(between), "mutants=[\"reuse_isn\"]"});
  EXPECT_EQ(r.status, 1);
  EXPECT_GE(r.violations("I-TX-6"), 64u);
}

}  // namespace
}  // namespace understudy::tb
