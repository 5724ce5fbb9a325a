// The TCP engine's face: listeners, the host's commands, restoring, looking.
#include "model/core/tcp_engine.h"

#include "model/core/tcp_impl.h"

namespace understudy {

namespace {
constexpr std::uint32_t half_space = 1u << 31;  // sequence comparisons hold below this distance
}

tcp_engine::tcp_engine(const tcp_config& config, tcp_env& env) : impl_(std::make_unique<impl>(config, env)) {}
tcp_engine::~tcp_engine() = default;

void tcp_engine::set_secret(const std::uint32_t (&key)[4]) {
  impl_->table.set_key(
      {static_cast<std::uint64_t>(key[1]) << 32 | key[0], static_cast<std::uint64_t>(key[3]) << 32 | key[2]});
}

void tcp_engine::set_clock(picos now, std::uint32_t clock_ms) {
  impl_->clock_origin = now;
  impl_->clock_at_origin = clock_ms;
}

// ------------------------------------------------------------------------------------------------
// connections

tcp_engine::impl::listener* tcp_engine::impl::find_listener(const four_tuple& t) {
  ++work;
  const auto l = listeners.find({t.local, t.local_port});
  return l == listeners.end() ? nullptr : &l->second;
}

// RFC 6528: a 4 microsecond clock plus a keyed hash. The clock is the host's, so that a substitute continues
// it. RFC 9293 3.6.1: a connection that takes the place of a TIME_WAIT begins behind all that was sent,
// however fast that was.
seq32 tcp_engine::impl::fresh_iss(picos now, const four_tuple& t, std::optional<seq32> used) const {
  if (config.mutants.reuse_isn) return seq32{1000};
  const picos since = now - clock_origin;
  const auto ticks = static_cast<std::uint32_t>(clock_at_origin * 250ull + since / 4_us);
  const seq32 iss{config.iss ? *config.iss : ticks + static_cast<std::uint32_t>(table.hash(t, 1))};
  return used ? later(iss, *used) : iss;
}

void tcp_engine::impl::begin(conn& c, std::uint8_t addr_index, std::uint8_t conn_bits, seq32 iss) {
  c.addr_index = addr_index;
  c.conn = conn_bits;
  c.ts_offset = static_cast<std::uint32_t>(table.hash(c.tuple, 2));
  c.mss = our_mss(c);
  c.rcv_mss = std::min<std::uint16_t>(536, our_mss(c));
  c.iss = iss;
  c.snd_una = c.recover = c.sack_from = iss;
  c.snd_nxt = c.snd_high = c.snd_max = c.snd_end = iss + 1;
  c.ssthresh = 1u << 30;
  c.nagle = config.nagle;
  c.keepalive = config.keepalive;
  c.keepalive_idle_s = static_cast<std::uint16_t>(config.keepalive_idle / 1_s);
  c.rto_us = static_cast<std::uint32_t>(config.rto_initial / 1_us);
}

void tcp_engine::impl::offer_options(conn& c) const {
  if (config.timestamps) c.conn |= US_CONN_TS;
  if (config.sack) c.conn |= US_CONN_SACK;
  if (config.ecn) c.conn |= US_CONN_ECN;
  if (!config.window_scaling) return;
  c.conn |= US_CONN_WS;
  c.our_wscale = config.wscale;
}

void tcp_engine::impl::make_room(picos now, listener& l) {
  while (!l.handshakes.empty()) {
    ++work;
    const index i = table.find(l.handshakes.front().id);
    const bool waits = i != none && table.at(i).state == US_TCP_SYN_RCVD;
    if (waits && now - l.handshakes.front().since < config.rto_min) return;
    l.handshakes.drop_front();
    if (waits) return end(i, tcp_env::change::aborted, US_ERR_TIMEOUT);
  }
}

void tcp_engine::impl::enter_half_open(picos now, listener& l, cid c) {
  ++l.half_open;
  l.handshakes.push_back({c, now});
  if (l.handshakes.size() <= 2 * std::size_t{l.backlog}) return;
  work += l.handshakes.size();
  for (std::size_t n = l.handshakes.size(); n > 0; --n) {  // forget those that are over
    const listener::handshake h = l.handshakes.pop_front();
    const index i = table.find(h.id);
    if (i != none && table.at(i).state == US_TCP_SYN_RCVD) l.handshakes.push_back(h);
  }
}

void tcp_engine::impl::leave_half_open(const conn& c) {
  if (!(c.conn & US_CONN_PASSIVE) || c.restored) return;
  const auto l = listeners.find({c.tuple.local, c.tuple.local_port});
  if (l == listeners.end()) return;
  --l->second.half_open;
  drop_closed(l->first);
}

void tcp_engine::impl::leave_backlog(conn& c) {
  if (!std::exchange(c.unannounced, false)) return;
  const auto l = listeners.find({c.tuple.local, c.tuple.local_port});
  if (l == listeners.end()) return;
  --l->second.unannounced;
  drop_closed(l->first);
}

void tcp_engine::impl::drop_closed(std::pair<ip_address, std::uint16_t> at) {
  const auto l = listeners.find(at);
  if (!l->second.open && !l->second.half_open && !l->second.unannounced) listeners.erase(l);
}

// RFC 9293 3.6.1 lets a TIME_WAIT be cut short where numbers cannot be mistaken; a table that is full of them
// would refuse every peer for minutes.
tcp_engine::impl::index tcp_engine::impl::take(const four_tuple& t) {
  while (table.full() && !time_waits.empty()) {
    ++work;
    const index i = table.find(time_waits.pop_front());
    if (i == none || table.at(i).state != US_TCP_TIME_WAIT) continue;
    ++counters.recycled_time_waits;
    end(i, tcp_env::change::closed, US_OK);
  }
  return table.take(t);
}

void tcp_engine::impl::end(index i, tcp_env::change what, us_status status) {
  conn& c = table.at(i);
  if (c.state == US_TCP_SYN_RCVD) leave_half_open(c);
  leave_backlog(c);
  c.state = US_TCP_CLOSED;
  disarm(c);
  c.ack_deadline = 0;
  env.changed(id(c, i), what, status);
  wheel.cancel(i);
  reassembly.clear(c.ooo);
  reports.give(c.report);
  boards.give(c.board);
  table.release(i);
}

// ------------------------------------------------------------------------------------------------ commands

bool tcp_engine::listen(const ip_address& local, std::uint16_t port, std::uint8_t addr_index,
                        std::uint32_t backlog, std::uint8_t conn, const listen_terms& terms) {
  impl::listener& l = impl_->listeners[{local, port}];
  if (l.open) return false;
  l.open = true;
  l.addr_index = addr_index;
  l.conn = conn;
  l.backlog = backlog;
  l.terms = terms;
  return true;
}

bool tcp_engine::unlisten(const ip_address& local, std::uint16_t port) {
  const auto l = impl_->listeners.find({local, port});
  if (l == impl_->listeners.end() || !l->second.open) return false;
  l->second.open = false;
  impl_->drop_closed(l->first);
  return true;
}

cid tcp_engine::connect(picos now, const four_tuple& t, std::uint8_t addr_index, seq32 iss,
                        std::uint8_t conn) {
  impl& m = *impl_;
  m.present(now);
  if (!t.remote.is_station() || m.table.find(t) != impl::none) return {};
  const std::uint32_t i = m.take(t);
  if (i == impl::none) return {};
  tcp_connection& c = m.table.at(i);
  m.begin(c, addr_index, conn & US_CONN_PROTECTED, m.config.mutants.reuse_isn ? seq32{1000} : iss);
  m.offer_options(c);
  c.state = US_TCP_SYN_SENT;
  m.send_syn(now, i, false);
  return m.id(c, i);
}

us_status tcp_engine::post_send(picos now, cid id, seq32 end) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return US_ERR_BAD_CID;
  tcp_connection& c = m.table.at(i);
  if (end.before_eq(c.snd_una)) return c.restored ? US_OK : US_ERR_BAD_SEQUENCE;
  if (!end.after(c.snd_end) || end.minus(c.snd_una) >= half_space / 2) return US_ERR_BAD_SEQUENCE;
  if (c.fin_posted && end.after(c.fin_seq)) return US_ERR_BAD_STATE;
  c.snd_end = end;
  m.output(now, i);
  return US_OK;
}

