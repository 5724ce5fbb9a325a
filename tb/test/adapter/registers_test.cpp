// BAR 0 and configuration space of the adapter, as the bus sees them.
#include <map>

#include "tb/test/adapter/adapter_rig.h"
#include "tb/test/pcie/port_word.h"

namespace understudy::tb {
namespace {

enum class access { ro, rw, wo };
struct reg {
  const char* name;
  std::uint32_t offset;
  access how;
  std::uint32_t reset;
};
constexpr reg registers[] = {
#define US_X(name, offset, how, reset, text) {#name, offset, access::how, reset},
    US_REGISTERS(US_X)
#undef US_X
};

// One access by b_transport, without a bus.
tlm::tlm_response_status access_status(adapter_rig& g, bool configuration, std::uint64_t address,
                                       std::uint32_t length, bool write = false, bool enables = false) {
  tlm::tlm_generic_payload p;
  std::uint8_t data[64] = {};
  std::uint8_t be[4] = {0xff, 0xff, 0xff, 0xff};
  p.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
  p.set_address(address);
  p.set_data_ptr(data);
  p.set_data_length(length);
  p.set_streaming_width(length);
  if (enables) {
    p.set_byte_enable_ptr(be);
    p.set_byte_enable_length(4);
  }
  sc_core::sc_time t;
  auto& socket = configuration ? g.port.cfg : g.port.mmio;
  socket->b_transport(p, t);
  return p.get_response_status();
}

TEST(registers, have_the_reset_values_of_the_definition) {
  adapter_rig g;
  unsigned looked_at = 0;
  for (const reg& r : registers) {
    ++looked_at;
    const std::uint32_t v = g.read(r.offset);
    if (r.offset == US_REG_FEATURES) {
      EXPECT_EQ(v & (US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE | US_FEATURE_HEARTBEAT),
                US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE | US_FEATURE_HEARTBEAT);
    } else if (r.offset == US_REG_STATUS) {
      EXPECT_EQ(v, US_STATUS_READY | US_STATUS_RX_BLOCKED);
    } else if (r.offset == US_REG_MAX_CONNECTIONS) {
      EXPECT_EQ(v, adapter_config{}.tcp.max_connections);
    } else {
      EXPECT_EQ(v, r.reset) << r.name;
    }
  }
  EXPECT_GT(looked_at, 20u);
  g.expect_no_report();
}

TEST(registers, keep_what_is_written_if_they_may_be_written) {
  adapter_rig g;
  for (const reg& r : registers) {
    if (r.offset == US_REG_CONTROL || r.offset == US_REG_IDT_TAIL || r.offset == US_REG_ODT_HEAD) continue;
    const std::uint32_t before = g.read(r.offset);
    g.write(r.offset, 0x1234'5640);
    const std::uint32_t after = g.read(r.offset);
    EXPECT_EQ(after, r.how == access::rw ? 0x1234'5640u : r.how == access::ro ? before : 0u) << r.name;
  }
  g.expect_no_report();
}

TEST(registers, refuse_what_is_not_an_aligned_dword) {
  adapter_rig g;
  g.run(1_us);
  for (const bool configuration : {false, true}) {
    EXPECT_EQ(access_status(g, configuration, 0, 4), tlm::TLM_OK_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 2, 4), tlm::TLM_ADDRESS_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 4094, 4), tlm::TLM_ADDRESS_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 4096, 4), tlm::TLM_ADDRESS_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, ~std::uint64_t{0} - 3, 4), tlm::TLM_ADDRESS_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 0, 1), tlm::TLM_BURST_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 0, 8), tlm::TLM_BURST_ERROR_RESPONSE);
    EXPECT_EQ(access_status(g, configuration, 0, 4, true, true), tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
  }
  g.expect_no_report();
}

TEST(registers, of_a_dead_adapter_answer_nothing) {
  adapter_rig g;
  g.run(1_us);
  g.dev.kill();
  EXPECT_EQ(access_status(g, false, 0, 4), tlm::TLM_GENERIC_ERROR_RESPONSE);
  EXPECT_EQ(access_status(g, true, 0, 4), tlm::TLM_GENERIC_ERROR_RESPONSE);
  EXPECT_EQ(g.read(US_REG_ID), 0xffffffffu);
}

TEST(registers, size_the_bar_by_all_ones) {
  adapter_rig g;
  g.cfg_write(config_space::bar0, 0xffffffff);
  EXPECT_EQ(g.cfg_read(config_space::bar0) & ~15u, ~(US_BAR0_SIZE - 1));
  EXPECT_EQ(g.cfg_read(0), US_PCI_DEVICE << 16 | US_PCI_VENDOR);
}

