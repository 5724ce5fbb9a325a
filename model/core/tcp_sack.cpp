// Selective acknowledgment: blocks that we report (RFC 2018), and recovery by the peer's (RFC 6675).
#include "model/core/tcp_impl.h"

namespace understudy {

namespace {
constexpr std::uint32_t dup_thresh = 3;  // RFC 6675 2
}

// ------------------------------------------------------------------------------------------------ receiver

// [left, right) is in the reassembly queue.
void tcp_engine::impl::note_held(conn& c, seq32 left, seq32 right) {
  if (!c.has_sack()) return;
  if (!c.report) c.report = reports.take();
  sack_report& r = reports[c.report];
  r.held.add(left, right);
  work += r.held.size();
  r.known = std::min<std::uint32_t>(r.known + 1, static_cast<std::uint32_t>(r.recent.size()));
  std::move_backward(r.recent.begin(), r.recent.begin() + r.known - 1, r.recent.begin() + r.known);
  r.recent[0] = left;
}

// Everything before rcv_nxt has left the queue.
void tcp_engine::impl::trim_held(conn& c) {
  if (!c.report) return;
  sack_report& r = reports[c.report];
  work += r.held.size();
  r.held.trim(c.rcv_nxt);
  if (r.held.empty()) reports.give(c.report);
}

// Blocks for a segment that has `room` bytes for the option: the island of the newest arrival first, then
// those touched before it.
void tcp_engine::impl::report_held(const conn& c, std::uint32_t room, tcp_options& out) const {
  // While bytes in order wait for their commit, blocks above them would blame the wrong segments.
  if (!c.report || ackable(c) != c.rcv_nxt || room < 12) return;
  const sack_report& r = reports[c.report];
  const std::uint32_t most = std::min<std::uint32_t>(out.has_ts ? 3 : 4, (room - 4) / 8);
  const auto add = [&](const range_set::range& island) {
    for (std::uint32_t n = 0; n < out.sack_count; ++n)
      if (out.sack[n].left == island.left) return;
    if (out.sack_count < most) out.sack[out.sack_count++] = {island.left, island.right};
  };
  for (std::uint32_t n = 0; n < r.known; ++n) {
    const range_set::range* island = r.held.ending_after(r.recent[n]);
    if (island && island->left.before_eq(r.recent[n])) add(*island);
  }
  for (std::uint32_t n = 0; n < r.held.size() && out.sack_count < most; ++n) add(r.held[n]);
}

// ------------------------------------------------------------------------------------------------ sender

// Take the peer's blocks to the board. True: it holds bytes that it was not known to hold. Blocks that cannot
// be true, and duplicate reports (RFC 2883), say nothing.
bool tcp_engine::impl::sack_input(conn& c, const segment& s) {
  bool news = false;
  for (std::uint32_t n = 0; n < s.options.sack_count; ++n) {
    const seq32 left = s.options.sack[n].left, right = s.options.sack[n].right;
    if (!left.after(c.snd_una) || !left.before(right) || right.after(c.snd_max)) continue;
    if (!c.board) {
      c.board = boards.take();
      boards[c.board].high_rxt = c.snd_una;
    }
    range_set& held = boards[c.board].held;
    work += 2 * held.size() + 2;
    const std::uint32_t before = held.bytes_within(left, right);
    if (before == right.minus(left)) continue;
    held.add(left, right);
    news = true;
  }
  return news;
}

// snd_una has moved. A block that begins there is no more one: either its bytes are about to be acknowledged,
// or the peer has dropped them, as it may, above all when it was replaced by a substitute (RFC 2018 8). True:
// one was there.
bool tcp_engine::impl::trim_board(conn& c) {
  if (!c.board) return false;
  sack_board& b = boards[c.board];
  work += b.held.size();
  b.held.trim(c.snd_una);
  bool reneged = false;
  if (!b.held.empty() && b.held.front().left == c.snd_una) {
    b.high_rxt = later(b.high_rxt, b.held.front().right);
    b.held.pop_front();
    reneged = true;
  }
  if (b.held.empty() && !c.sack_recovery) boards.give(c.board);
  return reneged;
}

// IsLost() of RFC 6675 4: numbers before this one that the peer does not hold count as lost.
seq32 tcp_engine::impl::lost_below(const conn& c) const {
  const range_set& held = boards[c.board].held;
  std::uint32_t bytes = 0;
  for (std::uint32_t n = held.size(); n-- > 0;) {
    bytes += held[n].size();
    if (held.size() - n >= dup_thresh || bytes > (dup_thresh - 1) * c.effective_mss()) return held[n].left;
  }
  return c.snd_una;
}

// SetPipe() of RFC 6675 4: bytes that are in flight.
std::uint32_t tcp_engine::impl::pipe(const conn& c, seq32 lost) const {
  const sack_board& b = boards[c.board];
  const auto open = [&](seq32 from, seq32 to) {
    return to.after(from) ? to.minus(from) - b.held.bytes_within(from, to) : 0;
  };
  return open(later(lost, c.snd_una), c.snd_high) + open(c.snd_una, earlier(b.high_rxt, c.snd_high));
}

void tcp_engine::impl::enter_sack_recovery(index i) {
  conn& c = table.at(i);
  sack_board& b = boards[c.board];
  c.sack_recovery = true;
  const std::uint32_t n = retransmit(i, c.snd_una, b.held.empty() ? c.snd_high : b.held.front().left);
  b.high_rxt = b.rescue = c.snd_una + n;
}

// RFC 6675 5, step C, with NextSeg() of section 4.
void tcp_engine::impl::sack_output(picos now, index i) {
  conn& c = table.at(i);
  const std::uint32_t mss = c.effective_mss();
  const seq32 lost = lost_below(c);
  std::uint32_t in_flight = pipe(c, lost);
  work += 3 * boards[c.board].held.size();
  while (c.cwnd >= in_flight + mss) {
    sack_board& b = boards[c.board];
    // The first hole below the highest block that was not sent again yet.
    seq32 at = later(b.high_rxt, c.snd_una);
    const range_set::range* next = b.held.ending_after(at);
    while (next && next->left.before_eq(at)) {
      at = next->right;
      next = b.held.ending_after(at);
    }
    const seq32 end = next ? next->left : at;
    const bool hole_is_lost = next && at.before(lost);
    std::uint32_t sent = hole_is_lost ? 0 : send_next(now, i, c.cwnd - in_flight);
    if (next && !sent) {
      sent = retransmit(i, at, end);
      b.high_rxt = at + sent;
    } else if (!sent && c.snd_una.after(b.rescue)) {
      const seq32 top = b.held.empty() ? c.snd_una : b.held.back().right;
      const seq32 first = later(top, c.snd_high - mss);
      b.rescue = c.recover;
      if (first.before(c.snd_high)) sent = retransmit(i, first, c.snd_high);
    }
    if (!sent) return;
    in_flight += sent;
  }
}

// After a time-out or on a substitute everything is sent again from snd_una on: not what the peer holds. The
// bytes that may be sent from snd_nxt up to the next block.
std::uint32_t tcp_engine::impl::skip_held(conn& c) {
  constexpr std::uint32_t unlimited = 0xffffffff;
  if (!c.board) return unlimited;
  const range_set& held = boards[c.board].held;
  const range_set::range* r = held.ending_after(c.snd_nxt);
  if (r && r->left.before_eq(c.snd_nxt) && r->right.before_eq(c.stream_end())) {
    c.snd_nxt = r->right;
    c.snd_high = later(c.snd_high, c.snd_nxt);
    r = held.ending_after(c.snd_nxt);
  }
  return r && r->left.after(c.snd_nxt) ? r->left.minus(c.snd_nxt) : unlimited;
}

}  // namespace understudy
