// Input descriptors and output records: what is refused, what waits, what is ignored.
#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

us_idt_entry descriptor(us_opcode op, std::uint32_t cid = US_NO_CID) {
  us_idt_entry e{};
  e.opcode = op;
  e.cid = cid;
  return e;
}

// Post `e`, and expect one REFUSED record with `status`.
void expect_refused(adapter_rig& g, const us_idt_entry& e, us_status status, const char* what) {
  const std::uint32_t index = g.tail;
  g.post(e);
  g.ring();
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 1u) << what;
  EXPECT_EQ(records[0].type, US_REC_REFUSED) << what;
  EXPECT_EQ(records[0].u.end.status, static_cast<std::uint32_t>(status)) << what;
  EXPECT_EQ(records[0].u.end.index, index) << what;
  EXPECT_EQ(records[0].u.end.opcode, e.opcode) << what;
  EXPECT_EQ(records[0].epoch, 7) << what;
  g.ring_odt();
}

TEST(descriptor, that_is_wrong_is_refused_by_a_record_and_the_next_one_is_executed) {
  adapter_rig g;
  g.bring_up();
  std::uint32_t expected = 0;
  const auto refused = [&](const us_idt_entry& e, us_status s, const char* what) {
    expect_refused(g, e, s, what);
    ++expected;
  };
  refused(descriptor(static_cast<us_opcode>(US_OP_OPCODES)), US_ERR_BAD_OPCODE, "opcode 13");
  refused(descriptor(static_cast<us_opcode>(255)), US_ERR_BAD_OPCODE, "opcode 255");
  refused(descriptor(US_OP_SEND, 5), US_ERR_BAD_CID, "connection that is not there");
  refused(descriptor(US_OP_POST_RX, 0x7fffffff), US_ERR_BAD_CID, "connection beyond the table");
  refused(descriptor(US_OP_LISTEN), US_ERR_BAD_ADDRESS, "address that was not set");
  us_idt_entry e = descriptor(US_OP_SET_ADDRESS);
  e.u.set_address.addr_index = US_ADDRESSES;
  refused(e, US_ERR_BAD_ADDRESS, "address index");
  e.u.set_address.addr_index = 0;
  e.u.set_address.prefix_len = 129;
  refused(e, US_ERR_BAD_ADDRESS, "prefix");
  e = g.address();
  e.u.set_address.vlan = 4095;
  refused(e, US_ERR_BAD_ADDRESS, "VLAN");
  e = descriptor(US_OP_CONNECT);
  e.u.connect.addr_index = 3;
  refused(e, US_ERR_BAD_ADDRESS, "address of a CONNECT");
  e = g.address();
  e.u.set_address.ip[12] = 224;
  refused(e, US_ERR_BAD_ADDRESS, "group as an own address");
  for (const std::uint32_t length : {0u, (1u << 20) + 1, 0xffffffffu}) {
    e = descriptor(US_OP_POST_POOL);
    e.u.rx.len = length;
    refused(e, US_ERR_BAD_LENGTH, "length of a buffer");
  }
  for (const unsigned state : {unsigned{US_TCP_LISTEN}, US_TCP_TIME_WAIT + 1u, 255u}) {
    e = descriptor(US_OP_RESTORE, 0);
    e.u.restore.state = static_cast<std::uint8_t>(state);
    refused(e, US_ERR_BAD_STATE, "state");
  }
  e = descriptor(US_OP_RESTORE, 0x7fffffff);
  e.u.restore.state = US_TCP_ESTABLISHED;
  refused(e, US_ERR_BAD_CID, "restore beyond the table");
  g.post(g.address());
  e = g.address();
  e.u.set_address.addr_index = 1;
  refused(e, US_ERR_IN_USE, "address that another index has");
  for (const ip_address& peer : {ip_address::v4(10, 0, 0, 255), ip_address::v4(255, 255, 255, 255),
                                 ip_address::v4(224, 0, 0, 5), ip_address::v4(0, 0, 0, 0)}) {
    e = descriptor(US_OP_CONNECT);
    std::copy(peer.bytes.begin(), peer.bytes.end(), e.u.connect.peer_ip);
    refused(e, US_ERR_BAD_ADDRESS, "CONNECT to no single station");
  }
  // Checksum and index are wrong in a way that post() cannot say.
  g.post_address();
  --g.tail;
  us_idt_entry broken;
  std::memcpy(&broken, g.idt.cpu + (g.tail & (g.idt_entries - 1)) * US_ENTRY_BYTES, sizeof broken);
  broken.u.set_address.mac[0] ^= 1;
  g.post_as_it_is(broken);
  g.ring();
  auto records = g.take_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].u.end.status, static_cast<std::uint32_t>(US_ERR_BAD_CRC));
  us_idt_entry stale = descriptor(US_OP_NOP);
  stale.index16 = static_cast<std::uint16_t>(g.tail - g.idt_entries);
  stale.crc = crc32c(&stale, offsetof(us_idt_entry, crc));
  g.post_as_it_is(stale);
  g.ring();
  records = g.take_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].u.end.status, static_cast<std::uint32_t>(US_ERR_BAD_SEQUENCE));
  expected += 2;
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), expected);
  g.post_address();
  g.post_listen(80);
  g.ring();
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), expected);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), g.tail);
  g.expect_no_report();
}

