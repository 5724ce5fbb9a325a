// What the bus does wrong, or the host: poisoned and unsupported requests, a reset in the middle of DMA,
// descriptors that name pages which were never mapped.
#include <algorithm>
#include <tuple>

#include "tb/test/adapter/dma_under_way.h"
#include "tb/test/pcie/port_word.h"

namespace understudy::tb {
namespace {

// ---------------------------------------------------------------- poisoned and unsupported requests

TEST(poisoned_register_write, is_discarded_reported_and_counted) {
  adapter_rig g;
  g.write(US_REG_HEARTBEAT_US, 7);
  g.port.poison_next_mmio_write();
  g.write(US_REG_HEARTBEAT_US, 9);
  EXPECT_EQ(g.read(US_REG_HEARTBEAT_US), 7u);
  EXPECT_EQ(g.port.counters().poisoned_writes, 1u);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_poisoned);
  EXPECT_EQ(g.cfg_read(config_space::device_control) >> 16, config_space::non_fatal_detected >> 16);
  g.write(US_REG_HEARTBEAT_US, 9);
  EXPECT_EQ(g.read(US_REG_HEARTBEAT_US), 9u);
  g.cfg_write(config_space::aer_uncorrectable, config_space::aer_poisoned);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
}

// A doorbell that is lost so is made good by the next one.
TEST(poisoned_register_write, to_a_doorbell_starts_nothing) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.port.poison_next_mmio_write();
  g.ring();
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), 0u);
  g.ring();
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), 1u);
}

// Its record never comes: the host sees a hole in the ring, and nothing of it is in memory.
TEST(poisoned_record, is_not_written) {
  adapter_rig g;
  g.bring_up();
  us_idt_entry e{};
  e.opcode = 99;
  g.post(e);
  g.port.poison_next_write();
  g.ring();
  EXPECT_TRUE(g.take_records().empty());
  EXPECT_TRUE(std::all_of(g.odt.cpu, g.odt.cpu + 64 * US_ENTRY_BYTES, [](std::uint8_t b) { return b == 0; }));
  EXPECT_EQ(g.port.counters().poisoned_writes, 1u);
  EXPECT_EQ(port_word(g.port, port_aer_uncorrectable), aer_poisoned);
}

TEST(unsupported_register, reads_as_all_ones_at_once_and_is_reported_by_the_adapter) {
  adapter_rig g;
  g.run(1_us);
  std::uint32_t expected = 0;
  for (const std::uint32_t offset : {2u, US_BAR0_SIZE - 2, US_BAR0_SIZE, 0xfffffffcu}) {
    const picos start = now_ps();
    std::uint32_t value = 0;
    picos answered = 0;
    g.port.mmio_read(offset, [&](std::uint32_t v) {
      value = v;
      answered = now_ps();
    });
    g.run(5_us);
    EXPECT_EQ(value, 0xffffffffu) << offset;
    EXPECT_LT(answered - start, 1_us) << offset;
    EXPECT_EQ(g.port.counters().host_unsupported, ++expected) << offset;
    EXPECT_EQ(g.cfg_read(config_space::aer_correctable), config_space::aer_advisory) << offset;
    EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u) << "its completion said so";
    EXPECT_EQ(g.cfg_read(config_space::device_control) >> 16,
              (config_space::correctable_detected | config_space::unsupported_detected) >> 16);
    g.cfg_write(config_space::aer_correctable, config_space::aer_advisory);
    g.cfg_write(config_space::device_control, g.cfg_read(config_space::device_control));
    EXPECT_EQ(g.cfg_read(config_space::aer_correctable), 0u);
    EXPECT_EQ(g.cfg_read(config_space::device_control) >> 16, 0u);
  }
  g.write(US_BAR0_SIZE, 1);
  EXPECT_EQ(g.port.counters().host_unsupported, ++expected) << "a posted one has no answer";
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_unsupported_request);
  EXPECT_EQ(g.cfg_read(config_space::device_control) >> 16,
            (config_space::non_fatal_detected | config_space::unsupported_detected) >> 16);
  EXPECT_EQ(g.cfg_read(config_space::bytes), 0xffffffffu);
  EXPECT_EQ(g.port.counters().host_unsupported, ++expected);
  EXPECT_EQ(g.port.counters().timeouts, 0u);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC);
}

