// How long peers' data wait for their ACK at the adapter: what the commit rule costs.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "model/abi/seq32.h"
#include "model/core/event_log.h"
#include "tb/monitors/wire_segment.h"
#include "tb/report/result.h"

namespace understudy::tb {

// From the last bit of a segment with payload at an adapter to the first bit of the first ACK that covers it
// there. Segments that no ACK of the same adapter covers are left out, sent again or not.
class ack_latency : public event_observer {
 public:
  // Watches adapters 0 to adapters - 1. Subscribes itself.
  ack_latency(event_log& log, unsigned adapters);
  void on_event(const event& e) override;
  ack_latency_times times() const;

 private:
  struct arrival {
    seq32 end;
    picos at;
  };
  unsigned adapters_;
  std::map<std::pair<std::uint16_t, wire_connection>, std::deque<arrival>> waiting_;  // by adapter
  mutable std::vector<picos> samples_;
};

}  // namespace understudy::tb
