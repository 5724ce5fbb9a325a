// Zero copy at the driver and the sockets: order, prefixes, ends, failovers, groups that run out.
#include <cstring>

#include "host_sw/sockets/sockets.h"
#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using namespace host;

struct direct_rig {
  explicit direct_rig(unsigned adapters = 1, driver_config c = small_config()) : m(adapters), d(m, c), s(d) {
    d.add_observer(&account);
    EXPECT_EQ(d.start().error, driver_error::none);
    m.run_us(10);
    listener = s.socket();
    s.setsockopt(listener, socket_option::direct_receive, 1);
    EXPECT_EQ(s.bind(listener, {.ip = {}, .port = 80}), 0);
    EXPECT_EQ(s.listen(listener, 16), 0);
    m.run_us(1);
  }
  int open(std::uint32_t cid = 5, std::uint16_t peer_port = 1000) {
    m.a[0].peer_opens(cid, peer_port, 80, 100, 500);
    m.run_us(1);
    return s.accept(listener, nullptr);
  }
  std::string recv(int fd) {
    std::string b(65536, 0);
    const auto n = s.recv(fd, b.data(), b.size());
    b.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    m.run_us(1);
    return b;
  }
  static std::string text(const received_piece& p) {
    return {reinterpret_cast<const char*>(p.data), p.bytes};
  }
  fake_machine m;
  driver d;
  sockets s;
  accounting account;
  int listener = -1;
};

TEST(direct, MM_1_received_bytes_lie_in_the_lent_buffer_and_nothing_is_copied) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  ASSERT_EQ(g.s.lend(fd, r.cpu, 64, 1), buffer_status::ok);
  ASSERT_EQ(g.s.lend(fd, r.cpu + 64, 128, 2), buffer_status::ok);
  g.m.run_us(1);
  g.m.a[0].peer_sends(5, std::string(50, 'a') + std::string(50, 'b'));
  g.m.run_us(1);
  received_piece p;
  ASSERT_TRUE(g.s.received(fd, &p));
  EXPECT_EQ(p.cookie, 1u);
  EXPECT_EQ(p.data, r.cpu);
  EXPECT_EQ(p.bytes, 64u);
  EXPECT_TRUE(p.done);
  EXPECT_EQ(g.text(p), std::string(50, 'a') + std::string(14, 'b'));
  ASSERT_TRUE(g.s.received(fd, &p));
  EXPECT_EQ(p.cookie, 2u);
  EXPECT_EQ(p.bytes, 36u);
  EXPECT_FALSE(p.done) << "the rest of the buffer stays with the adapter";
  EXPECT_FALSE(g.s.received(fd, &p));
  EXPECT_EQ(g.d.counters().copied_bytes, 0u);
  EXPECT_EQ(g.d.counters().fallbacks, 0u);
  EXPECT_EQ(g.s.deallocate(r), buffer_status::adapter_owns);
}

TEST(direct, bytes_that_went_to_the_pool_are_delivered_before_later_ones) {
  direct_rig g;
  const int fd = g.open();
  g.m.a[0].peer_sends(5, "first");
  g.m.run_us(1);
  const dma_region r = g.s.allocate(4096);
  ASSERT_EQ(g.s.lend(fd, r.cpu, 64, 9), buffer_status::ok);
  g.m.run_us(1);
  g.m.a[0].peer_sends(5, "second");
  g.m.run_us(1);
  received_piece p;
  EXPECT_FALSE(g.s.received(fd, &p)) << "a copied part is next";
  EXPECT_EQ(g.recv(fd), "first");
  EXPECT_EQ(g.recv(fd), "") << "the rest is not to be copied";
  ASSERT_TRUE(g.s.received(fd, &p));
  EXPECT_EQ(g.text(p), "second");
  EXPECT_EQ(g.d.counters().copied_bytes, 5u);
}

TEST(direct, MM_3_only_the_fin_ends_a_buffer_early_and_unused_ones_come_back) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_EQ(g.s.lend(fd, r.cpu + i * 64, 64, i), buffer_status::ok);
  g.m.run_us(1);
  g.m.a[0].peer_sends(5, "tail", true);
  g.m.run_us(1);
  received_piece p;
  std::vector<std::uint64_t> back;
  std::string all;
  while (g.s.received(fd, &p)) {
    all += g.text(p);
    EXPECT_TRUE(p.done);
    back.push_back(p.cookie);
  }
  EXPECT_EQ(all, "tail");
  EXPECT_EQ(back, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_TRUE(g.s.poll(fd) & ev_eof);
  EXPECT_EQ(g.s.lend(fd, r.cpu, 64, 1), buffer_status::bad_state) << "nothing more will come";
  EXPECT_EQ(g.s.deallocate(r), buffer_status::ok);
}

