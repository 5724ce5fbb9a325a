// From the wire to host memory: the life of a received byte, and every frame that is no good.
#include <algorithm>
#include <iostream>

#include "model/core/checksum.h"
#include "model/core/rng.h"
#include "model/core/vlan.h"
#include "tb/test/adapter/adapter_rig.h"
#include "tb/test/core/too_big.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t http = 80;

void serve(adapter_rig& g) {
  g.bring_up();
  g.post_address();
  g.post_listen(http);
  for (int i = 0; i < 8; ++i) g.post_pool();
  g.ring(50_us);
  g.introduce_peer();
}

TEST(reception, commits_payload_before_its_record_before_its_ack) {
  adapter_rig g;
  serve(g);
  seq32 iss;
  ASSERT_TRUE(g.establish(http, 5000, seq32{1000}, &iss));
  const auto opening = g.take_records();
  ASSERT_EQ(opening.size(), 2u);
  EXPECT_EQ(opening[0].type, US_REC_EMBRYO);
  EXPECT_EQ(opening[1].type, US_REC_ESTABLISHED);
  g.ring_odt();
  const std::size_t before = g.events.all.size();
  g.wire.send(g.segment_from_peer(http, 5000, seq32{1001}, iss + 1, tcp_ack | tcp_psh, 1460));
  g.wire.send(g.segment_from_peer(http, 5000, seq32{1001 + 1460}, iss + 1, tcp_ack | tcp_psh, 1460));
  g.run(50_us);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].rcv_nxt, 1001u + 2920);
  const auto& buffer = g.buffers[records[0].u.data.buf_id];
  for (std::uint32_t i = 0; i < 2920; ++i) ASSERT_EQ(buffer.cpu[i], static_cast<std::uint8_t>(1001 + i)) << i;
  std::uint64_t payload = 0, record = 0, ack = 0;
  for (std::size_t i = before; i < g.events.all.size(); ++i) {
    const event& e = g.events.all[i];
    if (e.kind == event_kind::write_visible && e.a >= buffer.iova && e.a < buffer.iova + 2920)
      payload = e.number;
    if (e.kind == event_kind::write_visible && e.a >= g.odt.iova && e.a < g.odt.iova + 4096)
      record = e.number;
    if (e.kind == event_kind::frame_out && !ack) ack = e.number;
  }
  EXPECT_GT(payload, 0u);
  EXPECT_GT(record, payload);
  EXPECT_GT(ack, record);
  const auto acks = g.take_segments();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].ack, seq32{1001 + 2920});
  g.expect_no_report();
}

TEST(dma, splits_at_mps_and_at_pages) {
  adapter_rig g;
  serve(g);
  seq32 iss;
  ASSERT_TRUE(g.establish(http, 5000, seq32{1000}, &iss));
  seq32 at{1001};
  for (int i = 0; i < 10; ++i, at += 1460)
    g.wire.send(g.segment_from_peer(http, 5000, at, iss + 1, tcp_ack, 1460));
  g.run(200_us);
  std::uint64_t bytes = 0;
  bool full = false;
  const auto& buffer = g.buffers[0];
  for (const event& e : g.events.of(event_kind::tlp_up)) {
    if (e.b >> 32 != static_cast<std::uint64_t>(tlp_type::memory_write)) continue;
    const auto length = static_cast<std::uint32_t>(e.b);
    EXPECT_LE(length, 256u);
    EXPECT_EQ(e.a / 4096, (e.a + length - 1) / 4096) << "crosses a page";
    full = full || length == 256;
    if (e.a >= buffer.iova && e.a < buffer.iova + 16 * 1024) bytes += length;
  }
  EXPECT_TRUE(full);
  EXPECT_EQ(bytes, 14600u);
  g.expect_no_report();
}

TEST(reception, that_is_blocked_drops_and_answers_nothing) {
  adapter_rig g;
  g.bring_up(0);
  g.post_address();
  g.post_listen(http);
  g.ring();
  for (int i = 0; i < 10; ++i)
    g.wire.send(g.segment_from_peer(http, static_cast<std::uint16_t>(5000 + i), seq32{1}, seq32{0}, tcp_syn));
  g.wire.send(make_arp_request(peer_mac, peer_ip, adapter_ip));
  g.run(100_us);
  EXPECT_TRUE(g.wire.arrivals.empty());
  EXPECT_EQ(g.read(US_REG_DROPPED_BLOCKED), 11u);
  g.expect_no_report();
}