// Silence is still silence: nobody is there who could refuse.
TEST(unsupported_register, of_a_dead_adapter_ends_by_time_out) {
  adapter_rig g;
  g.run(1_us);
  g.dev.kill();
  EXPECT_EQ(g.read(US_BAR0_SIZE), 0xffffffffu);
  EXPECT_EQ(g.port.counters().timeouts, 1u);
  EXPECT_EQ(g.port.counters().host_unsupported, 0u);
}

// ---------------------------------------------------------------- function-level reset with DMA under way

// PCIe 6.6.2. Few reads are outstanding, so that the reset does not wait for many completions.
adapter_config few_reads() {
  adapter_config c;
  c.dma.tags = 2;
  c.dma.mrrs = 128;
  return c;
}

// How long after the first write, and with the Verilated blocks of adapter.rtl = ["checksum", "dma_engine"]?
class function_level_reset : public testing::TestWithParam<std::tuple<picos, bool>> {};

TEST_P(function_level_reset, in_the_middle_of_dma_lets_nothing_land_after_it_and_the_ring_starts_again) {
  const auto [after, rtl] = GetParam();
  adapter_config config = few_reads();
  config.dma.rtl = config.checksum_rtl = rtl;
  adapter_rig g(config, 64, 64, slow_link());
  g.bring_up(0);
  const auto m = dma_under_way(g, after);
  const dma_counters& c = g.dev.dma.counters();
  picos reset_at = never;
  g.port.cfg_write(config_space::device_control, config_space::initiate_flr, 0,
                   [&](std::uint32_t) { reset_at = now_ps(); });
  g.run(60_us);
  ASSERT_NE(reset_at, never);
  const std::vector<std::uint8_t> ring(g.odt.cpu, g.odt.cpu + 64 * US_ENTRY_BYTES);
  const std::size_t records = g.take_records().size();
  g.run(20_ms);  // longer than the completion time-out
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, reset_at);
  for (const event& e : g.events.of(event_kind::interrupt)) EXPECT_LE(e.at, reset_at);
  EXPECT_TRUE(std::equal(ring.begin(), ring.end(), g.odt.cpu));
  EXPECT_GT(records, 0u);
  EXPECT_LT(records, 40u);
  EXPECT_GT(c.write_bytes_aborted, 0u) << "the reset came in the middle of writes";
  EXPECT_GT(c.read_bytes_aborted, 0u) << "and of reads";
  EXPECT_GT(c.unexpected, 0u) << "late completions came";
  EXPECT_TRUE(g.wire.arrivals.empty()) << "no frame leaves whose reads it cut off";
  EXPECT_EQ(c.read_bytes, c.read_bytes_done + c.read_bytes_failed + c.read_bytes_aborted);
  EXPECT_TRUE(g.port.quiet());
  // Late answers are unexpected, which is advisory and so masked; and the function is as after power-on.
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable), config_space::aer_advisory);
  EXPECT_EQ(g.cfg_read(config_space::command) & (0x6 | config_space::received_master_abort), 0u);
  EXPECT_EQ(g.read(US_REG_CONTROL), 0u);
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), 0u);
  g.start_over(0);
  post_raw(g, m.iova, 9000);
  for (int k = 0; k < 3; ++k) post_refused(g);
  g.ring(200_us);
  const auto again = g.take_records();
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(
      std::count_if(again.begin(), again.end(), [](const us_record& r) { return r.type == US_REC_RAW; }), 1);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(again[i].number, i);
  ASSERT_EQ(g.wire.arrivals.size(), 1u);
  const frame_ref& sent = g.wire.arrivals[0].f;
  ASSERT_EQ(sent.size(), 9000u);
  EXPECT_TRUE(std::equal(sent.data(), sent.data() + 9000, m.cpu)) << "what was read after the reset";
  EXPECT_EQ(c.read_bytes, c.read_bytes_done + c.read_bytes_failed + c.read_bytes_aborted);
  EXPECT_EQ(g.dev.rtl_cycles().dma_engine > 0, rtl) << "the block that was asked for was at work";
  g.expect_no_report();
}
// The same with received payload on its way into a buffer of the host.
TEST_P(function_level_reset, in_the_middle_of_received_payload_leaves_the_rest_of_the_buffer_alone) {
  const auto [after, rtl] = GetParam();
  adapter_config config;
  config.dma.rtl = config.checksum_rtl = rtl;
  adapter_rig g(config, 64, 64, slow_link());
  constexpr std::uint32_t pieces = 8, piece = 1400;
  const auto connect = [&](std::uint16_t peer_port) {
    seq32 iss;
    g.post_address();
    g.post_listen(80);
    g.post_pool(16);
    g.ring(100_us);
    g.introduce_peer();
    EXPECT_TRUE(g.establish(80, peer_port, seq32{1000}, &iss));
    return iss;
  };
  const auto send = [&](std::uint16_t peer_port, seq32 iss) {
    for (std::uint32_t i = 0; i < pieces; ++i)
      g.wire.send(
          g.segment_from_peer(80, peer_port, seq32{1001 + i * piece}, iss + 1, tcp_ack | tcp_psh, piece));
  };
  // Bytes of the stream that are in `b`, from its beginning.
  const auto there = [](const host_memory::region& b) {
    std::uint32_t n = 0;
    while (n < pieces * piece && b.cpu[n] == static_cast<std::uint8_t>(1001 + n)) ++n;
    return n;
  };
  g.bring_up();
  send(1000, connect(1000));
  const host_memory::region first = g.buffers.back();
  ASSERT_TRUE(g.run_until([&] { return there(first) >= 2 * piece; }, 100_ns));
  g.run(after);
  picos reset_at = never;
  g.port.cfg_write(config_space::device_control, config_space::initiate_flr, 0,
                   [&](std::uint32_t) { reset_at = now_ps(); });
  g.run(100_us);
  ASSERT_NE(reset_at, never);
  const std::vector<std::uint8_t> at_reset(first.cpu, first.cpu + 16 * 1024);
  EXPECT_LT(there(first), pieces * piece) << "the reset came in the middle";
  EXPECT_GT(g.dev.dma.counters().write_bytes_aborted, 0u);
  g.run(20_ms);
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, reset_at);
  EXPECT_TRUE(std::equal(at_reset.begin(), at_reset.end(), first.cpu));
  EXPECT_TRUE(g.port.quiet());
  // And again from the start, into another buffer.
  g.start_over();
  send(1001, connect(1001));
  g.run(500_us);
  EXPECT_EQ(there(g.buffers.back()), pieces * piece);
  EXPECT_TRUE(std::equal(at_reset.begin(), at_reset.end(), first.cpu));
  EXPECT_EQ(g.dev.rtl_cycles().dma_engine > 0, rtl);
  EXPECT_EQ(g.dev.rtl_cycles().checksum > 0, rtl);
  g.expect_no_report();
}

