// A peer behind a router whose second link is narrower: the kernel's router says so, by ICMP.
#include <sys/prctl.h>

#include <cstring>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

// The test's network is the router: the TAP device on one side, on the other a link to a network of the
// client's own. The client's addresses belong to the adapter's link, where the router answers for them (proxy
// ARP, RFC 4861 7.2.8): the adapter needs no gateway.
class live_router : public live_network {
 protected:
  void SetUp() override {
    live_network::SetUp();
    if (IsSkipped()) return;
    int ready[2];
    ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
    client_ = fork();
    if (client_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char ok = unshare(CLONE_NEWNET) == 0;
      if (write(ready[1], &ok, 1) == 1) pause();
      _exit(0);
    }
    char ok = 0;
    EXPECT_EQ(read(ready[0], &ok, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    if (!ok) GTEST_SKIP() << "needs the right to make a second network namespace";
  }
  void TearDown() override {
    if (client_ > 0) {
      ::kill(client_, SIGKILL);
      waitpid(client_, nullptr, 0);
    }
    live_network::TearDown();
  }
  std::string at_client(const std::string& command) {
    return "nsenter -t " + std::to_string(client_) + " -n " + command;
  }
  // start(), and the way to the client, whose narrowest link takes `mtu`. The client does not know: its MSS
  // says 1500. Empty: done; else what this machine lacks.
  std::string start_with_client(unsigned mtu) {
    start();
    const std::string steps[] = {
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        "echo 1 > /proc/sys/net/ipv4/conf/us0/proxy_arp",
        "echo 1 > /proc/sys/net/ipv6/conf/us0/proxy_ndp",
        "echo 0 > /proc/sys/net/ipv4/neigh/us0/proxy_delay",
        "echo 0 > /proc/sys/net/ipv6/neigh/us0/proxy_delay",
        "ip link add v0 type veth peer name v1",
        "ip link set v1 netns " + std::to_string(client_),
        "ip addr add 10.78.0.1/24 dev v0",
        "ip addr add fd78::1/64 dev v0 nodad",
        "ip link set v0 mtu " + std::to_string(mtu) + " up",
        at_client("ip addr add 10.78.0.2/24 dev v1"),
        at_client("ip addr add 10.77.0.77/32 dev v1"),
        at_client("ip addr add fd78::2/64 dev v1 nodad"),
        at_client("ip addr add fd77::77/128 dev v1 nodad"),
        at_client("ip link set v1 mtu 1500 up"),
        at_client("ip route add 10.77.0.2 via 10.78.0.1 src 10.77.0.77"),
        at_client("ip -6 route add fd77::2 via fd78::1 src fd77::77"),
        "ip route add 10.77.0.77 dev v0",
        "ip -6 route add fd77::77 dev v0",
        "ip -6 neigh add proxy fd77::77 dev us0",
    };
    for (const std::string& step : steps)
      if (const auto r = shell(step); r.status != 0) return step + ": " + r.output;
    return {};
  }
  // The download at the client, by one connection.
  void download(const std::string& url, const std::string& meanwhile) {
    std::filesystem::remove(folder / "got");
    const auto r =
        shell(at_client("curl -g -sS -m 60 --limit-rate 12M -o " + in_folder("got") +
                        " -w '%{http_code} %{num_connects}' '" + url + "' & " + meanwhile + "wait"));
    EXPECT_EQ(r.output, "200 1") << said();
    EXPECT_TRUE(same("got", "www/big"));
  }
  std::uint64_t reduced() const { return result["path_mtu"]["reduced"].get<std::uint64_t>(); }

 private:
  pid_t client_ = -1;
};

const std::string four = "http://10.77.0.2:8080/big", six = "http://[fd77::2]:8080/big";

TEST_F(live_router, a_narrow_path_is_found_and_found_again_by_the_substitute) {
  make_file("big", 12 << 20);
  for (const std::string& url : {four, six}) {
    SCOPED_TRACE(url);
    const std::string lacks = start_with_client(1400);
    if (!lacks.empty()) GTEST_SKIP() << "this machine does not route: " << lacks;
    download(url, "for n in $(seq 1000); do [ -n \"$(find " + in_folder("got") +
                      " -size +1M 2>/dev/null)\" ] && break; sleep 0.02; done; kill -USR1 " +
                      std::to_string(program) + "; ");
    EXPECT_GT(counter(url == four ? "IcmpOutDestUnreachs" : "Icmp6OutPktTooBigs"), 0);
    EXPECT_EQ(counter("TcpEstabResets"), 0);
    EXPECT_EQ(stop(), 0) << said();
    EXPECT_EQ(result["failovers"].size(), 1u);
    EXPECT_EQ(result["connections"]["reset"], 0);
    EXPECT_EQ(reduced(), 2u) << "once by each adapter";
    shell("ip link del v0");
  }
}

TEST_F(live_router, a_path_as_wide_as_the_adapters_link_is_left_alone) {
  make_file("big", 6 << 20);
  const std::string lacks = start_with_client(1500);
  if (!lacks.empty()) GTEST_SKIP() << "this machine does not route: " << lacks;
  download(four, "");
  download(six, "");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(reduced(), 0u);
}

}  // namespace
}  // namespace understudy::tb
