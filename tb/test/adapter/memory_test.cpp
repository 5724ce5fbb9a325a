// Where the adapter puts what it receives: lent buffers first, waiting, holding back, expediting, groups.
#include <map>

#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t http = 80;

struct memory_rig : adapter_rig {
  using adapter_rig::adapter_rig;
  std::map<std::uint16_t, seq32> iss;
  std::map<std::uint16_t, seq32> next;  // of the peer's stream
  std::map<std::uint16_t, std::uint32_t> cids;

  void serve(unsigned pool = 8, std::uint8_t memory_flags = 0, std::uint32_t kib = 16) {
    bring_up();
    post_address();
    us_idt_entry e{};
    e.opcode = US_OP_LISTEN;
    e.flags = US_CONN_PROTECTED;
    e.cid = US_NO_CID;
    e.u.listen.port = http;
    e.u.listen.backlog = 64;
    e.u.listen.memory.memory = memory_flags;
    post(e);
    for (unsigned i = 0; i < pool; ++i) post_pool(kib);
    ring(50_us);
    introduce_peer();
  }
  void open(std::uint16_t peer_port, std::uint32_t irs = 1000) {
    ASSERT_TRUE(establish(http, peer_port, seq32{irs}, &iss[peer_port]));
    next[peer_port] = seq32{irs + 1};
    for (const us_record& r : take_records())
      if (r.type == US_REC_EMBRYO || r.type == US_REC_ESTABLISHED) cids[peer_port] = r.cid;
    ring_odt();
  }
  void peer_sends(std::uint16_t peer_port, std::uint32_t bytes, std::uint8_t flags = tcp_ack) {
    wire.send(segment_from_peer(http, peer_port, next[peer_port], iss[peer_port] + 1, flags, bytes));
    next[peer_port] += bytes;
  }
  // A buffer for one connection, `direct` or of the pool's kind; its id.
  std::uint32_t lend(std::uint16_t peer_port, std::uint32_t bytes, seq32 edge, bool direct = true) {
    const auto b = memory.allocate(bytes, 4096);
    buffers.push_back(b);
    us_idt_entry e{};
    e.opcode = US_OP_POST_RX;
    e.flags = direct ? US_RX_DIRECT : 0;
    e.cid = cids[peer_port];
    e.u.rx.iova_lo = static_cast<std::uint32_t>(b.iova);
    e.u.rx.iova_hi = static_cast<std::uint32_t>(b.iova >> 32);
    e.u.rx.len = bytes;
    e.u.rx.buf_id = static_cast<std::uint32_t>(buffers.size() - 1);
    e.u.rx.edge = edge.raw;
    post(e);
    return e.u.rx.buf_id;
  }
  void hold(std::uint32_t bytes, std::uint32_t count, std::uint32_t us, bool expedite = false) {
    write(US_REG_HOLD_BYTES, bytes);
    write(US_REG_HOLD_COUNT, count);
    write(US_REG_HOLD_US, us);
    write(US_REG_HOLD_EXPEDITE, expedite);
  }
  std::vector<us_record> data_records() {
    std::vector<us_record> some;
    for (const us_record& r : take_records())
      if (r.type == US_REC_DATA) some.push_back(r);
    return some;
  }
  // TLPs that write into buffer `id`, since event `from`.
  unsigned writes_into(std::uint32_t id, std::size_t from) const {
    unsigned n = 0;
    for (std::size_t i = from; i < events.all.size(); ++i) {
      const event& e = events.all[i];
      n += e.kind == event_kind::tlp_up && e.b >> 32 == static_cast<std::uint64_t>(tlp_type::memory_write) &&
           e.a >= buffers[id].iova && e.a < buffers[id].iova + 65536;
    }
    return n;
  }
};

