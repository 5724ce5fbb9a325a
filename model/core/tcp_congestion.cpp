// Slow start and fast recovery (RFC 5681, NewReno RFC 6582; with SACK tcp_sack.cpp), and the retransmission
// time-out (RFC 6298). How the window grows and shrinks is in congestion.h.
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {
constexpr std::uint32_t cwnd_limit = 1u << 30;
}

std::uint32_t tcp_engine::impl::initial_window(const conn& c) const {
  return config.initial_window_segments * c.effective_mss();
}

// A round trip was measured: that, and nothing else, ends a backoff (Karn's algorithm, RFC 6298 5.7).
void tcp_engine::impl::sample_rtt(conn& c, picos rtt) const {
  c.backoff = 0;
  const auto r = static_cast<std::uint32_t>(std::clamp<picos>(rtt / 1_us, 1, config.rto_max / 1_us));
  if (c.srtt_us == 0) {
    c.srtt_us = r;
    c.rttvar_us = r / 2;
  } else {
    const std::uint32_t delta = c.srtt_us > r ? c.srtt_us - r : r - c.srtt_us;
    c.rttvar_us = static_cast<std::uint32_t>((3ull * c.rttvar_us + delta) / 4);
    c.srtt_us = std::max(1u, static_cast<std::uint32_t>((7ull * c.srtt_us + r) / 8));
  }
  const std::uint64_t rto = c.srtt_us + std::max<std::uint64_t>(wheel_tick / 1_us, 4ull * c.rttvar_us);
  c.rto_us = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(rto, config.rto_min / 1_us, config.rto_max / 1_us));
}

// snd_una has just moved by `acked`; `flight_before` were in flight before that.
void tcp_engine::impl::new_ack(picos now, index i, std::uint32_t acked, std::uint32_t flight_before,
                               const segment& s) {
  conn& c = table.at(i);
  const std::uint32_t mss = c.effective_mss();
  if (c.rtt_timing && c.snd_una.after_eq(c.rtt_seq)) {
    sample_rtt(c, now - c.rtt_start);
    c.rtt_timing = false;
  } else if (!c.rtt_timing && (c.retries || c.in_recovery) && c.has_ts() && s.options.tsecr != 0) {
    // Echoed timestamps do not have Karn's ambiguity (RFC 7323 4.1) but tick in milliseconds: they serve
    // after losses only.
    const std::uint32_t ms = tsval(now, c) - s.options.tsecr;
    if (ms < 1u << 20) sample_rtt(c, std::max<picos>(ms * 1_ms, 500_us));
  }
  c.retries = 0;
  c.dup_acks = 0;
  if (c.in_recovery) {
    if (c.snd_una.after_eq(c.recover)) {
      c.in_recovery = false;
      if (c.sack_recovery)
        c.cwnd = c.ssthresh;
      else
        c.cwnd = std::min(c.ssthresh, std::max(c.snd_high.minus(c.snd_una), mss) + mss);
      c.sack_recovery = false;
    } else if (!c.sack_recovery) {
      c.cwnd = std::max(c.cwnd > acked ? c.cwnd - acked : 0, mss);
      if (acked >= mss) c.cwnd += mss;
      retransmit(i, c.snd_una, c.snd_high);
    }
    return;
  }
  if (flight_before < c.cwnd / 2) return control.idle(c);
  if (c.cwnd < c.ssthresh)
    c.cwnd = std::min(c.cwnd + std::min(acked, 2 * mss), cwnd_limit);  // byte counting (RFC 3465, L = 2)
  else
    control.grow(c, acked, now);
}

void tcp_engine::impl::duplicate_ack(index i) {
  conn& c = table.at(i);
  const std::uint32_t mss = c.effective_mss();
  if (c.dup_acks < 255) ++c.dup_acks;
  if (c.in_recovery) {
    if (!c.sack_recovery) c.cwnd = std::min(c.cwnd + mss, cwnd_limit);
    return;
  }
  const bool by_blocks = c.board && c.snd_una.after_eq(c.sack_from);
  const bool loss = by_blocks ? c.dup_acks >= 3 || c.snd_una.before(lost_below(c))
                              : c.dup_acks == 3 && c.snd_una.after(c.recover);
  if (!loss) return;
  ++counters.fast_retransmits;
  control.reduce(c, c.snd_high.minus(c.snd_una));
  c.recover = c.snd_high;
  c.in_recovery = true;
  if (by_blocks) {
    ++counters.sack_recoveries;
    c.cwnd = c.ssthresh;
    return enter_sack_recovery(i);
  }
  c.cwnd = c.ssthresh + 3 * mss;
  retransmit(i, c.snd_una, c.snd_high);
}

// How long to wait for the acknowledgment of bytes that the peer had reported and that are next: much longer
// than a peer takes that still has them.
picos tcp_engine::impl::reneging_delay(const conn& c) const {
  return std::min(retransmission_delay(c), std::max<picos>(static_cast<picos>(c.srtt_us) * 1_us / 2, 10_ms));
}

}  // namespace understudy
