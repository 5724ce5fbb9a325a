// Programs against the adapter without privileges: over loopback and libslirp.
#include <algorithm>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

TEST_F(live_slirp, curl_and_wget_get_files_and_ranges) {
  make_file("a.bin", 300'000);
  start();
  EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + base() + "a.bin").output, "");
  EXPECT_TRUE(same("got", "www/a.bin"));
  EXPECT_EQ(shell("wget -q -T 20 -O " + in_folder("got2") + " " + base() + "a.bin").status, 0);
  EXPECT_TRUE(same("got2", "www/a.bin"));
  EXPECT_EQ(shell("curl -sS -m 20 -r 1000-1999 " + base() + "a.bin | wc -c").output, "1000\n");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["status"], "held");
  EXPECT_EQ(result["peers"].dump(), "[\"slirp\"]");
  EXPECT_EQ(result["connections"]["reset"], 0);
}

TEST_F(live_slirp, a_download_survives_the_deaths_of_adapters) {
  make_file("big", big);
  start({"--set", "wire.rate=\"100 Mb/s\""});
  EXPECT_EQ(
      through_deaths("curl -sS -m 90 -o " + in_folder("got") + " -w '%{num_connects}' " + base() + "big", big,
                     deaths, ports[8080]),
      "1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(deaths, 1, false);
  EXPECT_EQ(result["connections"]["opened"], 1);
}

TEST_F(live_slirp, an_upload_survives_the_deaths_of_adapters) {
  an_upload_survives_deaths("", true, {"--set", twelve_megabytes_a_second});
}

TEST_F(live_slirp, an_upload_over_a_wire_that_loses_frames_survives_the_deaths_of_adapters) {
  // It has no SACK.
  an_upload_survives_deaths("", false,
                            {"--set", twelve_megabytes_a_second, "--set", "wire.impair=loss 0.1%"});
  EXPECT_GT(result["wire"]["lost"], 0);
}

TEST_F(live_slirp, each_of_64_downloads_survives_deaths) {
  many_survive_deaths({"--set", twelve_megabytes_a_second});
}

TEST_F(live_slirp, each_of_64_downloads_survives_deaths_on_a_wire_that_loses_frames) {
  many_survive_deaths({"--set", twelve_megabytes_a_second, "--set", one_percent_lost});
  EXPECT_GT(result["wire"]["lost"], 0);
}

// 10,000 in the nightly run.
TEST_F(live_slirp, connections_opened_and_closed_leave_nothing_behind) {
  connections_leave_nothing_behind();
}

TEST_F(live_slirp, socat_gets_its_echo_through_a_death) {
  socat_gets_its_echo();
}

TEST_F(live_slirp, nc_pumps_the_known_bytes_through_a_death) {
  nc_pumps_the_known_bytes();
}

// Each resets its connection below a stream of bytes: what is sent to it next meets a broken pipe.
TEST_F(live_slirp, programs_that_break_off_end_nobody_else) {
  start();
  for (int n = 0; n < 200; ++n) {
    const int fd = dial(5001);
    char some[20000];
    EXPECT_GT(recv(fd, some, sizeof some, 0), 0);
    ::close(fd);
  }
  EXPECT_EQ(shell("curl -sS -o /dev/null -w '%{http_code}' " + base() + "nothing").output, "404");
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_slirp, one_connection_serves_many_requests) {
  one_connection_serves_many_requests();
}

TEST_F(live_slirp, the_last_death_without_a_substitute_fails_the_run) {
  the_last_death_fails_the_run();
}

TEST_F(live_slirp, an_idle_model_sleeps) {
  idle_it_sleeps();
}

TEST_F(live_slirp, orders_come_by_standard_input_and_signal) {
  orders_kill_and_stop();
}

TEST_F(live_slirp, three_deaths_on_time_below_a_download) {
  three_deaths_on_time_below_a_download();
}

TEST_F(live_slirp, a_program_that_is_held_up_says_so_and_loses_nothing) {
  held_up_it_says_so();
}

TEST_F(live_slirp, at_half_the_pace_half_the_time_passes) {
  keeps_the_pace("0.5");
}

TEST_F(live_slirp, at_twice_the_pace_twice_the_time_passes) {
  keeps_the_pace("2");
}

TEST_F(live_slirp, a_model_that_cannot_keep_the_pace_says_by_how_much_and_loses_nothing) {
  overloaded_it_says_by_how_much();
}

TEST_F(live_slirp, sigint_ends_it_in_order) {
  ends_in_order_at(SIGINT);
}

TEST_F(live_slirp, sigterm_ends_it_in_order) {
  ends_in_order_at(SIGTERM);
}

TEST_F(live_slirp, many_connections_survive_on_a_wire_that_loses_frames) {
  make_file("a.bin", 500'000);
  start({"--set", "wire.impair=loss 1%", "--set", "wire.rate=\"200 Mb/s\""});
  auto ab = std::async(std::launch::async,
                       [this] { return shell("ab -q -k -s 60 -n 200 -c 32 " + base() + "a.bin"); });
  for (std::size_t i = 0; i < deaths; ++i) {
    std::this_thread::sleep_for(500ms);
    die();
  }
  EXPECT_EQ(ab.wait_for(0s), std::future_status::timeout) << "it had an end before the deaths had";
  const auto r = ab.get();
  EXPECT_NE(r.output.find("Complete requests:      200"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("Failed requests:        0"), std::string::npos) << r.output;
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["failovers"].size(), deaths);
  for (const auto& f : result["failovers"]) EXPECT_GE(f["connections"], 16) << said();
  EXPECT_GT(result["wire"]["lost"], 0);
}

// Between a death and the substitute's service there is nobody to kill.
TEST_F(live_slirp, an_order_that_meets_a_dead_adapter_waits_for_its_substitute) {
  start();
  ::kill(program, SIGUSR1);
  std::this_thread::sleep_for(2ms);
  order("kill");  // two signals might be one by the time they are read
  EXPECT_TRUE(says("C serves")) << said();
  order("kill active");
  EXPECT_TRUE(says("D serves")) << said();
  EXPECT_EQ(shell("curl -sS -m 20 -o /dev/null -w '%{http_code}' " + base()).output, "200");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["faults"].size(), 3u);
  EXPECT_EQ(result["failovers"].size(), 3u);
}

TEST_F(live_slirp, kills_on_time_that_meet_a_dead_adapter_wait_for_its_substitute) {
  start({"--kill-after", "500ms", "--kill-after", "502ms", "--kill-after", "504ms", "--duration", "2s"});
  EXPECT_EQ(wait_for_end(), 0) << said();
  EXPECT_TRUE(says("D serves", 0s)) << said();
  EXPECT_EQ(result["faults"].size(), 3u);
}

TEST_F(live_slirp, orders_that_wait_until_the_end_struck_nobody) {
  start({"--set", "failover.heartbeat=\"1 s\""});
  order("kill\nkill\nkill\nstop");
  EXPECT_EQ(wait_for_end(), 1) << said();
  EXPECT_EQ(result["faults"].size(), 3u);
  const std::string reasons = result["reasons"].dump();
  EXPECT_EQ(reasons.find("fault 1"), std::string::npos) << reasons;
  EXPECT_NE(reasons.find("fault 2 (kill active) struck nobody"), std::string::npos) << reasons;
  EXPECT_NE(reasons.find("fault 3 (kill active) struck nobody"), std::string::npos) << reasons;
}

// A beat every 200 ms: B has one more than A, so that it is chosen though it is dead, and found out.
TEST_F(live_slirp, a_substitute_that_cannot_take_over_is_told_of_and_so_are_later_failovers) {
  start({"--set", "failover.heartbeat=\"200 ms\""});
  std::this_thread::sleep_for(500ms);
  order("kill A");
  std::this_thread::sleep_for(300ms);
  order("kill B");
  EXPECT_TRUE(says("B failed before it could serve for A")) << said();
  EXPECT_TRUE(says("C serves")) << said();
  order("kill");
  EXPECT_TRUE(says("D serves")) << said();
  EXPECT_EQ(stop(), 0) << said();
  ASSERT_EQ(result["failovers"].size(), 3u);
  EXPECT_TRUE(result["failovers"][0]["unblock_ps"].is_null()) << result["failovers"];
}

TEST_F(live_slirp, echo_discard_and_pump_do_their_work) {
  start();
  const auto bash = [](const std::string& script) {
    return shell("timeout 20 bash -c '" + script + "'").output;
  };
  const auto tcp = [this](unsigned guest) { return "/dev/tcp/127.0.0.1/" + std::to_string(ports[guest]); };
  EXPECT_EQ(bash("exec 3<>" + tcp(7) + "; echo hello >&3; read -r x <&3; echo $x"), "hello\n");
  EXPECT_EQ(bash("head -c 1000000 /dev/zero > " + tcp(9) + "; echo $?"), "0\n");
  EXPECT_EQ(bash("head -c 1000000 < " + tcp(5001) + " | wc -c"), "1000000\n");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GE(result["live"]["bytes_received"], 6);
  EXPECT_GE(result["live"]["bytes_sent"], 1'000'006);
}

TEST_F(live_slirp, a_block_in_rtl_says_how_long_it_worked) {
  make_file("a.bin", 30'000);
  start({"--set", "adapter.rtl=[\"checksum\"]"});
  EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + base() + "a.bin").output, "");
  EXPECT_TRUE(same("got", "www/a.bin"));
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["rtl"].size(), 1) << result["rtl"];
  EXPECT_GT(result["rtl"]["checksum"]["cycles"], 0);
}

