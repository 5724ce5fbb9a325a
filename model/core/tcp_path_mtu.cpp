// Path MTU discovery by ICMP (RFC 1191, RFC 8201): which messages are believed (RFC 5927), what the segments
// shrink to, and when that is forgotten.
#include "model/core/icmp_error.h"
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {

constexpr std::uint32_t least_ipv6_mtu = 1280;  // RFC 8200 5
// Reductions in a row. A path has few bottlenecks: the last one goes to the floor, so that ever smaller MTUs
// cost bounded work and a path that really has them is not blocked by the limit.
constexpr std::uint8_t most_path_cuts = 8;
// Segments that go out at once: the peer acknowledges the second without delay (RFC 5681 4.2), and only then
// the others follow (RFC 1191 6.4, RFC 8201 5.4).
constexpr std::uint32_t segments_at_once = 2;
constexpr std::uint16_t path_life_s = 600;  // RFC 1191 6.3, RFC 8201 5.3

std::uint16_t seconds(picos now) {
  return static_cast<std::uint16_t>(now / 1_s);
}

}  // namespace

void tcp_engine::on_packet_too_big(picos now, const four_tuple& t, seq32 seq, std::uint32_t mtu) {
  impl& m = *impl_;
  m.present(now);
  const std::uint32_t i = m.table.find(t);
  if (i == impl::none || !m.shorten_segments(now, i, seq, mtu)) ++m.counters.packet_too_big_ignored;
}

// The segment size that a message claims; 0: no size below the present one.
std::uint16_t tcp_engine::impl::claimed_mss(const conn& c, std::uint32_t mtu) const {
  const bool v4 = c.tuple.local.is_v4();
  if (mtu < (v4 ? least_ipv4_mtu : least_ipv6_mtu)) return 0;  // no link has it (RFC 8201 4)
  const std::uint32_t headers = v4 ? 40 : 60;
  const std::uint32_t floor = v4 ? config.least_mss : least_ipv6_mtu - headers;
  const bool last = c.path_cuts + 1 >= most_path_cuts;
  const std::uint32_t claimed = last || mtu < floor + headers ? floor : mtu - headers;
  return claimed < c.largest_segment() ? static_cast<std::uint16_t>(claimed) : std::uint16_t{0};
}

// True: the message is believed and the segments are smaller from now on. It must quote what is in flight
// (RFC 5927 4.1). Of a window's many messages the first one lowers the size; those after it claim no less.
bool tcp_engine::impl::shorten_segments(picos now, index i, seq32 seq, std::uint32_t mtu) {
  conn& c = table.at(i);
  if (!c.synchronized() || c.kicking || seq.before(c.snd_una) || !seq.before(c.snd_high)) return false;
  const std::uint16_t mss = claimed_mss(c, mtu);
  if (!mss) return false;
  c.path_mss = mss;
  c.path_since_s = seconds(now);
  ++c.path_cuts;
  ++counters.path_mtu_reduced;
  control.idle(c);  // growth that counts in segments begins anew
  send_shorter(now, i);
  return true;
}

// Everything from snd_una on goes out again, except what the peer reports to hold. No sign of congestion: the
// window stays. That recovery is over, and no duplicate ACK for what was sent before is evidence of loss.
void tcp_engine::impl::send_shorter(picos now, index i) {
  conn& c = table.at(i);
  c.rtt_timing = false;
  if (std::exchange(c.in_recovery, false)) c.cwnd = std::max(std::min(c.cwnd, c.ssthresh), c.effective_mss());
  c.sack_recovery = false;
  if (c.board && boards[c.board].held.empty()) boards.give(c.board);
  c.dup_acks = 0;
  c.recover = c.sack_from = c.snd_high;
  c.snd_nxt = c.snd_una;
  if (c.timer == timer_kind::retransmit) arm(now, i, timer_kind::retransmit, retransmission_delay(c));
  output(now, i, segments_at_once);
}

// The peer has acknowledged something. A path MTU that is old is forgotten: the path may have become wider.
void tcp_engine::impl::forget_old_path(picos now, conn& c) const {
  if (!c.path_mss || static_cast<std::uint16_t>(seconds(now) - c.path_since_s) < path_life_s) return;
  c.path_mss = 0;
  c.path_cuts = 0;
  control.idle(c);
  // One segment and two at least (RFC 5681 3.1): a loss may have left as many small ones.
  c.cwnd = std::max(c.cwnd, c.effective_mss());
  c.ssthresh = std::max(c.ssthresh, 2 * c.effective_mss());
}

}  // namespace understudy
