#include "model/pcie/pcie_port.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "tb/test/allocations.h"
#include "tb/test/pcie/card.h"
#include "tb/test/pcie/port_word.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

const pcie_config defaults;

class pcie : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(sc_core::sc_report_handler::get_count(protocol_checker::report_id), 0);
    EXPECT_EQ(sc_core::sc_report_handler::get_count(sc_core::SC_ERROR), expected_errors);
  }
  int expected_errors = 0;
};

}  // namespace

// ---------------------------------------------------------------- DMA writes

TEST_F(pcie, a_write_becomes_visible_after_serialisation_propagation_and_memory) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 0x5a, 64);
  EXPECT_EQ(b.device.last, tlm::TLM_COMPLETED);
  EXPECT_EQ(b.device.status, tlm::TLM_OK_RESPONSE);
  EXPECT_EQ(b.device.link_free, b.wire(88));
  const picos visible = b.wire(88) + defaults.propagation + defaults.write_latency;
  b.run(visible - 1);
  EXPECT_EQ(m.cpu[0], 0);
  EXPECT_FALSE(b.port.quiet());
  b.run(2);
  EXPECT_EQ(m.cpu[63], 0x5a);
  EXPECT_TRUE(b.port.quiet());
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].at, visible);
  EXPECT_EQ(seen[0].a, m.iova);
  EXPECT_EQ(seen[0].b, 64u);
  EXPECT_EQ(seen[0].length, 64u);
  EXPECT_EQ(seen[0].unit, 3);
}

TEST_F(pcie, writes_occupy_the_link_one_after_the_other_and_land_in_order) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (std::uint8_t i = 0; i < 5; ++i) b.device.fill(m.iova + i * 256u, i, i % 2 ? 4 : 256);
  b.run(1_us);
  const auto left = b.record.of(event_kind::tlp_up);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(left.size(), 5u);
  ASSERT_EQ(seen.size(), 5u);
  picos start = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(left[i].at, start);
    start += b.wire(i % 2 ? 28 : 280);
    EXPECT_EQ(seen[i].a, m.iova + i * 256);
    EXPECT_EQ(seen[i].at, start + defaults.propagation + defaults.write_latency);
  }
  EXPECT_EQ(b.port.counters().writes, 5u);
  EXPECT_EQ(b.port.counters().write_bytes, 3 * 256u + 2 * 4u);
  EXPECT_EQ(b.port.counters().tlps_up, 5u);
}

TEST_F(pcie, a_write_to_nowhere_vanishes_and_is_counted) {
  bench b;
  b.run(0);
  b.device.fill(host_memory::base_address + (1 << 20), 1, 64);
  EXPECT_EQ(b.device.status, tlm::TLM_OK_RESPONSE);
  b.run(1_us);
  EXPECT_EQ(b.port.counters().unsupported, 1u);
  EXPECT_EQ(b.port.counters().writes, 0u);
  EXPECT_TRUE(b.record.of(event_kind::write_visible).empty());
}

TEST_F(pcie, a_frame_in_the_extension_is_kept_and_copied_once) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  frame_extension extension;
  extension.frame = frame_ref::make(256);
  std::memset(extension.frame.data(), 7, 256);
  auto& o = b.device.take();
  o.payload.set_data_ptr(extension.frame.data() + 100);
  o.payload.set_extension(&extension);
  const std::uint64_t buffers = detail::frame_pool::instance().allocated();
  b.device.begin(o, tlm::TLM_WRITE_COMMAND, m.iova, 100);
  o.payload.clear_extension(&extension);
  extension.frame = {};
  EXPECT_EQ(detail::frame_pool::instance().allocated(), buffers);
  const frame_ref other = frame_ref::make(256);
  EXPECT_EQ(detail::frame_pool::instance().allocated(), buffers + 1)
      << "the frame was given back while in use";
  b.run(1_us);
  EXPECT_EQ(m.cpu[99], 7);
}

// ---------------------------------------------------------------- DMA reads

