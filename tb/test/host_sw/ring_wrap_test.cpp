// The driver's tables, from index 0 on and past the wrap of their free-running indices at 2^32.
#include <gtest/gtest.h>

#include <cstring>

#include "host_sw/driver/idt_ring.h"
#include "host_sw/driver/odt_ring.h"
#include "model/abi/crc32c.h"
#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

// So many entries before the wrap the first index lies; 0: as always.
class wrap : public testing::TestWithParam<std::uint32_t> {
 protected:
  std::uint32_t first = 0u - GetParam();
};

struct idt_wrap : wrap {};
INSTANTIATE_TEST_SUITE_P(after, idt_wrap, testing::Values(0u, 1u, 2u, 15u, 16u, 17u, 1000u));
struct odt_wrap : wrap {};
INSTANTIATE_TEST_SUITE_P(after, odt_wrap, testing::Values(1u, 2u, 15u, 16u, 17u, 1000u));

TEST_P(idt_wrap, keeps_order_through_a_full_table) {
  fake_machine m(0);
  host::idt_ring r;
  ASSERT_TRUE(r.create(m, 16, first));
  std::uint32_t pushed = first, read = first, tail = 0;
  EXPECT_FALSE(r.take_doorbell(&tail)) << "nothing to tell yet";
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 23; ++i) {
      us_idt_entry e{};
      e.opcode = US_OP_SEND;
      e.cid = pushed;
      ASSERT_EQ(r.push(e), pushed);
      const host::idt_ring::note* n = r.find(pushed);
      ASSERT_NE(n, nullptr);
      EXPECT_EQ(n->cid, pushed);
      EXPECT_EQ(r.find(pushed + 1), nullptr) << "not pushed yet";
      ++pushed;
      ASSERT_EQ(r.next(), pushed);
    }
    while (read != pushed) {
      ASSERT_TRUE(r.take_doorbell(&tail));
      EXPECT_FALSE(r.take_doorbell(&tail)) << "one doorbell a burst";
      EXPECT_LE(tail - read, 16u);
      for (; read != tail; ++read) {
        us_idt_entry e;
        std::memcpy(&e, m.memory(r.iova() + (read & 15) * 64, 64), 64);
        ASSERT_EQ(e.cid, read);
        ASSERT_EQ(e.index16, static_cast<std::uint16_t>(read));
        ASSERT_EQ(e.crc, crc32c(&e, 60));
      }
      ASSERT_TRUE(r.consumed_to(read));
    }
  }
  EXPECT_EQ(pushed - first, 1150u);
  EXPECT_EQ(pushed < first, first != 0) << "it has wrapped";
}

TEST_P(idt_wrap, refuses_a_head_that_was_never_announced_and_ignores_an_old_one) {
  fake_machine m(0);
  host::idt_ring r;
  ASSERT_TRUE(r.create(m, 16, first));
  std::uint32_t tail;
  for (int i = 0; i < 4; ++i) r.push({});
  EXPECT_FALSE(r.consumed_to(first + 1)) << "not announced yet";
  r.take_doorbell(&tail);
  EXPECT_TRUE(r.consumed_to(first + 3));
  EXPECT_TRUE(r.consumed_to(first + 2)) << "old news: read while a newer record was on its way";
  EXPECT_TRUE(r.consumed_to(first)) << "old news";
  EXPECT_FALSE(r.consumed_to(first + 5)) << "beyond what was announced";
  EXPECT_FALSE(r.consumed_to(first + 3 - 17)) << "further back than the table is long";
  EXPECT_FALSE(r.consumed_to(first + 3 + 0x80000000u));
  EXPECT_EQ(r.consumed(), first + 3);
}

