#include "host_sw/driver/driver.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "host_sw/driver/odt_ring.h"
#include "host_sw/driver/siphash.h"
#include "host_sw/hal/pci_config.h"
#include "model/abi/crc32c.h"
#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using host::driver_error;

// ---------------------------------------------------------------- bring-up

driver_error start_with(void (*spoil)(fake_adapter&)) {
  driver_rig g(2);
  spoil(g.m.a[1]);
  const host::start_result r = g.d.start();
  EXPECT_EQ(r.error == driver_error::none, r.text.empty());
  return r.error;
}

TEST(bring_up, refuses_what_it_does_not_know) {
  EXPECT_EQ(start_with([](fake_adapter&) {}), driver_error::none);
  EXPECT_EQ(start_with([](fake_adapter& a) { a.answers = false; }), driver_error::no_device);
  EXPECT_EQ(start_with([](fake_adapter& a) { a.id = 1; }), driver_error::wrong_magic);
  EXPECT_EQ(start_with([](fake_adapter& a) { a.abi = 2u << 16; }), driver_error::wrong_abi);
  EXPECT_EQ(start_with([](fake_adapter& a) { a.features &= ~US_FEATURE_RESTORE; }),
            driver_error::missing_feature);
}

TEST(bring_up, accepts_a_later_minor_version) {
  EXPECT_EQ(start_with([](fake_adapter& a) { a.abi += 7; }), driver_error::none);
}

TEST(bring_up, refuses_a_configuration_out_of_range) {
  const auto with = [](auto change) {
    host::driver_config c = small_config();
    change(c);
    driver_rig g(1, c);
    return g.d.start().error;
  };
  EXPECT_EQ(with([](auto& c) { c.idt_entries = 48; }), driver_error::bad_config);
  EXPECT_EQ(with([](auto& c) { c.odt_entries = 8; }), driver_error::bad_config);
  EXPECT_EQ(with([](auto& c) { c.buffer_bytes = 1000; }), driver_error::bad_config);
  EXPECT_EQ(with([](auto& c) { c.addresses.clear(); }), driver_error::bad_config);
  EXPECT_EQ(with([](auto& c) { c.addresses[0].vlan = 4095; }), driver_error::bad_config);
  EXPECT_EQ(with([](auto& c) { c.active = 1; }), driver_error::bad_config);
}

TEST(bring_up, reports_exhausted_memory) {
  driver_rig g;
  g.m.dma_exhausted = true;
  EXPECT_EQ(g.d.start().error, driver_error::no_memory);
}

TEST(bring_up, lets_only_the_active_adapter_receive_and_gives_each_its_own_tables) {
  driver_rig g(2);
  g.start();
  EXPECT_TRUE(g.m.a[0].receiving());
  EXPECT_FALSE(g.m.a[1].receiving());
  EXPECT_TRUE(g.m.a[1].reg(US_REG_CONTROL) & US_CONTROL_ENABLE);
  EXPECT_NE(g.d.rings(0).idt_iova, g.d.rings(1).idt_iova);
  EXPECT_NE(g.d.rings(0).odt_iova, g.d.rings(1).odt_iova);
  for (const fake_adapter& a : g.m.a) {
    EXPECT_TRUE(a.command & host::pci_command_bus_master);
    EXPECT_EQ(a.pool.size(), 4u);
    EXPECT_EQ(a.bad_descriptors, 0u);
    EXPECT_EQ(a.doorbells, 1u) << "one doorbell for the whole burst";
    for (unsigned v = 0; v < US_MSIX_VECTORS; ++v)
      EXPECT_EQ(a.reg(US_MSIX_TABLE + 16 * v + 12), 0u) << "vector " << v << " unmasked";
    EXPECT_NE(a.reg(US_MSIX_TABLE), 0u);
    ASSERT_EQ(a.seen_of(US_OP_SET_ADDRESS).size(), 1u);
  }
}

// ---------------------------------------------------------------- rings