TEST_F(pcie, a_read_of_64_bytes_takes_400_to_450_ns) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  m.cpu[63] = 9;
  b.run(0);
  auto& r = b.device.read(m.iova, 64);
  EXPECT_EQ(b.device.last, tlm::TLM_UPDATED);
  EXPECT_EQ(b.device.link_free, b.wire(24));
  b.run(1_us);
  EXPECT_EQ(r.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  EXPECT_EQ(r.data[63], 9);
  EXPECT_EQ(r.answered, b.wire(24) + 2 * defaults.propagation + defaults.read_latency + b.wire(84));
  EXPECT_GE(r.answered, 400_ns);
  EXPECT_LE(r.answered, 450_ns);
  EXPECT_EQ(b.device.alive, 0);
  EXPECT_EQ(b.record.of(event_kind::tlp_down).size(), 1u);
}

TEST_F(pcie, a_read_pushes_the_writes_before_it) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 0x77, 64);
  auto& r = b.device.read(m.iova, 64);
  b.run(2_us);
  EXPECT_EQ(r.data[0], 0x77);
  const picos visible = b.record.of(event_kind::write_visible).at(0).at;
  EXPECT_EQ(r.answered, visible + defaults.read_latency + b.wire(84) + defaults.propagation);
}

TEST_F(pcie, a_read_does_not_see_a_later_write) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  auto& r = b.device.read(m.iova, 64);
  b.device.fill(m.iova, 0x77, 64);
  b.run(2_us);
  EXPECT_EQ(r.data[0], 0);
  EXPECT_EQ(m.cpu[0], 0x77);
}

TEST_F(pcie, a_zero_length_read_flushes_and_brings_no_data) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  m.cpu[0] = 1;
  tlp_watcher seen;
  b.port.watch(&seen);
  b.run(0);
  b.device.fill(m.iova + 64, 0x77, 64);
  auto& r = b.device.flush(m.iova);
  r.data[0] = 0xcc;
  b.run(2_us);
  const picos visible = b.record.of(event_kind::write_visible).at(0).at;
  EXPECT_EQ(r.answered, visible + defaults.read_latency + b.wire(24) + defaults.propagation);
  EXPECT_EQ(r.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  EXPECT_EQ(r.data[0], 0xcc);
  ASSERT_EQ(seen.all.size(), 3u);
  EXPECT_EQ(seen.all[2].type, tlp_type::completion_data);
  EXPECT_EQ(seen.all[2].left, 1u) << "Byte Count (PCIe 2.3.1.1)";
}

TEST_F(pcie, a_read_of_nowhere_is_answered_unsupported) {
  bench b;
  b.run(0);
  auto& r = b.device.read(host_memory::base_address + (1 << 20), 64);
  auto& f = b.device.flush(host_memory::base_address + (1 << 20));
  b.run(2_us);
  EXPECT_EQ(r.payload.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
  EXPECT_EQ(f.payload.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
  EXPECT_EQ(r.answered, b.wire(24) + 2 * defaults.propagation + defaults.read_latency + b.wire(20));
  EXPECT_EQ(b.port.counters().unsupported, 2u);
}

TEST_F(pcie, two_reads_contend_for_the_way_down) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  auto& r1 = b.device.read(m.iova, 512);
  auto& r2 = b.device.read(m.iova + 512, 512);
  b.run(2_us);
  const picos both_completions = 2 * b.wire(276);
  EXPECT_EQ(r1.answered, b.wire(24) + 2 * defaults.propagation + defaults.read_latency + both_completions);
  EXPECT_EQ(r2.answered, r1.answered + both_completions);  // not b.wire(24) later, as without contention
  EXPECT_EQ(b.port.counters().tlps_down, 4u);
  EXPECT_EQ(b.port.counters().bytes_down, 4 * 276u);
}

TEST_F(pcie, completions_split_at_the_read_completion_boundary_on_the_wire) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.read(m.iova + 0x20, 256);
  b.run(2_us);
  EXPECT_EQ(b.port.counters().tlps_down, 2u);
  EXPECT_EQ(b.port.counters().bytes_down, 224u + 32u + 2 * 20u);
}

TEST_F(pcie, many_reads_are_outstanding_at_once) {
  bench b;
  const auto m = b.memory.allocate(65536, 4096);
  for (unsigned i = 0; i < 256; ++i) m.cpu[i * 64] = static_cast<std::uint8_t>(i);
  b.run(0);
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < 256; ++i) reads.push_back(&b.device.read(m.iova + i * 64, 64));
  EXPECT_EQ(b.device.alive, 256);
  b.run(10_us);
  for (unsigned i = 0; i < 256; ++i) {
    EXPECT_EQ(reads[i]->data[0], i);
    if (i > 0) {
      EXPECT_GT(reads[i]->answered, reads[i - 1]->answered);
    }
  }
  EXPECT_EQ(b.device.alive, 0);
  EXPECT_TRUE(b.port.quiet());
}

