// The HTTP client behind the adapter, against a server of somebody else.
#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

// Python's server on `address`:`port`, for files in `folder`, as long as it lives.
class python_server {
 public:
  python_server(const std::string& address, std::uint16_t port, const std::string& folder) {
    pid_ = fork();
    if (pid_ == 0) {
      const int nowhere = ::open("/dev/null", O_WRONLY);
      dup2(nowhere, STDOUT_FILENO);
      dup2(nowhere, STDERR_FILENO);
      const std::string number = std::to_string(port);
      execlp("python3", "python3", "-m", "http.server", "--bind", address.c_str(), "--directory",
             folder.c_str(), number.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 500 && !answers(address, port); ++i) std::this_thread::sleep_for(20ms);
  }
  ~python_server() {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  static bool answers(const std::string& address, std::uint16_t port) {
    const std::string host = address.find(':') == address.npos ? address : "[" + address + "]";
    return shell("curl -g -sS -m 1 -o /dev/null 'http://" + host + ":" + std::to_string(port) + "/'")
               .status == 0;
  }
  pid_t pid_;
};

// So that a fetch lasts longer than its deaths: 12 MB/s.
constexpr const char* slow_wire = "wire.rate=\"100 Mb/s\"";

TEST_F(live_slirp, the_client_gets_files_from_a_server_of_this_machine_while_adapters_die) {
  make_file("big", 20 << 20);
  const std::uint16_t port = free_port();
  const python_server server("127.0.0.1", port, in_folder("www"));
  const std::string url = "http://10.77.0.1:" + std::to_string(port) + "/big";
  start({"--set", "app.fetch=" + url + " " + url, "--set", slow_wire, "--kill-after", "200ms", "--kill-after",
         "500ms"});
  ASSERT_TRUE(says("fetched " + url + ": status 200, 20971520 bytes", 60s)) << said();
  std::this_thread::sleep_for(1s);
  for (int i = 0; i < 600 && said().find("fetched") == said().rfind("fetched"); ++i)
    std::this_thread::sleep_for(50ms);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_TRUE(same("www/big", "out/fetched-1"));
  EXPECT_TRUE(same("www/big", "out/fetched-2"));
  EXPECT_EQ(result["live"]["fetches"].size(), 2u);
  EXPECT_EQ(result["live"]["fetches"][0]["sha256"].get<std::string>() + "\n",
            shell("sha256sum " + in_folder("www/big") + " | cut -d' ' -f1").output);
  EXPECT_EQ(result["failovers"].size(), 2u);
  for (const auto& f : result["failovers"]) EXPECT_GE(f["connections"], 1) << said();
}

TEST_F(live_slirp, the_client_gets_a_file_over_ipv6_from_a_server_of_this_machine) {
  make_file("big", 10 << 20);
  const std::uint16_t port = free_port(AF_INET6);
  const python_server server("::1", port, in_folder("www"));
  const std::string url = "http://[fd77::1]:" + std::to_string(port) + "/big";
  start({"--set", "app.fetch=" + url, "--set", slow_wire, "--kill-after", "100ms"});
  ASSERT_TRUE(says("fetched " + url + ": status 200, 10485760 bytes", 60s)) << said();
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_TRUE(same("www/big", "out/fetched-1"));
  EXPECT_EQ(result["failovers"].size(), 1u);
  for (const auto& f : result["failovers"]) EXPECT_GE(f["connections"], 1) << said();
}

TEST_F(live_slirp, what_cannot_be_fetched_fails_the_run) {
  make_file("a.bin", 1000);
  const std::uint16_t port = free_port();
  const std::string refusing = std::to_string(free_port());
  const python_server server("127.0.0.1", port, in_folder("www"));
  const std::string base = "http://10.77.0.1:" + std::to_string(port) + "/";
  start({"--set", "app.fetch=" + base + "none http://10.77.0.1:" + refusing + "/ " + base + "a.bin"});
  ASSERT_TRUE(says("1000 bytes")) << said();
  EXPECT_EQ(stop(), 1);
  EXPECT_EQ(result["reasons"].size(), 2u) << result["reasons"];
  EXPECT_NE(result["reasons"][0].get<std::string>().find("status 404"), std::string::npos);
  EXPECT_NE(result["reasons"][1].get<std::string>().find("onnection re"), std::string::npos);  // fused or set
}

TEST_F(live_slirp, urls_that_the_client_does_not_take_are_refused_with_one_line) {
  for (const char* wrong :
       {"https://10.77.0.1/", "10.77.0.1/x", "http://localhost/", "http://10.77.0/", "http://10.77.0.1:0/",
        "http://10.77.0.1:65536/", "http://10.77.0.256/", "http://[fd77::1/", "http://fd77::1/",
        "http://[10.77.0.1]/", "http://[fd77::1]x/"}) {
    spawn({"--slirp", "--set", std::string("app.fetch=") + wrong});
    EXPECT_EQ(wait_for_end(), 2);
    EXPECT_NE(said().find("app.fetch"), std::string::npos) << said();
  }
}

TEST_F(live_network, the_client_gets_files_over_the_kernel_s_tcp) {
  make_file("big", 60 << 20);
  const python_server server("0.0.0.0", 8000, in_folder("www"));
  start({"--set", "app.fetch=http://10.77.0.1:8000/big"});
  std::error_code none;
  while (said().find("fetched") == std::string::npos &&
         std::filesystem::file_size(folder / "out/fetched-1", none) < 1 << 20)
    std::this_thread::sleep_for(1ms);
  order("kill");
  ASSERT_TRUE(says("status 200, 62914560 bytes", 60s)) << said();
  EXPECT_EQ(counter("TcpEstabResets"), 0);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_TRUE(same("www/big", "out/fetched-1"));
  EXPECT_EQ(result["failovers"].size(), 1u);
  for (const auto& f : result["failovers"]) EXPECT_GE(f["connections"], 1) << said();
}

}  // namespace
}  // namespace understudy::tb
