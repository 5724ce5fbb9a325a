// Reads a packet capture (pcap or pcapng) and gives its TCP connections as flows that can be replayed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tb/workload/capture_file.h"
#include "tb/workload/flow.h"

namespace understudy::tb {

// What was read, and what was left out and why.
struct capture_summary {
  std::uint64_t packets = 0;
  std::uint64_t tcp_packets = 0;
  // Packets left out.
  std::uint64_t not_ip = 0;
  std::uint64_t not_tcp = 0;
  std::uint64_t fragments = 0;  // IP fragments are not reassembled
  std::uint64_t malformed = 0;  // headers that contradict their lengths, or cut by the snapshot length
  // Flows.
  std::uint64_t flows = 0;  // usable ones
  std::uint64_t bytes_to_server = 0;
  std::uint64_t bytes_to_client = 0;
  std::uint64_t skipped_no_payload = 0;  // connections in which nothing was said
  std::uint64_t skipped_cut = 0;         // the first byte of both directions is missing from the capture
  std::uint64_t cut_flows = 0;           // usable up to a hole
  std::uint64_t without_syn = 0;
  std::uint64_t without_fin = 0;
  std::uint64_t ipv6_flows = 0;
  std::uint64_t vlan_flows = 0;  // replayed without their tags
};

struct capture {
  std::vector<flow> flows;  // in the order of their first packets
  capture_summary summary;
};

// Reads the whole file. Ethernet (with VLAN tags, also stacked), Linux cooked v1 and v2, raw IP and loopback
// link types; IPv4 and IPv6. TCP checksums are not verified (captures on the sending host hold unfinished
// ones). The client is the side that sent the SYN; without one, the side with the higher port. A stream
// starts after its SYN, or at its first byte seen, and ends at its last contiguous byte. Connections that use
// the same addresses and ports one after the other are flows of their own. A pause of turn_pause or more
// within one direction starts a new turn, so that pace is kept. Throws capture_error: no such file, empty,
// not a capture, damaged or truncated, unsupported link type, no TCP, no payload.
capture read_capture(const std::string& path);

// A few lines of text: flows, bytes, and only those remarks that apply. Each line ends with a newline.
std::string describe(const capture_summary& s);

}  // namespace understudy::tb
