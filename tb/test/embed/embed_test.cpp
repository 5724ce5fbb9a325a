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
  EXPECT_FAILS(understudy_setsockopt(u, 0, UNDERSTUDY_SO_SPEAKS_FIRST + 1, 1), EINVAL);
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
  const std::array<std::array<int, 2>, 9> kept{{{UNDERSTUDY_SO_FAILOVER, 0},
                                                {UNDERSTUDY_SO_RCVBUF, 100'000},
                                                {UNDERSTUDY_SO_SNDBUF, 50'000},
                                                {UNDERSTUDY_SO_NODELAY, 1},
                                                {UNDERSTUDY_SO_KEEPALIVE, 1},
                                                {UNDERSTUDY_SO_KEEPALIVE_IDLE, 77},
                                                {UNDERSTUDY_SO_COMMIT, UNDERSTUDY_COMMIT_LAZY},
                                                {UNDERSTUDY_SO_URGENT, 1},
                                                {UNDERSTUDY_SO_SPEAKS_FIRST, 1}}};
  for (const auto& [option, wanted] : kept) {
    EXPECT_EQ(understudy_setsockopt(u, s, option, wanted), 0) << option;
    EXPECT_EQ(understudy_getsockopt(u, s, option, &value), 0) << option;
    EXPECT_EQ(value, wanted) << option;
  }
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_KEEPALIVE_IDLE, 0), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_ERROR, 0), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_COMMIT, 3), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_COMMIT, -1), EINVAL);
  EXPECT_FAILS(understudy_setsockopt(u, s, UNDERSTUDY_SO_SPEAKS_FIRST + 1, 0), EINVAL);
  const understudy_address local = address_of(host_of(u), 80);
  ASSERT_EQ(understudy_bind(u, s, &local), 0);
  ASSERT_EQ(understudy_listen(u, s, 1), 0);
  for (const int late : {UNDERSTUDY_SO_COMMIT, UNDERSTUDY_SO_URGENT, UNDERSTUDY_SO_SPEAKS_FIRST})
    EXPECT_FAILS(understudy_setsockopt(u, s, late, 0), EINVAL);
}

// ---- a peer over IPv6, by hand: fd77::9 at our_mac

const std::uint8_t our_ip6[16] = {0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};

void put16(bytes& f, std::size_t at, std::uint32_t v) {
  f[at] = static_cast<std::uint8_t>(v >> 8);
  f[at + 1] = static_cast<std::uint8_t>(v);
}
std::uint32_t get32(const bytes& f, std::size_t at) {
  return static_cast<std::uint32_t>(f[at]) << 24 | static_cast<std::uint32_t>(f[at + 1]) << 16 |
         static_cast<std::uint32_t>(f[at + 2]) << 8 | f[at + 3];
}

// The Internet checksum of what is behind the IPv6 header, with its pseudo-header (RFC 8200 8.1); 0: in
// order.
std::uint32_t sum6(const bytes& f) {
  std::uint32_t s = static_cast<std::uint32_t>(f.size() - 54) + f[20];
  for (std::size_t i = 22; i < f.size(); ++i) s += i % 2 ? f[i] : static_cast<std::uint32_t>(f[i]) << 8;
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}

// From us to the host, `payload` behind the header; its checksum, at `sum_at` of the payload, is put in.
bytes packet6(const understudy_station& host, std::uint8_t protocol, const bytes& payload,
              std::size_t sum_at) {
  bytes f(54 + payload.size());
  std::copy(std::begin(host.mac), std::end(host.mac), f.begin());
  std::copy(std::begin(our_mac), std::end(our_mac), f.begin() + 6);
  put16(f, 12, 0x86dd);
  f[14] = 0x60;
  put16(f, 18, static_cast<std::uint32_t>(payload.size()));
  f[20] = protocol;
  f[21] = 255;
  std::copy(std::begin(our_ip6), std::end(our_ip6), f.begin() + 22);
  std::copy(std::begin(host.ip), std::end(host.ip), f.begin() + 38);
  std::copy(payload.begin(), payload.end(), f.begin() + 54);
  put16(f, 54 + sum_at, sum6(f));
  return f;
}

