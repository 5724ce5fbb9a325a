// Finds the TCP segment in a captured packet.
#pragma once
#include <cstdint>
#include <span>

#include "model/abi/seq32.h"
#include "model/core/inet.h"

namespace understudy::tb {

struct captured_segment {
  ip_address from;
  ip_address to;
  std::uint16_t from_port = 0;
  std::uint16_t to_port = 0;
  seq32 seq;
  seq32 ack;
  bool syn = false;
  bool fin = false;
  bool rst = false;
  bool has_ack = false;
  bool vlan = false;
  bool ipv6 = false;
  std::span<const std::uint8_t> payload;  // as far as captured; points into the packet
  std::uint64_t payload_length = 0;       // as sent; payload is shorter if the snapshot length cut it
};

enum class segment_verdict : std::uint8_t { tcp, not_ip, not_tcp, fragment, malformed };

// True if packets of this libpcap link type (DLT_...) can be read.
bool link_type_supported(int link_type);

// `packet`: the captured bytes; `sent`: the packet's length on the wire, at least packet.size(). Never reads
// beyond `packet`. Fills `s` if the verdict is tcp.
segment_verdict find_segment(int link_type, std::span<const std::uint8_t> packet, std::uint64_t sent,
                             captured_segment& s);

}  // namespace understudy::tb