// The adapter goes on to serve: a new connection is accepted and gets its ACK.
void expect_serving(adapter_rig& g, std::uint16_t peer_port) {
  g.take_records();
  g.ring_odt();
  g.post_pool();
  g.ring();
  g.introduce_peer();
  seq32 iss;
  ASSERT_TRUE(g.establish(http, peer_port, seq32{77}, &iss));
  g.take_segments();
  g.wire.send(g.segment_from_peer(http, peer_port, seq32{78}, iss + 1, tcp_ack | tcp_psh, 100));
  g.wire.send(g.segment_from_peer(http, peer_port, seq32{178}, iss + 1, tcp_ack | tcp_psh, 100));
  g.run(100_ms);
  bool acknowledged = false;
  for (const segment& s : g.take_segments()) acknowledged = acknowledged || s.ack == seq32{278};
  EXPECT_TRUE(acknowledged);
}

// RFC 9293 MUST-63. Only who knows the length of the network knows its broadcast address.
TEST(bad_frame, from_a_broadcast_address_or_a_group_is_dropped_without_an_answer) {
  adapter_rig g;
  serve(g);
  unsigned sent = 0;
  for (const ip_address& from :
       {ip_address::v4(10, 0, 0, 255), ip_address::v4(255, 255, 255, 255), ip_address::v4(224, 0, 0, 5)}) {
    for (const std::uint16_t to : {http, std::uint16_t{99}}) {
      segment s;
      s.tuple = {from, adapter_ip, 5000, to};
      s.flags = tcp_syn;
      frame_ref f = frame_ref::make(0, 128);
      prepend_headers(f, s, peer_mac, adapter_mac, 1);
      g.wire.send(f);
      ++sent;
    }
  }
  g.run(100_us);
  EXPECT_EQ(sent, 6u);
  EXPECT_TRUE(g.take_segments().empty());
  EXPECT_TRUE(g.take_records().empty());
  EXPECT_EQ(g.dev.engine().connections(), 0u);
  seq32 iss;
  EXPECT_TRUE(g.establish(http, 5000, seq32{1000}, &iss)) << "one station gets in";
}

TEST(bad_frame, cut_at_any_length_is_dropped_and_counted) {
  adapter_rig g;
  serve(g);
  const frame_ref whole = g.segment_from_peer(http, 6000, seq32{1}, seq32{0}, tcp_syn);
  const std::uint32_t length = whole.size();
  const std::uint64_t before = g.dev.counters().frames_in;
  for (std::uint32_t n = 0; n < length; ++n) {
    g.wire.send(frame_ref::copy_of(whole.data(), n));
    g.run(2_us);
  }
  g.run(100_us);
  const adapter_counters& c = g.dev.counters();
  EXPECT_EQ(c.frames_in - before, length);
  EXPECT_EQ(c.dropped[drop_cause::length], length);
  EXPECT_EQ(c.dropped.bad() + c.dropped.sound(), length);
  EXPECT_EQ(g.dev.engine().connections(), 0u);
  expect_serving(g, 6001);
  g.expect_no_report();
}