TEST(descriptor, of_every_kind_with_any_content_is_executed_or_refused) {
  adapter_rig g(adapter_config{}, 256, 1024);
  g.bring_up();
  g.post_address();
  g.ring();
  rng dice(11, "descriptors");
  std::uint64_t posted = 1;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 100; ++i, ++posted) {
      us_idt_entry e;
      auto* bytes = reinterpret_cast<std::uint8_t*>(&e);
      for (std::size_t b = 0; b < sizeof e; ++b)
        bytes[b] = static_cast<std::uint8_t>(dice.chance(0.5) ? 0 : dice.next());
      e.opcode = static_cast<std::uint8_t>(dice.below(US_OP_OPCODES + 2));
      if (dice.chance(0.7)) e.cid = static_cast<std::uint32_t>(dice.below(16));
      g.post(e);
    }
    g.ring(100_us);
    g.take_records();
    g.ring_odt();
  }
  g.run(1_ms);
  EXPECT_EQ(posted, g.dev.counters().descriptors);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), g.tail);
}

// TLPs of a type that left the adapter since `begin` of the events.
std::size_t sent(const adapter_rig& g, tlp_type type, std::size_t begin) {
  std::size_t n = 0;
  for (std::size_t i = begin; i < g.events.all.size(); ++i)
    n += g.events.all[i].kind == event_kind::tlp_up &&
         g.events.all[i].b >> 32 == static_cast<std::uint64_t>(type);
  return n;
}

struct prefetch_case {
  std::uint32_t at_once, before, fetches, tlps;
};
class descriptor_prefetch : public testing::TestWithParam<prefetch_case> {};

// 32 descriptors from slot `before` of a ring of 32: a fetch ends at the end of the ring, and its TLPs at
// MRRS, 512 bytes.
TEST_P(descriptor_prefetch, takes_as_many_as_it_may_in_one_read_and_never_crosses_the_end_of_the_ring) {
  const prefetch_case& p = GetParam();
  adapter_config c;
  c.descriptors_a_fetch = p.at_once;
  adapter_rig g(c, 32, 64);
  g.bring_up();
  for (std::uint32_t i = 0; i < p.before; ++i) g.post(descriptor(US_OP_NOP));
  g.ring(100_us);
  const std::size_t begin = g.events.all.size();
  const dma_counters at_first = g.dev.dma.counters();
  for (int i = 0; i < 32; ++i) g.post(descriptor(US_OP_NOP));
  g.ring(100_us);
  const dma_counters& now = g.dev.dma.counters();
  // Records and interrupts are writes of one TLP each.
  EXPECT_EQ(now.operations - at_first.operations - sent(g, tlp_type::memory_write, begin), p.fetches);
  EXPECT_EQ(sent(g, tlp_type::memory_read, begin), p.tlps);
  EXPECT_EQ(now.read_bytes - at_first.read_bytes, 32u * US_ENTRY_BYTES) << "none twice, none too many";
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), p.before + 32);
  EXPECT_EQ(g.dev.counters().descriptors, p.before + 32u);
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), 0u);
}
INSTANTIATE_TEST_SUITE_P(of, descriptor_prefetch,
                         testing::Values(prefetch_case{1, 0, 32, 32}, prefetch_case{1, 24, 32, 32},
                                         prefetch_case{8, 0, 4, 4}, prefetch_case{16, 0, 2, 4},
                                         prefetch_case{16, 24, 3, 1 + 2 + 1},
                                         prefetch_case{16, 28, 3, 1 + 2 + 2}, prefetch_case{32, 0, 1, 4}));