TEST(odt_ring, reads_only_what_has_the_right_number_and_crc) {
  fake_machine m(0);
  host::odt_ring r;
  ASSERT_TRUE(r.create(m, 16));
  us_record out;
  const auto put = [&](std::uint32_t number, bool good = true) {
    us_record x{};
    x.type = US_REC_CREDIT;
    x.number = number;
    x.crc = crc32c(&x, 60) ^ (good ? 0u : 1u);
    std::memcpy(m.memory(r.iova() + (number & 15) * 64, 64), &x, 64);
  };
  EXPECT_EQ(r.peek(&out), host::odt_ring::look::nothing);
  for (std::uint32_t i = 0; i < 100; ++i) {
    put(i);
    ASSERT_EQ(r.peek(&out), host::odt_ring::look::record);
    EXPECT_EQ(out.number, i);
    r.consume();
    ASSERT_EQ(r.peek(&out), host::odt_ring::look::nothing) << "the old record of the slot is not new";
  }
  put(100, false);
  EXPECT_EQ(r.peek(&out), host::odt_ring::look::nothing) << "torn: may still become whole";
  put(101);
  EXPECT_EQ(r.peek(&out), host::odt_ring::look::corrupt) << "its successor is there";
}

TEST(siphash, gives_the_value_of_the_paper) {
  std::uint8_t in[15];
  for (std::uint8_t i = 0; i < 15; ++i) in[i] = i;
  EXPECT_EQ(host::siphash({0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c}, in, 15), 0xa129ca6149be45e5ULL);
}

// ---------------------------------------------------------------- connections

TEST(connect, chooses_port_and_sequence_number_and_learns_the_cid_by_tuple) {
  driver_rig g;
  g.start();
  host::conn c;
  ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &c), 0);
  g.m.run_us(1);
  const auto sent = g.m.a[0].seen_of(US_OP_CONNECT);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_GE(sent[0].u.connect.local_port, 49152);
  EXPECT_EQ(sent[0].flags, US_CONN_PROTECTED);
  EXPECT_FALSE(g.d.id(c).valid());
  g.m.a[0].connect_succeeds(sent[0], 7, 900);
  g.m.run_us(1);
  ASSERT_EQ(g.user.connected, std::vector<host::conn>{c});
  EXPECT_EQ(g.d.id(c).raw, 7u);
  const auto s = g.shadow(7);
  EXPECT_EQ(s.state, US_TCP_ESTABLISHED);
  EXPECT_EQ(s.h_rcv.raw, 901u);
  EXPECT_EQ(s.h_una.raw, sent[0].u.connect.iss + 1);
  EXPECT_EQ(s.grant_edge.raw, 901u + 4096) << "receive buffer granted ahead";
}

TEST(connect, gives_different_ports_and_numbers_to_many) {
  driver_rig g;
  g.start();
  std::map<std::uint16_t, int> ports;
  std::map<std::uint32_t, int> numbers;
  host::conn c;
  for (int i = 0; i < 200; ++i) ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &c), 0);
  g.m.run_us(50);
  for (const auto& e : g.m.a[0].seen_of(US_OP_CONNECT)) {
    ++ports[e.u.connect.local_port];
    ++numbers[e.u.connect.iss];
  }
  EXPECT_EQ(ports.size(), 200u);
  EXPECT_EQ(numbers.size(), 200u);
}

// RFC 9293 MUST-44, for a caller that names no address, and MUST-45.
TEST(connect, MUST_44_45_a_local_address_is_chosen_by_the_peers_family_or_is_the_callers) {
  host::driver_config c = small_config();
  host::local_address a;
  a.ip[0] = 0xfd;
  a.ip[15] = 1;
  a.mac[0] = 2;
  a.mac[5] = 6;
  a.prefix_len = 64;
  c.addresses.push_back(a);
  driver_rig g(1, c);
  g.start();
  host::endpoint v6;
  v6.ip[0] = 0xfd;
  v6.ip[15] = 2;
  v6.port = 80;
  host::conn any4, any6, named;
  ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &any4), 0);
  ASSERT_EQ(g.d.connect({}, v6, {}, &any6), 0);
  ASSERT_EQ(g.d.connect(v4(local_ip, 7), v4(peer_ip, 80), {}, &named), 0);
  EXPECT_EQ(g.d.connect(v4(local_ip + 5, 0), v4(peer_ip, 80), {}, &named), -EADDRNOTAVAIL);
  g.m.run_us(1);
  const auto sent = g.m.a[0].seen_of(US_OP_CONNECT);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].u.connect.addr_index, 0);
  EXPECT_EQ(sent[1].u.connect.addr_index, 1);
  EXPECT_EQ(sent[2].u.connect.addr_index, 0);
  EXPECT_EQ(sent[2].u.connect.local_port, 7);
}

