#include "host_sw/sockets/sockets.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using namespace host;

struct socket_rig {
  explicit socket_rig(unsigned adapters = 1) : m(adapters), d(m, small_config()), s(d) {
    s.set_notifier(
        [](void* p, int fd, unsigned events) {
          auto* g = static_cast<socket_rig*>(p);
          g->told.emplace_back(fd, events);
          g->polled.push_back(g->s.poll(fd));
        },
        this);
  }
  void start() {
    ASSERT_EQ(d.start().error, driver_error::none);
    m.run_us(10);
  }
  int listening(std::uint16_t port = 80, unsigned backlog = 4) {
    const int fd = s.socket();
    EXPECT_EQ(s.bind(fd, {.ip = {}, .port = port}), 0);
    EXPECT_EQ(s.listen(fd, backlog), 0);
    m.run_us(1);
    return fd;
  }
  int accepted(int listener, std::uint32_t cid = 5, std::uint16_t peer_port = 1000) {
    m.a[0].peer_opens(cid, peer_port, 80, 100, 500);
    m.run_us(1);
    return s.accept(listener, nullptr);
  }
  std::string recv(int fd, std::size_t most = 65536) {
    std::string b(most, 0);
    const auto n = s.recv(fd, b.data(), b.size());
    b.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    m.run_us(1);
    return b;
  }
  unsigned events(int fd) {
    unsigned r = 0;
    for (const auto& [f, e] : told)
      if (f == fd) r |= e;
    told.clear();
    return r;
  }
  int count(int fd, unsigned event) const {
    int n = 0;
    for (const auto& [f, e] : told) n += f == fd && (e & event);
    return n;
  }

  fake_machine m;
  driver d;
  sockets s;
  std::vector<std::pair<int, unsigned>> told;
  std::vector<unsigned> polled;
};

TEST(sockets, carry_bytes_both_ways_over_an_accepted_connection) {
  socket_rig g;
  g.start();
  const int l = g.listening();
  EXPECT_EQ(g.s.accept(l, nullptr), -EAGAIN);
  g.m.a[0].peer_opens(5, 1000, 80, 100, 500);
  g.m.run_us(1);
  EXPECT_EQ(g.events(l), ev_acceptable);
  EXPECT_EQ(g.s.poll(l), ev_acceptable);
  socket_address peer;
  const int fd = g.s.accept(l, &peer);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(peer.port, 1000);
  EXPECT_EQ(peer.ip[15], 2);
  EXPECT_EQ(g.s.poll(fd), ev_connected | ev_writable);
  char b[8];
  EXPECT_EQ(g.s.recv(fd, b, 8), -EAGAIN);
  g.m.a[0].peer_sends(5, "question");
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_readable);
  EXPECT_EQ(g.recv(fd, 5), "quest");
  EXPECT_TRUE(g.s.poll(fd) & ev_readable);
  EXPECT_EQ(g.recv(fd), "ion");
  EXPECT_EQ(g.s.send(fd, "answer", 6), 6);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].connections[5].sent.size(), 6u);
  EXPECT_GT(g.m.spent[static_cast<int>(work::socket_call)], 5u);
}

TEST(sockets, connect_and_hear_of_it) {
  socket_rig g;
  g.start();
  const int fd = g.s.socket();
  EXPECT_EQ(g.s.send(fd, "x", 1), -ENOTCONN);
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EINPROGRESS);
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EALREADY);
  EXPECT_EQ(g.s.send(fd, "x", 1), -EAGAIN);
  g.m.run_us(1);
  g.m.a[0].connect_succeeds(g.m.a[0].seen_of(US_OP_CONNECT)[0], 3, 50);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_connected | ev_writable);
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EISCONN);
  EXPECT_EQ(g.s.send(fd, "x", 1), 1);
}

