// What every network must show: over the kernel's TCP in a namespace, and over libslirp without privileges.
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

bool has_program(const std::string& name) {
  return shell("command -v " + name).status == 0;
}

// Memory that a process has, in KiB; 0: the kernel does not say.
std::size_t resident_kib(pid_t of) {
  const std::string status = text_of("/proc/" + std::to_string(of) + "/status");
  const std::size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::stoul(status.substr(at + 6));
}

std::size_t open_files(pid_t of) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(of) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Wall clock since ready, less what simulated time was put off by.
double paced_seconds(const nlohmann::json& result) {
  return result["live"]["ready_s"].get<double>() - result["live"]["put_off_s"].get<double>();
}

double simulated_seconds(const nlohmann::json& result) {
  return result["sim_time_ps"].get<double>() / 1e12;
}

}  // namespace

std::future<shell_result> live_program::download(const std::string& name, const std::string& rate) {
  std::filesystem::remove(folder / "got");
  auto d = std::async(std::launch::async, [=, this] {
    return shell("curl -sS -m 60 --limit-rate " + rate + " -o " + in_folder("got") +
                 " -w '%{http_code} %{num_connects}' " + site() + name);
  });
  for (int i = 0; i < 500 && !std::filesystem::exists(folder / "got"); ++i) std::this_thread::sleep_for(10ms);
  return d;
}

void live_program::many_survive_deaths(const std::vector<std::string>& arguments) {
  constexpr std::size_t files = 64;
  const std::size_t each = big / files;
  for (std::size_t i = 1; i <= files; ++i)
    make_file("file" + std::to_string(i), each + i);  // no two of a length
  start(arguments);
  std::ofstream list(folder / "list");
  for (std::size_t i = 1; i <= files; ++i)
    list << "url = " << site() << "file" << i << "\noutput = " << in_folder("got" + std::to_string(i))
         << "\n";
  list.close();
  EXPECT_EQ(through_deaths_of_many("curl -sS -m 100 -Z --parallel-immediate --parallel-max 64 -K " +
                                       in_folder("list") + " 2>" + in_folder("progress") + "; echo $?",
                                   files, files * each),
            "0\n")
      << text_of(folder / "progress");
  const auto sums = [this](const std::string& of) {
    return shell("cd " + in_folder("") + " && for i in $(seq 64); do sha256sum < " + of + "$i; done").output;
  };
  EXPECT_EQ(sums("got"), sums("www/file"));
  expect_content_kernel();
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["connections"]["opened"], files);
  expect_carried(deaths, files / 2, false);
}

void live_program::an_upload_survives_deaths(const std::string& options, bool stood_still,
                                             const std::vector<std::string>& arguments,
                                             const std::string& url) {
  make_file("big", big);
  start(arguments);
  EXPECT_EQ(
      through_deaths("curl -sS -m 100 " + options + " -o /dev/null -w '%{http_code} %{num_connects}' -T " +
                         in_folder("www/big") + " '" + (url.empty() ? site() : url) + "copy'",
                     big, deaths, port_of(8080)),
      "201 1");
  expect_survived("www/big", "www/copy", deaths, stood_still);
}

void live_program::connections_leave_nothing_behind() {
  make_file("a.bin", 1'000);
  start({"--set", "adapter.msl=\"5 ms\""});
  const std::size_t files = open_files(program);
  const char* many = std::getenv("US_LIVE_CONNECTIONS");
  const std::string n = many ? many : "1500";
  const auto connect = [this](const std::string& times) {
    const auto ab = shell("ab -q -s 60 -n " + times + " -c 32 " + site() + "a.bin");
    EXPECT_NE(ab.output.find("Complete requests:      " + times + "\n"), std::string::npos) << ab.output;
    EXPECT_NE(ab.output.find("Failed requests:        0"), std::string::npos) << ab.output;
    std::this_thread::sleep_for(1s);
  };
  connect("200");  // what it keeps for the next ones is there
  const std::size_t memory = resident_kib(program);
  connect(n);
  // libslirp keeps sockets for a while after their end.
  for (unsigned i = 0; i < 1000 && open_files(program) > files; ++i) std::this_thread::sleep_for(10ms);
  std::printf("%zu KiB and %zu files before, %zu and %zu after\n", memory, files, resident_kib(program),
              open_files(program));
  EXPECT_GT(files, 0u);
  EXPECT_EQ(open_files(program), files);
  EXPECT_GT(memory, 0u);
  // Each has touched a page of a receive buffer that none had used before, and monitors know it by its ports;
  // what many at once need comes on top.
  EXPECT_LT(resident_kib(program), memory + 16384 + 5 * std::stoul(n));
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GE(result["connections"]["completed"], std::stoi(n));
  EXPECT_EQ(result["connections"]["reset"], 0);
  EXPECT_EQ(result["live"]["open_at_end"], 0);
  EXPECT_EQ(result["live"]["driver_connections"], 0);
  EXPECT_EQ(result["live"]["adapter_connections"], 0);
}

void live_program::socat_gets_its_echo() {
  constexpr std::size_t bytes = 5 << 20;
  if (!has_program("socat")) GTEST_SKIP() << "needs socat";
  make_file("big", bytes);
  start({"--set", "wire.rate=\"60 Mb/s\""});
  EXPECT_EQ(through_deaths("socat -t 30 - TCP:" + host() + ":" + std::to_string(port_of(7)) + " < " +
                               in_folder("www/big") + " > " + in_folder("got"),
                           2 * bytes, 1, port_of(7)),
            "");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(stop(), 0) << said();
  expect_carried(1, 1, true);
}

void live_program::nc_pumps_the_known_bytes() {
  constexpr std::size_t bytes = 5 << 20;
  if (!has_program("nc")) GTEST_SKIP() << "needs nc";
  start({"--set", "wire.rate=\"60 Mb/s\""});
  EXPECT_EQ(through_deaths("nc -d " + host() + " " + std::to_string(port_of(5001)) + " | head -c " +
                               std::to_string(bytes) + " > " + in_folder("got"),
                           bytes, 1, port_of(5001)),
            "");
  const std::string got = text_of(folder / "got");
  ASSERT_EQ(got.size(), bytes);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < bytes; ++i) wrong += static_cast<unsigned char>(got[i]) != i % 251;
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["failovers"].size(), 1u);
  EXPECT_EQ(result["failovers"][0]["connections"], 1);
}

