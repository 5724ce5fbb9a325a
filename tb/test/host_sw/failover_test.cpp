#include "host_sw/driver/failover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host_sw/hal/pci_config.h"
#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using host::driver_error;
using host::recovery_state;

std::vector<unsigned> states(const fake_machine& m) {
  std::vector<unsigned> r;
  for (const auto& n : m.notes) r.push_back(n.state);
  return r;
}

std::string bytes_of(const fake_connection& c) {
  std::string s;
  for (const auto& [at, b] : c.sent) s += static_cast<char>(b);
  return s;
}

void kill(fake_adapter& a) {
  a.answers = false;
  a.beating = false;
}

// ---------------------------------------------------------------- detection

TEST(detection, leaves_a_healthy_adapter_alone) {
  driver_rig g(2);
  g.start();
  g.m.run_us(1'000'000);
  EXPECT_EQ(g.d.counters().failovers, 0u);
  EXPECT_EQ(g.d.counters().mmio_reads, 2 * 4u) << "health costs no register reads";
}

TEST(detection, of_a_silent_adapter_takes_two_to_three_heartbeats) {
  driver_rig g(2);
  g.start();
  g.m.run_us(1000);
  const std::uint64_t died = g.m.now_ns();
  kill(g.m.a[0]);
  g.m.run_us(2000);
  ASSERT_FALSE(g.m.notes.empty());
  const std::uint64_t detected = g.m.notes[0].at - died;
  EXPECT_GE(detected, 100'000u);
  EXPECT_LE(detected, 300'000u);
  EXPECT_EQ(g.d.active_adapter(), 1u);
}

TEST(detection, believes_a_fatal_status_in_the_heartbeat) {
  driver_rig g(2);
  g.start();
  g.m.a[0].regs[US_REG_STATUS] = US_STATUS_FATAL;
  g.m.run_us(500);
  EXPECT_EQ(g.d.active_adapter(), 1u);
}

TEST(detection, by_the_health_interrupt_needs_no_heartbeat) {
  host::driver_config c = small_config();
  c.heartbeat_us = 0;
  driver_rig g(2, c);
  g.start();
  g.m.a[0].interrupt(US_VECTOR_HEALTH);
  g.m.run_us(100);
  EXPECT_EQ(g.d.counters().failovers, 0u) << "negative control: the status is fine";
  g.m.a[0].answers = false;
  g.m.a[0].interrupt(US_VECTOR_HEALTH);
  g.m.run_us(100);
  EXPECT_EQ(g.d.active_adapter(), 1u);
}

// ---------------------------------------------------------------- order

TEST(recovery, passes_its_states_in_order_and_holds_the_port_until_the_substitute_receives) {
  driver_rig g(2);
  g.start();
  g.accept_one();
  g.m.acts.clear();
  std::vector<bool> receiving;
  g.m.on_note = [&](unsigned) { receiving.push_back(g.m.a[1].receiving()); };
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(states(g.m), (std::vector<unsigned>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(receiving, std::vector<bool>(7, false));
  EXPECT_TRUE(g.m.a[1].receiving());
  EXPECT_EQ(g.m.acts, (std::vector<std::string>{"hold 0", "command 0 2", "release 0 to 1"}));
  EXPECT_FALSE(g.m.a[0].command & host::pci_command_bus_master);
  EXPECT_EQ(g.m.a[0].reg(US_REG_CONTROL), US_CONTROL_RESET);
  EXPECT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(g.d.condition(), driver_error::none);
}

TEST(recovery, of_an_adapter_that_answers_nothing_disables_its_link) {
  driver_rig g(2);
  g.start();
  kill(g.m.a[0]);
  g.m.run_us(1000);
  EXPECT_TRUE(g.m.link_control[0] & host::pci_link_control_disable);
  EXPECT_EQ(g.d.active_adapter(), 1u);
}

// It beats no more, but that takes some heartbeats to be noticed.
TEST(recovery, passes_over_a_substitute_that_has_been_reset) {
  driver_rig g(3);
  g.start();
  g.accept_one();
  g.m.a[1].regs[US_REG_CONTROL] = 0;
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.d.active_adapter(), 2u);
  EXPECT_EQ(g.d.state(), recovery_state::running);
  EXPECT_TRUE(g.m.a[1].seen_of(US_OP_RESTORE).empty());
  EXPECT_EQ(g.m.a[2].seen_of(US_OP_RESTORE).size(), 1u);
}

TEST(recovery, without_a_fence_gives_up_rather_than_share_memory_with_a_zombie) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  kill(g.m.a[0]);
  g.m.port_answers[0] = false;
  g.m.run_us(1000);
  EXPECT_EQ(g.d.condition(), driver_error::fence_failed);
  EXPECT_FALSE(g.m.a[1].receiving());
  const std::vector<std::pair<host::conn, int>> want{{c, ENETDOWN}};
  EXPECT_EQ(g.user.ended, want);
}

TEST(recovery, revokes_the_mappings_where_neither_adapter_nor_port_answers) {
  driver_rig g(2);
  g.start();
  g.accept_one();
  kill(g.m.a[0]);
  g.m.port_answers[0] = false;
  g.m.has_iommu = true;
  g.m.run_us(1000);
  EXPECT_EQ(g.d.active_adapter(), 1u);
  EXPECT_EQ(std::count(g.m.acts.begin(), g.m.acts.end(), "revoke 0"), 1);
}

TEST(recovery, without_a_substitute_ends_every_connection_with_an_error) {
  driver_rig g(1);
  g.start();
  const host::conn c = g.accept_one();
  host::conn pending;
  ASSERT_EQ(g.d.connect({}, v4(peer_ip, 81), {}, &pending), 0);
  g.m.run_us(1);
  kill(g.m.a[0]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.condition(), driver_error::no_substitute);
  const std::vector<std::pair<host::conn, int>> want{{c, ENETDOWN}, {pending, ENETDOWN}};
  EXPECT_EQ(g.user.ended, want);
  host::conn none;
  EXPECT_EQ(g.d.connect({}, v4(peer_ip, 81), {}, &none), -ENETDOWN);
  EXPECT_EQ(g.d.listen(v4(0, 81), 1, {}), -ENETDOWN);
}

TEST(recovery, switched_off_uses_no_substitute) {
  host::driver_config c = small_config();
  c.failover = false;
  driver_rig g(2, c);
  g.start();
  kill(g.m.a[0]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.condition(), driver_error::no_substitute);
  EXPECT_FALSE(g.m.a[1].receiving());
}

TEST(recovery, gives_the_substitute_a_new_epoch_and_a_clock_one_tick_ahead) {
  driver_rig g(2);
  g.start();
  g.m.run_us(7'000);
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.m.a[0].reg(US_REG_EPOCH), 1u);
  EXPECT_EQ(g.m.a[1].reg(US_REG_EPOCH), 2u);
  EXPECT_EQ(g.m.a[1].reg(US_REG_CLOCK_MS), g.m.notes[4].at / 1'000'000 + 1);
  EXPECT_EQ(g.d.rings(1).epoch, 2);
}

// ---------------------------------------------------------------- contents

struct every_state : ::testing::Test {
  // Connections 1 to 8 in the eight states that a substitute can be told of; ISS 1000 * cid, IRS 100 * cid.
  void prepare(driver_rig& g) {
    g.start();
    ASSERT_GE(g.d.listen(v4(0, 80), 16, {}), 0);
    g.m.run_us(1);
    fake_adapter& a = g.m.a[0];
    for (std::uint32_t i = 1; i <= 8; ++i) {
      a.peer_opens(i, static_cast<std::uint16_t>(2000 + i), 80, 1000 * i, 100 * i, i != 1);
      g.m.run_us(1);
      if (i == 1) continue;
      c[i] = g.user.accepted.back();
      ASSERT_EQ(g.write(c[i], "abcdef"), 6);
      a.peer_sends(i, "xyz");
    }
    const auto fin_tx = [&](unsigned i) { g.d.finish(c[i]), g.m.run_us(1); };
    const auto fin_rx = [&](unsigned i) { a.peer_sends(i, "", true), g.m.run_us(1); };
    const auto acked = [&](unsigned i) { a.peer_acks(i, 1000 * i + 8), g.m.run_us(1); };
    a.peer_acks(2, 2003);
    fin_tx(3);
    fin_tx(4), acked(4);
    fin_rx(5);
    fin_tx(6), fin_rx(6);
    fin_rx(7), fin_tx(7);
    fin_tx(8), fin_rx(8), acked(8);
    g.m.run_us(1);
    ASSERT_EQ(g.d.counters().bad_records, 0u);
  }
  host::conn c[9] = {};
};

TEST_F(every_state, is_restored_exactly) {
  driver_rig g(2);
  prepare(g);
  kill(g.m.a[0]);
  g.m.run_us(1000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  const auto restores = g.m.a[1].seen_of(US_OP_RESTORE);
  ASSERT_EQ(restores.size(), 8u);
  struct want {
    std::uint8_t state;
    std::uint16_t fin;
    std::uint32_t rcv, una, max;  // beyond IRS, ISS, ISS
  };
  const want w[8] = {
      {US_TCP_SYN_RCVD, 0, 1, 0, 1},
      {US_TCP_ESTABLISHED, 0, 4, 3, 7},
      {US_TCP_FIN_WAIT_1, US_FIN_TX, 4, 1, 8},
      {US_TCP_FIN_WAIT_2, US_FIN_TX, 4, 8, 8},
      {US_TCP_CLOSE_WAIT, US_FIN_RX, 5, 1, 7},
      {US_TCP_CLOSING, US_FIN_TX | US_FIN_RX, 5, 1, 8},
      {US_TCP_LAST_ACK, US_FIN_TX | US_FIN_RX, 5, 1, 8},
      {US_TCP_TIME_WAIT, US_FIN_TX | US_FIN_RX, 5, 8, 8},
  };
  for (std::uint32_t i = 1; i <= 8; ++i) {
    SCOPED_TRACE(i);
    const us_idt_entry& e = restores[i - 1];
    const auto& r = e.u.restore;
    EXPECT_EQ(e.cid, i);
    EXPECT_EQ(r.state, w[i - 1].state);
    EXPECT_EQ(r.fin, w[i - 1].fin);
    EXPECT_EQ(r.rcv_nxt, 100 * i + w[i - 1].rcv);
    EXPECT_EQ(r.snd_una, 1000 * i + w[i - 1].una);
    EXPECT_EQ(r.snd_max, 1000 * i + w[i - 1].max);
    EXPECT_EQ(r.iss, 1000 * i);
    EXPECT_EQ(r.rcv_adv, 100 * i + 1 + (i == 1 ? 1024u : 4096u)) << "everything granted stays granted";
    EXPECT_EQ(r.local_port, 80);
    EXPECT_EQ(r.peer_port, 2000 + i);
    EXPECT_EQ(r.mss, 1460);
    EXPECT_EQ(r.wscale, 0x27);
    EXPECT_EQ(r.conn, US_CONN_PROTECTED | US_CONN_WS);
    const host::endpoint p = v4(peer_ip, 0);
    EXPECT_EQ(std::memcmp(r.peer_ip, p.ip, 16), 0);
  }
  EXPECT_EQ(bytes_of(g.m.a[1].connections[2]), "cdef") << "from h_una on";
  EXPECT_EQ(bytes_of(g.m.a[1].connections[3]), "abcdef");
  EXPECT_EQ(bytes_of(g.m.a[1].connections[4]), "");
  for (std::uint32_t i : {3u, 4u, 6u, 7u, 8u}) {
    EXPECT_TRUE(g.m.a[1].connections[i].closed) << i;
    EXPECT_EQ(g.m.a[1].connections[i].snd_end.raw, 1000 * i + 8) << i;
  }
  for (std::uint32_t i : {1u, 2u, 5u}) EXPECT_FALSE(g.m.a[1].connections[i].closed) << i;
  EXPECT_EQ(g.d.counters().restored, 8u);
  EXPECT_TRUE(g.user.ended.empty());
}

TEST_F(every_state, comes_in_an_order_that_names_nothing_before_it_is_known) {
  driver_rig g(2);
  prepare(g);
  g.m.a[1].seen.clear();
  kill(g.m.a[0]);
  g.m.run_us(1000);
  std::map<std::uint32_t, int> known;
  bool listening = false, address_last = false;
  int others = 0;
  for (const us_idt_entry& e : g.m.a[1].seen) {
    address_last = e.opcode == US_OP_SET_ADDRESS;
    if (e.opcode == US_OP_LISTEN) listening = true;
    if (e.opcode == US_OP_RESTORE) {
      EXPECT_TRUE(listening);
      EXPECT_EQ(known[e.cid]++, 0);
    } else if (e.opcode == US_OP_SEND || e.opcode == US_OP_POST_RX || e.opcode == US_OP_CLOSE) {
      EXPECT_EQ(known[e.cid], 1);
      ++others;
    }
  }
  EXPECT_TRUE(address_last) << "IDENTITY";
  EXPECT_GT(others, 20);
}

TEST_F(every_state, with_the_mutant_snd_max_reset_loses_the_bound) {
  host::driver_config config = small_config();
  config.mutants.snd_max_reset = true;
  driver_rig g(2, config);
  prepare(g);
  g.d.fail_now(0);
  g.m.run_us(1000);
  const auto restores = g.m.a[1].seen_of(US_OP_RESTORE);
  ASSERT_EQ(restores.size(), 8u);
  for (const auto& e : restores) EXPECT_EQ(e.u.restore.snd_max, e.u.restore.snd_una);
}

TEST(restore, goes_on_in_the_middle_of_a_buffer_and_of_the_send_stream) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one(5, 1000, 0xfffffff0u, 0xfffffe00u);  // both streams wrap
  const std::string in = pattern(3000), out = pattern(4000, 2);
  g.m.a[0].peer_sends(5, in.substr(0, 700));
  g.m.run_us(1);
  std::string got = g.read_all(c).substr(0, 700);
  g.m.a[0].peer_sends(5, in.substr(700, 900));
  EXPECT_EQ(g.write(c, out.substr(0, 3000)), 3000);
  g.m.a[0].peer_acks(5, 0xfffffff1u + 1000);
  g.m.run_us(1);
  EXPECT_EQ(g.write(c, out.substr(3000)), 1000);
  const std::uint32_t edge = g.shadow(5).grant_edge.raw;
  kill(g.m.a[0]);
  g.m.run_us(1000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  fake_connection& b = g.m.a[1].connections[5];
  EXPECT_EQ(b.rcv_nxt.raw, 0xfffffe01u + 1600);
  ASSERT_FALSE(b.rx.empty());
  EXPECT_EQ(b.rx.front().base_off, 1600u - 1024);
  EXPECT_EQ(b.edge, edge);
  std::string again;
  for (std::uint32_t i = 1000; i < 4000; ++i) {
    ASSERT_TRUE(b.sent.count(0xfffffff1u + i)) << i;
    again += static_cast<char>(b.sent[0xfffffff1u + i]);
  }
  EXPECT_EQ(again, out.substr(1000));
  EXPECT_EQ(b.sent.size(), 3000u);
  g.m.a[1].peer_sends(5, in.substr(1600));
  g.m.run_us(1);
  got += g.read_all(c);
  EXPECT_EQ(got, in);
  EXPECT_GE(g.shadow(5).grant_edge.minus(seq32{edge}), 0u);
  EXPECT_EQ(g.account.double_posts, 0);
  EXPECT_EQ(g.account.stray_takes, 0);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(restore, leaves_unprotected_connections_behind) {
  driver_rig g(2);
  g.start();
  host::connection_options plain;
  plain.failover = false;
  ASSERT_GE(g.d.listen(v4(0, 80), 8, {}), 0);
  ASSERT_GE(g.d.listen(v4(0, 81), 8, plain), 0);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].seen_of(US_OP_LISTEN)[1].flags, 0);
  g.m.a[0].peer_opens(1, 1000, 80, 1, 1);
  g.m.a[0].peer_opens(2, 1000, 81, 1, 1);
  g.m.run_us(1);
  ASSERT_EQ(g.user.accepted.size(), 2u);
  g.d.fail_now(0);
  g.m.run_us(500);
  ASSERT_EQ(g.m.a[1].seen_of(US_OP_RESTORE).size(), 1u);
  EXPECT_EQ(g.m.a[1].seen_of(US_OP_LISTEN).size(), 2u);
  const std::vector<std::pair<host::conn, int>> want{{g.user.accepted[1], ECONNRESET}};
  EXPECT_EQ(g.user.ended, want);
}

TEST(restore, repeats_a_connect_without_answer_under_the_same_number_and_port) {
  driver_rig g(2);
  g.start();
  host::conn c;
  ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &c), 0);
  g.m.run_us(1);
  g.d.fail_now(0);
  g.m.run_us(500);
  const auto first = g.m.a[0].seen_of(US_OP_CONNECT), second = g.m.a[1].seen_of(US_OP_CONNECT);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(std::memcmp(&first[0].u, &second[0].u, sizeof first[0].u.connect), 0);
  g.m.a[1].connect_succeeds(second[0], 9, 77);
  g.m.run_us(1);
  EXPECT_EQ(g.user.connected, std::vector<host::conn>{c});
}