us_status tcp_engine::post_fin(picos now, cid id, seq32 end) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return US_ERR_BAD_CID;
  tcp_connection& c = m.table.at(i);
  if (c.fin_posted)
    return !c.restored ? US_ERR_BAD_STATE : end == c.fin_seq + 1 ? US_OK : US_ERR_BAD_SEQUENCE;
  if (end - 1 != c.snd_end) return US_ERR_BAD_SEQUENCE;
  c.fin_posted = true;
  c.fin_seq = c.snd_end;
  if (c.state == US_TCP_ESTABLISHED) c.state = US_TCP_FIN_WAIT_1;
  // As long as the peer's FIN is not committed, ours crosses it unacknowledged: a simultaneous close.
  if (c.state == US_TCP_CLOSE_WAIT) c.state = m.ackable(c) == c.rcv_nxt ? US_TCP_LAST_ACK : US_TCP_CLOSING;
  m.output(now, i);
  return US_OK;
}

us_status tcp_engine::grant(picos now, cid id, seq32 edge) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return US_ERR_BAD_CID;
  tcp_connection& c = m.table.at(i);
  if (c.state == US_TCP_SYN_SENT) return US_ERR_BAD_STATE;
  if (!edge.after(c.rcv_grant)) return US_OK;
  if (edge.minus(c.rcv_nxt) >= half_space / 2) return US_ERR_BAD_SEQUENCE;
  c.rcv_grant = edge;
  m.decide_ack(now, i);
  return US_OK;
}