INSTANTIATE_TEST_SUITE_P(after, function_level_reset,
                         testing::Combine(testing::Values(1_ns, 500_ns, 1_us), testing::Bool()),
                         [](const auto& p) {
                           return std::to_string(std::get<0>(p.param) / 1_ns) +
                                  (std::get<1>(p.param) ? "_ns_rtl" : "_ns_twin");
                         });

TEST(function_level_reset_of, configuration_space_keeps_mps_and_what_aer_has_reported) {
  adapter_rig g;
  g.write(US_BAR0_SIZE, 1);
  g.cfg_write(config_space::device_control, 0);
  g.port.retrain(2, 4);
  g.run(20_us);
  g.cfg_write(config_space::device_control, config_space::initiate_flr);
  EXPECT_EQ(g.cfg_read(config_space::device_control) >> config_space::mps_bit & 7, 0u) << "MPS";
  EXPECT_EQ(g.cfg_read(config_space::device_control) >> config_space::mrrs_bit & 7, 2u) << "MRRS";
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_unsupported_request) << "sticky";
  EXPECT_EQ(g.cfg_read(config_space::link_control) >> 16, 2u | 4u << 4);
}

// PCIe 7.5.3.4, 7.5.3.16: the defaults of hardware; what firmware and driver had set up is for software to
// restore.
TEST(function_level_reset_of, device_control_leaves_its_defaults_until_it_is_restored) {
  adapter_config device;
  device.dma.mrrs = 1024;
  device.dma.tags = 768;
  pcie_config bus;
  bus.link.mrrs = 1024;
  adapter_rig g(device, 64, 64, bus);
  const auto m = g.memory.allocate(8192, 4096);
  std::vector<std::uint8_t> in(4096);
  const auto requests = [&] {
    g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
    const std::uint64_t before = g.port.counters().reads;
    g.dev.dma.read(iova{m.iova}, 4096, in.data(), {}, [](bool) {});
    g.run(20_us);
    return g.port.counters().reads - before;
  };
  g.cfg_write(config_space::device_control_2,
              config_space::enable_10_bit_tag | config_space::disable_completion_timeout);
  const std::uint32_t control = g.cfg_read(config_space::device_control),
                      control_2 = g.cfg_read(config_space::device_control_2);
  EXPECT_EQ(requests(), 4u);
  g.cfg_write(config_space::device_control, config_space::initiate_flr);
  EXPECT_EQ(g.cfg_read(config_space::device_control), config_space::enable_relaxed_ordering |
                                                          1u << config_space::mps_bit |
                                                          2u << config_space::mrrs_bit);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), 0u);
  EXPECT_EQ(requests(), 8u) << "512 bytes";
  g.write(US_BAR0_SIZE, 1);
  EXPECT_EQ(g.port.counters().err_nonfatal, 0u) << "errors are logged and not signalled";
  g.cfg_write(config_space::device_control, control);
  g.cfg_write(config_space::device_control_2, control_2);
  EXPECT_EQ(g.cfg_read(config_space::device_control) & 0xffff, control);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), control_2);
  EXPECT_EQ(requests(), 4u);
  g.write(US_BAR0_SIZE, 1);
  EXPECT_EQ(g.port.counters().err_nonfatal, 1u);
}

