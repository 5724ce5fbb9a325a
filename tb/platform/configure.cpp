#include "tb/platform/configure.h"

#include <algorithm>
#include <variant>

#include "model/core/rng.h"
#include "tb/scenario/group_match.h"

namespace understudy::tb {

adapter_config adapter_of(const scenario& s) {
  adapter_config c;
  const adapter_parameters& a = s.adapter;
  c.tcp = a.tcp;
  c.tcp.congestion = a.congestion == "cubic" ? congestion_kind::cubic : congestion_kind::newreno;
  if (s.workload.iss != workload_parameters::any_iss) c.tcp.iss = static_cast<std::uint32_t>(s.workload.iss);
  c.tcp.mutants.ack_before_commit = s.has_mutant("ack_before_commit") || !s.commit.rule;
  c.tcp.mutants.snd_max_reset = s.has_mutant("snd_max_reset");
  c.tcp.mutants.shrink_window = s.has_mutant("shrink_window");
  c.tcp.mutants.tsval_regress = s.has_mutant("tsval_regress");
  c.tcp.mutants.reuse_isn = s.has_mutant("reuse_isn");
  c.tcp.mutants.ack_regress = s.has_mutant("ack_regress");
  c.tcp.mutants.ack_fin_early = s.has_mutant("ack_fin_early");
  c.tcp.mutants.ignore_window = s.has_mutant("ignore_window");
  c.tcp.mutants.lose_retransmit = s.has_mutant("lose_retransmit");
  c.tcp.mutants.lose_persist = s.has_mutant("lose_persist");
  c.tcp.mutants.hoard_window = s.has_mutant("hoard_window");
  c.tcp.mutants.answer_acks = s.has_mutant("answer_acks");
  c.mutants.record_before_payload = s.has_mutant("record_before_payload");
  c.mutants.lost_wakeup = s.has_mutant("lost_wakeup");
  c.mutants.shifted_payload = s.has_mutant("shifted_payload");
  c.mutants.resend_other_bytes = s.has_mutant("resend_other_bytes");
  c.mutants.write_outside = s.has_mutant("write_outside");
  c.mutants.cross_connection = s.has_mutant("cross_connection");
  c.mutants.skip_record_number = s.has_mutant("skip_record_number");
  c.mutants.fetch_beyond_tail = s.has_mutant("fetch_beyond_tail");
  c.mutants.data_before_announcement = s.has_mutant("data_before_announcement");
  c.mutants.hold_for_ever = s.has_mutant("hold_for_ever");
  c.mutants.overrun_ring = s.has_mutant("overrun_ring");
  c.mutants.relaxed_records = s.has_mutant("relaxed_records");
  c.dma.mps = s.pcie.mps;
  c.dma.mrrs = s.pcie.mrrs;
  c.link_generation = s.pcie.generation;
  c.link_lanes = s.pcie.lanes;
  c.dma.tags = a.dma_tags;
  c.dma.completion_bytes = static_cast<std::uint32_t>(a.completion_bytes);
  c.dma.completion_timeout = a.completion_timeout;
  c.relaxed_ordering = a.relaxed_ordering;
  c.raw_reads = a.raw_reads;
  c.timer_time = a.timer_time;
  c.raw_completion_batch = a.raw_completion_batch;
  c.tx_queues = a.tx_queues;
  c.tx_queue_bytes = static_cast<std::uint32_t>(a.tx_queue_bytes);
  c.dma.issue_time = a.dma_issue_time;
  c.clock_period = a.clock;
  c.checksum_bytes = a.checksum_bytes;
  const auto in_rtl = [&a](const char* block) {
    return std::find(a.rtl.begin(), a.rtl.end(), block) != a.rtl.end();
  };
  c.checksum_rtl = in_rtl("checksum");
  c.dma.rtl = in_rtl("dma_engine");
  c.buffer_allocator_rtl = in_rtl("buffer_allocator");
  c.record_coalescer_rtl = in_rtl("record_coalescer");
  c.lookup.rtl = in_rtl("connection_table");
  c.lookup.sets = a.table_sets;
  c.lookup.clock_period = a.clock;
  c.lookup.miss = a.table_miss;
  c.lookup.access = a.table_access;
  c.lookup.scrub = a.table_scrub;
  if (c.lookup.rtl && c.lookup.sets != lookup_config{}.sets)
    throw scenario_error("adapter.table_sets: " + std::to_string(c.lookup.sets) +
                         " is out of range, allowed with connection_table in adapter.rtl: 1024");
  c.dma.clock_period = a.clock;
  c.dma.data_bytes = a.dma_bytes;
  c.rx_latency = a.rx_latency;
  c.tx_latency = a.tx_latency;
  c.rx_fifo_bytes = a.rx_fifo_bytes;
  c.dma_backlog_bytes = a.dma_backlog_bytes;
  c.register_access = a.register_access;
  c.descriptor_time = a.descriptor_time;
  c.descriptors_a_fetch = a.descriptors_a_fetch;
  c.first_index = a.first_index;
  c.interrupt_moderation = a.irq_moderation;
  c.acked_record_age = a.acked_record_age;
  c.proof = s.commit.proof == "host_ack"        ? commit_proof::host_ack
            : s.commit.proof == "trusted_delay" ? commit_proof::trusted_delay
                                                : commit_proof::flush_read;
  c.trusted_delay = s.commit.trusted_delay;
  c.flushes_in_flight = s.commit.flushes_in_flight;
  return c;
}

pcie_config pcie_of(const scenario& s) {
  pcie_config c;
  c.link.generation = s.pcie.generation;
  c.link.lanes = s.pcie.lanes;
  c.link.mps = s.pcie.mps;
  c.link.mrrs = s.pcie.mrrs;
  c.link.rcb = s.pcie.rcb;
  c.link.completer_chops = s.pcie.completer_chops;
  c.propagation = s.pcie.propagation;
  c.read_latency = s.pcie.read_latency;
  c.write_latency = s.pcie.write_latency;
  c.mmio_latency = s.pcie.mmio_latency;
  c.completion_timeout = s.pcie.completion_timeout;
  c.cache.bytes = s.pcie.cache;
  c.cache.device_bytes = s.pcie.device_cache;
  c.cache.written_by_cores = s.pcie.untouched_lines == "cores";
  c.cache.core_snoop = s.pcie.core_snoop;
  c.cache.miss = s.pcie.cache_miss;
  c.cache.remote_node = s.pcie.remote_node;
  c.cache.jitter_p95 = s.pcie.read_jitter_p95;
  c.cache.jitter_p999 = std::max(s.pcie.read_jitter_p95, s.pcie.read_jitter_p999);
  c.translation = {s.pcie.iommu, s.pcie.iommu_entries, static_cast<std::uint32_t>(s.pcie.iommu_page),
                   s.pcie.iommu_walk, s.pcie.iommu_walkers};
  c.credits = {s.pcie.posted_headers, s.pcie.posted_data, s.pcie.nonposted_headers,
               s.pcie.adapter_posted_headers, s.pcie.adapter_nonposted_headers};
  c.lcrc_errors = s.pcie.lcrc_errors;
  c.dllp_errors = s.pcie.dllp_errors;
  c.replay_buffer = static_cast<std::uint32_t>(s.pcie.replay_buffer);
  c.poisoned_reads = s.pcie.poisoned_reads;
  c.aborted_reads = s.pcie.aborted_reads;
  c.dpc = s.pcie.dpc;
  c.retrain_time = s.pcie.retrain_time;
  c.seed = s.seed;
  c.mutant_interrupt_overtakes = s.has_mutant("interrupt_overtakes");
  return c;
}

host_costs costs_of(const scenario& s) {
  const host_parameters& h = s.host;
  return {h.mmio_write, h.cold_record, h.copy_per_byte,     h.irq_entry,
          h.descriptor, h.socket_call, h.restore_connection};
}

l2_switch_config switch_of(const scenario& s, unsigned ports) {
  l2_switch_config c;
  c.ports = ports;
  c.latency = s.ethernet_switch.latency;
  c.queue_bytes = s.ethernet_switch.queue_bytes;
  c.hold_bytes = s.failover.hold_bytes;
  return c;
}

eth_link_config peer_link_of(const scenario& s) {
  eth_link_config c;
  c.rate = s.wire.rate;
  c.delay = s.wire.delay;
  const auto parsed = parse_impairment(s.wire.impair);
  if (const auto* e = std::get_if<impairment_error>(&parsed)) throw scenario_error("wire.impair: " + e->what);
  c.ab = c.ba = std::get<impairment_config>(parsed);
  return c;
}

eth_link_config adapter_link_of(const scenario& s) {
  eth_link_config c;
  c.rate = s.wire.rate;
  c.delay = 15_ns;  // 3 m of cable to the top of the rack
  return c;
}

static host::group_config group_of(const memory_group& g) {
  const group_rule r = parse_group_match(g.match).rule;
  const auto given = [&r](std::uint16_t term, auto value) {
    return r.terms & term ? std::optional(value) : std::nullopt;
  };
  host::group_config c;
  c.local_port = given(US_TERM_LOCAL_PORT, r.local_port);
  c.vlan = given(US_TERM_VLAN, r.vlan);
  c.dscp = given(US_TERM_DSCP, r.dscp);
  c.process = given(US_TERM_PROCESS, r.process);
  c.set = given(US_TERM_SET, r.set);
  c.priority = given(US_TERM_PRIORITY, r.priority);
  c.size_class = given(US_TERM_SIZE_CLASS, r.size_class);
  std::copy(r.local.bytes.begin(), r.local.bytes.end(), c.local_ip);
  std::copy(r.remote.bytes.begin(), r.remote.bytes.end(), c.remote_ip);
  c.local_prefix = r.local_prefix;
  c.remote_prefix = r.remote_prefix;
  c.buffers = g.buffers;
  c.bytes = g.bytes;
  c.borrow = g.borrow;
  c.limit = g.limit;
  c.low = g.low;
  c.high = g.high;
  c.quota = static_cast<std::uint16_t>(g.quota);
  c.window = g.window;
  c.least = g.least;
  c.most = g.most;
  c.low_percent = g.fill_low;
  c.high_percent = g.fill_high;
  return c;
}

host::driver_config driver_of(const scenario& s, const mac_address& mac,
                              const std::vector<station_address>& addresses, std::uint32_t connections) {
  host::driver_config c;
  c.odt_entries = s.memory.record_entries;
  c.first_index = s.adapter.first_index;
  c.pool_buffers = std::max(s.memory.pool_buffers, std::min(connections, 4096u));
  c.buffer_bytes = s.memory.buffer_bytes;
  c.receive_buffer = s.memory.receive_buffer;
  c.send_buffer = s.memory.send_buffer;
  for (const memory_group& g : s.memory.groups) c.groups.push_back(group_of(g));
  c.hold_bytes = s.memory.hold_bytes;
  c.hold_count = s.memory.hold_count;
  c.hold_us = s.memory.hold_us;
  c.expedite = s.memory.expedite;
  c.wait_us = s.memory.wait_us;
  c.inline_bytes = s.memory.inline_bytes;
  c.announce_count = s.establish.batch;
  c.announce_age_us = s.establish.age_us;
  c.commit = s.establish.commit == "lazy"              ? US_COMMIT_LAZY
             : s.establish.commit == "before_data_ack" ? US_COMMIT_BEFORE_DATA_ACK
                                                       : US_COMMIT_BEFORE_SYNACK;
  c.cookies_above = s.establish.cookies_above;
  c.heartbeat_us = static_cast<std::uint32_t>(s.failover.heartbeat / 1_us);
  c.heartbeat_misses = s.failover.misses;
  for (const auto& [ip, prefix, vlan] : addresses) {
    host::local_address a;
    std::copy(mac.begin(), mac.end(), a.mac);
    std::copy(ip.bytes.begin(), ip.bytes.end(), a.ip);
    a.prefix_len = static_cast<std::uint8_t>(ip.is_v4() ? 96 + prefix : prefix);
    a.mtu = s.adapter.tcp.mtu;
    a.vlan = vlan;
    c.addresses.push_back(a);
  }
  rng key(s.seed, "host/secret/" + std::to_string(addresses.front().ip.v4_value()));
  for (std::uint32_t& w : c.secret) w = static_cast<std::uint32_t>(key.next());
  c.mutants.no_fence = s.has_mutant("no_fence");
  c.mutants.no_block = s.has_mutant("no_block");
  c.mutants.snd_max_reset = s.has_mutant("snd_max_reset");
  c.mutants.free_before_ack = s.has_mutant("free_before_ack");
  c.mutants.stale_rcv_nxt = s.has_mutant("stale_rcv_nxt");
  c.mutants.leak_buffer = s.has_mutant("leak_buffer");
  c.mutants.lose_group_buffer = s.has_mutant("lose_group_buffer");
  c.mutants.slow_recovery = s.has_mutant("slow_recovery");
  c.mutants.trust_index = s.has_mutant("trust_index");
  c.mutants.false_alarm = s.has_mutant("false_alarm");
  return c;
}

load_checks checks_of_parts() {
  return {[](const std::string& text) {
    const auto parsed = parse_impairment(text);
    const auto* error = std::get_if<impairment_error>(&parsed);
    return error ? error->what : std::string();
  }};
}

std::string adapter_name(unsigned index) {
  return std::string(1, static_cast<char>('A' + index));
}

}  // namespace understudy::tb
