// Processing of received segments: RFC 9293 3.10.7. Which of them are believed is in tcp_guard.cpp.
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {

constexpr std::uint16_t default_mss = 536;    // RFC 9293 3.7.1: the smallest packet that every host takes,
constexpr std::uint16_t default_mss6 = 1220;  // less IP and TCP headers
constexpr std::uint8_t most_duplicates_owed = 3;  // what makes a peer send again at once (RFC 5681 3.2)

}  // namespace

bool tcp_engine::on_segment(picos now, const segment& s, const frame_ref& f, std::uint8_t addr_index) {
  impl& m = *impl_;
  m.present(now);
  ++m.counters.segments_in;
  m.work = m.table.steps = m.reassembly.steps = 0;
  const bool again = m.on_segment(now, s, f, addr_index);
  m.counters.most_steps = std::max(m.counters.most_steps, m.work + m.table.steps + m.reassembly.steps);
  return again;
}

bool tcp_engine::impl::on_segment(picos now, const segment& s, const frame_ref& f, std::uint8_t addr_index) {
  const index i = table.find(s.tuple);
  if (i == none) return no_connection(now, s, addr_index);
  conn& c = table.at(i);
  if (c.state == US_TCP_SYN_SENT) {
    syn_sent_input(now, i, s);
    return false;
  }
  if (c.state == US_TCP_TIME_WAIT && reused_by_syn(c, s)) {
    const seq32 used = c.snd_max;
    end(i, tcp_env::change::closed, US_OK);
    return no_connection(now, s, addr_index, used);
  }
  c.heard = now;
  c.keepalives = 0;
  input(now, i, s, f);
  if (table.used(i) && c.keepalive) schedule(i);
  return false;
}

// ------------------------------------------------------------------------------------------------ no
// connection

// RFC 9293 3.10.7.1 and 3.10.7.2.
// True: as on_segment(). `used`: the tuple was in TIME_WAIT until now, and has used numbers up to here.
bool tcp_engine::impl::no_connection(picos now, const segment& s, std::uint8_t addr_index,
                                     std::optional<seq32> used) {
  if (s.flags & tcp_rst) return false;
  // MUST-57, 63: from or to a group or nobody at all, no answer either.
  if (!s.tuple.remote.is_station() || !s.tuple.local.is_station()) {
    if (s.flags & tcp_syn) ++counters.refused_syns;
    return false;
  }
  listener* l = find_listener(s.tuple);
  if (!l || !l->open) {
    if (s.flags & tcp_syn) ++counters.refused_syns;
    answer_reset(s);
  } else if (s.flags & tcp_ack) {
    if (!(s.flags & tcp_syn) && now < l->terms.cookies_until && cookie_mss(now, s))
      return take_cookie(now, s, addr_index, *l);
    answer_reset(s);
  } else if (s.flags & tcp_syn) {
    passive_open(now, s, addr_index, *l, used);
  }
  return false;
}

void tcp_engine::impl::answer_reset(const segment& s) {
  if (s.flags & tcp_rst) return;
  segment r;
  r.tuple = s.tuple;
  if (s.flags & tcp_ack) {
    r.seq = s.ack;
    r.flags = tcp_rst;
  } else {
    r.ack = s.seq + s.length();
    r.flags = tcp_rst | tcp_ack;
  }
  ++counters.resets_sent;
  env.send_raw(r);
}

// Of what we offer, keep what the peer's SYN offers too.
void tcp_engine::impl::agree_options(conn& c, const segment& s) {
  const tcp_options& o = s.options;
  // RFC 3168 6.1.1: a SYN asks with both flags, a SYN-ACK agrees with ECE alone.
  const std::uint8_t wanted = s.flags & tcp_ack ? tcp_ece : tcp_ece | tcp_cwr;
  const bool ecn = (s.flags & (tcp_ece | tcp_cwr)) == wanted;
  const std::uint16_t untold = c.tuple.local.is_v4() ? default_mss : default_mss6;
  c.mss = std::clamp(o.mss ? o.mss : untold, config.least_mss, our_mss(c));
  const auto drop = [&c](std::uint8_t bit) { c.conn &= static_cast<std::uint8_t>(~bit); };
  if (!(c.conn & US_CONN_WS) || o.wscale < 0) {
    drop(US_CONN_WS);
    c.our_wscale = 0;
  } else {
    c.peer_wscale = static_cast<std::uint8_t>(std::min<std::int8_t>(o.wscale, 14));
  }
  if (!o.sack_permitted) drop(US_CONN_SACK);
  if (!ecn) drop(US_CONN_ECN);
  if (!o.has_ts) {
    drop(US_CONN_TS);
  } else if (c.has_ts()) {
    c.ts_recent = o.tsval;
    c.ts_valid = true;
  }
  c.cwnd = initial_window(c);
}