TEST(direct, MM_3_prefixes_of_a_send_complete_as_they_are_acknowledged_and_not_before) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  std::memcpy(r.cpu, "0123456789", 10);
  ASSERT_EQ(g.s.send_from(fd, r.cpu, 10, 77), buffer_status::ok);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].connections[5].sent.size(), 10u);
  EXPECT_EQ(g.m.a[0].connections[5].sent[101], '0') << "from where it lies";
  sent_piece p;
  EXPECT_FALSE(g.s.sent(fd, &p));
  std::uint32_t before = 0;
  for (const std::uint32_t una : {104u, 104u, 108u, 111u}) {
    g.m.a[0].peer_acks(5, una);
    g.m.run_us(1);
    if (una - 101 == before) {
      EXPECT_FALSE(g.s.sent(fd, &p)) << "no news";
      continue;
    }
    before = una - 101;
    ASSERT_TRUE(g.s.sent(fd, &p));
    EXPECT_EQ(p.cookie, 77u);
    EXPECT_EQ(p.bytes, before);
    EXPECT_EQ(p.done, una == 111);
    EXPECT_TRUE(p.delivered);
  }
  EXPECT_EQ(g.d.counters().copied_bytes, 0u);
  EXPECT_EQ(g.s.deallocate(r), buffer_status::ok);
}

TEST(direct, an_application_that_does_not_ask_finds_one_piece_a_send_however_many_acks_it_took) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  ASSERT_EQ(g.s.send_from(fd, r.cpu, 1000, 1), buffer_status::ok);
  ASSERT_EQ(g.s.send_from(fd, r.cpu + 1024, 1000, 2), buffer_status::ok);
  g.m.run_us(1);
  for (std::uint32_t una = 102; una <= 1601; ++una) {
    g.m.a[0].peer_acks(5, una);
    g.m.run_us(1);
  }
  sent_piece p;
  ASSERT_TRUE(g.s.sent(fd, &p));
  EXPECT_EQ(p.cookie, 1u);
  EXPECT_TRUE(p.done);
  ASSERT_TRUE(g.s.sent(fd, &p));
  EXPECT_EQ(p.cookie, 2u);
  EXPECT_EQ(p.bytes, 500u);
  EXPECT_FALSE(p.done);
  EXPECT_FALSE(g.s.sent(fd, &p));
}

// What a SEND and its INLINE entries carry is what lies at its address.
TEST(inline_sends, carry_the_bytes_that_lie_at_their_address_and_only_copied_ones) {
  driver_config c = small_config();
  c.inline_bytes = 100;
  direct_rig g(1, c);
  const int fd = g.open();
  std::string carried;
  unsigned plain = 0;
  g.m.a[0].on_descriptor = [&](const us_idt_entry& e) {
    const bool inlined = e.flags & US_SEND_INLINE;
    if (e.opcode == US_OP_SEND && inlined)
      carried.append(reinterpret_cast<const char*>(e.u.send.data), std::min(36u, e.u.send.len));
    if (e.opcode == US_OP_SEND && !inlined) ++plain;
    if (e.opcode == US_OP_INLINE) carried.append(reinterpret_cast<const char*>(e.u.inline_data), 52);
  };
  std::string text(88, '?');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i + 1);
  ASSERT_EQ(g.s.send(fd, text.data(), 88), 88);
  ASSERT_EQ(g.s.send(fd, text.data(), 5), 5);
  ASSERT_EQ(g.s.send(fd, std::string(101, 'x').data(), 101), 101);
  const dma_region r = g.s.allocate(4096);
  ASSERT_EQ(g.s.send_from(fd, r.cpu, 10, 1), buffer_status::ok);
  g.m.run_us(1);
  EXPECT_EQ(carried, text + text.substr(0, 5));
  EXPECT_EQ(plain, 2u) << "too long, and the application's own";
  EXPECT_EQ(g.d.counters().inline_sends, 2u);
}

