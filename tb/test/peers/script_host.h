// A host whose TCP is a script in the test: bytes by hand, so that nothing of the model judges lwIP.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/core/checksum.h"
#include "model/core/wire_bytes.h"
#include "tb/test/net/station.h"

namespace understudy::tb {

// One TCP segment as the script sees it.
struct script_segment {
  picos at = 0;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint32_t seq = 0, ack = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
  std::vector<std::uint8_t> options;
  std::vector<std::uint8_t> payload;
  std::uint32_t end() const {
    return seq + static_cast<std::uint32_t>(payload.size()) + ((flags & 2) ? 1u : 0u) +
           ((flags & 1) ? 1u : 0u);
  }
};

inline constexpr std::uint8_t fin = 1, syn = 2, rst = 4, psh = 8, ack = 16;

// Station 192.0.2.1 with address mac_of(1), talking to 192.0.2.2 with address mac_of(2).
class script_host : public test_station {
 public:
  explicit script_host(const sc_core::sc_module_name& name) : test_station(name) {
    on_frame = [this](const frame_ref& f) { handle(f); };
  }
  static constexpr std::uint32_t own_ip = 0xc0000201, peer_ip = 0xc0000202;

  bool answer_arp = true;
  bool answer_syn = true;  // SYN-ACK for SYNs
  bool ack_data = true;    // ACK everything in order
  std::uint16_t window = 0xffff;
  std::uint32_t next = 1000;   // our next sequence number
  std::uint32_t expected = 0;  // the peer's next sequence number
  std::uint16_t peer_port = 0, own_port = 0;
  unsigned arp_requests = 0;
  std::vector<script_segment> segments;  // all that came
  std::vector<std::uint8_t> received;    // payload in order
  bool peer_fin = false;

  // Send a segment of the one connection; sequence numbers go on.
  void say(std::uint8_t flags, const std::vector<std::uint8_t>& payload = {}) {
    raw(flags, next, expected, payload);
    next +=
        static_cast<std::uint32_t>(payload.size()) + ((flags & syn) ? 1u : 0u) + ((flags & fin) ? 1u : 0u);
  }
  void say(std::uint8_t flags, const std::string& text) {
    say(flags, std::vector<std::uint8_t>(text.begin(), text.end()));
  }

  void raw(std::uint8_t flags, std::uint32_t seq, std::uint32_t acknowledged,
           const std::vector<std::uint8_t>& payload, const mac_address& to = mac_of(2),
           std::uint32_t to_ip = peer_ip) {
    const auto length = static_cast<std::uint32_t>(payload.size());
    frame_ref f = frame_ref::make(54 + length);
    std::uint8_t* d = f.data();
    std::memset(d, 0, 54);
    ethernet(d, to, 0x0800);
    d[14] = 0x45;
    put16(d + 16, 40 + length);
    d[22] = 64;
    d[23] = 6;
    put32(d + 26, own_ip);
    put32(d + 30, to_ip);
    put16(d + 24, checksum_finish(checksum_add({d + 14, 20})));
    put16(d + 34, own_port);
    put16(d + 36, peer_port);
    put32(d + 38, seq);
    put32(d + 42, (flags & ack) ? acknowledged : 0);
    d[46] = 0x50;
    d[47] = flags;
    put16(d + 48, window);
    if (length) std::memcpy(d + 54, payload.data(), length);
    put16(d + 50, checksum_finish(tcp_sum(d, 20 + length)));
    send(f);
  }
  void arp(std::uint16_t operation, const mac_address& to) {
    frame_ref f = frame_ref::make(60);
    std::uint8_t* d = f.data();
    std::memset(d, 0, 60);
    ethernet(d, to, 0x0806);
    const std::uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, static_cast<std::uint8_t>(operation)};
    std::memcpy(d + 14, head, 8);
    std::memcpy(d + 22, mac_of(1).data(), 6);
    put32(d + 28, own_ip);
    if (operation == 2) std::memcpy(d + 32, to.data(), 6);
    put32(d + 38, peer_ip);
    send(f);
  }

  // Instants of the segments that carry all of `flags`.
  std::vector<picos> instants(std::uint8_t flags) const {
    std::vector<picos> t;
    for (const auto& s : segments)
      if ((s.flags & flags) == flags) t.push_back(s.at);
    return t;
  }
  unsigned bad_sums = 0;

 private:
  static void ethernet(std::uint8_t* d, const mac_address& to, std::uint16_t type) {
    std::memcpy(d, to.data(), 6);
    std::memcpy(d + 6, mac_of(1).data(), 6);
    put16(d + 12, type);
  }
  static std::uint64_t tcp_sum(const std::uint8_t* d, std::uint32_t tcp_length) {
    return checksum_add({d + 34, tcp_length}, checksum_add({d + 26, 8}, 6 + tcp_length));
  }

  void handle(const frame_ref& f) {
    const std::uint8_t* d = f.data();
    if (get16(d + 12) == 0x0806) {
      if (get16(d + 20) == 1 && get32(d + 38) == own_ip) {
        ++arp_requests;
        if (answer_arp) arp(2, mac_of(2));
      }
      return;
    }
    if (get16(d + 12) != 0x0800 || d[23] != 6) return;
    const std::uint32_t tcp_length = get16(d + 16) - 20u;
    if (tcp_length + 34 > f.size() || checksum_finish(checksum_add({d + 14, 20})) != 0 ||
        checksum_finish(tcp_sum(d, tcp_length)) != 0) {
      ++bad_sums;
      return;
    }
    const std::uint32_t header = (d[46] >> 4) * 4u;
    script_segment s{now_ps(),
                     get16(d + 34),
                     get16(d + 36),
                     get32(d + 38),
                     get32(d + 42),
                     static_cast<std::uint8_t>(d[47] & 0x3f),
                     get16(d + 48),
                     {d + 54, d + 34 + header},
                     {d + 34 + header, d + 34 + tcp_length}};
    segments.push_back(s);
    if ((s.flags & syn) && !(s.flags & ack) && answer_syn) {
      peer_port = s.source_port;
      own_port = s.destination_port;
      expected = s.end();
      say(syn | ack);
      return;
    }
    if (s.flags & (syn | rst)) {
      if (s.flags & syn) expected = s.end();
      return;
    }
    if (s.end() == s.seq || !ack_data) return;
    if (s.seq == expected) {
      received.insert(received.end(), s.payload.begin(), s.payload.end());
      expected = s.end();
      peer_fin = s.flags & fin;
    }
    say(ack);
  }
};

}  // namespace understudy::tb