void tcp_engine::impl::passive_open(picos now, const segment& s, std::uint8_t addr_index, listener& l,
                                    std::optional<seq32> used) {
  const bool flood = l.terms.cookies_above && l.half_open >= std::min(l.terms.cookies_above, l.backlog);
  if (flood && !l.terms.speaks_first && l.unannounced < l.backlog) return send_cookie(now, s, l);
  if (!flood && l.half_open + l.unannounced >= l.backlog) make_room(now, l);
  const bool room = !flood && l.half_open + l.unannounced < l.backlog;
  const index i = room ? take(s.tuple) : none;
  if (i == none) {
    ++counters.refused_syns;
    return;
  }
  conn& c = table.at(i);
  enter_half_open(now, l, id(c, i));
  begin(c, addr_index, static_cast<std::uint8_t>((l.conn & US_CONN_PROTECTED) | US_CONN_PASSIVE),
        fresh_iss(now, s.tuple, used));
  offer_options(c);
  agree_options(c, s);
  c.peer_syn_committed = l.terms.commit != US_COMMIT_BEFORE_SYNACK;
  if (l.terms.commit == US_COMMIT_BEFORE_DATA_ACK) {
    restrict_to_cookie(c);
    c.iss = c.snd_una = c.recover = c.sack_from = cookie_iss(now, s.tuple, s.seq, c.mss);
    c.snd_nxt = c.snd_high = c.snd_max = c.snd_end = c.iss + 1;
  }
  c.ts_recent_ms = clock_ms(now);
  c.state = US_TCP_SYN_RCVD;
  c.rcv_nxt = c.rcv_adv = c.rcv_grant = s.seq + 1;
  c.rcv_committed = c.peer_syn_committed ? c.rcv_nxt : s.seq;
  c.last_ack_sent = s.seq;
  env.changed(id(c, i), tcp_env::change::embryo, US_OK);
  if (may_ack(c)) send_syn(now, i, false);
}

// ------------------------------------------------------------------------------------------------ SYN_SENT

// RFC 9293 3.10.7.3. Payload and FIN of a SYN are left to be sent again.
void tcp_engine::impl::syn_sent_input(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  const bool ack = s.flags & tcp_ack;
  if (ack && (s.ack.before_eq(c.iss) || s.ack.after(c.snd_max))) return answer_reset(s);
  if (s.flags & tcp_rst) {
    if (!ack) return;
    ++counters.resets_received;
    return end(i, tcp_env::change::aborted, US_ERR_REFUSED);
  }
  if (!(s.flags & tcp_syn)) return;
  agree_options(c, s);
  c.ts_recent_ms = clock_ms(now);
  c.rcv_nxt = c.rcv_adv = c.rcv_grant = s.seq + 1;
  c.rcv_committed = c.last_ack_sent = s.seq;
  if (!ack) {  // simultaneous open
    c.state = US_TCP_SYN_RCVD;
    disarm(c);
    env.changed(id(c, i), tcp_env::change::embryo, US_OK);
    if (may_ack(c)) send_syn(now, i, false);
    return;
  }
  establish(now, i, s);
  if (may_ack(c)) must_ack(i);
  output(now, i);
}

