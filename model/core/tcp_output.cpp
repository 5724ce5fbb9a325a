// Sending: what leaves, when an ACK leaves, and how a segment is filled in at the last moment.
#include "model/core/tcp_impl.h"

namespace understudy {

// ------------------------------------------------------------------------------------------------ window and
// ACKs

// The right edge that a segment would advertise now: never back, never above the grant, only in steps worth
// telling (RFC 9293 3.8.6.2.2), a multiple of the scale above the ACK number.
seq32 tcp_engine::impl::next_edge(const conn& c) const {
  const seq32 ack = ackable(c);
  if (c.rcv_grant.before_eq(ack)) return c.rcv_adv;
  const std::uint32_t buffer = c.rcv_grant.minus(ack);
  const std::uint32_t open = std::min(buffer, 65535u << c.our_wscale) >> c.our_wscale << c.our_wscale;
  const seq32 edge = ack + open;
  if (edge.before_eq(c.rcv_adv)) return c.rcv_adv;
  const std::uint32_t worth = std::min<std::uint32_t>(our_mss(c), buffer / 2);
  const bool shut = c.rcv_adv.before_eq(ack);
  return shut || edge.minus(c.rcv_adv) >= worth ? edge : c.rcv_adv;
}

bool tcp_engine::impl::window_update_due(const conn& c) const {
  if (c.fin_accepted || config.mutants.hoard_window) return false;
  const seq32 ack = ackable(c);
  const seq32 edge = next_edge(c);
  if (!edge.after(c.rcv_adv)) return false;
  return window_left(c) < our_mss(c) ||
         edge.minus(c.rcv_adv) >= std::min<std::uint32_t>(2u * our_mss(c), c.rcv_grant.minus(ack) / 2);
}

// A duplicate ACK that asks for a lost segment: a peer without SACK counts it only if its window is that of
// the one before (RFC 5681 2). A window that does not let it send the segment is no use to keep.
bool tcp_engine::impl::repeats_ack(const conn& c) const {
  return c.restored && !c.has_sack() && c.gap_below.after(c.rcv_nxt) && ackable(c) == c.last_ack_sent &&
         window_left(c) >= our_mss(c);
}

// Bytes that the peer may still send, as the window field tells it (RFC 7323 2.3: in units of the scale).
std::uint32_t tcp_engine::impl::window_left(const conn& c) const {
  const seq32 ack = ackable(c);
  return c.rcv_adv.after(ack) ? c.rcv_adv.minus(ack) >> c.our_wscale << c.our_wscale : 0;
}

// The window field of a segment that is about to leave; remembers the edge.
std::uint16_t tcp_engine::impl::advertise(conn& c, bool syn) {
  const seq32 ack = ackable(c);
  if (syn) {
    const std::uint32_t window = c.rcv_grant.after(ack) ? std::min(65535u, c.rcv_grant.minus(ack)) : 0;
    c.rcv_adv = later(c.rcv_adv, ack + window);
    return static_cast<std::uint16_t>(window);
  }
  if (!repeats_ack(c)) c.rcv_adv = next_edge(c);
  std::uint32_t window = window_left(c);
  if (config.mutants.shrink_window && counters.segments_out % 4 == 3) window /= 2;
  return static_cast<std::uint16_t>(std::min(window >> c.our_wscale, 65535u));
}

// An ACK that other segments may make superfluous.
void tcp_engine::impl::request_ack(index i) {
  conn& c = table.at(i);
  if (!may_ack(c)) {
    c.ack_at_commit = true;
    return;
  }
  if (std::exchange(c.ack_requested, true)) return;
  env.send({.connection = table.id(i), .seq = c.snd_high});
}

// An ACK that must leave as a segment of its own.
void tcp_engine::impl::must_ack(index i) {
  conn& c = table.at(i);
  if (!may_ack(c)) {
    c.ack_at_commit = true;
    return;
  }
  env.send({.connection = table.id(i), .seq = c.snd_high, .flags = tcp_ack});
}

// What was accepted or committed since the last ACK: acknowledge now, later, or not at all (RFC 9293 3.8.6.3,
// RFC 5681 4.2).
void tcp_engine::impl::decide_ack(picos now, index i) {
  conn& c = table.at(i);
  if (!may_ack(c) || !c.synchronized()) return;
  if (c.kicking) {
    // The kick or its answer may be lost: a peer that waits for the window is not to wait for the next.
    const bool shut = window_left(c) < our_mss(c) && window_update_due(c);
    if (c.timer == timer_kind::kick && shut && !std::exchange(c.ack_requested, true)) kick(i);
    return;
  }
  const seq32 ack = ackable(c);
  const bool all = ack == c.rcv_nxt;
  const std::uint32_t unacked = ack.after(c.last_ack_sent) ? ack.minus(c.last_ack_sent) : 0;
  const bool at_once = unacked && (c.ack_at_commit || (all && c.fin_accepted) ||
                                   unacked >= config.ack_every * static_cast<std::uint32_t>(c.rcv_mss));
  if (at_once || window_update_due(c)) {
    if (all) c.ack_at_commit = false;
    request_ack(i);
  } else if (unacked && !c.ack_deadline) {
    c.ack_deadline = now + config.delayed_ack;
    schedule(i);
  }
  if (all)
    for (std::uint8_t n = std::exchange(c.duplicates_owed, std::uint8_t{0}); n; --n) must_ack(i);
}

// ------------------------------------------------------------------------------------------------ sending

void tcp_engine::impl::send_syn(picos now, index i, bool again) {
  conn& c = table.at(i);
  arm(now, i, timer_kind::retransmit, retransmission_delay(c));
  if (again) {
    ++c.retransmitted;
    ++counters.retransmissions;
  }
  env.send({.connection = table.id(i), .seq = c.iss, .flags = tcp_syn, .retransmission = again});
}

void tcp_engine::impl::transmit(picos now, index i, std::uint32_t length, bool fin) {
  conn& c = table.at(i);
  const seq32 seq = c.snd_nxt;
  const bool again = seq.before(c.snd_high);
  if (again) {
    ++c.retransmitted;
    ++counters.retransmissions;
    c.rtt_timing = false;
  }
  c.snd_nxt += length + (fin ? 1u : 0u);
  c.snd_high = later(c.snd_high, c.snd_nxt);
  c.snd_max = later(c.snd_max, c.snd_high);
  if (c.timer != timer_kind::retransmit) arm(now, i, timer_kind::retransmit, retransmission_delay(c));
  const bool last = length && seq + length == c.snd_end;
  env.send({.connection = table.id(i),
            .seq = seq,
            .length = length,
            .flags = static_cast<std::uint8_t>((fin ? tcp_fin : 0) | (last ? tcp_psh : 0)),
            .retransmission = again});
}

// Send the next segment from snd_nxt if it is worth one, of at most `room` bytes and what the peer's window
// takes (RFC 9293 3.8.6.2.1, 3.7.4). The sequence numbers that it takes; 0: none is sent.
std::uint32_t tcp_engine::impl::send_next(picos now, index i, std::uint32_t room) {
  conn& c = table.at(i);
  const std::uint32_t mss = c.effective_mss();
  const std::uint32_t to_block = skip_held(c);
  const seq32 edge = c.snd_una + c.snd_wnd;
  if (!config.mutants.ignore_window) room = std::min(room, edge.after(c.snd_nxt) ? edge.minus(c.snd_nxt) : 0);
  const std::uint32_t pending = c.snd_end.after(c.snd_nxt) ? c.snd_end.minus(c.snd_nxt) : 0;
  const std::uint32_t length = std::min({pending, room, mss, to_block});
  const bool fin = c.fin_posted && c.snd_nxt + length == c.fin_seq && room > length;
  if (!length && !fin) return 0;
  if (!fin && length < mss && length < to_block && !c.snd_nxt.before(c.snd_high)) {
    const bool idle = c.snd_nxt == c.snd_una;
    const bool worth = length == pending ? !c.nagle || idle : length >= std::max(c.max_snd_wnd / 2, 1u);
    if (!worth) return 0;
  }
  transmit(now, i, length, fin);
  return length + (fin ? 1u : 0u);
}

// Send what windows and rules allow, `most` segments of it outside of SACK recovery; arm the persist timer if
// that is nothing.
void tcp_engine::impl::output(picos now, index i, std::uint32_t most) {
  conn& c = table.at(i);
  if (c.state < US_TCP_ESTABLISHED || c.state == US_TCP_FIN_WAIT_2 || c.state == US_TCP_TIME_WAIT) return;
  if (c.kicking || !may_ack(c)) return;
  if (c.sack_recovery) {
    sack_output(now, i);
  } else {
    // Without SACK each duplicate ACK stands for a segment that has left the network (RFC 3042).
    const std::uint32_t gone =
        c.in_recovery || c.dup_acks > 2 || c.board ? 0 : c.dup_acks * c.effective_mss();
    const std::uint32_t window = c.cwnd + gone;
    for (; most; --most) {
      std::uint32_t in_flight = c.snd_nxt.minus(c.snd_una);
      if (c.board) in_flight -= boards[c.board].held.bytes_within(c.snd_una, c.snd_nxt);
      if (in_flight >= window || !send_next(now, i, window - in_flight)) break;
    }
  }
  if (c.snd_nxt == c.snd_una && c.snd_nxt != c.stream_end() && c.timer == timer_kind::none)
    arm(now, i, timer_kind::persist, persist_delay(c.backoff));
}

// An empty segment before snd_una, which elicits an ACK.
void tcp_engine::impl::kick(index i) {
  const conn& c = table.at(i);
  env.send({.connection = table.id(i), .seq = c.snd_una - 1, .kick = true});
}

// One byte, or the FIN, at snd_una; nothing there: an empty segment before it. It elicits an ACK whatever the
// window.
void tcp_engine::impl::probe(index i) {
  conn& c = table.at(i);
  const bool byte = c.snd_end.after(c.snd_una);
  const bool fin = !byte && c.fin_posted && c.snd_una == c.fin_seq;
  if (!byte && !fin) return kick(i);
  const bool again = c.snd_una.before(c.snd_high) || c.restored;
  c.rtt_timing = false;
  c.snd_high = later(c.snd_high, c.snd_una + 1);
  c.snd_max = later(c.snd_max, c.snd_high);
  env.send({.connection = table.id(i),
            .seq = c.snd_una,
            .length = byte ? 1u : 0u,
            .flags = static_cast<std::uint8_t>(fin ? tcp_fin : 0),
            .retransmission = again});
}

// Send one segment again, of what was sent in [from, to). The sequence numbers that it takes.
std::uint32_t tcp_engine::impl::retransmit(index i, seq32 from, seq32 to) {
  conn& c = table.at(i);
  to = earlier(to, c.snd_high);
  const seq32 data_end = earlier(c.snd_end, to);
  const std::uint32_t data = data_end.after(from) ? data_end.minus(from) : 0;
  const std::uint32_t length = std::min(data, c.effective_mss());
  const bool fin = c.fin_posted && from + length == c.fin_seq && to.after(c.fin_seq);
  if (!length && !fin) return 0;
  ++c.retransmitted;
  ++counters.retransmissions;
  c.rtt_timing = false;
  env.send({.connection = table.id(i),
            .seq = from,
            .length = length,
            .flags = static_cast<std::uint8_t>(fin ? tcp_fin : 0),
            .retransmission = true});
  return length + (fin ? 1u : 0u);
}

// ------------------------------------------------------------------------------------------------ filling in

// Sequence number of an empty ACK: after a probe of a closed window, or when the window has shrunk, what was
// sent lies where the peer takes nothing, not even the ACK.
seq32 tcp_engine::impl::empty_ack_seq(const conn& c, seq32 next) const {
  const seq32 edge = c.snd_una + c.snd_wnd;
  const bool rounding = c.snd_wnd && next.minus(edge) < 1u << c.peer_wscale;
  return c.kicking || next.before_eq(edge) || rounding ? next : edge;
}

bool tcp_engine::impl::fill_segment(picos now, const tcp_env::send_request& r, index i, segment& out) {
  conn& c = table.at(i);
  const bool syn = r.flags & tcp_syn;
  const bool fin = r.flags & tcp_fin;
  const bool pure_ack = !syn && !fin && r.length == 0 && !r.kick;
  out = segment{};
  out.tuple = c.tuple;
  out.seq = r.seq;
  out.flags = r.flags & (tcp_syn | tcp_fin | tcp_psh);
  out.payload_length = r.length;
  if (syn) {
    if (c.state != US_TCP_SYN_SENT && c.state != US_TCP_SYN_RCVD) return false;
  } else if (r.kick) {
    // A peer that has spoken since has no use for it, and takes neither number nor window from it.
    if (c.snd_una - 1 != r.seq || !(c.kicking || c.keepalives)) {
      c.ack_requested = false;
      return false;
    }
  } else if (pure_ack) {
    const bool news = ackable(c).after(c.last_ack_sent) || next_edge(c).after(c.rcv_adv);
    if (!(r.flags & tcp_ack)) c.ack_requested = false;
    if (!(r.flags & tcp_ack) && !news) return false;
    out.seq = empty_ack_seq(c, later(r.seq, c.snd_una));
  } else if ((r.seq + r.length + (fin ? 1u : 0u)).before_eq(c.snd_una) || r.length > c.effective_mss()) {
    return false;  // acknowledged meanwhile; or too large for the path, as was found after it was asked for
  }
  const bool ack = c.state != US_TCP_SYN_SENT;
  if (ack && !may_ack(c)) return false;
  if (ack) {
    out.flags |= tcp_ack;
    out.ack = ackable(c);
    if (config.mutants.ack_regress && c.synchronized() && counters.segments_out % 16 == 15)
      out.ack = out.ack - 1;
  }
  out.window = advertise(c, syn);
  if (syn) {
    out.options.mss = our_mss(c);
    if (c.conn & US_CONN_WS) out.options.wscale = static_cast<std::int8_t>(c.our_wscale);
    out.options.sack_permitted = c.has_sack();
  }
  if (c.has_ecn()) ecn_mark(c, r, out);
  if (c.has_ts()) {
    out.options.has_ts = true;
    out.options.tsval = c.cookie && c.is_protected() ? cookie_tsval(now, c) : tsval(now, c);
    out.options.tsecr = ack && c.ts_valid && !r.kick ? c.ts_recent : 0;
  }
  if (ack && !syn && !r.kick) report_held(c, c.effective_mss() - r.length, out.options);
  if (ack) {
    c.last_ack_sent = out.ack;
    c.ack_deadline = 0;
    c.ack_requested = false;
  }
  if (!r.retransmission && !c.rtt_timing && c.timer == timer_kind::retransmit && (r.length || syn)) {
    c.rtt_timing = true;
    c.rtt_seq = r.seq + out.length();
    c.rtt_start = now;
  }
  ++counters.segments_out;
  return true;
}

bool tcp_engine::build_segment(picos now, const tcp_env::send_request& r, segment& out) {
  const std::uint32_t i = impl_->table.find(r.connection);
  return i != impl::none && impl_->fill_segment(now, r, i, out);
}

}  // namespace understudy
