// The options of TCP that kernel and adapter agree upon, and do without: what both want and nothing else, on
// every connection, through the deaths of adapters.
#include <algorithm>
#include <future>
#include <iterator>

#include "tb/test/live/file_server.h"
#include "tb/test/live/live_rig.h"
#include "tb/test/live/offload.h"
#include "tb/test/live/option_case.h"
#include "tb/test/live/peer_socket.h"
#include "tb/test/live/tcp_watch.h"

namespace understudy::tb {
namespace {

constexpr std::size_t file_bytes = 3 << 20;

constexpr std::uint16_t server_port = 8000;

class live_options : public live_network, public ::testing::WithParamInterface<option_case> {
 protected:
  void SetUp() override {
    live_network::SetUp();
    if (IsSkipped()) return;
    const option_case& c = GetParam();
    ASSERT_TRUE(set_kernel("tcp_timestamps", c.timestamps ? "1" : "0"));
    ASSERT_TRUE(set_kernel("tcp_sack", c.sack ? "1" : "0"));
    ASSERT_TRUE(set_kernel("tcp_window_scaling", c.scaling ? "1" : "0"));
    if (!set_kernel("tcp_ecn", std::to_string(c.ecn)))
      GTEST_SKIP() << "this kernel has no accurate ECN: tcp_ecn=" << c.ecn << " is refused";
    std::istringstream known(text_of("/proc/sys/net/ipv4/tcp_available_congestion_control"));
    if (std::find(std::istream_iterator<std::string>(known), {}, c.congestion) ==
        std::istream_iterator<std::string>())
      GTEST_SKIP() << "this kernel has no congestion control " << c.congestion;
    hold_back_little();
    make_file("big", file_bytes);
  }
  // The device of the case, there before the adapter: its first frame is a SYN.
  void make_device_for_case() {
    make_device();
    const std::string control = GetParam().congestion;
    run_in_shell(
        // By the route: a namespace of ours may not set the default to every one.
        "ip route replace 10.77.0.0/24 dev us0 src 10.77.0.1 congctl " + control +
        " && ip -6 route replace fd77::/64 dev us0 metric 256 congctl " + control +
        // GRO waits so long for what follows; the file is in the view of a namespace of its own.
        " && unshare -m sh -c 'mount -t sysfs none /sys && echo 500000 "
        ">/sys/class/net/us0/gro_flush_timeout'");
  }
  void start_adapter() {
    const option_case& c = GetParam();
    std::vector<std::string> words{"--tap",
                                   device,
                                   "--set",
                                   std::string("live.join=") + (c.how == receive::joined ? "true" : "false"),
                                   "--set",
                                   std::string("app.fetch=http://") + (c.ipv6 ? "[fd77::1]:" : "10.77.0.1:") +
                                       std::to_string(server_port) + "/big"};
    for (const char* option : {"timestamps", "sack", "window_scaling", "ecn"})
      words.insert(words.end(),
                   {"--set", std::string("adapter.") + option + (c.adapter_agrees ? "=true" : "=false")});
    spawn(words);
    ASSERT_TRUE(says("ready")) << said();
    EXPECT_EQ(is_on(device, tso), 1) << "at first";
    ASSERT_TRUE(switch_offload(device, tso, c.tso));
    ASSERT_TRUE(switch_offload(device, gso, c.tso));
    ASSERT_TRUE(switch_offload(device, gro, c.how != receive::alone));
  }
  bool agreed(bool asked) const { return asked && GetParam().adapter_agrees; }
  std::string url(const std::string& file) const {
    return std::string("'http://") + (GetParam().ipv6 ? "[fd77::2]" : "10.77.0.2") + ":8080/" + file + "'";
  }
  // What the kernel says of the connection is what the case wants.
  void judge(const socket_view& v) const {
    const option_case& c = GetParam();
    EXPECT_EQ(v.has("ts"), agreed(c.timestamps));
    EXPECT_EQ(v.has("sack"), agreed(c.sack));
    EXPECT_EQ(v.has("wscale"), agreed(c.scaling));
    EXPECT_EQ(v.has("ecn"), agreed(c.ecn));
    EXPECT_TRUE(v.has(c.congestion));
  }
  // Kill the adapter that serves when some bytes have crossed each connection to or from the ports; `next`
  // serves then.
  void die_amid(const std::vector<unsigned>& ports, char next) {
    std::vector<socket_view> before(ports.size());
    for (std::size_t i = 0; i < ports.size(); ++i)
      for (int k = 0; k < 500 && before[i].crossed() < file_bytes / 8; ++k) {
        std::this_thread::sleep_for(10ms);
        before[i] = look_at_socket(ports[i]);
      }
    ::kill(program, SIGUSR1);
    EXPECT_TRUE(says(std::string(1, next) + " serves")) << said();
    for (std::size_t i = 0; i < ports.size(); ++i) {
      SCOPED_TRACE(ports[i]);
      const socket_view after = look_at_socket(ports[i]);
      EXPECT_NE(before[i].local, "");
      EXPECT_EQ(after.identity(), before[i].identity()) << "it lived on";
      EXPECT_LT(after.crossed(), file_bytes) << "there was more to come";
      judge(before[i]);
      judge(after);
    }
  }
  // What crossed the device is what the case wants.
  void judge(const tcp_watch& w) const {
    const option_case& c = GetParam();
    const auto all_openings = [](const tcp_speech& who, bool answers, std::size_t least, bool timestamps,
                                 bool sack, bool scaling, unsigned ecn) {
      std::size_t met = 0;
      for (const tcp_header& h : who.openings) {
        if (h.ack != answers) continue;
        ++met;
        EXPECT_EQ(h.stamp.has_value(), timestamps);
        EXPECT_EQ(h.sack_permitted, sack);
        EXPECT_EQ(h.scale.has_value(), scaling);
        EXPECT_EQ(h.ecn_flags, ecn);
      }
      EXPECT_GE(met, least);
    };
    // RFC 3168 6.1.1: asked for by ECE and CWR, answered by ECE. Accurate ECN asks by all three.
    all_openings(w.kernel, false, 2, c.timestamps, c.sack, c.scaling, c.ecn == 3 ? 7 : c.ecn == 1 ? 3 : 0);
    all_openings(w.beyond, false, 1, c.adapter_agrees, c.adapter_agrees, c.adapter_agrees,
                 c.adapter_agrees ? 3 : 0);
    for (const tcp_speech* who : {&w.kernel, &w.beyond})
      all_openings(*who, true, who == &w.kernel ? 1 : 2, agreed(c.timestamps), agreed(c.sack),
                   agreed(c.scaling), agreed(c.ecn) ? 1 : 0);
    for (const tcp_speech* who : {&w.kernel, &w.beyond}) {
      EXPECT_GT(who->segments, file_bytes / 65536);  // joined ones count once
      EXPECT_EQ(who->stamped, agreed(c.timestamps) ? who->segments : 0) << "RFC 7323 3.2";
      EXPECT_EQ(who->stepped_back, 0u) << "PAWS of the other side would drop it";
      EXPECT_EQ(who->capable > 0, agreed(c.ecn));
      EXPECT_TRUE(agreed(c.sack) || who->sacking == 0);
    }
    EXPECT_EQ(w.kernel.large > 0, c.tso) << w.kernel.large;
    EXPECT_EQ(w.beyond.large > 0, c.how != receive::alone) << w.beyond.large;
  }
};

TEST_P(live_options, are_those_that_both_ends_want_through_deaths) {
  make_device_for_case();
  if (HasFatalFailure()) return;
  tcp_watch watch(device);
  file_server server(text_of(folder / "www/big"), server_port);
  ASSERT_TRUE(server.good());
  start_adapter();
  if (HasFatalFailure()) return;
  const auto begun = [](const std::string& command) {
    return std::async(std::launch::async, [command] { return shell(command).output; });
  };
  const std::string curl = "curl -g -sS -m 60 --limit-rate 4M -o ";
  auto running = begun(curl + in_folder("got") + " " + url("big"));
  server.begin();
  die_amid({8080, server_port}, 'B');
  EXPECT_EQ(running.get(), "");
  EXPECT_TRUE(says("status 200, " + std::to_string(file_bytes) + " bytes")) << said();
  running = begun(curl + "/dev/null -T " + in_folder("www/big") + " " + url("copy"));
  die_amid({8080}, 'C');
  EXPECT_EQ(running.get(), "");
  ASSERT_TRUE(watch.stop());
  judge(watch);
  EXPECT_EQ(counter("TcpEstabResets"), 0);
  expect_no_old_timestamp();
  EXPECT_EQ(stop(), 0) << said();
  for (const char* copy : {"got", "www/copy", "out/fetched-1"}) EXPECT_TRUE(same(copy, "www/big")) << copy;
  ASSERT_EQ(result["failovers"].size(), 2u);
  EXPECT_EQ(result["failovers"][0]["connections"], 2);
  EXPECT_GE(result["failovers"][1]["connections"], 1);  // and perhaps the fetch's, in TIME_WAIT
  EXPECT_EQ(result["connections"]["reset"], 0);
  const auto& live = result["live"];
  EXPECT_EQ(live["reads"] < live["frames_in"], GetParam().tso) << live;
  EXPECT_EQ(live["writes"] < live["frames_out"], GetParam().how == receive::joined) << live;
  EXPECT_EQ(live["refused_in"], 0);
}

std::string case_name(const ::testing::TestParamInfo<option_case>& info) {
  return info.param.name();
}
INSTANTIATE_TEST_SUITE_P(pairs, live_options, ::testing::ValuesIn(paired_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(
    refusals, live_options,
    ::testing::Values(option_case{true, true, true, 1, "cubic", false, true, receive::joined, false},
                      option_case{true, true, true, 1, "bbr", true, false, receive::gro, false},
                      option_case{true, true, true, 3, "cubic", false, true, receive::joined}),
    case_name);
// All of them in the nightly run.
INSTANTIATE_TEST_SUITE_P(whole, live_options,
                         ::testing::ValuesIn(nightly ? whole_matrix() : std::vector<option_case>{}),
                         case_name);

// A wire that loses one frame in a hundred: whether what is missing is named, is agreed.
class live_losses : public live_network, public ::testing::WithParamInterface<bool> {};

TEST_P(live_losses, are_named_by_both_ends_if_they_agreed_to) {
  make_file("big", file_bytes);
  ASSERT_TRUE(set_kernel("tcp_sack", GetParam() ? "1" : "0"));
  start({"--set", "wire.impair=loss 1%"});
  tcp_watch watch(device);
  const std::string base = "http://10.77.0.2:8080/";
  EXPECT_EQ(shell("curl -sS -m 60 -o " + in_folder("got") + " " + base + "big").output, "");
  EXPECT_EQ(shell("curl -sS -m 60 -o /dev/null -T " + in_folder("www/big") + " " + base + "copy").output, "");
  EXPECT_TRUE(same("got", "www/big"));
  EXPECT_TRUE(same("www/copy", "www/big"));
  ASSERT_TRUE(watch.stop());
  EXPECT_EQ(watch.kernel.sacking > 0, GetParam());
  EXPECT_EQ(watch.beyond.sacking > 0, GetParam());
  EXPECT_EQ(stop(), 0) << said();
}
INSTANTIATE_TEST_SUITE_P(sack, live_losses, ::testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "on" : "off"); });

TEST(live_option_cases, that_are_chosen_pair_every_two_settings) {
  const std::vector<option_case> all = paired_cases();
  EXPECT_EQ(missing_pairs(all), 0u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<option_case> fewer = all;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_GT(missing_pairs(fewer), 0u) << "none too many: " << all[i];
  }
}

// An IPv4 frame with a TCP header of these flags and options.
std::vector<std::uint8_t> segment_with(std::uint8_t flags, const std::vector<std::uint8_t>& options) {
  std::vector<std::uint8_t> f(14 + 20 + 20 + options.size());
  f[12] = 8;
  f[14] = 0x45;
  f[23] = IPPROTO_TCP;
  f[35] = 80;
  f[37] = 90;
  f[46] = static_cast<std::uint8_t>((20 + options.size()) << 2);
  f[47] = flags;
  std::ranges::copy(options, f.begin() + 14 + 20 + 20);
  return f;
}

TEST(live_tcp_watch, reads_every_option_and_misses_none_that_is_there) {
  const auto bare = read_tcp(segment_with(2, {}));
  ASSERT_TRUE(bare);
  EXPECT_TRUE(bare->syn && !bare->ack && !bare->rst);
  EXPECT_FALSE(bare->stamp || bare->scale || bare->sack_permitted || bare->sack_blocks || bare->ecn_flags);
  const auto full =
      read_tcp(segment_with(0xd2, {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 2, 0, 0, 0, 0, 1, 3, 3, 7}));
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->syn && full->ack && full->sack_permitted);
  EXPECT_EQ(full->ecn_flags, 3u);
  EXPECT_EQ(full->stamp, 258u);
  EXPECT_EQ(full->scale, 7u);
  const auto blocks = read_tcp(segment_with(16, {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}));
  ASSERT_TRUE(blocks);
  EXPECT_TRUE(blocks->sack_blocks);
  EXPECT_FALSE(read_tcp(segment_with(2, {8, 10, 0, 0})));
  EXPECT_FALSE(read_tcp(std::vector<std::uint8_t>(60)));
}

TEST(live_tcp_watch, notices_a_timestamp_that_steps_back_on_its_connection_alone) {
  const auto said_at = [](tcp_speech& s, std::uint16_t from, std::uint32_t stamp) {
    tcp_header h;
    h.from = from;
    h.stamp = stamp;
    s.hear(h);
  };
  tcp_speech s;
  said_at(s, 1, 0xffffffff);
  said_at(s, 2, 5);
  said_at(s, 1, 3);  // round the end of the numbers
  said_at(s, 1, 3);
  EXPECT_EQ(s.stepped_back, 0u);
  said_at(s, 1, 2);
  EXPECT_EQ(s.stepped_back, 1u);
  EXPECT_EQ(s.stamped, 5u);
}

}  // namespace
}  // namespace understudy::tb
