// The numbered requirements of RFC 9293, appendix B, that concern an engine: each MUST that applies is a test
// of its name. docs/model_fidelity.md lists them all with their state, which rfc9293_table_test.cpp compares.
#include <set>

#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

tcp_config without_delay() {
  tcp_config c;
  c.delayed_ack = 0;
  return c;
}

// ------------------------------------------------------------------------------------------------ segments

TEST(rfc9293, MUST_1_windows_are_unsigned) {
  solo t;
  t.window = 0xffff;
  t.establish();
  EXPECT_EQ(t.view().snd_wnd, 0xffffu);
}

TEST(rfc9293, MUST_65_the_mss_option_is_sent_in_syns_only) {
  rig r;
  r.connect();
  r.a.post(r.a.newest, 5000);
  r.time.run_for(1_s);
  for (const rig_end* e : {&r.a, &r.b})
    for (const sent_segment& s : e->sent) EXPECT_EQ(s.s.options.mss != 0, (s.s.flags & tcp_syn) != 0);
}

// ------------------------------------------------------------------------------------------------ opening

TEST(rfc9293, MUST_8_9_initial_numbers_follow_a_clock_and_a_secret) {
  const auto iss = [](std::uint32_t key0, picos later, std::uint16_t port) {
    solo t;
    const std::uint32_t key[4] = {key0, 2, 3, 4};
    t.e.engine->set_secret(key);
    t.time.run_for(later);
    segment s = t.make(tcp_syn);
    s.tuple.remote_port = port;
    s.options = t.syn_options;
    t.give(s);
    return t.view().hard.iss;
  };
  EXPECT_EQ(iss(1, 4_ms, 9).minus(iss(1, 0, 9)), 1000u) << "one step in four microseconds";
  std::set<std::uint32_t> seen;
  for (std::uint16_t port = 1; port <= 100; ++port) seen.insert(iss(1, 0, port).raw);
  for (std::uint32_t key = 2; key <= 100; ++key) seen.insert(iss(key, 0, 1).raw);
  EXPECT_EQ(seen.size(), 199u) << "neither the tuple nor another connection tells it";
}

TEST(rfc9293, MUST_10_both_ends_may_open_at_once) {
  rig r;
  r.a.open(rig::tuple(), 1000);
  r.b.open({ip_b, ip_a, port_b, port_a}, 2000);
  r.time.run_for(2_s);
  EXPECT_TRUE(r.a.only().established && r.b.only().established);
}

TEST(rfc9293, MUST_11_a_reset_returns_a_passive_open_to_listen_and_fails_an_active_one) {
  solo t;
  t.syn();
  t.give(t.make(tcp_rst));
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_RESET);
  t.syn();
  EXPECT_EQ(t.state(), US_TCP_SYN_RCVD) << "the listener is there still";
  solo u;
  u.e.open({ip_b, ip_a, 81, port_a}, 700);
  u.time.run_for(u.step);
  segment s = u.make(tcp_syn);
  s.tuple.local_port = 81;
  u.give(s);  // simultaneous open
  ASSERT_EQ(u.state(), US_TCP_SYN_RCVD);
  s = u.make(tcp_rst);
  s.tuple.local_port = 81;
  s.seq += 1;
  u.give(s);
  EXPECT_EQ(u.host().status, US_ERR_REFUSED);
}

TEST(rfc9293, MUST_14_the_mss_is_sent_and_obeyed) {
  solo t;
  t.syn_options.mss = 1000;
  t.syn();
  const auto r = t.fresh();
  EXPECT_EQ(r[0].s.options.mss, 1460u);
  EXPECT_EQ(t.view().hard.mss, 1000u);
}

TEST(rfc9293, MUST_15_without_an_mss_it_is_536_over_ipv4_and_1220_over_ipv6) {
  for (const bool v6 : {false, true}) {
    const four_tuple ends = v6 ? four_tuple{ip6_b, ip6_a, port_b, port_a} : solo().tuple;
    solo passive({}, ends);
    passive.syn_options.mss = 0;
    passive.establish();
    EXPECT_EQ(passive.view().hard.mss, v6 ? 1220u : 536u);
    passive.e.post(passive.id(), 3000);
    passive.time.run_for(passive.step);
    const auto sent = passive.fresh();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent[0].s.payload_length, (v6 ? 1220u : 536u) - 12) << "timestamps take their place";
    solo active({}, ends);
    active.e.open({ends.local, ends.remote, 81, port_a}, 700);
    active.time.run_for(active.step);
    segment s = active.make(tcp_syn | tcp_ack);
    s.tuple.local_port = 81;
    s.ack = seq32{701};
    active.give(s);
    ASSERT_EQ(active.state(), US_TCP_ESTABLISHED);
    EXPECT_EQ(active.view().hard.mss, v6 ? 1220u : 536u);
  }
}