TEST(memory, MM_3_a_lent_buffer_is_filled_in_parts_and_ends_with_its_last_byte) {
  memory_rig g;
  g.serve(8, US_MEM_DIRECT);
  g.open(5000);
  const std::uint32_t id = g.lend(5000, 65536, seq32{1001 + 16384 + 65536});
  g.ring();
  std::uint32_t sent = 0;
  std::vector<us_record> records;
  const auto send = [&](std::uint32_t bytes, std::uint8_t flags) {
    g.peer_sends(5000, bytes, flags);
    sent += bytes;
    g.run(30_us);
    for (const us_record& r : g.data_records()) records.push_back(r);
    g.ring_odt();
  };
  for (const std::uint32_t n : {1460u, 1460u, 1460u, 620u}) send(n, n == 620 ? tcp_ack | tcp_psh : tcp_ack);
  EXPECT_EQ(sent, 5000u);
  g.run(1_ms);  // a pause: the record ended with the push, the buffer stays with the adapter
  while (sent < 65536) send(std::min(1460u, 65536 - sent), tcp_ack);
  std::uint32_t at = 0;
  for (const us_record& r : records) {
    EXPECT_EQ(r.u.data.buf_id, id);
    EXPECT_EQ(r.u.data.off, at) << "ranges touch and never overlap";
    at += r.u.data.len;
    EXPECT_EQ((r.flags & US_REC_FLAG_DONE) != 0, at == 65536);
    EXPECT_EQ((r.flags & US_REC_FLAG_PUSH) != 0, at == 5000);
  }
  EXPECT_EQ(at, 65536u);
  for (std::uint32_t i = 0; i < 65536; ++i)
    ASSERT_EQ(g.buffers[id].cpu[i], static_cast<std::uint8_t>(1001 + i)) << i;
  EXPECT_EQ(g.dev.counters().fallbacks, 0u);
  g.expect_no_report();
}

// 256 segments of 64 bytes with a hold of 16, in one buffer; `count` 0: no hold.
unsigned records_of_small_segments(memory_rig& g, unsigned* writes, unsigned* interrupts) {
  const std::size_t before = g.events.all.size();
  const std::size_t calls = g.interrupts.size();
  for (int i = 0; i < 256; ++i) g.peer_sends(5000, 64);
  g.run(2_ms);
  *writes = g.writes_into(0, before);
  *interrupts = static_cast<unsigned>(g.interrupts.size() - calls);
  const auto records = g.data_records();
  std::uint32_t bytes = 0;
  for (const us_record& r : records) bytes += r.u.data.len;
  EXPECT_EQ(bytes, 256u * 64);
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), 0u);
  return static_cast<unsigned>(records.size());
}

TEST(memory, MM_4_sixteen_small_segments_at_a_time_are_one_write_and_one_record) {
  memory_rig g({}, 64, 1024);
  g.serve(2, 0, 64);
  g.open(5000);
  g.hold(4096, 16, 50);
  unsigned writes = 0, interrupts = 0;
  EXPECT_EQ(records_of_small_segments(g, &writes, &interrupts), 16u);
  EXPECT_EQ(writes, 16u * 4) << "of 1024 bytes, in TLPs of 256";
  EXPECT_EQ(g.dev.counters().holds, 16u);
  EXPECT_EQ(g.dev.counters().merged, 240u);
  g.expect_no_report();
}

TEST(memory, MM_4_without_a_hold_each_segment_is_a_write_and_a_record) {
  memory_rig g({}, 64, 1024);
  g.serve(2, 0, 64);
  g.open(5000);
  unsigned writes = 0, interrupts = 0;
  EXPECT_EQ(records_of_small_segments(g, &writes, &interrupts), 256u);
  EXPECT_EQ(writes, 256u);
  EXPECT_EQ(g.dev.counters().holds, 0u);
  g.expect_no_report();
}