TEST(connect, MUST_46_to_a_group_a_broadcast_address_or_nobody_is_refused) {
  driver_rig g;
  g.start();
  host::conn c;
  for (const std::uint32_t peer : {0xe0000001u, 0xefffffffu, 0xffffffffu, local_ip | 0xff, 0u}) {
    EXPECT_EQ(g.d.connect({}, v4(peer, 80), {}, &c), -ENETUNREACH) << std::hex << peer;
    EXPECT_EQ(c, host::no_conn);
  }
  EXPECT_EQ(g.d.connections(), 0u);
  EXPECT_EQ(g.d.connect({}, v4((local_ip | 0xff) + 256, 80), {}, &c), 0)
      << "of another network: nobody knows";
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].seen_of(US_OP_CONNECT).size(), 1u);
}

TEST(connect, reports_refusal_timeout_and_a_full_adapter) {
  driver_rig g;
  g.start();
  host::conn c[3];
  for (auto& x : c) ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &x), 0);
  g.m.run_us(1);
  const auto sent = g.m.a[0].seen_of(US_OP_CONNECT);
  ASSERT_EQ(sent.size(), 3u);
  for (int i = 0; i < 2; ++i) {
    us_record r = g.m.a[0].blank(US_REC_ABORTED, 30 + static_cast<std::uint32_t>(i));
    r.snd_una = sent[static_cast<std::size_t>(i)].u.connect.iss;
    r.u.end.status = i ? US_ERR_TIMEOUT : US_ERR_REFUSED;
    g.m.a[0].emit(r);
  }
  us_record r = g.m.a[0].blank(US_REC_REFUSED, US_NO_CID);
  r.u.end = {US_ERR_NO_RESOURCES, US_OP_CONNECT, 0, 0, {}};
  for (std::uint32_t i = 0; i < g.m.a[0].seen.size(); ++i)
    if (std::memcmp(&g.m.a[0].seen[i], &sent[2], 64) == 0) r.u.end.index = i;
  g.m.a[0].emit(r);
  g.m.run_us(1);
  const std::vector<std::pair<host::conn, int>> want{
      {c[0], ECONNREFUSED}, {c[1], ETIMEDOUT}, {c[2], ENOBUFS}};
  EXPECT_EQ(g.user.ended, want);
  EXPECT_EQ(g.d.counters().refused, 1u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
  for (auto x : c) g.d.release(x);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(accept, tells_the_user_when_the_handshake_is_complete_not_before) {
  driver_rig g;
  g.start();
  ASSERT_GE(g.d.listen(v4(0, 80), 8, {}), 0);
  EXPECT_EQ(g.d.listen(v4(local_ip, 80), 8, {}), -EADDRINUSE);
  g.m.run_us(1);
  g.m.a[0].peer_opens(5, 1000, 80, 100, 500, false);
  g.m.run_us(1);
  EXPECT_TRUE(g.user.accepted.empty());
  EXPECT_EQ(g.shadow(5).state, US_TCP_SYN_RCVD);
  g.m.a[0].peer_completes(5);
  g.m.run_us(1);
  ASSERT_EQ(g.user.accepted.size(), 1u);
  EXPECT_EQ(g.d.peer(g.user.accepted[0]).port, 1000);
  EXPECT_EQ(g.m.a[0].pool.size(), 4u) << "the pool was filled up again";
}

TEST(receive, gives_bytes_in_order_through_many_buffers_and_grants_never_shrink) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  ASSERT_NE(c, host::no_conn);
  const std::string sent = pattern(50'000);
  std::string got;
  std::uint32_t edge = g.shadow(5).grant_edge.raw;
  for (std::size_t at = 0; at < sent.size(); at += 700) {
    g.m.a[0].peer_sends(5, sent.substr(at, 700));
    g.m.run_us(1);
    got += g.read_all(c);
    const std::uint32_t now = g.shadow(5).grant_edge.raw;
    ASSERT_GE(now, edge);
    ASSERT_LE(now - g.shadow(5).h_rcv.raw, 4096u);
    edge = now;
  }
  EXPECT_EQ(got, sent);
  std::uint32_t last = 0;
  for (const auto& e : g.m.a[0].seen_of(US_OP_POST_RX)) {
    EXPECT_GT(e.u.rx.edge, last);
    last = e.u.rx.edge;
  }
  EXPECT_EQ(g.account.double_posts, 0);
  EXPECT_EQ(g.account.stray_takes, 0);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
  EXPECT_LE(g.d.buffers_total(), 64u) << "buffers come back";
}

TEST(receive, with_a_reader_that_waits_stops_at_the_grant) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.m.a[0].peer_sends(5, pattern(4096));
  g.m.run_us(1);
  EXPECT_EQ(g.d.readable(c), 4096u);
  EXPECT_TRUE(g.m.a[0].connections[5].rx.empty());
  EXPECT_EQ(g.read_all(c).size(), 4096u);
  EXPECT_EQ(g.m.a[0].connections[5].rx.size(), 4u);
}