TEST(restore, carries_an_abort_over) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  g.m.a[0].consumes = false;
  g.d.abort(c);
  g.d.release(c);
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_TRUE(g.m.a[1].connections[5].aborted);
  g.m.a[1].ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(restore, refused_by_the_substitute_resets_that_connection_alone) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one(5);
  g.accept_one(6, 1001);
  fake_adapter& b = g.m.a[1];
  b.on_descriptor = [&](const us_idt_entry& e) {
    if (e.opcode != US_OP_RESTORE || e.cid != 5) return;
    us_record r = b.blank(US_REC_REFUSED, 5);
    r.u.end = {US_ERR_IN_USE, US_OP_RESTORE, b.consumed - 1, 0, {}};
    b.emit(r);
  };
  g.d.fail_now(0);
  g.m.run_us(500);
  const std::vector<std::pair<host::conn, int>> want{{c, ECONNRESET}};
  EXPECT_EQ(g.user.ended, want);
  EXPECT_EQ(g.d.state(), recovery_state::running);
}

TEST(restore, of_more_connections_than_the_table_has_entries_takes_few_doorbells) {
  host::driver_config config = small_config();
  config.idt_entries = 16;
  driver_rig g(2, config);
  for (fake_adapter& a : g.m.a) a.max_connections = 512;
  g.start();
  for (std::uint32_t i = 0; i < 200; ++i) g.accept_one(i, static_cast<std::uint16_t>(1000 + i));
  ASSERT_EQ(g.user.accepted.size(), 200u);
  for (const host::conn c : g.user.accepted) ASSERT_EQ(g.write(c, "data"), 4);
  const std::uint32_t before = g.m.a[1].doorbells;
  kill(g.m.a[0]);
  g.m.run_us(2000);
  ASSERT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(g.m.a[1].seen_of(US_OP_RESTORE).size(), 200u);
  EXPECT_EQ(g.m.a[1].bad_descriptors, 0u);
  EXPECT_LT(g.m.a[1].doorbells - before, 200u);
  for (std::uint32_t i = 0; i < 200; ++i) ASSERT_EQ(bytes_of(g.m.a[1].connections[i]), "data");
}

