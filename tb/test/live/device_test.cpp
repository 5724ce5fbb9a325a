// The device itself: whose it is, who may open it, and what becomes of a run when it goes down.
#include <algorithm>
#include <future>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

const std::string base = "http://10.77.0.2:8080/";
const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";

bool exists(const std::string& device) {
  return shell("ip link show " + device).status == 0;
}

class live_device : public live_network {
 protected:
  // `--tap tap` by a user without rights, who has a folder to write to; what it says on standard error.
  shell_result run_as_nobody(const std::string& tap, const std::string& more = {}) {
    const std::string mine = nobodys_folder();
    return shell("unshare -m sh -c 'mount --bind " + mine + "/tun /dev/net/tun && exec " + as_nobody +
                 US_PROGRAM " live " US_SOURCE_DIR "/traces/scenarios/live.toml --tap " + tap + " --out " +
                 mine + "/out --set app.root=" + mine + " --json " + more + " >" + mine +
                 "/stdout </dev/null'");
  }
  static std::string nobodys_folder() { return "/tmp/us_nobody_" + std::to_string(getpid()); }
  // What a distribution's /dev/net/tun is: everybody may open it. Here it may be otherwise.
  static shell_result make_clone_device(const std::string& mode) {
    const std::string node = nobodys_folder() + "/tun";
    return shell("rm -f " + node + " && mknod " + node + " c 10 200 && chmod " + mode + " " + node +
                 " && unshare -m sh -c 'mount --bind " + node + " /dev/net/tun'");
  }
  void SetUp() override {
    live_network::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(nobodys_folder());
    ASSERT_EQ(shell("chown 65534:65534 " + nobodys_folder()).status, 0);
    const auto tried = shell(as_nobody + "test -x " US_PROGRAM " -a -r " US_SOURCE_DIR);
    if (tried.status != 0)
      GTEST_SKIP() << "needs setpriv, and a build folder that everybody may read: " << tried.output;
    const auto made = make_clone_device("666");
    if (made.status != 0)
      GTEST_SKIP() << "needs the right to make a device node and a mount namespace (root): " << made.output;
  }
  void TearDown() override {
    std::filesystem::remove_all(nobodys_folder());
    live_network::TearDown();
  }
  static void is_one_line_that_says_what_is_allowed(const shell_result& r) {
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(std::count(r.output.begin(), r.output.end(), '\n'), 1) << r.output;
    EXPECT_NE(r.output.find("allowed:"), std::string::npos) << r.output;
  }
};

TEST_F(live_device, somebody_without_rights_serves_over_a_device_made_for_them_which_stays) {
  ASSERT_EQ(shell("ip tuntap add dev us0 mode tap user 65534 && ip addr add 10.77.0.1/24 dev us0 && "
                  "ip link set us0 up")
                .status,
            0);
  make_file("a.bin", 300'000);
  std::filesystem::copy(folder / "www/a.bin", nobodys_folder() + "/a.bin");
  auto run = std::async(std::launch::async, [this] { return run_as_nobody("us0", "--duration 4s"); });
  std::string got;
  for (int i = 0; i < 60 && got != "200"; ++i) {
    std::this_thread::sleep_for(100ms);
    got = shell("curl -s -m 2 -o " + in_folder("got") + " -w '%{http_code}' " + base + "a.bin").output;
  }
  EXPECT_EQ(got, "200");
  EXPECT_TRUE(same("got", "www/a.bin"));
  const shell_result ended = run.get();
  EXPECT_EQ(ended.status, 0) << ended.output;
  const auto told = nlohmann::json::parse(text_of(nobodys_folder() + "/stdout"), nullptr, false);
  EXPECT_EQ(told["status"], "held");
  EXPECT_NE(told["live"]["network"].get<std::string>().find("was there"), std::string::npos);
  EXPECT_TRUE(exists("us0"));
  EXPECT_NE(shell("ip addr show us0").output.find("10.77.0.1/24"), std::string::npos);
}

TEST_F(live_device, one_that_is_up_before_the_run_hears_the_adapter_say_where_it_is) {
  make_device();
  spawn({"--tap", device});
  ASSERT_TRUE(says("ready")) << said();
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["while_down"], 0);
  EXPECT_EQ(result["live"]["refused_out"], 0);
  EXPECT_GE(result["live"]["frames_out"], before_it_was_up());
}