TEST(rfc9293, MUST_15_a_cookie_remembers_the_default_of_its_family) {
  for (const bool v6 : {false, true}) {
    const four_tuple ends = v6 ? four_tuple{ip6_b, ip6_a, 81, port_a} : four_tuple{ip_b, ip_a, 81, port_a};
    solo t({}, ends);
    t.e.engine->unlisten(ends.local, 81);
    ASSERT_TRUE(
        t.e.engine->listen(ends.local, 81, 0, 16, US_CONN_PROTECTED, {.commit = US_COMMIT_BEFORE_DATA_ACK}));
    t.e.commit_delay = 1_s;
    t.syn_options.mss = 0;
    t.establish();
    EXPECT_TRUE(t.view().cookie);
    EXPECT_EQ(t.view().hard.mss, v6 ? 1220u : 536u);
  }
}

// What no single station has as its address: groups, everybody, nobody (RFC 1112, 919, 4291).
const ip_address no_stations[] = {ip_address::v4(224, 0, 0, 1),
                                  ip_address::v4(239, 255, 255, 255),
                                  ip_address::v4(255, 255, 255, 255),
                                  ip_address::v4(0, 0, 0, 0),
                                  ip_address{},
                                  ip_address{{0xff, 2, 0, 0, 0, 0, 0, 1}}};

TEST(rfc9293, MUST_46_an_open_to_a_group_or_to_nobody_is_refused) {
  solo t;
  for (const ip_address& peer : no_stations) {
    const four_tuple to{peer.is_v4() ? ip_b : ip6_b, peer, 5000, 80};
    EXPECT_FALSE(t.e.engine->connect(t.time.now, to, 0, seq32{1}, 0).valid()) << text_of(peer);
  }
  t.time.run_for(1_s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_TRUE(t.e.engine->connect(t.time.now, {ip_b, ip_a, 5000, 80}, 0, seq32{1}, 0).valid());
}

TEST(rfc9293, MUST_57_a_segment_to_a_group_is_dropped_in_silence) {
  solo t;
  std::uint64_t dropped = 0;
  for (const ip_address& to : no_stations) {
    t.e.engine->listen(to, port_b, 0, 16, US_CONN_PROTECTED);
    for (const std::uint8_t flags : {tcp_syn, tcp_ack, tcp_fin}) {
      segment s = t.make(flags);
      s.tuple.local = to;
      s.tuple.remote = to.is_v4() ? ip_a : ip6_a;
      t.give(s);
      ++dropped;
    }
  }
  EXPECT_EQ(dropped, 18u);
  EXPECT_TRUE(t.fresh().empty()) << "neither SYN-ACK nor RST";
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_EQ(t.counters().refused_syns, 6u);
  segment s = t.make(tcp_syn);
  s.tuple.local = ip_address::v4(10, 0, 0, 99);
  t.give(s);
  EXPECT_EQ(t.fresh().size(), 1u) << "one station's address is answered";
}

TEST(rfc9293, MUST_63_a_syn_from_a_group_or_from_nobody_is_ignored) {
  solo t;
  for (const ip_address& from : no_stations) {
    segment s = t.make(tcp_syn);
    s.tuple.remote = from;
    s.options = t.syn_options;
    t.give(s);
    s.tuple.local_port = 99;  // where nobody listens
    t.give(s);
  }
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_EQ(t.counters().refused_syns, 12u);
  t.establish();
}

TEST(rfc9293, MUST_16_67_a_segment_fits_the_mss_with_its_options) {
  solo t;
  t.syn_options.mss = 1000;
  t.establish();
  t.e.post(t.id(), 5000);
  t.time.run_for(t.step);
  for (const sent_segment& s : t.fresh()) EXPECT_LE(header_bytes(s.s) - 54 + s.s.payload_length, 1000u);
}

TEST(rfc9293, MUST_41_42_a_listener_is_not_touched_by_its_connections) {
  rig r;
  ASSERT_TRUE(r.b.engine->listen(ip_b, port_b, 0, 16, 0));
  ASSERT_TRUE(r.b.engine->listen(ip_b, 81, 0, 16, 0));
  EXPECT_FALSE(r.b.engine->listen(ip_b, port_b, 0, 16, 0));
  for (std::uint16_t n = 0; n < 4; ++n) {
    four_tuple t = rig::tuple();
    t.local_port = static_cast<std::uint16_t>(port_a + n);
    if (n % 2) t.remote_port = 81;
    r.a.open(t, 1000u * n);
  }
  r.time.run_for(1_s);
  EXPECT_EQ(r.b.engine->connections(), 4u);
}

TEST(rfc9293, MUST_43_45_the_caller_names_the_local_address) {
  solo t;
  const ip_address other = ip_address::v4(10, 0, 0, 77);
  t.e.open({other, ip_a, 5, 6}, 1);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().at(0).s.tuple.local, other);
}

