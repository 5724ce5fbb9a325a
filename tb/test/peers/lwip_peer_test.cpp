#include "tb/peers/lwip_peer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "model/net/eth_link.h"
#include "tb/test/peers/script_host.h"

namespace understudy::tb {
namespace {

using strings = std::vector<std::string>;

// Notes what it is told; reads everything at once unless told not to.
struct user : stream_user {
  void on_open() override { note("open"); }
  void on_readable() override {
    if (notes.empty() || notes.back() != "readable") note("readable");
    if (greedy) read_all();
  }
  void on_writable() override {
    note("writable");
    pump();
  }
  void on_eof() override { note("eof"); }
  void on_closed() override { note("closed"); }
  void on_error(const char* why) override { note(std::string("error ") + why); }

  void read_all() {
    inside = true;
    std::uint8_t room[700];
    while (const std::size_t n = s->read(room)) got.insert(got.end(), room, room + n);
    inside = false;
  }
  // Write what is left of `to_send`.
  void pump() {
    inside = true;
    sent += s->write(std::span(to_send).subspan(sent));
    inside = false;
  }
  void note(std::string what) {
    EXPECT_FALSE(inside) << what << " was told from inside a call on the stream";
    notes.push_back(std::move(what));
  }
  std::string text() const { return {got.begin(), got.end()}; }

  stream* s = nullptr;
  bool greedy = true;
  bool inside = false;
  strings notes;
  std::vector<std::uint8_t> got, to_send;
  std::size_t sent = 0;
};

std::vector<std::uint8_t> pattern(std::size_t n) {
  std::vector<std::uint8_t> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
  return v;
}

// lwIP at 192.0.2.2 on a link of 10 Gb/s and 1 us to a scripted host at 192.0.2.1.
struct lwip_peer_test : testing::Test {
  // `impair`: what happens to what lwIP sends.
  explicit lwip_peer_test(const char* impair = "") {
    lwip_peer_config c;
    c.mac = mac_of(2);
    c.ip = ip_address::v4(192, 0, 2, 2);
    peer = std::make_unique<lwip_peer>("lwip", c, 5);
    host = std::make_unique<script_host>("host");
    eth_link_config l;
    l.delay = 1_us;
    l.ab = std::get<impairment_config>(parse_impairment(impair));
    link = std::make_unique<eth_link>("link", l, log, 1);
    peer->eth().bind(link->a);
    host->eth.bind(link->b);
  }
  void run_to(picos t) { sc_core::sc_start(to_sc(t - now_ps())); }
  void connect_at(picos t) {
    host->work.at(t, [this] { u.s = &peer->connect(ip_address::v4(script_host::own_ip), 80, 40000, u); });
  }
  // The scripted host opens a connection from port 5000 to port 7.
  void listen_and_open() {
    peer->listen(7, [this](stream& s) {
      u.s = &s;
      return &u;
    });
    host->own_port = 5000;
    host->peer_port = 7;
    host->work.at(1_ms, [this] { host->say(syn); });
    host->work.at(2_ms, [this] { host->say(ack); });
  }

