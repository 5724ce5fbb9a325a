// A station that answers every TCP segment by arithmetic on that segment alone, for hundreds of thousands of
// connections. It echoes: every byte that arrives goes back. It is no TCP and never evidence of correctness:
// it checks nothing, orders nothing, retransmits nothing and heeds no window.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/core/fifo.h"
#include "model/core/inet.h"
#include "model/core/packet.h"
#include "model/core/rng.h"
#include "model/net/eth_if.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

struct responder_config {
  mac_address mac{0x02, 0, 0, 0, 0, 0x20};
  ip_address ip;             // IPv4
  std::uint16_t mss = 1460;  // that its SYN offers
};

// What it sends, by what arrives (SEQ, ACK and LEN are of that segment):
//
//   SYN            SYN-ACK with the peer's own SEQ as its initial sequence number
//   SYN-ACK        ACK
//   data, FIN      the same bytes and FIN back, with ACK = SEQ + LEN
//   ACK, the kick  ACK = SEQ + 1: its RCV.NXT, and its window (a kick has SEQ = SND.UNA - 1)
//   other, RST     nothing
//
// Because it echoes, both directions of a connection are equally long, and with one initial sequence number
// for both ends its SEQ is the segment's SEQ. A pure ACK never has SEQ before ACK then, and a kick always
// has. Where it opened the connection itself the two initial sequence numbers differ by a number that only
// the SYN-ACK tells: the one thing that it remembers, 4 bytes a connection.
class responder_peer : public sc_core::sc_module, private eth_if {
 public:
  // `seed`: of the initial sequence numbers of connections that it opens.
  responder_peer(const sc_core::sc_module_name& name, const responder_config& config, std::uint64_t seed);

  // The station's connector. A filter passes only what is for the station's own address.
  eth_socket& eth() { return eth_; }

  // Send the SYN of a connection, once its neighbour is known. During simulation.
  void connect(const ip_address& remote, std::uint16_t port, std::uint16_t local_port);

  struct counters {
    std::uint64_t frames_in = 0;  // past the filter
    std::uint64_t frames_out = 0;
    std::uint64_t opened = 0;        // SYNs answered, and SYN-ACKs of its own SYNs
    std::uint64_t kicks = 0;         // answered
    std::uint64_t echoed_bytes = 0;  // each copy of them
    std::uint64_t rst_received = 0;
  };
  const counters& count() const { return count_; }

 private:
  picos take(frame_ref f) override;
  void answer(const segment& s, const frame_ref& f, const mac_address& to);
  void send(segment s, frame_ref payload, const mac_address& to);
  void put(frame_ref f);
  void pump();
  // Our initial sequence number minus the peer's.
  std::uint32_t shift(const four_tuple& t) const;
  static std::uint64_t key(const four_tuple& t) {
    return static_cast<std::uint64_t>(t.remote.v4_value()) << 32 |
           static_cast<std::uint32_t>(t.local_port) << 16 | t.remote_port;
  }

  responder_config config_;
  eth_socket eth_{"out", "in", *this};
  agenda agenda_;
  counters count_;
  rng iss_;
  std::unordered_map<std::uint64_t, std::uint32_t> opened_;  // looked up, never walked; shift() of each
  std::unordered_map<std::uint32_t, mac_address> neighbours_;
  std::vector<segment> waiting_;  // SYNs whose neighbour has been asked for
  fifo<frame_ref> queue_;
  bool pumping_ = false;  // pump() is on the agenda
  picos free_at_ = 0;
  std::uint16_t ip_id_ = 0;
};

}  // namespace understudy::tb