TEST(direct, copied_and_lent_sends_of_one_connection_keep_their_order_and_survive_a_failover) {
  direct_rig g(2);
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  std::memcpy(r.cpu, "LENT", 4);
  ASSERT_EQ(g.s.send(fd, "copied", 6), 6);
  ASSERT_EQ(g.s.send_from(fd, r.cpu, 4, 1), buffer_status::ok);
  ASSERT_EQ(g.s.send(fd, "again", 5), 5);
  ASSERT_EQ(g.s.lend(fd, r.cpu + 1024, 128, 2), buffer_status::ok);
  g.m.run_us(1);
  g.m.a[0].peer_sends(5, "half");
  g.m.a[0].peer_acks(5, 103);  // "co"
  g.m.run_us(1);
  g.d.fail_now(0);
  g.m.run_us(2000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  fake_connection& c = g.m.a[1].connections[5];
  std::string resent;
  for (const auto& [seq, byte] : c.sent) resent += static_cast<char>(byte);
  EXPECT_EQ(resent, "piedLENTagain");
  ASSERT_FALSE(c.rx.empty());
  EXPECT_TRUE(c.rx.front().direct);
  EXPECT_EQ(c.rx.front().base_off, 4u) << "behind what was committed";
  EXPECT_EQ(seq32{c.edge}.minus(seq32{c.restore.u.restore.rcv_nxt}), [&] {
    std::uint32_t room = 0;
    for (const auto& x : c.rx) room += x.len;
    return room;
  }()) << "the window reaches as far as the buffers do";
  EXPECT_EQ(c.restore.u.restore.memory, US_MEM_DIRECT);
  g.m.a[1].peer_sends(5, "full");
  g.m.a[1].peer_acks(5, 116);
  g.m.run_us(1);
  received_piece p;
  ASSERT_TRUE(g.s.received(fd, &p));
  EXPECT_EQ(g.text(p), "halffull");
  sent_piece done;
  ASSERT_TRUE(g.s.sent(fd, &done));
  EXPECT_TRUE(done.done);
  EXPECT_EQ(g.account.double_posts, 0);
  EXPECT_EQ(g.account.stray_takes, 0);
}

TEST(direct, a_connection_that_dies_gives_everything_back_and_says_what_was_not_delivered) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(4096);
  ASSERT_EQ(g.s.send_from(fd, r.cpu, 100, 1), buffer_status::ok);
  ASSERT_EQ(g.s.lend(fd, r.cpu + 1024, 64, 2), buffer_status::ok);
  g.m.run_us(1);
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_RESET);
  g.m.run_us(1);
  sent_piece s;
  ASSERT_TRUE(g.s.sent(fd, &s));
  EXPECT_TRUE(s.done);
  EXPECT_FALSE(s.delivered);
  received_piece p;
  ASSERT_TRUE(g.s.received(fd, &p));
  EXPECT_EQ(p.bytes, 0u);
  EXPECT_TRUE(p.done);
  EXPECT_EQ(g.s.deallocate(r), buffer_status::ok);
}

TEST(direct, a_pool_keeps_one_buffer_behind_those_that_are_lent) {
  direct_rig g;
  const int fd = g.open();
  const dma_region r = g.s.allocate(1 << 16);
  for (std::uint64_t i = 0; i < 8; ++i) g.s.lend(fd, r.cpu + i * 4096, 4096, i);
  g.m.run_us(1);
  unsigned direct = 0, pool = 0;
  for (const auto& x : g.m.a[0].connections[5].rx) ++(x.direct ? direct : pool);
  EXPECT_EQ(direct, 8u);
  EXPECT_EQ(pool, 1u);
}

driver_config with_group(std::uint32_t buffers) {
  driver_config c = small_config();
  group_config g;
  g.local_port = 80;
  g.buffers = buffers;
  g.bytes = 2048;
  c.groups.push_back(g);
  return c;
}

// A driver whose connections belong to group 1.
struct groups_rig : driver_rig {
  explicit groups_rig(const driver_config& c, unsigned adapters = 1) : driver_rig(adapters, c) {
    start();
    for (fake_adapter& a : m.a) a.group = 1;
  }
  conn open(std::uint32_t cid) { return accept_one(cid, static_cast<std::uint16_t>(995 + cid)); }
};

TEST(groups, MM_2_a_group_that_is_used_up_shuts_windows_and_opens_them_again_in_turn) {
  driver_config c = with_group(6);
  c.receive_buffer = 4096;
  groups_rig g(c);
  EXPECT_EQ(g.d.groups()[1].posted, 1u) << "a quarter of it waits at the adapter for connections to come";
  std::vector<conn> conns;
  for (std::uint32_t i = 0; i < 4; ++i) conns.push_back(g.open(5 + i));
  const auto room = [&g](std::uint32_t cid) {
    const fake_connection& f = g.m.a[0].connections[cid];
    return seq32{f.edge}.minus(f.rcv_nxt);
  };
  EXPECT_EQ(room(5), 4096u);
  EXPECT_EQ(room(6), 4096u);
  EXPECT_EQ(room(7), 2048u) << "the first buffer, and no second one";
  EXPECT_EQ(room(8), 2048u);
  EXPECT_EQ(g.d.groups()[1].free, 0u);
  EXPECT_EQ(g.d.groups()[1].exhausted, 2u);
  const auto read_2048 = [&](std::uint32_t cid, conn c) {
    g.m.a[0].peer_sends(cid, std::string(2048, 'x'));
    g.m.run_us(1);
    std::string b(4096, 0);
    EXPECT_EQ(g.d.read(c, b.data(), b.size()), 2048u);
    g.m.run_us(1);
  };
  read_2048(5, conns[0]);
  EXPECT_EQ(g.d.groups()[1].posted, 6u) << "back in the adapter's pool";
  EXPECT_EQ(room(7), 2048u);
  read_2048(5, conns[0]);
  EXPECT_EQ(room(7), 4096u) << "whoever has waited longest";
  EXPECT_EQ(room(8), 2048u);
  read_2048(6, conns[1]);
  EXPECT_EQ(room(8), 4096u);
  const auto facts = g.d.groups()[1];
  EXPECT_EQ(facts.free + facts.posted + facts.filled, facts.total);
  EXPECT_EQ(facts.most_in_use, 6u);
  EXPECT_EQ(g.d.groups()[0].exhausted, 0u) << "the default group does not suffer";
}

