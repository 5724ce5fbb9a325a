// How long peers' data wait for their ACK at the adapter: what the commit rule costs.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/abi/seq32.h"
#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "tb/monitors/wire_segment.h"
#include "tb/report/result.h"

namespace understudy::tb {

// From the last bit of a segment with payload at an adapter to the first bit of the first ACK that covers it
// there. Segments that no ACK of the same adapter covers are left out, sent again or not.
class ack_latency : public event_observer {
 public:
  // Watches adapters 0 to adapters - 1. Subscribes itself.
  ack_latency(event_log& log, segment_reader& segments, unsigned adapters);
  void on_event(const event& e) override;
  ack_latency_times times() const;

 private:
  struct arrival {
    seq32 end;
    picos at;
  };
  using by_connection = std::unordered_map<wire_connection, fifo<arrival>, wire_connection_hash>;
  segment_reader& segments_;
  std::vector<by_connection> waiting_;  // by adapter; never walked
  std::vector<picos> samples_;
};

}  // namespace understudy::tb