TEST(restore, is_complete_when_the_register_says_so_without_any_record) {
  host::driver_config config = small_config();
  config.idt_entries = 16;
  driver_rig g(2, config);
  g.m.a[1].credits = false;
  g.start();
  const host::conn c = g.accept_one();
  ASSERT_EQ(g.write(c, "data"), 4);
  kill(g.m.a[0]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(bytes_of(g.m.a[1].connections[5]), "data");
}

TEST(restore, lets_an_application_write_while_the_substitute_loads) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  ASSERT_EQ(g.write(c, "before "), 7);
  g.m.a[1].consumes = false;
  g.d.fail_now(0);
  g.m.run_us(50);
  ASSERT_EQ(g.d.state(), recovery_state::loading);
  EXPECT_EQ(g.write(c, "during"), 6);
  g.m.a[1].consumes = true;
  g.m.a[1].consume();
  g.m.run_us(100);
  EXPECT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(bytes_of(g.m.a[1].connections[5]), "before during");
}

TEST(recovery, of_a_driver_that_is_destroyed_meanwhile_does_nothing_more) {
  fake_machine m(2);
  {
    host::driver d(m, small_config());
    ASSERT_EQ(d.start().error, driver_error::none);
    host::conn c;
    ASSERT_EQ(d.connect({}, v4(peer_ip, 80), {}, &c), 0);
    d.fail_now(0);
  }
  m.run_us(1000);
  EXPECT_TRUE(m.notes.empty());
}