TEST(registers, enable_with_unusable_tables_is_fatal_and_does_nothing) {
  adapter_rig g(adapter_config{}, 64, 64);
  g.cfg_write(config_space::command, 0x6);
  for (const std::uint32_t size : {0u, 8u, 48u, 131072u}) {
    g.write(US_REG_CONTROL, US_CONTROL_RESET);
    g.write(US_REG_IDT_SIZE, size);
    g.write(US_REG_ODT_SIZE, 64);
    g.write(US_REG_CONTROL, US_CONTROL_ENABLE);
    EXPECT_TRUE(g.read(US_REG_STATUS) & US_STATUS_FATAL) << size;
    EXPECT_EQ(g.read(US_REG_CONTROL), 0u) << size;
  }
  for (const std::uint32_t base : {US_REG_IDT_BASE_LO, US_REG_ODT_BASE_LO}) {
    g.write(US_REG_CONTROL, US_CONTROL_RESET);
    g.write(US_REG_IDT_SIZE, 64);
    g.write(US_REG_ODT_SIZE, 64);
    g.write(base, static_cast<std::uint32_t>(g.odt.iova) + 32);
    g.write(US_REG_CONTROL, US_CONTROL_ENABLE);
    EXPECT_TRUE(g.read(US_REG_STATUS) & US_STATUS_FATAL) << "a ring between two slots";
    EXPECT_EQ(g.read(US_REG_CONTROL), 0u);
  }
  g.write(US_REG_CONTROL, US_CONTROL_RESET);
  EXPECT_FALSE(g.read(US_REG_STATUS) & US_STATUS_FATAL);
  EXPECT_EQ(g.dev.dma.counters().operations, 0u);
  g.expect_no_report();
}

TEST(registers, reset_brings_back_the_state_after_power_on) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.post_listen(80);
  g.ring();
  g.write(US_REG_CONTROL, US_CONTROL_RESET);
  for (const reg& r : registers) {
    if (r.offset == US_REG_FEATURES || r.offset == US_REG_STATUS || r.offset == US_REG_MAX_CONNECTIONS)
      continue;
    EXPECT_EQ(g.read(r.offset), r.reset) << r.name;
  }
  EXPECT_EQ(g.read(US_REG_STATUS), US_STATUS_READY | US_STATUS_RX_BLOCKED);
  g.expect_no_report();
}

TEST(registers, function_level_reset_clears_bus_master_and_the_device) {
  adapter_rig g;
  g.cfg_write(config_space::command, 0x6);
  g.write(US_REG_IDT_SIZE, 64);
  EXPECT_EQ(g.cfg_read(config_space::command) & 0x6, 0x6u);
  EXPECT_EQ(g.read(US_REG_IDT_SIZE), 64u);
  g.cfg_write(config_space::device_control, config_space::initiate_flr);
  EXPECT_EQ(g.cfg_read(config_space::command) & 0x6, 0u);
  EXPECT_EQ(g.cfg_read(config_space::device_control) & config_space::initiate_flr, 0u);
  EXPECT_EQ(g.read(US_REG_IDT_SIZE), 0u);
  EXPECT_EQ(g.cfg_read(config_space::aer_capability) & 0xffff, 1u) << "Advanced Error Reporting";
}