// ------------------------------------------------------------------------------------------------ closing

TEST(rfc9293, MUST_12_a_reset_is_told_to_the_application) {
  solo t;
  t.establish();
  t.give(t.make(tcp_rst));
  EXPECT_EQ(t.host().last_change, tcp_env::change::aborted);
  EXPECT_EQ(t.host().status, US_ERR_RESET);
}

// How a connection can end otherwise than by both FINs, and what the host hears.
TEST(rfc9293, MUST_47_every_end_is_reported_with_its_reason) {
  std::set<us_status> reasons;
  const auto note = [&reasons](solo& t) {
    t.time.run_for(600_s);
    EXPECT_EQ(t.host().last_change, tcp_env::change::aborted);
    reasons.insert(t.host().status);
  };
  tcp_config impatient;
  impatient.syn_retries = 1;
  solo reset;
  reset.establish();
  reset.give(reset.make(tcp_rst));
  note(reset);
  solo silent(impatient);
  silent.e.open({ip_b, ip_a, 81, port_a}, 700);
  note(silent);
  solo refused;
  refused.e.open({ip_b, ip_a, 81, port_a}, 700);
  refused.time.run_for(refused.step);
  segment s = refused.make(tcp_rst | tcp_ack);
  s.tuple.local_port = 81;
  s.ack = seq32{701};
  refused.give(s);
  note(refused);
  solo by_host;
  by_host.establish();
  EXPECT_EQ(by_host.e.engine->abort(by_host.time.now, by_host.id()), US_OK);
  note(by_host);
  EXPECT_EQ(reasons, (std::set<us_status>{US_ERR_RESET, US_ERR_TIMEOUT, US_ERR_REFUSED, US_ERR_ABORTED}));
}

TEST(rfc9293, MUST_13_time_wait_lasts_two_msl) {
  solo t;
  t.establish();
  t.e.close(t.id());
  t.time.run_for(t.step);
  t.ack += 1;
  t.data(0, tcp_ack | tcp_fin);
  ASSERT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2 * t.e.config.msl - 1_s);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
}

// ------------------------------------------------------------------------------------------------ sending

TEST(rfc9293, MUST_17_nagle_can_be_switched_off_for_a_connection) {
  tcp_config c;
  c.nagle = true;
  solo t(c);
  t.establish();
  EXPECT_EQ(t.e.engine->set_options(t.time.now, t.id(), {.nagle = false}), US_OK);
  for (int n = 0; n < 3; ++n) {
    t.e.post(t.id(), 10);
    t.time.run_for(t.step);
    EXPECT_EQ(t.fresh().size(), 1u);
  }
}

TEST(rfc9293, MUST_18_the_timeout_follows_round_trips_and_not_retransmissions) {
  solo t;
  t.syn_options.has_ts = false;
  t.establish();
  t.e.post(t.id(), 100);
  t.time.run_for(800_ms);  // sent again at 200 ms and 600 ms
  t.ack += 100;
  t.ack_only();
  EXPECT_LT(t.view().srtt, 1_ms) << "Karn: nobody knows which one was acknowledged";
  t.e.post(t.id(), 100);
  t.time.run_for(100_ms);
  t.ack += 100;
  t.ack_only();
  EXPECT_GT(t.view().srtt, 10_ms);
}