// ---------------------------------------------------------------- drain

// Writes `n` DATA records of one byte each into the table of adapter 0 without an interrupt.
void leave_records(driver_rig& g, unsigned n, int torn) {
  fake_adapter& a = g.m.a[0];
  fake_connection& f = a.connections[5];
  for (unsigned i = 0; i < n; ++i) {
    f.rcv_nxt += 1;
    us_record r = a.blank(US_REC_DATA, 5);
    r.u.data = {f.rx.front().buf_id, i, 1, {}};
    *g.m.memory(f.rx.front().iova + i, 1) = static_cast<std::uint8_t>('a' + i);
    const std::uint32_t number = a.emit(r, false);
    if (static_cast<int>(i) == torn) a.slot(number)[40] ^= 1;
  }
}

TEST(drain, takes_every_record_that_was_committed) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  leave_records(g, 5, -1);
  kill(g.m.a[0]);
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.m.a[1].connections[5].rcv_nxt.raw, 501u + 5);
  EXPECT_EQ(g.read_all(c), "abcde");
}

TEST(drain, stops_at_the_first_invalid_record_and_never_looks_beyond) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  leave_records(g, 5, 3);
  kill(g.m.a[0]);
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.m.a[1].connections[5].rcv_nxt.raw, 501u + 3);
  EXPECT_EQ(g.m.a[1].connections[5].rx.front().base_off, 3u);
  EXPECT_EQ(g.read_all(c), "abc");
  EXPECT_TRUE(g.user.ended.empty());
}

