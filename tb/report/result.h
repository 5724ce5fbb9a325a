// The result of one run, and its JSON form (design: `result.json`; schema 1).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/core/units.h"

namespace understudy::tb {

struct library_versions {
  std::string systemc;
  std::string verilator;
  std::string lwip;
};

struct connection_counts {
  std::uint64_t opened = 0;
  std::uint64_t completed = 0;  // all bytes delivered and closed in order
  std::uint64_t refused = 0;    // SYN answered by RST
  std::uint64_t aborted = 0;    // ended by a time-out or by the host
  std::uint64_t reset = 0;      // was established, ended by an RST in either direction
  std::uint64_t reopened =
      0;  // times that a connection was opened again: its peer had given the handshake up
  std::uint64_t unprotected_lost = 0;  // with their adapter, as they had chosen; in no other count but opened
};

// Bytes of all streams, both directions, judged against the workload.
struct byte_counts {
  std::uint64_t expected = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
};

// Durations over connections: from a connection's last byte before the fault to its first byte after.
struct stall_times {
  picos p50 = 0;
  picos p99 = 0;
  picos max = 0;
};

// Retransmission time-outs of peers by what their connections had lost before.
struct timeout_counts {
  std::uint64_t old_adapter = 0;  // a segment that a dead adapter took or should have got, or its answer
  std::uint64_t wire = 0;         // to an impairment
  std::uint64_t hold = 0;         // no room in the switch's hold or queue
  std::uint64_t window = 0;       // beyond the window that they had been told of
  std::uint64_t unexplained = 0;  // nothing: must not be
  timeout_counts operator-(const timeout_counts& o) const {
    return {old_adapter - o.old_adapter, wire - o.wire, hold - o.hold, window - o.window,
            unexplained - o.unexplained};
  }
  std::uint64_t all() const { return old_adapter + wire + hold + window + unexplained; }
};

// One failover. Steps are instants since time 0; a step that was not reached is empty.
struct failover_result {
  std::string kind = "cold";
  std::string from;  // adapter, "A", "B", ...
  std::string to;
  std::optional<picos> fault;
  std::optional<picos> detect;
  std::optional<picos> fence;
  std::optional<picos> block;
  std::optional<picos> drain;
  std::optional<picos> rebuild;
  std::optional<picos> load;
  std::optional<picos> identity;
  std::optional<picos> unblock;
  std::optional<picos> blackout;  // duration: from the fault to the first frame that the substitute accepts
  std::uint64_t connections = 0;  // live ones that were moved
  std::uint64_t retransmitted_bytes = 0;
  timeout_counts peer_timeouts;  // from the fault on
  stall_times stall;
};

// How long received data wait for their ACK at the adapters.
struct ack_latency_times {
  std::uint64_t segments = 0;  // measured; 0: monitors are off, or nothing was received
  picos p50 = 0;
  picos p99 = 0;
};

// Durations from the end of a handshake to the host's knowing of the connection.
struct announce_times {
  picos p50 = 0;
  picos p99 = 0;
  picos max = 0;
};

// What the wires to the peers did to frames, both directions.
struct wire_counts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t overtaken = 0;  // arrived behind a frame that had left later; copies left out
};

// How connections became known to the host under test.
struct announce_counts {
  std::uint64_t connections = 0;    // announced
  std::uint64_t bursts = 0;         // writes of announcements, each of one or more records
  std::uint64_t interrupts = 0;     // while new records of connections that open lay in the output table
  std::uint64_t doorbells = 0;      // that followed the host's reading of such records
  std::uint64_t commit_writes = 0;  // records that committed a handshake before its announcement
  std::uint64_t collapsed = 0;      // ended before their announcement: neither was told
  std::uint64_t held = 0;           // had to wait for an accept credit
  std::uint64_t cookies_sent = 0;   // SYN-ACKs without memory
  std::uint64_t cookies_taken = 0;  // connections that came of them, or of another adapter's
  std::uint64_t refused_syns = 0;   // dropped for want of room
  announce_times latency;           // zeros with monitors = "off"
};

// How received segments found their connections, of all adapters under test.
struct table_counts {
  std::uint64_t lookups = 0;
  std::uint64_t hits = 0;       // in the on-chip store
  std::uint64_t strangers = 0;  // of no connection
  std::uint64_t mistaken = 0;   // the store named another connection, which the tuple showed
  std::uint64_t evictions = 0;
  std::uint64_t scrubs = 0;     // sets
  std::uint64_t corrected = 0;  // words of the store with one wrong bit
  std::uint64_t dropped = 0;    // with more
  picos waited = 0;             // for the adapter's memory, all segments together
};

// Entries of the timer wheels of all adapters under test.
struct timer_counts {
  std::uint64_t served = 0;
  picos late = 0;  // behind their ticks, for the timer unit was busy with others; all together
};

