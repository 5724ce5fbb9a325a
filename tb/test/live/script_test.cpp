// Time as a script meets it: deaths on time, a program that is held up, a pace that is not the wall clock's;
// and what stations believe of one that takes over.

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";

class live_script : public live_network {};

TEST_F(live_script, three_deaths_on_time_below_a_download_and_json_on_standard_output) {
  three_deaths_on_time_below_a_download();
}

TEST_F(live_script, a_program_that_is_held_up_says_so_and_loses_nothing) {
  held_up_it_says_so();
}

TEST_F(live_script, at_half_the_pace_half_the_time_passes) {
  keeps_the_pace("0.5");
}

TEST_F(live_script, at_twice_the_pace_twice_the_time_passes) {
  keeps_the_pace("2");
}

TEST_F(live_script, a_model_that_cannot_keep_the_pace_says_by_how_much_and_loses_nothing) {
  overloaded_it_says_by_how_much();
}

TEST_F(live_script, sigint_and_sigterm_end_it_in_order) {
  for (const int signal : {SIGINT, SIGTERM}) ends_in_order_at(signal);
}

// The kernel answers one kick in half a second (tcp_invalid_ratelimit). The second of two deaths finds it
// silent: all that was in flight was acknowledged to a dead adapter, and its reader waits.
TEST_F(live_script, a_death_right_behind_another_holds_up_a_download_no_longer_than_the_first) {
  make_file("big", 48 << 20);
  ASSERT_TRUE(set_kernel("tcp_rmem", "4096 32768 32768"));  // in flight: for a millisecond and a half
  start({"--set", "topology.adapters=5", "--set", "wire.rate=\"200 Mb/s\""});
  auto got = download("big");
  for (const auto pause : {100ms, 100ms, 700ms, 100ms}) {
    std::this_thread::sleep_for(pause);
    ASSERT_TRUE(under_way(got));
    die();
  }
  EXPECT_EQ(got.get().output, "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_GT(counter("TcpExtTCPACKSkippedSeq"), 0) << "every kick was answered";
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(4, 1, false);
  double longest = 0;
  for (const auto& f : result["failovers"]) longest = std::max(longest, f["stall_ps"]["max"].get<double>());
  EXPECT_GT(longest, 0);
  EXPECT_LT(longest, 200e9);
}

// Adapters share one MAC address, so nobody would notice a takeover that is not announced: unless what the
// kernel knows of the address was wrong.
TEST_F(live_script, stations_believe_who_takes_over_over_ipv4_and_ipv6) {
  start();
  EXPECT_EQ(shell("curl -sS -m 20 -o /dev/null " + base +
                  " && curl -g -sS -m 20 -o /dev/null 'http://[fd77::2]:8080/'")
                .output,
            "");
  constexpr const char* wrong = "02:00:00:00:00:99";
  constexpr const char* right = "02:00:00:00:00:01";
  for (const char* ip : {"10.77.0.2", "fd77::2"}) {
    ASSERT_EQ(shell(std::string("ip neigh replace ") + ip + " lladdr " + wrong + " dev us0 nud stale").status,
              0);
    ASSERT_NE(shell(std::string("ip neigh show ") + ip).output.find(wrong), std::string::npos) << ip;
  }
  std::this_thread::sleep_for(1500ms);  // no answer or report of before is still on its way
  for (const char* ip : {"10.77.0.2", "fd77::2"})
    EXPECT_NE(shell(std::string("ip neigh show ") + ip).output.find(wrong), std::string::npos)
        << ip << " was told without a takeover";
  ::kill(program, SIGUSR1);
  ASSERT_TRUE(says("B serves")) << said();
  std::this_thread::sleep_for(200ms);
  for (const char* ip : {"10.77.0.2", "fd77::2"}) {
    const std::string known = shell(std::string("ip neigh show ") + ip).output;
    EXPECT_NE(known.find(right), std::string::npos) << known;
  }
  EXPECT_EQ(stop(), 0) << said();
}

}  // namespace
}  // namespace understudy::tb