TEST(drain, ignores_what_the_old_adapter_still_writes_afterwards) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  g.d.fail_now(0);
  g.m.run_us(500);
  leave_records(g, 2, -1);
  g.m.a[0].interrupt(US_VECTOR_RECORDS);
  g.m.run_us(500);
  EXPECT_EQ(g.d.readable(c), 0u);
  EXPECT_EQ(g.shadow(5).h_rcv.raw, 501u);
}

TEST(drain, returns_the_buffers_of_the_old_pool) {
  driver_rig g(2);
  g.start();
  g.accept_one();
  const std::size_t free = g.d.buffers_free();
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.d.buffers_free(), free + 4);
  for (const auto& [id, adapter] : g.account.posted) EXPECT_EQ(adapter, 1u) << id;
  EXPECT_EQ(g.account.double_posts, 0);
  EXPECT_EQ(g.account.stray_takes, 0);
}

// ---------------------------------------------------------------- second failure

class second_failure : public ::testing::TestWithParam<unsigned> {};

TEST_P(second_failure, in_any_state_leads_to_the_third_adapter_with_the_same_result) {
  driver_rig g(3);
  g.start();
  const host::conn c = g.accept_one();
  const std::string in = pattern(2000), out = pattern(3000, 3);
  g.m.a[0].peer_sends(5, in.substr(0, 800));
  ASSERT_EQ(g.write(c, out), 3000);
  int kills = 0;
  g.m.on_note = [&](unsigned state) {
    if (state != GetParam() || kills++) return;
    kill(g.m.a[1]);
  };
  kill(g.m.a[0]);
  g.m.run_us(5000);
  EXPECT_GE(kills, 1);
  ASSERT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(g.d.active_adapter(), 2u);
  EXPECT_EQ(g.d.counters().failovers, 2u);
  fake_adapter& last = g.m.a[2];
  EXPECT_TRUE(last.receiving());
  ASSERT_EQ(last.seen_of(US_OP_RESTORE).size(), 1u);
  EXPECT_EQ(bytes_of(last.connections[5]), out);
  last.peer_sends(5, in.substr(800));
  g.m.run_us(1);
  EXPECT_EQ(g.read_all(c), in);
  EXPECT_TRUE(g.user.ended.empty());
  EXPECT_EQ(g.account.double_posts, 0);
  EXPECT_EQ(g.account.stray_takes, 0);
  for (const auto& [id, adapter] : g.account.posted) EXPECT_EQ(adapter, 2u) << id;
  int to_last = 0;
  for (const std::string& s : g.m.acts) to_last += s == "release 0 to 2";
  EXPECT_EQ(to_last, 1) << "what was held from the start reaches whoever takes over";
}