us_status tcp_engine::abort(picos now, cid id) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return US_ERR_BAD_CID;
  const tcp_connection& c = m.table.at(i);
  if (c.state != US_TCP_SYN_SENT && c.state != US_TCP_TIME_WAIT && m.may_ack(c)) {
    segment r;
    r.tuple = c.tuple;
    r.seq = c.snd_high;
    r.ack = m.ackable(c);
    r.flags = tcp_rst | tcp_ack;
    ++m.counters.resets_sent;
    m.env.send_raw(r);
  }
  m.end(i, tcp_env::change::aborted, US_ERR_ABORTED);
  return US_OK;
}

us_status tcp_engine::set_options(picos now, cid id, const tcp_socket_options& o) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return US_ERR_BAD_CID;
  tcp_connection& c = m.table.at(i);
  c.nagle = o.nagle;
  c.keepalive = o.keepalive;
  c.keepalives = 0;
  c.keepalive_idle_s =
      o.keepalive_idle_s ? o.keepalive_idle_s : static_cast<std::uint16_t>(m.config.keepalive_idle / 1_s);
  c.heard = now;
  m.schedule(i);
  m.output(now, i);
  return US_OK;
}

// ------------------------------------------------------------------------------------------------ restoring

us_status tcp_engine::restore(picos now, cid id, const tcp_hard_state& h) {
  impl& m = *impl_;
  m.present(now);
  if (h.state < US_TCP_SYN_SENT || h.state > US_TCP_TIME_WAIT) return US_ERR_BAD_STATE;
  if (h.snd_max.before(h.snd_una) || h.our_wscale > 14 || h.peer_wscale > 14) return US_ERR_BAD_SEQUENCE;
  if (!id.valid() || id.index() >= m.config.max_connections) return US_ERR_BAD_CID;
  if (m.table.find(h.tuple) != impl::none) return US_ERR_IN_USE;
  const std::uint32_t i = m.table.take(h.tuple, id);
  if (i == impl::none) return US_ERR_IN_USE;
  tcp_connection& c = m.table.at(i);
  const bool handshake = h.state == US_TCP_SYN_SENT || h.state == US_TCP_SYN_RCVD;
  m.begin(c, h.addr_index, h.conn, h.iss);
  c.state = h.state;
  c.our_wscale = h.our_wscale;
  c.peer_wscale = h.peer_wscale;
  c.mss = std::clamp(h.mss, m.config.least_mss, m.our_mss(c));
  if (h.state == US_TCP_SYN_SENT)
    m.offer_options(c);  // the peer may have seen the same offer from the old adapter
  c.cwnd = m.initial_window(c);
  c.restored = true;
  c.heard = now;
  c.kicking = true;
  c.rcv_nxt = c.rcv_committed = c.rcv_grant = c.gap_below = h.rcv_nxt;
  c.rcv_adv = later(h.rcv_adv, h.rcv_nxt);
  c.peer_syn_committed = h.state != US_TCP_SYN_SENT;
  c.last_ack_sent = h.state == US_TCP_SYN_RCVD ? h.rcv_nxt - 1 : h.rcv_nxt;
  c.fin_accepted = h.fin_rx;
  c.snd_una = h.snd_una;
  c.snd_max = m.config.mutants.snd_max_reset ? h.snd_una : h.snd_max;
  c.snd_nxt = c.snd_high = h.snd_una;
  c.snd_end = handshake ? h.iss + 1 : h.snd_una;
  if (handshake) {
    c.snd_una = c.recover = h.iss;
    c.snd_nxt = c.snd_high = h.iss + 1;
    c.snd_max = later(c.snd_max, c.snd_high);
  } else {
    c.recover = h.snd_una - 1;
    c.sack_from = h.snd_max;
    c.ecn_until = h.snd_una;
  }
  if (h.fin_tx) {
    c.fin_posted = true;
    c.fin_seq = h.snd_max - 1;
    c.snd_end = earlier(c.snd_end, c.fin_seq);
  }
  return US_OK;
}

void tcp_engine::announced(cid id) {
  const std::uint32_t i = impl_->table.find(id);
  if (i != impl::none) impl_->leave_backlog(impl_->table.at(i));
}

