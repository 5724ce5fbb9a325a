// With Verilated blocks in the adapter in place of their twins: the same bytes, frames and result; only times
// differ, by the blocks' cycles.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

// The blocks that the result names, each with cycles of work; and no others.
void expect_worked(const program_run& r, const std::vector<std::string>& blocks) {
  EXPECT_EQ(r.result["rtl"].size(), blocks.size()) << r.result["rtl"];
  for (const std::string& b : blocks) EXPECT_GT(r.result["rtl"][b]["cycles"].get<std::uint64_t>(), 0u) << b;
}

TEST(rtl_in_the_loop, every_block_says_how_long_it_worked_and_twins_say_nothing) {
  expect_worked(run_program(scenario_file("hello.toml")), {});
  const std::vector<std::string> all = {"checksum", "dma_engine", "buffer_allocator", "record_coalescer",
                                        "connection_table"};
  for (const std::string& b : all)
    expect_worked(
        run_program(scenario_file("hello.toml"), {"adapter.rtl=[\"" + b + "\"]", "memory.hold_us=20"}), {b});
}

TEST(rtl_in_the_loop, gives_the_same_frames_and_bytes_within_bounded_cycles) {
  std::filesystem::create_directories(test_folder());
  std::map<std::string, program_run> runs;
  std::map<std::string, std::vector<event_line>> events;
  for (const std::string rtl : {"", "\"checksum\""}) {
    const auto text = test_folder() / "events.txt";
    runs[rtl] =
        run_program(scenario_file("hello.toml"), {"adapter.rtl=[" + rtl + "]"}, "--captures off -v -v", text);
    ASSERT_EQ(runs[rtl].status, 0) << runs[rtl].reasons();
    events[rtl] = read_events(text);
    std::filesystem::remove(text);
  }
  const program_run& twin = runs[""];
  const program_run& rtl = runs["\"checksum\""];
  expect_worked(twin, {});
  expect_worked(rtl, {"checksum"});
  EXPECT_EQ(twin.result["bytes"], rtl.result["bytes"]);
  EXPECT_EQ(twin.result["connections"], rtl.result["connections"]);
  // Frame by frame: the same segments leave in the same order.
  const auto frames = [](const std::vector<event_line>& all) {
    std::vector<event_line> f;
    for (const event_line& e : all)
      if (e.kind == "frame_out" && e.unit == 0) f.push_back(e);
    return f;
  };
  const auto a = frames(events[""]);
  const auto b = frames(events["\"checksum\""]);
  ASSERT_GT(a.size(), 100u);
  ASSERT_EQ(a.size(), b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].rest, b[i].rest) << i;
    worst = std::max(worst, std::abs(a[i].us - b[i].us));
  }
  constexpr double cycle_us = 0.0025;
  constexpr double cycles_a_frame = 8;  // that the twin may be off
  std::cout << a.size() << " frames, largest difference " << worst / cycle_us << " cycles\n";
  EXPECT_LE(worst, cycle_us * cycles_a_frame * static_cast<double>(a.size()));
}

// The DMA engine in RTL as well: splitting, turns and every byte go through it.
TEST(rtl_in_the_loop, dma_engine_gives_the_same_bytes_in_nearly_the_same_time) {
  const program_run twin = run_program(scenario_file("hello.toml"));
  const program_run rtl =
      run_program(scenario_file("hello.toml"), {"adapter.rtl=[\"checksum\", \"dma_engine\"]"});
  ASSERT_EQ(rtl.status, 0) << rtl.reasons();
  expect_worked(rtl, {"checksum", "dma_engine"});
  for (const char* key : {"bytes", "connections", "frames"})
    EXPECT_EQ(twin.result[key], rtl.result[key]) << key;
  for (const char* key : {"dma_operations", "dma_bytes"})
    EXPECT_EQ(twin.result["host_interface"][key], rtl.result["host_interface"][key]) << key;
  const double a = twin.result["sim_time_ps"], b = rtl.result["sim_time_ps"];
  std::cout << "simulated " << a / 1e6 << " us with the twins, " << b / 1e6 << " us with the RTL\n";
  EXPECT_LE(std::abs(a - b) / a, 0.01);
}

TEST(rtl_in_the_loop, runs_the_same_twice) {
  const std::vector<std::string> set = {"adapter.rtl=[\"dma_engine\"]"};
  EXPECT_EQ(run_program(scenario_file("hello.toml"), set).result["trace_hash"],
            run_program(scenario_file("hello.toml"), set).result["trace_hash"]);
}

TEST(rtl_in_the_loop, survives_a_failover) {
  const program_run twin = run_program(scenario_file("failover.toml"));
  const program_run rtl = run_program(scenario_file("failover.toml"),
                                      {"adapter.rtl=[\"checksum\", \"dma_engine\", \"connection_table\"]"});
  ASSERT_EQ(rtl.status, 0) << rtl.reasons();
  expect_worked(rtl, {"checksum", "dma_engine", "connection_table"});
  EXPECT_EQ(twin.result["bytes"], rtl.result["bytes"]);
  EXPECT_EQ(twin.result["connections"], rtl.result["connections"]);
}

}  // namespace
}  // namespace understudy::tb
