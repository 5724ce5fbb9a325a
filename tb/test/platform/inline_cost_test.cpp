// Small sends whose bytes go with their descriptor: what a message costs with and without.
#include <cstdio>

#include "model/abi/understudy_abi.h"
#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr unsigned messages = 256;

struct cost {
  double operations = 0, tlps = 0, bytes = 0;  // of the whole run, a message
  double latency_ns = 0;                       // from the doorbell at the adapter to the first bit, mean
};

// `messages` of `bytes` from the host, one each 4 us.
cost run_messages(unsigned bytes, unsigned inline_bytes) {
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  const program_run r = run_program(
      scenario_file("memory.toml"),
      {"workload.direction=up", "workload.message=\"" + std::to_string(bytes) + " B\"",
       "workload.message_interval=\"4 us\"", "workload.bytes=\"" + std::to_string(messages * bytes) + " B\"",
       "memory.hold_us=0", "memory.inline_bytes=" + std::to_string(inline_bytes)},
      "--captures off -v -v", text);
  EXPECT_EQ(r.status, 0) << r.reasons();
  cost c;
  c.operations = r.result["host_interface"]["dma_operations"].get<double>() / messages;
  c.tlps = r.result["host_interface"]["tlps"].get<double>() / messages;
  c.bytes =
      (r.result["pcie"]["bytes_up"].get<double>() + r.result["pcie"]["bytes_down"].get<double>()) / messages;
  double rung = 0;
  unsigned sent = 0;
  for (const event_line& e : read_events(text)) {
    if (e.unit != 0) continue;
    if (e.kind == "mmio_write" && std::stoul(e.rest, nullptr, 16) == US_REG_IDT_TAIL) rung = e.us;
    if (e.kind != "frame_out" || !e.is_segment || e.length != bytes || rung == 0) continue;
    c.latency_ns += (e.us - rung) * 1e3;
    ++sent;
    rung = 0;
  }
  std::filesystem::remove(text);
  EXPECT_EQ(sent, messages);
  c.latency_ns /= messages;
  return c;
}

TEST(inline_sends, cost_one_dma_operation_and_two_tlps_less_and_leave_earlier) {
  std::printf("%6s  %-24s %-24s %-24s\n", "bytes", "DMA operations a message", "TLPs",
              "doorbell to first bit, ns");
  for (const unsigned bytes : {16u, 36u, 64u, 128u, 192u}) {
    const cost apart = run_messages(bytes, 0), together = run_messages(bytes, US_INLINE_MOST);
    std::printf(
        "%6u  %5.2f, inline %5.2f      %5.2f, inline %5.2f      %6.0f, inline %6.0f   (%+.0f bytes on the "
        "link)\n",
        bytes, apart.operations, together.operations, apart.tlps, together.tlps, apart.latency_ns,
        together.latency_ns, together.bytes - apart.bytes);
    EXPECT_NEAR(apart.operations - together.operations, 1, 0.02);
    EXPECT_NEAR(apart.tlps - together.tlps, 2, 0.1) << "a request and a completion";
    EXPECT_LT(together.latency_ns, 0.75 * apart.latency_ns);
  }
}

TEST(inline_sends, longer_ones_are_read_from_where_they_lie) {
  const cost apart = run_messages(193, 0), asked = run_messages(193, US_INLINE_MOST);
  EXPECT_EQ(apart.operations, asked.operations);
}

TEST(inline_sends, and_zero_copy_ones_are_not_copied_into_descriptors) {
  const program_run r =
      run_program(scenario_file("memory.toml"), {"workload.direction=up", "workload.bytes=\"16 KiB\"",
                                                 "memory.send=zero_copy", "memory.inline_bytes=192"});
  EXPECT_EQ(r.status, 0) << r.reasons();
  EXPECT_EQ(r.result["memory"]["copied_bytes"], 0);
}

TEST(inline_sends, survive_the_death_of_their_adapter) {
  for (const char* at : {"0.2", "0.5", "0.8"}) {
    const program_run r = run_program(
        scenario_file("failover.toml"),
        {"memory.inline_bytes=192", std::string("fault=[{kind=\"kill\", at_fraction=") + at + "}]"});
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.result["connections"]["completed"], 64);
  }
}

TEST(inline_sends, of_more_bytes_than_the_interface_knows_are_refused) {
  EXPECT_EQ(run_program(scenario_file("hello.toml"), {"memory.inline_bytes=193"}).status, 2);
}

}  // namespace
}  // namespace understudy::tb