TEST(bad_frame, with_a_lying_length_or_option_is_dropped_and_counted) {
  adapter_rig g;
  serve(g);
  // Byte, value: IP version and header length, total length, TCP data offset, option kinds and lengths. The
  // checksums are made right again, so that nothing but the lie is wrong.
  struct lie {
    std::uint32_t at;
    std::uint8_t value;
  };
  std::vector<lie> lies;
  for (const int v : {0x00, 0x44, 0x4f, 0x55, 0x65, 0xff}) lies.push_back({14, static_cast<std::uint8_t>(v)});
  for (const int v : {1, 5, 255}) lies.push_back({16, static_cast<std::uint8_t>(v)});  // total length, high
  for (const int v : {0, 19, 20, 39}) lies.push_back({17, static_cast<std::uint8_t>(v)});     // low
  for (const int v : {0x00, 0x40, 0xf0}) lies.push_back({46, static_cast<std::uint8_t>(v)});  // data offset
  for (const int v : {0, 1, 200, 255})
    lies.push_back({55, static_cast<std::uint8_t>(v)});  // length of the MSS option
  std::uint64_t sent = 0;
  const std::uint64_t before = g.dev.counters().dropped.bad() + g.dev.counters().dropped.sound();
  for (const lie& l : lies) {
    const frame_ref whole = g.segment_from_peer(http, 6000, seq32{1}, seq32{0}, tcp_syn);
    frame_ref f = frame_ref::copy_of(whole.data(), whole.size());
    f.data()[l.at] = l.value;
    const auto sum = [&f](std::uint32_t from, std::uint32_t to, std::uint32_t start) {
      std::uint32_t s = start;
      for (std::uint32_t i = from; i < to; ++i) s += i % 2 == from % 2 ? f.data()[i] << 8 : f.data()[i];
      while (s >> 16) s = (s & 0xffff) + (s >> 16);
      return ~s & 0xffff;
    };
    const auto put = [&f](std::uint32_t at, std::uint32_t v) {
      f.data()[at] = static_cast<std::uint8_t>(v >> 8);
      f.data()[at + 1] = static_cast<std::uint8_t>(v);
    };
    put(24, 0);
    put(24, sum(14, 34, 0));
    put(50, 0);
    const std::uint32_t l4 = whole.size() - 34;
    put(50, sum(34, whole.size(), 6 + l4 + 0x0a00 + 0x0009 + 0x0a00 + 0x0001));
    g.wire.send(f);
    ++sent;
    g.run(5_us);
  }
  g.run(100_us);
  EXPECT_EQ(g.dev.counters().dropped.bad() + g.dev.counters().dropped.sound() - before, sent);
  EXPECT_EQ(g.dev.engine().connections(), 0u);
  expect_serving(g, 6001);
  g.expect_no_report();
}

TEST(bad_frame, of_a_hundred_thousand_mutations_breaks_nothing) {
  adapter_config config;
  config.tcp.max_connections = 256;
  adapter_rig g(config, 64, 1024);
  serve(g);
  seq32 iss;
  ASSERT_TRUE(g.establish(http, 5000, seq32{1000}, &iss));
  constexpr std::uint64_t seed = 4711;
  std::cout << "seed " << seed << '\n';
  rng dice(seed, "mutations");
  constexpr unsigned rounds = 1000, in_round = 100;
  for (unsigned round = 0; round < rounds; ++round) {
    for (unsigned i = 0; i < in_round; ++i) {
      frame_ref seed_frame;
      switch (dice.below(5)) {
        case 0:
          seed_frame = g.segment_from_peer(http, static_cast<std::uint16_t>(6000 + dice.below(64)),
                                           seq32{static_cast<std::uint32_t>(dice.next())}, seq32{0}, tcp_syn);
          break;
        case 1:
          seed_frame =
              g.segment_from_peer(http, 5000, seq32{1001 + static_cast<std::uint32_t>(dice.below(4096))},
                                  iss + 1, tcp_ack, static_cast<std::uint32_t>(dice.below(1461)));
          break;
        case 2:
          seed_frame = g.segment_from_peer(static_cast<std::uint16_t>(dice.next()), 5000, seq32{1}, iss,
                                           static_cast<std::uint8_t>(dice.next()), 10);
          break;
        case 3:
          seed_frame = make_arp_request(peer_mac, peer_ip, adapter_ip);
          break;
        default:
          seed_frame = make_arp_reply(peer_mac, peer_ip, adapter_mac, adapter_ip);
      }
      frame_ref f = frame_ref::copy_of(seed_frame.data(), seed_frame.size());
      const std::uint64_t changes = dice.below(4);
      for (std::uint64_t k = 0; k < changes; ++k) {
        const std::uint64_t most = dice.chance(0.8) ? std::min<std::uint64_t>(f.size(), 74) : f.size();
        f.data()[dice.below(most)] = static_cast<std::uint8_t>(dice.next());
      }
      if (dice.chance(0.2))
        f = frame_ref::copy_of(f.data(), static_cast<std::uint32_t>(dice.below(f.size() + 1)));
      g.wire.send(std::move(f));
    }
    g.run(150_us);
    g.take_records();
    g.ring_odt();
    if (round % 50 == 0) {
      g.wire.arrivals.clear();
      g.events.all.clear();
      g.heard = 0;
    }
  }
  g.run(1_ms);
  const adapter_counters& c = g.dev.counters();
  EXPECT_GE(c.frames_in, std::uint64_t{rounds} * in_round);
  EXPECT_GT(c.dropped.bad(), 10000u);
  std::cout << c.frames_in << " frames in, " << c.dropped.bad() << " bad, " << c.dropped.sound()
            << " not ours, " << c.dropped_overflow << " overflowed, " << g.dev.engine().connections()
            << " connections\n";
  g.wire.arrivals.clear();
  g.heard = 0;
  // Half-open leftovers time out, and the adapter serves on.
  g.run(200_s);
  g.take_records();
  g.ring_odt();
  expect_serving(g, 4000);
  g.expect_no_report();
}