TEST(receive, works_with_less_receive_buffer_than_a_pool_buffer) {
  host::driver_config config = small_config();
  config.buffer_bytes = 8192;
  config.receive_buffer = 2048;
  driver_rig g(1, config);
  g.start();
  const host::conn c = g.accept_one();
  const std::string sent = pattern(30'000);
  std::string got;
  for (std::size_t at = 0; at < sent.size(); at += 500) {
    ASSERT_FALSE(g.m.a[0].connections[5].rx.empty());
    g.m.a[0].peer_sends(5, sent.substr(at, 500));
    g.m.run_us(1);
    got += g.read_all(c);
  }
  EXPECT_EQ(got, sent);
}

TEST(send, keeps_bytes_until_acknowledged_and_wakes_a_writer_once_there_is_room) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  const std::string sent = pattern(6000);
  EXPECT_EQ(g.write(c, sent), 4096);
  EXPECT_EQ(g.write(c, sent), 0);
  EXPECT_EQ(g.shadow(5).h_post_end.raw, 101u + 4096);
  g.m.a[0].peer_acks(5, 101 + 100);
  g.m.run_us(1);
  EXPECT_EQ(g.d.writable(c), 100u);
  EXPECT_TRUE(g.user.writable.empty()) << "a trickle wakes nobody";
  EXPECT_EQ(g.account.freed[5].raw, 201u);
  g.m.a[0].peer_acks(5, 101 + 2000);
  g.m.run_us(1);
  EXPECT_EQ(g.user.writable.size(), 1u);
  EXPECT_EQ(g.write(c, sent.substr(4096)), 1904);
  std::string seen;
  for (const auto& [s, b] : g.m.a[0].connections[5].sent) seen += static_cast<char>(b);
  EXPECT_EQ(seen, sent);
  EXPECT_EQ(g.d.counters().copied_bytes, 6000u);
}

TEST(send, of_several_writes_in_one_turn_rings_once) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  const std::uint32_t before = g.m.a[0].doorbells;
  for (int i = 0; i < 10; ++i) g.d.write(c, "hello", 5);
  EXPECT_EQ(g.m.a[0].doorbells, before);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].doorbells, before + 1);
  EXPECT_EQ(g.m.a[0].connections[5].sent.size(), 50u);
}

TEST(close, in_both_directions_ends_in_order_and_returns_every_buffer) {
  driver_rig g;
  g.start();
  const std::size_t posted = g.account.posted.size();
  const host::conn c = g.accept_one();
  g.m.a[0].peer_sends(5, "last words", true);
  g.m.run_us(1);
  EXPECT_FALSE(g.d.at_end(c));
  EXPECT_EQ(g.read_all(c), "last words");
  EXPECT_TRUE(g.d.at_end(c));
  EXPECT_EQ(g.shadow(5).state, US_TCP_CLOSE_WAIT);
  EXPECT_EQ(g.d.finish(c), 0);
  EXPECT_EQ(g.write(c, "too late"), 0);
  EXPECT_TRUE(g.m.a[0].connections[5].closed);
  EXPECT_EQ(g.m.a[0].connections[5].snd_end.raw, 102u) << "FIN takes one number";
  EXPECT_EQ(g.shadow(5).state, US_TCP_LAST_ACK);
  g.m.a[0].ends(5, US_REC_CLOSED);
  g.m.run_us(1);
  ASSERT_EQ(g.user.ended.size(), 1u);
  EXPECT_EQ(g.user.ended[0].second, 0);
  g.d.release(c);
  EXPECT_EQ(g.d.connections(), 0u);
  EXPECT_EQ(g.account.posted.size(), posted) << "only the pool is posted";
  EXPECT_EQ(g.d.buffers_free() + posted, g.d.buffers_total());
}

TEST(close, by_us_first_passes_through_time_wait) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.d.finish(c);
  g.m.run_us(1);
  EXPECT_EQ(g.shadow(5).state, US_TCP_FIN_WAIT_1);
  g.m.a[0].peer_acks(5, 102);
  g.m.run_us(1);
  EXPECT_EQ(g.shadow(5).state, US_TCP_FIN_WAIT_2);
  g.m.a[0].peer_sends(5, "", true);
  g.m.a[0].emit(g.m.a[0].blank(US_REC_TIME_WAIT, 5));
  g.m.run_us(1);
  EXPECT_EQ(g.shadow(5).state, US_TCP_TIME_WAIT);
  EXPECT_EQ(g.user.ended.size(), 1u);
  g.m.a[0].ends(5, US_REC_CLOSED);
  g.m.run_us(1);
  EXPECT_EQ(g.user.ended.size(), 1u) << "told once";
}

