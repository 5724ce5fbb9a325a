#include "tb/scenario/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "tb/scenario/quantity.h"
#include "tb/scenario/value.h"

namespace understudy::tb {
namespace {

using enum parameter_type;

#define AT(member) [](scenario& s) -> value_ref { return &s.member; }

constexpr parameter table[] = {
    {"seed", integer, AT(seed), "0", "9223372036854775807", "",
     "Root of every random stream of the run: the same seed gives the same run, bit for bit."},
    {"peer", word, AT(peer), "", "", "lwip|twin|responder",
     "Who speaks TCP at the far end: lwIP (an independent TCP: MSS 1460, 64 KiB windows, no SACK, no "
     "timestamps), a second "
     "adapter with its driver, or a station that echoes by arithmetic on each segment: for hundreds of "
     "thousands of "
     "connections, never evidence of correctness."},
    {"monitors", word, AT(monitors), "", "", "all|off",
     "Invariant monitors; off only to measure what they cost, which the result then says."},
    {"mutants", word_list, AT(mutants), "", "",
     "ack_before_commit|record_before_payload|snd_max_reset|no_fence|no_block|shrink_window|tsval_regress|"
     "free_before_ack|"
     "reuse_isn|lost_wakeup|shifted_payload|stale_rcv_nxt|ack_regress|ack_fin_early|resend_other_bytes|"
     "ignore_window|write_outside|leak_buffer|cross_connection|skip_record_number|fetch_beyond_tail|"
     "interrupt_overtakes|overrun_ring|lose_retransmit|slow_recovery|trust_index|hoard_window|lose_persist|"
     "answer_acks|false_alarm|hold_for_ever|touch_lent_memory|lose_group_buffer|data_before_announcement|"
     "relaxed_records",
     "Deliberate defects of adapter or driver, each of which a monitor must catch; such a run is expected to "
     "fail."},

    {"topology.adapters", integer, AT(topology.adapters), "1", "16", "",
     "Adapters in the host: the first serves, the others wait as its understudies."},
    {"topology.twin_connections", integer, AT(topology.twin_connections), "0", "1048576", "",
     "How many of the connections have a twin as their peer, whatever `peer` says of the others."},
    {"topology.peer_vlan", integer, AT(topology.peer_vlan), "0", "4094", "",
     "VLAN of the peer's port at the switch (IEEE 802.1Q): the adapter has an address in it, and its frames "
     "carry the tag; 0: untagged."},
    {"topology.twin_vlan", integer, AT(topology.twin_vlan), "0", "4094", "",
     "The same of the twin's port; where it is another, the adapter has a second address, and the twin a "
     "network "
     "of its own."},

    {"workload.capture", path_list, AT(workload.capture), "", "", "",
     "Packet captures (pcap or pcapng) whose TCP connections are replayed; none: made-up streams. Relative "
     "to the scenario "
     "file; in a --set to the working directory."},
    {"workload.side", word, AT(workload.side), "", "", "server|client",
     "Which end of a connection sits behind the adapter."},
    {"workload.family", word, AT(workload.family), "", "", "recorded|ipv4|ipv6",
     "IP version of the connections: each flow's own, IPv4 where it is made up; or one for all."},
    {"workload.pace", word, AT(workload.pace), "", "", "fast|capture",
     "fast: each side speaks as soon as it has heard what came before; capture: not before the recorded time "
     "either."},
    {"workload.connections", integer, AT(workload.connections), "0", "1048576", "",
     "Connections at the same time; 0: as many as the capture holds; without a capture one, or with "
     "workload.active as many as adapter.connections. More than "
     "captured repeats them."},
    {"workload.active", integer, AT(workload.active), "0", "1048576", "",
     "Made-up streams: of so many connections, chosen at random, bytes are sent once all are open; the "
     "others "
     "stay idle, and "
     "all close when the bytes have come. 0: all send, each as soon as it is open."},
    {"workload.bytes", size, AT(workload.bytes), "0 B", "1024 GiB", "",
     "Made-up streams: bytes of each connection in each direction. 0: connections open, stay idle, and when "
     "all are open "
     "their peers close them (the host, if the peer is a responder)."},
    {"workload.message", size, AT(workload.message), "0 B", "1 GiB", "",
     "Bytes that an application writes at a time, at most, each write pushed by itself. 0: as many as there "
     "are and "
     "fit."},
    {"workload.message_interval", time, AT(workload.message_interval), "0 ps", "1 s", "",
     "From one write of an application to its next, at least."},
    {"workload.rounds", integer, AT(workload.rounds), "1", "1000", "",
     "How often the workload is run. Each round opens the same connections between the same ports again, "
     "after every TIME_WAIT "
     "of the one before."},
    {"workload.phases", integer, AT(workload.phases), "0", "100000", "",
     "Phases of the reference conversations, which fault campaigns use: everything comes to rest between two "
     "of them. 0: "
     "none; else 8 or more, without a capture."},
    {"workload.interval", time, AT(workload.interval), "0 ps", "1 s", "",
     "Time between the openings of two connections."},
    {"workload.raw_packets", integer, AT(workload.raw_packets), "0", "100000", "",
     "Before the connections: frames that the host's stack builds, so many of each size from 64 to 9000 "
     "bytes and each layout in turn, in one DMA and gathered. 0: none."},
    {"workload.raw_queues", integer, AT(workload.raw_queues), "0", "8", "",
     "Before the connections: a frame of 64 bytes that the host's stack builds behind 48 of 9000, again and "
     "again, in one transmit queue and then with a queue of its own, the large ones spread over the others "
     "of "
     "so many queues. At most adapter.tx_queues; 0: none, else 2 or more."},
    {"workload.direction", word, AT(workload.direction), "", "", "both|up|down",
     "Made-up streams: both ways, up (from the host behind the adapter to the peer) or down."},
    {"workload.peer_keepalive", time, AT(workload.peer_keepalive), "0 ps", "7200 s", "",
     "Idle time after which an lwIP peer probes its connection (RFC 1122 4.2.3.6), and finds out that an "
     "unprotected "
     "one is gone. 0: never."},
    {"workload.iss", integer, AT(workload.iss), "0", "4294967296", "",
     "Initial sequence number that lwIP peers and adapters choose for connections that are opened to them or "
     "by them, "
     "to have it wrap where a test wants it; connections that the host opens keep theirs. 4294967296: each "
     "its own "
     "(RFC 6528)."},
    {"workload.unprotected", integer, AT(workload.unprotected), "0", "1048576", "",
     "Connections whose sockets do not ask for failover, spread evenly over all: they die with their "
     "adapter, which "
     "is no failure of the run. Their server listens at its port + 30000, for protection is a listener's."},

    {"wire.rate", rate, AT(wire.rate), "1 Mb/s", "1.6 Tb/s", "",
     "Bit rate of every Ethernet link. 10 Gb/s: IEEE 802.3ae, the rate up to which the lwIP peer keeps "
     "pace."},
    {"wire.delay", time, AT(wire.delay), "0 ps", "10 s", "",
     "Propagation delay of a link, one way. 5 us: 1 km of fibre."},
    {"wire.impair", text, AT(wire.impair), "", "", "",
     "What the wire to the peer does to frames, in netem's words: loss P, loss gemodel ..., duplicate P, "
     "corrupt P, "
     "corrupt_all P, delay T [JITTER], reorder P; empty: nothing. Both directions, independent streams."},
    {"switch.latency", time, AT(ethernet_switch.latency), "0 ps", "10 ms", "",
     "From a frame's last bit in to its first bit out of an idle port. 300 ns: cut-through switches state "
     "200 to 500 ns."},
    {"switch.queue_bytes", size, AT(ethernet_switch.queue_bytes), "16 KiB", "1 GiB", "",
     "Frames that wait at an output port of the switch, at most; more are dropped."},

    {"adapter.rtl", word_list, AT(adapter.rtl), "", "",
     "checksum|dma_engine|buffer_allocator|record_coalescer|connection_table",
     "Blocks that run as Verilated RTL in place of their C++ twins; the behaviour is the same, the run "
     "slower."},
    {"adapter.preset", word, AT(adapter.preset), "", "", "none|tonic|eth_toe|flextoe|f4t",
     "Limits of a published offload engine, where nothing else is said: tonic (NSDI 2020) 1,024 connections; "
     "eth_toe "
     "(ETH's network stack) 10,000 with 64 KiB of buffer a direction; flextoe (NSDI 2022) 16,384; f4t (ISCA "
     "2023) "
     "65,536."},
    {"adapter.connections", integer, AT(adapter.tcp.max_connections), "1", "1048576", "",
     "Connections that the adapter's table holds; a connection id has 20 bits for it."},
    {"adapter.table_sets", integer, AT(adapter.table_sets), "", "",
     "1|4|16|64|256|1024|4096|16384|65536|262144",
     "Sets of four connections in the adapter's on-chip store, which finds a segment's connection without "
     "its "
     "memory."},
    {"adapter.table_miss", time, AT(adapter.table_miss), "0 ps", "1 ms", "",
     "What a segment waits whose connection is not in the store. 150 ns: a random read of DDR4 behind an "
     "FPGA's "
     "controller."},
    {"adapter.table_access", time, AT(adapter.table_access), "0 ps", "1 us", "",
     "Between two such reads. 5 ns: one DDR4 channel with 16 banks and a row cycle of 46 ns, most of them "
     "busy."},
    {"adapter.table_scrub", time, AT(adapter.table_scrub), "0 ps", "1000 s", "",
     "In which every set of the store is read, corrected and written back once; 0: never."},
    {"adapter.timer_time", time, AT(adapter.timer_time), "0 ps", "1 ms", "",
     "Of the timer unit for each entry of the wheel that is due; others wait. 20 ns: eight cycles to take it "
     "from "
     "its list and read its connection."},
    {"adapter.mtu", integer, AT(adapter.tcp.mtu), "576", "9000", "",
     "Largest IP packet in bytes. 1500: Ethernet; 576 is what every host must take (RFC 1122 3.3.2), 9000 a "
     "jumbo frame."},
    {"adapter.clock", clock, AT(adapter.clock), "1 MHz", "4 GHz", "",
     "Clock of the adapter's pipeline. 400 MHz: as FPGA offload engines of 100 Gb/s run."},
    {"adapter.checksum_bytes", integer, AT(adapter.checksum_bytes), "", "", "4|8|16|32|64",
     "Bytes of a frame that the checksum unit takes in a cycle. 32 bytes at 400 MHz are 102 Gb/s."},
    {"adapter.rx_latency", time, AT(adapter.rx_latency), "0 ps", "1 ms", "",
     "From a frame's last bit to the TCP engine, without the checksum: about 160 cycles of parsing, look-up "
     "and TCP."},
    {"adapter.tx_latency", time, AT(adapter.tx_latency), "0 ps", "1 ms", "",
     "From payload in the adapter to the frame's first bit: about 120 cycles of header and checksum "
     "insertion."},
    {"adapter.rx_fifo_bytes", size, AT(adapter.rx_fifo_bytes), "16 KiB", "1 GiB", "",
     "Frames that wait before the TCP engine; more are dropped. 512 KiB: as the receive packet buffers of 10 "
     "Gb/s adapters."},
    {"adapter.register_access", time, AT(adapter.register_access), "0 ps", "1 ms", "",
     "A register read or write inside the adapter, without the bus: eight cycles."},
    {"adapter.descriptor_time", time, AT(adapter.descriptor_time), "0 ps", "1 ms", "",
     "Decoding and executing one input descriptor: eight cycles."},
    {"adapter.descriptors_a_fetch", integer, AT(adapter.descriptors_a_fetch), "1", "64", "",
     "Input descriptors that one DMA read fetches, at most. 16: 1 KiB, two read requests."},
    {"adapter.first_index", integer, AT(adapter.first_index), "0", "4294967295", "",
     "Free-running index that the first descriptor and the first record of each adapter have. 0: as drivers "
     "expect; a little below 2^32 lets a short run go past the wrap."},
    {"adapter.irq_moderation", time, AT(adapter.irq_moderation), "0 ps", "10 ms", "",
     "Least time between two interrupts. 10 us: drivers' defaults lie between 8 us and 50 us."},
    {"adapter.acked_record_age", time, AT(adapter.acked_record_age), "0 ps", "10 ms", "",
     "Longest time that send progress waits before a record reports it to the host."},
    {"adapter.dma_tags", integer, AT(adapter.dma_tags), "1", "768", "",
     "DMA reads outstanding, at most. PCIe 2.2.6.2: 32 with 5-bit, 256 with 8-bit, 768 with 10-bit tags. "
     "With "
     "dma_engine in adapter.rtl up to 64."},
    {"adapter.completion_bytes", size, AT(adapter.completion_bytes), "4 KiB", "16 MiB", "",
     "Room in the adapter for the data of outstanding DMA reads (PCIe 2.6.1: who advertises infinite "
     "completion "
     "credits reserves it before it asks). 64 KiB holds 1 us of a Gen5 x16 link; an estimate."},
    {"adapter.completion_timeout", time, AT(adapter.completion_timeout), "50 us", "64 s", "",
     "A DMA read that is not answered after this has failed. PCIe 2.8: 50 us to 50 ms unless set, 10 ms at "
     "least "
     "recommended."},
    {"adapter.relaxed_ordering", boolean, AT(adapter.relaxed_ordering), "", "", "",
     "Payload goes to host memory with the Relaxed Ordering attribute (PCIe 2.4.1), if Device Control allows "
     "it; "
     "records and interrupts never do."},
    {"adapter.dma_issue_time", time, AT(adapter.dma_issue_time), "0 ps", "1 us", "",
     "What the DMA engine needs to issue a request, at least: two cycles of 500 MHz. The cycles of the "
     "Verilated engine count where they are more."},
    {"adapter.dma_bytes", integer, AT(adapter.dma_bytes), "", "", "8|16|32|64",
     "Bytes that the DMA engine's data path moves in a cycle of adapter.clock. 32 bytes at 400 MHz are 102 "
     "Gb/s."},
    {"adapter.raw_reads", integer, AT(adapter.raw_reads), "1", "1024", "",
     "DMA reads for frames that the host has built, outstanding at most. 1: a header and its payload are "
     "fetched one after the other."},
    {"adapter.raw_completion_batch", integer, AT(adapter.raw_completion_batch), "1", "1024", "",
     "Frames that the host has built which one record reports as sent, at most; fewer after "
     "adapter.acked_record_age."},
    {"adapter.tx_queues", integer, AT(adapter.tx_queues), "0", "8", "",
     "Transmit queues: rings of descriptors of their own for frames that the host has built, which take "
     "turns "
     "frame by frame. 0: all such frames go by the input table."},
    {"adapter.tx_queue_bytes", size, AT(adapter.tx_queue_bytes), "64 B", "1 MiB", "",
     "Frames of one transmit queue that are being read or wait for the MAC, at most; one frame always may."},
    {"adapter.dma_backlog_bytes", size, AT(adapter.dma_backlog_bytes), "16 KiB", "1 GiB", "",
     "Posted writes waiting in the adapter before it stops taking frames from the FIFO."},
    {"adapter.wscale", integer, AT(adapter.tcp.wscale), "0", "14", "",
     "Window scale that the adapter offers (RFC 7323 2.2)."},
    {"adapter.timestamps", boolean, AT(adapter.tcp.timestamps), "", "", "",
     "Offer and accept timestamps (RFC 7323 3)."},
    {"adapter.window_scaling", boolean, AT(adapter.tcp.window_scaling), "", "", "",
     "Offer and accept window scaling (RFC 7323 2)."},
    {"adapter.sack", boolean, AT(adapter.tcp.sack), "", "", "",
     "Offer and accept selective acknowledgment (RFC 2018, 6675)."},
    {"adapter.least_mss", integer, AT(adapter.tcp.least_mss), "48", "536", "",
     "A peer's MSS below this counts as this, so that nobody makes the adapter send tiny segments "
     "(CVE-2019-11479). 216: FreeBSD."},
    {"adapter.nagle", boolean, AT(adapter.tcp.nagle), "", "", "",
     "Nagle's algorithm (RFC 9293 3.7.4) on connections whose socket does not say otherwise; off, because "
     "the offload's hosts post whole messages."},
    {"adapter.ecn", boolean, AT(adapter.tcp.ecn), "", "", "",
     "Offer and accept explicit congestion notification (RFC 3168)."},
    {"adapter.keepalive", boolean, AT(adapter.tcp.keepalive), "", "", "",
     "Probe peers that say nothing (RFC 9293 3.8.4), on connections whose socket does not say otherwise. RFC "
     "9293 "
     "MUST-25: off."},
    {"adapter.keepalive_idle", time, AT(adapter.tcp.keepalive_idle), "1 s", "65535 s", "",
     "Silence before the first keep-alive. RFC 9293 MUST-28: at least two hours by default."},
    {"adapter.keepalive_interval", time, AT(adapter.tcp.keepalive_interval), "1 ms", "65535 s", "",
     "Between keep-alives that are not answered. 75 s: Linux."},
    {"adapter.keepalive_probes", integer, AT(adapter.tcp.keepalive_probes), "1", "255", "",
     "Keep-alives in a row without an answer before the connection is given up. 9: Linux."},
    {"adapter.congestion", word, AT(adapter.congestion), "", "", "newreno|cubic",
     "Congestion control: RFC 5681 with 6582, or RFC 9438."},
    {"adapter.initial_window_segments", integer, AT(adapter.tcp.initial_window_segments), "1", "64", "",
     "Initial congestion window in segments (RFC 6928)."},
    {"adapter.delayed_ack", time, AT(adapter.tcp.delayed_ack), "0 ps", "500 ms", "",
     "Longest time that an ACK waits for company. RFC 1122 4.2.3.2: below 500 ms; 40 ms: Linux."},
    {"adapter.ack_every", integer, AT(adapter.tcp.ack_every), "1", "64", "",
     "Full-sized segments an ACK answers. RFC 1122 4.2.3.2: at least every second."},
    {"adapter.rto_initial", time, AT(adapter.tcp.rto_initial), "1 ms", "60 s", "",
     "Retransmission time-out before the first RTT sample (RFC 6298 2.1)."},
    {"adapter.rto_min", time, AT(adapter.tcp.rto_min), "1 ms", "60 s", "",
     "Smallest retransmission time-out. 200 ms: Linux; RFC 6298 2.4 says 1 s."},
    {"adapter.rto_max", time, AT(adapter.tcp.rto_max), "1 s", "600 s", "",
     "Largest retransmission time-out; RFC 6298 2.5: at least 60 s."},
    {"adapter.syn_retries", integer, AT(adapter.tcp.syn_retries), "0", "16", "",
     "Retransmissions of a SYN or SYN-ACK before the connection is given up. 7: after 247 s; RFC 9293 "
     "MUST-23 "
     "says at least three minutes, Linux takes 6, which are 127 s."},
    {"adapter.data_retries", integer, AT(adapter.tcp.data_retries), "3", "32", "",
     "Retransmissions of data before the connection is given up. RFC 1122 4.2.3.5 R2; 15: Linux."},
    {"adapter.msl", time, AT(adapter.tcp.msl), "1 ms", "120 s", "",
     "Maximum segment lifetime: TIME_WAIT lasts twice this. RFC 9293 3.4.2: 120 s; 60 s makes TIME_WAIT "
     "twice as long as Linux's."},
    {"adapter.kick_retry", time, AT(adapter.tcp.kick_retry), "1 ms", "60 s", "",
     "From the kick of a restored connection to the second one, if the peer does not answer; later ones "
     "follow "
     "as probes of a closed window do. 20 ms: 100,000 connections are kicked within 15 ms."},
    {"adapter.persist_min", time, AT(adapter.tcp.persist_min), "1 ms", "60 s", "",
     "First wait before a closed window is probed (RFC 9293 3.8.6.1)."},
    {"adapter.persist_max", time, AT(adapter.tcp.persist_max), "1 s", "600 s", "",
     "Longest wait between window probes."},
    {"adapter.reassembly_bytes", size, AT(adapter.tcp.reassembly_bytes), "0 B", "64 MiB", "",
     "Out-of-order bytes that the adapter holds for a connection, at most; the peer sends the rest again."},
    {"adapter.challenge_acks_per_second", integer, AT(adapter.tcp.challenge_acks_per_second), "1", "1000", "",
     "Limit of challenge ACKs for each connection (RFC 5961 7)."},

    {"establish.batch", integer, AT(establish.batch), "1", "1024", "",
     "Established connections that one announcement to the host gathers, at most. 1: piecemeal."},
    {"establish.age_us", integer, AT(establish.age_us), "0", "1000000", "",
     "Microseconds that an established connection waits for others to be announced with; 0: no limit, until "
     "its peer "
     "speaks."},
    {"establish.commit", word, AT(establish.commit), "", "", "before_synack|before_data_ack|lazy",
     "When a protected connection that its peer opens becomes known to the host: before the SYN-ACK; not "
     "before its "
     "first data are acknowledged, its initial sequence number being a cookie; or with its announcement, and "
     "lost if "
     "the adapter dies before."},
    {"establish.cookies_above", integer, AT(establish.cookies_above), "0", "1048576", "",
     "Half-open connections of a listener from which on SYNs are answered by cookies (RFC 4987 3.6); 0: "
     "never. 1024: "
     "as Linux's default of tcp_max_syn_backlog on a host of this size."},
    {"commit.proof", word, AT(commit.proof), "", "", "flush_read|host_ack|trusted_delay",
     "How the adapter learns that records and payload are visible in host memory: a read sent behind the "
     "writes, the driver's "
     "consumer index, or a stated delay (for exploration only, marked in the result)."},
    {"commit.trusted_delay", time, AT(commit.trusted_delay), "0 ps", "10 ms", "",
     "With commit.proof = \"trusted_delay\": the time after which a write counts as visible."},
    {"commit.flushes_in_flight", integer, AT(commit.flushes_in_flight), "1", "64", "",
     "Flush reads outstanding at the same time, at most."},
    {"commit.rule", boolean, AT(commit.rule), "", "", "",
     "No ACK before the host holds what it acknowledges. false only to measure what the rule costs; marked "
     "in the result, and "
     "a failover may then lose bytes."},

    {"pcie.generation", integer, AT(pcie.generation), "1", "5", "",
     "PCI Express generation of the slot: 2.5, 5, 8, 16 or 32 GT/s a lane."},
    {"pcie.lanes", integer, AT(pcie.lanes), "", "", "1|2|4|8|12|16|32", "Lanes of the slot."},
    {"pcie.mps", integer, AT(pcie.mps), "", "", "128|256|512|1024|2048|4096",
     "Maximum payload of a TLP in bytes (PCIe 7.5.3.4). 256: what servers' firmware sets."},
    {"pcie.mrrs", integer, AT(pcie.mrrs), "", "", "128|256|512|1024|2048|4096",
     "Maximum read request in bytes (PCIe 7.5.3.4). 512: its value after reset."},
    {"pcie.rcb", integer, AT(pcie.rcb), "", "", "64|128",
     "Read completion boundary of the root complex in bytes (PCIe 2.3.1.1)."},
    {"pcie.completer_chops", boolean, AT(pcie.completer_chops), "", "", "",
     "Completions end at every pcie.rcb, as those of several older root complexes do, in place of pcie.mps."},
    {"pcie.propagation", time, AT(pcie.propagation), "0 ps", "10 us", "",
     "One way through the physical and link layers of both ends and the trace; an estimate."},
    {"pcie.read_latency", time, AT(pcie.read_latency), "0 ps", "100 us", "",
     "From a read reaching the root complex to its first completion on the wire. 310 ns makes a 64-byte DMA "
     "read 547 ns, as "
     "pcie-bench measured on Xeon hosts (SIGCOMM 2018)."},
    {"pcie.write_latency", time, AT(pcie.write_latency), "0 ps", "100 us", "",
     "From a write's last byte at the root complex to its being visible in memory. 130 ns: from pcie-bench's "
     "write-then-read."},
    {"pcie.mmio_latency", time, AT(pcie.mmio_latency), "0 ps", "100 us", "",
     "Between CPU and root port, each way, for registers and configuration space. 300 ns makes a register "
     "read 700 to 900 ns."},
    {"pcie.completion_timeout", time, AT(pcie.completion_timeout), "50 us", "64 s", "",
     "When a read that nobody answers is given up. PCIe 2.8: 50 us to 50 ms by default; 50 us is the start "
     "of range A."},
    {"pcie.cache", size, AT(pcie.cache), "0 B", "1 GiB", "",
     "Last-level cache of the host, for the time that DMA reads take; 0: every read takes pcie.read_latency. "
     "The data stay the same."},
    {"pcie.device_cache", size, AT(pcie.device_cache), "4 KiB", "1 GiB", "",
     "Share of the cache that device writes may fill (DDIO). 2 MiB: up to there reads of lines that the "
     "device wrote "
     "were fast on the hosts of pcie-bench."},
    {"pcie.untouched_lines", word, AT(pcie.untouched_lines), "", "", "memory|cores",
     "With pcie.cache: where a DMA read finds a line that no device write has left in the cache."},
    {"pcie.core_snoop", time, AT(pcie.core_snoop), "0 ps", "10 us", "",
     "With pcie.cache: extra time of a read whose line a core's cache holds. `understudy calibrate` derives "
     "12 to 40 ns."},
    {"pcie.cache_miss", time, AT(pcie.cache_miss), "0 ps", "10 us", "",
     "With pcie.cache: extra time of a read whose line is in memory. pcie-bench: 51 to 55 ns above a line of "
     "a core."},
    {"pcie.remote_node", time, AT(pcie.remote_node), "0 ps", "10 us", "",
     "With pcie.cache: extra time of a read of the far NUMA node's memory; lines that the device has just "
     "written lie in the "
     "near cache and are spared. pcie-bench: 106 ns."},
    {"pcie.read_jitter_p95", time, AT(pcie.read_jitter_p95), "0 ps", "100 us", "",
     "What 5 of 100 DMA reads take beyond the median, at least."},
    {"pcie.read_jitter_p999", time, AT(pcie.read_jitter_p999), "0 ps", "100 us", "",
     "What one of 1,000 DMA reads takes beyond the median, at least; 0: none varies."},
    {"pcie.iommu", boolean, AT(pcie.iommu), "", "", "",
     "The IOMMU translates DMA: what the driver has not allocated no adapter reaches, translations take "
     "time, "
     "and a failover can revoke the mappings of an adapter."},
    {"pcie.iommu_page", size, AT(pcie.iommu_page), "4 KiB", "1 GiB", "",
     "With pcie.iommu: page size, a power of two."},
    {"pcie.iommu_entries", integer, AT(pcie.iommu_entries), "1", "65536", "",
     "With pcie.iommu: translations that the IOTLB holds. 64: pcie-bench's bandwidth falls beyond 256 KiB."},
    {"pcie.iommu_walk", time, AT(pcie.iommu_walk), "0 ps", "100 us", "",
     "With pcie.iommu: a walk of the page table. pcie-bench: 250 to 310 ns."},
    {"pcie.iommu_walkers", integer, AT(pcie.iommu_walkers), "1", "1024", "",
     "With pcie.iommu: walks at the same time. 6 give the 48 ns that pcie-bench's 64-byte reads take when "
     "all "
     "miss."},
    {"pcie.posted_headers", integer, AT(pcie.posted_headers), "1", "127", "",
     "Header credits for posted TLPs that the root complex advertises (PCIe 2.6.1); an estimate."},
    {"pcie.posted_data", integer, AT(pcie.posted_data), "256", "2047", "",
     "Data credits of 16 bytes for posted TLPs that the root complex advertises; an estimate."},
    {"pcie.nonposted_headers", integer, AT(pcie.nonposted_headers), "1", "127", "",
     "Header credits for reads that the root complex advertises; an estimate."},
    {"pcie.adapter_posted_headers", integer, AT(pcie.adapter_posted_headers), "1", "127", "",
     "Credits for register writes, header and data, that the adapter advertises (PCIe 2.6.1); an estimate."},
    {"pcie.adapter_nonposted_headers", integer, AT(pcie.adapter_nonposted_headers), "1", "127", "",
     "Credits for register reads and configuration accesses that the adapter advertises; an estimate."},
    {"pcie.lcrc_errors", integer, AT(pcie.lcrc_errors), "0", "500000", "",
     "Of a million TLPs, so many arrive with a wrong LCRC and are replayed (PCIe 3.6)."},
    {"pcie.dllp_errors", integer, AT(pcie.dllp_errors), "0", "500000", "",
     "Of a million ACK, NAK and UpdateFC DLLPs, so many are lost: REPLAY_TIMER or the next UpdateFC mends it "
     "(PCIe 3.6.2, 2.6.1.2)."},
    {"pcie.replay_buffer", size, AT(pcie.replay_buffer), "4 KiB", "1 MiB", "",
     "TLPs, in bytes, that each end of the link keeps until they are acknowledged; a full buffer stops it "
     "(PCIe "
     "3.6.2.1). An estimate, enough for Gen5 x16."},
    {"pcie.poisoned_reads", integer, AT(pcie.poisoned_reads), "0", "500000", "",
     "Of a million DMA reads, so many are answered with poisoned data (PCIe 2.7.2)."},
    {"pcie.aborted_reads", integer, AT(pcie.aborted_reads), "0", "500000", "",
     "Of a million DMA reads, so many are answered by Completer Abort (PCIe 2.3.1)."},
    {"pcie.dpc", boolean, AT(pcie.dpc), "", "", "",
     "Downstream Port Containment (PCIe 6.2.10): a poisoned write of the adapter, or its ERR_FATAL, takes "
     "its link down, and the substitute goes on. Without, what is behind a poisoned write lands, and a "
     "commit record names bytes that never came."},
    {"pcie.retrain_time", time, AT(pcie.retrain_time), "0 ps", "1 s", "",
     "How long a link that trains is silent: after four replays in a row, for want of credits, for a "
     "downgrade, or when it comes back; an estimate."},

    {"host.mmio_write", time, AT(host.mmio_write), "0 ps", "10 us", "",
     "CPU time of a posted register write: an uncached store, 100 ns by order of magnitude."},
    {"host.cold_record", time, AT(host.cold_record), "0 ps", "10 us", "",
     "CPU time to read a 64-byte line that a device has written: a miss to memory, 90 ns on servers."},
    {"host.copy_per_byte", time, AT(host.copy_per_byte), "0 ps", "100 ns", "",
     "CPU time to copy a byte between application and buffer. 100 ps: 10 GB/s, one core's memcpy beyond its "
     "caches."},
    {"host.irq_entry", time, AT(host.irq_entry), "0 ps", "1 ms", "",
     "From the interrupt's write to the handler's first instruction: 1 us by order of magnitude."},
    {"host.descriptor", time, AT(host.descriptor), "0 ps", "10 us", "",
     "CPU time to fill one 64-byte descriptor."},
    {"host.socket_call", time, AT(host.socket_call), "0 ps", "100 us", "",
     "CPU time of a call into the sockets layer: a system call, 150 ns by order of magnitude."},
    {"host.restore_connection", time, AT(host.restore_connection), "0 ps", "1 ms", "",
     "CPU time to rebuild one connection's state during a failover: some six cache misses."},

    {"memory.buffer_bytes", size, AT(memory.buffer_bytes), "1 KiB", "1 MiB", "",
     "Size of a receive buffer that the driver posts, in whole KiB; a descriptor names up to 1 MiB."},
    {"memory.receive_buffer", size, AT(memory.receive_buffer), "2 KiB", "64 MiB", "",
     "Bytes that a connection grants its peer: the receive window."},
    {"memory.send_buffer", size, AT(memory.send_buffer), "2 KiB", "64 MiB", "",
     "Bytes that the driver keeps for a connection until the peer has acknowledged them."},
    {"memory.pool_buffers", integer, AT(memory.pool_buffers), "0", "65536", "",
     "Receive buffers posted for whichever connection comes next."},
    {"memory.send", word, AT(memory.send), "", "", "buffered|zero_copy",
     "How the replay's streams send: copied into the driver's memory, or from where the application has "
     "them, "
     "which then keeps them until the peer has acknowledged them."},
    {"memory.receive", word, AT(memory.receive), "", "", "buffered|zero_copy",
     "How they receive: from the driver's buffers, or in buffers that the application lends, at least a "
     "window "
     "ahead of the stream."},
    {"memory.hold_bytes", size, AT(memory.hold_bytes), "0 B", "1 GiB", "",
     "Received bytes of a connection that the adapter holds back, to hand them over with one DMA write and "
     "record "
     "for each run of consecutive ones; as many are handed over at once. 0: no limit."},
    {"memory.hold_count", integer, AT(memory.hold_count), "0", "65535", "",
     "The same in segments. 0: no limit."},
    {"memory.hold_us", integer, AT(memory.hold_us), "0", "1000000", "",
     "Microseconds that received data is held back, at most half of adapter.delayed_ack, for it is not "
     "acknowledged meanwhile. 0: nothing is held back, whatever count and bytes say."},
    {"memory.expedite", boolean, AT(memory.expedite), "", "", "",
     "Pushed and urgent data is handed over at once, behind what is held of its connection. Data that ends a "
     "stream or fills its window, and what a socket has asked for, always is."},
    {"memory.wait_us", integer, AT(memory.wait_us), "0", "1000000", "",
     "Microseconds that data of a zero-copy connection waits for a lent buffer before it goes into one of "
     "the "
     "driver's, from where it is copied. 500: some tens of interrupts and system "
     "calls, and nothing beside a delayed ACK."},
    {"memory.inline_bytes", integer, AT(memory.inline_bytes), "0", "192", "",
     "Sends of at most so many bytes, copied ones, go with their descriptor: one DMA for both. 36 of them "
     "fit "
     "into it, 52 into each further 64 bytes of the table. 0: none."},
    {"memory.record_entries", integer, AT(memory.record_entries), "", "",
     "16|32|64|128|256|512|1024|2048|4096|8192|16384|32768|65536",
     "Entries of the table that an adapter writes commit records into; when it is full, records wait in the "
     "adapter."},

    {"failover.hold_bytes", size, AT(failover.hold_bytes), "0 B", "1 GiB", "",
     "Bytes that the switch holds for the address while reception is blocked, as PAUSE would; 0 drops them."},
    {"failover.heartbeat", time, AT(failover.heartbeat), "1 us", "10 s", "",
     "Period of the adapter's heartbeat, in whole microseconds. Detection takes up to (misses + 1) periods."},
    {"failover.misses", integer, AT(failover.misses), "1", "1000", "",
     "Heartbeats missed in a row before the adapter counts as dead."},

    {"live.address", text, AT(live.address), "", "", "",
     "IPv4 address and prefix length of the host behind the adapter, in `understudy live` and embedded."},
    {"live.address6", text, AT(live.address6), "", "", "",
     "Its IPv6 address and prefix length; empty: it has none."},
    {"live.vlan", integer, AT(live.vlan), "0", "4094", "",
     "VLAN of both addresses: frames that cross to the outside carry its tag; 0: untagged."},
    {"live.join", boolean, AT(live.join), "", "", "",
     "Segments that follow each other go to a TAP device in one write, joined as a receiver's GRO would join "
     "them; false: each alone, for the kernel's own GRO."},
    {"embed.peer", word, AT(embed.peer), "", "", "none|lwip|responder",
     "Embedded: who else is on the wire, at the next address after the host's. lwip: a station with echo on "
     "port 7 and discard on port 9. responder: one that takes every connection and echoes by arithmetic on "
     "each segment, for very many of them; IPv4 only."},
    {"app.root", text, AT(app.root), "", "", "",
     "Folder of the HTTP server in `understudy live`: GET reads what is below it, PUT writes there; empty: "
     "no "
     "files. "
     "Relative to the working directory."},
    {"app.http_port", integer, AT(app.http_port), "0", "65535", "", "Port of the HTTP server; 0: none."},
    {"app.echo_port", integer, AT(app.echo_port), "0", "65535", "",
     "Port of the echo service (RFC 862); 0: none."},
    {"app.discard_port", integer, AT(app.discard_port), "0", "65535", "",
     "Port of the discard service (RFC 863); 0: none."},
    {"app.pump_port", integer, AT(app.pump_port), "0", "65535", "",
     "Port of the byte pump, which sends without end and throws away what it gets; 0: none."},
    {"app.fetch", text, AT(app.fetch), "", "", "",
     "URLs, with spaces between, that an HTTP client behind the adapter gets in `understudy live` once it is "
     "ready, one after the other, into the files fetched-1, fetched-2, ... of --out: "
     "http://10.77.0.1:8000/x."},

    {"run.deadline", time, AT(run.deadline), "1 us", "100000 s", "",
     "Simulated time after which the run fails and names the connections that are stuck."},
};
#undef AT

constexpr fault_kind kinds[] = {
    {"kill", "The adapter stops at once: no frame, no bus request, no answer from then on."},
    {"zombie",
     "The adapter's heartbeat stops and everything else goes on: to the host it looks dead, but it sends, "
     "receives and "
     "writes host memory until it is fenced."},
    {"wild_record",
     "The adapter writes two more records, sound in form, that name a descriptor it was never given and "
     "bytes "
     "beyond the end of a buffer; the driver must refuse them."},
    {"link_down",
     "The adapter's PCI Express link goes down for good: what is on it is lost, registers read all-ones. The "
     "adapter resets."},
    {"link_flap",
     "The link goes down and trains again: what is on it is lost, and the adapter has reset when it is back. "
     "The driver finds out by its heartbeat."},
    {"link_downgrade", "The link retrains to generation 1 and one lane: slower, and nothing is lost."},
    {"bit_flip",
     "In each word of one set of the on-chip connection store, which a connection uses, the same bit "
     "changes: the "
     "store corrects it."},
    {"double_bit_flip",
     "The same with two bits: the store notices, gives the words up and fetches their connections again."},
    {"unfenceable",
     "The heartbeat stops, registers and configuration space answer nothing, and the port above ignores Link "
     "Disable; the adapter goes on sending and writing host memory. With pcie.iommu its mappings can be "
     "revoked; "
     "without, nothing fences it."},
    {"poisoned_write",
     "The adapter's next write to host memory, an interrupt too, comes poisoned: the root port discards and "
     "reports it (AER). With pcie.dpc it takes the link down before anything behind it; without, bytes are "
     "missing that a commit record names."},
    {"poisoned_doorbell",
     "The driver's next register write, in operation a doorbell, comes poisoned: the adapter discards and "
     "reports it (AER). The driver rings again when two heartbeats have said that it did not arrive."},
};

constexpr mutant mutant_table[] = {
    {"ack_before_commit", "ACKs leave before the host holds the bytes."},
    {"record_before_payload", "The commit record is written before its payload."},
    {"snd_max_reset", "The substitute takes ACKs above what it has sent itself for ACKs of unsent data."},
    {"no_fence", "The dead adapter is not fenced and goes on writing to host memory and to the wire."},
    {"no_block", "The substitute takes frames before it holds the connections, and answers them with RST."},
    {"shrink_window", "The substitute advertises a window that ends before the edge advertised last."},
    {"tsval_regress", "The substitute's timestamps start below those already sent."},
    {"free_before_ack", "Sent bytes are given back before the peer has acknowledged them."},
    {"reuse_isn", "A new connection gets the initial sequence number of the one before."},
    {"lost_wakeup", "An interrupt that falls into the moderation time is forgotten."},
    {"shifted_payload", "Payload is placed from one byte before its beginning."},
    {"stale_rcv_nxt", "A connection is restored at its first byte instead of the last one committed."},
    {"ack_regress", "Now and then a segment acknowledges less than the one before."},
    {"ack_fin_early", "A FIN is acknowledged when it is accepted, committed or not."},
    {"resend_other_bytes", "A segment that is sent again carries another first byte."},
    {"ignore_window", "The adapter sends by its congestion window alone, whatever the peer has room for."},
    {"write_outside", "A write that fills a receive buffer goes one byte beyond it."},
    {"leak_buffer", "A receive buffer that the application has read is never given back."},
    {"cross_connection", "Two connections exchange the receive buffers that they fill next."},
    {"skip_record_number", "Every 64th number of the commit records is left out."},
    {"fetch_beyond_tail", "A fetch of descriptors takes one more than the doorbell has announced."},
    {"interrupt_overtakes",
     "The root complex tells the CPU of an interrupt before the writes in front of it are in memory."},
    {"overrun_ring", "Commit records are written whether the host has made room or not."},
    {"lose_retransmit", "The retransmission timer never fires."},
    {"slow_recovery", "The driver looks at a loading substitute every 200 ms."},
    {"trust_index",
     "The driver believes the index in a refusal without comparing it with what it has written."},
    {"hoard_window", "A window that opens again is not told to the peer until it asks."},
    {"lose_persist", "The persist timer never fires."},
    {"answer_acks", "Every ACK is answered by an ACK."},
    {"false_alarm", "The application hears of a reset where the connection closed in order."},
    {"hold_for_ever", "What the adapter holds back is handed over when its connection ends, and not before."},
    {"touch_lent_memory", "The application changes bytes that it has lent to be sent."},
    {"lose_group_buffer", "A buffer that comes back is counted in another group than its own."},
    {"data_before_announcement", "Data of a connection are recorded before the host is told of it."},
    {"relaxed_records", "Commit records are written with Relaxed Ordering and overtake their payload."},
};

// Edits (insert, delete, replace) between two words.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, above + 1, diagonal + (a[i] == b[j] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

const char* type_name(parameter_type t) {
  switch (t) {
    case boolean:
      return "true or false";
    case integer:
      return "integer";
    case word:
      return "word";
    case text:
      return "string";
    case word_list:
      return "list of words";
    case path_list:
      return "path or list of paths";
    case time:
      return "time";
    case rate:
      return "rate";
    case size:
      return "size";
    case clock:
      return "clock";
  }
  return "";
}

std::span<const parameter> parameters() {
  return table;
}
std::span<const fault_kind> fault_kinds() {
  return kinds;
}
std::span<const mutant> mutants() {
  return mutant_table;
}

const parameter* find_parameter(std::string_view key) {
  for (const parameter& p : table)
    if (p.key == key) return &p;
  return nullptr;
}

std::string nearest(std::string_view word, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t best_edits = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (std::string_view k : known) {
    const std::size_t dot = k.rfind('.');
    const bool last_part = dot != k.npos && k.substr(dot + 1) == word;
    const std::size_t e = last_part ? 0 : edits(word, k);
    if (e < best_edits) {
      best = k;
      best_edits = e;
    }
  }
  return std::string(best);
}

std::vector<std::pair<std::string, std::string>> changed_parameters(const scenario& s) {
  const scenario defaults;
  std::vector<std::pair<std::string, std::string>> changed;
  for (const parameter& p : table) {
    std::string v = value_text(p, s);
    if (v != value_text(p, defaults)) changed.emplace_back(p.key, std::move(v));
  }
  return changed;
}

}  // namespace understudy::tb
