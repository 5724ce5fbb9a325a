// The defaults of a scenario are those of the parts that it configures.
#include "tb/platform/configure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tb/scenario/parameters.h"

namespace understudy::tb {
namespace {

TEST(configure, the_adapter_of_a_default_scenario_is_a_default_adapter) {
  const adapter_config a = adapter_of(scenario{});
  const adapter_config d;
  EXPECT_EQ(a.tcp.max_connections, d.tcp.max_connections);
  EXPECT_EQ(a.tcp.mtu, d.tcp.mtu);
  EXPECT_EQ(a.tcp.timestamps, d.tcp.timestamps);
  EXPECT_EQ(a.tcp.window_scaling, d.tcp.window_scaling);
  EXPECT_EQ(a.tcp.wscale, d.tcp.wscale);
  EXPECT_EQ(a.tcp.rto_initial, d.tcp.rto_initial);
  EXPECT_EQ(a.tcp.msl, d.tcp.msl);
  EXPECT_EQ(a.tcp.reassembly_bytes, d.tcp.reassembly_bytes);
  EXPECT_EQ(a.dma.mps, d.dma.mps);
  EXPECT_EQ(a.dma.mrrs, d.dma.mrrs);
  EXPECT_EQ(a.dma.tags, d.dma.tags);
  EXPECT_EQ(a.dma.issue_time, d.dma.issue_time);
  EXPECT_EQ(a.clock_period, d.clock_period);
  EXPECT_EQ(a.checksum_bytes, d.checksum_bytes);
  EXPECT_EQ(a.checksum_rtl, d.checksum_rtl);
  EXPECT_EQ(a.rx_latency, d.rx_latency);
  EXPECT_EQ(a.tx_latency, d.tx_latency);
  EXPECT_EQ(a.rx_fifo_bytes, d.rx_fifo_bytes);
  EXPECT_EQ(a.dma_backlog_bytes, d.dma_backlog_bytes);
  EXPECT_EQ(a.register_access, d.register_access);
  EXPECT_EQ(a.descriptor_time, d.descriptor_time);
  EXPECT_EQ(a.descriptors_a_fetch, d.descriptors_a_fetch);
  EXPECT_EQ(a.interrupt_moderation, d.interrupt_moderation);
  EXPECT_EQ(a.acked_record_age, d.acked_record_age);
  EXPECT_EQ(a.proof, d.proof);
  EXPECT_EQ(a.trusted_delay, d.trusted_delay);
  EXPECT_EQ(a.flushes_in_flight, d.flushes_in_flight);
}

// How many of the bools that make up a struct of mutants are set.
template <typename T>
unsigned set_in(const T& mutants) {
  bool flags[sizeof(T)];
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(flags, &mutants, sizeof(T));
  return static_cast<unsigned>(std::count(std::begin(flags), std::end(flags), true));
}

unsigned mutants_in(const scenario& s) {
  const adapter_config a = adapter_of(s);
  return set_in(a.tcp.mutants) + set_in(a.mutants) + pcie_of(s).mutant_interrupt_overtakes +
         set_in(driver_of(s, {}, {{ip_address::v4(10, 0, 0, 1), 24}}, 1).mutants);
}

TEST(configure, the_parts_of_a_default_scenario_are_no_mutants) {
  EXPECT_EQ(mutants_in(scenario{}), 0u);
}

TEST(configure, each_mutant_reaches_the_part_that_has_it) {
  unsigned flags = sizeof(tcp_mutants) + sizeof(adapter_mutants) + sizeof(host::driver_mutants) + 1;
  for (const mutant& m : mutants()) {
    scenario s;
    s.mutants = {std::string(m.name)};
    // snd_max_reset is one defect in two parts: what the driver restores and what the engine makes of it.
    // touch_lent_memory is an application's, which platform.cpp makes.
    const unsigned parts = m.name == "snd_max_reset" ? 2 : m.name == "touch_lent_memory" ? 0 : 1;
    EXPECT_EQ(mutants_in(s), parts) << m.name;
    flags -= parts;
  }
  EXPECT_EQ(flags, 0u) << "a defect without a word for it";
}

TEST(configure, each_word_of_adapter_rtl_reaches_its_block) {
  scenario s;
  s.adapter.rtl = {"checksum", "dma_engine", "buffer_allocator", "record_coalescer", "connection_table"};
  const adapter_config all = adapter_of(s), none = adapter_of(scenario{});
  EXPECT_TRUE(all.checksum_rtl && all.dma.rtl && all.buffer_allocator_rtl && all.record_coalescer_rtl &&
              all.lookup.rtl);
  EXPECT_FALSE(none.checksum_rtl || none.dma.rtl || none.buffer_allocator_rtl || none.record_coalescer_rtl ||
               none.lookup.rtl);
}

TEST(configure, the_look_up_and_the_timer_unit_of_a_default_scenario_are_default_ones) {
  const adapter_config a = adapter_of(scenario{}), d;
  EXPECT_EQ(a.lookup.sets, d.lookup.sets);
  EXPECT_EQ(a.lookup.miss, d.lookup.miss);
  EXPECT_EQ(a.lookup.access, d.lookup.access);
  EXPECT_EQ(a.lookup.scrub, d.lookup.scrub);
  EXPECT_EQ(a.timer_time, d.timer_time);
}

TEST(configure, the_bus_of_a_default_scenario_is_a_default_bus) {
  const pcie_config a = pcie_of(scenario{});
  const pcie_config d;
  EXPECT_EQ(a.link.generation, d.link.generation);
  EXPECT_EQ(a.link.lanes, d.link.lanes);
  EXPECT_EQ(a.link.mps, d.link.mps);
  EXPECT_EQ(a.link.mrrs, d.link.mrrs);
  EXPECT_EQ(a.link.rcb, d.link.rcb);
  EXPECT_EQ(a.ideal, d.ideal);
  EXPECT_EQ(a.propagation, d.propagation);
  EXPECT_EQ(a.read_latency, d.read_latency);
  EXPECT_EQ(a.write_latency, d.write_latency);
  EXPECT_EQ(a.mmio_latency, d.mmio_latency);
  EXPECT_EQ(a.completion_timeout, d.completion_timeout);
}

TEST(configure, the_switch_and_the_host_of_a_default_scenario_are_default_ones) {
  const l2_switch_config a = switch_of(scenario{}, 7);
  const l2_switch_config d;
  EXPECT_EQ(a.ports, 7u);
  EXPECT_EQ(a.latency, d.latency);
  EXPECT_EQ(a.queue_bytes, d.queue_bytes);
  EXPECT_EQ(a.hold_bytes, d.hold_bytes);
  const host_costs c = costs_of(scenario{});
  const host_costs e;
  EXPECT_EQ(c.mmio_write, e.mmio_write);
  EXPECT_EQ(c.cold_record, e.cold_record);
  EXPECT_EQ(c.copy_per_byte, e.copy_per_byte);
  EXPECT_EQ(c.irq_entry, e.irq_entry);
  EXPECT_EQ(c.descriptor, e.descriptor);
  EXPECT_EQ(c.socket_call, e.socket_call);
  EXPECT_EQ(c.restore_connection, e.restore_connection);
  const eth_link_config l = peer_link_of(scenario{});
  const eth_link_config f;
  EXPECT_EQ(l.rate, f.rate);
}

}  // namespace
}  // namespace understudy::tb