INSTANTIATE_TEST_SUITE_P(states, second_failure, ::testing::Values(1, 2, 3, 4, 5, 6));

TEST(second_failure_later, of_the_substitute_in_service_is_a_recovery_of_its_own) {
  driver_rig g(3);
  g.start();
  const host::conn c = g.accept_one();
  g.d.fail_now(0);
  g.m.run_us(500);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  g.m.a[1].peer_sends(5, "from the second ");
  g.m.run_us(1);
  kill(g.m.a[1]);
  g.m.run_us(1000);
  ASSERT_EQ(g.d.active_adapter(), 2u);
  g.m.a[2].peer_sends(5, "and the third");
  g.m.run_us(1);
  EXPECT_EQ(g.read_all(c), "from the second and the third");
  EXPECT_EQ(g.m.a[2].reg(US_REG_EPOCH), 3u);
}

TEST(second_failure_later, of_a_standby_is_remembered) {
  driver_rig g(3);
  g.start();
  g.accept_one();
  kill(g.m.a[1]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().failovers, 0u);
  kill(g.m.a[0]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.active_adapter(), 2u);
  EXPECT_EQ(g.d.counters().failovers, 1u);
}

TEST(second_failure_later, of_a_substitute_that_beats_but_loads_nothing_is_noticed) {
  host::driver_config config = small_config();
  config.load_timeout_us = 1000;
  driver_rig g(3, config);
  g.start();
  g.accept_one();
  g.m.a[1].consumes = false;
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(g.d.state(), recovery_state::loading);
  g.m.run_us(1500);
  EXPECT_EQ(g.d.state(), recovery_state::running);
  EXPECT_EQ(g.d.active_adapter(), 2u);
}

