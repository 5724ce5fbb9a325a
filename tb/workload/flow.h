// One TCP connection's conversation at application level: its bytes, and who said what when. Recorded or made
// up.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/core/units.h"

namespace understudy::tb {

enum class flow_direction : std::uint8_t { client_to_server = 0, server_to_client = 1 };

constexpr flow_direction opposite(flow_direction d) {
  return d == flow_direction::client_to_server ? flow_direction::server_to_client
                                               : flow_direction::client_to_server;
}
constexpr std::size_t index_of(flow_direction d) {
  return static_cast<std::size_t>(d);
}

// The bytes of one direction, immutable: recorded bytes, or a pattern repeated without end (so that a long
// made-up stream costs no memory). Copies share the bytes.
class byte_stream {
 public:
  byte_stream() = default;
  explicit byte_stream(std::vector<std::uint8_t> bytes);
  // `length` bytes of `pattern` repeated, starting at its byte `first` (modulo its size). The pattern is not
  // empty.
  byte_stream(std::shared_ptr<const std::vector<std::uint8_t>> pattern, std::uint64_t first,
              std::uint64_t length);

  std::uint64_t size() const { return length_; }
  // The longest contiguous run of bytes that starts at `offset`; empty if `offset` is at or beyond the end.
  std::span<const std::uint8_t> from(std::uint64_t offset) const;

 private:
  std::shared_ptr<const std::vector<std::uint8_t>> pattern_;
  std::uint64_t first_ = 0;
  std::uint64_t length_ = 0;
};

// A pause within one direction, of this length or longer, starts a new turn of the same speaker.
inline constexpr picos turn_pause = 1_ms;

// Bytes that one side says at a stretch. The speaker starts when it has received all earlier turns of the
// other side.
struct turn {
  flow_direction from = flow_direction::client_to_server;
  std::uint64_t offset = 0;  // in the stream of that direction
  std::uint64_t length = 0;  // never 0
  picos at = 0;              // first byte, after the flow's start
  picos gap = 0;             // since the last byte of the turn before, or since the flow's start
  std::uint32_t phase = 0;   // waits until this phase of the run is open (replay_options::phase)
  picos read_delay = 0;  // the hearer lets this turn lie for so long before it reads: its window may close
};

// How a flow ends. The first closer sends its FIN after the first `after_turns` turns; turns beyond those (a
// half-closed connection) are the other side's and follow the FIN. Without FIN both sides close after the
// last byte.
struct flow_closing {
  bool has_first = false;
  flow_direction first = flow_direction::client_to_server;  // the direction that ends first
  std::size_t after_turns = 0;
};

struct flow_end {
  std::string address;  // textual IPv4 or IPv6; empty in a made-up flow
  std::uint16_t port = 0;
};

struct flow {
  flow_end client;
  flow_end server;
  bool had_syn = false;  // the handshake's SYN or SYN-ACK was seen
  bool had_fin = false;  // at least one FIN
  bool had_rst = false;
  bool was_ipv6 = false;
  bool had_vlan = false;
  bool was_cut = false;          // bytes beyond a hole were left out
  picos start = 0;               // its first packet, after the first packet of the capture
  std::uint32_t open_phase = 0;  // the connection is opened in this phase
  std::array<std::uint32_t, 2> fin_phase{
      0, 0};                           // each direction's FIN waits for this phase, by index_of(direction)
  std::array<byte_stream, 2> streams;  // by index_of(direction)
  std::vector<turn> turns;
  flow_closing closing;

  const byte_stream& stream_of(flow_direction d) const { return streams[index_of(d)]; }
  // Payload of both directions.
  std::uint64_t bytes() const { return streams[0].size() + streams[1].size(); }
  // A turn or a FIN belongs to this phase.
  bool has_part_in(std::uint32_t phase) const;
};

// Bytes for made-up flows: the same for the same seed. Its size is a prime, so that a shift by a whole number
// of segments, buffers or pages shows.
std::shared_ptr<const std::vector<std::uint8_t>> make_pattern(std::uint64_t seed);

// `to_server` and `to_client` bytes (either may be 0, not both) sent in turns of at most `chunk` bytes (> 0),
// the two directions taking turns until both are exhausted. With to_server or to_client 0 it is one
// uninterrupted bulk transfer. `connection` selects the place in the pattern: connections with different
// numbers carry different bytes. The client closes first.
flow make_bulk_flow(std::uint64_t to_server, std::uint64_t to_client, std::uint64_t chunk,
                    const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                    std::uint32_t connection);

// `speaker` says `bytes` (> 0) in turns of at most `chunk` bytes (> 0); each turn comes back as it was before
// the next is said. The speaker closes first.
flow make_mirror_flow(flow_direction speaker, std::uint64_t bytes, std::uint64_t chunk,
                      const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                      std::uint32_t connection);

// Not a byte; `closer` closes first.
flow make_idle_flow(flow_direction closer);

// Hold a made-up flow's bytes back until phase 1 of the run, its FINs until phase 2 (replay_options::phase).
flow in_three_phases(flow f);

// The reference conversation number `connection` of a run in `phases` (at least 8) phases, for exhaustive
// fault campaigns: both directions in every phase, one turn each; by its number it opens late, half-closes
// early, ends early, or lets a turn lie unread until its window closes. Everything of a phase comes to rest
// before the next is opened.
flow make_reference_flow(std::uint32_t phases,
                         const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                         std::uint32_t connection);

}  // namespace understudy::tb
