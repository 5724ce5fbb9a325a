// `understudy live` as programs meet it: in a network of the test's own, where the test's process moves into
// a new network namespace, which is gone when it ends (where that is not permitted the test is skipped and
// says so); or over libslirp, on loopback, without privileges.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tb/test/live/own_network.h"
#include "tb/test/live/peer_socket.h"
#include "tb/test/live/shell.h"

namespace understudy::tb {

using namespace std::chrono_literals;

// 100 MiB and three deaths in the nightly run, else 20 MiB and two.
inline const bool nightly = std::getenv("US_LIVE_LONG") != nullptr;
inline const std::size_t big = nightly ? 100 << 20 : 20 << 20;
inline const std::size_t deaths = nightly ? 3 : 2;

class live_program : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* t = ::testing::UnitTest::GetInstance()->current_test_info();
    folder = std::filesystem::path(US_TEST_FOLDER) / t->test_suite_name() / t->name();
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder / "www");
  }
  void TearDown() override {
    if (program > 0) {
      ::kill(program, SIGKILL);
      waitpid(program, nullptr, 0);
    }
  }

  // spawn() at the network of the test, and wait until programs reach the adapter.
  void start(const std::vector<std::string>& arguments = {}) { enter(arguments); }
  // Where programs find the adapter's service `port`: "10.77.0.2", 8080.
  virtual std::string host() const { return "10.77.0.2"; }
  virtual unsigned port_of(unsigned port) const { return port; }
  std::string site() const { return "http://" + host() + ":" + std::to_string(port_of(8080)) + "/"; }
  // No socket of the kernel was reset or gave up, if its counters are the test's alone.
  virtual void expect_content_kernel() {}
  // Frames that found the device's queue full, while the program runs; `while_down` of every run.
  virtual std::uint64_t lost_by_device() const { return 0; }
  virtual unsigned before_it_was_up() const { return 0; }

  // Start `understudy live live.toml --json` with `arguments`; what it says goes to files. Its standard input
  // is a pipe whose end is `input`.
  void spawn(const std::vector<std::string>& arguments) {
    std::vector<std::string> words{US_PROGRAM,
                                   "live",
                                   std::string(US_SOURCE_DIR) + "/traces/scenarios/live.toml",
                                   "--out",
                                   (folder / "out").string(),
                                   "--set",
                                   "app.root=" + (folder / "www").string()};
    if (json) words.emplace_back("--json");
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::filesystem::remove(folder / "stderr");
    serving = 'A';
    int pipe_ends[2];
    ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    program = fork();
    if (program == 0) {
      dup2(pipe_ends[0], STDIN_FILENO);
      dup2(::open((folder / "stdout").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
      dup2(::open((folder / "stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
      std::vector<char*> argv;
      argv.reserve(words.size() + 1);
      for (std::string& w : words) argv.push_back(w.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    ::close(pipe_ends[0]);
    input = pipe_ends[1];
  }
  bool says(const std::string& what, std::chrono::seconds within = 20s) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (said().find(what) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  std::string said() const { return text_of(folder / "stderr"); }
  // Wait for its end; its exit status, -1 if it did not end by itself in time.
  int wait_for_end(std::chrono::seconds within = 20s) {
    const auto until = std::chrono::steady_clock::now() + within;
    int status = 0;
    while (waitpid(program, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > until) return -1;
      std::this_thread::sleep_for(10ms);
    }
    program = -1;
    result = nlohmann::json::parse(text_of(folder / (json ? "stdout" : "out/result.json")), nullptr, false);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int stop() {
    ::kill(program, SIGINT);
    return wait_for_end();
  }
  void order(const std::string& line) { ASSERT_GT(write(input, (line + "\n").data(), line.size() + 1), 0); }
  // Kill the adapter that serves, and wait until the next one does.
  void die() {
    ::kill(program, SIGUSR1);
    ++serving;
    EXPECT_TRUE(says(std::string(1, serving) + " serves")) << said();
  }
  // Run `command`, which moves `total` bytes, both ways together, over one connection to `port`; let adapters
  // die at even shares of them. After each death the kernel's socket is the one that it was before, and there
  // is more to come. What the command says.
  std::string through_deaths(const std::string& command, std::size_t total, std::size_t times = deaths,
                             unsigned port = 8080) {
    std::future<shell_result> running = std::async(std::launch::async, [command] { return shell(command); });
    std::size_t met = 0;
    for (std::size_t i = 1; i <= times; ++i) {
      socket_view before = look_at_socket(port);
      while (before.crossed() < total * i / (times + 1) && running.wait_for(5ms) != std::future_status::ready)
        before = look_at_socket(port);
      if (before.local.empty() || HasFatalFailure()) break;
      die();
      const socket_view after = look_at_socket(port);
      EXPECT_EQ(after.identity(), before.identity()) << "death " << i << " below " << command;
      EXPECT_LT(after.crossed(), total) << "death " << i << " below " << command;
      ++met;
      std::printf("death %zu: %s, %zu bytes crossed before, %zu after\n", i, before.identity().c_str(),
                  static_cast<std::size_t>(before.crossed()), static_cast<std::size_t>(after.crossed()));
    }
    EXPECT_EQ(met, times) << "it had an end before the deaths had: " << command;
    return running.get().output;
  }
  // The same at even shares of the files `got1`, `got2`, ... over many connections.
  std::string through_deaths_of_many(const std::string& command, std::size_t files, std::size_t total) {
    const auto have = [this, files] {
      std::size_t sum = 0;
      std::error_code none;
      for (std::size_t i = 1; i <= files; ++i) {
        const auto n = std::filesystem::file_size(folder / ("got" + std::to_string(i)), none);
        if (!none) sum += n;
      }
      return sum;
    };
    std::future<shell_result> running = std::async(std::launch::async, [command] { return shell(command); });
    std::size_t met = 0;
    for (std::size_t i = 1; i <= deaths; ++i) {
      while (have() < total * i / (deaths + 1) && running.wait_for(5ms) != std::future_status::ready) {
      }
      if (running.wait_for(0s) == std::future_status::ready) break;
      die();
      ++met;
      EXPECT_LT(have(), total) << "death " << i;
    }
    EXPECT_EQ(met, deaths) << "it had an end before the deaths had: " << command;
    return running.get().output;
  }
  // Get the file `name`, as fast as it comes or at `rate`, from when its first bytes are there on. What curl
  // says: status and connections.
  std::future<shell_result> download(const std::string& name, const std::string& rate = "1G");
  static bool under_way(const std::future<shell_result>& d) {
    return d.wait_for(0s) == std::future_status::timeout;
  }
  // The one connection of the run carried `sent` to `got` through `times` deaths. Ends the program.
  void expect_survived(const std::string& sent, const std::string& got, std::size_t times, bool stood_still) {
    EXPECT_TRUE(same(sent, got));
    expect_content_kernel();
    EXPECT_EQ(stop(), 0) << said();
    expect_carried(times, 1, stood_still);
    EXPECT_EQ(result["connections"]["opened"], 1);
  }
  // Nobody on the way lost a frame that the device was up for. Ends the program.
  void expect_no_frame_lost_and_stop() {
    EXPECT_EQ(lost_by_device(), 0u);
    EXPECT_EQ(stop(), 0) << said();
    EXPECT_EQ(result["live"]["refused_in"], 0);
    EXPECT_EQ(result["live"]["refused_out"], 0);
    EXPECT_EQ(result["live"]["while_down"], before_it_was_up());
    EXPECT_EQ(result["dropped_frames"]["overflow"], 0);
    EXPECT_EQ(result["connections"]["reset"], 0);
    EXPECT_EQ(result["connections"]["aborted"], 0);
  }
  // After stop(): `times` adapters died, each of at least `least` connections, and none of these was lost.
  // `stood_still`: the death held up bytes under way.
  void expect_carried(std::size_t times, unsigned least, bool stood_still) {
    EXPECT_EQ(result["failovers"].size(), times);
    for (const auto& f : result["failovers"]) {
      EXPECT_GE(f["connections"], least) << said();
      if (stood_still) {
        EXPECT_GT(f["stall_ps"]["max"], 0) << said();
      }
      std::printf("%s -> %s: %d connections, stall %.1f ms\n", f["from"].get<std::string>().c_str(),
                  f["to"].get<std::string>().c_str(), f["connections"].get<int>(),
                  f["stall_ps"]["max"].get<double>() / 1e9);
    }
    EXPECT_EQ(result["connections"]["reset"], 0);
    EXPECT_EQ(result["connections"]["aborted"], 0);
  }
  // A file of `bytes` that look random below the server's root.
  void make_file(const std::string& name, std::size_t bytes) {
    std::ofstream f(folder / "www" / name, std::ios::binary);
    std::uint64_t x = 88172645463325252ull;
    std::vector<char> part(65536);
    while (bytes > 0) {
      for (char& c : part) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        c = static_cast<char>(x);
      }
      const std::size_t n = std::min(bytes, part.size());
      f.write(part.data(), static_cast<std::streamsize>(n));
      bytes -= n;
    }
  }
  // Scenarios (scenarios.cpp) of every network. Each starts the program and ends it.
  //
  // 64 downloads at once, every byte compared.
  void many_survive_deaths(const std::vector<std::string>& arguments);
  // One upload, alone on its connection, to `url` (empty: site()) with `options` of curl.
  void an_upload_survives_deaths(const std::string& options, bool stood_still,
                                 const std::vector<std::string>& arguments, const std::string& url = {});
  // 1500, or US_LIVE_CONNECTIONS.
  void connections_leave_nothing_behind();
  void one_connection_serves_many_requests();
  void socat_gets_its_echo();
  void nc_pumps_the_known_bytes();
  void orders_kill_and_stop();
  void three_deaths_on_time_below_a_download();
  void held_up_it_says_so();
  void keeps_the_pace(const std::string& factor);
  void overloaded_it_says_by_how_much();
  void ends_in_order_at(int signal);
  void the_last_death_fails_the_run();
  void idle_it_sleeps();
  // A wire that holds back who sends, so that a death finds bytes under way.
  static constexpr const char* twelve_megabytes_a_second = "wire.rate=\"100 Mb/s\"";
  static constexpr const char* time_was_put_off =
      "the machine was busy and simulated time fell behind, which makes a death longer than it is: time-outs "
      "are not judged";
  static constexpr const char* one_percent_lost = "wire.impair=loss 1%";

  bool same(const std::string& a, const std::string& b) const {
    const std::string x = text_of(folder / a);
    return !x.empty() && x == text_of(folder / b);
  }
  std::string in_folder(const std::string& name) const { return (folder / name).string(); }
  std::filesystem::path folder;
  pid_t program = -1;
  char serving = 'A';
  int input = -1;
  bool json = true;  // false: the summary on standard output, and `result` is what is on the disk
  nlohmann::json result;

 private:
  virtual void enter(const std::vector<std::string>& arguments) {
    spawn(arguments);
    ASSERT_TRUE(says("ready")) << said();
  }
};

class live_network : public live_program {
 protected:
  static constexpr const char* device = "us0";
  // The adapter says what its MAC is, by gratuitous ARP and an unsolicited neighbour advertisement, before
  // start() brings the device up.
  unsigned before_it_was_up() const override { return 2; }
  std::uint64_t lost_by_device() const override {
    return std::stoull(shell("grep us0: /proc/net/dev | tr -s ' ' | sed 's/^ //' | cut -d' ' -f13").output);
  }

  void SetUp() override {
    live_program::SetUp();
    if (const std::string why = enter_own_network(); !why.empty()) GTEST_SKIP() << why;
  }
  // spawn(), wait for `ready`, and give the device the peer's address.
  void enter(const std::vector<std::string>& arguments) override {
    std::vector<std::string> all{"--tap", device};
    all.insert(all.end(), arguments.begin(), arguments.end());
    spawn(all);
    ASSERT_TRUE(says("ready")) << said();
    run_in_shell(bring_device_up);
  }
  static constexpr const char* bring_device_up =
      "ip addr add 10.77.0.1/24 dev us0 && ip addr add fd77::1/64 dev us0 nodad && ip link set us0 up";
  static void run_in_shell(const std::string& command) {
    const auto ran = shell(command);
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  // A device that is ready before the adapter is.
  static void make_device() {
    run_in_shell(std::string("ip tuntap add dev us0 mode tap && ") + bring_device_up);
  }
  // A setting of the kernel's TCP in this namespace; false: the kernel refuses it.
  static bool set_kernel(const std::string& name, const std::string& value) {
    std::ofstream f("/proc/sys/net/ipv4/" + name);
    f << value << std::flush;
    return f.good();
  }
  // Let the kernel hold back so little for a slow reader that a download at a limited rate is under way until
  // its end. By default it takes 32 MiB at once, and a death meets a connection that has nothing left to do.
  static void hold_back_little() { ASSERT_TRUE(set_kernel("tcp_rmem", "4096 131072 262144")); }
  // A counter of the kernel's TCP since the namespace was made.
  long counter(const std::string& name) {
    std::istringstream line(shell("nstat -asz " + name).output);
    std::string word;
    while (line >> word)
      if (word == name) {
        long v = -1;
        line >> v;
        return v;
      }
    return -1;
  }
  // Segments whose timestamp was older than what the kernel had heard, or echoed what it had not said
  // (RFC 7323 3.2, 5.3), by each of its counters: with a payload, without, before and after the connection
  // was one, and ACKs that it did not send because of them. Kernels before 6.15 have not all of them.
  std::map<std::string, long> old_timestamps() {
    std::map<std::string, long> all;
    for (const char* name : {"TcpExtPAWSEstab", "TcpExtPAWSOldAck", "TcpExtPAWSActive", "TcpExtPAWSTimewait",
                             "TcpExtTSEcrRejected", "TcpExtTCPACKSkippedPAWS"})
      if (const long n = counter(name); n >= 0) all[name] = n;
    return all;
  }
  void expect_no_old_timestamp() {
    const std::map<std::string, long> all = old_timestamps();
    EXPECT_TRUE(all.contains("TcpExtPAWSEstab")) << "every kernel has it";
    for (const auto& [name, n] : all) EXPECT_EQ(n, 0) << name;
  }
  // No socket of the kernel was reset or gave up, and no segment came with a timestamp too old.
  void expect_content_kernel() override {
    EXPECT_EQ(counter("TcpExtTCPAbortOnTimeout"), 0);
    EXPECT_EQ(counter("TcpEstabResets"), 0);
    expect_no_old_timestamp();
    std::printf("the kernel had %ld time-outs\n", counter("TcpExtTCPTimeouts"));
  }
};

class live_slirp : public live_program {
 protected:
  // spawn() with port 8080, 7, 9 and 5001 behind the adapter reachable, and wait for `ready`.
  void enter(const std::vector<std::string>& arguments) override {
    std::vector<std::string> all{"--slirp"};
    for (auto& [guest, port] : ports) {
      port = free_port();
      all.push_back("--hostfwd");
      all.push_back("127.0.0.1:" + std::to_string(port) + "-:" + std::to_string(guest));
    }
    all.insert(all.end(), arguments.begin(), arguments.end());
    spawn(all);
    ASSERT_TRUE(says("ready")) << said();
  }
  std::string host() const override { return "127.0.0.1"; }
  unsigned port_of(unsigned port) const override { return ports.at(port); }
  std::string base() const { return site(); }
  // A connection to `port` behind the adapter; reading from it gives up after two seconds.
  int dial(unsigned port = 8080) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port_of(port)));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0) << std::strerror(errno);
    const timeval patience{2, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }
  // A port of loopback that nobody has now.
  static std::uint16_t free_port(int family = AF_INET) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 a = {};  // the port is where sockaddr_in has it; zero: any address
    a.sin6_family = static_cast<sa_family_t>(family);
    socklen_t n = family == AF_INET ? sizeof(sockaddr_in) : sizeof a;
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&a), n), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&a), &n), 0);
    ::close(fd);
    return ntohs(a.sin6_port);
  }

  std::map<unsigned, std::uint16_t> ports{{8080, 0}, {7, 0}, {9, 0}, {5001, 0}};
};

}  // namespace understudy::tb