TEST_P(odt_wrap, reads_each_record_once_and_none_with_another_number) {
  fake_machine m(0);
  host::odt_ring r;
  ASSERT_TRUE(r.create(m, 16, first));
  us_record out;
  const auto put = [&](std::uint32_t slot, std::uint32_t number) {
    us_record x{};
    x.type = US_REC_CREDIT;
    x.number = number;
    x.crc = crc32c(&x, 60);
    std::memcpy(m.memory(r.iova() + (slot & 15) * 64, 64), &x, 64);
  };
  std::uint32_t n = first;
  for (int i = 0; i < 1100; ++i, ++n) {
    ASSERT_EQ(r.peek(&out), host::odt_ring::look::nothing) << "the old record of the slot is not new";
    put(n, n + 0x10000);
    ASSERT_EQ(r.peek(&out), host::odt_ring::look::nothing) << "another number in its slot";
    put(n, n);
    ASSERT_EQ(r.peek(&out), host::odt_ring::look::record);
    ASSERT_EQ(out.number, n);
    r.consume();
    ASSERT_EQ(r.head(), n + 1);
  }
  put(n + 1, n + 1);
  EXPECT_EQ(r.peek(&out), host::odt_ring::look::corrupt) << "its successor is there";
  EXPECT_LT(n, first) << "it has wrapped";
}

// A driver and an adapter that both count from `first`.
struct driver_wrap : wrap {
  static host::driver_config config(std::uint32_t first) {
    host::driver_config c = small_config();
    c.first_index = first;
    return c;
  }
  driver_wrap() : g(2, config(first)) {
    for (fake_adapter& a : g.m.a) a.count_from(first);
    g.start();
  }
  driver_rig g;
};
// Bringing it up takes five descriptors: after 6, what is consumed and what is beyond are on the two sides.
INSTANTIATE_TEST_SUITE_P(after, driver_wrap, testing::Values(1u, 6u, 7u, 31u, 33u, 64u, 129u));

TEST_P(driver_wrap, moves_streams_both_ways_exactly) {
  const host::conn c = g.accept_one();
  ASSERT_NE(c, host::no_conn);
  fake_adapter& a = g.m.a[0];
  std::uint32_t snd = 101;
  for (unsigned i = 0; i < 200; ++i) {
    const std::string in = pattern(50 + i, i), out = pattern(70 + i, i + 1000);
    a.peer_sends(5, in);
    g.m.run_us(1);
    ASSERT_EQ(g.read_all(c), in) << i;
    ASSERT_EQ(g.write(c, out), static_cast<std::ptrdiff_t>(out.size())) << i;
    for (std::size_t b = 0; b < out.size(); ++b)
      ASSERT_EQ(a.connections[5].sent.at(snd + static_cast<std::uint32_t>(b)),
                static_cast<std::uint8_t>(out[b]));
    snd += static_cast<std::uint32_t>(out.size());
    a.peer_acks(5, snd);
    g.m.run_us(1);
  }
  EXPECT_EQ(a.connections[5].snd_end.raw, snd);
  EXPECT_EQ(a.bad_descriptors, 0u);
  EXPECT_EQ(a.seen.size(), a.consumed - first);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
  EXPECT_EQ(g.account.double_posts + g.account.stray_takes, 0);
  EXPECT_LT(a.consumed, first) << "the input table has wrapped";
  EXPECT_LT(a.written(), first) << "and the output table";
  EXPECT_EQ(a.reg(US_REG_ODT_HEAD), a.written()) << "every record was consumed";
}

TEST_P(driver_wrap, refuses_a_record_that_says_more_is_consumed_than_was_announced) {
  fake_adapter& a = g.m.a[0];
  const std::uint64_t before = g.d.counters().bad_records;
  us_record r = a.blank(US_REC_CREDIT, US_NO_CID);
  a.emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().bad_records, before) << "what is true is no error";
  r.idt_head = a.consumed + 1;
  if (GetParam() == 6) {
    EXPECT_EQ(r.idt_head, 0u) << "on the other side of the wrap";
  }
  a.emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().bad_records, before + 1);
}

}  // namespace
}  // namespace understudy::tb
