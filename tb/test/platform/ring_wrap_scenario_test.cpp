// A whole system whose table indices go past 2^32 while it works: driver, adapters, monitors, a recovery.
#include <cstdio>
#include <map>
#include <sstream>
#include <utility>

#include "model/abi/understudy_abi.h"
#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

// Tables of 1024 descriptors and 256 records: from here on their slots are those from 0 on, so that nothing
// but the numbers differs.
constexpr std::uint64_t near_the_wrap = 4294967296 - 1024;

program_run run_from(std::uint64_t first, std::vector<std::string> settings = {},
                     const std::filesystem::path& events = {}) {
  settings.insert(settings.end(), {"memory.record_entries=256", "workload.connections=256",
                                   "adapter.first_index=" + std::to_string(first)});
  return run_program(scenario_file("failover.toml"), settings,
                     events.empty() ? "--captures off" : "--captures off -v -v", events);
}

// The newest doorbell of both tables of adapters A and B.
std::map<std::pair<unsigned, std::uint32_t>, std::uint32_t> last_doorbells(
    const std::filesystem::path& events) {
  std::map<std::pair<unsigned, std::uint32_t>, std::uint32_t> last;
  for (const event_line& e : read_events(events)) {
    if (e.kind != "mmio_write" || e.unit > 1) continue;
    std::istringstream in(e.rest);
    std::string offset, value;
    in >> offset >> value;
    const auto at = static_cast<std::uint32_t>(std::stoul(offset, nullptr, 16));
    if (at == US_REG_IDT_TAIL || at == US_REG_ODT_HEAD)
      last[{e.unit, at}] = static_cast<std::uint32_t>(std::stoul(value, nullptr, 16));
  }
  return last;
}

TEST(run_across_the_wrap, is_the_run_from_zero_but_for_the_numbers) {
  std::filesystem::create_directories(test_folder());
  const auto events = test_folder() / "events.txt";
  const program_run wraps = run_from(near_the_wrap, {}, events);
  const auto doorbells = last_doorbells(events);
  std::filesystem::remove(events);
  const program_run zero = run_from(0);
  ASSERT_EQ(zero.status, 0) << zero.reasons();
  ASSERT_EQ(wraps.status, 0) << wraps.reasons();
  ASSERT_EQ(doorbells.size(), 4u);
  for (const auto& [table, index] : doorbells)
    EXPECT_LT(index, near_the_wrap) << "not past the wrap: unit " << table.first << ", register "
                                    << table.second;
  EXPECT_EQ(zero.result["failovers"].size(), 1u);
  EXPECT_NE(zero.hash(), wraps.hash()) << "the numbers do differ";
  for (const char* what : {"events", "sim_time_ps", "frames", "bytes", "connections", "failovers",
                           "host_interface", "pcie", "memory", "monitors"})
    EXPECT_EQ(zero.result[what], wraps.result[what]) << what;
}

// Monitors of the tables see a defect at the wrap and behind it, too.
TEST(run_across_the_wrap, with_a_defect_of_the_tables_is_caught) {
  constexpr std::uint64_t last_index = 4294967295;
  const auto witness_of = [](const char* mutant, const char* id) {
    const program_run r = run_from(last_index, {std::string("mutants=[\"") + mutant + "\"]"});
    return r.monitor(id)["witness"].get<std::string>();
  };
  const std::string skipped = witness_of("skip_record_number", "I-Q-1");
  EXPECT_NE(skipped.find("record 0 in slot 0 where 4294967295 is due"), std::string::npos) << skipped;
  const std::string beyond = witness_of("fetch_beyond_tail", "I-Q-2");
  unsigned fetched = 0, tail = 0;
  ASSERT_EQ(std::sscanf(beyond.c_str(), "adapter A fetches descriptor %u, the tail is %u", &fetched, &tail),
            2)
      << beyond;
  EXPECT_EQ(fetched, tail);
  EXPECT_LT(fetched, 1024u) << "behind the wrap";
}

}  // namespace
}  // namespace understudy::tb