// As a driver finds what a function can do: from the pointer at 0x34 through the lists, to their ends.
TEST(registers, configuration_space_can_be_walked) {
  adapter_rig g;
  EXPECT_EQ(g.cfg_read(0x0c) >> 16 & 0x7f, 0u) << "type 0 header";
  ASSERT_TRUE(g.cfg_read(config_space::command) & 1u << 20) << "there is a capability list";
  std::map<std::uint32_t, std::uint32_t> found;  // offset by identifier
  for (std::uint32_t at = g.cfg_read(0x34) & 0xfc; at; at = g.cfg_read(at) >> 8 & 0xfc) {
    ASSERT_GE(at, 0x40u);
    ASSERT_TRUE(found.emplace(g.cfg_read(at) & 0xff, at).second) << "a loop";
  }
  ASSERT_EQ(found.size(), 2u);
  const std::uint32_t express = found.at(0x10), msix = found.at(0x11);
  EXPECT_EQ(g.cfg_read(express) >> 20 & 15, 0u) << "endpoint";
  EXPECT_TRUE(g.cfg_read(express + 4) & 1u << 28) << "function-level reset";
  EXPECT_EQ(g.cfg_read(express + 8) >> 5 & 7, 1u) << "MPS 256";
  EXPECT_EQ(g.cfg_read(express + 8) >> 12 & 7, 2u) << "MRRS 512";
  EXPECT_EQ(g.cfg_read(express + 4) & 7, 1u) << "256 is what the slot carries";
  EXPECT_TRUE(g.cfg_read(express + 4) & 1u << 15) << "role-based error reporting";
  EXPECT_TRUE(g.cfg_read(express + 4) & 1u << 5) << "64 tags need more than 5 bits";
  EXPECT_TRUE(g.cfg_read(express + 8) & config_space::enable_extended_tag);
  EXPECT_EQ(g.cfg_read(express + 0x0c), 3u | 8u << 4) << "Link Capabilities: generation 3, 8 lanes";
  EXPECT_EQ(g.cfg_read(express + 0x10) >> 16 & 0x3ff, 3u | 8u << 4) << "Link Status";
  EXPECT_EQ(g.cfg_read(express + 0x2c), 0xeu) << "2.5, 5 and 8 GT/s";
  EXPECT_TRUE(g.cfg_read(express + 8) & config_space::enable_relaxed_ordering) << "as after power-on";
  g.cfg_write(express + 8, 0);
  EXPECT_EQ(g.cfg_read(express + 8), 0u);
  EXPECT_EQ((g.cfg_read(msix) >> 16 & 0x7ff) + 1, US_MSIX_VECTORS);
  EXPECT_EQ(g.cfg_read(msix + 4), US_MSIX_TABLE);
  EXPECT_EQ(g.cfg_read(msix + 8), US_MSIX_PBA);
  unsigned extended = 0;
  for (std::uint32_t at = 0x100; at; at = g.cfg_read(at) >> 20) {
    EXPECT_EQ(g.cfg_read(at) & 0xffff, 1u) << "Advanced Error Reporting";
    ++extended;
  }
  EXPECT_EQ(extended, 1u);
  g.cfg_write(0x00, 0x12345678);
  g.cfg_write(0x34, 0);
  EXPECT_EQ(g.cfg_read(0) >> 16, US_PCI_DEVICE) << "read-only";
  EXPECT_NE(g.cfg_read(0x34), 0u);
}

struct slot_case {
  unsigned generation, lanes;
  std::uint32_t mps, mrrs, tags;
  std::uint32_t device_capabilities, device_control, device_capabilities_2, device_control_2;
};
class slot : public testing::TestWithParam<slot_case> {
 protected:
  static adapter_config device() {
    adapter_config c;
    c.link_generation = GetParam().generation;
    c.link_lanes = GetParam().lanes;
    c.dma.mps = GetParam().mps;
    c.dma.mrrs = GetParam().mrrs;
    c.dma.tags = GetParam().tags;
    return c;
  }
  static pcie_config bus() {
    pcie_config c;
    c.link.generation = GetParam().generation;
    c.link.lanes = GetParam().lanes;
    c.link.mps = GetParam().mps;
    c.link.mrrs = GetParam().mrrs;
    return c;
  }
};

TEST_P(slot, shows_in_configuration_space) {
  const slot_case& p = GetParam();
  adapter_rig g(device(), 64, 64, bus());
  EXPECT_EQ(g.cfg_read(config_space::link_capabilities), p.generation | p.lanes << 4);
  EXPECT_EQ(g.cfg_read(config_space::link_control) >> 16, p.generation | p.lanes << 4);
  EXPECT_EQ(g.cfg_read(config_space::device_capabilities) & 0x27, p.device_capabilities);
  EXPECT_EQ(g.cfg_read(config_space::device_control), p.device_control);
  EXPECT_EQ(g.cfg_read(config_space::device_capabilities_2), p.device_capabilities_2);
  EXPECT_EQ(g.cfg_read(config_space::device_control_2), p.device_control_2);
}
INSTANTIATE_TEST_SUITE_P(
    of, slot,
    testing::Values(slot_case{3, 8, 256, 512, 64, 1 | 1 << 5, 0x213f, 1 << 16 | 1 << 4, 0},
                    slot_case{1, 1, 128, 128, 32, 0, 0x001f, 1 << 16 | 1 << 4, 0},
                    slot_case{5, 16, 512, 4096, 256, 2 | 1 << 5, 0x515f, 1 << 16 | 1 << 4, 0},
                    slot_case{4, 4, 4096, 1024, 768, 5 | 1 << 5, 0x31bf, 3 << 16 | 1 << 4, 1 << 12}));