TEST(groups, one_that_may_borrow_takes_from_the_default_group_and_gives_back_there) {
  driver_config c = with_group(2);
  c.receive_buffer = 8192;
  c.groups[0].borrow = true;
  groups_rig g(c);
  const conn h = g.open(5);
  EXPECT_EQ(g.d.groups()[1].exhausted, 0u);
  EXPECT_GT(g.d.groups()[1].borrowed, 0u);
  g.d.abort(h);
  g.m.run_us(1);
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  for (const auto& f : g.d.groups()) EXPECT_EQ(f.free + f.posted + f.filled, f.total);
  EXPECT_EQ(g.d.groups()[1].free + g.d.groups()[1].posted, 2u);
}

TEST(groups, below_the_low_watermark_only_who_has_no_window_gets_a_buffer) {
  driver_config c = with_group(8);
  c.receive_buffer = 8192;
  c.groups[0].low = 4;
  c.groups[0].high = 6;
  groups_rig g(c);
  g.open(5);
  EXPECT_GE(g.d.groups()[1].free, 3u) << "a connection with a window leaves the rest to others";
  g.open(6);
  const fake_connection& f = g.m.a[0].connections[6];
  EXPECT_EQ(seq32{f.edge}.minus(f.rcv_nxt), 2048u);
}

TEST(groups, the_limit_of_a_connection_bounds_what_it_is_granted) {
  driver_config c = with_group(16);
  c.receive_buffer = 16384;
  c.groups[0].limit = 4096;
  groups_rig g(c);
  g.open(5);
  const fake_connection& f = g.m.a[0].connections[5];
  EXPECT_EQ(seq32{f.edge}.minus(f.rcv_nxt), 4096u);
}

TEST(groups, their_rules_and_buffers_go_to_the_substitute) {
  driver_config c = with_group(8);
  groups_rig g(c, 2);
  g.open(5);
  EXPECT_EQ(g.m.a[0].seen_of(US_OP_SET_GROUP).size(), 1u);
  EXPECT_EQ(g.m.a[1].seen_of(US_OP_SET_GROUP).size(), 1u) << "it has the rules from the start";
  const auto of_group = [](const std::deque<us_idt_entry>& pool) {
    return std::count_if(pool.begin(), pool.end(), [](const auto& e) { return e.u.rx.group == 1; });
  };
  EXPECT_EQ(of_group(g.m.a[1].pool), 0) << "and no buffers";
  g.d.fail_now(0);
  g.m.run_us(2000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  EXPECT_EQ(of_group(g.m.a[1].pool), 2);
  EXPECT_EQ(g.m.a[1].connections[5].restore.u.restore.group, 1u);
  for (const auto& f : g.d.groups()) EXPECT_EQ(f.free + f.posted + f.filled, f.total);
}

TEST(groups, a_configuration_that_cannot_be_is_refused) {
  const auto refused = [](const driver_config& c) {
    fake_machine m(1);
    driver d(m, c);
    return d.start();
  };
  driver_config c = with_group(8);
  c.groups[0].bytes = 1000;
  EXPECT_EQ(refused(c).error, driver_error::bad_config);
  c.groups[0].bytes = 1024;
  EXPECT_NE(refused(c).text.find("less than a segment"), std::string::npos);
  c = with_group(0);
  EXPECT_EQ(refused(c).error, driver_error::bad_config);
  c = with_group(8);
  c.groups[0].low = 5;
  c.groups[0].high = 4;
  EXPECT_EQ(refused(c).error, driver_error::bad_config);
  c = with_group(8);
  c.groups.resize(16, c.groups[0]);
  EXPECT_EQ(refused(c).error, driver_error::bad_config);
}

}  // namespace
}  // namespace understudy::tb