TEST(memory, MM_4_what_lies_in_two_buffers_is_two_writes_and_two_records_of_one_burst) {
  memory_rig g({}, 64, 1024);
  g.serve(1);
  g.open(5000);
  const seq32 edge{1001 + 16384};
  g.lend(5000, 96, edge + 96);  // before the pool's: 1.5 segments
  g.ring();
  g.hold(0, 5, 50);  // five pieces: the second segment is cut in two
  const std::size_t before = g.events.all.size();
  for (int i = 0; i < 4; ++i) g.peer_sends(5000, 64);
  g.run(1_ms);
  const auto records = g.data_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].u.data.len, 96u);
  EXPECT_TRUE(records[0].flags & US_REC_FLAG_DONE);
  EXPECT_EQ(records[1].u.data.len, 160u);
  EXPECT_EQ(g.dev.counters().holds, 1u) << "a hold of four segments goes at once";
  unsigned bursts = 0;
  for (std::size_t i = before; i < g.events.all.size(); ++i) {
    const event& e = g.events.all[i];
    bursts += e.kind == event_kind::tlp_up && e.a >= g.odt.iova &&
              e.a < g.odt.iova + std::uint64_t{g.odt_entries} * US_ENTRY_BYTES &&
              static_cast<std::uint32_t>(e.b) == 2 * US_ENTRY_BYTES;
  }
  EXPECT_EQ(bursts, 1u);
  g.expect_no_report();
}

TEST(memory, MM_4_a_late_segment_leaves_when_its_age_is_over) {
  memory_rig g;
  g.serve();
  g.open(5000);
  g.hold(4096, 16, 50);
  const std::size_t before = g.events.all.size();
  g.peer_sends(5000, 64);
  g.run(200_us);
  picos accepted = 0, left = 0;
  for (std::size_t i = before; i < g.events.all.size(); ++i) {
    const event& e = g.events.all[i];
    if (e.kind == event_kind::engine_step && e.b >> 32 == US_REC_DATA) accepted = e.at;
    if (e.kind == event_kind::tlp_up && e.a >= g.buffers[0].iova && e.a < g.buffers[0].iova + 16384)
      left = e.at;
  }
  ASSERT_GT(accepted, 0u);
  EXPECT_GE(left - accepted, 50_us);
  EXPECT_LE(left - accepted, 50_us + 100_ns) << "a cycle, and the way to the bus";
  g.expect_no_report();
}

TEST(memory, what_is_held_back_is_not_acknowledged) {
  memory_rig g;
  g.serve();
  g.open(5000);
  g.hold(0, 0, 300);
  g.take_segments();
  for (int i = 0; i < 4; ++i) g.peer_sends(5000, 1000);
  g.run(290_us);
  for (const segment& s : g.take_segments()) EXPECT_EQ(s.ack, seq32{1001});
  g.run(50_us);
  bool all = false;
  for (const segment& s : g.take_segments()) all = all || s.ack == seq32{5001};
  EXPECT_TRUE(all) << "after the hand-over at once: four segments wait for it";
  g.expect_no_report();
}

TEST(memory, MM_5_urgent_data_takes_what_is_held_of_its_connection_along_and_leaves_others_alone) {
  memory_rig g;
  g.serve();
  g.open(5000);
  g.open(5001, 90000);
  g.hold(0, 0, 400, true);
  g.peer_sends(5001, 64);
  for (int i = 0; i < 3; ++i) g.peer_sends(5000, 64);
  g.run(50_us);
  EXPECT_TRUE(g.data_records().empty());
  g.peer_sends(5000, 64, tcp_ack | tcp_urg);
  g.run(10_us);
  const auto records = g.data_records();
  ASSERT_EQ(records.size(), 1u) << "in order, in one burst";
  EXPECT_EQ(records[0].cid, g.cids[5000]);
  EXPECT_EQ(records[0].u.data.len, 256u);
  EXPECT_EQ(g.dev.counters().expedited, 1u);
  g.run(330_us);
  EXPECT_TRUE(g.data_records().empty()) << "the other's hold goes on";
  g.run(50_us);
  EXPECT_EQ(g.data_records().size(), 1u);
  g.expect_no_report();
}

