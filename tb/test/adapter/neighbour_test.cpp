// Frames to neighbours that nobody knows yet wait for an answer, not for ever and not in each other's way.
#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t nobody_listens = 81;
constexpr std::size_t most_waiting = 1024;

// `n` segments that the adapter answers by resets; the peer's MAC is not known.
void provoke_resets(adapter_rig& g, std::uint16_t n, std::uint16_t first_port) {
  for (std::uint16_t i = 0; i < n; ++i)
    g.wire.send(g.segment_from_peer(nobody_listens, static_cast<std::uint16_t>(first_port + i), seq32{1},
                                    seq32{7}, tcp_ack));
  g.run(5_ms);
}

std::size_t questions(const adapter_rig& g) {
  std::size_t n = 0;
  for (const auto& a : g.wire.arrivals) {
    const parsed_frame p = parse_frame(a.f);
    n += p.kind == frame_class::arp_request && p.target_ip == peer_ip;
  }
  return n;
}

TEST(neighbour, whose_answers_are_lost_is_asked_again_however_much_waits_for_it) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.ring(50_us);
  provoke_resets(g, most_waiting + 10, 2000);
  EXPECT_EQ(questions(g), 1u) << "ten a second, at most";
  EXPECT_EQ(g.dev.counters().dropped_no_neighbour, 10u);
  g.run(2_s);
  EXPECT_EQ(questions(g), 10u) << "and no more in a row";
  provoke_resets(g, 1, 9000);
  EXPECT_EQ(questions(g), 11u);
  EXPECT_TRUE(g.take_segments().empty());
  g.introduce_peer();
  g.run(5_ms);
  const auto sent = g.take_segments();
  ASSERT_EQ(sent.size(), most_waiting) << "the newest of them";
  EXPECT_EQ(sent.front().tuple.local_port, 2011);
  EXPECT_EQ(sent.back().tuple.local_port, 9000);
  g.expect_no_report();
}

constexpr std::uint16_t port = 80, peer_port = 5000;
constexpr seq32 received{7000}, acknowledged{9000};

// A substitute with one established connection from `peer`, whose kick waits for the next hop.
void take_over(adapter_rig& g, const ip_address& peer, const ip_address& gateway) {
  g.bring_up(0);
  us_idt_entry e = g.address();
  std::copy(gateway.bytes.begin(), gateway.bytes.end(), e.u.set_address.gateway);
  g.post(e);
  e = {};
  e.opcode = US_OP_RESTORE;
  e.cid = 0;
  std::copy(peer.bytes.begin(), peer.bytes.end(), e.u.restore.peer_ip);
  e.u.restore.local_port = port;
  e.u.restore.peer_port = peer_port;
  e.u.restore.state = US_TCP_ESTABLISHED;
  e.u.restore.conn = US_CONN_PROTECTED;
  e.u.restore.mss = 1460;
  e.u.restore.rcv_nxt = received.raw;
  e.u.restore.snd_una = e.u.restore.snd_max = acknowledged.raw;
  e.u.restore.rcv_adv = received.raw + 10'000;
  e.u.restore.iss = acknowledged.raw - 1000;
  g.post(e);
  g.ring();
  g.write(US_REG_CONTROL, US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE);
  g.run(50_us);
  EXPECT_TRUE(g.take_segments().empty()) << "the kick waits";
}

// It hears nothing but segments of the peer: the answer to its question queues behind them.
void tells_its_next_hop(const ip_address& peer, const ip_address& gateway) {
  adapter_rig g;
  take_over(g, peer, gateway);
  const std::size_t before = g.wire.arrivals.size();
  g.wire.send(g.segment_from(peer, nobody_listens, 6000, seq32{1}, seq32{7}, tcp_ack));
  g.run(50_us);
  EXPECT_TRUE(g.take_segments().empty()) << "anybody may say so";
  g.wire.send(g.segment_from(peer, port, peer_port, received + 1000, acknowledged, tcp_ack));
  g.run(50_us);
  std::size_t answers = 0;
  for (const segment& s : g.take_segments()) answers += s.ack == received && s.seq == acknowledged;
  EXPECT_EQ(answers, 4u) << "one to the answer of the kick, three that ask for what is missing";
  for (std::size_t i = before; i < g.wire.arrivals.size(); ++i)
    EXPECT_EQ(parse_frame(g.wire.arrivals[i].f).destination_mac, peer_mac);

  constexpr mac_address elsewhere{0x02, 0, 0, 0, 0, 0x77};
  g.wire.send(make_arp_reply(elsewhere, gateway.is_zero() ? peer : gateway, adapter_mac, adapter_ip));
  g.wire.send(g.segment_from(peer, port, peer_port, received - 1, acknowledged, tcp_ack));
  g.run(50_us);
  EXPECT_EQ(g.take_segments().size(), 1u);
  EXPECT_EQ(parse_frame(g.wire.arrivals.back().f).destination_mac, elsewhere)
      << "the answer has the last word";
  g.expect_no_report();
}