// PCIe 7.5.3.15: who asks with 10-bit tags completes them, too, and so must the port that answers.
TEST(ten_bit_tags, are_completed_by_the_port) {
  adapter_rig g;
  EXPECT_EQ(port_word(g.port, port_capability + 0x24), 1u << 16);
}

// PCIe 7.5.3.5: what a driver waits for before a function-level reset.
TEST(transactions_pending, as_long_as_a_read_has_no_answer) {
  pcie_config bus;
  bus.read_latency = 30_us;
  adapter_rig g({}, 64, 64, bus);
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  const auto pending = [&] {
    return (g.cfg_read(config_space::device_control) & config_space::transactions_pending) != 0;
  };
  EXPECT_FALSE(pending());
  const auto m = g.memory.allocate(64, 64);
  frame_ref in = frame_ref::make(64);
  bool there = false;
  g.dev.dma.read(iova{m.iova}, 64, in.data(), in, [&](bool ok) { there = ok; });
  g.run(5_us);
  EXPECT_TRUE(pending());
  g.run(50_us);
  EXPECT_TRUE(there);
  EXPECT_FALSE(pending());
}

TEST(link_status, of_both_ends_shows_a_downgrade_and_a_retrain_by_the_port) {
  adapter_rig g;
  const auto both = [&](std::uint32_t speed, std::uint32_t lanes) {
    EXPECT_EQ(g.cfg_read(config_space::link_control) >> 16, speed | lanes << 4);
    EXPECT_EQ(port_word(g.port, port_link_control) >> 16 & 0x3ff, speed | lanes << 4);
    EXPECT_EQ(g.cfg_read(config_space::link_capabilities), 3u | 8u << 4) << "what it can does not change";
  };
  both(3, 8);
  g.port.retrain(1, 1);
  g.run(20_us);
  both(1, 1);
  // Target link speed 2; the lanes that were lost stay lost.
  g.port.port_cfg_write(port_link_control_2, 2);
  g.port.port_cfg_write(port_link_control, port_retrain_link, 1_us);
  g.run(3_us);
  EXPECT_EQ(g.port.counters().retrains, 2u);
  EXPECT_TRUE(port_word(g.port, port_link_control) & port_link_training) << "and reads as 0 else";
  g.run(20_us);
  EXPECT_EQ(port_word(g.port, port_link_control) & (port_link_training | port_retrain_link), 0u);
  both(2, 1);
  // More than the slot can counts as that.
  g.port.port_cfg_write(port_link_control_2, 5);
  g.port.port_cfg_write(port_link_control, port_retrain_link, 1_us);
  g.run(20_us);
  both(3, 1);
  g.port.port_cfg_write(port_link_control, 0);
  g.run(20_us);
  EXPECT_EQ(g.port.counters().retrains, 3u) << "without the bit nothing trains";
}

// A driver may lower MPS and MRRS, not raise them; the DMA engine's requests and the completions follow.
class request_size : public testing::TestWithParam<bool> {};

