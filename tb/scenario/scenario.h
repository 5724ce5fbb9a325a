// What one simulation is: a plain struct of values. Its initialisers are the defaults of the parameters;
// names, ranges and sentences are in parameters.cpp, which binds every key to one member here.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/core/tcp_engine.h"
#include "model/core/units.h"

namespace understudy::tb {

// A scenario file, a --set or a table of parameters is wrong. what() is one line: `file:line: key: what is
// wrong, what is allowed` (`--set` in place of file:line for a value from the command line).
class scenario_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One [[fault]]: what happens to whom, and when.
struct fault_spec {
  enum class trigger : std::uint8_t { at_time, at_fraction, at_event };
  std::string kind;  // a name of fault_kinds()
  std::string target =
      "active";  // "active": the adapter that serves when the fault strikes; "A", "B", ...: that one
  trigger when = trigger::at_time;
  picos at = 0;                // at_time: instant
  double at_fraction = 0;      // at_fraction: 0 to 1 of the workload's bytes, both directions together
  std::uint64_t at_event = 0;  // at_event: number in the event log, from 1
};

struct topology_parameters {
  std::uint32_t adapters = 2;
  std::uint32_t twin_connections = 0;
  std::uint16_t peer_vlan = 0;  // 0: untagged; 1 to 4094
  std::uint16_t twin_vlan = 0;
};

struct workload_parameters {
  std::vector<std::string> capture;  // paths that open from the working directory; empty: synthetic
  std::string side = "server";       // "server", "client"
  std::string family = "recorded";
  std::string pace = "fast";      // "fast", "capture"
  std::uint32_t connections = 0;  // 0: as captured; without a capture: one
  std::uint32_t active = 0;       // 0: all
  std::uint64_t bytes = 1024 * 1024;
  std::uint32_t message = 0;  // bytes of one write; 0: as many as there is room for
  picos message_interval = 0;
  std::uint32_t rounds = 1;
  std::uint32_t phases = 0;
  picos interval = 2_us;
  std::uint32_t raw_packets = 0;   // of each size and layout
  std::uint32_t raw_queues = 0;    // transmit queues that raw frames take; at most adapter.tx_queues
  std::string direction = "both";  // "both", "up" (adapter to peer), "down"
  picos peer_keepalive = 0;
  std::uint64_t iss = any_iss;  // initial sequence number of every connection at both ends
  static constexpr std::uint64_t any_iss = std::uint64_t{1} << 32;
  std::uint32_t unprotected = 0;  // connections opened without failover, at most all of them
};

struct wire_parameters {
  bits_per_second rate = 10'000'000'000;
  picos delay = 5_us;
  std::string impair;
};

struct switch_parameters {
  picos latency = 300_ns;
  std::uint64_t queue_bytes = 2 * 1024 * 1024;
};

// tcp apart, members carry the defaults of struct adapter_config (model/adapter).
struct adapter_parameters {
  std::string preset = "none";         // "none", "tonic", "eth_toe", "flextoe", "f4t"
  tcp_config tcp;                      // adapter.connections is tcp.max_connections, adapter.mtu is tcp.mtu
  std::string congestion = "newreno";  // "newreno", "cubic": tcp.congestion
  std::vector<std::string> rtl;
  picos clock = 2500_ps;  // one cycle
  std::uint32_t checksum_bytes = 32;
  picos rx_latency = 400_ns;
  picos tx_latency = 300_ns;
  std::uint32_t rx_fifo_bytes = 512 * 1024;
  picos register_access = 20_ns;
  picos descriptor_time = 20_ns;
  std::uint32_t descriptors_a_fetch = 16;
  std::uint32_t first_index = 0;
  picos irq_moderation = 10_us;
  picos acked_record_age = 10_us;
  std::uint32_t dma_tags = 64;
  std::uint64_t completion_bytes = 64 * 1024;
  picos completion_timeout = 10_ms;
  bool relaxed_ordering = false;
  picos dma_issue_time = 4_ns;
  std::uint32_t dma_bytes = 32;
  std::uint32_t table_sets = 1024;
  picos table_miss = 150_ns;
  picos table_access = 5_ns;
  picos table_scrub = 1_s;
  picos timer_time = 20_ns;
  std::uint32_t raw_reads = 16;
  std::uint32_t raw_completion_batch = 8;
  std::uint32_t tx_queues = 0;
  std::uint64_t tx_queue_bytes = 32 * 1024;
  std::uint64_t dma_backlog_bytes = 256 * 1024;
};

// Members carry the defaults of struct driver_config (host_sw/driver).
struct establish_parameters {
  std::uint32_t batch = 32;
  std::uint32_t age_us = 20;
  std::string commit = "before_synack";  // "before_synack", "before_data_ack", "lazy"
  std::uint32_t cookies_above = 1024;
};

struct commit_parameters {
  std::string proof = "flush_read";  // "flush_read", "host_ack", "trusted_delay"
  picos trusted_delay = 2_us;
  std::uint32_t flushes_in_flight = 2;
  bool rule = true;
};

// Members carry the defaults of struct pcie_config and link_parameters (model/pcie).
struct pcie_parameters {
  std::uint32_t generation = 3;
  std::uint32_t lanes = 8;
  std::uint32_t mps = 256;
  std::uint32_t mrrs = 512;
  std::uint32_t rcb = 64;
  bool completer_chops = false;
  picos propagation = 50_ns;
  picos read_latency = 310_ns;
  picos write_latency = 130_ns;
  picos mmio_latency = 300_ns;
  picos completion_timeout = 50_us;
  std::uint64_t cache = 0;
  std::uint64_t device_cache = 2 * 1024 * 1024;
  std::string untouched_lines = "memory";  // "memory", "cores"
  picos core_snoop = 0;
  picos cache_miss = 0;
  picos remote_node = 0;
  picos read_jitter_p95 = 0;
  picos read_jitter_p999 = 0;
  bool iommu = false;
  std::uint64_t iommu_page = 4096;
  std::uint32_t iommu_entries = 64;
  picos iommu_walk = 290_ns;
  std::uint32_t iommu_walkers = 6;
  std::uint32_t posted_headers = 112;
  std::uint32_t posted_data = 1792;
  std::uint32_t nonposted_headers = 112;
  std::uint32_t adapter_posted_headers = 32;
  std::uint32_t adapter_nonposted_headers = 8;
  std::uint32_t lcrc_errors = 0;
  std::uint32_t dllp_errors = 0;
  std::uint64_t replay_buffer = 16 * 1024;
  std::uint32_t poisoned_reads = 0;
  std::uint32_t aborted_reads = 0;
  bool dpc = true;
  picos retrain_time = 5_us;
};

struct host_parameters {
  picos mmio_write = 100_ns;
  picos cold_record = 90_ns;
  picos copy_per_byte = 100_ps;
  picos irq_entry = 1_us;
  picos descriptor = 30_ns;
  picos socket_call = 150_ns;
  picos restore_connection = 500_ns;
};

// One [[memory.group]]: receive buffers for the connections that match.
struct memory_group {
  std::string match;
  std::uint32_t buffers = 64;
  std::uint32_t bytes = 16 * 1024;  // of one buffer
  bool borrow = false;
  std::uint32_t limit = 0;  // bytes granted ahead of one reader; 0: memory.receive_buffer
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  std::uint32_t quota = 0;
  std::uint32_t window = 0;  // returned buffers between two looks at their use; 0: no adapting
  std::uint32_t least = 0;   // 0: a quarter of buffers
  std::uint32_t most = 0;    // 0: twice buffers
  std::uint32_t fill_low = 25;
  std::uint32_t fill_high = 75;
};

struct memory_parameters {
  std::string send = "buffered";     // "buffered", "zero_copy"
  std::string receive = "buffered";  // "buffered", "zero_copy"
  std::uint32_t hold_bytes = 0;
  std::uint32_t hold_count = 0;
  std::uint32_t hold_us = 0;
  bool expedite = true;
  std::uint32_t wait_us = 500;
  std::vector<memory_group> groups;
  std::uint32_t buffer_bytes = 16 * 1024;
  std::uint32_t receive_buffer = 256 * 1024;
  std::uint32_t send_buffer = 256 * 1024;
  std::uint32_t pool_buffers = 256;
  std::uint32_t inline_bytes = 0;
  std::uint32_t record_entries = 4096;
};

struct failover_parameters {
  std::uint64_t hold_bytes = 16 * 1024 * 1024;
  picos heartbeat = 100_us;
  std::uint32_t misses = 3;
};

// What `understudy live` and embedding programs find, and where.
struct live_parameters {
  std::string address = "10.77.0.2/24";
  std::string address6 = "fd77::2/64";
  std::uint16_t vlan = 0;  // 0: untagged; 1 to 4094
  bool join = true;        // segments on their way to a TAP device
};

struct embed_parameters {
  std::string peer = "none";  // "none", "lwip", "responder"
};

struct app_parameters {
  std::string root;
  std::uint32_t http_port = 8080;
  std::uint32_t echo_port = 7;
  std::uint32_t discard_port = 9;
  std::uint32_t pump_port = 5001;
  std::string fetch;
};

struct run_parameters {
  picos deadline = 600_s;
};

struct scenario {
  std::string path;  // of the file, as given; empty: none, all defaults
  std::uint64_t seed = 1;
  std::string peer =
      "lwip";  // "lwip", "twin", "responder": of every connection but topology.twin_connections
  topology_parameters topology;
  workload_parameters workload;
  wire_parameters wire;
  switch_parameters ethernet_switch;
  adapter_parameters adapter;
  commit_parameters commit;
  establish_parameters establish;
  pcie_parameters pcie;
  host_parameters host;
  memory_parameters memory;
  failover_parameters failover;
  app_parameters app;
  live_parameters live;
  embed_parameters embed;
  run_parameters run;
  std::string monitors = "all";  // "all", "off"
  std::vector<std::string> mutants;
  std::vector<fault_spec> faults;

  bool has_mutant(const char* name) const {
    for (const auto& m : mutants)
      if (m == name) return true;
    return false;
  }
};

}  // namespace understudy::tb