TEST(release, of_a_connection_with_more_data_to_come_resets_it) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.d.release(c);
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].connections[5].closed);
  EXPECT_FALSE(g.m.a[0].connections[5].aborted);
  g.m.a[0].peer_sends(5, "nobody listens");
  g.m.run_us(1);
  EXPECT_TRUE(g.m.a[0].connections[5].aborted);
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(abort, from_the_peer_reaches_the_user_and_leaves_committed_bytes_readable) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.m.a[0].peer_sends(5, "before the end");
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_RESET);
  g.m.run_us(1);
  ASSERT_EQ(g.user.ended.size(), 1u);
  EXPECT_EQ(g.user.ended[0].second, ECONNRESET);
  EXPECT_EQ(g.read_all(c), "before the end");
  g.d.release(c);
  EXPECT_EQ(g.d.buffers_free() + 4, g.d.buffers_total());
}

TEST(cid, of_another_generation_is_another_connection) {
  driver_rig g;
  g.start();
  const host::conn first = g.accept_one(5);
  g.m.a[0].ends(5, US_REC_ABORTED, US_ERR_RESET);
  g.m.run_us(1);
  g.d.release(first);
  const std::uint32_t again = cid{5, 1}.raw;
  const host::conn second = g.accept_one(again, 1001);
  EXPECT_NE(first, second);
  us_record late = g.m.a[0].blank(US_REC_ACKED, 5);
  g.m.a[0].emit(late);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().bad_records, 1u);
  EXPECT_EQ(g.d.readable(first), 0u);
  EXPECT_EQ(g.d.finish(first), -EBADF);
}

// ---------------------------------------------------------------- flow of descriptors and records

TEST(idt, that_is_full_keeps_descriptors_waiting_until_credits_come) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.m.a[0].consumes = false;
  const std::string sent = pattern(200);
  for (char x : sent) ASSERT_EQ(g.d.write(c, &x, 1), 1);
  g.m.run_us(1);
  EXPECT_GT(g.d.counters().backlogged, 100u);
  g.m.a[0].consumes = true;
  g.m.a[0].consume();
  g.m.run_us(10);
  std::string seen;
  for (const auto& [s, b] : g.m.a[0].connections[5].sent) seen += static_cast<char>(b);
  EXPECT_EQ(seen, sent);
  EXPECT_EQ(g.m.a[0].bad_descriptors, 0u);
}

TEST(idt, that_is_full_goes_on_where_no_record_reports_consumption) {
  driver_rig g;
  g.m.a[0].credits = false;
  g.start();
  const host::conn c = g.accept_one();
  const std::string sent = pattern(200);
  for (char x : sent) ASSERT_EQ(g.d.write(c, &x, 1), 1);
  g.m.run_us(1);
  EXPECT_LT(g.m.a[0].connections[5].sent.size(), 200u);
  g.m.run_us(1000);
  EXPECT_EQ(g.m.a[0].connections[5].sent.size(), 200u);
}

TEST(odt, wraps_many_times_without_loss) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  std::string got;
  const std::string sent = pattern(3000);
  for (std::size_t at = 0; at < sent.size(); at += 3) {
    g.m.a[0].peer_sends(5, sent.substr(at, 3));
    if (at % 20 == 0) {
      g.m.run_us(1);
      got += g.read_all(c);
    }
  }
  g.m.run_us(1);
  got += g.read_all(c);
  EXPECT_EQ(got, sent);
  EXPECT_GT(g.m.a[0].written(), 1000u);
}

TEST(odt, is_looked_at_again_after_the_doorbell) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  fake_adapter& a = g.m.a[0];
  a.fires_on_arm = false;
  int races = 0;
  a.before_arming = [&] {
    if (races++) return;
    us_record r = a.blank(US_REC_DATA, 5);
    r.rcv_nxt += 1;
    r.u.data = {a.connections[5].rx.front().buf_id, 1, 1, {}};
    a.emit(r, false);
  };
  a.peer_sends(5, "x");
  g.m.run_us(1);
  EXPECT_GE(races, 1);
  EXPECT_EQ(a.reg(US_REG_ODT_HEAD), a.written());
  EXPECT_EQ(g.d.counters().lost_wakeups, 0u);
  EXPECT_EQ(g.d.readable(c), 2u);
}

