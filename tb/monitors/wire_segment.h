// The fields of a TCP segment as a monitor reads them off the wire, by code of its own.
#pragma once
#include <cstdint>
#include <optional>

#include "model/abi/seq32.h"

namespace understudy::tb {

struct wire_segment {
  std::uint32_t source_ip = 0, destination_ip = 0;
  std::uint16_t source_port = 0, destination_port = 0;
  seq32 seq, ack;
  bool syn = false, fin = false, rst = false, has_ack = false;
  std::uint16_t window = 0;  // unscaled
  std::uint32_t payload_length = 0;
  const std::uint8_t* payload = nullptr;
  std::optional<std::uint32_t> tsval;
  std::uint8_t wscale = 0;  // of a SYN; absent: 0
  bool has_wscale = false;
  seq32 end() const { return seq + payload_length + (syn ? 1u : 0u) + (fin ? 1u : 0u); }
};

// Whether the checksums of the IPv4 header and of the TCP segment hold; for a frame that read_segment()
// takes.
bool checksums_hold(const std::uint8_t* frame);

// Of an Ethernet frame of `length` bytes; empty if it is not a whole IPv4 TCP segment.
std::optional<wire_segment> read_segment(const std::uint8_t* frame, std::uint32_t length);

}  // namespace understudy::tb