class raw_completions : public testing::TestWithParam<std::uint32_t> {};

TEST_P(raw_completions, are_reported_in_batches_and_the_last_ones_after_a_time) {
  const std::uint32_t batch = GetParam();
  adapter_config c;
  c.raw_completion_batch = batch;
  c.acked_record_age = 1_ms;
  adapter_rig g(c);
  g.bring_up(0);
  const auto m = g.memory.allocate(4096, 4096);
  const auto send = [&](std::uint32_t frames) {
    for (std::uint32_t i = 0; i < frames; ++i) {
      us_idt_entry e = descriptor(US_OP_SEND_RAW);
      e.u.send.iova_lo = static_cast<std::uint32_t>(m.iova);
      e.u.send.iova_hi = static_cast<std::uint32_t>(m.iova >> 32);
      e.u.send.len = 128;
      g.post(e);
    }
    g.ring(100_us);
  };
  const auto reported = [&] {
    std::vector<std::uint32_t> last;
    for (const us_record& r : g.take_records())
      if (r.type == US_REC_RAW) {
        EXPECT_EQ(r.u.end.status, static_cast<std::uint32_t>(US_OK));
        last.push_back(r.u.end.index);
      }
    g.ring_odt();
    return last;
  };
  send(16);
  EXPECT_EQ(g.dev.counters().raw_frames, 16u);
  std::vector<std::uint32_t> whole;
  for (std::uint32_t last = batch - 1; last < 16; last += batch) whole.push_back(last);
  EXPECT_EQ(reported(), whole) << "the last descriptor of each batch";
  g.run(2_ms);
  EXPECT_TRUE(reported().empty()) << "everything is reported";
  if (batch == 1) return;
  send(batch - 1);
  EXPECT_TRUE(reported().empty()) << "the batch is not full";
  g.run(1_ms);
  EXPECT_EQ(reported(), (std::vector<std::uint32_t>{16 + batch - 2}));
}
INSTANTIATE_TEST_SUITE_P(of, raw_completions, testing::Values(1u, 4u, 8u));

TEST(interrupt, is_raised_for_records_and_moderated) {
  adapter_config c;
  adapter_rig g(c, 64, 64);
  g.bring_up();
  for (int i = 0; i < 3; ++i) {
    g.post(descriptor(static_cast<us_opcode>(99)));
    g.ring();
  }
  EXPECT_EQ(g.interrupts.size(), 1u) << "not armed again before ODT_HEAD";
  g.take_records();
  g.ring_odt();
  g.post(descriptor(static_cast<us_opcode>(99)));
  g.ring();
  EXPECT_EQ(g.interrupts, (std::vector<std::uint32_t>{US_VECTOR_RECORDS, US_VECTOR_RECORDS}));
  const auto at = g.events.of(event_kind::interrupt);
  ASSERT_EQ(at.size(), 2u);
  EXPECT_GE(at[1].at - at[0].at, c.interrupt_moderation);
}

// PCI 3.0 6.8.2: by the vector or the whole function.
TEST(interrupt, that_is_masked_is_pending_until_it_is_unmasked) {
  adapter_rig g;
  g.bring_up();
  constexpr std::uint32_t enable = 1u << 31, function_mask = 1u << 30;
  g.write(US_MSIX_TABLE + 12, ~0u);
  EXPECT_EQ(g.read(US_MSIX_TABLE + 12), 1u) << "the other bits are reserved";
  EXPECT_EQ(g.read(US_MSIX_PBA), 0u);
  g.post(descriptor(static_cast<us_opcode>(99)));
  g.ring();
  EXPECT_TRUE(g.interrupts.empty());
  EXPECT_EQ(g.read(US_MSIX_PBA), 1u << US_VECTOR_RECORDS);
  g.write(US_MSIX_PBA, 0);
  EXPECT_EQ(g.read(US_MSIX_PBA), 1u << US_VECTOR_RECORDS) << "read-only";
  g.cfg_write(config_space::msix_capability, enable | function_mask);
  g.write(US_MSIX_TABLE + 12, 0);
  EXPECT_TRUE(g.interrupts.empty()) << "the function is masked";
  g.cfg_write(config_space::msix_capability, enable);
  g.run(5_us);
  EXPECT_EQ(g.interrupts, std::vector<std::uint32_t>{US_VECTOR_RECORDS});
  EXPECT_EQ(g.read(US_MSIX_PBA), 0u);
  EXPECT_EQ(g.take_records().size(), 1u);
}