TEST(odt, record_whose_interrupt_got_lost_is_found_within_two_heartbeats) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().lost_wakeups, 0u);
  us_record r = g.m.a[0].blank(US_REC_DATA, 5);
  fake_connection& f = g.m.a[0].connections[5];
  std::memcpy(g.m.memory(f.rx.front().iova, 2), "hi", 2);
  r.u.data = {f.rx.front().buf_id, 0, 2, {}};
  r.rcv_nxt += 2;
  g.m.a[0].emit(r, false);
  g.m.run_us(250);
  EXPECT_EQ(g.d.counters().lost_wakeups, 1u);
  EXPECT_EQ(g.read_all(c), "hi");
}

// What becomes of a doorbell whose write comes poisoned (PCIe 2.7.2.2).
TEST(doorbell, that_did_not_arrive_is_rung_again_within_three_heartbeats) {
  driver_rig g;
  g.start();
  const host::conn c = g.accept_one();
  fake_adapter& a = g.m.a[0];
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().lost_doorbells, 0u) << "what arrives is rung once";
  a.lost[US_REG_IDT_TAIL] = 1;
  ASSERT_EQ(g.d.write(c, reinterpret_cast<const std::uint8_t*>("hi"), 2), 2u);
  g.m.run_us(5);
  EXPECT_TRUE(a.seen_of(US_OP_SEND).empty());
  g.m.run_us(350);
  EXPECT_EQ(a.seen_of(US_OP_SEND).size(), 1u);
  EXPECT_EQ(g.d.counters().lost_doorbells, 1u);
  a.lost[US_REG_ODT_HEAD] = 1;
  a.peer_sends(5, "x");
  g.m.run_us(5);
  EXPECT_NE(a.reg(US_REG_ODT_HEAD), a.written());
  g.m.run_us(350);
  EXPECT_EQ(a.reg(US_REG_ODT_HEAD), a.written());
  EXPECT_EQ(g.d.counters().lost_doorbells, 2u);
  a.lost[US_REG_IDT_TAIL] = 3;  // and again
  ASSERT_EQ(g.d.write(c, reinterpret_cast<const std::uint8_t*>("ho"), 2), 2u);
  g.m.run_us(600);
  EXPECT_EQ(a.seen_of(US_OP_SEND).size(), 2u);
  EXPECT_EQ(g.d.counters().lost_doorbells, 5u);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().lost_doorbells, 5u);
}

TEST(doorbell, that_an_older_adapter_does_not_echo_is_rung_once) {
  driver_rig g;
  g.m.a[0].features &= ~US_FEATURE_ECHO;
  g.start();
  const host::conn c = g.accept_one();
  g.m.a[0].lost[US_REG_IDT_TAIL] = 1;
  ASSERT_EQ(g.d.write(c, reinterpret_cast<const std::uint8_t*>("hi"), 2), 2u);
  g.m.run_us(1000);
  EXPECT_TRUE(g.m.a[0].seen_of(US_OP_SEND).empty());
  EXPECT_EQ(g.d.counters().lost_doorbells, 0u);
}

TEST(odt, longer_than_one_service_lets_other_work_run_between) {
  host::driver_config config = small_config();
  config.odt_entries = 2048;
  driver_rig g(1, config);
  g.start();
  for (int i = 0; i < 1000; ++i) g.m.a[0].emit(g.m.a[0].blank(US_REC_CREDIT, US_NO_CID), false);
  g.m.a[0].emit(g.m.a[0].blank(US_REC_CREDIT, US_NO_CID));
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].reg(US_REG_ODT_HEAD), g.m.a[0].written());
}

// ---------------------------------------------------------------- bad records

struct bad_records : ::testing::Test {
  driver_rig g;
  host::conn c = host::no_conn;
  void SetUp() override {
    g.start();
    c = g.accept_one();
    ASSERT_NE(c, host::no_conn);
    ASSERT_EQ(g.write(c, "0123456789"), 10);
  }
  fake_adapter& a() { return g.m.a[0]; }
  us_record good_data() {
    us_record r = a().blank(US_REC_DATA, 5);
    r.u.data = {a().connections[5].rx.front().buf_id, 0, 4, {}};
    r.rcv_nxt += 4;
    return r;
  }
  // The record is counted as bad, changes nothing, and the connection goes on.
  void expect_dropped(us_record r, const char* what) {
    const std::uint64_t before = g.d.counters().bad_records;
    const host::shadow_facts was = g.shadow(5);
    a().emit(r);
    g.m.run_us(1);
    EXPECT_EQ(g.d.counters().bad_records, before + 1) << what;
    const host::shadow_facts is = g.shadow(5);
    EXPECT_EQ(is.h_rcv, was.h_rcv) << what;
    EXPECT_EQ(is.h_una, was.h_una) << what;
    EXPECT_EQ(is.grant_edge, was.grant_edge) << what;
    EXPECT_TRUE(g.user.ended.empty()) << what;
  }
};