class neighbour_of : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(an_adapter, neighbour_of, testing::Bool(), [](const auto& p) {
  return p.param ? "that_has_reset" : "that_has_another_address";
});

TEST_P(neighbour_of, is_not_asked_again) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.ring(50_us);
  provoke_resets(g, 1, 2000);
  EXPECT_EQ(questions(g), 1u);
  us_idt_entry e = g.address();
  if (GetParam()) {
    g.write(US_REG_CONTROL, US_CONTROL_RESET);
    g.start_over();
  } else {
    e.u.set_address.ip[15] ^= 1;
  }
  g.post(e);
  g.ring(2_s);
  EXPECT_EQ(questions(g), 1u);
}

TEST(neighbour, of_a_substitute_is_asked_again_soon_when_the_first_question_is_lost) {
  adapter_rig g;
  take_over(g, peer_ip, {});
  EXPECT_EQ(questions(g), 1u);
  g.run(neighbours::request_interval);
  EXPECT_EQ(questions(g), 2u) << "long before the peer's time-out";
  g.introduce_peer();
  g.run(1_ms);
  const auto sent = g.take_segments();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.front().seq, acknowledged - 1) << "the kick";
  g.run(1_s);
  EXPECT_EQ(questions(g), 2u);
}

TEST(neighbour, is_known_by_the_segments_of_a_restored_connection) {
  tells_its_next_hop(peer_ip, {});
}

TEST(neighbour, that_is_a_router_is_known_by_the_segments_that_it_brings) {
  tells_its_next_hop(ip_address::v4(192, 0, 2, 1), ip_address::v4(10, 0, 0, 254));
}

TEST(neighbour, that_answers_gets_its_frames_in_order_and_others_wait_on) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.ring(50_us);
  // Of every three frames one is for the peer, two are for its neighbours. The newest `most_waiting` wait.
  const auto station = [](unsigned i) {
    return ip_address::v4(10, 0, 0, static_cast<std::uint8_t>(9 + i % 3));
  };
  const unsigned sent = most_waiting + 100;
  for (unsigned i = 0; i < sent; ++i) {
    segment s;
    s.tuple = {station(i), adapter_ip, static_cast<std::uint16_t>(2000 + i), nobody_listens};
    s.flags = tcp_ack;
    frame_ref f = frame_ref::make(0, 128);
    prepend_headers(f, s, peer_mac, adapter_mac, 1);
    g.wire.send(f);
  }
  g.run(5_ms);
  EXPECT_EQ(g.dev.counters().dropped_no_neighbour, 100u);
  EXPECT_TRUE(g.take_segments().empty());
  std::size_t left = 0;
  for (const unsigned answering : {1, 0, 2}) {
    g.wire.send(make_arp_reply(peer_mac, station(answering), adapter_mac, adapter_ip));
    g.run(5_ms);
    unsigned next = 100;
    for (const segment& s : g.take_segments()) {
      while (next % 3 != answering) ++next;
      EXPECT_EQ(s.tuple.local, station(answering));
      EXPECT_EQ(s.tuple.local_port, 2000 + next++);
      ++left;
    }
    EXPECT_GE(next + 3, sent);
  }
  EXPECT_EQ(left, most_waiting);
  g.expect_no_report();
}

TEST(neighbour, table_that_is_full_forgets_the_one_used_longest_ago) {
  neighbours table;
  constexpr auto most = static_cast<std::uint32_t>(neighbours::max_entries);
  const auto station = [](std::uint32_t n) { return neighbours::station{ip_address::v4(n), 0}; };
  const auto mac = [](std::uint32_t n) {
    return mac_address{2,
                       0,
                       0,
                       static_cast<std::uint8_t>(n >> 16),
                       static_cast<std::uint8_t>(n >> 8),
                       static_cast<std::uint8_t>(n)};
  };
  const auto knows = [&](std::uint32_t n) {
    const mac_address* const found = table.find(station(n));
    if (found) {
      EXPECT_EQ(*found, mac(n)) << n;
    }
    return found != nullptr;
  };
  for (std::uint32_t n = 0; n < most; ++n) table.learn(station(n), mac(n));
  EXPECT_TRUE(knows(0)) << "found again";
  table.learn(station(2), mac(2));  // heard again
  table.learn(station(most), mac(most));
  table.learn(station(most + 1), mac(most + 1));
  EXPECT_FALSE(knows(1));
  EXPECT_FALSE(knows(3));
  std::uint32_t known = 0;
  for (std::uint32_t n = 0; n < most + 2; ++n) known += knows(n);
  EXPECT_EQ(known, most);
  // Whoever is in use outlasts any number of strangers.
  for (std::uint32_t n = 0; n < 3 * most; ++n) {
    if (n % 1000 == 0) {
      ASSERT_TRUE(knows(0)) << n;
    }
    table.learn(station(most * 4 + n), mac(most * 4 + n));
  }
  EXPECT_FALSE(knows(2));
  table.clear();
  EXPECT_FALSE(knows(0));
}

}  // namespace
}  // namespace understudy::tb