// Repeated SYN-ACKs of 16 SYNs that came at once: from the first to the last, and what their timers waited.
void repeat_together(picos timer_time, picos least, picos most) {
  adapter_config c;
  c.timer_time = timer_time;
  adapter_rig g(c);
  serve(g);
  for (std::uint16_t p = 0; p < 16; ++p)
    g.wire.send(g.segment_from_peer(http, static_cast<std::uint16_t>(5000 + p), seq32{1}, seq32{0}, tcp_syn));
  g.run(100_ms);
  const std::size_t before = g.wire.arrivals.size();
  g.run(1_s);
  ASSERT_EQ(g.wire.arrivals.size(), before + 16);
  const picos spread = g.wire.arrivals.back().at - g.wire.arrivals[before].at;
  EXPECT_GE(spread, least);
  EXPECT_LE(spread, most);
  EXPECT_GE(g.dev.counters().timers, 16u);
  EXPECT_GE(g.dev.counters().timers_late, 120 * timer_time) << "1 + 2 + ... + 15";
}
TEST(timers, that_are_due_together_wait_for_the_timer_unit) {
  repeat_together(20_us, 300_us, 350_us);
}
TEST(timers, that_take_no_time_leave_the_wire_alone_to_part_them) {
  repeat_together(0, 0, 10_us);
}

// More frames than may wait for stations that are not there, and then one for a station that is.
TEST(neighbours, that_are_there_are_asked_for_behind_many_that_are_not) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.ring(50_us);
  const auto knock = [&g](const ip_address& from, unsigned port) {
    segment s;
    s.tuple = {from, adapter_ip, static_cast<std::uint16_t>(port), http};
    s.seq = seq32{port};
    s.flags = tcp_syn;
    frame_ref f = frame_ref::make(0, 128);
    prepend_headers(f, s, peer_mac, adapter_mac, 1);
    g.wire.send(std::move(f));
    g.run(1_us);
  };
  constexpr unsigned knocks = 2'000;
  for (unsigned i = 0; i < knocks; ++i)
    knock(ip_address::v4(10, 0, 0, static_cast<std::uint8_t>(10 + i % 200)), 1'024 + i);
  knock(peer_ip, 5'000);
  g.run(50_us);
  EXPECT_EQ(g.dev.engine().counters().resets_sent, knocks + 1);
  EXPECT_GT(g.dev.counters().dropped_no_neighbour, 0u) << "more than may wait";
  ASSERT_FALSE(g.wire.arrivals.empty());
  const parsed_frame asked = parse_frame(g.wire.arrivals.back().f);
  EXPECT_EQ(asked.kind, frame_class::arp_request);
  EXPECT_TRUE(g.take_segments().empty());
  g.introduce_peer();
  const std::vector<segment> answers = g.take_segments();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].tuple.local_port, 5'000);
  EXPECT_EQ(answers[0].tuple.remote_port, http);
  g.expect_no_report();
}

// The same station in VLAN 42.
void serve_in_vlan(adapter_rig& g, std::uint16_t vlan) {
  g.bring_up();
  us_idt_entry e = g.address();
  e.u.set_address.vlan = vlan;
  g.post(e);
  g.post_listen(http);
  g.post_pool();
  g.ring(50_us);
}