TEST_F(pcie, the_next_response_waits_for_the_end_of_the_one_before) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.accept_later = true;
  auto& r1 = b.device.read(m.iova, 64);
  auto& r2 = b.device.read(m.iova, 64);
  b.run(5_us);
  EXPECT_LT(r1.answered, 1_us);
  EXPECT_EQ(r2.answered, never);
  EXPECT_FALSE(b.port.quiet());
  b.device.end_response(r1);
  EXPECT_EQ(r2.answered, 5_us);
  b.device.end_response(r2);
  EXPECT_EQ(b.device.alive, 0);
  EXPECT_TRUE(b.port.quiet());
}

TEST_F(pcie, requests_that_break_the_size_rules_are_reported) {
  sc_core::sc_report_handler::set_actions("/understudy/pcie", sc_core::SC_ERROR, sc_core::SC_CACHE_REPORT);
  bench b;
  const auto m = b.memory.allocate(8192, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 260);
  b.device.fill(m.iova + 4090, 1, 16);
  b.device.read(m.iova, 516);
  EXPECT_EQ(sc_core::sc_report_handler::get_count("/understudy/pcie"), 3);
  EXPECT_EQ(b.device.status, tlm::TLM_BURST_ERROR_RESPONSE);
  EXPECT_TRUE(b.port.quiet());
  expected_errors = 3;
}

TEST_F(pcie, partial_byte_enables_are_refused) {
  bench b;
  const auto m = b.memory.allocate(8192, 4096);
  b.run(0);
  auto& o = b.device.take();
  o.enables[1] = TLM_BYTE_ENABLED;
  o.payload.set_byte_enable_ptr(o.enables);
  o.payload.set_byte_enable_length(4);
  b.device.begin(o, tlm::TLM_READ_COMMAND, m.iova, 4);
  EXPECT_EQ(b.device.status, tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
}

// ---------------------------------------------------------------- bandwidth

TEST_F(pcie, the_ideal_link_carries_what_the_published_model_says) {
  pcie_config c;
  c.ideal = true;
  bench b(c);
  const auto m = b.memory.allocate(1 << 20, 4096);
  b.run(0);
  constexpr unsigned n = 1000;
  for (unsigned i = 0; i < n; ++i) b.device.fill(m.iova, 1, 65);
  EXPECT_NEAR(n * 65 * 8e3 / static_cast<double>(b.device.link_free), 42.28, 42.28 * 0.001);
  b.run(b.device.link_free);
  const picos start = now_ps();
  for (unsigned i = 0; i < n; ++i) b.device.read(m.iova, 512);
  b.run(200_us);
  const picos last = b.record.of(event_kind::tlp_down).back().at;
  const picos first = b.record.of(event_kind::tlp_down).front().at;
  EXPECT_GT(first, start);
  EXPECT_NEAR((n - 1) * 512 * 8e3 / static_cast<double>(last - first), 53.69, 53.69 * 0.001);
}

// The worst-case convention charges 16 bytes every 203; the link's own traffic asks for 16 every 203 symbol
// times on 8 lanes.
TEST_F(pcie, the_ordinary_link_pads_and_pays_only_for_the_dllps_of_its_traffic) {
  bench b;
  const auto m = b.memory.allocate(1 << 20, 4096);
  b.run(0);
  constexpr unsigned n = 2000;
  for (unsigned i = 0; i < n; ++i) b.device.fill(m.iova, 1, 256);
  const double one_way = n * 256 * 8e3 / static_cast<double>(b.device.link_free);
  EXPECT_NEAR(one_way, raw_rate(defaults.link) * skp_share() / 1e9 * 256 / 280, 0.01);
  b.run(b.device.link_free + 10_us);
  const picos start = now_ps();
  for (unsigned i = 0; i < n; ++i) {
    b.device.read(m.iova, 256);
    b.device.fill(m.iova, 1, 256);
    b.run(b.device.link_free - now_ps());
  }
  const double both = n * 256 * 8e3 / static_cast<double>(now_ps() - start);
  const double without = raw_rate(defaults.link) * skp_share() / 1e9 * 256 / (280 + 24);
  EXPECT_LT(both, without * 0.9955);  // half of 16 / 1624, charged to the busy direction
  EXPECT_GT(both, without * 0.985);
  std::printf("256-byte payloads, Gb/s: write %.2f (ideal %.2f), both %.2f (ideal %.2f)\n", one_way,
              ideal_write(defaults.link, 256) / 1e9, both, ideal_both(defaults.link, 256) / 1e9);
}

// ---------------------------------------------------------------- interrupts

TEST_F(pcie, an_msi_arrives_behind_the_writes_before_it) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  std::uint8_t at_interrupt = 0;
  picos when = 0;
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  b.port.on_interrupt([&](std::uint64_t a, std::uint32_t d) {
    at_interrupt = m.cpu[0];
    when = now_ps();
    address = a;
    data = d;
  });
  b.run(0);
  b.device.fill(m.iova, 0x42, 256);
  const std::uint32_t vector = 5;
  b.device.write(0xfee00010, &vector, 4);
  b.run(1_us);
  EXPECT_EQ(at_interrupt, 0x42);
  EXPECT_EQ(address, 0xfee00010u);
  EXPECT_EQ(data, 5u);
  EXPECT_EQ(when, b.wire(280) + b.wire(24) + defaults.propagation + defaults.write_latency);
  const auto seen = b.record.of(event_kind::interrupt);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].a, 5u);
  EXPECT_EQ(b.port.counters().msi, 1u);
  EXPECT_EQ(b.port.counters().writes, 1u);
}