TEST(function_level_reset_of, device_control_leaves_no_more_than_the_slot_carries) {
  adapter_config device;
  device.dma.mrrs = 128;
  pcie_config bus;
  bus.link.mrrs = 128;
  adapter_rig g(device, 64, 64, bus);
  g.cfg_write(config_space::device_control, config_space::initiate_flr);
  EXPECT_EQ(g.cfg_read(config_space::device_control) >> config_space::mrrs_bit & 7, 0u);
}

// Completion Timeout Disable. Answers come after the time-out.
class completion_timeout_disable : public testing::Test {
 protected:
  void disable(bool on) {
    g.cfg_write(config_space::device_control_2, on ? config_space::disable_completion_timeout : 0);
  }
  void read() {
    g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
    g.dev.dma.read(iova{m.iova}, 64, in.data(), {}, [this](bool there) {
      ++told;
      ok += there;
    });
    g.run(250_us);
  }
  adapter_rig g{times_out_after(100_us), 64, 64, answers_after(200_us)};
  const host_memory::region m = g.memory.allocate(64, 64);
  std::vector<std::uint8_t> in = std::vector<std::uint8_t>(64);
  int told = 0, ok = 0;
};

TEST_F(completion_timeout_disable, acts_as_long_as_it_is_set) {
  disable(true);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), config_space::disable_completion_timeout);
  read();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(g.dev.dma.counters().unexpected, 0u);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
  disable(false);
  read();
  EXPECT_EQ(told, 2);
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(g.dev.dma.counters().unexpected, 1u);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_completion_timeout);
}

TEST_F(completion_timeout_disable, is_over_with_a_function_level_reset) {
  disable(true);
  g.cfg_write(config_space::device_control, config_space::initiate_flr);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), 0u);
  read();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(ok, 0);
}

TEST_F(completion_timeout_disable, is_over_with_the_link) {
  disable(true);
  g.port.set_link_up(false);
  g.port.set_link_up(true);
  g.run(10_us);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), 0u);
  read();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(ok, 0);
}

// ---------------------------------------------------------------- pages that nobody has mapped

pcie_config with_iommu() {
  pcie_config c;
  c.translation.on = true;
  return c;
}

struct unmapped : testing::Test {
  unmapped() : g(adapter_config{}, 64, 64, with_iommu()) {
    page = g.memory.allocate(4096, 4096);
    std::fill_n(page.cpu, 4096, std::uint8_t{0x5a});
    g.bring_up();
  }
  // It was refused and reported, at both ends of the link, and the page is as it was.
  void expect_refused(bool read) {
    EXPECT_GT(g.port.translation().counters().refused, 0u);
    EXPECT_EQ(g.port.translation().counters().last_refused / 4096, page.iova / 4096);
    EXPECT_GT(g.port.counters().unsupported, 0u);
    EXPECT_EQ(port_word(g.port, port_aer_uncorrectable), aer_unsupported_request);
    EXPECT_EQ((g.cfg_read(config_space::command) & config_space::received_master_abort) != 0, read)
        << "a posted write has no completion";
    EXPECT_TRUE(std::all_of(page.cpu, page.cpu + 4096, [](std::uint8_t b) { return b == 0x5a; }));
  }
  // A connection on port 80 with a mapped pool buffer.
  void connect() {
    g.post_address();
    g.post_listen(80);
    g.post_pool(4);
    g.port.translation().map(g.buffers.back().iova, 4096);
    g.ring();
    g.introduce_peer();
    EXPECT_TRUE(g.establish(80, 1000, seq32{1000}, &iss));
    EXPECT_EQ(g.port.translation().counters().refused, 0u) << "what is mapped is admitted";
    for (const us_record& r : g.take_records())
      if (r.type == US_REC_ESTABLISHED || r.type == US_REC_EMBRYO) cid = r.cid;
    g.ring_odt();
    EXPECT_NE(cid, US_NO_CID);
  }
  us_idt_entry entry(us_opcode op) const {
    us_idt_entry e{};
    e.opcode = static_cast<std::uint8_t>(op);
    e.cid = cid;
    return e;
  }