TEST(vlan, an_address_in_one_speaks_and_hears_frames_of_that_alone) {
  adapter_rig g;
  serve_in_vlan(g, 42);
  const auto ask = [&](std::uint16_t vlan) {
    const std::size_t before = g.wire.arrivals.size();
    g.wire.send(with_vlan_tag(make_arp_request(peer_mac, peer_ip, adapter_ip), vlan));
    g.run(20_us);
    return g.wire.arrivals.size() - before;
  };
  const std::uint64_t dropped = g.dev.counters().dropped.sound();
  EXPECT_EQ(ask(0), 0u);
  EXPECT_EQ(ask(43), 0u);
  EXPECT_EQ(g.dev.counters().dropped.sound(), dropped + 2);
  ASSERT_EQ(ask(42), 1u);
  EXPECT_EQ(vlan_of(g.wire.arrivals.back().f), 42);
  EXPECT_EQ(parse_frame(g.wire.arrivals.back().f).kind, frame_class::arp_reply);
  g.wire.send(with_vlan_tag(g.segment_from_peer(http, 5000, seq32{1}, seq32{0}, tcp_syn), 42));
  g.run(50_us);
  const parsed_frame p = parse_frame(g.wire.arrivals.back().f);
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.vlan, 42);
  EXPECT_EQ(p.tcp.ack, seq32{2});
  const std::uint64_t segments = g.dev.engine().counters().segments_in;
  g.wire.send(g.segment_from_peer(http, 5001, seq32{1}, seq32{0}, tcp_syn));
  g.run(50_us);
  EXPECT_EQ(g.dev.engine().counters().segments_in, segments) << "untagged: not for this address";
  g.expect_no_report();
}

// A router says that the segment with number `seq` of the connection to `peer_port` was too big.
too_big_message router_says(std::uint16_t peer_port, seq32 seq, std::uint32_t mtu) {
  segment s;
  s.tuple = {adapter_ip, peer_ip, http, peer_port};
  s.seq = seq;
  s.flags = tcp_ack;
  frame_ref f = frame_ref::make(1460, 128);
  std::fill_n(f.data(), 1460, std::uint8_t{1});
  prepend_headers(f, s, adapter_mac, peer_mac, 1);
  return {f, mtu};
}

TEST(path_mtu, a_routers_word_reaches_the_engine_if_it_is_whole_and_for_us) {
  adapter_rig g;
  serve_in_vlan(g, 0);
  g.introduce_peer();
  seq32 iss;
  ASSERT_TRUE(g.establish(http, 5000, seq32{1}, &iss));
  const tcp_counters& engine = g.dev.engine().counters();
  const auto hear = [&](const too_big_message& m) {
    g.wire.send(m.frame());
    g.run(20_us);
  };
  too_big_message m = router_says(5000, iss + 1, 1400);
  hear(m);
  EXPECT_EQ(engine.packet_too_big_ignored, 1u) << "nothing of it is in flight";
  const adapter_counters before = g.dev.counters();
  m.icmp()[7] ^= 1;
  hear(m);
  EXPECT_EQ(g.dev.counters().dropped.bad(), before.dropped.bad() + 1) << "a wrong checksum";
  m.seal();
  m.quote()[9] = 17;
  m.seal();
  hear(m);
  EXPECT_EQ(g.dev.counters().dropped.sound(), before.dropped.sound() + 1) << "UDP";
  too_big_message elsewhere = router_says(5000, iss + 1, 1400);
  elsewhere.bytes[5] ^= 1;
  hear(elsewhere);
  EXPECT_EQ(g.dev.counters().dropped.sound(), before.dropped.sound() + 2) << "another station's frame";
  elsewhere.bytes[5] ^= 1;
  elsewhere.bytes[too_big_message::ip_at + 19] ^= 0x40;
  elsewhere.quote()[15] ^= 0x40;
  elsewhere.seal();
  hear(elsewhere);
  EXPECT_EQ(g.dev.counters().dropped.sound(), before.dropped.sound() + 3) << "another host's address";
  EXPECT_EQ(engine.packet_too_big_ignored, 1u);
  EXPECT_EQ(engine.path_mtu_reduced, 0u);
  g.expect_no_report();
}