// The peer has acknowledged our SYN.
void tcp_engine::impl::establish(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  if (c.state == US_TCP_SYN_RCVD) {
    leave_half_open(c);
    const auto l = listeners.find({c.tuple.local, c.tuple.local_port});
    if (c.conn & US_CONN_PASSIVE && !c.restored && l != listeners.end() && l->second.terms.gathered) {
      c.unannounced = true;
      ++l->second.unannounced;
    }
  }
  if (c.rtt_timing) sample_rtt(c, now - c.rtt_start);
  c.rtt_timing = false;
  c.retries = c.backoff = 0;
  c.kicking = false;
  disarm(c);
  c.state = c.fin_posted ? US_TCP_FIN_WAIT_1 : US_TCP_ESTABLISHED;
  c.snd_una = c.ecn_until = c.iss + 1;
  c.heard = now;
  c.snd_nxt = later(c.snd_nxt, c.snd_una);
  c.snd_wl1 = s.seq;
  c.snd_wl2 = s.ack;
  c.snd_wnd = s.flags & tcp_syn ? s.window : static_cast<std::uint32_t>(s.window) << c.peer_wscale;
  c.max_snd_wnd = c.snd_wnd;
  schedule(i);
  env.changed(id(c, i), tcp_env::change::established, US_OK);
}

// ------------------------------------------------------------------------------------------------ all other
// states

// RFC 6191, RFC 9293 3.6.1: a SYN that cannot be old opens the tuple again.
bool tcp_engine::impl::reused_by_syn(const conn& c, const segment& s) const {
  if (!(s.flags & tcp_syn) || s.flags & (tcp_ack | tcp_rst)) return false;
  const auto l = listeners.find({c.tuple.local, c.tuple.local_port});
  if (l == listeners.end() || !l->second.open) return false;
  if (c.has_ts() && c.ts_valid && s.options.has_ts && s.options.tsval != c.ts_recent)
    return ts_before(c.ts_recent, s.options.tsval);
  return s.seq.after(c.rcv_nxt);
}

void tcp_engine::impl::input(picos now, index i, const segment& received, const frame_ref& f) {
  conn& c = table.at(i);
  segment s = received;
  if (c.state == US_TCP_SYN_RCVD && s.flags & tcp_syn && !(s.flags & tcp_rst) && s.seq + 1 == c.rcv_nxt) {
    if (!(s.flags & tcp_ack)) {  // the peer's SYN again
      if (may_ack(c) && !c.kicking) send_syn(now, i, true);
      return;
    }
    s.flags &= static_cast<std::uint8_t>(~tcp_syn);  // simultaneous open: the SYN is known, the ACK is news
    s.seq += 1;
  }
  if (!timestamp_ok(now, i, s)) return;
  if (s.flags & tcp_rst) return reset_input(now, i, s);
  if (s.flags & tcp_syn) return syn_input(now, i, s);
  if (!in_window(c, s)) {
    if (ack_heard_outside(c, s)) {
      if (!ack_input(now, i, s)) return;
      output(now, i);
    }
    return out_of_window(now, i, s);
  }
  if (!(s.flags & tcp_ack)) return;
  if (c.has_ts() && (!c.ts_valid || s.seq.before_eq(c.last_ack_sent))) {
    c.ts_recent = s.options.tsval;
    c.ts_recent_ms = clock_ms(now);
    c.ts_valid = true;
  }
  ecn_input(c, s);
  if (!ack_input(now, i, s)) return;
  text_input(now, i, s, f);
  output(now, i);
  decide_ack(now, i);
  if (config.mutants.answer_acks && s.length() == 0) must_ack(i);
}

// ------------------------------------------------------------------------------------------------ the ACK

void tcp_engine::impl::update_window(conn& c, const segment& s) {
  if (!(c.snd_wl1.before(s.seq) || (c.snd_wl1 == s.seq && c.snd_wl2.before_eq(s.ack)))) return;
  c.snd_wl1 = s.seq;
  c.snd_wl2 = s.ack;
  c.snd_wnd = static_cast<std::uint32_t>(s.window) << c.peer_wscale;
  c.max_snd_wnd = std::max(c.max_snd_wnd, c.snd_wnd);
}

// A restored connection has heard of its peer.
void tcp_engine::impl::answered(index i) {
  conn& c = table.at(i);
  c.kicking = false;
  c.retries = c.backoff = 0;
  if (c.timer == timer_kind::kick) disarm(c);
}

