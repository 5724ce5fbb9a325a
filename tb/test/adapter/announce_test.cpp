// How established connections become known to the host: gathered, in one burst, in order, or not at all.
#include "tb/test/adapter/announce_rig.h"

namespace understudy::tb {
namespace {

// When the first request of the first write of more than one record left the adapter.
picos burst_issued_at(const adapter_rig& g) {
  constexpr auto memory_write = static_cast<std::uint64_t>(tlp_type::memory_write);
  for (const event& e : g.events.of(event_kind::tlp_up))
    if (e.a >= g.odt.iova && e.a < g.odt.iova + 4096 && e.b >> 32 == memory_write &&
        (e.b & 0xffffffff) > US_ENTRY_BYTES)
      return e.at;
  return never;
}

picos established_at(const adapter_rig& g, std::size_t n) {
  std::vector<picos> all;
  for (const event& e : g.events.of(event_kind::engine_step))
    if (e.b >> 32 == US_REC_ESTABLISHED) all.push_back(e.at);
  return n < all.size() ? all[n] : never;
}

TEST(announce, CE_2_gathers_five_and_writes_them_in_one_burst_when_the_oldest_is_due) {
  adapter_rig g;
  serve(g, {.age_us = 2000});
  establish(g, 5);
  EXPECT_TRUE(of(g.take_records(), US_REC_ESTABLISHED).empty());
  EXPECT_TRUE(g.interrupts.empty()) << "records that commit a handshake are quiet";
  g.run(3_ms);
  const auto told = of(g.take_records(), US_REC_ESTABLISHED);
  ASSERT_EQ(told.size(), 5u);
  for (std::uint16_t i = 0; i < 5; ++i) EXPECT_EQ(told[i].u.conn.peer_port, first_peer + i);
  EXPECT_EQ(g.dev.announcements().bursts, 1u);
  EXPECT_EQ(bursts_for(g, announce_reason::age), 1u);
  const adapter_config c;
  const picos due = established_at(g, 0) + 2_ms;
  EXPECT_GE(burst_issued_at(g), due);
  EXPECT_LE(burst_issued_at(g), due + c.clock_period) << "within one cycle of the adapter's clock";
  EXPECT_EQ(g.interrupts.size(), 1u);
  g.expect_no_report();
}

TEST(announce, CE_2_data_of_one_of_them_brings_the_burst_at_once_and_before_them) {
  adapter_rig g;
  serve(g, {.age_us = 100000});
  const auto iss = establish(g, 5);
  g.take_records();
  g.wire.send(g.segment_from_peer(http, first_peer + 3, seq32{1001}, iss[3] + 1, tcp_ack | tcp_psh, 100));
  g.run(50_us);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 6u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(records[static_cast<std::size_t>(i)].type, US_REC_ESTABLISHED);
  EXPECT_EQ(records[5].type, US_REC_DATA);
  EXPECT_EQ(records[5].cid, records[3].cid);
  EXPECT_EQ(bursts_for(g, announce_reason::data), 1u);
  g.expect_no_report();
}

TEST(announce, a_full_batch_leaves_at_once_in_one_write) {
  adapter_rig g;
  serve(g, {.count = 4, .buffers = 12});
  establish(g, 9);
  EXPECT_EQ(g.dev.announcements().bursts, 2u);
  EXPECT_EQ(g.dev.announcements().connections, 8u);
  std::size_t wide = 0;
  for (const event& e : g.events.of(event_kind::write_visible)) wide += e.b == 4 * US_ENTRY_BYTES;
  EXPECT_EQ(wide, 2u);
  g.expect_no_report();
}

TEST(announce, an_idle_host_asks_and_a_command_flushes) {
  adapter_rig g;
  serve(g, {});
  establish(g, 2);
  g.write(US_REG_ANNOUNCE_NOW, 1);
  g.run(10_us);
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 2u);
  g.ring_odt();
  establish(g, 1, 2);
  us_idt_entry e{};
  e.opcode = US_OP_FLUSH;
  e.cid = US_NO_CID;
  g.post(e);
  g.ring();
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 1u);
  EXPECT_EQ(bursts_for(g, announce_reason::idle), 1u);
  EXPECT_EQ(bursts_for(g, announce_reason::flush), 1u);
  g.expect_no_report();
}

TEST(announce, an_urgent_listener_does_not_wait) {
  adapter_rig g;
  serve(g, {.flags = US_CONN_PROTECTED | US_LISTEN_URGENT});
  establish(g, 3);
  EXPECT_EQ(g.dev.announcements().bursts, 3u);
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 3u);
}

// Six connections that nothing but a want of room could announce; with room in table and pool nothing does.
void expect_no_burst_before_the_sixth(adapter_rig& g) {
  establish(g, 5);
  EXPECT_EQ(g.dev.announcements().bursts, 0u);
  establish(g, 1, 5);
}