TEST(path_mtu, what_was_too_big_leaves_again_in_smaller_frames_of_the_same_bytes) {
  adapter_rig g;
  serve(g);
  seq32 iss;
  ASSERT_TRUE(g.establish(http, 5000, seq32{1}, &iss));
  const host_memory::region room = g.memory.allocate(4096, 4096);
  for (std::uint32_t i = 0; i < 4096; ++i) room.cpu[i] = static_cast<std::uint8_t>(i * 7 ^ i >> 8);
  us_idt_entry e{};
  e.opcode = US_OP_SEND;
  e.cid = g.take_records().back().cid;
  e.u.send.iova_lo = static_cast<std::uint32_t>(room.iova);
  e.u.send.iova_hi = static_cast<std::uint32_t>(room.iova >> 32);
  e.u.send.len = 4000;
  e.u.send.seq_end = (iss + 1 + 4000).raw;
  g.post(e);
  g.take_segments();
  g.ring(50_us);
  EXPECT_EQ(g.take_segments().size(), 3u);
  g.wire.send(router_says(5000, iss + 1, 1400).frame());
  const std::size_t before = g.wire.arrivals.size();
  g.run(50_us);
  ASSERT_EQ(g.wire.arrivals.size(), before + 2);
  for (std::uint32_t n = 0; n < 2; ++n) {
    const frame_ref& f = g.wire.arrivals[before + n].f;
    const parsed_frame p = parse_frame(f);
    EXPECT_EQ(f.size(), 14u + 1400u);
    EXPECT_EQ(p.tcp.seq, iss + 1 + 1360 * n);
    EXPECT_EQ(std::memcmp(f.data() + p.tcp.payload_offset, room.cpu + 1360u * n, 1360), 0);
  }
  EXPECT_EQ(g.dev.engine().counters().path_mtu_reduced, 1u);
  g.expect_no_report();
}

TEST(vlan, what_another_one_says_of_a_neighbour_is_not_believed) {
  adapter_rig g;
  serve_in_vlan(g, 42);
  g.wire.send(make_arp_reply(peer_mac, peer_ip, adapter_mac, adapter_ip));
  g.wire.send(with_vlan_tag(g.segment_from_peer(http, 5000, seq32{1}, seq32{0}, tcp_syn), 42));
  g.run(50_us);
  ASSERT_FALSE(g.wire.arrivals.empty());
  EXPECT_EQ(parse_frame(g.wire.arrivals.back().f).kind, frame_class::arp_request) << "it asks for itself";
  EXPECT_EQ(vlan_of(g.wire.arrivals.back().f), 42);
}

TEST(vlan, an_echo_is_answered_and_an_address_announced_in_it) {
  adapter_rig g;
  serve_in_vlan(g, 42);
  EXPECT_TRUE(std::ranges::all_of(g.wire.arrivals, [](const auto& x) { return vlan_of(x.f) == 42; }));
  std::uint8_t bytes[14 + 20 + 8] = {0x02, 0, 0,  0,  0, 1, 0x02, 0, 0,    0,    0, 9, 8,  0,  // Ethernet
                                     0x45, 0, 0,  28, 0, 0, 0x40, 0, 64,   1,    0, 0, 10, 0,
                                     0,    9, 10, 0,  0, 1, 8,    0, 0xf7, 0xff, 0, 0, 0,  0};
  const std::uint16_t sum = checksum_finish(checksum_add({bytes + 14, 20}));
  bytes[24] = static_cast<std::uint8_t>(sum >> 8);
  bytes[25] = static_cast<std::uint8_t>(sum);
  const std::size_t before = g.wire.arrivals.size();
  g.wire.send(with_vlan_tag(frame_ref::copy_of(bytes, sizeof bytes), 42));
  g.run(20_us);
  ASSERT_EQ(g.wire.arrivals.size(), before + 1);
  const frame_ref& answer = g.wire.arrivals.back().f;
  EXPECT_EQ(vlan_of(answer), 42);
  EXPECT_EQ(answer.data()[18 + 20], 0) << "echo reply";
}

}  // namespace
}  // namespace understudy::tb