TEST_P(request_size, follows_device_control) {
  adapter_config c;
  c.dma.rtl = GetParam();
  adapter_rig g(c);
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  const auto m = g.memory.allocate(8192, 4096);
  const frame_ref f = frame_ref::make(2048);
  frame_ref in = frame_ref::make(2048);
  // TLPs of 2048 bytes each way: writes, reads, and completions, which are counted at the port.
  struct tlps {
    std::size_t writes = 0, reads = 0;
    std::uint64_t completions = 0;
  };
  const auto move = [&] {
    const std::size_t begin = g.events.all.size();
    const std::uint64_t down = g.port.counters().tlps_down;
    bool ok = false;
    g.dev.dma.write(iova{m.iova}, f, 0, 2048);
    g.dev.dma.read(iova{m.iova + 4096}, 2048, in.data(), in, [&](bool all) { ok = all; });
    g.run(50_us);
    EXPECT_TRUE(ok);
    tlps n;
    for (std::size_t i = begin; i < g.events.all.size(); ++i) {
      if (g.events.all[i].kind != event_kind::tlp_up) continue;
      n.writes += g.events.all[i].b >> 32 == static_cast<std::uint64_t>(tlp_type::memory_write);
      n.reads += g.events.all[i].b >> 32 == static_cast<std::uint64_t>(tlp_type::memory_read);
    }
    n.completions = g.port.counters().tlps_down - down;
    return n;
  };
  const auto control = [&](std::uint32_t mps, std::uint32_t mrrs) {
    g.cfg_write(config_space::device_control, config_space::enable_extended_tag |
                                                  mps << config_space::mps_bit |
                                                  mrrs << config_space::mrrs_bit);
    return g.cfg_read(config_space::device_control) & 0x70e0;
  };
  const tlps at_first = move();
  EXPECT_EQ(at_first.writes, 8u) << "256 bytes";
  EXPECT_EQ(at_first.reads, 4u) << "512 bytes";
  EXPECT_EQ(at_first.completions, 8u);
  EXPECT_EQ(control(0, 2), 0x2000u);
  const tlps mps_128 = move();
  EXPECT_EQ(mps_128.writes, 16u);
  EXPECT_EQ(mps_128.reads, 4u);
  EXPECT_EQ(mps_128.completions, 8u) << "those are as long as the port's own MPS";
  g.port.port_cfg_write(port_device_control, 0);
  g.run(5_us);
  EXPECT_EQ(port_word(g.port, port_device_control), 0u);
  EXPECT_EQ(move().completions, 16u);
  EXPECT_EQ(control(0, 0), 0x0000u);
  EXPECT_EQ(move().reads, 16u);
  EXPECT_EQ(control(5, 5), 0x2020u) << "more than the slot carries is not taken";
  g.port.port_cfg_write(port_device_control, 5 << 5);
  g.run(5_us);
  EXPECT_EQ(port_word(g.port, port_device_control), 1u << 5);
  const tlps again = move();
  EXPECT_EQ(again.writes, 8u);
  EXPECT_EQ(again.reads, 4u);
  EXPECT_EQ(again.completions, 8u);
  g.expect_no_report();
}
INSTANTIATE_TEST_SUITE_P(data_path, request_size, testing::Bool(),
                         [](const auto& p) { return p.param ? "rtl" : "twin"; });

// Reads outstanding at the same time: as many as tags of 5 bits, or all.
TEST(extended_tag, that_is_off_leaves_32_tags) {
  adapter_rig g;
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  const auto m = g.memory.allocate(65536, 4096);
  std::vector<std::uint8_t> in(64 * 1024);
  // Requests that leave before the first answer comes, which takes 400 ns and more; one takes 4 ns.
  const auto at_once = [&] {
    const std::size_t begin = g.events.all.size();
    for (std::uint32_t i = 0; i < 100; ++i)
      g.dev.dma.read(iova{m.iova + i * 64}, 64, in.data() + std::size_t{i} * 64, {}, [](bool) {});
    g.run(50_us);
    std::size_t n = 0;
    for (std::size_t i = begin; i < g.events.all.size(); ++i) {
      if (g.events.all[i].kind == event_kind::tlp_down) break;
      n += g.events.all[i].kind == event_kind::tlp_up;
    }
    return n;
  };
  EXPECT_EQ(at_once(), 64u);
  g.cfg_write(config_space::device_control, 0x2020);
  EXPECT_EQ(at_once(), 32u);
  g.cfg_write(config_space::device_control, 0x2020 | config_space::enable_extended_tag);
  EXPECT_EQ(at_once(), 64u);
}

// The same with tags of 10, 8 and 5 bits.
TEST(ten_bit_tag, that_is_off_leaves_256_tags) {
  adapter_config c;
  c.dma.tags = 768;
  pcie_config bus;
  bus.read_latency = 20_us;
  adapter_rig g(c, 64, 64, bus);
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  const auto m = g.memory.allocate(65536, 4096);
  std::vector<std::uint8_t> in(64 * 1024);
  const auto at_once = [&] {
    const std::uint64_t before = g.dev.dma.counters().requests;
    for (std::uint32_t i = 0; i < 1000; ++i)
      g.dev.dma.read(iova{m.iova + i * 64}, 64, in.data() + std::size_t{i} * 64, {}, [](bool) {});
    g.run(19_us);
    const std::uint64_t n = g.dev.dma.counters().requests - before;
    g.run(1_ms);
    return n;
  };
  EXPECT_EQ(at_once(), 768u);
  g.cfg_write(config_space::device_control_2, 0);
  EXPECT_EQ(at_once(), 256u);
  g.cfg_write(config_space::device_control, 0x2020);
  EXPECT_EQ(at_once(), 32u);
  g.cfg_write(config_space::device_control_2, config_space::enable_10_bit_tag);
  EXPECT_EQ(at_once(), 768u);
}