TEST_F(live_slirp, wrong_forwards_and_far_ends_are_refused_with_one_line) {
  const auto refused = [this](const std::vector<std::string>& words, const std::string& why) {
    spawn(words);
    EXPECT_EQ(wait_for_end(), 2);
    EXPECT_NE(said().find(why), std::string::npos) << said();
    EXPECT_FALSE(std::filesystem::exists(folder / "out" / "result.json"));
  };
  for (const char* wrong : {"", "8080", "8080-:8080", "udp:127.0.0.1:1-:1", "127.0.0.1:0-:80",
                            "127.0.0.1:80-:0", "127.0.0.1:80-:65536", "localhost:80-:80", "127.0.0.1:80-:80x",
                            "::1:80-:80", "[::1:80-:80", "[127.0.0.1]:80-:80", "[]:80-:80"})
    refused({"--slirp", "--hostfwd", wrong}, "--hostfwd");
  refused({"--slirp", "--set", "live.address6=", "--hostfwd", "[::1]:1080-:80"}, "has no IPv6 address");
  refused({"--hostfwd", "127.0.0.1:1-:1"}, "--slirp");
  refused({"--slirp", "--tap", "us0"}, "--slirp");
  refused({}, "--slirp");
  start();
  const pid_t first = program;
  refused({"--slirp", "--hostfwd", "127.0.0.1:" + std::to_string(ports[7]) + "-:7"},
          "Address already in use");
  const std::string all = said();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1) << all;
  program = first;
}

TEST_F(live_slirp, ipv6_programs_reach_the_adapter_while_adapters_die) {
  make_file("big", big);
  const std::string port = std::to_string(free_port(AF_INET6));
  start({"--hostfwd", "[::1]:" + port + "-:8080", "--set", "wire.rate=\"100 Mb/s\""});
  const std::string url = "'http://[::1]:" + port + "/";
  EXPECT_EQ(through_deaths("curl -g -sS -m 90 -o " + in_folder("got") +
                               " -w '%{http_code} %{num_connects}' " + url + "big'",
                           big, deaths, static_cast<unsigned>(std::stoul(port))),
            "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(shell("curl -g -sS -m 90 -o /dev/null -w '%{http_code}' -T " + in_folder("www/big") + " " + url +
                  "copy'")
                .output,
            "201");
  EXPECT_TRUE(same("www/big", "www/copy"));
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(deaths, 1, false);
}

}  // namespace
}  // namespace understudy::tb
