// Zero copy: receive buffers and send ranges in memory of the application.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "host_sw/driver/driver_core.h"
#include "host_sw/driver/restore.h"

namespace understudy::host {

namespace {
// One piece a send, however many ACKs it took, while the application does not ask.
void tell_sent(direct_memory& m, const sent_piece& piece) {
  if (!m.sent.empty() && !m.sent.back().done) m.sent.pop_back();
  m.sent.push_back(piece);
}
}  // namespace

// From now on what arrives is kept in order of the stream, whatever buffer it lies in.
direct_memory& driver_core::direct_of(connection& c) {
  if (!c.direct) {
    c.direct = std::make_unique<direct_memory>();
    if (c.unread) c.direct->arrived.push_back({false, {}, c.unread});
  }
  return *c.direct;
}

buffer_status driver_core::lend(connection& c, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie) {
  if (c.phase != conn_phase::open || c.fin_rx || c.aborting || !c.owned) return buffer_status::bad_state;
  if (c.on_adapter && !devices[current].has_memory_features()) return buffer_status::bad_state;
  if (bytes > largest_window - c.edge.minus(c.h_rcv)) return buffer_status::no_room;
  std::uint64_t where = 0;
  if (const buffer_status s = memory.lend_to_write(at, bytes, c.options.process, &where);
      s != buffer_status::ok)
    return s;
  const auto len = static_cast<std::uint32_t>(bytes);
  const buf_id id = buffers.lend(at, where, len);
  if (!id.valid()) {
    memory.return_written(at, bytes);
    return buffer_status::no_room;
  }
  direct_memory& m = direct_of(c);
  m.lent.push_back({id, at, len, 0, cookie, false});
  c.edge += len;
  if (c.on_adapter) post_lent(c, m.lent.back(), c.edge);
  return buffer_status::ok;
}

void driver_core::post_lent(connection& c, lent_range& r, seq32 edge) {
  const std::uint64_t at = buffers.find(r.id)->iova;
  r.posted = true;
  for (driver_observer* o : observers)
    o->on_post_buffer(current, r.id, iova{at + r.committed}, r.len - r.committed);
  us_idt_entry e = post_rx_descriptor(c, r.id, at, r.committed, r.len, edge);
  e.flags = US_RX_DIRECT;
  post(devices[current], e);
}

void driver_core::take_back(lent_range& r) {
  if (!std::exchange(r.posted, false)) return;
  for (driver_observer* o : observers) o->on_take_back(r.id);
}

// The front lent buffer is the application's again; `piece` is the last that it hears of it.
void driver_core::return_lent(connection& c) {
  lent_range& r = c.direct->lent.front();
  take_back(r);
  memory.return_written(r.cpu, r.len);
  buffers.give_back(r.id);
  c.direct->lent.pop_front();
}

void driver_core::return_all_lent(connection& c) {
  while (!c.direct->lent.empty()) {
    const lent_range r = c.direct->lent.front();
    return_lent(c);
    if (c.owned)
      c.direct->arrived.push_back({true, {r.cookie, r.cpu + r.committed, r.committed, 0, true}, 0});
  }
}

bool driver_core::take_received(connection& c, received_piece* out) {
  if (!c.direct || c.direct->arrived.empty() || !c.direct->arrived.front().direct) return false;
  *out = c.direct->arrived.front().piece;
  c.direct->arrived.pop_front();
  c.unread -= out->bytes;
  return true;
}

buffer_status driver_core::send_from(connection& c, const std::uint8_t* at, std::size_t bytes,
                                     std::uint64_t cookie) {
  if (c.phase != conn_phase::open || c.fin_tx || c.aborting) return buffer_status::bad_state;
  if (bytes > largest_window - c.h_post_end.minus(c.freed)) return buffer_status::no_room;
  std::uint64_t where = 0;
  if (const buffer_status s = memory.lend_to_read(at, bytes, c.options.process, &where);
      s != buffer_status::ok)
    return s;
  const seq32 from = c.h_post_end;
  const auto len = static_cast<std::uint32_t>(bytes);
  c.h_post_end += len;
  direct_of(c).sends.push_back({c.h_post_end, len, where, at, cookie, 0, at});
  if (c.on_adapter) post_send(c, from, c.h_post_end);
  if (config.mutants.free_before_ack) free_sent(c, c.h_post_end);
  return buffer_status::ok;
}

// The piece of the send stream that begins at `from`, wherever it lies.
send_range driver_core::send_piece(const connection& c, seq32 from, seq32 to) const {
  if (c.direct) {
    const ring_queue<direct_send>& sends = c.direct->sends;
    for (std::size_t i = sends.size(); i-- > 0;) {
      const direct_send& s = sends[i];
      if (s.end.before_eq(from)) break;
      const seq32 begin = s.end - s.len;
      if (begin.after(from)) {
        to = earlier(to, begin);
        continue;
      }
      const std::uint32_t offset = from.minus(begin);
      const std::uint32_t len = std::min(to.minus(from), s.len - offset);
      return {s.iova + offset, len, from + len, nullptr};
    }
  }
  return c.retained.piece(from, to);
}

// Acknowledged up to `below`: prefixes go back to the application.
void driver_core::return_sent(connection& c, seq32 below) {
  if (!c.direct) return;
  ring_queue<direct_send>& sends = c.direct->sends;
  bool progress = false;
  while (!sends.empty()) {
    direct_send& s = sends.front();
    const seq32 begin = s.end - s.len;
    if (below.before_eq(begin + s.acked)) break;
    progress = true;
    s.acked = earlier(below, s.end).minus(begin);
    const bool done = s.acked == s.len;
    return_lines(s, done);
    tell_sent(*c.direct, {s.cookie, s.acked, done, true});
    if (!done) break;
    sends.pop_front();
  }
  if (!progress || !user || !c.owned || c.ended) return;
  told_ = true;
  user->on_writable(c.handle);
}

void driver_core::return_lines(direct_send& s, bool done) {
  const std::uint8_t* const to = s.cpu + s.acked;
  const auto rest = reinterpret_cast<std::uintptr_t>(to) % app_memory::line;
  const std::uint8_t* const whole = done ? to : to - rest;
  if (whole <= s.lent_from) return;
  memory.return_read(s.lent_from, static_cast<std::size_t>(whole - s.lent_from));
  s.lent_from = whole;
}

// The connection is over: everything goes back.
void driver_core::return_direct(connection& c) {
  if (!c.direct) return;
  return_all_lent(c);
  ring_queue<direct_send>& sends = c.direct->sends;
  for (; !sends.empty(); sends.pop_front()) {
    direct_send& s = sends.front();
    const std::uint32_t acked = s.acked;
    s.acked = s.len;
    return_lines(s, true);
    if (c.owned) tell_sent(*c.direct, {s.cookie, acked, true, false});
  }
}

bool driver_core::take_sent(connection& c, sent_piece* out) {
  if (!c.direct || c.direct->sent.empty()) return false;
  *out = c.direct->sent.front();
  c.direct->sent.pop_front();
  return true;
}

}  // namespace understudy::host
