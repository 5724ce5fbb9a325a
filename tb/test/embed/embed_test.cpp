// The C interface of libunderstudy.so. Every case is a process of its own: there is one platform in its life.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <understudy/embed.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int64_t us = 1'000'000;
constexpr int64_t ms = 1000 * us;

using bytes = std::vector<std::uint8_t>;

understudy_platform* make(std::vector<const char*> overrides = {}) {
  understudy_platform* u = understudy_create(nullptr, overrides.data(), overrides.size());
  EXPECT_NE(u, nullptr) << understudy_message();
  return u;
}

// `result` is a failure with that errno, and says why in one line.
#define EXPECT_FAILS(result, error)                        \
  do {                                                     \
    errno = 0;                                             \
    EXPECT_EQ(static_cast<long long>(result), -1);         \
    EXPECT_EQ(understudy_errno(), error);                  \
    EXPECT_EQ(errno, error);                               \
    const std::string said = understudy_message();         \
    EXPECT_FALSE(said.empty());                            \
    EXPECT_EQ(said.find('\n'), std::string::npos) << said; \
  } while (false)

understudy_station host_of(understudy_platform* u) {
  understudy_station s = {};
  EXPECT_EQ(understudy_host(u, &s), 0);
  return s;
}

const std::uint8_t our_mac[6] = {2, 0, 0, 0, 0, 0x77};