void live_program::orders_kill_and_stop() {
  start();
  order("kill A");
  EXPECT_TRUE(says("B serves")) << said();
  order("kill A");
  EXPECT_TRUE(says("dead already")) << said();
  order("dance");
  EXPECT_TRUE(says("\"dance\" is unknown")) << said();
  ::kill(program, SIGUSR1);
  EXPECT_TRUE(says("C serves")) << said();
  order("stop");
  EXPECT_EQ(wait_for_end(), 1);  // a kill that struck nobody
  ASSERT_EQ(result["faults"].size(), 3u);
  EXPECT_EQ(result["faults"][0]["target"], "A");
  EXPECT_EQ(result["faults"][1]["outcome"], "not activated");
  EXPECT_EQ(result["faults"][2]["target"], "B");
}

// --json sends the result to standard output; spawn() asks for it.
void live_program::three_deaths_on_time_below_a_download() {
  make_file("big", 12 << 20);
  start({"--set", "wire.rate=\"30 Mb/s\"", "--set", "topology.adapters=4", "--kill-after", "1.75s",
         "--kill-after", "1s", "--kill-after", "2500ms", "--duration", "5s"});
  auto got = download("big");
  ASSERT_TRUE(under_way(got));
  EXPECT_EQ(got.get().output, "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  expect_content_kernel();
  EXPECT_EQ(wait_for_end(), 0) << said();
  ASSERT_FALSE(result.is_discarded()) << text_of(folder / "stdout");
  EXPECT_EQ(result, nlohmann::json::parse(text_of(folder / "out/result.json")));
  EXPECT_EQ(result["status"], "held");
  EXPECT_NEAR(result["live"]["ready_s"].get<double>(), 5.0, 0.5);
  const double put_off = result["live"]["put_off_s"].get<double>();
  // Simulated time when it was ready: what passed since is the run's end less its length at that pace.
  const double ready = simulated_seconds(result) - paced_seconds(result);
  ASSERT_EQ(result["faults"].size(), 3u);
  ASSERT_EQ(result["failovers"].size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& f = result["faults"][i];
    EXPECT_EQ(f["kind"], "kill");
    EXPECT_EQ(f["target"], std::string(1, static_cast<char>('A' + i)));
    EXPECT_EQ(f["outcome"], "recovered");
    const double at = f["at_ps"].get<double>() / 1e12 - ready;
    EXPECT_GE(at, 1.0 + 0.75 * static_cast<double>(i) - put_off - 0.01) << i;
    EXPECT_LE(at, 1.0 + 0.75 * static_cast<double>(i) + 0.25) << i;
    EXPECT_GT(result["failovers"][i]["connections"], 0) << "the download was not under way";
  }
}

void live_program::held_up_it_says_so() {
  make_file("big", 12 << 20);
  start({"--set", "wire.rate=\"30 Mb/s\""});
  auto got = download("big");
  std::this_thread::sleep_for(300ms);
  ASSERT_TRUE(under_way(got));
  ASSERT_EQ(::kill(program, SIGSTOP), 0);
  std::this_thread::sleep_for(3s);
  ASSERT_EQ(::kill(program, SIGCONT), 0);
  EXPECT_TRUE(under_way(got)) << "it outlasted nothing";
  EXPECT_EQ(got.get().output, "200 1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_TRUE(says("slow: simulated time ran at")) << said();
  expect_content_kernel();
  expect_no_frame_lost_and_stop();
  EXPECT_GE(result["live"]["put_off_s"], 2.5);
}

void live_program::keeps_the_pace(const std::string& factor) {
  make_file("a.bin", 300'000);
  start({"--factor", factor, "--duration", "2s"});
  EXPECT_EQ(shell("curl -sS -m 20 -o " + in_folder("got") + " " + site() + "a.bin").output, "");
  EXPECT_TRUE(same("got", "www/a.bin"));
  EXPECT_EQ(wait_for_end(), 0) << said();
  const double f = std::stod(factor);
  EXPECT_EQ(result["live"]["factor"], f);
  EXPECT_GE(paced_seconds(result), 1.0) << "the machine was too busy to judge";
  EXPECT_NEAR(simulated_seconds(result), paced_seconds(result) * f, 0.3);
}

void live_program::overloaded_it_says_by_how_much() {
  constexpr double factor = 200;
  make_file("a.bin", 4 << 20);
  start({"--factor", "200"});
  std::size_t loads = 0;
  for (const auto until = std::chrono::steady_clock::now() + 20s;
       said().find("slow: ") == std::string::npos && std::chrono::steady_clock::now() < until; ++loads) {
    EXPECT_EQ(download("a.bin").get().output, "200 1");
    ASSERT_TRUE(same("got", "www/a.bin")) << "download " << loads;
    ASSERT_EQ(shell("curl -sS -m 60 -o /dev/null -w '%{http_code}' -T " + in_folder("www/a.bin") + " " +
                    site() + "copy")
                  .output,
              "201");
    ASSERT_TRUE(same("www/copy", "www/a.bin")) << "upload " << loads;
  }
  EXPECT_GT(loads, 0u);
  const std::string line = said();
  expect_no_frame_lost_and_stop();
  double pace = -1, period = 0, behind = 0;
  const std::size_t at = line.find("slow: ");
  ASSERT_NE(at, std::string::npos) << line;
  ASSERT_EQ(std::sscanf(line.c_str() + at,
                        "slow: simulated time ran at %lf of its pace in the last %lf s, %lf s behind", &pace,
                        &period, &behind),
            3)
      << line;
  EXPECT_NEAR(pace, 1 - behind / period, 0.02);
  EXPECT_GE(period, 5.0);
  EXPECT_GT(behind, period / 2);
  EXPECT_GE(result["live"]["put_off_s"].get<double>(), behind - 0.1) << "it only grows";
  EXPECT_LT(result["live"]["put_off_s"], result["live"]["ready_s"]);
  // What is not put off was simulated, at the pace that was asked for.
  EXPECT_NEAR(simulated_seconds(result), paced_seconds(result) * factor, 0.3 * factor);
  std::printf("%zu times both ways; simulated %.1f s in %.1f s\n", loads, simulated_seconds(result),
              result["live"]["ready_s"].get<double>());
}

void live_program::ends_in_order_at(int signal) {
  SCOPED_TRACE(strsignal(signal));
  json = false;
  make_file("big", 4 << 20);
  for (const bool wrong : {false, true}) {
    std::filesystem::remove_all(folder / "out");
    start({"--set", "wire.rate=\"8 Mb/s\""});
    auto got = download("big");
    ASSERT_TRUE(under_way(got));
    if (wrong) {
      order("kill P");
      EXPECT_TRUE(says("no such adapter")) << said();
    }
    ::kill(program, signal);
    EXPECT_EQ(wait_for_end(), wrong ? 1 : 0) << said();
    EXPECT_NE(got.get().status, 0) << "what is open is reset";
    const std::string summary = text_of(folder / "stdout");
    EXPECT_NE(summary.find("open at the end 1\n"), std::string::npos) << summary;
    EXPECT_NE(summary.find(wrong ? "\nFAILED: " : "\nHELD: "), std::string::npos) << summary;
    ASSERT_FALSE(result.is_discarded()) << "result.json on the disk";
    EXPECT_EQ(result["status"], wrong ? "failed" : "held");
    EXPECT_EQ(result["live"]["open_at_end"], 1);
  }
}

void live_program::one_connection_serves_many_requests() {
  make_file("a.bin", 10'000);
  start();
  const auto r = shell("curl -sS -m 20 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' " +
                       site() + "a.bin " + site() + "a.bin " + site() + "a.bin");
  EXPECT_EQ(r.output, "1 0 0 ");
  const auto ab = shell("ab -q -k -n 2000 -c 16 " + site() + "a.bin");
  EXPECT_NE(ab.output.find("Complete requests:      2000"), std::string::npos) << ab.output;
  EXPECT_NE(ab.output.find("Failed requests:        0"), std::string::npos) << ab.output;
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_LE(result["connections"]["opened"], 1 + 16 + 21);  // the server never closes, ab may
}

void live_program::the_last_death_fails_the_run() {
  start({"--set", "topology.adapters=1", "--kill-after", "0.1", "--duration", "500ms"});
  EXPECT_EQ(wait_for_end(), 1);
  EXPECT_NE(result["reasons"].dump().find("no substitute"), std::string::npos) << result["reasons"];
}

void live_program::idle_it_sleeps() {
  start({"--duration", "2s"});
  EXPECT_EQ(wait_for_end(), 0) << said();
  EXPECT_LT(result["live"]["cpu_s"], 0.5);
  EXPECT_LT(result["live"]["put_off_s"], 0.5);
  EXPECT_NEAR(result["sim_time_ps"].get<double>() / 1e12, 2.0, 0.6);
}

}  // namespace understudy::tb