// ---------------------------------------------------------------- registers

TEST_F(pcie, a_register_write_arrives_after_the_way_down) {
  bench b;
  b.run(0);
  b.port.mmio_write(0x2c, 77, 10_ns);
  EXPECT_FALSE(b.port.quiet());
  b.run(2_us);
  ASSERT_EQ(b.bar.visits.size(), 1u);
  EXPECT_EQ(b.bar.visits[0].offset, 0x2cu);
  EXPECT_EQ(b.bar.visits[0].value, 77u);
  EXPECT_EQ(b.bar.visits[0].at, 10_ns + defaults.mmio_latency + b.wire(24) + defaults.propagation);
  EXPECT_EQ(b.record.of(event_kind::mmio_write).size(), 1u);
  EXPECT_EQ(b.record.of(event_kind::tlp_down).size(), 1u);
  EXPECT_TRUE(b.port.quiet());
}

TEST_F(pcie, the_access_time_of_the_registers_is_consumed) {
  bench b;
  b.run(0);
  for (std::uint32_t i = 0; i < 3; ++i) b.port.mmio_write(4 * i, i);
  b.run(2_us);
  ASSERT_EQ(b.bar.visits.size(), 3u);
  EXPECT_EQ(b.bar.visits[1].at, b.bar.visits[0].at + b.bar.access);
  EXPECT_EQ(b.bar.visits[2].at, b.bar.visits[1].at + b.bar.access);
  EXPECT_EQ(b.bar.visits[2].offset, 8u);
}

TEST_F(pcie, registers_may_wait_instead_of_annotating) {
  bench b;
  b.bar.waits = true;
  b.run(0);
  for (std::uint32_t i = 0; i < 2; ++i) b.port.mmio_write(4 * i, i);
  picos when = 0;
  b.port.mmio_read(0, [&](std::uint32_t) { when = now_ps(); });
  b.run(5_us);
  ASSERT_EQ(b.bar.visits.size(), 3u);
  EXPECT_EQ(b.bar.visits[1].at, b.bar.visits[0].at + b.bar.access);
  EXPECT_EQ(when,
            b.bar.visits[2].at + b.bar.access + b.wire(24) + defaults.propagation + defaults.mmio_latency);
}

TEST_F(pcie, a_register_read_takes_700_to_900_ns) {
  bench b;
  b.bar.value = 0xabcd;
  b.run(0);
  std::uint32_t value = 0;
  picos when = 0;
  b.port.mmio_read(
      4,
      [&](std::uint32_t v) {
        value = v;
        when = now_ps();
      },
      0);
  b.run(2_us);
  EXPECT_EQ(value, 0xabcdu);
  EXPECT_EQ(when,
            2 * (defaults.mmio_latency + defaults.propagation) + b.wire(20) + b.bar.access + b.wire(24));
  EXPECT_GE(when, 700_ns);
  EXPECT_LE(when, 900_ns);
  const auto seen = b.record.of(event_kind::mmio_read);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].b, 0xabcdu);
}

