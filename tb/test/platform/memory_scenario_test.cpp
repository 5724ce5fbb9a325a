// Memory management as a user runs it: MM-1, MM-2, what holding back buys, failovers with each way of using
// memory, the RTL of its blocks.
#include <cstdio>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

const char* const ways[] = {"buffered", "zero_copy"};

program_run run_held(const std::string& scenario, const std::vector<std::string>& settings,
                     const std::string& more = "--captures off", const std::filesystem::path& errors = {}) {
  program_run r = run_program(scenario_file(scenario), settings, more, errors);
  EXPECT_EQ(r.status, 0) << r.reasons();
  return r;
}

TEST(memory_scenario, MM_1_each_of_the_four_ways_moves_ten_mebibytes_and_zero_copy_copies_none) {
  for (const std::string send : ways)
    for (const std::string receive : ways) {
      const program_run r = run_held(
          "bulk.toml", {"workload.connections=1", "workload.bytes=\"10 MiB\"", "workload.direction=both",
                        "memory.send=" + send, "memory.receive=" + receive});
      constexpr std::uint64_t stream = 10 * 1024 * 1024;
      EXPECT_EQ(r.result["bytes"]["delivered"], 2 * stream);
      const std::uint64_t copied = r.result["memory"]["copied_bytes"];
      const std::uint64_t expected = (send == "buffered" ? stream : 0) + (receive == "buffered" ? stream : 0);
      EXPECT_EQ(copied, expected) << send << " " << receive;
      EXPECT_EQ(r.result["memory"]["fallbacks"], 0);
      EXPECT_GT(r.monitor("I-TX-1")["checked"], 0) << "a send completes behind the peer's ACK";
      std::printf("send %-9s receive %-9s: %9llu bytes copied\n", send.c_str(), receive.c_str(),
                  static_cast<unsigned long long>(copied));
    }
}

TEST(memory_scenario, zero_copy_receives_a_hundred_gigabits_without_a_copy_or_a_fallback) {
  const program_run r =
      run_held("bulk.toml", {"workload.connections=1", "workload.bytes=\"32 MiB\"", "workload.direction=down",
                             "wire.rate=\"100 Gb/s\"", "memory.send=zero_copy", "memory.receive=zero_copy",
                             "memory.receive_buffer=\"1 MiB\"", "memory.send_buffer=\"1 MiB\"",
                             "pcie.generation=4", "pcie.lanes=16", "adapter.mtu=9000"});
  EXPECT_EQ(r.result["memory"]["copied_bytes"], 0);
  EXPECT_EQ(r.result["memory"]["fallbacks"], 0);
  const double seconds = r.result["sim_time_ps"].get<double>() / 1e12;
  std::printf("32 MiB in %.3f ms: %.1f Gb/s, slow start and handshakes included\n", seconds * 1e3,
              32 * 1.048576 * 8 / seconds / 1e3);
}

// Microseconds of simulated time at which the last bytes from the peer for `port` reach the adapter.
double finished_at(const std::vector<event_line>& events, unsigned port) {
  double last = 0;
  for (const event_line& e : events)
    if (e.kind == "frame_in" && e.unit == 0 && e.is_segment && e.destination_port == port && e.length)
      last = e.us;
  return last;
}

TEST(memory_scenario, MM_2_a_group_that_is_used_up_slows_its_own_connections_and_no_others) {
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  double one[2] = {}, other[2] = {};
  std::uint64_t exhausted[2] = {};
  for (const bool scarce : {false, true}) {
    // Windows of 32 KiB over a millisecond leave the wire idle: connections share nothing but the host.
    const program_run r = run_held(
        "hello.toml",
        {"workload.connections=2", "workload.bytes=\"1 MiB\"", "workload.direction=down",
         "wire.delay=\"500 us\"", "memory.receive_buffer=\"32 KiB\"", "peer=twin", "workload.side=client",
         std::string("memory.group=[{match=\"port 10000\", size=\"4 KiB\", buffers=") +
             (scarce ? "4" : "64") + "}, {match=\"port 10001\", size=\"4 KiB\", buffers=64}]"},
        "--captures off -v -v", text);
    EXPECT_EQ(r.result["bytes"]["lost"], 0);
    const auto events = read_events(text);
    one[scarce] = finished_at(events, 10000);
    other[scarce] = finished_at(events, 10001);
    ASSERT_EQ(r.result["memory"]["groups"].size(), 3u);
    exhausted[scarce] = r.result["memory"]["groups"][1]["exhausted"];
    EXPECT_EQ(r.result["memory"]["groups"][2]["exhausted"], 0);
    EXPECT_EQ(r.result["memory"]["groups"][1]["borrowed"], 0);
    EXPECT_EQ(r.violations("I-DMA-7"), 0u);
    std::filesystem::remove(text);
  }
  std::printf("scarce group: %.0f us instead of %.0f; the other: %.0f instead of %.0f\n", one[1], one[0],
              other[1], other[0]);
  EXPECT_GT(exhausted[1], 100u);
  EXPECT_GT(one[1], 1.5 * one[0]) << "the control: it did run out";
  EXPECT_NEAR(other[1], other[0], 0.02 * other[0]);
}