// Who has the host's address? Asked by 10.77.0.9.
bytes arp_request(const understudy_station& host) {
  bytes f(42, 0xff);
  std::copy(std::begin(our_mac), std::end(our_mac), f.begin() + 6);
  const std::uint8_t rest[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  std::copy(std::begin(rest), std::end(rest), f.begin() + 12);
  std::copy(std::begin(our_mac), std::end(our_mac), f.begin() + 22);
  const std::uint8_t asking[] = {10, 77, 0, 9, 0, 0, 0, 0, 0, 0};
  std::copy(std::begin(asking), std::end(asking), f.begin() + 28);
  std::copy(host.ip + 12, host.ip + 16, f.begin() + 38);
  return f;
}

struct taken {
  bytes data;
  understudy_frame info;
};
std::optional<taken> take(understudy_platform* u) {
  taken t;
  t.data.resize(UNDERSTUDY_FRAME_MAX);
  const auto n = understudy_take_frame(u, t.data.data(), t.data.size(), &t.info);
  if (n < 0) return std::nullopt;
  t.data.resize(static_cast<std::size_t>(n));
  EXPECT_EQ(t.info.bytes, t.data.size());
  return t;
}
void take_all(understudy_platform* u) {
  while (take(u)) {
  }
}

// When the answer to an ARP request that is put at `at` leaves the adapter.
int64_t answered(understudy_platform* u, int64_t at) {
  const bytes f = arp_request(host_of(u));
  EXPECT_EQ(understudy_put_frame(u, at, f.data(), f.size()), 0);
  while (understudy_wait(u, at + ms, UNDERSTUDY_WAKE_FRAME) == UNDERSTUDY_WAKE_FRAME)
    if (const auto t = take(u); t && t->data[12] == 8 && t->data[13] == 6 && t->data[21] == 2)
      return t->info.at;
  return -1;
}

understudy_address address_of(const understudy_station& s, std::uint16_t port) {
  understudy_address a = {};
  std::copy(std::begin(s.ip), std::end(s.ip), a.ip);
  a.port = port;
  return a;
}

TEST(embed, there_is_one_platform_in_the_life_of_a_process) {
  understudy_platform* u = make();
  EXPECT_EQ(understudy_embed_abi(), UNDERSTUDY_EMBED_ABI);
  EXPECT_EQ(understudy_create(nullptr, nullptr, 0), nullptr);
  EXPECT_EQ(understudy_errno(), EBUSY);
  EXPECT_EQ(understudy_destroy(u), 0);
  EXPECT_EQ(understudy_create(nullptr, nullptr, 0), nullptr);
  EXPECT_EQ(understudy_errno(), EBUSY);
  EXPECT_FAILS(understudy_now(u), EINVAL);
  EXPECT_FAILS(understudy_destroy(u), EINVAL);
  EXPECT_EQ(understudy_destroy(nullptr), 0);
}

TEST(embed, a_wrong_scenario_is_named_and_may_be_put_right) {
  const auto refused = [](const char* scenario, const char* set, const std::string& why) {
    EXPECT_EQ(understudy_create(scenario, &set, set ? 1 : 0), nullptr);
    EXPECT_EQ(understudy_errno(), EINVAL);
    EXPECT_NE(std::string(understudy_message()).find(why), std::string::npos) << understudy_message();
  };
  refused("no_such_file.toml", nullptr, "no_such_file.toml");
  refused(nullptr, "topology.adapters=17", "--set: topology.adapters");
  refused(nullptr, "wire.impair=lose 1%", "wire.impair");
  refused(nullptr, "live.address=10.77.0.0/24", "live.address");
  refused(nullptr, "embed.peer=linux", "embed.peer");
  refused(US_SOURCE_DIR "/traces/scenarios/failover.toml", nullptr, "fault");
  EXPECT_EQ(understudy_create(nullptr, nullptr, 1), nullptr);
  EXPECT_EQ(understudy_errno(), EINVAL);
  understudy_platform* u = understudy_create(US_SOURCE_DIR "/traces/scenarios/live.toml", nullptr, 0);
  ASSERT_NE(u, nullptr) << understudy_message();
  EXPECT_EQ(understudy_active(u), 0);
}

TEST(embed, arguments_out_of_range_are_refused_and_change_nothing) {
  understudy_platform* u = make();
  const uint64_t before = understudy_hash(u);
  const int64_t now = understudy_now(u);
  ASSERT_GT(now, 0);
  const bytes f(60);
  EXPECT_FAILS(understudy_now(nullptr), EINVAL);
  EXPECT_FAILS(understudy_advance(u, now - 1), EINVAL);
  EXPECT_FAILS(understudy_advance(u, -1), EINVAL);
  EXPECT_FAILS(understudy_advance(u, UNDERSTUDY_LAST + 1), EINVAL);
  EXPECT_FAILS(understudy_wait(u, now, 0), EINVAL);
  EXPECT_FAILS(understudy_wait(u, now, 4), EINVAL);
  EXPECT_FAILS(understudy_put_frame(u, now - 1, f.data(), f.size()), EINVAL);
  EXPECT_FAILS(understudy_put_frame(u, now, f.data(), 13), EINVAL);
  EXPECT_FAILS(understudy_put_frame(u, now, f.data(), 9601), EINVAL);
  EXPECT_FAILS(understudy_put_frame(u, now, nullptr, 60), EINVAL);
  EXPECT_FAILS(understudy_bind(u, 0, nullptr), EINVAL);
  EXPECT_FAILS(understudy_connect(u, 0, nullptr), EINVAL);
  EXPECT_FAILS(understudy_listen(u, 0, 0), EINVAL);
  EXPECT_FAILS(understudy_read(u, 0, nullptr, 1), EINVAL);
  EXPECT_FAILS(understudy_write(u, 0, nullptr, 1), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, 0, 7, 1), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, 0, -1, 1), EINVAL);
  EXPECT_FAILS(understudy_getsockopt(u, 0, UNDERSTUDY_SO_ERROR, nullptr), EINVAL);
  EXPECT_FAILS(understudy_host(u, nullptr), EINVAL);
  EXPECT_FAILS(understudy_peer(u, nullptr), ENOENT);
  EXPECT_FAILS(understudy_kill(u, 16), ENODEV);
  EXPECT_FAILS(understudy_kill(u, -2), ENODEV);
  EXPECT_FAILS(understudy_poll(u, 0), EBADF);
  EXPECT_FAILS(understudy_getsockname(u, 0, nullptr), EINVAL);
  EXPECT_EQ(understudy_now(u), now);
  EXPECT_EQ(understudy_hash(u), before);
}

