// Programs against the adapter, over the kernel's TCP.
#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";

TEST_F(live_network, curl_and_wget_get_files_lists_and_ranges) {
  make_file("a.bin", 300'000);
  start();
  EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + base + "a.bin").output, "");
  EXPECT_TRUE(same("got", "www/a.bin"));
  EXPECT_EQ(shell("wget -q -T 20 -O " + in_folder("got2") + " " + base + "a.bin").status, 0);
  EXPECT_TRUE(same("got2", "www/a.bin"));
  const auto list = shell("curl -sS -m 20 " + base);
  EXPECT_NE(list.output.find("<a href=\"a.bin\">"), std::string::npos) << list.output;
  const auto part =
      shell("curl -sS -m 20 -r 1000-1999 -o " + in_folder("part") + " -w '%{http_code}' " + base + "a.bin");
  EXPECT_EQ(part.output, "206");
  EXPECT_EQ(text_of(folder / "part"), text_of(folder / "www/a.bin").substr(1000, 1000));
  EXPECT_EQ(shell("curl -sS -m 20 -o /dev/null -w '%{http_code}' " + base + "none").output, "404");
  EXPECT_EQ(shell("curl -sS -m 20 --path-as-is -o /dev/null -w '%{http_code}' " + base + "../stderr").output,
            "400");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["status"], "held");
  EXPECT_EQ(result["connections"]["reset"], 0);
  EXPECT_GE(result["connections"]["completed"], 5);  // the last one may still be closing
  EXPECT_EQ(result["live"]["http_requests"], 6);
}

TEST_F(live_network, a_download_over_ipv6_survives_deaths_and_neighbours_find_each_other) {
  make_file("big", big);
  hold_back_little();
  start({"--set", "topology.adapters=" + std::to_string(deaths + 1)});
  EXPECT_EQ(through_deaths("curl -g -6 -sS -m 120 --limit-rate 12M -o " + in_folder("got") +
                               " -w '%{num_connects} %{size_download}' 'http://[fd77::2]:8080/big'",
                           big),
            "1 " + std::to_string(big));
  EXPECT_NE(shell("ip -6 neigh show fd77::2").output.find("02:00:00:00:00:01"), std::string::npos);
  expect_survived("www/big", "got", deaths, false);
}

TEST_F(live_network, one_connection_serves_many_requests) {
  one_connection_serves_many_requests();
}

TEST_F(live_network, put_stores_what_curl_sends) {
  make_file("a.bin", 3'000'000);
  start();
  const auto r = shell("curl -sS -m 30 -o /dev/null -w '%{http_code}' -T " + in_folder("www/a.bin") + " " +
                       base + "b.bin");
  EXPECT_EQ(r.output, "201");
  EXPECT_TRUE(same("www/a.bin", "www/b.bin"));
  EXPECT_EQ(shell("curl -sS -m 20 --data-binary @" + in_folder("www/a.bin") + " " + base + "x").output,
            "3000000 bytes\n");
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_network, echo_discard_and_pump_do_their_work) {
  start();
  const auto bash = [](const std::string& script) {
    return shell("timeout 20 bash -c '" + script + "'").output;
  };
  EXPECT_EQ(bash("exec 3<>/dev/tcp/10.77.0.2/7; echo hello >&3; read -r x <&3; echo $x"), "hello\n");
  EXPECT_EQ(bash("head -c 1000000 /dev/zero > /dev/tcp/10.77.0.2/9; echo $?"), "0\n");
  EXPECT_EQ(bash("head -c 1000000 < /dev/tcp/10.77.0.2/5001 | wc -c"), "1000000\n");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GE(result["live"]["bytes_received"], 1'000'006);
  EXPECT_GE(result["live"]["bytes_sent"], 1'000'006);
}

// The reader is slow: it is its window that holds the adapter back, and opens while an adapter is dead.
TEST_F(live_network, a_download_survives_the_deaths_of_adapters) {
  make_file("big", big);
  hold_back_little();
  start();
  EXPECT_EQ(through_deaths("curl -sS -m 60 --limit-rate 12M -o " + in_folder("got") +
                               " -w '%{http_code} %{num_connects}' " + base + "big",
                           big),
            "200 1");
  expect_survived("www/big", "got", deaths, false);
}