TEST(announce, a_table_that_runs_short_is_no_reason_to_wait) {
  adapter_rig g({}, 256, 16);
  serve(g, {.buffers = 64});  // a quarter of them is never reached
  expect_no_burst_before_the_sixth(g);
  EXPECT_EQ(bursts_for(g, announce_reason::space), 1u)
      << "six records lie in the table, and there is no room for twice six more";
  EXPECT_EQ(g.dev.announcements().connections, 6u);
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 6u);
  g.expect_no_report();
}

TEST(announce, a_pool_that_runs_short_is_no_reason_to_wait) {
  adapter_rig g({}, 256, 256);  // the table has room for all
  serve(g, {.buffers = 8});
  expect_no_burst_before_the_sixth(g);
  EXPECT_EQ(bursts_for(g, announce_reason::space), 1u) << "of eight buffers two are left";
  EXPECT_EQ(g.dev.announcements().connections, 5u) << "the sixth has not finished its handshake";
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 5u);
  EXPECT_EQ(g.interrupts.size(), 1u) << "the host is to fill the pool up";
  g.expect_no_report();
}

TEST(announce, with_room_in_table_and_pool_six_connections_wait) {
  adapter_rig g({}, 256, 256);
  serve(g, {.buffers = 64});
  expect_no_burst_before_the_sixth(g);
  EXPECT_EQ(g.dev.announcements().bursts, 0u);
}

TEST(announce, a_host_of_minor_1_gets_every_connection_by_itself) {
  adapter_rig g;
  serve(g, {.count = 0});
  establish(g, 3);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 6u);
  for (const us_record& r : records) EXPECT_EQ(r.flags & US_REC_FLAG_QUIET, 0);
  EXPECT_EQ(g.dev.announcements().bursts, 3u);
}

TEST(announce, a_handshake_that_is_committed_before_its_synack_needs_no_interrupt) {
  adapter_rig g;
  serve(g, {});
  g.wire.send(g.segment_from_peer(http, first_peer, seq32{1000}, seq32{0}, tcp_syn));
  g.run(50_us);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, US_REC_EMBRYO);
  EXPECT_TRUE(records[0].flags & US_REC_FLAG_QUIET);
  EXPECT_EQ(g.dev.announcements().commit_writes, 1u);
  EXPECT_TRUE(g.interrupts.empty());
  EXPECT_EQ(g.take_segments().size(), 1u);
}

TEST(announce, a_listener_whose_server_speaks_first_is_refused_cookies_as_its_only_memory) {
  adapter_rig g;
  serve(g, {.commit = US_COMMIT_BEFORE_DATA_ACK, .flags = US_CONN_PROTECTED | US_LISTEN_SPEAKS_FIRST});
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, US_REC_REFUSED);
  EXPECT_EQ(records[0].u.end.status, US_ERR_BAD_STATE);
}

TEST(announce, accept_credits_hold_connections_back_until_the_application_has_taken_others) {
  adapter_rig g;
  terms t{.count = 1, .credits = 2};
  serve(g, t);
  establish(g, 4);
  EXPECT_EQ(of(g.take_records(), US_REC_ESTABLISHED).size(), 2u);
  g.ring_odt();
  EXPECT_EQ(g.dev.announcements().held, 2u);
  for (const segment& s : g.take_segments()) ADD_FAILURE() << "unasked-for segment, flags " << int{s.flags};
  t.credits = 1;
  g.post(listener(US_OP_ACCEPTED, t));
  g.ring();
  const auto told = of(g.take_records(), US_REC_ESTABLISHED);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].u.conn.peer_port, first_peer + 2) << "in the order of their establishment";
  EXPECT_EQ(told[0].snd_wnd, US_NO_BUF) << "its peer has had no window";
  g.expect_no_report();
}

TEST(announce, a_full_backlog_drops_syns_and_resets_nobody) {
  adapter_rig g;
  serve(g, {.count = 1, .credits = 1});
  establish(g, 16);
  us_idt_entry small = listener(US_OP_LISTEN, {.count = 1, .credits = 1});
  small.u.listen.port = 81;
  small.u.listen.backlog = 2;
  g.post(small);
  g.ring();
  seq32 iss;
  for (std::uint16_t i = 0; i < 3; ++i)
    ASSERT_TRUE(g.establish(81, static_cast<std::uint16_t>(6000 + i), seq32{1}, &iss));
  EXPECT_FALSE(g.establish(81, 6003, seq32{1}, &iss)) << "one announced, two held: the backlog is full";
  EXPECT_TRUE(g.take_segments().empty());
  EXPECT_GE(g.dev.engine().counters().refused_syns, 1u);
}

}  // namespace
}  // namespace understudy::tb
