// Which received segments are believed: timestamps (RFC 7323 5), the window (RFC 9293 3.10.7.4), blind
// attacks (RFC 5961).
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {

// Timestamps older than this are worthless (RFC 7323 5.5).
constexpr std::uint32_t ts_outdated_ms = 24u * 24 * 3600 * 1000;

// Window of a peer that has not told its own yet: what the field can say.
constexpr std::uint32_t widest_window = 65535;

}  // namespace

// RFC 7323 5: protection against wrapped sequence numbers. A SYN needs no timestamp to be challenged.
bool tcp_engine::impl::timestamp_ok(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  if (!c.has_ts() || s.flags & tcp_rst) return true;
  if (!s.options.has_ts) {
    if (s.flags & tcp_syn) return true;
    ++counters.paws_drops;
    return false;
  }
  if (c.ts_valid && ts_before(s.options.tsval, c.ts_recent)) {
    if (clock_ms(now) - c.ts_recent_ms < ts_outdated_ms) {
      ++counters.paws_drops;
      answer_unacceptable(now, i, s);
      return false;
    }
    c.ts_valid = false;
  }
  return true;
}

bool tcp_engine::impl::in_window(const conn& c, const segment& s) const {
  const seq32 edge = later(c.rcv_adv, c.rcv_nxt);
  if (s.length() == 0) return s.seq.after_eq(c.rcv_nxt) && s.seq.before_eq(edge);
  if ((s.seq + s.length()).before_eq(c.rcv_nxt)) return false;
  // A FIN may lie on the edge: it takes no buffer. A probe of a closed window is not accepted, but its ACK is
  // heard.
  return s.seq.before(edge) || s.seq == c.rcv_nxt || (s.seq == edge && s.payload_length == 0);
}

// The range of RFC 5961 5.2; its SND.NXT is snd_max here, which covers what another adapter may have sent.
bool tcp_engine::impl::ack_plausible(const conn& c, seq32 ack) const {
  const std::uint32_t widest =
      c.restored ? std::max(c.max_snd_wnd, widest_window << c.peer_wscale) : c.max_snd_wnd;
  return ack.before_eq(c.snd_max) && ack.after_eq(c.snd_una - widest);
}

// A segment beside the window carries no text for us, but its ACK is news all the same: two ends whose probes
// cross would never hear each other otherwise (RFC 9293 3.10.7.4, draft-gont-tcpm-tcp-seq-validation).
// Whoever guesses must still come within a window of the right number. A peer that was restored too may not
// know its own number yet.
bool tcp_engine::impl::ack_heard_outside(const conn& c, const segment& s) const {
  if (!(s.flags & tcp_ack) || !c.synchronized() || s.ack.after(c.snd_max)) return false;
  if (c.kicking) return s.seq.before(c.rcv_nxt) && s.ack.after_eq(c.snd_una);
  const std::uint32_t reach = widest_window << c.our_wscale;
  const seq32 edge = later(c.rcv_adv, c.rcv_nxt);
  return s.ack.after(c.snd_una) && s.seq.after_eq(c.rcv_nxt - reach) && s.seq.before_eq(edge + reach);
}

// RFC 9293 3.10.7.4, first check. Text that was accepted but is not committed yet is answered by its commit.
void tcp_engine::impl::out_of_window(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  ++counters.out_of_window;
  if (c.state == US_TCP_TIME_WAIT && s.flags & tcp_fin) arm(now, i, timer_kind::time_wait, 2 * config.msl);
  const seq32 end = s.seq + s.length();
  if (s.length() && end.before_eq(c.rcv_nxt)) {
    counters.duplicate_bytes += s.payload_length;
    if (end.after(ackable(c))) {
      c.ack_at_commit = true;
      return;
    }
  }
  answer_unacceptable(now, i, s);
}

// A segment that takes sequence space is no answer to an answer of ours: it is acknowledged at once. An empty
// one may be, and two ends that disagree would answer each other for ever: those are limited.
void tcp_engine::impl::answer_unacceptable(picos now, index i, const segment& s) {
  if (s.length() && !(s.flags & tcp_syn)) return must_ack(i);
  challenge(now, i);
}

// RFC 5961 7: so many challenge ACKs a second and no more, for each connection, so that nobody learns from
// one connection what goes on in another.
void tcp_engine::impl::challenge(picos now, index i) {
  conn& c = table.at(i);
  const std::uint32_t ms = clock_ms(now);
  if (c.challenges == 0 || ms - c.challenge_ms >= 1000) {
    c.challenge_ms = ms;
    c.challenges = 0;
  }
  if (c.challenges >= config.challenge_acks_per_second) return;
  ++c.challenges;
  ++counters.challenge_acks;
  must_ack(i);
}

// RFC 5961 3.2. What the peer expects to be our RCV.NXT is the ACK that it has seen last, which for a
// protected connection may be older than what was accepted.
void tcp_engine::impl::reset_input(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  const bool exact = s.seq == c.rcv_nxt || s.seq == c.last_ack_sent;
  if (!exact && !(s.seq.after(c.rcv_nxt) && s.seq.before(c.rcv_adv))) {
    ++counters.out_of_window;
    return;
  }
  if (!exact) return challenge(now, i);
  ++counters.resets_received;
  // RFC 9293 3.10.7.4: where our FIN has left, the stream is over. We are in these states as soon as it is
  // posted: with bytes in front of it that the peer has not acknowledged, they are lost, and the host hears
  // so.
  const bool closing = c.state == US_TCP_CLOSING || c.state == US_TCP_LAST_ACK || c.state == US_TCP_TIME_WAIT;
  if (closing && !c.snd_una.before(c.fin_seq)) return end(i, tcp_env::change::closed, US_OK);
  const bool refused = c.state == US_TCP_SYN_RCVD && !(c.conn & US_CONN_PASSIVE);
  end(i, tcp_env::change::aborted, refused ? US_ERR_REFUSED : US_ERR_RESET);
}

// RFC 5961 4.2: whatever its sequence number. A passive half-open connection goes back to LISTEN (RFC 9293
// 3.10.7.4, fourth) if the SYN lies in the window.
void tcp_engine::impl::syn_input(picos now, index i, const segment& s) {
  const conn& c = table.at(i);
  if (c.state == US_TCP_SYN_RCVD && c.conn & US_CONN_PASSIVE && in_window(c, s))
    return end(i, tcp_env::change::aborted, US_ERR_RESET);
  challenge(now, i);
}

}  // namespace understudy