TEST(sockets, report_a_refused_connect_once) {
  socket_rig g;
  g.start();
  const int fd = g.s.socket();
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EINPROGRESS);
  g.m.run_us(1);
  us_record r = g.m.a[0].blank(US_REC_ABORTED, 3);
  r.snd_una = g.m.a[0].seen_of(US_OP_CONNECT)[0].u.connect.iss;
  r.u.end.status = US_ERR_REFUSED;
  g.m.a[0].emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_error);
  int error = 0;
  EXPECT_EQ(g.s.getsockopt(fd, socket_option::error, &error), 0);
  EXPECT_EQ(error, ECONNREFUSED);
  EXPECT_EQ(g.s.getsockopt(fd, socket_option::error, &error), 0);
  EXPECT_EQ(error, 0);
  EXPECT_EQ(g.s.close(fd), 0);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(sockets, tell_the_end_of_the_stream_once_and_after_all_bytes) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  g.m.a[0].peer_sends(5, "rest", true);
  g.m.run_us(1);
  EXPECT_EQ(g.count(fd, ev_eof), 0);
  EXPECT_FALSE(g.s.poll(fd) & ev_eof);
  EXPECT_EQ(g.recv(fd), "rest");
  EXPECT_EQ(g.count(fd, ev_eof), 1);
  char b;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(g.s.recv(fd, &b, 1), 0);
  g.m.run_us(1);
  EXPECT_EQ(g.count(fd, ev_eof), 1);
  EXPECT_TRUE(g.s.poll(fd) & ev_eof);
  EXPECT_EQ(g.s.send(fd, "more", 4), 4) << "the other direction stays open";
}

TEST(sockets, tell_an_end_without_unread_bytes_at_once) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  g.m.a[0].peer_sends(5, "", true);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_readable | ev_eof);
}

TEST(sockets, write_until_full_and_are_woken) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  const std::string out = pattern(5000);
  EXPECT_EQ(g.s.send(fd, out.data(), out.size()), 4096);
  EXPECT_EQ(g.s.send(fd, out.data(), 1), -EAGAIN);
  EXPECT_FALSE(g.s.poll(fd) & ev_writable);
  g.m.run_us(1);
  g.m.a[0].peer_acks(5, 101 + 4096);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_writable);
}

TEST(sockets, shut_down_and_close_in_order) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  EXPECT_EQ(g.s.shutdown(fd), 0);
  EXPECT_EQ(g.s.shutdown(fd), 0);
  EXPECT_EQ(g.s.send(fd, "x", 1), -EPIPE);
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].connections[5].closed);
  g.m.a[0].peer_acks(5, 102);
  g.m.a[0].peer_sends(5, "", true);
  g.m.a[0].emit(g.m.a[0].blank(US_REC_TIME_WAIT, 5));
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_readable | ev_eof | ev_closed);
  EXPECT_EQ(g.s.close(fd), 0);
  g.m.a[0].ends(5, US_REC_CLOSED);
  g.m.run_us(1);
  EXPECT_EQ(g.d.connections(), 0u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(sockets, close_with_unread_data_resets) {
  socket_rig g;
  g.start();
  const int l = g.listening();
  const int read = g.accepted(l, 5, 1000), unread = g.accepted(l, 6, 1001);
  g.m.a[0].peer_sends(5, "data");
  g.m.a[0].peer_sends(6, "data");
  g.m.run_us(1);
  EXPECT_EQ(g.recv(read), "data");
  g.s.close(read);
  g.s.close(unread);
  g.m.run_us(1);
  EXPECT_FALSE(g.m.a[0].connections[5].aborted);
  EXPECT_TRUE(g.m.a[0].connections[5].closed);
  EXPECT_TRUE(g.m.a[0].connections[6].aborted);
}

TEST(sockets, close_of_an_ended_connection_resets_nothing) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  EXPECT_EQ(g.s.shutdown(fd), 0);
  g.m.run_us(1);
  g.m.a[0].peer_acks(5, 102);
  g.m.a[0].peer_sends(5, "never read", true);
  g.m.a[0].emit(g.m.a[0].blank(US_REC_TIME_WAIT, 5));
  g.m.run_us(1);
  g.s.close(fd);
  g.m.run_us(1);
  EXPECT_FALSE(g.m.a[0].connections[5].aborted);
}

