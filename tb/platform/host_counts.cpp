#include "tb/platform/host_counts.h"

#include <algorithm>
#include <utility>

namespace understudy::tb {

namespace {

// What happened on one adapter's PCIe link.
void add(pcie_counts& sum, const pcie_port& port) {
  const pcie_counters& c = port.counters();
  const iommu_counters& i = port.translation().counters();
  sum.tlps_up += c.tlps_up;
  sum.tlps_down += c.tlps_down;
  sum.bytes_up += c.bytes_up;
  sum.bytes_down += c.bytes_down;
  sum.dllps += c.dllps;
  sum.lcrc_errors += c.lcrc_errors;
  sum.bad_dllps += c.bad_dllps;
  sum.replayed_bytes += c.replayed_bytes;
  sum.replay_timeouts += c.replay_timeouts;
  sum.replay_stalls += c.replay_stalls;
  sum.retrains += c.retrains;
  sum.credit_stalls += c.credit_stalls;
  sum.credit_stall_time += c.credit_stall_time;
  sum.host_stalls += c.host_stalls;
  sum.overtakings += c.overtakings;
  sum.poisoned += c.poisoned;
  sum.poisoned_writes += c.poisoned_writes;
  sum.contained += c.contained;
  sum.aborted += c.aborted;
  sum.timeouts += c.timeouts;
  sum.dropped += c.dropped;
  sum.unsupported += c.unsupported;
  sum.host_unsupported += c.host_unsupported;
  sum.err_cor += c.err_cor;
  sum.err_nonfatal += c.err_nonfatal;
  sum.err_fatal += c.err_fatal;
  sum.iommu_hits += i.hits;
  sum.iommu_misses += i.misses;
  sum.iommu_maps += i.maps;
  sum.iommu_unmaps += i.unmaps;
  sum.iommu_refused += i.refused;
  sum.iommu_revoked += i.invalidations;
  const host_cache_counters& found = port.cache().counters();
  sum.device_lines += found.device_lines;
  sum.core_lines += found.core_lines;
  sum.memory_lines += found.memory_lines;
}

void add(dma_counts& sum, const dma_counters& c) {
  sum.requests += c.requests;
  sum.refused += c.refused;
  sum.failed += c.failed;
  sum.timeouts += c.timeouts;
  sum.unexpected += c.unexpected;
  sum.read_bytes += c.read_bytes;
  sum.read_bytes_done += c.read_bytes_done;
  sum.read_bytes_failed += c.read_bytes_failed;
  sum.read_bytes_aborted += c.read_bytes_aborted;
  sum.write_bytes += c.write_bytes;
  sum.write_bytes_aborted += c.write_bytes_aborted;
}

void add(table_counts& t, const lookup_counters& c) {
  t.lookups += c.lookups;
  t.hits += c.hits;
  t.strangers += c.strangers;
  t.mistaken += c.mistaken;
  t.evictions += c.evictions;
  t.scrubs += c.scrubs;
  t.corrected += c.corrected;
  t.dropped += c.dropped;
  t.waited += c.waited;
}

void add(dropped_frame_counts& sum, const adapter_counters& c) {
  sum.length += c.dropped[drop_cause::length];
  sum.header += c.dropped[drop_cause::header];
  sum.ip_checksum += c.dropped[drop_cause::ip_checksum];
  sum.l4_checksum += c.dropped[drop_cause::l4_checksum];
  sum.fragment += c.dropped[drop_cause::fragment];
  sum.unknown += c.dropped[drop_cause::unknown];
  sum.not_ours += c.dropped[drop_cause::not_ours];
  sum.overflow += c.dropped_overflow;
  sum.blocked += c.dropped_blocked;
}

void count_memory(memory_counts& m, const host_side& h, const scenario& s) {
  m.copied_bytes = h.driver->counters().copied_bytes;
  m.fallbacks = h.driver->counters().fallbacks;
  for (const slot& p : h.slots) {
    const adapter_counters& c = p.device->counters();
    m.waits += c.waits;
    m.holds += c.holds;
    m.merged += c.merged;
    m.expedited += c.expedited;
  }
  for (const host::any_driver::group_facts& g : h.driver->groups()) {
    const std::size_t number = m.groups.size();
    m.groups.push_back({number ? s.memory.groups[number - 1].match : "", g.bytes, g.total, g.free, g.posted,
                        g.filled, g.most_in_use, g.exhausted, g.borrowed, g.limit, g.limit_changes});
  }
}

// How connections became known to the host.
void add(announce_counts& an, const adapter& device) {
  const announce_counters& told = device.announcements();
  const output_table_counters& records = device.record_counters();
  const tcp_counters& tcp = device.engine().counters();
  an.connections += told.connections;
  an.bursts += told.bursts;
  an.commit_writes += told.commit_writes;
  an.collapsed += told.collapsed;
  an.held += told.held;
  an.interrupts += records.opening_interrupts;
  an.doorbells += records.opening_doorbells;
  an.cookies_sent += tcp.cookies_sent;
  an.cookies_taken += tcp.cookies_taken;
  an.refused_syns += tcp.refused_syns;
}

// The blocks that a scenario has in RTL, and their cycles on `adapters`.
std::vector<rtl_block> rtl_of(const scenario& s, const std::vector<slot>& adapters) {
  const std::pair<const char*, std::uint64_t rtl_cycle_counts::*> blocks[] = {
      {"checksum", &rtl_cycle_counts::checksum},
      {"dma_engine", &rtl_cycle_counts::dma_engine},
      {"buffer_allocator", &rtl_cycle_counts::buffer_allocator},
      {"record_coalescer", &rtl_cycle_counts::record_coalescer},
      {"connection_table", &rtl_cycle_counts::connection_table}};
  std::vector<rtl_block> all;
  for (const auto& [name, cycles] : blocks) {
    if (std::find(s.adapter.rtl.begin(), s.adapter.rtl.end(), name) == s.adapter.rtl.end()) continue;
    all.push_back({name, 0});
    for (const slot& a : adapters) all.back().cycles += a.device->rtl_cycles().*cycles;
  }
  return all;
}

}  // namespace

void count_host(run_result& r, const host_side& host, const scenario& s) {
  host_interface_counts& h = r.host_interface;
  const host::driver_counters& d = host.driver->counters();
  h.doorbells = d.doorbells;
  h.lost_doorbells = d.lost_doorbells;
  h.mmio_reads = d.mmio_reads;
  h.interrupts = d.interrupts;
  h.descriptors = d.descriptors;
  h.records = d.records;
  for (const slot& p : host.slots) {
    add(r.announce, *p.device);
    add(r.pcie, *p.port);
    add(r.dma, p.device->dma.counters());
    add(r.table, p.device->lookups());
    add(r.dropped_frames, p.device->counters());
    r.timers.served += p.device->counters().timers;
    r.timers.late += p.device->counters().timers_late;
    r.path_mtu.reduced += p.device->engine().counters().path_mtu_reduced;
    r.path_mtu.ignored += p.device->engine().counters().packet_too_big_ignored;
    h.bad_doorbells += p.device->counters().bad_doorbells;
    h.dma_operations += p.device->dma.counters().operations;
    h.dma_bytes += p.device->dma.counters().read_bytes + p.device->dma.counters().write_bytes;
    h.tlps += p.port->counters().tlps_up + p.port->counters().tlps_down;
  }
  count_memory(r.memory, host, s);
  r.rtl = rtl_of(s, host.slots);
}

void add_wire(wire_counts& sum, const eth_link& link) {
  for (const auto side : {eth_link::side_a, eth_link::side_b}) {
    const eth_link::direction_counters& c = link.counters(side);
    sum.sent += c.sent;
    sum.lost += c.lost;
    sum.duplicated += c.duplicated;
    sum.corrupted += c.corrupted;
    sum.overtaken += c.overtaken;
  }
}

}  // namespace understudy::tb
