// A station with other people's TCP: one lwIP stack on simulated time, judge of the offload's correctness.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <systemc>

#include "model/core/inet.h"
#include "model/net/eth_if.h"
#include "tb/workload/stream.h"

namespace understudy::tb {

struct lwip_peer_config {
  mac_address mac{0x02, 0, 0, 0, 0, 0x10};
  ip_address ip;                  // IPv4
  std::optional<ip_address> ip6;  // IPv6, of a /64
  unsigned prefix = 24;           // bits, 0 to 32
  ip_address gateway;             // IPv4; all zero: none
  std::optional<std::uint32_t>
      iss;              // initial sequence number of every connection; absent: drawn from "peer/<name>/iss"
  picos keepalive = 0;  // idle time after which a connection is probed (RFC 1122 4.2.3.6); 0: never
  bool nagle = false;   // RFC 9293 3.7.4; off, as request-response programs set it
};

// lwIP's state is global: one lwip_peer a process. Its own work costs no simulated time. lwIP as Debian
// packages it (2.1.3): MSS 1460, a window of 65,535 bytes (window scale 1 offered), no timestamps, no SACK,
// timers in ticks of 500 ms, time-outs of 20 s in SYN_RCVD. Connections come from the C library's heap: lwIP
// sets no limit, and 60,000 were opened at once. Its lists are searched linearly, though: with every
// connection active a 2-core virtual machine handles 850,000 frames a second with 64 connections, 85,000 with
// 1,000, 23,000 with 4,000, 10,000 with 10,000.
class lwip_peer : public sc_core::sc_module {
 public:
  lwip_peer(const sc_core::sc_module_name& name, const lwip_peer_config& config, std::uint64_t seed);
  ~lwip_peer() override;

  // The station's connector. In front of the stack a filter passes only the station's own address and group
  // addresses.
  eth_socket& eth();

  // Accept connections to `port`: for each, `accept` names its user, or nullptr to reset it. Before or during
  // simulation.
  void listen(std::uint16_t port, std::function<stream_user*(stream&)> accept);
  // Open a connection from `local_port` (not 0, not in use). During simulation. The stream lives as long as
  // the peer does, but after on_closed, on_error or abort() it does nothing more.
  stream& connect(const ip_address& remote, std::uint16_t port, std::uint16_t local_port, stream_user& user);

  // From now on, for connections that open later; absent: random.
  void set_iss(std::optional<std::uint32_t> iss);
  // Connections between SYN and the end of both directions, TIME_WAIT left out.
  unsigned connections_alive() const;
  unsigned time_wait() const;
  // End all TIME_WAITs as if 2 MSL were over.
  void expire_time_wait();

  struct counters {
    std::uint64_t frames_in = 0;  // past the filter
    std::uint64_t frames_filtered = 0;
    std::uint64_t frames_out = 0;
    std::uint64_t opened = 0;  // handshakes completed, either side
    std::uint64_t closed = 0;  // in order
    std::uint64_t errors = 0;  // told by on_error
    std::uint64_t rst_received = 0;
    std::uint64_t rst_sent = 0;
    std::uint64_t retransmitted_segments = 0;
    std::uint64_t retransmitted_bytes = 0;  // payload
    std::uint64_t timeouts = 0;  // retransmissions by timer, SYN and FIN included; window probes left out
  };
  const counters& count() const;
  // `f` is told of each segment that is sent again by timer (counters::timeouts), before it leaves.
  void on_timeout(std::function<void(const frame_ref&)> f);

 private:
  void start_of_simulation() override;
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace understudy::tb