TEST(memory, a_push_a_fin_and_the_host_s_word_end_a_hold_and_a_push_can_be_told_not_to) {
  memory_rig g;
  g.serve();
  g.open(5000);
  g.hold(0, 0, 10'000, true);
  g.peer_sends(5000, 64);
  g.peer_sends(5000, 64, tcp_ack | tcp_psh);
  g.run(10_us);
  EXPECT_EQ(g.data_records().size(), 1u);
  g.write(US_REG_HOLD_EXPEDITE, 0);
  g.peer_sends(5000, 64, tcp_ack | tcp_psh);
  g.run(50_us);
  EXPECT_TRUE(g.data_records().empty());
  us_idt_entry flush{};
  flush.opcode = US_OP_FLUSH;
  flush.cid = g.cids[5000];
  g.post(flush);
  g.ring();
  EXPECT_EQ(g.data_records().size(), 1u);
  g.peer_sends(5000, 64);
  g.peer_sends(5000, 0, tcp_ack | tcp_fin);
  g.run(10_us);
  const auto last = g.data_records();
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0].u.data.len, 64u);
  EXPECT_TRUE(last[1].flags & US_REC_FLAG_FIN);
  g.expect_no_report();
}

TEST(memory, a_reset_hands_over_what_was_held_before_it_is_told) {
  memory_rig g;
  g.serve();
  g.open(5000);
  g.hold(0, 0, 10'000);
  g.peer_sends(5000, 64);
  g.run(10_us);
  g.peer_sends(5000, 0, tcp_rst | tcp_ack);
  g.run(20_us);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].type, US_REC_DATA);
  EXPECT_EQ(records[1].type, US_REC_ABORTED);
  g.expect_no_report();
}

TEST(memory, a_prioritised_connection_is_never_held_back) {
  memory_rig g;
  g.serve(8, US_MEM_EXPEDITE);
  g.open(5000);
  g.hold(0, 0, 10'000);
  g.peer_sends(5000, 64);
  g.run(10_us);
  EXPECT_EQ(g.data_records().size(), 1u);
  EXPECT_EQ(g.dev.counters().holds, 0u);
}

TEST(memory, MM_6_data_waits_for_a_lent_buffer_and_takes_one_that_comes_in_time) {
  memory_rig g;
  g.serve(8, US_MEM_DIRECT);
  g.write(US_REG_WAIT_US, 100);
  g.open(5000);
  g.peer_sends(5000, 500);
  g.run(90_us);
  EXPECT_TRUE(g.data_records().empty());
  EXPECT_EQ(g.dev.counters().waits, 1u);
  const std::uint32_t id = g.lend(5000, 4096, seq32{1001 + 16384 + 4096});
  g.ring(5_us);
  const auto records = g.data_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].u.data.buf_id, id);
  EXPECT_EQ(g.dev.counters().fallbacks, 0u);
  g.expect_no_report();
}

TEST(memory, MM_6_a_buffer_that_comes_late_gets_what_follows) {
  memory_rig g;
  g.serve(8, US_MEM_DIRECT);
  g.write(US_REG_WAIT_US, 100);
  g.open(5000);
  g.peer_sends(5000, 500);
  g.run(110_us);
  const auto early = g.data_records();
  ASSERT_EQ(early.size(), 1u) << "its time is over: the pool's buffer";
  EXPECT_EQ(early[0].u.data.buf_id, 0u);
  EXPECT_EQ(g.dev.counters().fallbacks, 1u);
  const std::uint32_t id = g.lend(5000, 4096, seq32{1001 + 16384 + 4096});
  g.ring(5_us);
  g.peer_sends(5000, 500);
  g.run(20_us);
  const auto late = g.data_records();
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].u.data.buf_id, id);
  EXPECT_EQ(late[0].rcv_nxt, 1001u + 1000) << "behind what went to the pool";
  g.expect_no_report();
}

us_idt_entry group_rule_of(std::uint8_t index, std::uint16_t terms) {
  us_idt_entry e{};
  e.opcode = US_OP_SET_GROUP;
  e.cid = US_NO_CID;
  e.u.group.index = index;
  e.u.group.lender = US_NO_GROUP;
  e.u.group.terms = terms;
  e.u.group.local_port = http;
  return e;
}