// PCI 3.0 6.8.3.5: no spurious message when the host has served what was pending.
TEST(interrupt, that_is_served_while_it_is_masked_is_pending_no_more) {
  adapter_rig g;
  g.bring_up();
  g.write(US_MSIX_TABLE + 12, 1);
  g.post(descriptor(static_cast<us_opcode>(99)));
  g.ring();
  EXPECT_EQ(g.read(US_MSIX_PBA), 1u << US_VECTOR_RECORDS);
  EXPECT_EQ(g.take_records().size(), 1u);
  g.ring_odt();
  EXPECT_EQ(g.read(US_MSIX_PBA), 0u);
  g.write(US_MSIX_TABLE + 12, 0);
  g.run(100_us);
  EXPECT_TRUE(g.interrupts.empty());
}

TEST(interrupt, vectors_are_masked_after_power_on_and_after_a_reset) {
  adapter_rig g;
  for (std::uint32_t v = 0; v < US_MSIX_VECTORS; ++v) EXPECT_EQ(g.read(US_MSIX_TABLE + 16 * v + 12), 1u);
  g.bring_up();
  g.write(US_MSIX_TABLE + 12, 1);
  g.post(descriptor(static_cast<us_opcode>(99)));
  g.ring();
  EXPECT_NE(g.read(US_MSIX_PBA), 0u);
  g.write(US_REG_CONTROL, US_CONTROL_RESET);
  for (std::uint32_t v = 0; v < US_MSIX_VECTORS; ++v) EXPECT_EQ(g.read(US_MSIX_TABLE + 16 * v + 12), 1u);
  EXPECT_EQ(g.read(US_MSIX_PBA), 0u);
}

TEST(bus_master, that_is_off_keeps_every_request_in) {
  adapter_rig g;
  g.bring_up();
  g.write(US_REG_HEARTBEAT_US, 20);
  g.run(100_us);
  g.cfg_write(config_space::command, 0x2);
  const std::size_t before = g.events.of(event_kind::tlp_up).size();
  g.post(descriptor(static_cast<us_opcode>(99)));
  g.ring(500_us);
  std::size_t dma = 0;
  const auto up = g.events.of(event_kind::tlp_up);
  for (std::size_t i = before; i < up.size(); ++i)
    dma += up[i].b >> 32 <= static_cast<std::uint64_t>(tlp_type::memory_read);
  EXPECT_EQ(dma, 0u);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC) << "registers still answer";
  EXPECT_TRUE(g.take_records().empty());
  g.cfg_write(config_space::command, 0x6);
  g.run(50_us);
  EXPECT_EQ(g.take_records().size(), 1u);
  g.expect_no_report();
}

TEST(descriptor_table, that_is_not_in_memory_is_fatal) {
  adapter_rig g;
  g.bring_up();
  g.write(US_REG_CONTROL, US_CONTROL_RESET);
  g.cfg_write(config_space::command, 0x6);
  g.write(US_REG_IDT_BASE_HI, 0x7777);
  g.write(US_REG_IDT_SIZE, 64);
  g.write(US_REG_ODT_BASE_LO, static_cast<std::uint32_t>(g.odt.iova));
  g.write(US_REG_ODT_BASE_HI, static_cast<std::uint32_t>(g.odt.iova >> 32));
  g.write(US_REG_ODT_SIZE, 64);
  g.write(US_REG_CONTROL, US_CONTROL_ENABLE);
  g.write(US_REG_IDT_TAIL, 1);
  g.run(100_us);
  EXPECT_TRUE(g.read(US_REG_STATUS) & US_STATUS_FATAL);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), 0u);
}

}  // namespace
}  // namespace understudy::tb
