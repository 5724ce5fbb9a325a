// SYN cookies: a handshake that needs no memory, for floods and for US_COMMIT_BEFORE_DATA_ACK (RFC 4987 3.6).
// The initial sequence number holds 8 bits of time slot and 24 bits in which a keyed hash hides the peer's
// MSS; the low bits of TSval hold the peer's other options, which come back as TSecr: in the SYN-ACK, and in
// every segment of a protected connection before the host has a record of it. Key and clock are the host's,
// so that a substitute reads what another adapter wrote. What does not fit is not offered: without timestamps
// neither window scale nor SACK nor ECN.
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {

constexpr std::uint16_t mss_steps[] = {216, 536, 1220, 1380, 1440, 1460, 4396, 8960};
constexpr std::uint32_t data_mask = (1u << 24) - 1;
constexpr std::uint32_t option_mask = 63;
constexpr std::uint32_t wscale_mask = 15, no_wscale = 15, sack_bit = 16, ecn_bit = 32;

std::uint32_t step_of(std::uint16_t mss) {
  std::uint32_t n = 0;
  while (n + 1 < std::size(mss_steps) && mss_steps[n + 1] <= mss) ++n;
  return n;
}

}  // namespace

std::uint32_t tcp_engine::impl::cookie_hash(const four_tuple& t, std::uint32_t slot) const {
  return static_cast<std::uint32_t>(table.hash(t, std::uint64_t{slot} << 8 | 4));
}

seq32 tcp_engine::impl::cookie_iss(picos now, const four_tuple& t, seq32 irs, std::uint16_t mss) const {
  const std::uint32_t slot = clock_ms(now) >> cookie_slot_bits;
  const std::uint32_t inner = cookie_hash(t, slot) + step_of(mss);
  return irs + static_cast<std::uint32_t>(table.hash(t, 3)) + (slot << 24) + (inner & data_mask);
}

// The MSS in the cookie that `s`, a peer's first segment after its SYN, acknowledges; nothing: it is none.
std::optional<std::uint16_t> tcp_engine::impl::cookie_mss(picos now, const segment& s) const {
  const std::uint32_t rest =
      (s.ack - 1).minus(s.seq - 1) - static_cast<std::uint32_t>(table.hash(s.tuple, 3));
  const std::uint32_t slot = clock_ms(now) >> cookie_slot_bits;
  const std::uint32_t age = (slot - (rest >> 24)) & 0xff;
  if (age > 1) return {};
  const std::uint32_t step = (rest - cookie_hash(s.tuple, slot - age)) & data_mask;
  if (step >= std::size(mss_steps)) return {};
  return mss_steps[step];
}

// The newest TSval at or before the present one whose low bits hold the options.
std::uint32_t tcp_engine::impl::cookie_tsval(picos now, const conn& c) const {
  const std::uint32_t options = (c.conn & US_CONN_WS ? c.peer_wscale : no_wscale) |
                                (c.has_sack() ? sack_bit : 0) | (c.has_ecn() ? ecn_bit : 0);
  const std::uint32_t latest = tsval(now, c);
  const std::uint32_t t = (latest & ~option_mask) | options;
  return ts_before(latest, t) ? t - (option_mask + 1) : t;
}

// Keep of the options agreed what a cookie can tell.
void tcp_engine::impl::restrict_to_cookie(conn& c) const {
  c.cookie = true;
  c.mss = std::min(c.mss, std::max(config.least_mss, mss_steps[step_of(c.mss)]));
  if (c.has_ts()) return;
  c.conn &= static_cast<std::uint8_t>(~(US_CONN_WS | US_CONN_SACK | US_CONN_ECN));
  c.our_wscale = c.peer_wscale = 0;
}

// Answer a SYN and forget it.
void tcp_engine::impl::send_cookie(picos now, const segment& s, listener& l) {
  if (!offered) {
    ++counters.refused_syns;
    return;
  }
  conn c;
  c.tuple = s.tuple;
  begin(c, 0, US_CONN_PASSIVE, seq32{});
  offer_options(c);
  agree_options(c, s);
  restrict_to_cookie(c);
  segment out;
  out.tuple = s.tuple;
  out.seq = cookie_iss(now, s.tuple, s.seq, c.mss);
  out.ack = s.seq + 1;
  out.flags = tcp_syn | tcp_ack;
  out.window = static_cast<std::uint16_t>(offered);
  out.options.mss = our_mss(c);
  if (c.conn & US_CONN_WS) out.options.wscale = static_cast<std::int8_t>(c.our_wscale);
  out.options.sack_permitted = c.has_sack();
  if (c.has_ecn()) out.flags |= tcp_ece;
  if (c.has_ts()) {
    out.options.has_ts = true;
    out.options.tsval = cookie_tsval(now, c);
    out.options.tsecr = s.options.tsval;
  }
  l.terms.cookies_until = now + cookie_life;
  ++counters.cookies_sent;
  ++counters.segments_out;
  env.send_raw(out);
}

// `s` answers a cookie: make the connection that it tells of. False: there is no room for it now; the peer
// will say more.
bool tcp_engine::impl::take_cookie(picos now, const segment& s, std::uint8_t addr_index, listener& l) {
  if (!offered || l.unannounced + l.half_open >= 2 * l.backlog) return false;
  const std::uint16_t mss = *cookie_mss(now, s);
  const index i = take(s.tuple);
  if (i == none) return false;
  ++counters.cookies_taken;
  conn& c = table.at(i);
  enter_half_open(now, l, id(c, i));
  begin(c, addr_index, static_cast<std::uint8_t>((l.conn & US_CONN_PROTECTED) | US_CONN_PASSIVE), s.ack - 1);
  offer_options(c);
  c.cookie = true;
  c.mss = std::clamp(mss, config.least_mss, our_mss(c));
  const auto drop = [&c](std::uint32_t bit) { c.conn &= static_cast<std::uint8_t>(~bit); };
  const std::uint32_t told = s.options.has_ts && c.has_ts() ? s.options.tsecr & option_mask : no_wscale;
  if (!s.options.has_ts || !c.has_ts()) {
    drop(US_CONN_TS);
  } else {
    c.ts_recent = s.options.tsval;
    c.ts_recent_ms = clock_ms(now);
    c.ts_valid = true;
  }
  if ((told & wscale_mask) == no_wscale || !(c.conn & US_CONN_WS)) {
    drop(US_CONN_WS);
    c.our_wscale = 0;
  } else {
    c.peer_wscale = static_cast<std::uint8_t>(told & wscale_mask);
  }
  if (!(told & sack_bit)) drop(US_CONN_SACK);
  if (!(told & ecn_bit)) drop(US_CONN_ECN);
  c.cwnd = initial_window(c);
  c.state = US_TCP_SYN_RCVD;
  c.peer_syn_committed = l.terms.commit != US_COMMIT_BEFORE_SYNACK;
  c.rcv_nxt = c.rcv_grant = s.seq;
  c.rcv_adv = s.seq + offered;
  c.rcv_committed = c.peer_syn_committed ? s.seq : s.seq - 1;
  c.last_ack_sent = s.seq - 1;
  arm(now, i, timer_kind::retransmit, retransmission_delay(c));
  env.changed(id(c, i), tcp_env::change::embryo, US_OK);
  return true;
}

}  // namespace understudy