TEST(second_failure_later, of_a_substitute_whose_reception_cannot_be_blocked_is_noticed) {
  driver_rig g(3);
  g.start();
  g.m.a[1].regs[US_REG_STATUS] = 0;
  g.m.a[1].answers = false;  // still beats: only registers are dead
  g.m.a[1].beating = true;
  g.d.fail_now(0);
  g.m.run_us(100);
  EXPECT_EQ(g.d.active_adapter(), 2u);
}

TEST(second_failure_later, of_the_last_adapter_ends_everything) {
  driver_rig g(2);
  g.start();
  const host::conn c = g.accept_one();
  g.d.fail_now(0);
  g.m.run_us(500);
  kill(g.m.a[1]);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.condition(), driver_error::no_substitute);
  const std::vector<std::pair<host::conn, int>> want{{c, ENETDOWN}};
  EXPECT_EQ(g.user.ended, want);
}

// ---------------------------------------------------------------- mutants do what their names say

TEST(mutant, no_fence_leaves_the_old_adapter_its_bus) {
  host::driver_config config = small_config();
  config.mutants.no_fence = true;
  driver_rig g(2, config);
  g.start();
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_TRUE(g.m.a[0].command & host::pci_command_bus_master);
  EXPECT_EQ(g.d.active_adapter(), 1u);
}

TEST(mutant, no_block_receives_before_the_table_is_loaded) {
  host::driver_config config = small_config();
  config.mutants.no_block = true;
  driver_rig g(2, config);
  g.start();
  g.accept_one();
  int early = 0;
  g.m.a[1].on_descriptor = [&](const us_idt_entry& e) {
    early += e.opcode == US_OP_RESTORE && g.m.a[1].receiving();
  };
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_EQ(early, 1);
}

TEST(mutant, free_before_ack_gives_bytes_up_when_posted) {
  host::driver_config config = small_config();
  config.mutants.free_before_ack = true;
  driver_rig g(2, config);
  g.start();
  const host::conn c = g.accept_one();
  const std::string out = pattern(9000);
  std::size_t at = 0;
  while (at < out.size()) at += static_cast<std::size_t>(g.write(c, out.substr(at)));
  EXPECT_EQ(g.account.freed[5].raw, 101u + 9000);
  g.d.fail_now(0);
  g.m.run_us(500);
  EXPECT_NE(bytes_of(g.m.a[1].connections[5]), out);
}

}  // namespace
}  // namespace understudy::tb