TEST(rfc9293, MUST_19_windows_start_slowly_and_double) {
  tcp_config c;
  c.initial_window_segments = 2;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 40 * mss);
  t.time.run_for(t.step);
  std::size_t flight = t.fresh().size();
  EXPECT_EQ(flight, 2u);
  for (int round = 0; round < 3; ++round) {
    const std::size_t n = flight;
    for (std::size_t k = 0; k < n; ++k) {
      t.ack += mss;
      t.ack_only();
    }
    flight = t.fresh().size();
    EXPECT_EQ(flight, 2 * n);
  }
}

TEST(rfc9293, MUST_22_the_same_rule_ends_syns_and_syn_acks) {
  tcp_config c;
  c.syn_retries = 3;
  solo active(c);
  active.e.open({ip_b, ip_a, 81, port_a}, 700);
  active.time.run_for(60_s);
  auto sent = active.fresh();
  EXPECT_EQ(sent.size(), 4u);
  for (const sent_segment& s : sent) EXPECT_EQ(s.s.flags, tcp_syn);
  EXPECT_EQ(active.host().status, US_ERR_TIMEOUT);
  solo passive(c);
  passive.syn();
  passive.time.run_for(60_s);
  sent = passive.fresh();
  EXPECT_EQ(sent.size(), 4u);
  for (const sent_segment& s : sent) EXPECT_EQ(s.s.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(passive.host().status, US_ERR_TIMEOUT);
}

TEST(rfc9293, MUST_23_a_syn_is_repeated_for_three_minutes_at_least) {
  solo active;
  active.e.open({ip_b, ip_a, 81, port_a}, 700);
  active.time.run_for(180_s);
  EXPECT_EQ(active.state(), US_TCP_SYN_SENT);
  active.time.run_for(100_s);
  EXPECT_EQ(active.state(), US_TCP_CLOSED);
  EXPECT_EQ(active.host().status, US_ERR_TIMEOUT);
  EXPECT_EQ(active.fresh().size(), tcp_config{}.syn_retries + 1);
  solo passive;
  passive.syn();
  passive.time.run_for(180_s);
  EXPECT_EQ(passive.state(), US_TCP_SYN_RCVD);
  passive.time.run_for(100_s);
  EXPECT_EQ(passive.state(), US_TCP_CLOSED);
}

TEST(rfc9293, MUST_20_retransmission_of_data_ends_at_r2) {
  tcp_config c;
  c.data_retries = 5;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 100);
  t.time.run_for(60_s);
  EXPECT_EQ(t.fresh().size(), 6u);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(rfc9293, MUST_34_a_window_that_shrinks_is_survived) {
  solo t;
  t.establish();
  t.e.post(t.id(), 8 * mss);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 8u);
  t.window = 1000;  // the right edge moves back over what is in flight
  t.ack += mss;
  t.ack_only();
  EXPECT_TRUE(t.fresh().empty());
  t.ack += 7 * mss;
  t.window = 0xffff;
  t.ack_only();
  t.e.post(t.id(), 100);
  t.time.run_for(t.step);
  EXPECT_EQ(t.fresh().size(), 1u);
}

