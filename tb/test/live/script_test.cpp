// Time as a script meets it: deaths on time, a program that is held up, a pace that is not the wall clock's;
// and what stations believe of one that takes over.
#include <future>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";

class live_script : public live_network {
 protected:
  // Get the file `name` at `rate`, from when its first bytes are there on.
  std::future<std::string> download(const std::string& name, const std::string& rate) {
    auto d = std::async(std::launch::async, [=, this] {
      return shell("curl -sS -m 60 --limit-rate " + rate + " -o " + in_folder("got") +
                   " -w '%{http_code} %{num_connects}' " + base + name)
          .output;
    });
    for (int i = 0; i < 500 && !std::filesystem::exists(folder / "got"); ++i)
      std::this_thread::sleep_for(10ms);
    return d;
  }
  static bool under_way(const std::future<std::string>& d) {
    return d.wait_for(0s) == std::future_status::timeout;
  }
};

// --json sends the result to standard output; spawn() asks for it.
TEST_F(live_script, three_deaths_on_time_below_a_download_and_json_on_standard_output) {
  make_file("big", 16 << 20);
  hold_back_little();
  start({"--set", "topology.adapters=4", "--kill-after", "2.5s", "--kill-after", "1500ms", "--kill-after",
         "3.5", "--duration", "6s"});
  auto got = download("big", "4M");
  ASSERT_TRUE(under_way(got));
  EXPECT_EQ(got.get(), "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(counter("TcpEstabResets"), 0);
  EXPECT_EQ(wait_for_end(), 0) << said();
  ASSERT_FALSE(result.is_discarded()) << text_of(folder / "stdout");
  EXPECT_EQ(result, nlohmann::json::parse(text_of(folder / "out/result.json")));
  EXPECT_EQ(result["status"], "held");
  EXPECT_NEAR(result["live"]["ready_s"].get<double>(), 6.0, 0.5);
  const double put_off = result["live"]["put_off_s"].get<double>();
  // Simulated time when it was ready: what passed since is the run's end less its length at that pace.
  const double ready =
      result["sim_time_ps"].get<double>() / 1e12 - (result["live"]["ready_s"].get<double>() - put_off);
  ASSERT_EQ(result["faults"].size(), 3u);
  ASSERT_EQ(result["failovers"].size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& f = result["faults"][i];
    EXPECT_EQ(f["kind"], "kill");
    EXPECT_EQ(f["target"], std::string(1, static_cast<char>('A' + i)));
    EXPECT_EQ(f["outcome"], "recovered");
    const double at = f["at_ps"].get<double>() / 1e12 - ready;
    EXPECT_GE(at, 1.5 + static_cast<double>(i) - put_off - 0.01) << i;
    EXPECT_LE(at, 1.5 + static_cast<double>(i) + 0.25) << i;
    EXPECT_GT(result["failovers"][i]["connections"], 0) << "the download was not under way";
  }
}

TEST_F(live_script, a_program_that_is_held_up_says_so_and_loses_nothing) {
  make_file("big", 12 << 20);
  hold_back_little();
  start();
  auto got = download("big", "3M");
  std::this_thread::sleep_for(300ms);
  ASSERT_TRUE(under_way(got));
  ASSERT_EQ(::kill(program, SIGSTOP), 0);
  std::this_thread::sleep_for(3s);
  ASSERT_EQ(::kill(program, SIGCONT), 0);
  EXPECT_TRUE(under_way(got)) << "it outlasted nothing";
  EXPECT_EQ(got.get(), "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_TRUE(says("slow: simulated time ran at")) << said();
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GE(result["live"]["put_off_s"], 2.5);
  EXPECT_EQ(result["live"]["refused_in"], 0);
  EXPECT_EQ(result["live"]["refused_out"], 0);
  EXPECT_EQ(result["live"]["while_down"], before_it_was_up);
  EXPECT_EQ(result["dropped_frames"]["overflow"], 0);
  EXPECT_EQ(result["connections"]["reset"], 0);
  EXPECT_EQ(counter("TcpEstabResets"), 0);
  const auto lost = shell("grep us0: /proc/net/dev | tr -s ' ' | sed 's/^ //' | cut -d' ' -f13").output;
  EXPECT_TRUE(lost.empty() || lost == "0\n") << lost;
}

TEST_F(live_script, at_half_the_pace_half_the_time_passes) {
  make_file("a.bin", 300'000);
  start({"--factor", "0.5", "--duration", "4s"});
  EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + base + "a.bin").output, "");
  EXPECT_TRUE(same("got", "www/a.bin"));
  EXPECT_EQ(wait_for_end(), 0) << said();
  EXPECT_EQ(result["live"]["factor"], 0.5);
  const double wall = result["live"]["ready_s"].get<double>() - result["live"]["put_off_s"].get<double>();
  EXPECT_GE(wall, 3.0);
  EXPECT_NEAR(result["sim_time_ps"].get<double>() / 1e12, wall / 2, 0.3);
}

// The kernel answers one kick in half a second (tcp_invalid_ratelimit). The second of two deaths finds it
// silent: all that was in flight was acknowledged to a dead adapter, and its reader waits.
TEST_F(live_script, a_death_right_behind_another_holds_up_a_download_no_longer_than_the_first) {
  make_file("big", 48 << 20);
  ASSERT_TRUE(set_kernel("tcp_rmem", "4096 32768 32768"));  // in flight: for a millisecond and a half
  start({"--set", "topology.adapters=5", "--set", "wire.rate=\"200 Mb/s\""});
  auto got = download("big", "1G");
  for (const auto pause : {100ms, 100ms, 700ms, 100ms}) {
    std::this_thread::sleep_for(pause);
    ASSERT_TRUE(under_way(got));
    die();
  }
  EXPECT_EQ(got.get(), "200 1");
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