  event_log log;
  user u;
  std::unique_ptr<lwip_peer> peer;
  std::unique_ptr<script_host> host;
  std::unique_ptr<eth_link> link;
};

TEST_F(lwip_peer_test, asks_for_the_address_before_its_first_segment) {
  connect_at(1_ms);
  run_to(10_ms);
  EXPECT_EQ(host->arp_requests, 1u);
  ASSERT_GE(host->segments.size(), 2u);
  EXPECT_EQ(host->segments[0].flags, syn);
  EXPECT_EQ(host->segments[0].source_port, 40000);
  EXPECT_EQ(host->segments[0].destination_port, 80);
  EXPECT_EQ(host->segments[1].flags, ack);
  EXPECT_EQ(u.notes, strings{"open"});
  EXPECT_EQ(host->bad_sums, 0u);
  EXPECT_EQ(peer->connections_alive(), 1u);
}

TEST_F(lwip_peer_test, answers_arp) {
  host->work.at(1_ms, [this] { host->arp(1, broadcast_mac); });
  run_to(2_ms);
  ASSERT_EQ(host->arrivals.size(), 2u) << "the announcement at start and the reply";
  const frame_ref& reply = host->arrivals[1].f;
  EXPECT_EQ(reply.size(), 60u);
  EXPECT_EQ(reply.data()[21], 2);
  const mac_address own = mac_of(2);
  EXPECT_TRUE(std::equal(own.begin(), own.end(), reply.data() + 22));
}

TEST_F(lwip_peer_test, repeats_an_unanswered_syn_on_simulated_time_and_gives_up) {
  host->answer_syn = false;
  connect_at(0);
  run_to(400_s);
  const std::vector<picos> t = host->instants(syn);
  ASSERT_EQ(t.size(), 7u) << "one SYN and six repetitions";
  // lwIP's slow timer runs at 250 ms + n * 500 ms after its first connection; a SYN waits six ticks each
  // time.
  const picos flight = wire_time(wire_bytes(62), 10'000'000'000) + 1_us;
  for (std::size_t i = 1; i < t.size(); ++i) EXPECT_EQ(t[i], 2750_ms + (i - 1) * 3_s + flight);
  EXPECT_EQ(u.notes, strings{"error timed out"});
  EXPECT_EQ(peer->count().timeouts, 6u);
  EXPECT_EQ(peer->count().retransmitted_segments, 6u);
  EXPECT_EQ(peer->count().errors, 1u);
  EXPECT_EQ(peer->connections_alive(), 0u);
}

TEST_F(lwip_peer_test, hears_only_its_own_address) {
  listen_and_open();
  host->work.at(3_ms, [this] {
    host->raw(syn, 1, 0, {}, mac_of(3));                            // another station's
    host->raw(syn, 1, 0, {}, mac_of(2), script_host::peer_ip + 1);  // not to be forwarded
  });
  run_to(3500_us);
  const auto answered = host->segments.size();
  EXPECT_EQ(answered, 1u) << "the SYN-ACK alone";
  EXPECT_EQ(peer->count().frames_filtered, 2u);
}

TEST_F(lwip_peer_test, accepts_and_carries_data_both_ways_and_closes) {
  listen_and_open();
  host->work.at(3_ms, [this] { host->say(psh | ack, std::string("hello ")); });
  host->work.at(4_ms, [this] { host->say(psh | ack, std::string("world")); });
  host->work.at(5_ms, [this] {
    u.to_send = pattern(5000);
    u.pump();
  });
  host->work.at(6_ms, [this] { u.s->shutdown_write(); });
  host->work.at(7_ms, [this] { host->say(fin | ack); });
  run_to(1_s);
  EXPECT_EQ(u.text(), "hello world");
  EXPECT_EQ(host->received, pattern(5000));
  EXPECT_TRUE(host->peer_fin);
  EXPECT_EQ(u.notes, (strings{"open", "readable", "eof", "closed"}));
  EXPECT_EQ(peer->connections_alive(), 0u);
  EXPECT_EQ(peer->time_wait(), 1u) << "lwIP closed first";
  peer->expire_time_wait();
  EXPECT_EQ(peer->time_wait(), 0u);
  EXPECT_EQ(peer->count().retransmitted_segments, 0u);
  EXPECT_EQ(peer->count().rst_sent, 0u);
  EXPECT_EQ(peer->count().closed, 1u);
  EXPECT_EQ(host->bad_sums, 0u);
}

TEST_F(lwip_peer_test, its_syn_ack_offers_the_packaged_limits) {
  listen_and_open();
  run_to(3_ms);
  ASSERT_EQ(host->segments.size(), 1u);
  const script_segment& s = host->segments[0];
  EXPECT_EQ(s.flags, syn | ack);
  EXPECT_EQ(s.window, 65535);
  EXPECT_EQ(s.options, (std::vector<std::uint8_t>{2, 4, 1460 >> 8, 1460 & 255}));
}

TEST_F(lwip_peer_test, the_half_that_is_open_goes_on_after_the_other_side_closed) {
  listen_and_open();
  host->work.at(3_ms, [this] { host->say(fin | ack, std::string("request")); });
  host->work.at(30_s, [this] {
    u.to_send = pattern(3000);
    u.pump();
    u.s->shutdown_write();
  });
  run_to(40_s);
  EXPECT_EQ(host->received, pattern(3000));
  EXPECT_EQ(u.notes, (strings{"open", "readable", "eof", "closed"}));
  EXPECT_EQ(peer->time_wait(), 0u) << "the other side closed first";
  EXPECT_EQ(peer->count().errors, 0u);
}

TEST_F(lwip_peer_test, a_half_closed_stream_still_receives_after_lwips_own_limit_of_20_s) {
  listen_and_open();
  host->work.at(3_ms, [this] { u.s->shutdown_write(); });
  host->work.at(60_s, [this] { host->say(fin | ack, std::string("late")); });
  run_to(61_s);
  EXPECT_EQ(u.text(), "late");
  EXPECT_EQ(u.notes, (strings{"open", "readable", "eof", "closed"}));
}

TEST_F(lwip_peer_test, simultaneous_closes_end_in_order) {
  listen_and_open();
  host->work.at(3_ms, [this] {
    host->ack_data = false;
    u.s->shutdown_write();
    host->say(fin | ack);
  });
  host->work.at(4_ms, [this] {
    EXPECT_EQ(u.notes.back(), "eof");
    ++host->expected;
    host->say(ack);
  });
  run_to(5_ms);
  EXPECT_EQ(u.notes, (strings{"open", "eof", "closed"}));
  EXPECT_EQ(peer->time_wait(), 1u);
}

TEST_F(lwip_peer_test, more_than_the_send_buffer_goes_out_as_room_comes) {
  connect_at(1_ms);
  host->work.at(2_ms, [this] {
    u.to_send = pattern(300'000);
    u.pump();
    EXPECT_LT(u.sent, 70'000u);
  });
  run_to(100_ms);
  EXPECT_EQ(u.sent, 300'000u);
  EXPECT_EQ(host->received, pattern(300'000));
  EXPECT_GT(std::count(u.notes.begin(), u.notes.end(), "writable"), 2);
}

TEST_F(lwip_peer_test, sequence_numbers_wrap) {
  peer->set_iss(0xffff'ff00u);
  connect_at(1_ms);
  host->next = 0xffff'fff0u;
  host->work.at(2_ms, [this] {
    u.to_send = pattern(100'000);
    u.pump();
    host->say(psh | ack, std::string("some bytes over the edge"));
  });
  run_to(100_ms);
  ASSERT_FALSE(host->segments.empty());
  EXPECT_EQ(host->segments[0].seq, 0xffff'ff00u);
  EXPECT_EQ(host->received, pattern(100'000));
  EXPECT_EQ(u.text(), "some bytes over the edge");
  EXPECT_EQ(peer->count().retransmitted_segments, 0u);
}

TEST_F(lwip_peer_test, the_window_closes_while_nobody_reads_and_opens_afterwards) {
  listen_and_open();
  u.greedy = false;
  for (int i = 0; i < 50; ++i)
    host->work.at(3_ms + static_cast<picos>(i) * 10_us, [this] {
      if (host->next - 1001 + 1300 <= 65'535) host->say(psh | ack, pattern(1300));
    });
  run_to(500_ms);
  EXPECT_LT(host->segments.back().window, 1460);
  const std::size_t before = host->segments.size();
  host->work.at(501_ms, [this] { u.read_all(); });
  run_to(502_ms);
  EXPECT_EQ(u.got.size(), 50u * 1300);
  EXPECT_GT(host->segments.size(), before) << "a window update";
  EXPECT_GT(host->segments.back().window, 60'000);
}

TEST_F(lwip_peer_test, end_of_stream_is_told_after_the_last_byte_was_read) {
  listen_and_open();
  u.greedy = false;
  host->work.at(3_ms, [this] { host->say(fin | ack, std::string("bytes")); });
  host->work.at(4_ms, [this] { u.s->shutdown_write(); });
  run_to(5_ms);
  EXPECT_EQ(u.notes, (strings{"open", "readable"}));
  host->work.at(6_ms, [this] { u.read_all(); });
  run_to(7_ms);
  EXPECT_EQ(u.text(), "bytes");
  EXPECT_EQ(u.notes, (strings{"open", "readable", "eof", "closed"}));
  EXPECT_EQ(peer->count().rst_sent, 0u);
}

TEST_F(lwip_peer_test, lost_data_is_sent_again_by_timer_and_counted) {
  connect_at(1_ms);
  host->work.at(2_ms, [this] {
    host->ack_data = false;
    u.to_send = pattern(500);
    u.pump();
  });
  host->work.at(10_s, [this] { host->ack_data = true; });
  run_to(60_s);
  EXPECT_EQ(host->received, pattern(500));
  const auto& c = peer->count();
  EXPECT_GE(c.timeouts, 2u);
  EXPECT_EQ(c.retransmitted_segments, c.timeouts);
  EXPECT_EQ(c.retransmitted_bytes, c.timeouts * 500);
}

TEST_F(lwip_peer_test, window_probes_are_not_time_outs) {
  connect_at(1_ms);
  host->window = 0;
  host->work.at(2_ms, [this] {
    host->ack_data = false;
    u.to_send = pattern(1000);
    u.pump();
  });
  run_to(20_s);
  EXPECT_GT(host->segments.size(), 4u) << "probes came";
  EXPECT_EQ(peer->count().timeouts, 0u);
}

TEST_F(lwip_peer_test, a_reset_is_an_error) {
  listen_and_open();
  host->work.at(3_ms, [this] { host->say(rst | ack); });
  run_to(4_ms);
  EXPECT_EQ(u.notes, (strings{"open", "error reset"}));
  EXPECT_EQ(peer->count().rst_received, 1u);
  std::uint8_t byte = 0;
  EXPECT_EQ(u.s->write({&byte, 1}), 0u);
  EXPECT_EQ(u.s->read({&byte, 1}), 0u);
}

TEST_F(lwip_peer_test, a_refused_connection_is_an_error) {
  host->answer_syn = false;
  connect_at(1_ms);
  host->work.at(2_ms, [this] {
    host->own_port = 80;
    host->peer_port = 40000;
    host->expected = host->segments.at(0).end();
    host->say(rst | ack);
  });
  run_to(3_ms);
  EXPECT_EQ(u.notes, strings{"error refused"});
}

TEST_F(lwip_peer_test, abort_resets_and_tells_nothing_more) {
  listen_and_open();
  host->work.at(3_ms, [this] {
    host->say(psh | ack, std::string("unread"));
    u.greedy = false;
  });
  host->work.at(4_ms, [this] { u.s->abort(); });
  run_to(5_ms);
  EXPECT_EQ(u.notes, (strings{"open", "readable"}));
  EXPECT_EQ(host->instants(rst).size(), 1u);
  EXPECT_EQ(peer->count().rst_sent, 1u);
  EXPECT_EQ(peer->connections_alive(), 0u);
}

TEST_F(lwip_peer_test, a_connection_that_nobody_wants_is_reset) {
  peer->listen(7, [](stream&) -> stream_user* { return nullptr; });
  host->own_port = 5000;
  host->peer_port = 7;
  host->work.at(1_ms, [this] { host->say(syn); });
  host->work.at(2_ms, [this] { host->say(ack); });
  run_to(3_ms);
  EXPECT_EQ(host->instants(rst).size(), 1u);
  EXPECT_EQ(peer->connections_alive(), 0u);
}

TEST_F(lwip_peer_test, a_closed_port_is_refused_with_a_reset) {
  host->own_port = 5000;
  host->peer_port = 9;
  host->work.at(1_ms, [this] { host->say(syn); });
  run_to(2_ms);
  EXPECT_EQ(host->instants(rst).size(), 1u);
}

struct lwip_peer_on_a_bad_wire : lwip_peer_test {
  lwip_peer_on_a_bad_wire() : lwip_peer_test("loss 2% duplicate 2% corrupt 2% reorder 3%") {}
};

TEST_F(lwip_peer_on_a_bad_wire, every_byte_arrives_once_and_in_order) {
  connect_at(1_ms);
  host->work.at(20_s, [this] {
    u.to_send = pattern(500'000);
    u.pump();
  });
  run_to(1000_s);
  EXPECT_TRUE(host->received == pattern(500'000)) << host->received.size() << " bytes came";
  const auto& wire = link->counters(eth_link::side_a);
  EXPECT_GT(wire.lost, 5u);
  EXPECT_GT(wire.duplicated, 5u);
  EXPECT_GT(wire.corrupted, 5u);
  EXPECT_GT(wire.held, 5u);
  EXPECT_GT(host->bad_sums, 0u);
  EXPECT_LE(host->bad_sums, wire.corrupted + wire.duplicated);
  EXPECT_GE(peer->count().retransmitted_segments, wire.lost);
  EXPECT_GT(peer->count().timeouts, 0u);
  EXPECT_EQ(peer->count().errors, 0u);
}

TEST_F(lwip_peer_test, a_second_stack_in_the_process_is_refused) {
  sc_core::sc_report_handler::set_actions(sc_core::SC_FATAL, sc_core::SC_THROW);
  EXPECT_THROW(lwip_peer("second", {}, 1), sc_core::sc_report);
}

}  // namespace
}  // namespace understudy::tb