TEST(memory_scenario, holding_back_cuts_records_and_interrupts_tenfold_within_its_age) {
  const program_run at_once = run_held("memory.toml", {"memory.hold_us=0"});
  const program_run held = run_held("memory.toml", {});
  const auto figure = [](const program_run& r, const char* group, const char* key) {
    return r.result[group][key].get<double>();
  };
  const auto latency = [](const program_run& r, const char* which) {
    return r.result["memory"][which]["p99"].get<double>() / 1e6;
  };
  for (const char* key : {"records", "interrupts"}) {
    const double before = figure(at_once, "host_interface", key), after = figure(held, "host_interface", key);
    std::printf("%-10s %6.0f at once, %5.0f held back: %.1f times fewer\n", key, before, after,
                before / after);
    EXPECT_GE(before, 10 * after) << key;
  }
  std::printf("delivery p99 %.2f us held back, %.2f at once; commit p99 %.2f us\n",
              latency(held, "delivery_latency_ps"), latency(at_once, "delivery_latency_ps"),
              latency(held, "commit_latency_ps"));
  EXPECT_LE(latency(held, "delivery_latency_ps"), 100 + latency(held, "commit_latency_ps"));
  EXPECT_EQ(figure(at_once, "memory", "holds"), 0) << "no age: nothing is held, whatever count and bytes say";
  const program_run pushed = run_held("memory.toml", {"memory.expedite=true"});
  EXPECT_GT(figure(pushed, "memory", "expedited"), 10'000);
  EXPECT_LE(latency(pushed, "delivery_latency_ps"), 2 * latency(at_once, "delivery_latency_ps"))
      << "pushed data waits for nothing";
}

TEST(memory_scenario, each_of_the_four_ways_with_the_longest_holds_survives_a_failover) {
  for (const std::string send : ways)
    for (const std::string receive : ways)
      for (const char* hold : {"0", "20000"}) {
        const program_run r =
            run_held("failover.toml", {"memory.send=" + send, "memory.receive=" + receive,
                                       std::string("memory.hold_us=") + hold, "memory.expedite=false"});
        EXPECT_EQ(r.result["failovers"].size(), 1u);
        EXPECT_EQ(r.result["connections"]["completed"], 64);
        EXPECT_EQ(r.result["connections"]["reset"], 0);
        for (const char* id : {"I-DMA-6", "I-DMA-7", "I-LV-7"}) EXPECT_TRUE(r.monitor(id)["armed"]) << id;
      }
}

TEST(memory_scenario, a_group_that_runs_out_opens_its_windows_again_across_a_failover) {
  const program_run r =
      run_held("failover.toml", {"memory.group=[{match=\"remote 10.0.0.0/8\", size=\"4 KiB\", buffers=80}]"});
  const auto& group = r.result["memory"]["groups"][1];
  EXPECT_GT(group["exhausted"], 0) << "64 connections of 256 KiB each want far more";
  EXPECT_EQ(group["free"].get<int>() + group["posted"].get<int>() + group["filled"].get<int>(), 80);
  EXPECT_EQ(r.result["connections"]["completed"], 64);
}

TEST(memory_scenario, the_blocks_in_RTL_give_the_same_run_to_the_last_event) {
  const std::vector<std::string> busy{"memory.hold_us=200", "memory.hold_count=8", "memory.expedite=false",
                                      "memory.group=[{match=\"remote 10.0.0.0/8\", buffers=300}]"};
  std::vector<std::string> rtl = busy;
  rtl.push_back("adapter.rtl=[\"buffer_allocator\", \"record_coalescer\"]");
  const program_run twin = run_held("failover.toml", busy);
  const program_run verilated = run_held("failover.toml", rtl);
  EXPECT_EQ(twin.hash(), verilated.hash());
  EXPECT_GT(twin.result["memory"]["merged"], 0);
  EXPECT_TRUE(twin.result["rtl"].empty());
  for (const char* block : {"buffer_allocator", "record_coalescer"})
    EXPECT_GT(verilated.result["rtl"][block]["cycles"].get<std::uint64_t>(), 0u) << block;
}

}  // namespace
}  // namespace understudy::tb
