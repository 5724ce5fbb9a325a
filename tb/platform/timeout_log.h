// Why peers' retransmission timers fired: every time-out is attributed to what its connection had lost
// before. One that lost nothing must not time out, failover or not.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tb/monitors/wire_segment.h"
#include "tb/platform/platform.h"
#include "tb/report/result.h"

namespace understudy::tb {

class timeout_log : public event_observer {
 public:
  // Subscribes itself to the platform's log, links, switch and peers; the platform outlives it.
  timeout_log(platform& p, segment_reader& segments);

  // Adapter `unit` of the main host was struck now: what it had taken and not acknowledged is lost.
  void note_fault(unsigned unit) { struck_ |= std::uint64_t{1} << unit; }
  const timeout_counts& counts() const { return counts_; }
  // The first that nothing explains, for people; empty: there is none.
  const std::string& unexplained() const { return unexplained_; }

  void on_event(const event& e) override;

 private:
  using cause = std::uint64_t timeout_counts::*;
  struct range {
    seq32 end;  // of a segment that takes up sequence space
    frame_loss why;
    std::uint16_t unit;  // the adapter that took it, or no_unit: it is lost
    bool beyond;         // the window that the peer had been told of: not to be taken whole
  };
  // One connection, as its peer sees it.
  struct conversation {
    seq32 sent;  // highest number that the peer has used
    bool begun = false;
    std::vector<range> open;  // not acknowledged: lost, or taken by an adapter
    seq32 edge;               // highest right edge that the peer was told of
    bool edge_known = false;
    std::uint8_t scale = 0;  // of the host's windows, if both ends offered one
    bool peer_scales = false;
    bool answer_lost = false;  // ever; then:
    seq32 lost_ack;            // highest ACK of the host's that was lost
    frame_loss answer_loss{};
    std::uint64_t timeouts = 0;  // of a twin's connection, as counted so far
    picos timed_out_at = never;  // last; then:
    cause timed_out_by{};
  };

  void lost(const frame_ref& f, frame_loss why);
  void sent(const wire_segment& s, bool by_twin);
  void timed_out(const wire_segment& s);
  cause cause_of(const wire_segment& s, const conversation& c) const;
  static cause cause_of(frame_loss why);

  platform& platform_;
  segment_reader& segments_;
  std::uint64_t struck_ = 0;  // one bit an adapter
  // Address resolution: a peer's first SYN waits for it, and everything that a substitute has to say.
  struct lost_question {
    picos at;
    frame_loss why;
  };
  std::uint64_t asked_ = 0;  // adapters that have taken a question after an address, or an answer
  std::map<ip_address, lost_question> lost_questions_;  // newest by peer
  timeout_counts counts_;
  std::string unexplained_;
  std::unordered_map<wire_connection, conversation, wire_connection_hash> conversations_;  // never walked
};

}  // namespace understudy::tb