TEST(memory, MM_2_a_connection_begins_with_a_buffer_of_its_group_and_its_record_names_the_group) {
  memory_rig g;
  g.bring_up();
  g.post_address();
  g.post_listen(http);
  us_idt_entry narrow = group_rule_of(2, US_TERM_LOCAL_PORT | US_TERM_REMOTE_PREFIX);
  std::copy(peer_ip.bytes.begin(), peer_ip.bytes.end(), narrow.u.group.remote_ip);
  narrow.u.group.remote_prefix = 96 + 8;
  g.post(group_rule_of(1, US_TERM_LOCAL_PORT));
  g.post(narrow);
  const auto post_to = [&g](std::uint8_t group) {
    const auto b = g.memory.allocate(4096, 4096);
    g.buffers.push_back(b);
    us_idt_entry e{};
    e.opcode = US_OP_POST_POOL;
    e.cid = US_NO_CID;
    e.u.rx.iova_lo = static_cast<std::uint32_t>(b.iova);
    e.u.rx.iova_hi = static_cast<std::uint32_t>(b.iova >> 32);
    e.u.rx.len = 4096;
    e.u.rx.buf_id = static_cast<std::uint32_t>(g.buffers.size() - 1);
    e.u.rx.group = group;
    g.post(e);
  };
  for (std::uint8_t group : {0, 1, 2, 2}) post_to(group);
  g.ring(50_us);
  g.introduce_peer();
  std::vector<us_record> embryos;
  for (std::uint16_t port = 5000; port < 5003; ++port) {
    seq32 iss;
    EXPECT_TRUE(g.establish(http, port, seq32{1000}, &iss));
    for (const us_record& r : g.take_records())
      if (r.type == US_REC_EMBRYO) embryos.push_back(r);
    g.ring_odt();
  }
  ASSERT_EQ(embryos.size(), 3u);
  EXPECT_EQ(embryos[0].snd_wnd, 2u);
  EXPECT_EQ(embryos[1].snd_wnd, 3u);
  EXPECT_EQ(embryos[2].snd_wnd, US_NO_BUF) << "its group has none left, and it may not borrow";
  for (const us_record& r : embryos) EXPECT_EQ(r.u.conn.group, 2u);
  EXPECT_EQ(g.dev.counters().pool_empty, 1u);
  g.expect_no_report();
}

TEST(memory, groups_and_buffers_that_cannot_be_are_refused_and_change_nothing) {
  memory_rig g;
  g.serve(1);
  std::vector<us_idt_entry> bad;
  bad.push_back(group_rule_of(0, US_TERM_LOCAL_PORT));          // the default group
  bad.push_back(group_rule_of(US_GROUPS, US_TERM_LOCAL_PORT));  // beyond the last
  bad.push_back(group_rule_of(1, 0));                           // no term
  bad.push_back(group_rule_of(1, 0x8000));                      // an unknown one
  bad.push_back(group_rule_of(1, US_TERM_LOCAL_PORT));
  bad.back().u.group.lender = 1;  // itself
  us_idt_entry again{};
  again.opcode = US_OP_POST_POOL;
  again.cid = US_NO_CID;
  again.u.rx.len = 4096;
  again.u.rx.buf_id = 0;  // in the pool already
  bad.push_back(again);
  again.u.rx.buf_id = 1;
  again.u.rx.group = US_GROUPS;
  bad.push_back(again);
  us_idt_entry flush{};
  flush.opcode = US_OP_FLUSH;
  flush.cid = 77;
  bad.push_back(flush);
  const std::uint32_t expected[] = {US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH,
                                    US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH, US_ERR_IN_USE,
                                    US_ERR_BAD_LENGTH, US_ERR_BAD_CID};
  g.take_records();
  for (const us_idt_entry& e : bad) g.post(e);
  g.ring(50_us);
  std::vector<std::uint32_t> refused;
  for (const us_record& r : g.take_records())
    if (r.type == US_REC_REFUSED) refused.push_back(r.u.end.status);
  ASSERT_EQ(refused.size(), std::size(expected));
  for (std::size_t i = 0; i < refused.size(); ++i) EXPECT_EQ(refused[i], expected[i]) << i;
  g.ring_odt();
  g.open(5000);
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), std::size(expected));
  g.expect_no_report();
}

}  // namespace
}  // namespace understudy::tb
