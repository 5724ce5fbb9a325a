// Sends whose bytes come with their descriptor: sent without a read; whatever is wrong with them costs a read
// and no byte.
#include <cstring>

#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t http = 80;

struct inline_rig : adapter_rig {
  explicit inline_rig(const adapter_config& c = {}) : adapter_rig(c) {
    bring_up();
    post_address();
    post_listen(http);
    for (int i = 0; i < 8; ++i) post_pool();
    ring(50_us);
    introduce_peer();
    EXPECT_TRUE(establish(http, 5000, seq32{1000}, &iss));
    for (const us_record& r : take_records()) id = r.cid;
    ring_odt();
    next = iss + 1;
    room = memory.allocate(4096, 4096);
    for (std::uint32_t i = 0; i < 4096; ++i) room.cpu[i] = static_cast<std::uint8_t>(i * 7);
    take_segments();
  }
  // SEND of the next `bytes`, which lie in `room`; those that go with it are `with`.
  void send(std::uint32_t bytes, const std::uint8_t* with) {
    us_idt_entry e{};
    e.opcode = US_OP_SEND;
    e.flags = US_SEND_INLINE;
    e.cid = id;
    next += bytes;
    e.u.send.iova_lo = static_cast<std::uint32_t>(room.iova);
    e.u.send.iova_hi = static_cast<std::uint32_t>(room.iova >> 32);
    e.u.send.len = bytes;
    e.u.send.seq_end = next.raw;
    std::memcpy(e.u.send.data, with, std::min<std::size_t>(bytes, sizeof e.u.send.data));
    post(e);
  }
  static us_idt_entry more(std::uint32_t cid, const std::uint8_t* with) {
    us_idt_entry e{};
    e.opcode = US_OP_INLINE;
    e.cid = cid;
    std::memcpy(e.u.inline_data, with, sizeof e.u.inline_data);
    return e;
  }
  // The payload of the one segment that leaves now.
  std::string sent() {
    const std::size_t before = wire.arrivals.size();
    ring(50_us);
    std::string all;
    for (std::size_t i = before; i < wire.arrivals.size(); ++i) {
      const frame_ref& f = wire.arrivals[i].f;
      const parsed_frame p = parse_frame(f);
      all.append(reinterpret_cast<const char*>(f.data()) + p.tcp.payload_offset, p.tcp.payload_length);
    }
    return all;
  }
  std::string lies(std::uint32_t bytes) const { return {reinterpret_cast<const char*>(room.cpu), bytes}; }
  std::vector<std::uint32_t> refusals() {
    std::vector<std::uint32_t> all;
    for (const us_record& r : take_records())
      if (r.type == US_REC_REFUSED) all.push_back(r.u.end.status);
    ring_odt();
    return all;
  }

  seq32 iss, next;
  std::uint32_t id = 0;
  host_memory::region room;
  std::uint8_t other[US_INLINE_MOST] = {1, 2,
                                        3};  // not what lies in the room: it shows where bytes came from
};

using statuses = std::vector<std::uint32_t>;

TEST(inline_send, of_any_length_leaves_with_the_bytes_that_came_and_without_a_read) {
  inline_rig g;
  for (const std::uint32_t n : {1u, 36u, 37u, 88u, 89u, 140u, 192u}) {
    const std::uint64_t before = g.dev.dma.counters().read_bytes;
    const std::uint32_t entries = g.tail;
    g.send(n, g.other);
    for (std::uint32_t at = 36; at < n; at += 52) {
      std::uint8_t part[52] = {};
      std::memcpy(part, g.other + at, std::min(52u, n - at));
      g.post(inline_rig::more(g.id, part));
    }
    EXPECT_EQ(g.sent(), std::string(reinterpret_cast<const char*>(g.other), n)) << n;
    EXPECT_EQ(g.dev.dma.counters().read_bytes - before, 64u * (g.tail - entries)) << "the descriptors alone";
    g.wire.send(g.segment_from_peer(http, 5000, seq32{1001}, g.next, tcp_ack));
    g.run(20_us);
  }
  EXPECT_EQ(g.dev.counters().inline_sends, 7u);
  EXPECT_EQ(g.dev.counters().inline_missed, 0u);
  g.expect_no_report();
}

TEST(inline_send, whose_rest_does_not_come_is_read_from_where_it_lies) {
  inline_rig g;
  g.send(100, g.other);
  g.send(20, g.other);  // another send instead
  EXPECT_EQ(g.sent(), g.lies(100) + std::string(reinterpret_cast<const char*>(g.other), 20));
  EXPECT_EQ(g.dev.counters().inline_missed, 1u);
  EXPECT_EQ(g.refusals(), statuses{});
}

TEST(inline_send, entries_that_belong_to_nothing_are_refused_and_cost_no_byte) {
  inline_rig g;
  g.post(inline_rig::more(g.id, g.other));
  EXPECT_EQ(g.sent(), "");
  EXPECT_EQ(g.refusals(), statuses{US_ERR_BAD_STATE});
  g.send(100, g.other);
  g.post(inline_rig::more(g.id + 1, g.other));  // of nobody
  g.post(inline_rig::more(g.id, g.other));
  g.post(inline_rig::more(g.id, g.other));
  EXPECT_EQ(g.sent(), std::string(reinterpret_cast<const char*>(g.other), 36) +
                          std::string(reinterpret_cast<const char*>(g.other), 52) +
                          std::string(reinterpret_cast<const char*>(g.other), 12));
  EXPECT_EQ(g.refusals(), statuses{US_ERR_BAD_CID});
  g.send(36, g.other);
  g.post(inline_rig::more(g.id, g.other));  // it was complete
  g.sent();
  EXPECT_EQ(g.refusals(), statuses{US_ERR_BAD_STATE});
}

TEST(inline_send, a_damaged_entry_is_refused_and_the_bytes_are_read) {
  inline_rig g;
  g.send(60, g.other);
  us_idt_entry e = inline_rig::more(g.id, g.other);
  e.index16 = static_cast<std::uint16_t>(g.tail);
  e.crc = 12345;
  g.post_as_it_is(e);
  EXPECT_EQ(g.sent(), g.lies(60));
  EXPECT_EQ(g.refusals(), statuses{US_ERR_BAD_CRC});
}

TEST(inline_send, of_no_bytes_or_of_more_than_the_interface_allows_is_refused) {
  inline_rig g;
  const seq32 before = g.next;
  g.send(193, g.other);
  g.next = before;
  g.send(0, g.other);
  EXPECT_EQ(g.sent(), "");
  EXPECT_EQ(g.refusals(), (statuses{US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH}));
}

TEST(inline_send, that_finds_no_room_is_read_from_where_it_lies) {
  adapter_config c;
  c.inline_ranges = 1;
  inline_rig g(c);
  g.send(10, g.other);
  g.send(100, g.other);
  g.post(inline_rig::more(g.id, g.other));
  g.post(inline_rig::more(g.id, g.other));
  EXPECT_EQ(g.sent(), std::string(reinterpret_cast<const char*>(g.other), 10) + g.lies(100));
  EXPECT_EQ(g.dev.counters().inline_missed, 1u);
  EXPECT_EQ(g.refusals(), statuses{});
  g.wire.send(g.segment_from_peer(http, 5000, seq32{1001}, g.next, tcp_ack));
  g.run(20_us);
  g.send(10, g.other);
  EXPECT_EQ(g.sent(), std::string(reinterpret_cast<const char*>(g.other), 10)) << "there is room again";
  EXPECT_EQ(g.dev.counters().inline_sends, 2u);
}

}  // namespace
}  // namespace understudy::tb
