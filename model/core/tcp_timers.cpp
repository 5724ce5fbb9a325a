// Time in the TCP engine: clocks, the one wheel entry of each connection, what happens at expiry.
#include "model/core/tcp_impl.h"

namespace understudy {

std::uint32_t tcp_engine::impl::tsval(picos now, const conn& c) const {
  const std::uint32_t back = config.mutants.tsval_regress && c.restored ? 10'000 : 0;
  return clock_ms(now) + c.ts_offset - back;
}

// The wheel entry of a connection may be early, never late: an entry that fires too soon is armed again.
void tcp_engine::impl::schedule(index i) {
  const conn& c = table.at(i);
  picos d = c.timer == timer_kind::none ? never : c.timer_deadline;
  if (c.ack_deadline) d = std::min(d, c.ack_deadline);
  d = std::min(d, keepalive_due(c));
  if (d == never) return;
  const std::uint64_t tick = (d + wheel_tick - 1) / wheel_tick;
  if (tick < wheel.armed(i)) wheel.arm(i, tick);
}

void tcp_engine::impl::arm(picos now, index i, timer_kind kind, picos delay) {
  conn& c = table.at(i);
  c.timer = kind;
  const bool lost = (config.mutants.lose_retransmit && kind == timer_kind::retransmit) ||
                    (config.mutants.lose_persist && kind == timer_kind::persist);
  c.timer_deadline = lost ? never : now + delay;
  schedule(i);
}

picos tcp_engine::impl::retransmission_delay(const conn& c) const {
  const picos base = static_cast<picos>(c.rto_us) * 1_us;
  return std::min(config.rto_max, base << std::min<int>(c.backoff, 12));
}

picos tcp_engine::impl::persist_delay(int doublings) const {
  return std::min(config.persist_max, config.persist_min << std::min(doublings, 12));
}

picos tcp_engine::impl::kick_delay(const conn& c) const {
  return c.backoff == 0 ? config.kick_retry : persist_delay(c.backoff - 1);
}

void tcp_engine::impl::fire(picos now, index i) {
  conn& c = table.at(i);
  if (c.ack_deadline && c.ack_deadline <= now) {
    c.ack_deadline = 0;
    if (ackable(c).after(c.last_ack_sent)) request_ack(i);
  }
  if (c.timer != timer_kind::none && c.timer_deadline <= now) {
    const timer_kind kind = std::exchange(c.timer, timer_kind::none);
    if (kind == timer_kind::time_wait) return end(i, tcp_env::change::closed, US_OK);
    const bool handshake = c.state == US_TCP_SYN_SENT || c.state == US_TCP_SYN_RCVD;
    if (c.retries >= (handshake ? config.syn_retries : config.data_retries))
      return end(i, tcp_env::change::aborted, US_ERR_TIMEOUT);
    ++c.retries;
    if (c.backoff < 12) ++c.backoff;
    if (kind == timer_kind::retransmit) fire_retransmit(now, i);
    if (kind == timer_kind::persist) fire_persist(now, i);
    if (kind == timer_kind::kick) fire_kick(now, i);
  }
  if (keepalive_due(c) <= now && !fire_keepalive(now, i)) return;
  schedule(i);
}

// RFC 9293 3.8.4: only while nothing is in flight and nothing else waits for the peer.
picos tcp_engine::impl::keepalive_due(const conn& c) const {
  if (!c.keepalive || c.timer != timer_kind::none || !c.synchronized() || c.kicking) return never;
  return c.heard + static_cast<picos>(c.keepalive_idle_s) * 1_s + c.keepalives * config.keepalive_interval;
}

bool tcp_engine::impl::fire_keepalive(picos now, index i) {
  conn& c = table.at(i);
  if (c.keepalives >= config.keepalive_probes) {
    end(i, tcp_env::change::aborted, US_ERR_TIMEOUT);
    return false;
  }
  // A connection that was busy until now: the probes do not come in one burst.
  if (c.keepalives == 0) c.heard = now - static_cast<picos>(c.keepalive_idle_s) * 1_s;
  ++c.keepalives;
  ++counters.keepalives;
  env.send({.connection = table.id(i), .seq = c.snd_una - 1, .kick = true});
  return true;
}

// RFC 6298 5.4 to 5.7, RFC 5681 3.1 (equation 4), RFC 6582 4.
void tcp_engine::impl::fire_retransmit(picos now, index i) {
  conn& c = table.at(i);
  ++counters.timeouts;
  ++c.timeouts;
  c.rtt_timing = false;
  if (c.state == US_TCP_SYN_SENT || c.state == US_TCP_SYN_RCVD) return send_syn(now, i, true);
  const std::uint32_t mss = c.effective_mss();
  if (c.retries == 1) control.reduce(c, c.snd_high.minus(c.snd_una));
  control.restart(c);
  c.cwnd = mss;
  c.recover = c.snd_high;
  c.in_recovery = false;
  c.dup_acks = 0;
  forget_board(c);  // RFC 2018 8: the peer may have dropped what it reported
  c.sack_from = c.snd_high;
  c.snd_nxt = c.snd_una;
  output(now, i);
}

// RFC 9293 3.8.6.1: a probe of one byte at a closed window, what fits at a narrow one (3.8.6.2.1).
void tcp_engine::impl::fire_persist(picos now, index i) {
  conn& c = table.at(i);
  const std::uint32_t pending = c.snd_end.after(c.snd_nxt) ? c.snd_end.minus(c.snd_nxt) : 0;
  const std::uint32_t fits = std::min({c.snd_wnd, pending, c.effective_mss()});
  if (fits) return transmit(now, i, fits, false);
  arm(now, i, timer_kind::persist, persist_delay(c.backoff));
  probe(i);
}

// The first kick is empty; a peer that limits answers to empty segments gets the byte or FIN at snd_una with
// the later ones. The second follows soon: the peer may have answered an empty one half a second ago, when
// another adapter took over, or the kick or its answer was lost.
void tcp_engine::impl::fire_kick(picos now, index i) {
  arm(now, i, timer_kind::kick, kick_delay(table.at(i)));
  probe(i);
}

picos tcp_engine::next_deadline() const {
  const std::uint64_t tick = impl_->wheel.next();
  return tick == timer_wheel::no_tick ? never : tick * impl::wheel_tick;
}

tcp_engine::served_timers tcp_engine::on_time(picos now, std::uint32_t most) {
  impl_->present(now);
  served_timers served;
  std::uint64_t tick = 0;
  while (served.entries < most) {
    const std::uint32_t i = impl_->wheel.pop(&tick);
    if (i == timer_wheel::none) break;
    ++served.entries;
    served.late += now - tick * impl::wheel_tick;
    impl_->fire(now, i);
  }
  return served;
}

void tcp_engine::expire_time_wait(picos now) {
  impl_->present(now);
  for (std::uint32_t i = 0; i < impl_->table.slots(); ++i)
    if (impl_->table.used(i) && impl_->table.at(i).state == US_TCP_TIME_WAIT)
      impl_->end(i, tcp_env::change::closed, US_OK);
}

}  // namespace understudy