void tcp_engine::offer(std::uint32_t bytes) {
  impl_->offered = std::min(bytes, 65535u);
}

void tcp_engine::kick_restored(picos now) {
  impl& m = *impl_;
  m.present(now);
  for (std::uint32_t i = 0; i < m.table.slots(); ++i) {
    if (!m.table.used(i)) continue;
    tcp_connection& c = m.table.at(i);
    if (!c.kicking || c.timer != timer_kind::none) continue;
    const bool closing = c.fin_acked() && (c.state == US_TCP_CLOSING || c.state == US_TCP_LAST_ACK);
    if (closing || c.state == US_TCP_TIME_WAIT) c.kicking = false;
    if (c.fin_acked() && !m.fin_acked_input(now, i)) continue;
    if (closing) continue;
    if (c.state == US_TCP_TIME_WAIT) {
      m.arm(now, i, timer_kind::time_wait, 2 * m.config.msl);
      m.time_waits.push_back(m.id(c, i));
    } else if (c.state == US_TCP_SYN_SENT || c.state == US_TCP_SYN_RCVD) {
      c.kicking = false;
      m.send_syn(now, i, true);
    } else {
      m.arm(now, i, timer_kind::kick, m.kick_delay(c));
      m.kick(i);
    }
  }
}

void tcp_engine::on_committed(picos now, cid id, seq32 rcv_nxt) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(id);
  if (i == impl::none) return;
  tcp_connection& c = m.table.at(i);
  c.cookie = false;
  if (c.state == US_TCP_SYN_SENT || !rcv_nxt.after(c.rcv_committed) || rcv_nxt.after(c.rcv_nxt)) return;
  c.rcv_committed = rcv_nxt;
  const bool first = !std::exchange(c.peer_syn_committed, true);
  if (!c.is_protected() || m.config.mutants.ack_before_commit) return;
  if (c.state == US_TCP_SYN_RCVD) {
    if (first) m.send_syn(now, i, false);
    return;
  }
  if (first) m.request_ack(i);
  m.decide_ack(now, i);
  if (first) m.output(now, i);
}

// ------------------------------------------------------------------------------------------------ looking

bool tcp_engine::known(cid c) const {
  return impl_->table.find(c) != impl::none;
}

const tcp_connection& tcp_engine::fields(cid id) const {
  return impl_->table.at(impl_->table.find(id));
}

tcp_view tcp_engine::view(cid id) const {
  const tcp_connection& c = impl_->table.at(impl_->table.find(id));
  tcp_view v;
  v.hard = {.tuple = c.tuple,
            .state = c.state,
            .conn = c.conn,
            .addr_index = c.addr_index,
            .our_wscale = c.our_wscale,
            .peer_wscale = c.peer_wscale,
            .mss = c.mss,
            .iss = c.iss,
            .rcv_nxt = c.rcv_nxt,
            .snd_una = c.snd_una,
            .snd_max = c.snd_max,
            .rcv_adv = c.rcv_adv,
            .fin_tx = c.fin_posted,
            .fin_rx = c.fin_accepted};
  v.rcv_committed = c.rcv_committed;
  v.snd_nxt = c.snd_nxt;
  v.last_ack_sent = c.last_ack_sent;
  v.snd_wnd = c.snd_wnd;
  v.cwnd = c.cwnd;
  v.ssthresh = c.ssthresh;
  v.srtt = static_cast<picos>(c.srtt_us) * 1_us;
  v.rto = impl_->retransmission_delay(c);
  v.retransmitted_segments = c.retransmitted;
  v.timeouts = c.timeouts;
  v.cookie = c.cookie;
  v.host_must_know = !impl_->may_ack(c);
  v.reassembly_bytes = c.ooo.bytes;
  if (c.board) v.sacked_bytes = impl_->boards[c.board].held.bytes_within(c.snd_una, c.snd_max);
  v.in_recovery = c.in_recovery;
  v.largest_segment = c.largest_segment();
  return v;
}

cid tcp_engine::find(const four_tuple& t) const {
  return find(t, key_of(t));
}

cid tcp_engine::find(const four_tuple& t, std::uint64_t key) const {
  const std::uint32_t i = impl_->table.find(t, key);
  return i == impl::none ? cid{} : impl_->table.id(i);
}

std::uint64_t tcp_engine::key_of(const four_tuple& t) const {
  return impl_->table.hash(t, 0);
}

std::uint32_t tcp_engine::connections() const {
  return impl_->table.size();
}
std::uint32_t tcp_engine::listeners() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(impl_->listeners, [](const auto& l) { return l.second.open; }));
}
const tcp_counters& tcp_engine::counters() const {
  return impl_->counters;
}

}  // namespace understudy
