// How long each connection made no progress around a fault, seen on the wire.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "model/abi/seq32.h"
#include "model/core/frame.h"
#include "model/core/units.h"
#include "tb/monitors/wire_segment.h"
#include "tb/report/result.h"

namespace understudy::tb {

// A direction progresses when the adapters' host sends bytes that it never sent before, or acknowledges some
// that it never acknowledged before. It was under way at a fault if it had progressed shortly before, and
// bytes that were seen on the wire were not acknowledged: one that waits for an application, or for a reader
// whose window is shut, does not wait for an adapter.
class stall_meter {
 public:
  // A direction without progress for so long before the fault was not under way.
  static constexpr picos under_way = 500_ms;

  // A frame crosses the wire at `at`; `inward`: towards the adapters.
  void on_frame(const frame_ref& f, bool inward, picos at);
  // A fault struck. Marks are numbered from 0.
  void mark(picos at);
  // The longest time without progress, from the last before mark `i` on, over the directions that were under
  // way and have got so far:
  // * where the host sends, until the first new byte behind a segment that goes back, as a kick does: what
  //   the dead adapter sent may have queued. Not counted if the peer, who has all of it, asks for more;
  // * where it receives, until all that was outstanding at the mark is acknowledged: the first ACK may tell
  //   of bytes that the host had already.
  stall_times stalls(std::size_t i) const;
  std::size_t resumed(std::size_t i) const { return stalls_[i].size(); }

 private:
  enum way : std::size_t { received, sent };
  struct silence {
    std::size_t mark;
    std::optional<seq32> until;  // an edge so far ends it; nothing: the host has not gone back yet
    picos longest = 0;
  };
  struct direction {
    bool known = false;
    seq32 edge;          // all before it has been sent or acknowledged
    picos last = never;  // progress
    std::vector<silence> open;
  };
  struct connection {
    std::array<direction, 2> ways;
    seq32 heard;  // after the highest number that the peer has sent
    seq32 acked;  // by the peer
    bool fin_in = false, fin_out = false;
  };
  void advance(direction& d, seq32 edge, picos at);
  static bool outstanding(const connection& c, way w);

  std::unordered_map<wire_connection, connection, wire_connection_hash> connections_;
  std::vector<std::vector<picos>> stalls_;  // of each mark
};

}  // namespace understudy::tb