TEST(sockets, abort_ends_without_an_error) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  EXPECT_EQ(g.s.abort(fd), 0);
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].connections[5].aborted);
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_closed);
  g.s.close(fd);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(sockets, give_bytes_that_came_before_a_reset_and_then_the_error) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  g.m.a[0].peer_sends(5, "last");
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_RESET);
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_readable | ev_error);
  EXPECT_EQ(g.recv(fd), "last");
  char b;
  EXPECT_EQ(g.s.recv(fd, &b, 1), -ECONNRESET);
  EXPECT_EQ(g.s.recv(fd, &b, 1), 0);
}

TEST(sockets, bound_the_accept_queue_by_the_backlog) {
  socket_rig g;
  g.start();
  const int l = g.listening(80, 2);
  for (std::uint32_t i = 0; i < 3; ++i)
    g.m.a[0].peer_opens(i, static_cast<std::uint16_t>(1000 + i), 80, 1, 1);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().overflowed_accepts, 1u);
  EXPECT_TRUE(g.m.a[0].connections[2].aborted);
  EXPECT_GE(g.s.accept(l, nullptr), 0);
  EXPECT_GE(g.s.accept(l, nullptr), 0);
  EXPECT_EQ(g.s.accept(l, nullptr), -EAGAIN);
}

TEST(sockets, notify_after_accept_of_what_came_before) {
  socket_rig g;
  g.start();
  const int l = g.listening();
  g.m.a[0].peer_opens(5, 1000, 80, 100, 500);
  g.m.a[0].peer_sends(5, "early", true);
  g.m.run_us(1);
  g.told.clear();
  const int fd = g.s.accept(l, nullptr);
  EXPECT_TRUE(g.told.empty()) << "never from inside a call";
  g.m.run_us(1);
  EXPECT_EQ(g.events(fd), ev_readable);
  EXPECT_EQ(g.recv(fd), "early");
  EXPECT_EQ(g.events(fd), ev_eof);
}

TEST(sockets, closing_a_listener_resets_what_nobody_accepted) {
  socket_rig g;
  g.start();
  const int l = g.listening();
  g.m.a[0].peer_opens(5, 1000, 80, 100, 500);
  g.m.a[0].peer_opens(6, 1001, 80, 100, 500, false);
  g.m.run_us(1);
  g.s.close(l);
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].connections[5].aborted);
  EXPECT_TRUE(g.m.a[0].connections[6].aborted);
  EXPECT_EQ(g.m.a[0].seen_of(US_OP_UNLISTEN).size(), 1u);
}

TEST(sockets, refuse_wrong_use) {
  socket_rig g;
  g.start();
  const int fd = g.s.socket();
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::send_buffer, 0), -EINVAL);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::error, 1), -EINVAL);
  EXPECT_EQ(g.s.accept(fd, nullptr), -EINVAL);
  EXPECT_EQ(g.s.shutdown(fd), -ENOTCONN);
  EXPECT_EQ(g.s.abort(fd), -ENOTCONN);
  EXPECT_EQ(g.s.recv(99, nullptr, 1), -EBADF);
  EXPECT_EQ(g.s.close(-1), -EBADF);
  const int l = g.listening();
  EXPECT_EQ(g.s.bind(l, {}), -EINVAL);
  EXPECT_EQ(g.s.setsockopt(l, socket_option::failover, 0), -EINVAL);
  const int second = g.s.socket();
  EXPECT_EQ(g.s.bind(second, {.ip = {}, .port = 80}), 0);
  EXPECT_EQ(g.s.listen(second, 1), -EADDRINUSE);
}

TEST(sockets, choose_a_port_for_a_listener_without_one) {
  socket_rig g;
  g.start();
  const int one = g.s.socket(), two = g.s.socket();
  EXPECT_EQ(g.s.listen(one, 1), 0);
  EXPECT_EQ(g.s.listen(two, 1), 0);
  g.m.run_us(1);
  const auto seen = g.m.a[0].seen_of(US_OP_LISTEN);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_NE(seen[0].u.listen.port, seen[1].u.listen.port);
}

