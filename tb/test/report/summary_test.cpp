#include "tb/report/summary.h"

#include <gtest/gtest.h>

#include <sstream>

namespace understudy::tb {
namespace {

failover_result failover() {
  failover_result f;
  f.from = std::string("A");
  f.to = std::string("B");
  f.fault = 5_ms;
  f.detect = 5_ms + 300_us;
  f.fence = 5_ms + 355_us;
  f.block = 5_ms + 356_us;
  f.drain = 5_ms + 360_us;
  f.rebuild = 5_ms + 380_us;
  f.load = 5_ms + 395_us;
  f.identity = 5_ms + 396_us;
  f.unblock = 5_ms + 397_us;
  f.blackout = 401_us;
  f.connections = 64;
  f.stall = {410_us, 900_us, 2_ms};
  return f;
}

// As full as it gets.
run_result large() {
  run_result r;
  r.scenario = std::string(300, 'x');
  for (int i = 0; i < 5; ++i) r.failovers.push_back(failover());
  for (int i = 0; i < 40; ++i)
    r.monitors.push_back({"I-RX-1", true, 1'000'000'000'000, 3, std::string(200, 'v')});
  for (int i = 0; i < 30; ++i) r.files.push_back("a-rather-long-name.pcapng");
  for (int i = 0; i < 9; ++i) r.faults.push_back({1, "kill", "A", true, 5_ms, "recovered"});
  r.reasons = {std::string(150, 'r'), "two\nlines"};
  r.marks = {std::string(150, 'm')};
  r.bytes = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull};
  return r;
}

TEST(summary, fits_a_screen_however_much_happened) {
  scenario s;
  s.faults.resize(9, {"kill"});
  const std::string text = summary_text(large(), s, "results", false);
  std::istringstream in(text);
  std::string line;
  std::size_t lines = 0;
  while (std::getline(in, line)) {
    ++lines;
    EXPECT_LE(line.size(), summary_columns) << line;
  }
  EXPECT_LE(lines, summary_lines);
  EXPECT_GT(lines, 15u);
}

TEST(summary, cuts_on_a_characters_border) {
  run_result r;
  for (int i = 0; i < 120; ++i) r.scenario += "\xc3\xa9";
  const std::string text = summary_text(r, scenario{}, "", false);
  const std::string first = text.substr(0, text.find('\n'));
  EXPECT_EQ(first.substr(first.size() - 5), "\xc3\xa9...");
}

TEST(summary, tells_the_failover_in_microseconds_after_the_fault) {
  run_result r;
  r.failovers.push_back(failover());
  r.failovers[0].identity.reset();
  const std::string text = summary_text(r, scenario{}, "results", false);
  EXPECT_NE(text.find("cold, A -> B, fault at 5000.0 us"), text.npos) << text;
  EXPECT_NE(text.find("detect 300.0 | fence 355.0 | block 356.0 | drain 360.0 | rebuild 380.0"), text.npos)
      << text;
  EXPECT_NE(text.find("load 395.0 | identity - | unblock 397.0 | blackout 401.0"), text.npos) << text;
  EXPECT_NE(text.find("stall us p50 410.0 p99 900.0 max 2000.0"), text.npos) << text;
  EXPECT_NE(text.find("HELD: every byte arrived once and in order, no connection noticed the failover"),
            text.npos)
      << text;
}

TEST(summary, gives_reason_marks_and_first_violation) {
  run_result r;
  r.reasons = {"monitor I-RX-1 was violated", "7 bytes lost"};
  r.monitors = {{"I-TX-1", true, 5, 0, ""},
                {"I-RX-1", true, 10, 2, "ACK 17 before its commit"},
                {"I-F", false, 0, 0, ""}};
  r.marks = {"monitors are off"};
  const std::string text = summary_text(r, scenario{}, "", false);
  EXPECT_NE(text.find("FAILED: monitor I-RX-1 was violated (and 1 more)"), text.npos) << text;
  EXPECT_NE(text.find("2 armed of 3, 15 checks, 2 violations"), text.npos) << text;
  EXPECT_NE(text.find("I-RX-1: ACK 17 before its commit"), text.npos) << text;
  EXPECT_NE(text.find("monitors are off"), text.npos) << text;
  EXPECT_EQ(text.find("files"), text.npos) << text;
  EXPECT_NE(text.find("--waves --timeline"), text.npos) << text;
}

TEST(summary, is_coloured_only_when_asked) {
  EXPECT_EQ(summary_text(run_result{}, scenario{}, "", false).find('\x1b'), std::string::npos);
  EXPECT_NE(summary_text(run_result{}, scenario{}, "", true).find("\x1b[32mHELD"), std::string::npos);
  run_result stopped;
  stopped.stopped = true;
  EXPECT_NE(summary_text(stopped, scenario{}, "", true).find("\x1b[31mFAILED: stopped by the user"),
            std::string::npos);
}

TEST(summary, violations_are_told_with_witness_and_the_events_before) {
  run_result r;
  r.monitors = {{"I-TX-1", true, 5, 0, ""}, {"I-RX-1", true, 5, 2, "event 7"}};
  EXPECT_EQ(violations_text(run_result{}), "");
  r.monitors[1].event = 7;
  r.monitors[1].at = 5_us;
  r.monitors[1].witness = "ACK 12 too far";
  r.monitors[1].before = {"6 tlp_up", "7 frame_out"};
  EXPECT_EQ(violations_text(r),
            "I-RX-1 violated 2 times; first at event 7, 5.000000 us\n  witness: ACK 12 too far\n"
            "  the last 2 events up to it:\n  6 tlp_up\n  7 frame_out\n");
}

}  // namespace
}  // namespace understudy::tb