// The wire is slow: bytes queue before it throughout, and may hide a death from the meter at its end.
TEST_F(live_network, a_download_over_a_slow_wire_survives_the_deaths_of_adapters) {
  make_file("big", 20 << 20);
  start({"--set", twelve_megabytes_a_second});
  EXPECT_EQ(through_deaths("curl -sS -m 60 -o " + in_folder("got") + " " + base + "big", 20 << 20), "");
  expect_survived("www/big", "got", deaths, false);
}

// Alone on its connection: nothing but its own retransmission fills a gap.
TEST_F(live_network, a_download_over_a_wire_that_loses_frames_survives_the_deaths_of_adapters) {
  make_file("big", big);
  hold_back_little();
  start({"--set", twelve_megabytes_a_second, "--set", one_percent_lost});
  EXPECT_EQ(through_deaths("curl -sS -m 100 -o " + in_folder("got") + " " + base + "big", big), "");
  expect_survived("www/big", "got", deaths, false);
  EXPECT_GT(result["wire"]["lost"], 0);
}

class live_upload : public live_network {};

TEST_F(live_upload, survives_the_deaths_of_adapters) {
  an_upload_survives_deaths("", true, {"--set", twelve_megabytes_a_second});
}

TEST_F(live_upload, over_ipv6_survives_the_deaths_of_adapters) {
  an_upload_survives_deaths("-g", true, {"--set", twelve_megabytes_a_second}, "http://[fd77::2]:8080/");
}

// A death that follows a loss may meet a sender that waits: nothing is under way then.
TEST_F(live_upload, over_a_wire_that_loses_frames_survives_the_deaths_of_adapters) {
  an_upload_survives_deaths("", false, {"--set", twelve_megabytes_a_second, "--set", one_percent_lost});
  EXPECT_GT(result["wire"]["lost"], 0);
}

// Frames are lost from a death until it is noticed. What a kernel with 250 ticks a second had sent before it
// probes for 8 ms later at the soonest (RFC 8985 7.2, two ticks); a probe that was lost, too, would leave it
// nothing but its time-out. It has no use for duplicate ACKs without SACK blocks.
TEST_F(live_network, a_death_is_mended_before_the_kernel_probes_for_the_end_of_an_upload) {
  constexpr std::size_t times = 6;
  make_file("big", 20 << 20);
  start({"--set", twelve_megabytes_a_second, "--set", "topology.adapters=" + std::to_string(times + 1)});
  EXPECT_EQ(through_deaths("curl -sS -m 60 -o /dev/null -T " + in_folder("www/big") + " " + base + "copy",
                           20 << 20, times),
            "");
  EXPECT_TRUE(same("www/big", "www/copy"));
  const long time_outs = counter("TcpExtTCPTimeouts");
  expect_content_kernel();
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(times, 1, true);
  for (const auto& f : result["failovers"]) EXPECT_LT(f["blackout_ps"].get<double>(), 8e9);
  if (result["live"]["put_off_s"] > 0) GTEST_SKIP() << time_was_put_off;
  EXPECT_EQ(time_outs, 0);
}

class live_many : public live_network {};

TEST_F(live_many, connections_survive_deaths) {
  many_survive_deaths({"--set", twelve_megabytes_a_second});
  EXPECT_EQ(result["wire"]["lost"], 0);
}

TEST_F(live_many, connections_survive_deaths_on_a_wire_that_loses_frames) {
  many_survive_deaths({"--set", twelve_megabytes_a_second, "--set", one_percent_lost});
  EXPECT_GT(result["wire"]["lost"], 0);
}