// The answer of a restored connection's peer carries its SND.NXT. Beyond rcv_nxt it tells of segments that
// the old adapter took and did not commit: duplicate ACKs bring them back within a round trip, a time-out of
// the peer takes seconds.
void tcp_engine::impl::note_gap(conn& c, seq32 peer_next) {
  c.gap_below = peer_next;
  if (peer_next.after(c.rcv_nxt)) c.duplicates_owed = most_duplicates_owed;
}

bool tcp_engine::impl::ack_input(picos now, index i, const segment& s) {
  conn& c = table.at(i);
  if (c.state == US_TCP_SYN_RCVD) {
    if (s.ack.before_eq(c.snd_una) || s.ack.after(c.snd_max)) {
      answer_reset(s);
      return false;
    }
    if (!may_ack(c)) return false;  // the peer cannot have seen a SYN-ACK
    establish(now, i, s);
    if (c.restored) note_gap(c, s.seq);
  }
  if (!ack_plausible(c, s.ack)) {
    challenge(now, i);
    return false;
  }
  const bool kick_answered = c.kicking && !s.ack.before(c.snd_una);
  if (kick_answered) {
    answered(i);
    c.snd_wl1 = s.seq;
    c.snd_wl2 = s.ack;
  }
  if (s.ack.after(c.snd_una)) {
    const std::uint32_t acked = s.ack.minus(c.snd_una);
    const std::uint32_t flight_before = c.snd_high.minus(c.snd_una);
    if (c.timer == timer_kind::persist) c.backoff = 0;  // of probes, not of the data that follows
    c.snd_una = s.ack;
    c.snd_nxt = later(c.snd_nxt, s.ack);
    c.snd_high = later(c.snd_high, s.ack);
    c.snd_end = later(c.snd_end, c.fin_posted ? earlier(s.ack, c.fin_seq) : s.ack);
    // Marks that snd_una has passed stay near it: numbers are comparable over half their space only.
    if (!c.in_recovery && c.recover.before(c.snd_una)) c.recover = c.snd_una - 1;
    c.sack_from = later(c.sack_from, c.snd_una);
    c.ecn_until = later(c.ecn_until, c.snd_una);
    const bool reneged = trim_board(c);
    if (s.options.sack_count && c.has_sack()) sack_input(c, s);
    update_window(c, s);
    if (c.snd_nxt == c.snd_una)
      disarm(c);
    else
      arm(now, i, timer_kind::retransmit, reneged ? reneging_delay(c) : retransmission_delay(c));
    new_ack(now, i, acked, flight_before, s);
    forget_old_path(now, c);
    env.changed(id(c, i), tcp_env::change::acked, US_OK);
    if (c.fin_acked() && !fin_acked_input(now, i)) return false;
  } else if (s.ack == c.snd_una) {
    const std::uint32_t window_before = c.snd_wnd;
    update_window(c, s);
    if (c.timer == timer_kind::persist) {
      c.retries = 0;
      if (c.snd_wnd > window_before) {
        c.backoff = 0;
        disarm(c);
      }
    }
    // RFC 6675 2: with SACK a duplicate is what brings news. Without, RFC 5681 2.
    const bool sack_news = s.options.sack_count && c.has_sack() && sack_input(c, s);
    const bool repeated = s.length() == 0 && c.snd_wnd == window_before;
    const bool duplicate = c.snd_nxt.after(c.snd_una) && !kick_answered && (c.board ? sack_news : repeated);
    if (duplicate) duplicate_ack(i);
  }
  if (kick_answered) {
    must_ack(i);
    note_gap(c, s.seq);
  }
  return true;
}

// Our FIN is acknowledged. False: the connection is gone.
bool tcp_engine::impl::fin_acked_input(picos now, index i) {
  conn& c = table.at(i);
  if (c.state == US_TCP_FIN_WAIT_1) c.state = US_TCP_FIN_WAIT_2;
  if (c.state == US_TCP_CLOSING) enter_time_wait(now, i);
  if (c.state != US_TCP_LAST_ACK) return true;
  end(i, tcp_env::change::closed, US_OK);
  return false;
}

void tcp_engine::impl::enter_time_wait(picos now, index i) {
  conn& c = table.at(i);
  c.state = US_TCP_TIME_WAIT;
  arm(now, i, timer_kind::time_wait, 2 * config.msl);
  for (; !time_waits.empty() && table.find(time_waits.front()) == none; ++work) time_waits.drop_front();
  time_waits.push_back(id(c, i));
  env.changed(id(c, i), tcp_env::change::time_wait, US_OK);
}