TEST_F(bad_records, of_every_kind_are_counted_and_dropped) {
  us_record r = good_data();
  const auto with = [&](auto change, const char* what) {
    us_record x = good_data();
    change(x);
    expect_dropped(x, what);
  };
  with([](auto& x) { x.type = 77; }, "type");
  with([](auto& x) { x.cid = 6; }, "cid unknown");
  with([](auto& x) { x.cid = cid{5, 3}.raw; }, "cid of another generation");
  with([](auto& x) { x.cid = 0x000fffff; }, "cid out of range");
  with([](auto& x) { x.cid = US_NO_CID; }, "no cid");
  with([](auto& x) { x.u.data.buf_id = US_NO_BUF; }, "no buffer");
  with([](auto& x) { x.u.data.buf_id = 0xfff00; }, "buffer out of range");
  with([&](auto& x) { x.u.data.buf_id = a().pool.front().u.rx.buf_id; }, "a buffer of the pool");
  with([](auto& x) { x.u.data.off = 8; }, "offset");
  with([](auto& x) { x.u.data.off = 0xfffffffe; }, "offset that overflows");
  with([](auto& x) { x.u.data.len = 5000, x.rcv_nxt += 4996; }, "longer than the buffer");
  with([](auto& x) { x.u.data.len = 0xffffffff, x.rcv_nxt -= 5; }, "length that overflows");
  with([](auto& x) { x.u.data.len = 0; }, "neither bytes nor FIN");
  with([](auto& x) { x.flags = US_REC_FLAG_DONE; }, "DONE too early");
  with([](auto& x) { x.rcv_nxt -= 1; }, "rcv_nxt too low");
  with([](auto& x) { x.rcv_nxt -= 4; }, "rcv_nxt of before");
  with([](auto& x) { x.snd_una += 11; }, "acknowledges what was never posted");
  with([](auto& x) { x.idt_head += 1; }, "consumed more than announced");
  with([](auto& x) { x.epoch = 9; }, "epoch of the future");
  expect_dropped(a().blank(US_REC_TIME_WAIT, 5), "TIME_WAIT without FINs");
  us_record e = a().blank(US_REC_ESTABLISHED, 5);
  expect_dropped(e, "ESTABLISHED twice");
  us_record refused = a().blank(US_REC_REFUSED, 5);
  refused.u.end = {US_ERR_BAD_LENGTH, US_OP_SEND, 0x12345678, 0, {}};
  expect_dropped(refused, "refuses what was never posted");
  EXPECT_EQ(g.d.counters().bad_records, 22u);

  a().emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().bad_records, 22u) << "negative control: the good record is taken";
  EXPECT_EQ(g.d.readable(c), 4u);
}

TEST_F(bad_records, about_new_connections_create_none) {
  const auto opens = [&](auto change) {
    us_record r = a().blank(US_REC_EMBRYO, 9);
    const host::endpoint p = v4(peer_ip, 2000);
    std::memcpy(r.u.conn.peer_ip, p.ip, 16);
    r.u.conn.local_port = 80;
    r.u.conn.peer_port = 2000;
    r.snd_wnd = US_NO_BUF;
    change(r);
    const std::uint64_t before = g.d.counters().bad_records;
    a().emit(r);
    g.m.run_us(1);
    return g.d.counters().bad_records - before;
  };
  EXPECT_EQ(opens([](auto& r) { r.cid = 64; }), 1u) << "beyond the adapter's table";
  EXPECT_EQ(opens([](auto& r) { r.cid = 5; }), 1u) << "in use";
  EXPECT_EQ(opens([](auto& r) { r.cid = cid{5, 1}.raw; }), 1u) << "index in use";
  EXPECT_EQ(opens([](auto& r) { r.u.conn.addr_index = 1; }), 1u);
  EXPECT_EQ(opens([](auto& r) { r.u.conn.peer_port = 1000; }), 1u) << "tuple in use";
  EXPECT_EQ(opens([](auto& r) { r.snd_wnd = 12345; }), 1u) << "not a pool buffer";
  EXPECT_EQ(opens([&](auto& r) {
              r.snd_wnd = a().pool.front().u.rx.buf_id;
              r.u.conn.pool_kib = 2;
            }),
            1u)
      << "wrong size";
  EXPECT_EQ(g.d.connections(), 1u);
  EXPECT_EQ(opens([](auto&) {}), 0u) << "negative control";
  EXPECT_EQ(g.d.connections(), 2u);
}

