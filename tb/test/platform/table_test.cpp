// The on-chip connection store in whole runs: what its size buys, wrong bits in it, its RTL.
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

program_run run_held(const std::vector<std::string>& settings) {
  program_run r = run_program(scenario_file("failover.toml"), settings);
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["table"]["mistaken"], 0);
  return r;
}
double waited_us(const program_run& r) {
  return r.result["table"]["waited_ps"].get<double>() / 1e6;
}

TEST(table, a_store_that_is_too_small_costs_reads_of_memory_and_nothing_else) {
  const program_run large = run_held({}), small = run_held({"adapter.table_sets=1"});
  EXPECT_EQ(large.result["table"]["evictions"], 0);
  EXPECT_GT(small.result["table"]["evictions"], 500);
  EXPECT_GT(waited_us(small), 4 * waited_us(large));
  EXPECT_EQ(large.result["bytes"], small.result["bytes"]);
  const program_run free = run_held({"adapter.table_sets=1", "adapter.table_miss=\"0 ps\""});
  EXPECT_LT(waited_us(free), waited_us(large)) << "the control: it is the memory's time";
}

TEST(table, wrong_bits_are_corrected_or_cost_a_fetch_and_no_connection_notices) {
  const program_run r = run_held({"adapter.table_scrub=\"100 us\"",
                                  "fault=[{kind=\"bit_flip\", at_fraction=0.2}, {kind=\"double_bit_flip\", "
                                  "at_fraction=0.3}, {kind=\"kill\", at_fraction=0.5}]"});
  ASSERT_EQ(r.result["faults"].size(), 3u);
  for (const auto& f : r.result["faults"]) EXPECT_EQ(f["activated"], true) << f.dump();
  EXPECT_EQ(r.result["table"]["corrected"], 4) << "a word in each way";
  EXPECT_EQ(r.result["table"]["dropped"], 4);
  EXPECT_EQ(r.result["connections"]["completed"], 64);
}

TEST(table, in_rtl_gives_the_same_run_event_for_event) {
  const std::string faults = "fault=[{kind=\"bit_flip\", at_fraction=0.2}, {kind=\"kill\", at_fraction=0.5}]";
  for (const std::string more : {"workload.rounds=1", "adapter.table_scrub=\"1 us\""}) {
    const program_run twin = run_held({faults, more});
    const program_run rtl = run_held({faults, more, "adapter.rtl=[\"connection_table\"]"});
    EXPECT_EQ(twin.hash(), rtl.hash());
    EXPECT_EQ(twin.result["table"], rtl.result["table"]);
    EXPECT_TRUE(twin.result["rtl"].empty());
    EXPECT_GT(rtl.result["rtl"]["connection_table"]["cycles"].get<std::uint64_t>(), 0u);
  }
}

TEST(table, of_a_size_that_does_not_exist_is_refused_in_one_line) {
  const auto errors = test_folder() / "errors.txt";
  std::filesystem::create_directories(test_folder());
  const std::vector<std::string> wrong[] = {{"adapter.rtl=[\"connection_table\"]", "adapter.table_sets=256"},
                                            {"adapter.table_sets=3"}};
  for (const auto& settings : wrong) {
    const program_run r = run_program(scenario_file("hello.toml"), settings, "", errors);
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(lines_of(errors).size(), 1u);
    EXPECT_FALSE(std::filesystem::exists(r.out / "result.json"));
  }
}

}  // namespace
}  // namespace understudy::tb