// ------------------------------------------------------------------------------------------------ the text

void tcp_engine::impl::text_input(picos now, index i, const segment& s, const frame_ref& f) {
  conn& c = table.at(i);
  if (c.state != US_TCP_ESTABLISHED && c.state != US_TCP_FIN_WAIT_1 && c.state != US_TCP_FIN_WAIT_2) return;
  payload_slice p{f, s.seq, s.payload_offset, s.payload_length, (s.flags & (tcp_psh | tcp_urg)) != 0};
  bool fin = s.flags & tcp_fin;
  if (!p.length && !fin) return;
  c.rcv_mss = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(p.length, c.rcv_mss, 0xffff));
  if (p.seq.before(c.rcv_nxt)) {
    const std::uint32_t known = std::min(c.rcv_nxt.minus(p.seq), p.length);
    counters.duplicate_bytes += known;
    p.seq += known;
    p.offset += known;
    p.length -= known;
    c.ack_at_commit = true;
  }
  const seq32 limit = later(earlier(c.rcv_adv, c.rcv_grant), c.rcv_nxt);
  if ((p.seq + p.length).after(limit)) {
    fin = false;
    p.push = false;
    p.length = limit.after(p.seq) ? limit.minus(p.seq) : 0;
    if (!p.length) return must_ack(i);
  }
  if (fin) {
    c.rx_fin_seen = true;
    c.rx_fin_seq = p.seq + p.length;
  }
  if (p.seq.after(c.rcv_nxt)) {
    ++counters.out_of_order;
    if (p.length) hold_slice(c, std::move(p));
    // While bytes in order wait for their commit, a duplicate ACK would blame the wrong segment.
    if (ackable(c) == c.rcv_nxt)
      must_ack(i);
    else if (c.duplicates_owed < most_duplicates_owed)
      ++c.duplicates_owed;
    return;
  }
  if (!c.ooo.empty()) c.ack_at_commit = true;
  accept_slice(now, i, p);
  while (!c.fin_accepted && reassembly.take(c.ooo, c.rcv_nxt, p)) accept_slice(now, i, p);
  if (c.fin_accepted) reassembly.clear(c.ooo);
  trim_held(c);
  if (c.restored) ask_for_the_rest(c);
}

// After a failover: what the old adapter took and did not commit is more than one segment. A peer with SACK
// or NewReno sends the next one by itself; another takes a time-out for each, unless it hears of each.
void tcp_engine::impl::ask_for_the_rest(conn& c) {
  if (!c.gap_below.after(c.rcv_nxt)) {
    c.gap_below = c.rcv_nxt;
    return;
  }
  c.ack_at_commit = true;
  if (!c.has_sack()) c.duplicates_owed = most_duplicates_owed;
}

// What is not kept is sent again by the peer.
void tcp_engine::impl::hold_slice(conn& c, payload_slice s) {
  const seq32 left = s.seq, right = s.seq + s.length;
  if (reassembly.insert(c.ooo, std::move(s), config.reassembly_bytes)) note_held(c, left, right);
}

// `s` starts at rcv_nxt. The FIN goes with the last bytes before it.
void tcp_engine::impl::accept_slice(picos now, index i, const payload_slice& s) {
  conn& c = table.at(i);
  c.rcv_nxt += s.length;
  const bool fin = c.rx_fin_seen && c.rcv_nxt == c.rx_fin_seq;
  if (!s.length && !fin) return;
  bool time_wait = false;
  if (fin) {
    c.rcv_nxt += 1;
    c.fin_accepted = true;
    time_wait = c.state == US_TCP_FIN_WAIT_2;
    if (c.state == US_TCP_ESTABLISHED) c.state = US_TCP_CLOSE_WAIT;
    if (c.state == US_TCP_FIN_WAIT_1) c.state = US_TCP_CLOSING;
  }
  env.place(id(c, i), s.seq, s.frame, s.offset, s.length, s.push, fin);
  if (time_wait) enter_time_wait(now, i);
}

}  // namespace understudy