TEST_F(bad_records, that_leave_a_hole_abort_the_one_connection) {
  const host::conn other = g.accept_one(6, 1001);
  us_record r = good_data();
  r.u.data.off = 4;
  r.rcv_nxt += 4;
  a().emit(r);
  g.m.run_us(1);
  EXPECT_TRUE(a().connections[5].aborted);
  EXPECT_FALSE(a().connections[6].aborted);
  a().ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  const std::vector<std::pair<host::conn, int>> want{{c, EIO}};
  EXPECT_EQ(g.user.ended, want);
  a().peer_sends(6, "fine");
  g.m.run_us(1);
  EXPECT_EQ(g.read_all(other), "fine");
}

TEST_F(bad_records, of_random_bytes_under_a_valid_crc_never_crash_the_driver) {
  std::uint64_t x = 88172645463325252ULL;
  RecordProperty("seed", "88172645463325252");
  for (int i = 0; i < 20'000; ++i) {
    us_record r;
    for (std::size_t k = 0; k < sizeof r; k += 8) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      std::memcpy(reinterpret_cast<std::uint8_t*>(&r) + k, &x, 8);
    }
    r.type = static_cast<std::uint8_t>(1 + r.type % 10);
    r.epoch = 1;
    if (x & 1) r.cid = 5;
    if (x & 2) r.idt_head = a().consumed;
    if (x & 4) r.snd_una = a().connections[5].snd_una.raw;
    if (x & 8) r.u.data.buf_id &= 0x1f;
    a().emit(r);
    g.m.run_us(1);
    ASSERT_LE(g.d.connections(), 64u);
  }
  EXPECT_GT(g.d.counters().bad_records, 10'000u);
}

TEST_F(bad_records, of_an_older_epoch_are_refused_and_counted) {
  driver_rig h(2);
  h.start();
  const host::conn old = h.accept_one();
  h.d.fail_now(0);
  h.m.run_us(500);
  ASSERT_EQ(h.d.state(), host::recovery_state::running);
  us_record r = h.m.a[1].blank(US_REC_DATA, 5);
  r.epoch = 1;
  r.rcv_nxt += 1;
  r.u.data = {h.m.a[1].connections[5].rx.front().buf_id, 0, 1, {}};
  const std::uint64_t before = h.d.counters().late_records;
  h.m.a[1].emit(r);
  h.m.run_us(1);
  EXPECT_EQ(h.d.counters().late_records, before + 1);
  EXPECT_EQ(h.d.readable(old), 0u);
  h.m.a[1].peer_sends(5, "new");
  h.m.run_us(1);
  EXPECT_EQ(h.read_all(old), "new");
}

TEST_F(bad_records, in_the_ring_itself_fail_the_adapter) {
  us_record r = a().blank(US_REC_CREDIT, US_NO_CID);
  const std::uint32_t n = a().emit(r, false);
  a().slot(n)[9] ^= 0x40;
  a().emit(r);
  g.m.run_us(10);
  EXPECT_EQ(g.d.counters().failovers, 1u);
  EXPECT_GE(g.d.counters().bad_records, 1u);
}

// ---------------------------------------------------------------- refusals

TEST_F(bad_records, refused_send_becomes_an_error_of_that_connection) {
  us_record r = a().blank(US_REC_REFUSED, 5);
  r.u.end = {US_ERR_BAD_SEQUENCE, US_OP_SEND, a().consumed - 1, 0, {}};
  a().emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().refused, 1u);
  EXPECT_TRUE(a().connections[5].aborted);
  a().ends(5, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(1);
  const std::vector<std::pair<host::conn, int>> want{{c, EIO}};
  EXPECT_EQ(g.user.ended, want);
}

TEST_F(bad_records, refused_pool_buffer_comes_back) {
  std::uint32_t index = 0;
  while (a().seen[index].opcode != US_OP_POST_POOL) ++index;
  index += 1;  // the first one went to the connection
  const std::size_t free = g.d.buffers_free();
  us_record r = a().blank(US_REC_REFUSED, US_NO_CID);
  r.u.end = {US_ERR_BAD_ADDRESS, US_OP_POST_POOL, index, 0, {}};
  a().emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.buffers_free(), free + 1);
}

}  // namespace
}  // namespace understudy::tb