TEST(embed, another_thread_is_refused) {
  understudy_platform* u = make();
  std::thread([u] { EXPECT_FAILS(understudy_now(u), EINVAL); }).join();
  EXPECT_GT(understudy_now(u), 0);
}

TEST(embed, time_moves_to_the_instant_that_was_asked_for_and_no_further) {
  understudy_platform* u = make();
  const int64_t start = understudy_now(u);
  EXPECT_EQ(understudy_advance(u, start), 0);
  EXPECT_EQ(understudy_now(u), start);
  EXPECT_EQ(understudy_advance(u, start + 12'345'679), 0);
  EXPECT_EQ(understudy_now(u), start + 12'345'679);
  take_all(u);
  EXPECT_EQ(understudy_wait(u, start + 50 * us, UNDERSTUDY_WAKE_FRAME), 0);
  EXPECT_EQ(understudy_now(u), start + 50 * us);
  int64_t last = understudy_now(u);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(understudy_step(u), 1);
    ASSERT_GT(understudy_now(u), last);
    last = understudy_now(u);
  }
}

TEST(embed, frames_leave_at_their_times) {
  understudy_platform* u = make();
  take_all(u);
  const int64_t t = understudy_now(u) + 10 * us;
  const int64_t first = answered(u, t);
  ASSERT_GT(first, t);
  EXPECT_LT(first, t + 20 * us);
  const int64_t later = understudy_now(u) + 777'777;
  EXPECT_EQ(answered(u, later) - later, first - t);
}

TEST(embed, a_frame_waits_for_room_to_take_it_in) {
  understudy_platform* u = make();
  take_all(u);
  const bytes f = arp_request(host_of(u));
  ASSERT_EQ(understudy_put_frame(u, understudy_now(u), f.data(), f.size()), 0);
  ASSERT_EQ(understudy_wait(u, understudy_now(u) + ms, UNDERSTUDY_WAKE_FRAME), UNDERSTUDY_WAKE_FRAME);
  std::uint8_t room[60];
  understudy_frame info = {};
  EXPECT_FAILS(understudy_take_frame(u, room, 59, &info), EMSGSIZE);
  EXPECT_EQ(info.bytes, 60u);
  EXPECT_EQ(understudy_take_frame(u, room, sizeof room, nullptr), 60);
  EXPECT_EQ(std::memcmp(room, our_mac, 6), 0);
  EXPECT_FAILS(understudy_take_frame(u, room, sizeof room, &info), EAGAIN);
}

TEST(embed, sockets_speak_errno) {
  understudy_platform* u = make();
  EXPECT_FAILS(understudy_close(u, 0), EBADF);
  const int a = understudy_socket(u);
  EXPECT_EQ(a, 0);
  std::uint8_t b[4];
  EXPECT_FAILS(understudy_read(u, a, b, sizeof b), ENOTCONN);
  EXPECT_FAILS(understudy_write(u, a, b, sizeof b), ENOTCONN);
  EXPECT_FAILS(understudy_shutdown(u, a, UNDERSTUDY_SHUT_WR), ENOTCONN);
  EXPECT_FAILS(understudy_shutdown(u, a, UNDERSTUDY_SHUT_RDWR), EOPNOTSUPP);
  EXPECT_FAILS(understudy_shutdown(u, a, 3), EINVAL);
  EXPECT_FAILS(understudy_accept(u, a, nullptr), EINVAL);
  understudy_address any = {};
  any.port = 80;
  EXPECT_FAILS(understudy_getpeername(u, a, &any), ENOTCONN);
  any.port = 80;
  EXPECT_EQ(understudy_bind(u, a, &any), 0);
  EXPECT_EQ(understudy_listen(u, a, 4), 0);
  EXPECT_FAILS(understudy_accept(u, a, nullptr), EAGAIN);
  EXPECT_FAILS(understudy_connect(u, a, &any), EISCONN);
  const int c = understudy_socket(u);
  EXPECT_EQ(understudy_bind(u, c, &any), 0);
  EXPECT_FAILS(understudy_listen(u, c, 4), EADDRINUSE);
  understudy_address name = {};
  EXPECT_EQ(understudy_getsockname(u, a, &name), 0);
  EXPECT_EQ(name.port, 80);
  EXPECT_EQ(understudy_close(u, a), 0);
  EXPECT_EQ(understudy_socket(u), a);  // the lowest free one
}

