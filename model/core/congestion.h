// Congestion control of one connection: how the window grows when it is acknowledged, and what a loss leaves
// of it. Slow start, recovery and time-outs are the engine's own and the same for all.
#pragma once
#include <cstdint>

#include "model/core/congestion_kind.h"
#include "model/core/tcp_connection.h"

namespace understudy {

// Stateless: what an algorithm remembers lies in the connection.
class congestion_control {
 public:
  virtual ~congestion_control() = default;
  // Congestion avoidance: `acked` bytes were acknowledged while the window was the limit.
  virtual void grow(tcp_connection& c, std::uint32_t acked, picos now) const = 0;
  // The window was not the limit: time that passes now earns nothing.
  virtual void idle(tcp_connection& c) const = 0;
  // Loss or an echoed congestion mark with `flight` bytes in flight: sets ssthresh, the window to come.
  virtual void reduce(tcp_connection& c, std::uint32_t flight) const = 0;
  // The retransmission timer has fired and reduce() was called: nothing is left of the window.
  virtual void restart(tcp_connection& c) const = 0;
};

// RFC 5681 3.1: a segment for each window acknowledged; half of what was in flight is left.
const congestion_control& newreno();
// RFC 9438.
const congestion_control& cubic();

inline const congestion_control& congestion(congestion_kind k) {
  return k == congestion_kind::cubic ? cubic() : newreno();
}

}  // namespace understudy