TEST_F(pcie, a_register_reads_completion_pushes_the_adapters_writes) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.bar.access = 0;
  b.run(0);
  int seen = -1;
  b.port.mmio_read(4, [&](std::uint32_t) { seen = m.cpu[15 * 256]; });
  b.run(defaults.mmio_latency + b.wire(20) + defaults.propagation - 100);
  for (unsigned i = 0; i < 16; ++i) b.device.fill(m.iova + i * 256, 9, 256);
  const picos left = b.device.link_free;
  b.run(5_us);
  EXPECT_EQ(seen, 9);
  EXPECT_GE(b.record.of(event_kind::mmio_read).at(0).at,
            left + defaults.write_latency + defaults.mmio_latency);
}

TEST_F(pcie, a_read_of_dead_registers_gives_all_ones_after_the_time_out) {
  bench b;
  b.bar.dead = true;
  b.run(0);
  std::uint32_t value = 0;
  picos when = 0;
  b.port.mmio_read(
      4,
      [&](std::uint32_t v) {
        value = v;
        when = now_ps();
      },
      0);
  b.run(defaults.completion_timeout - 1);
  EXPECT_EQ(when, 0u);
  b.run(1_us);
  EXPECT_EQ(value, 0xffffffffu);
  EXPECT_EQ(when, defaults.completion_timeout);
  EXPECT_TRUE(b.record.of(event_kind::mmio_read).empty());
  EXPECT_TRUE(b.port.quiet());
}

TEST_F(pcie, a_register_read_over_a_dead_link_gives_all_ones) {
  bench b;
  b.run(0);
  b.port.set_link_up(false);
  std::uint32_t value = 0;
  b.port.mmio_read(4, [&](std::uint32_t v) { value = v; });
  b.port.mmio_write(4, 1);
  b.run(60_us);
  EXPECT_EQ(value, 0xffffffffu);
  EXPECT_TRUE(b.bar.visits.empty());
  EXPECT_EQ(b.port.counters().dropped, 2u);
}

TEST_F(pcie, an_answer_after_the_time_out_is_ignored) {
  bench b;
  b.bar.access = 80_us;
  b.run(0);
  std::vector<std::uint32_t> values;
  b.port.mmio_read(4, [&](std::uint32_t v) { values.push_back(v); });
  b.run(60_us);
  b.bar.access = 0;
  b.bar.value = 6;
  b.port.mmio_read(8, [&](std::uint32_t v) { values.push_back(v); });
  b.run(60_us);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{0xffffffff, 6}));
}

TEST_F(pcie, configuration_space_is_reached_over_the_link) {
  bench b;
  b.run(0);
  std::vector<std::uint32_t> values;
  b.port.cfg_write(4, 0x1234, 0, [&](std::uint32_t v) { values.push_back(v); });
  b.port.cfg_read(4, [&](std::uint32_t v) { values.push_back(v); });
  b.port.cfg_write(8, 0x99);
  b.run(5_us);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{0, 0x1234}));
  ASSERT_EQ(b.space.visits.size(), 3u);
  EXPECT_EQ(b.space.value, 0x99u);
  EXPECT_TRUE(b.bar.visits.empty());
  EXPECT_TRUE(b.port.quiet());
  EXPECT_EQ(b.port.counters().bytes_up, 20u + 24u + 20u);
}

// ---------------------------------------------------------------- faults

TEST_F(pcie, a_driver_finds_link_control_by_walking_the_capabilities) {
  bench b;
  b.run(0);
  const auto read = [&b](std::uint32_t offset) { return port_word(b.port, offset); };
  EXPECT_EQ(read(0x0c) >> 16 & 0x7f, 1u);
  EXPECT_TRUE(read(0x04) & 1u << 20);
  std::uint32_t cap = read(0x34) & 0xff;
  EXPECT_EQ(read(cap) & 0xff, 0x10u);
  EXPECT_EQ(cap + 0x10, port_link_control);
  EXPECT_TRUE(read(port_link_control) & port_link_active);
  EXPECT_EQ(read(port_link_control) >> 20 & 0x3f, 8u);
  b.port.port_cfg_write(port_link_control, port_link_disable);
  b.run(1_us);
  EXPECT_EQ(read(port_link_control), port_link_disable);
  EXPECT_FALSE(b.port.link_up());
  b.port.port_cfg_write(port_link_control, 0);
  b.run(1_us + defaults.retrain_time);
  EXPECT_TRUE(read(port_link_control) & port_link_active);
}