TEST(embed, options_are_kept) {
  understudy_platform* u = make();
  const int s = understudy_socket(u);
  int value = -1;
  EXPECT_EQ(understudy_getsockopt(u, s, UNDERSTUDY_SO_FAILOVER, &value), 0);
  EXPECT_EQ(value, 1);
  const std::array<std::array<int, 2>, 6> kept{{{UNDERSTUDY_SO_FAILOVER, 0},
                                                {UNDERSTUDY_SO_RCVBUF, 100'000},
                                                {UNDERSTUDY_SO_SNDBUF, 50'000},
                                                {UNDERSTUDY_SO_NODELAY, 1},
                                                {UNDERSTUDY_SO_KEEPALIVE, 1},
                                                {UNDERSTUDY_SO_KEEPALIVE_IDLE, 77}}};
  for (const auto& [option, wanted] : kept) {
    EXPECT_EQ(understudy_setsockopt(u, s, option, wanted), 0) << option;
    EXPECT_EQ(understudy_getsockopt(u, s, option, &value), 0) << option;
    EXPECT_EQ(value, wanted) << option;
  }
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_KEEPALIVE_IDLE, 0), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_ERROR, 0), EINVAL);
}

TEST(embed, the_peer_beside_refuses_and_echoes) {
  understudy_platform* u = make({"embed.peer=lwip"});
  understudy_station peer = {};
  ASSERT_EQ(understudy_peer(u, &peer), 0);
  const int refused = understudy_socket(u);
  understudy_address to = address_of(peer, 4711);
  EXPECT_FAILS(understudy_connect(u, refused, &to), EINPROGRESS);
  EXPECT_FAILS(understudy_connect(u, refused, &to), EALREADY);
  while (!(understudy_poll(u, refused) & UNDERSTUDY_ERROR))
    ASSERT_GT(understudy_wait(u, understudy_now(u) + 1000 * ms, UNDERSTUDY_WAKE_SOCKET), 0);
  int error = 0;
  EXPECT_EQ(understudy_getsockopt(u, refused, UNDERSTUDY_SO_ERROR, &error), 0);
  EXPECT_EQ(error, ECONNREFUSED);

  const int s = understudy_socket(u);
  to.port = 7;
  EXPECT_FAILS(understudy_connect(u, s, &to), EINPROGRESS);
  EXPECT_FAILS(understudy_write(u, s, "early", 5), EAGAIN);
  while (!(understudy_poll(u, s) & UNDERSTUDY_CONNECTED))
    ASSERT_GT(understudy_wait(u, understudy_now(u) + 1000 * ms, UNDERSTUDY_WAKE_SOCKET), 0);
  understudy_address name = {};
  EXPECT_EQ(understudy_getpeername(u, s, &name), 0);
  EXPECT_EQ(name.port, 7);
  EXPECT_EQ(understudy_write(u, s, "hello", 5), 5);
  EXPECT_EQ(understudy_shutdown(u, s, UNDERSTUDY_SHUT_WR), 0);
  EXPECT_FAILS(understudy_write(u, s, "late", 4), EPIPE);
  char got[16];
  while (!(understudy_poll(u, s) & UNDERSTUDY_READABLE))
    ASSERT_GT(understudy_wait(u, understudy_now(u) + 1000 * ms, UNDERSTUDY_WAKE_SOCKET), 0);
  EXPECT_EQ(understudy_read(u, s, got, sizeof got), 5);
  EXPECT_EQ(std::string(got, 5), "hello");
  while (!(understudy_poll(u, s) & UNDERSTUDY_EOF))
    ASSERT_GT(understudy_wait(u, understudy_now(u) + 1000 * ms, UNDERSTUDY_WAKE_SOCKET), 0);
  EXPECT_EQ(understudy_read(u, s, got, sizeof got), 0);
  EXPECT_EQ(understudy_close(u, s), 0);
  EXPECT_GT(answered(u, understudy_now(u)), 0);  // the program's own station is there too
  EXPECT_EQ(understudy_violations(u), 0) << understudy_violation(u);
  EXPECT_EQ(understudy_destroy(u), 0);
}

