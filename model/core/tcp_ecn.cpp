// Explicit congestion notification: RFC 3168 6.1.
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {
constexpr std::uint8_t ect0 = 2, ce = 3;  // the ECN field of the IP header
}

// An acceptable segment of an established connection: what routers and the peer say of congestion.
void tcp_engine::impl::ecn_input(conn& c, const segment& s) {
  if (!c.has_ecn()) return;
  if (s.flags & tcp_cwr) c.ecn_echo = false;
  if (s.ecn == ce && s.payload_length) {
    ++counters.ecn_marks;
    c.ecn_echo = true;
    c.ack_at_commit = true;
  }
  // 6.1.2: as for a loss, but nothing is sent again, and once a window.
  const bool echo = s.flags & tcp_ece && ack_plausible(c, s.ack);
  if (!echo || c.in_recovery || s.ack.before(c.ecn_until) || c.snd_nxt == c.snd_una) return;
  ++counters.ecn_reductions;
  control.reduce(c, c.snd_high.minus(c.snd_una));
  c.cwnd = c.ssthresh;
  c.ecn_until = c.snd_high + 1;
  c.ecn_cwr = true;
}

// Flags and ECN field of a segment that is about to leave. Only new data is marked capable: not SYN, empty
// segments, probes or what is sent again (6.1.1, 6.1.4 to 6.1.6).
void tcp_engine::impl::ecn_mark(conn& c, const tcp_env::send_request& r, segment& out) const {
  if (out.flags & tcp_syn) {
    // 6.1.1.1: a SYN that nobody answered is sent again without.
    const bool ask = !(out.flags & tcp_ack);
    if (!ask || !c.timeouts) out.flags |= ask ? tcp_ece | tcp_cwr : tcp_ece;
    return;
  }
  if (c.ecn_echo && out.flags & tcp_ack) out.flags |= tcp_ece;
  if (!r.length || r.retransmission || c.timer == timer_kind::persist) return;
  out.ecn = ect0;
  if (std::exchange(c.ecn_cwr, false)) out.flags |= tcp_cwr;
}

}  // namespace understudy