TEST_F(live_device, one_that_the_run_made_is_gone_afterwards) {
  start();
  EXPECT_TRUE(exists("us0"));
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_NE(result["live"]["network"].get<std::string>().find("made for this run"), std::string::npos);
  EXPECT_FALSE(exists("us0"));
}

TEST_F(live_device, without_permission_one_line_says_what_is_allowed) {
  const shell_result made = run_as_nobody("us9");
  is_one_line_that_says_what_is_allowed(made);
  EXPECT_NE(made.output.find("us9: not permitted"), std::string::npos) << made.output;
  ASSERT_EQ(shell("ip tuntap add dev us8 mode tap user 1").status, 0);
  const shell_result anothers = run_as_nobody("us8");
  is_one_line_that_says_what_is_allowed(anothers);
  EXPECT_NE(anothers.output.find("us8: not permitted"), std::string::npos) << anothers.output;
}

TEST_F(live_device, without_permission_for_the_clone_device_one_line_says_what_is_allowed) {
  ASSERT_EQ(make_clone_device("600").status, 0);
  const shell_result r = run_as_nobody("us9");
  is_one_line_that_says_what_is_allowed(r);
  EXPECT_NE(r.output.find("us9: /dev/net/tun: Permission denied"), std::string::npos) << r.output;
}

TEST_F(live_device, a_download_goes_on_when_the_device_was_down_for_a_while) {
  make_file("big", 10 << 20);
  hold_back_little();
  start();
  auto download = std::async(std::launch::async, [this] {
    return shell("curl -sS -m 60 --limit-rate 3M -o " + in_folder("got") + " -w '%{num_connects}' " + base +
                 "big")
        .output;
  });
  for (int i = 0; i < 500 && !std::filesystem::exists(folder / "got"); ++i) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(500ms);
  ASSERT_EQ(shell("ip link set us0 down").status, 0);
  std::this_thread::sleep_for(700ms);
  ASSERT_EQ(download.wait_for(0s), std::future_status::timeout) << "it ended before the device went down";
  ASSERT_EQ(shell("ip link set us0 up").status, 0);
  EXPECT_EQ(download.get(), "1");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_EQ(counter("TcpEstabResets"), 0);
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_GT(result["live"]["while_down"], before_it_was_up()) << "nothing was sent while it was down";
  EXPECT_EQ(result["live"]["refused_out"], 0);
  EXPECT_EQ(result["connections"]["reset"], 0);
}

TEST_F(live_device, one_that_is_deleted_under_traffic_ends_the_run_with_one_line) {
  make_file("big", 10 << 20);
  hold_back_little();
  start();
  auto download = std::async(std::launch::async, [this] {
    return shell("curl -sS -m 5 --limit-rate 1M -o " + in_folder("got") + " " + base + "big").status;
  });
  for (int i = 0; i < 500 && !std::filesystem::exists(folder / "got"); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_EQ(download.wait_for(0s), std::future_status::timeout);
  const std::string before = said();
  ASSERT_EQ(shell("ip link del us0").status, 0);
  EXPECT_EQ(wait_for_end(), 1) << said();
  const std::string after = said().substr(before.size());
  EXPECT_EQ(std::count(after.begin(), after.end(), '\n'), 1) << after;
  EXPECT_NE(after.find("us0 has gone"), std::string::npos) << after;
  EXPECT_NE(result["reasons"].dump().find("us0 has gone"), std::string::npos) << result["reasons"];
  EXPECT_NE(download.get(), 0);
}

}  // namespace
}  // namespace understudy::tb