TEST_F(pcie, a_disabled_link_lands_what_had_left_and_loses_the_rest) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.port_cfg_write(port_link_control, port_link_disable);
  // Disabled at mmio_latency: one TLP just wholly sent, one on the wire, one behind it.
  b.run(defaults.mmio_latency - b.wire(280) - b.wire(88));
  b.device.fill(m.iova, 1, 256);
  b.device.fill(m.iova + 256, 2, 256);
  b.device.fill(m.iova + 512, 3, 256);
  std::uint8_t at_read = 0;
  picos when = 0;
  b.port.port_cfg_read(
      port_link_control,
      [&](std::uint32_t) {
        at_read = m.cpu[0];
        when = now_ps();
      },
      b.wire(280) + b.wire(88));
  b.run(b.wire(280) + b.wire(88) + 1);
  EXPECT_FALSE(b.port.link_up());
  EXPECT_EQ(m.cpu[0], 0);
  auto& r = b.device.read(m.iova, 64);
  EXPECT_EQ(b.device.last, tlm::TLM_UPDATED);
  b.device.fill(m.iova + 768, 4, 256);
  EXPECT_EQ(b.device.status, tlm::TLM_OK_RESPONSE);
  b.run(10_us);
  EXPECT_EQ(m.cpu[0], 1);
  EXPECT_EQ(m.cpu[256], 0);
  EXPECT_EQ(m.cpu[512], 0);
  EXPECT_EQ(m.cpu[768], 0);
  EXPECT_EQ(r.answered, never);
  EXPECT_EQ(at_read, 1);
  EXPECT_GT(when, 0u);
  EXPECT_EQ(b.port.counters().dropped, 4u);
  EXPECT_EQ(b.device.alive, 1);  // the read, given back by the card only
  EXPECT_TRUE(b.port.quiet());
  EXPECT_EQ(b.record.of(event_kind::tlp_up).size(), 2u);
  r.payload.release();
}

TEST_F(pcie, a_port_read_completes_when_the_writes_that_had_passed_are_visible) {
  pcie_config c;
  c.write_latency = 5_us;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 256);
  b.run(b.wire(280));
  b.port.set_link_up(false);
  int seen = -1;
  picos when = 0;
  b.port.port_cfg_read(port_link_control, [&](std::uint32_t) {
    seen = m.cpu[0];
    when = now_ps();
  });
  b.run(10_us);
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(when, b.wire(280) + c.propagation + c.write_latency + c.mmio_latency);
}

TEST_F(pcie, reads_on_their_way_are_never_answered_once_the_link_went_down) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < 8; ++i) {
    reads.push_back(&b.device.read(m.iova, 256));
    b.run(60_ns);
  }
  const std::uint64_t answered = b.device.answers;
  EXPECT_GT(answered, 0u);
  EXPECT_LT(answered, 8u);
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(10_us);
  EXPECT_EQ(b.device.answers, answered);
  EXPECT_TRUE(b.port.quiet());
  auto& r = b.device.begin(b.device.take(), tlm::TLM_READ_COMMAND, m.iova, 64);
  b.run(1_us);
  EXPECT_NE(r.answered, never);
}

TEST_F(pcie, a_link_that_comes_back_carries_and_reports_as_before) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 256);
  b.device.fill(m.iova + 256, 2, 256);
  b.run(b.wire(280) + 1);  // the second is on the wire
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(defaults.retrain_time + 1);
  b.device.fill(m.iova + 512, 3, 256);
  b.device.fill(m.iova + 768, 4, 256);
  b.run(2_us);
  EXPECT_EQ(m.cpu[0], 1);
  EXPECT_EQ(m.cpu[256], 0);
  EXPECT_EQ(m.cpu[512], 3);
  EXPECT_EQ(m.cpu[768], 4);
  EXPECT_EQ(b.record.of(event_kind::tlp_up).size(), 4u);
  EXPECT_EQ(b.port.counters().tlps_up, 4u);
}