TEST(sockets, tell_their_connection_what_it_is_asked_for) {
  socket_rig g;
  g.start();
  const int fd = g.s.socket();
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::keepalive, 1), 0);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::keepalive_idle, 0), -EINVAL);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::keepalive_idle, 70'000), -EINVAL);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::keepalive_idle, 60), 0);
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EINPROGRESS);
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].seen_of(US_OP_SET_OPTIONS).empty()) << "no adapter knows it yet";
  g.m.a[0].connect_succeeds(g.m.a[0].seen_of(US_OP_CONNECT)[0], 3, 50);
  g.m.run_us(1);
  auto seen = g.m.a[0].seen_of(US_OP_SET_OPTIONS);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].u.set_options.options, US_OPT_KEEPALIVE);
  EXPECT_EQ(seen[0].u.set_options.keepalive_idle_s, 60);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::no_delay, 0), 0);
  g.m.run_us(1);
  seen = g.m.a[0].seen_of(US_OP_SET_OPTIONS);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].u.set_options.options, US_OPT_KEEPALIVE | US_OPT_NAGLE);
  int v = 1;
  EXPECT_EQ(g.s.getsockopt(fd, socket_option::no_delay, &v), 0);
  EXPECT_EQ(v, 0);
}

TEST(sockets, hand_the_options_of_a_listener_to_those_it_accepts_from_then_on) {
  socket_rig g;
  g.start();
  const int l = g.listening();
  const int before = g.accepted(l, 5, 1000);
  EXPECT_EQ(g.s.setsockopt(l, socket_option::no_delay, 0), 0);
  const int after = g.accepted(l, 6, 1001);
  int v = 0;
  EXPECT_EQ(g.s.getsockopt(before, socket_option::no_delay, &v), 0);
  EXPECT_EQ(v, 1);
  EXPECT_EQ(g.s.getsockopt(after, socket_option::no_delay, &v), 0);
  EXPECT_EQ(v, 0);
  const auto seen = g.m.a[0].seen_of(US_OP_SET_OPTIONS);
  ASSERT_EQ(seen.size(), 1u) << "the adapter is told of the second";
  EXPECT_EQ(seen[0].u.set_options.options, US_OPT_NAGLE);
}

TEST(sockets, keep_their_options) {
  socket_rig g;
  g.start();
  const int fd = g.s.socket();
  int v = 0;
  EXPECT_EQ(g.s.getsockopt(fd, socket_option::failover, &v), 0);
  EXPECT_EQ(v, 1);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::failover, 0), 0);
  EXPECT_EQ(g.s.setsockopt(fd, socket_option::send_buffer, 100), 0);
  EXPECT_EQ(g.s.connect(fd, ipv4_address(peer_ip, 80)), -EINPROGRESS);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].seen_of(US_OP_CONNECT)[0].flags, 0) << "unprotected";
  g.m.a[0].connect_succeeds(g.m.a[0].seen_of(US_OP_CONNECT)[0], 3, 50);
  g.m.run_us(1);
  EXPECT_EQ(g.s.send(fd, pattern(200).data(), 200), 100);
}

TEST(sockets, survive_the_adapter_without_noticing) {
  socket_rig g(2);
  g.start();
  const int fd = g.accepted(g.listening());
  const std::string in = pattern(9000), out = pattern(3000, 9);
  std::string got;
  EXPECT_EQ(g.s.send(fd, out.data(), out.size()), 3000);
  for (std::size_t at = 0; at < in.size(); at += 500) {
    if (at == 4500) {
      g.m.a[0].answers = g.m.a[0].beating = false;
      g.m.run_us(1000);
      ASSERT_EQ(g.d.active_adapter(), 1u);
    }
    g.m.a[at < 4500 ? 0 : 1].peer_sends(5, in.substr(at, 500));
    g.m.run_us(1);
    got += g.recv(fd);
  }
  EXPECT_EQ(got, in);
  EXPECT_EQ(g.m.a[1].connections[5].sent.size(), 3000u);
  EXPECT_EQ(g.events(fd) & ~static_cast<unsigned>(ev_readable), 0u);
}

TEST(sockets, hear_of_a_network_that_is_gone) {
  socket_rig g;
  g.start();
  const int fd = g.accepted(g.listening());
  g.m.a[0].answers = g.m.a[0].beating = false;
  g.m.run_us(1000);
  EXPECT_EQ(g.events(fd), ev_error);
  EXPECT_EQ(g.s.send(fd, "x", 1), -ENETDOWN);
}

}  // namespace
}  // namespace understudy::tb