// A neighbour solicitation for the host's address that introduces us (RFC 4861 4.3).
bytes solicitation(const understudy_station& host) {
  bytes p(32);
  p[0] = 135;
  std::copy(std::begin(host.ip), std::end(host.ip), p.begin() + 8);
  p[24] = p[25] = 1;
  std::copy(std::begin(our_mac), std::end(our_mac), p.begin() + 26);
  return packet6(host, 58, p, 2);
}

constexpr std::uint8_t fin = 1, syn = 2, ack = 16;
bytes segment6(const understudy_station& host, std::uint16_t port, std::uint32_t seq, std::uint32_t acked,
               std::uint8_t flags, const std::string& data = {}) {
  bytes p(20);
  put16(p, 0, 40'000);
  put16(p, 2, port);
  put16(p, 4, seq >> 16);
  put16(p, 6, seq);
  put16(p, 8, acked >> 16);
  put16(p, 10, acked);
  p[12] = 0x50;
  p[13] = flags;
  put16(p, 14, 0xffff);
  p.insert(p.end(), data.begin(), data.end());
  return packet6(host, 6, p, 16);
}

// The next frame of IPv6 with that protocol within 5 ms, its checksum in order.
std::optional<taken> next6(understudy_platform* u, std::uint8_t protocol) {
  const int64_t end = understudy_now(u) + 5 * ms;
  while (understudy_wait(u, end, UNDERSTUDY_WAKE_FRAME) == UNDERSTUDY_WAKE_FRAME)
    if (auto t = take(u); t && t->data[12] == 0x86 && t->data[13] == 0xdd && t->data[20] == protocol) {
      EXPECT_EQ(sum6(t->data), 0u);
      return t;
    }
  return std::nullopt;
}
void put(understudy_platform* u, const bytes& f) {
  EXPECT_EQ(understudy_put_frame(u, understudy_now(u), f.data(), f.size()), 0) << understudy_message();
}

TEST(embed, ipv6_sockets_speak_to_a_peer_made_by_hand_before_and_behind_a_death) {
  understudy_platform* u = make({"topology.adapters=2"});
  understudy_station host = {};
  ASSERT_EQ(understudy_host6(u, &host), 0);
  EXPECT_EQ(host.prefix, 64);
  const std::uint8_t wanted[16] = {0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  EXPECT_TRUE(std::equal(std::begin(wanted), std::end(wanted), host.ip));
  const int listener = understudy_socket(u);
  const understudy_address local = address_of(host, 80);
  ASSERT_EQ(understudy_bind(u, listener, &local), 0);
  ASSERT_EQ(understudy_listen(u, listener, 4), 0);
  understudy_advance(u, understudy_now(u) + 200 * us);
  take_all(u);
  put(u, solicitation(host));
  const auto advertised = next6(u, 58);
  ASSERT_TRUE(advertised);
  EXPECT_EQ(advertised->data[54], 136);
  put(u, segment6(host, 80, 1000, 0, syn));
  const auto answer = next6(u, 6);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->data[54 + 13], syn | ack);
  EXPECT_EQ(get32(answer->data, 54 + 8), 1001u);
  EXPECT_TRUE(std::equal(std::begin(our_ip6), std::end(our_ip6), answer->data.begin() + 38));
  const std::uint32_t theirs = get32(answer->data, 54 + 4) + 1;
  put(u, segment6(host, 80, 1001, theirs, ack));
  understudy_advance(u, understudy_now(u) + ms);
  understudy_address peer = {};
  const int s = understudy_accept(u, listener, &peer);
  ASSERT_GE(s, 0) << understudy_message();
  EXPECT_TRUE(std::equal(std::begin(our_ip6), std::end(our_ip6), peer.ip));
  EXPECT_EQ(peer.port, 40'000);
  understudy_address mine = {};
  EXPECT_EQ(understudy_getsockname(u, s, &mine), 0);
  EXPECT_TRUE(std::equal(std::begin(host.ip), std::end(host.ip), mine.ip));
  EXPECT_EQ(understudy_kill(u, -1), 0);
  understudy_advance(u, understudy_now(u) + 200 * ms);
  EXPECT_EQ(understudy_active(u), 1);
  take_all(u);
  put(u, segment6(host, 80, 1001, theirs, ack | fin, "hello"));
  understudy_advance(u, understudy_now(u) + ms);
  char room[16] = "";
  EXPECT_EQ(understudy_read(u, s, room, sizeof room), 5);
  EXPECT_STREQ(room, "hello");
  EXPECT_EQ(understudy_read(u, s, room, sizeof room), 0);
  EXPECT_EQ(understudy_violations(u), 0) << understudy_violation(u);
}

TEST(embed, a_host_connects_over_ipv6) {
  understudy_platform* u = make();
  understudy_station host = {};
  ASSERT_EQ(understudy_host6(u, &host), 0);
  put(u, solicitation(host));
  understudy_advance(u, understudy_now(u) + ms);
  take_all(u);
  const int s = understudy_socket(u);
  understudy_address peer = {};
  std::copy(std::begin(our_ip6), std::end(our_ip6), peer.ip);
  peer.port = 40'000;
  EXPECT_FAILS(understudy_connect(u, s, &peer), EINPROGRESS);
  const auto first = next6(u, 6);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->data[54 + 13] & (syn | ack), syn);
  const auto port = static_cast<std::uint16_t>(first->data[54] << 8 | first->data[55]);
  put(u, segment6(host, port, 5000, get32(first->data, 54 + 4) + 1, syn | ack));
  understudy_advance(u, understudy_now(u) + ms);
  EXPECT_TRUE(understudy_poll(u, s) & UNDERSTUDY_CONNECTED);
}

TEST(embed, a_host_without_an_ipv6_address_says_so) {
  understudy_platform* u = make({"live.address6="});
  understudy_station host = {};
  EXPECT_FAILS(understudy_host6(u, &host), ENOENT);
  EXPECT_EQ(understudy_host(u, &host), 0);
}

// The SYN-ACK of BEFORE_SYNACK waits for the host's memory; that of LAZY does not.
TEST(embed, the_commit_policy_decides_when_a_handshake_is_answered) {
  understudy_platform* u = make();
  understudy_station host = {};
  ASSERT_EQ(understudy_host6(u, &host), 0);
  std::array<int64_t, 2> took{};
  const std::array<int, 2> policies{UNDERSTUDY_COMMIT_BEFORE_SYNACK, UNDERSTUDY_COMMIT_LAZY};
  for (std::size_t i = 0; i < 2; ++i) {
    const int s = understudy_socket(u);
    const understudy_address local = address_of(host, static_cast<std::uint16_t>(80 + i));
    ASSERT_EQ(understudy_setsockopt(u, s, UNDERSTUDY_SO_COMMIT, policies[i]), 0);
    ASSERT_EQ(understudy_bind(u, s, &local), 0);
    ASSERT_EQ(understudy_listen(u, s, 4), 0);
  }
  put(u, solicitation(host));
  understudy_advance(u, understudy_now(u) + ms);
  for (std::size_t i = 0; i < 2; ++i) {
    take_all(u);
    const int64_t before = understudy_now(u);
    put(u, segment6(host, static_cast<std::uint16_t>(80 + i), 1000, 0, syn));
    const auto answer = next6(u, 6);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->data[54 + 13], syn | ack);
    took[i] = answer->info.at - before;
    understudy_advance(u, understudy_now(u) + ms);
  }
  EXPECT_GT(took[0], took[1]);
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

TEST(embed, an_aborted_connection_is_reset_at_once_and_its_descriptor_stays) {
  understudy_platform* u = make();
  EXPECT_FAILS(understudy_abort(u, 0), EBADF);
  understudy_station host = {};
  ASSERT_EQ(understudy_host6(u, &host), 0);
  const int listener = understudy_socket(u);
  const understudy_address local = address_of(host, 80);
  ASSERT_EQ(understudy_bind(u, listener, &local), 0);
  ASSERT_EQ(understudy_listen(u, listener, 4), 0);
  put(u, solicitation(host));
  understudy_advance(u, understudy_now(u) + ms);
  take_all(u);
  put(u, segment6(host, 80, 1000, 0, syn));
  const auto answer = next6(u, 6);
  ASSERT_TRUE(answer);
  const std::uint32_t theirs = get32(answer->data, 54 + 4) + 1;
  put(u, segment6(host, 80, 1001, theirs, ack, "unread"));
  understudy_advance(u, understudy_now(u) + ms);
  const int s = understudy_accept(u, listener, nullptr);
  ASSERT_GE(s, 0) << understudy_message();
  take_all(u);
  const int64_t before = understudy_now(u);
  EXPECT_EQ(understudy_abort(u, s), 0);
  const auto told = next6(u, 6);
  ASSERT_TRUE(told);
  constexpr std::uint8_t rst = 4;
  EXPECT_TRUE(told->data[54 + 13] & rst);
  EXPECT_EQ(get32(told->data, 54 + 4), theirs);
  EXPECT_LT(told->info.at, before + 100 * us);
  EXPECT_FALSE(next6(u, 6)) << "once";
  EXPECT_FAILS(understudy_write(u, s, "late", 4), understudy_errno());
  EXPECT_NE(understudy_errno(), EBADF);
  EXPECT_NE(understudy_socket(u), s) << "it is not free";
  put(u, segment6(host, 80, 1007, theirs, ack, "more"));
  const auto stranger = next6(u, 6);
  ASSERT_TRUE(stranger);
  EXPECT_TRUE(stranger->data[54 + 13] & rst) << "the connection is forgotten";
  EXPECT_EQ(understudy_close(u, s), 0);
  EXPECT_FAILS(understudy_abort(u, s), EBADF);
  EXPECT_EQ(understudy_violations(u), 0) << understudy_violation(u);
}

TEST(embed, the_responder_takes_every_connection_and_echoes_before_and_behind_a_death) {
  understudy_platform* u = make({"embed.peer=responder", "topology.adapters=2"});
  understudy_station peer = {};
  ASSERT_EQ(understudy_peer(u, &peer), 0);
  constexpr int many = 100;
  std::vector<int> all;
  for (int i = 0; i < many; ++i) {
    const understudy_address to = address_of(peer, static_cast<std::uint16_t>(1 + i * 601));
    all.push_back(understudy_socket(u));
    EXPECT_FAILS(understudy_connect(u, all.back(), &to), EINPROGRESS);
  }
  understudy_advance(u, understudy_now(u) + 50 * ms);
  const auto echoes = [u](int s, const std::string& what) {
    std::string got(what.size(), '?');
    return understudy_poll(u, s) & UNDERSTUDY_READABLE &&
           understudy_read(u, s, got.data(), got.size()) == static_cast<std::ptrdiff_t>(what.size()) &&
           got == what;
  };
  for (const std::string what : {"before", "behind"}) {
    int connected = 0, echoed = 0;
    for (const int s : all) connected += understudy_write(u, s, what.data(), what.size()) == 6;
    understudy_advance(u, understudy_now(u) + 50 * ms);
    for (const int s : all) echoed += echoes(s, what);
    EXPECT_EQ(connected, many) << what;
    EXPECT_EQ(echoed, many) << what;
    if (what == "before") {
      EXPECT_EQ(understudy_kill(u, -1), 0);
      understudy_advance(u, understudy_now(u) + 200 * ms);
      EXPECT_EQ(understudy_active(u), 1);
    }
  }
  EXPECT_EQ(understudy_violations(u), 0) << understudy_violation(u);
}

// What a program of its own prints, and how it ended.
std::pair<std::string, int> run_program(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string all;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) all.append(part, n);
  return {all, pclose(pipe)};
}

// The program has an sc_main of its own, which it keeps: it says so by ending well.
TEST(embed, two_processes_go_the_same_way_frame_by_frame) {
  const auto [first, status] = run_program(US_OWN_SC_MAIN);
  const auto [second, status2] =
      run_program("env US_PADDING=" + std::string(5'000, 'x') + " " US_OWN_SC_MAIN);
  EXPECT_EQ(status, 0) << first;
  EXPECT_EQ(status2, 0);
  EXPECT_GT(std::count(first.begin(), first.end(), '\n'), 20) << first;
  EXPECT_NE(first.find(" violations 0 hash "), std::string::npos) << first.substr(first.rfind("frames"));
  EXPECT_TRUE(first == second) << first.substr(first.rfind("frames"))
                               << second.substr(second.rfind("frames"));
  const auto [other, status3] = run_program(US_OWN_SC_MAIN " seed=2");
  EXPECT_EQ(status3, 0);
  EXPECT_FALSE(first == other) << "another seed loses other frames";
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