TEST_F(pcie, a_register_access_during_which_the_link_went_down_is_unanswered) {
  bench b;
  b.bar.access = 2_us;
  b.run(0);
  std::vector<std::uint32_t> values;
  b.port.mmio_read(4, [&](std::uint32_t v) { values.push_back(v); });
  b.run(1_us);
  ASSERT_EQ(b.bar.visits.size(), 1u);
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(60_us);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{0xffffffff}));
  EXPECT_EQ(b.port.counters().dropped, 1u);
}

TEST_F(pcie, power_off_loses_only_what_was_not_wholly_sent) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  auto& read = b.device.read(m.iova, 64);
  b.device.fill(m.iova, 1, 256);
  b.device.fill(m.iova + 256, 2, 256);
  std::uint32_t value = 0;
  b.port.mmio_read(0, [&](std::uint32_t v) { value = v; });
  b.run(b.wire(24) + b.wire(280) + b.wire(88));
  b.port.power_off_device();
  EXPECT_EQ(b.device.alive, 1);
  b.run(100_us);
  EXPECT_EQ(m.cpu[0], 1);
  EXPECT_EQ(m.cpu[256], 0);
  EXPECT_EQ(read.answered, never);
  EXPECT_EQ(value, 0xffffffffu);
  EXPECT_TRUE(b.bar.visits.empty());
  EXPECT_TRUE(b.port.quiet());
  read.payload.release();
}

TEST_F(pcie, a_tlp_whose_last_byte_leaves_as_the_power_goes_lands) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 256);
  b.run(b.wire(280));
  b.port.power_off_device();
  b.run(1_us);
  EXPECT_EQ(m.cpu[0], 1);
}

class pcie_death : public pcie, public testing::WithParamInterface<event_kind> {};

TEST_P(pcie_death, an_adapter_may_die_inside_any_event) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.record.victim = &b.port;
  b.record.kill_at = GetParam();
  b.run(0);
  b.port.mmio_write(0, 1);
  b.port.mmio_read(0, [](std::uint32_t) {});
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < 4; ++i) {
    b.device.fill(m.iova, 1, 256);
    reads.push_back(&b.device.read(m.iova, 256));
  }
  const std::uint32_t vector = 1;
  b.device.write(0xfee00000, &vector, 4);
  b.run(100_us);
  ASSERT_FALSE(b.record.of(GetParam()).empty());
  EXPECT_FALSE(b.port.link_up());
  EXPECT_TRUE(b.port.quiet());
  std::uint64_t unanswered = 0;
  for (card::operation* r : reads)
    if (r->answered == never) {
      r->payload.release();
      ++unanswered;
    }
  EXPECT_EQ(b.device.answers + unanswered, 4u);
  EXPECT_EQ(b.device.alive, 0);  // the port holds none of the card's transactions
}

INSTANTIATE_TEST_SUITE_P(events, pcie_death,
                         testing::Values(event_kind::tlp_up, event_kind::write_visible, event_kind::tlp_down,
                                         event_kind::mmio_write, event_kind::interrupt,
                                         event_kind::mmio_read));

// ---------------------------------------------------------------- speed

TEST_F(pcie, steady_state_allocates_nothing) {
  bench b;
  const auto m = b.memory.allocate(1 << 20, 4096);
  b.record.keep = false;
  b.run(0);
  std::uint64_t answered = 0;
  const auto round = [&] {
    for (unsigned i = 0; i < 32; ++i) {
      b.device.fill(m.iova + i * 256, 1, 256);
      b.device.read(m.iova + i * 512, 512);
    }
    b.device.flush(m.iova);
    const std::uint32_t vector = 1;
    b.device.write(0xfee00000, &vector, 4);
    b.port.mmio_write(0, 1);
    b.port.mmio_read(0, [&](std::uint32_t) { ++answered; });
    b.bar.visits.clear();
    b.run(60_us);
  };
  for (int i = 0; i < 10; ++i) round();
  const std::uint64_t before = allocations;
  const std::uint64_t buffers = detail::frame_pool::instance().allocated();
  for (int i = 0; i < 50; ++i) round();
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(detail::frame_pool::instance().allocated(), buffers);
  EXPECT_EQ(answered, 60u);
  EXPECT_EQ(b.port.counters().writes, 60u * 32);
  EXPECT_EQ(b.port.counters().reads, 60u * 33);
}