TEST(registers, say_how_a_read_of_the_adapter_failed) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.port.poison_next_read();
  g.ring();
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_poisoned);
  EXPECT_TRUE(g.read(US_REG_STATUS) & US_STATUS_FATAL) << "descriptors cannot be understood any more";
  g.cfg_write(config_space::aer_uncorrectable, config_space::aer_poisoned);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u) << "write 1 to clear";
}

TEST(registers, tell_completer_abort_from_unsupported_request) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.port.abort_next_read();
  g.ring();
  constexpr std::uint32_t both = config_space::received_target_abort | config_space::received_master_abort;
  EXPECT_EQ(g.cfg_read(config_space::command) & both, config_space::received_target_abort);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
  g.cfg_write(config_space::command, 0x6 | both);
  EXPECT_EQ(g.cfg_read(config_space::command) & (both | 0x6), 0x6u);
}

TEST(heartbeat, counts_in_host_memory_at_its_period) {
  adapter_rig g;
  g.bring_up(0);
  const auto beat = [&] {
    us_heartbeat h;
    std::memcpy(&h, g.heartbeat.cpu, sizeof h);
    return h;
  };
  g.run(500_us);
  EXPECT_EQ(beat().count, 0u);
  g.write(US_REG_HEARTBEAT_US, 100);
  g.run(1000_us);
  EXPECT_GE(beat().count, 10u);
  EXPECT_LE(beat().count, 11u);
  EXPECT_EQ(beat().epoch, 7);
  EXPECT_EQ(beat().status, US_STATUS_READY | US_STATUS_RX_BLOCKED);
  const std::uint32_t last = beat().count;
  g.write(US_REG_HEARTBEAT_US, 0);
  g.run(1000_us);
  EXPECT_LE(beat().count, last + 1);
  g.expect_no_report();
}

TEST(heartbeat, says_which_doorbells_have_arrived) {
  adapter_rig g;
  g.bring_up();
  g.write(US_REG_HEARTBEAT_US, 50);
  const auto expect_echo = [&](std::uint32_t tail, std::uint32_t head) {
    g.run(200_us);
    us_heartbeat h;
    std::memcpy(&h, g.heartbeat.cpu, sizeof h);
    EXPECT_EQ(h.idt_tail, tail);
    EXPECT_EQ(h.odt_head, head);
  };
  expect_echo(0, 0);
  us_idt_entry e{};
  e.opcode = 99;
  g.post(e);
  g.ring();
  expect_echo(1, 0);
  EXPECT_EQ(g.take_records().size(), 1u);
  g.ring_odt();
  expect_echo(1, 1);
  g.post(e);
  g.port.poison_next_mmio_write();
  g.ring();
  expect_echo(1, 1);
  g.write(US_REG_IDT_TAIL, 1000);  // ignored
  expect_echo(1, 1);
}

// A block that is not aligned is not written (no_fragment).
TEST(heartbeat, to_an_address_that_is_not_aligned_is_refused_and_counted) {
  adapter_rig g;
  g.bring_up(0);
  g.write(US_REG_HEARTBEAT_LO, static_cast<std::uint32_t>(g.heartbeat.iova) + 4);
  g.write(US_REG_HEARTBEAT_US, 50);
  g.run(500_us);
  EXPECT_GE(g.dev.dma.counters().refused, 10u);
  EXPECT_EQ(g.dev.dma.counters().write_bytes, 0u);
  EXPECT_TRUE(std::all_of(g.heartbeat.cpu, g.heartbeat.cpu + 64, [](std::uint8_t b) { return b == 0; }));
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC);
}

TEST(heartbeat, of_a_zombie_stops_and_everything_else_goes_on) {
  adapter_rig g;
  g.bring_up();
  g.write(US_REG_HEARTBEAT_US, 50);
  g.run(200_us);
  g.dev.mute_heartbeat();
  g.run(100_us);
  us_heartbeat h;
  std::memcpy(&h, g.heartbeat.cpu, sizeof h);
  g.run(1000_us);
  EXPECT_EQ(std::memcmp(&h, g.heartbeat.cpu, sizeof h), 0);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC);
  g.post_address();
  g.ring();
  EXPECT_EQ(g.read(US_REG_IDT_HEAD), 1u);
}

}  // namespace
}  // namespace understudy::tb