TEST(embed, a_killed_adapter_is_replaced) {
  understudy_platform* u = make({"topology.adapters=2"});
  EXPECT_EQ(understudy_active(u), 0);
  EXPECT_EQ(understudy_kill(u, -1), 0);
  EXPECT_FAILS(understudy_kill(u, 0), ENODEV);
  bool between = false;
  for (int i = 0; i < 100000 && understudy_active(u) != 1; ++i) {
    if (understudy_active(u) < 0) {
      EXPECT_EQ(understudy_errno(), EAGAIN);
      between = true;
    }
    ASSERT_EQ(understudy_step(u), 1);
  }
  EXPECT_TRUE(between);
  EXPECT_EQ(understudy_active(u), 1);
  EXPECT_EQ(understudy_kill(u, 1), 1);
  EXPECT_EQ(understudy_advance(u, understudy_now(u) + 10 * ms), 0);
  EXPECT_FAILS(understudy_active(u), ENODEV);
  EXPECT_FAILS(understudy_kill(u, -1), ENODEV);
}

TEST(embed, a_monitor_s_violation_is_told) {
  understudy_platform* u = make({"mutants=[\"ack_before_commit\"]", "embed.peer=lwip"});
  EXPECT_EQ(understudy_violations(u), 0);
  EXPECT_STREQ(understudy_violation(u), "");
  understudy_station peer = {};
  ASSERT_EQ(understudy_peer(u, &peer), 0);
  const understudy_address to = address_of(peer, 7);
  const int s = understudy_socket(u);
  EXPECT_FAILS(understudy_connect(u, s, &to), EINPROGRESS);
  EXPECT_EQ(understudy_advance(u, understudy_now(u) + ms), 0);
  const bytes many(20'000);  // enough that some of their echo is acknowledged at once
  EXPECT_EQ(understudy_write(u, s, many.data(), many.size()), 20'000);
  EXPECT_EQ(understudy_advance(u, understudy_now(u) + 1000 * ms), 0);
  EXPECT_GT(understudy_violations(u), 0);
  EXPECT_NE(std::string(understudy_violation(u)).find("I-RX-1"), std::string::npos)
      << understudy_violation(u);
}

TEST(embed, after_a_fork_both_go_the_same_way) {
  understudy_platform* u = make({"wire.impair=loss 20%"});
  const auto go_on = [u] {
    const bytes f = arp_request(host_of(u));
    for (int i = 0; i < 200; ++i) understudy_put_frame(u, understudy_now(u) + i * us, f.data(), f.size());
    understudy_advance(u, understudy_now(u) + ms);
    return understudy_hash(u);
  };
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const uint64_t hash = go_on();
    _exit(write(ends[1], &hash, sizeof hash) == sizeof hash ? 0 : 1);
  }
  uint64_t theirs = 0;
  ASSERT_EQ(read(ends[0], &theirs, sizeof theirs), static_cast<ssize_t>(sizeof theirs));
  waitpid(child, nullptr, 0);
  const uint64_t before = understudy_hash(u);
  EXPECT_EQ(go_on(), theirs);
  EXPECT_NE(before, theirs);
}

}  // namespace