TEST(rfc9293, MUST_35_36_37_a_closed_window_is_probed_for_ever_while_answered) {
  solo t;
  t.establish();
  t.window = 0;
  t.ack_only();
  t.e.post(t.id(), 1000);
  picos last = 0;
  for (int hour = 0; hour < 24; ++hour) {
    for (int n = 0; n < 60; ++n) {
      t.time.run_for(60_s);
      t.ack_only();
    }
    const auto r = t.fresh();
    EXPECT_GE(r.size(), 30u);
    EXPECT_LE(r.size(), 130u);
    EXPECT_GT(r.back().at, last);
    last = r.back().at;
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

TEST(rfc9293, MUST_38_a_sender_does_not_fill_slivers_of_a_window) {
  solo t;
  t.establish();
  t.e.post(t.id(), 20 * mss);
  t.time.run_for(t.step);
  t.fresh();
  t.ack += 10 * mss;
  t.window = 100;
  t.ack_only();
  EXPECT_TRUE(t.fresh().empty());
}

TEST(rfc9293, MUST_39_a_receiver_does_not_offer_slivers_of_a_window) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  t.e.grant(t.id(), t.seq + 20'000);
  t.time.run_for(t.step);
  t.fresh();
  const seq32 edge = t.view().hard.rcv_adv;
  for (std::uint32_t n = 1; n < 1000; n += 100) {
    t.e.grant(t.id(), t.seq + 20'000 + n);
    t.time.run_for(t.step);
  }
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.view().hard.rcv_adv, edge);
}

TEST(rfc9293, MUST_60_61_pushed_data_does_not_wait_and_the_last_byte_is_pushed) {
  solo t;
  t.establish();
  t.e.post(t.id(), 2 * mss + 10);
  t.time.run_for(t.step);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 3u);
  EXPECT_FALSE(r[0].s.flags & tcp_psh);
  EXPECT_TRUE(r[2].s.flags & tcp_psh);
}

// ------------------------------------------------------------------------------------------------ keep-alive

TEST(rfc9293, MUST_24_keep_alives_are_a_switch_of_each_connection) {
  solo t;
  t.establish();
  EXPECT_EQ(t.e.engine->set_options(t.time.now, t.id(), {.keepalive = true, .keepalive_idle_s = 1}), US_OK);
  t.e.wake();
  t.time.run_for(1100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
}

TEST(rfc9293, MUST_25_27_28_keep_alives_are_off_and_two_hours_apart_by_default) {
  EXPECT_FALSE(tcp_config{}.keepalive);
  EXPECT_GE(tcp_config{}.keepalive_idle, 7200_s);
}

TEST(rfc9293, MUST_26_no_keep_alive_while_data_is_in_flight_or_anything_comes) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 2_s;
  solo t(c);
  t.establish();
  for (int n = 0; n < 20; ++n) {
    t.time.run_for(1_s);
    t.data(10);
  }
  t.e.post(t.id(), 10);
  t.time.run_for(20_s);
  EXPECT_EQ(t.counters().keepalives, 0u);
}

TEST(rfc9293, MUST_29_no_single_keep_alive_decides) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 2_s;
  c.keepalive_interval = 1_s;
  solo t(c);
  t.establish();
  t.time.run_for(5500_ms);  // four went unanswered
  EXPECT_EQ(t.counters().keepalives, 4u);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

// ------------------------------------------------------------------------------------------------ receiving

TEST(rfc9293, MUST_40_an_ack_waits_less_than_half_a_second) {
  solo t;
  t.establish();
  const picos sent = t.time.now;
  t.data(10);
  t.time.run_for(1_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_LT(r[0].at - sent, 500_ms);
}

TEST(rfc9293, MUST_58_59_segments_that_wait_are_answered_by_one_ack) {
  solo t;
  t.establish();
  for (int n = 0; n < 8; ++n) {
    t.e.take(t.make(tcp_ack, mss), t.seq.minus(t.first_byte));
    t.seq += mss;
  }
  t.time.run_for(t.step);
  std::size_t acks = 0;
  for (const sent_segment& s : t.fresh()) acks += s.s.ack.after(t.first_byte);
  EXPECT_LE(acks, 4u);
  EXPECT_EQ(t.view().last_ack_sent, t.seq);
}

TEST(rfc9293, MUST_59_out_of_order_segments_are_all_used_before_the_ack) {
  solo t;
  t.establish();
  for (const std::uint32_t n : {3u, 2u, 1u}) {
    segment s = t.make(tcp_ack, 100);
    s.seq += n * 100;
    t.give(s, n * 100);
  }
  t.fresh();
  t.data(100);
  const auto r = t.fresh();
  ASSERT_FALSE(r.empty());
  EXPECT_EQ(r.back().s.ack, t.first_byte + 400);
}

TEST(rfc9293, MUST_66_resets_and_acks_are_heard_at_a_closed_window) {
  solo t;
  t.e.auto_grant = false;
  t.establish();
  ASSERT_EQ(t.view().hard.rcv_adv, t.seq);
  t.e.post(t.id(), 100);
  t.time.run_for(t.step);
  t.ack += 100;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack);
  t.give(t.make(tcp_rst));
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
}

// Urgent data stays in line: no byte is lost, repeated or taken out, whatever the pointer says.
TEST(rfc9293, MUST_31_urgent_data_of_any_length_stays_in_the_stream) {
  for (const std::uint16_t pointer : {0, 1, 99, 100, 101, 65535}) {
    solo t(without_delay());
    t.establish();
    segment s = t.make(tcp_ack | tcp_urg, 100);
    s.urgent = pointer;
    t.seq += 100;
    t.give(s);
    t.data(50);
    EXPECT_TRUE(rig::received(t.e, t.id(), 150)) << pointer;
  }
}

}  // namespace
}  // namespace understudy::tb
