// The fields of a TCP segment as a monitor reads them off the wire, by code of its own.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "model/abi/seq32.h"
#include "model/core/event_log.h"
#include "model/core/inet.h"

namespace understudy::tb {

struct wire_segment {
  ip_address source_ip, destination_ip;
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

// One of the host's connections, as both directions name it.
struct wire_connection {
  ip_address peer;
  std::uint16_t peer_port = 0, host_port = 0;
  auto operator<=>(const wire_connection&) const = default;  // NOLINT(modernize-use-nullptr)
};
struct wire_connection_hash {
  std::size_t operator()(const wire_connection& c) const;
};
inline wire_connection from_peer(const wire_segment& s) {
  return {s.source_ip, s.source_port, s.destination_port};
}
inline wire_connection to_peer(const wire_segment& s) {
  return {s.destination_ip, s.destination_port, s.source_port};
}

// Whether the checksums of the IPv4 header, if it is one, and of the TCP segment hold; for a frame that
// read_segment() takes.
bool checksums_hold(const std::uint8_t* frame);

// Of an Ethernet frame of `length` bytes; empty if it is not a whole TCP segment over IPv4, or over IPv6
// without extension headers.
std::optional<wire_segment> read_segment(const std::uint8_t* frame, std::uint32_t length);

// The segments of one log's frames, each read once however many ask for it.
class segment_reader {
 public:
  // Of an event frame_in or frame_out, while it is told; as read_segment(). Valid until the next event's.
  const std::optional<wire_segment>& of(const event& e) {
    if (e.number != number_) segment_ = read_segment(e.data, e.length);
    number_ = e.number;
    return segment_;
  }

 private:
  std::uint64_t number_ = 0;
  std::optional<wire_segment> segment_;
};

}  // namespace understudy::tb