// Received frames that the adapters under test dropped, by cause.
struct dropped_frame_counts {
  std::uint64_t length = 0;       // cut short, or a length field contradicts the frame
  std::uint64_t header = 0;       // version, header length, data offset, option length
  std::uint64_t ip_checksum = 0;  // of the IPv4 header
  std::uint64_t l4_checksum = 0;  // of TCP, ICMP, ICMPv6 or UDP
  std::uint64_t fragment = 0;
  std::uint64_t unknown = 0;   // EtherType, protocol, message
  std::uint64_t not_ours = 0;  // address or VLAN
  std::uint64_t overflow = 0;  // no room behind the engine
  std::uint64_t blocked = 0;   // the adapter does not receive: a standby, or one that is fenced
};

// Messages of routers that a segment was too big for its path, of all adapters under test.
struct path_mtu_counts {
  std::uint64_t reduced = 0;  // that made segments smaller
  std::uint64_t ignored = 0;  // others: not believed, or no news
};

// From the acceptance of received bytes in an adapter to their record in host memory.
struct delivery_times {
  picos p50 = 0;
  picos p99 = 0;
};

// A group of receive buffers at the end of the run.
struct memory_group_counts {
  std::string match;        // empty: the default group
  std::uint32_t bytes = 0;  // of one buffer
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t posted = 0;
  std::uint64_t filled = 0;
  std::uint64_t most_in_use = 0;
  std::uint64_t exhausted = 0;  // times that a connection found none
  std::uint64_t borrowed = 0;   // from the default group
  std::uint64_t limit = 0;      // of an adaptive group, now; else 0
  std::uint64_t limit_changes = 0;
};

// How received and sent bytes lay in the memory of the host under test.
struct memory_counts {
  std::uint64_t copied_bytes = 0;  // by the host's CPU, between applications and the driver's memory
  std::uint64_t fallbacks =
      0;                     // records of data that came into a driver's buffer though its application lends
  std::uint64_t waits = 0;   // segments that waited for a lent buffer
  std::uint64_t holds = 0;   // hand-overs of what was held back
  std::uint64_t merged = 0;  // segments that shared a DMA write and a record with the one before
  std::uint64_t expedited = 0;  // hand-overs before count, bytes or age
  delivery_times delivery;      // zeros with monitors = "off"
  delivery_times commit;        // of it, from the hand-over on
  std::vector<memory_group_counts> groups;
};

// Frames built by the host, of one size and layout: medians of a packet, measured and by the formulas.
struct single_dma_row {
  std::uint32_t bytes = 0;
  bool gathered = false;
  std::uint32_t packets = 0;
  double operations = 0, maps = 0, unmaps = 0;  // of a packet; operations of the DMA engine on its bytes
  std::uint64_t tlps = 0, tlps_analytic = 0;    // from the doorbell's arrival to the frame's first bit
  std::uint64_t link_bytes = 0, link_bytes_analytic = 0;  // DLLPs not counted
  picos latency = 0, latency_analytic = 0;
  // With many of them waiting, behind one doorbell.
  double packets_per_s = 0, packets_per_s_analytic = 0;
  double iommu_maps = 0, iommu_unmaps = 0;  // of a packet, as the adapter's IOMMU counts; 0 without one
};

// A small frame of the host's behind large ones, again and again: from its doorbell to its first bit.
struct queue_wait_row {
  std::uint32_t queues = 0;   // 1: all in one; else the small one has its own
  std::uint32_t backlog = 0;  // large frames
  std::uint32_t samples = 0;
  picos p50 = 0, p99 = 0, max = 0;
};

// Frames built by the host: how they went, and why some did not go in one DMA.
struct raw_frame_counts {
  std::uint64_t single = 0, gathered = 0, sent = 0, failed = 0;
  std::uint64_t descriptors = 0, copied_bytes = 0, maps = 0, unmaps = 0;
  std::uint64_t no_headroom = 0, other_interface = 0, pool_empty = 0;
};

// A block in RTL: clock cycles that Verilator evaluated for its work, of all adapters under test.
struct rtl_block {
  std::string name;
  std::uint64_t cycles = 0;
};

struct host_interface_counts {
  std::uint64_t doorbells = 0;
  std::uint64_t lost_doorbells = 0;  // rung again, since heartbeats said that they did not arrive
  std::uint64_t bad_doorbells = 0;   // ignored by the adapters: back, or beyond the ring
  std::uint64_t mmio_reads = 0;
  std::uint64_t interrupts = 0;
  std::uint64_t dma_operations = 0;
  std::uint64_t dma_bytes = 0;
  std::uint64_t tlps = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t records = 0;
};

