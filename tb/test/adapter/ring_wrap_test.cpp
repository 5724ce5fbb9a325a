// Both tables of the adapter, from index 0 on and past the wrap of their free-running indices at 2^32.
#include <algorithm>

#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t entries = 32;

// A rig whose adapter, tables and driver count from `first` on.
struct wrap_rig : adapter_rig {
  explicit wrap_rig(std::uint32_t first) : adapter_rig(counting_from(first), entries, entries) {
    tail = head = first;
    bring_up();
  }
  static adapter_config counting_from(std::uint32_t first) {
    adapter_config c;
    c.first_index = first;
    return c;
  }
  // So many descriptors that the adapter must refuse, each by a record that says its index; one doorbell.
  void post_wrong(std::uint32_t n) {
    us_idt_entry e{};
    e.opcode = 99;
    e.cid = US_NO_CID;
    for (std::uint32_t i = 0; i < n; ++i) post(e);
    ring();
  }
};

class ring_wrap : public testing::TestWithParam<std::uint32_t> {};
class long_ring_wrap : public ring_wrap {};

// A burst of every size up to the whole ring ends at, before and behind the wrap.
TEST_P(long_ring_wrap, loses_and_doubles_no_descriptor_and_no_record) {
  const std::uint32_t first = 0u - GetParam();
  wrap_rig g(first);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), first);
  EXPECT_EQ(g.read(US_REG_IDT_TAIL), first);
  EXPECT_EQ(g.read(US_REG_ODT_HEAD), first);
  std::uint32_t due = first;
  for (std::uint32_t n = 1; n <= entries; ++n) {
    const std::uint32_t interrupts_before = static_cast<std::uint32_t>(g.interrupts.size());
    g.post_wrong(n);
    for (const us_record& r : g.take_records()) {
      ASSERT_EQ(r.type, US_REC_REFUSED);
      ASSERT_EQ(r.u.end.status, static_cast<std::uint32_t>(US_ERR_BAD_OPCODE)) << "its index16 was right";
      ASSERT_EQ(r.u.end.index, due);
      ASSERT_EQ(r.number, due);
      ASSERT_EQ(r.idt_head, due + 1);
      ++due;
    }
    ASSERT_EQ(due, g.tail);
    EXPECT_GT(g.interrupts.size(), interrupts_before);
    g.ring_odt();
    EXPECT_EQ(g.read(US_REG_ODT_HEAD), due);
  }
  EXPECT_LT(due, first) << "it has wrapped";
  EXPECT_EQ(due - first, entries * (entries + 1) / 2);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), due);
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 0u);
  EXPECT_EQ(g.dev.counters().descriptors, due - first);
  g.expect_no_report();
}

// The host reads no record until the ring is full: the others wait, across the wrap, and come in order.
TEST_P(ring_wrap, of_a_full_output_table_keeps_what_waits) {
  const std::uint32_t first = 0u - GetParam();
  wrap_rig g(first);
  g.post_wrong(entries);
  g.post_wrong(entries);
  EXPECT_EQ(g.dev.record_counters().records, entries);
  EXPECT_GT(g.dev.record_counters().stalled, 0u);
  std::uint32_t number = first, index = first;
  for (int round = 0; round < 4; ++round) {
    for (const us_record& r : g.take_records()) {
      ASSERT_EQ(r.number, number++);
      if (r.type != US_REC_CREDIT) {
        ASSERT_EQ(r.u.end.index, index++);
      }
    }
    g.ring_odt();
    g.run(20_us);
  }
  EXPECT_EQ(index - first, 2 * entries);
  EXPECT_EQ(index < first, first != 0) << "it has wrapped";
  g.expect_no_report();
  EXPECT_EQ(g.dev.record_counters().records, number - first) << "and no other";
}

TEST_P(ring_wrap, refuses_a_doorbell_back_or_beyond_the_ring) {
  const std::uint32_t first = 0u - GetParam();
  wrap_rig g(first);
  g.post_wrong(4);
  ASSERT_EQ(g.take_records().size(), 4u);
  const std::uint32_t at = first + 4;
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 0u) << "good ones do not count";
  std::uint32_t counted = 0;
  for (const std::uint32_t bad : {at + entries + 1, at - 1, at - 4, at + 0x80000000u}) {
    g.write(US_REG_IDT_TAIL, bad);
    g.run(50_us);
    EXPECT_EQ(g.read(US_REG_IDT_TAIL), at) << bad - at;
    EXPECT_EQ(g.read(US_REG_IDT_HEAD), at) << bad - at;
    EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), ++counted) << bad - at;
  }
  for (const std::uint32_t bad : {at + 1, first - 1, at + entries}) {
    g.write(US_REG_ODT_HEAD, bad);
    EXPECT_EQ(g.read(US_REG_ODT_HEAD), first) << bad - first;
    EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), ++counted) << bad - first;
  }
  g.write(US_REG_IDT_TAIL, at);
  g.write(US_REG_ODT_HEAD, first);
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), counted) << "saying the same again is no error";
  g.ring_odt();
  EXPECT_EQ(g.read(US_REG_ODT_HEAD), at) << "what has been written may be consumed";
  EXPECT_EQ(at < first, first != 0) << "it has wrapped";
  g.post_wrong(entries);
  EXPECT_EQ(g.take_records().size(), entries) << "a doorbell of the whole ring is none beyond it";
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), counted);
}

TEST_P(ring_wrap, is_as_far_away_after_a_reset_as_after_power_on) {
  const std::uint32_t first = 0u - GetParam();
  wrap_rig g(first);
  g.post_wrong(8);
  g.write(US_REG_CONTROL, US_CONTROL_RESET);
  std::fill_n(g.odt.cpu, entries * US_ENTRY_BYTES, std::uint8_t{0});
  g.tail = g.head = first;
  g.bring_up();
  g.post_wrong(8);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 8u);
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(records[i].number, first + i);
  EXPECT_EQ(records.back().number < first, first != 0) << "it has wrapped";
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 0u);
}

// So many entries before the wrap; 0: as always.
INSTANTIATE_TEST_SUITE_P(after, ring_wrap, testing::Values(0u, 1u, 2u, 3u));
// At a slot that is the first, the last, or neither.
INSTANTIATE_TEST_SUITE_P(after, long_ring_wrap, testing::Values(1u, 2u, 3u, 17u, entries, 5 * entries + 1));

// The negative control of what the tests above judge by: an adapter that counts from elsewhere than its
// driver refuses the doorbell.
TEST(ring_wrap_of_two_minds, is_a_bad_doorbell) {
  wrap_rig g(0u - 3);
  g.tail = 0;
  g.post_wrong(entries);
  EXPECT_TRUE(g.take_records().empty());
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 1u);
}

}  // namespace
}  // namespace understudy::tb
