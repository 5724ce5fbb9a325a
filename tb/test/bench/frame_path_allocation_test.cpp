// Once a transfer runs, nothing on the way of a frame allocates: adapter, PCIe, driver, sockets, switch and
// wires.
//
// What is counted is C++'s operator new. The far end of the first test is a second adapter with a driver of
// its own, so that both directions of the path are counted; lwIP, the far end of the second, has its memory
// from the C library, which is not counted.
#include <gtest/gtest.h>

#include <cstdio>

#include "tb/platform/run.h"
#include "tb/scenario/load.h"
#include "tb/test/allocations.h"

namespace understudy::tb {
namespace {

// Queues grow to their largest size once: a few of them may do so late.
constexpr std::uint64_t late_growth = 64;

void expect_no_allocation_in_steady_state(const char* peer, const char* direction,
                                          const std::vector<std::string>& more = {}) {
  std::vector<std::string> sets{std::string("peer=\"") + peer + "\"",
                                std::string("workload.direction=\"") + direction + "\"",
                                "workload.bytes=\"8 MiB\"", "monitors=\"off\""};
  sets.insert(sets.end(), more.begin(), more.end());
  const scenario s = load_scenario(US_SOURCE_DIR "/traces/scenarios/bulk.toml", sets);
  run_options options;
  options.captures = false;
  std::uint64_t early = 0, late = 0;
  double from = 0, to = 0;
  options.progress = [&](double fraction, picos) {
    if (fraction >= 0.3 && early == 0) {
      early = allocations;
      from = fraction;
    }
    if (fraction <= 0.95) {
      late = allocations;
      to = fraction;
    }
  };
  const run_result r = run_scenario(s, options);
  std::printf("%llu frames, %llu allocations in all, %llu of them from %.0f %% to %.0f %% of the bytes\n",
              static_cast<unsigned long long>(r.frames), static_cast<unsigned long long>(allocations),
              static_cast<unsigned long long>(late - early), from * 100, to * 100);
  EXPECT_TRUE(r.held());
  EXPECT_GT(r.frames, 20000u);
  ASSERT_GT(early, 0u);
  ASSERT_GT(to - from, 0.4) << "the run is too short to have a steady state";
  EXPECT_LE(late - early, late_growth);
}

TEST(frame_path_allocation_test, two_adapters_send_and_receive_without_allocating) {
  expect_no_allocation_in_steady_state("twin", "both");
}

TEST(frame_path_allocation_test, an_adapter_sends_to_lwip_without_allocating) {
  expect_no_allocation_in_steady_state("lwip", "up");
}

TEST(frame_path_allocation_test, an_adapter_receives_from_lwip_without_allocating) {
  expect_no_allocation_in_steady_state("lwip", "down");
}

TEST(frame_path_allocation_test, zero_copy_holds_and_groups_allocate_nothing_either) {
  expect_no_allocation_in_steady_state(
      "twin", "both",
      {"memory.send=zero_copy", "memory.receive=zero_copy", "memory.hold_us=20", "memory.expedite=false",
       "memory.group=[{match = \"remote 10.0.0.0/8\", buffers = 256, window = 64}]"});
}

TEST(frame_path_allocation_test, an_allocation_is_counted) {
  const std::uint64_t before = allocations;
  ::operator delete(::operator new(1));
  EXPECT_EQ(allocations, before + 1);
}

}  // namespace
}  // namespace understudy::tb