TEST_F(live_network, many_connections_survive_on_a_wire_that_loses_frames) {
  make_file("a.bin", 500'000);
  // A wire so slow that the requests last longer than the deaths: 25 MB/s.
  start({"--set", "wire.impair=loss 1%", "--set", "wire.rate=\"200 Mb/s\""});
  const std::string requests = std::to_string(nightly ? 1000 : 200);
  auto ab = std::async(std::launch::async, [requests] {
    return shell("ab -q -k -s 60 -n " + requests + " -c 64 " + base + "a.bin");
  });
  for (std::size_t i = 0; i < deaths; ++i) {
    std::this_thread::sleep_for(500ms);
    die();
  }
  EXPECT_EQ(ab.wait_for(0s), std::future_status::timeout) << "it had an end before the deaths had";
  const auto r = ab.get();
  EXPECT_NE(r.output.find("Complete requests:      " + requests), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("Failed requests:        0"), std::string::npos) << r.output;
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(deaths, 32, true);
  EXPECT_GT(result["wire"]["lost"], 0);
}

TEST_F(live_network, orders_come_by_standard_input) {
  orders_kill_and_stop();
}

TEST_F(live_network, the_last_death_without_a_substitute_fails_the_run) {
  the_last_death_fails_the_run();
}

TEST_F(live_network, an_idle_model_sleeps) {
  idle_it_sleeps();
}

TEST_F(live_network, a_device_that_vanishes_ends_the_run_with_one_line) {
  start();
  EXPECT_EQ(shell("ip link del us0").status, 0);
  EXPECT_EQ(wait_for_end(), 1) << said();
  EXPECT_NE(result["reasons"].dump().find("us0 has gone"), std::string::npos) << result["reasons"];
}

TEST_F(live_network, wrong_devices_are_refused_with_one_line) {
  const auto refused = [this](const std::string& tap, const std::string& why) {
    spawn({"--tap", tap});
    EXPECT_EQ(wait_for_end(), 2);
    EXPECT_NE(said().find(why), std::string::npos) << said();
    const std::string all = said();
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1) << all;
    EXPECT_FALSE(std::filesystem::exists(folder / "out" / "result.json"));
  };
  refused("lo", "exists and is no TAP device");
  refused("a_name_that_is_too_long", "is no name of a network device");
  start();
  const pid_t first = program;
  refused("us0", "is in use by another program");
  program = first;
  EXPECT_EQ(shell("setpriv --reuid 65534 --clear-groups " US_PROGRAM " live " US_SOURCE_DIR
                  "/traces/scenarios/live.toml --tap us9 --out /tmp/us_nobody_$$; s=$?; rm -rf "
                  "/tmp/us_nobody_$$; exit $s")
                .status,
            2);
}

TEST_F(live_network, peers_with_smaller_and_larger_packets_are_served) {
  make_file("a.bin", 500'000);
  start();
  for (const char* mtu : {"1000", "9000"}) {
    ASSERT_EQ(shell(std::string("ip link set us0 mtu ") + mtu).status, 0);
    std::filesystem::remove(folder / "got");
    EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + base + "a.bin").output, "") << mtu;
    EXPECT_TRUE(same("got", "www/a.bin")) << mtu;
    EXPECT_EQ(shell("curl -sS -m 20 --data-binary @" + in_folder("www/a.bin") + " " + base + "x").output,
              "500000 bytes\n");
  }
  EXPECT_EQ(stop(), 0) << said();
}

// The first commands of docs/live.md but for the build, as they stand.
TEST_F(live_network, the_page_s_way_to_curl_works) {
  std::istringstream page(text_of(US_SOURCE_DIR "/docs/live.md"));
  std::string line;
  std::string script = "cd " US_SOURCE_DIR "\nsudo() { \"$@\"; }\n";
  while (std::getline(page, line) && line.find("```sh") != 0) {
  }
  unsigned commands = 0;
  while (std::getline(page, line) && line != "```") {
    if (line.find("cmake") == 0) continue;
    const auto put = [&line](const std::string& what, const std::string& by) {
      if (const auto at = line.find(what); at != line.npos) line.replace(at, what.size(), by);
    };
    put("build/release/bin/understudy", US_PROGRAM);
    put("--duration 1min", "--duration 4s >" + in_folder("summary") + " --out " + in_folder("out"));
    script += line + "\n";
    ++commands;
  }
  EXPECT_GE(commands, 3u);
  std::ofstream(folder / "script") << script << "wait\n";
  const auto r = shell("bash " + in_folder("script"));
  EXPECT_EQ(r.status, 0);
  EXPECT_NE(r.output.find("# Understudy"), std::string::npos) << r.output;
  EXPECT_NE(text_of(folder / "summary").find("HELD"), std::string::npos) << text_of(folder / "summary");
}

}  // namespace
}  // namespace understudy::tb