// Transfers of the DMA engines of all adapters under test. At rest read_bytes is the sum of those done,
// failed and aborted.
struct dma_counts {
  std::uint64_t requests = 0;    // TLPs
  std::uint64_t refused = 0;     // transfers of an impossible range, or that could not be atomic
  std::uint64_t failed = 0;      // requests with answers other than OK, and
  std::uint64_t timeouts = 0;    // of these reads that nobody answered
  std::uint64_t unexpected = 0;  // answers after that, or after a reset
  std::uint64_t read_bytes = 0, read_bytes_done = 0, read_bytes_failed = 0, read_bytes_aborted = 0;
  std::uint64_t write_bytes = 0, write_bytes_aborted = 0;
};

// On the PCI Express links of all adapters under test.
struct pcie_counts {
  std::uint64_t tlps_up = 0, tlps_down = 0, bytes_up = 0, bytes_down = 0, dllps = 0;
  std::uint64_t lcrc_errors = 0, bad_dllps = 0, replayed_bytes = 0, replay_timeouts = 0, retrains = 0;
  std::uint64_t replay_stalls = 0, credit_stalls = 0, host_stalls = 0, overtakings = 0;
  picos credit_stall_time = 0;
  std::uint64_t poisoned = 0, poisoned_writes = 0, contained = 0, aborted = 0, timeouts = 0, dropped = 0;
  std::uint64_t unsupported = 0, host_unsupported = 0;
  std::uint64_t err_cor = 0, err_nonfatal = 0, err_fatal = 0;  // error messages at the root ports
  std::uint64_t iommu_hits = 0, iommu_misses = 0, iommu_maps = 0, iommu_unmaps = 0;
  std::uint64_t iommu_refused = 0;  // requests outside of what the driver mapped
  std::uint64_t iommu_revoked = 0;  // adapters whose mappings were taken back
  // Lines of 64 bytes that DMA reads found written by a device, in a core's cache, in memory; with
  // pcie.cache.
  std::uint64_t device_lines = 0, core_lines = 0, memory_lines = 0;
};

struct monitor_result {
  std::string id;
  bool armed = false;  // false: its subject does not occur in this scenario
  std::uint64_t checked = 0;
  std::uint64_t violations = 0;
  std::string first;  // the first violation in a sentence; empty: none
  // The same in its parts: number and instant of the event, which bytes, connection, TLP or address, and the
  // newest events up to it as text.
  std::uint64_t event = 0;
  picos at = 0;
  std::string witness = {};
  std::vector<std::string> before = {};
};

struct fault_result {
  std::uint64_t id = 0;  // position in the scenario, from 1
  std::string kind;
  std::string target;      // the adapter that it struck
  bool activated = false;  // false: its trigger never came
  std::optional<picos> at;
  std::string outcome;  // a word: "recovered", "masked", "fatal", "silent", "not activated"
};

struct run_result {
  std::vector<std::string> reasons;  // why the run failed, each one sentence; empty: it held
  bool stopped = false;              // the user stopped it: counts are partial
  std::string scenario;              // path as given
  std::uint64_t seed = 0;
  std::string revision;  // of the source
  library_versions versions;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  picos sim_time = 0;  // without the fast-forwarded TIME_WAIT
  double wall_s = 0;
  std::uint64_t frames = 0;
  std::vector<std::string> peers;  // "lwip", "twin", "responder": those that took part
  connection_counts connections;
  byte_counts bytes;
  std::optional<picos>
      first_delivery;  // instants at which an application was given the first of them, and the last
  std::optional<picos> last_delivery;
  wire_counts wire;
  std::vector<failover_result> failovers;
  host_interface_counts host_interface;
  dma_counts dma;
  announce_counts announce;
  table_counts table;
  timer_counts timers;
  path_mtu_counts path_mtu;
  std::vector<rtl_block> rtl;  // as adapter.rtl names them; others run as C++ twins
  dropped_frame_counts dropped_frames;
  memory_counts memory;
  pcie_counts pcie;
  ack_latency_times ack_latency;
  std::vector<single_dma_row> single_dma;  // pairs: single, gathered
  std::vector<queue_wait_row> queue_waits;
  raw_frame_counts raw_frames;
  std::vector<monitor_result> monitors;
  std::vector<fault_result> faults;
  std::vector<std::string>
      marks;  // what a reader must know before trusting a figure: monitors off, mutants, ...
  std::vector<std::pair<std::string, std::string>>
      parameters;                  // those that differ from the default, as in a scenario
  std::vector<std::string> files;  // names in the output folder

  bool held() const { return reasons.empty() && !stopped; }
  double frames_per_wall_s() const { return wall_s > 0 ? static_cast<double>(frames) / wall_s : 0; }
};

// The JSON document, indented, with a final newline.
std::string to_json(const run_result& r);

}  // namespace understudy::tb