  adapter_rig g;
  host_memory::region page;
  seq32 iss;
  std::uint32_t cid = US_NO_CID;
};

TEST_F(unmapped, send_range_is_refused_reported_and_no_byte_of_it_leaves) {
  connect();
  us_idt_entry e = entry(US_OP_SEND);
  e.u.send.iova_lo = static_cast<std::uint32_t>(page.iova);
  e.u.send.iova_hi = static_cast<std::uint32_t>(page.iova >> 32);
  e.u.send.len = 100;
  e.u.send.seq_end = (iss + 101).raw;
  g.post(e);
  g.ring(100_us);
  for (const segment& s : g.take_segments()) EXPECT_EQ(s.payload_length, 0u);
  expect_refused(true);
  EXPECT_GT(g.dev.dma.counters().failed, 0u);
  EXPECT_EQ(g.read(US_REG_REFUSED_COMMANDS), 0u) << "the descriptor itself was sound";
  // Once the page is mapped the retransmission carries the bytes.
  g.port.translation().map(page.iova, 4096);
  g.run(400_ms);
  const auto sent = g.take_segments();
  EXPECT_TRUE(
      std::any_of(sent.begin(), sent.end(), [](const segment& s) { return s.payload_length == 100; }));
}

TEST_F(unmapped, receive_buffer_is_refused_reported_and_nothing_is_written) {
  connect();
  us_idt_entry e = entry(US_OP_POST_RX);
  e.flags = US_RX_DIRECT;
  e.u.rx.iova_lo = static_cast<std::uint32_t>(page.iova);
  e.u.rx.iova_hi = static_cast<std::uint32_t>(page.iova >> 32);
  e.u.rx.len = 4096;
  e.u.rx.buf_id = 77;
  e.u.rx.edge = 1001 + 8192;
  g.post(e);
  g.ring();
  EXPECT_EQ(g.port.translation().counters().refused, 0u) << "naming it touches nothing";
  g.wire.send(g.segment_from_peer(80, 1000, seq32{1001}, iss + 1, tcp_ack | tcp_psh, 200));
  g.run(100_us);
  expect_refused(false);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC) << "and the adapter goes on";
}

TEST_F(unmapped, raw_frame_is_refused_reported_and_not_sent) {
  const std::size_t before = g.wire.arrivals.size();
  post_raw(g, page.iova, 128);
  post_raw(g, page.iova, 128);
  g.ring(100_us);
  EXPECT_EQ(g.wire.arrivals.size(), before);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 2u);
  for (std::uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(records[i].type, US_REC_RAW);
    EXPECT_EQ(records[i].u.end.status, static_cast<std::uint32_t>(US_ERR_DMA));
    EXPECT_EQ(records[i].u.end.index, i);
  }
  EXPECT_EQ(g.dev.counters().raw_failed, 2u);
  expect_refused(true);
  g.ring_odt();
  // The same descriptor is served once its page is mapped.
  g.port.translation().map(page.iova, 4096);
  post_raw(g, page.iova, 128);
  g.ring(100_us);
  EXPECT_EQ(g.wire.arrivals.size(), before + 1);
}

TEST_F(unmapped, pool_buffer_of_a_new_connection_takes_no_byte) {
  g.post_address();
  g.post_listen(80);
  us_idt_entry e{};
  e.opcode = US_OP_POST_POOL;
  e.cid = US_NO_CID;
  e.u.rx.iova_lo = static_cast<std::uint32_t>(page.iova);
  e.u.rx.iova_hi = static_cast<std::uint32_t>(page.iova >> 32);
  e.u.rx.len = 4096;
  g.post(e);
  g.ring();
  g.introduce_peer();
  ASSERT_TRUE(g.establish(80, 1000, seq32{1000}, &iss));
  EXPECT_EQ(g.port.translation().counters().refused, 0u);
  g.wire.send(g.segment_from_peer(80, 1000, seq32{1001}, iss + 1, tcp_ack | tcp_psh, 200));
  g.run(100_us);
  expect_refused(false);
}

}  // namespace
}  // namespace understudy::tb
