// Where received payload goes: which buffer it is given, what waits for one of its application, and what is
// held back to be handed over in bulk.
#include <algorithm>
#include <cstring>
#include <utility>

#include "model/adapter/adapter.h"

namespace understudy {

namespace {
// What is not committed is not acknowledged: nothing is held back longer than half of a delayed ACK.
constexpr unsigned ack_share = 2;
}  // namespace

void adapter::configure_holding() {
  hold_age_ = std::min(regs_[US_REG_HOLD_US / 4] * 1_us, config_.tcp.delayed_ack / ack_share);
  holds_->configure({.hold_bytes = regs_[US_REG_HOLD_BYTES / 4],
                     .hold_count = regs_[US_REG_HOLD_COUNT / 4],
                     .hold_age = static_cast<std::uint32_t>(hold_age_ / config_.clock_period)});
}

// The engine has accepted [seq, seq + length) in order.
void adapter::place(cid c, seq32 seq, const frame_ref& f, std::uint32_t offset, std::uint32_t length,
                    bool push, bool fin) {
  if (!log(event_kind::engine_step, c.raw, std::uint64_t{US_REC_DATA} << 32 | seq.raw)) return;
  connection_buffers& b = buffers(c);
  if (b.gathered && !config_.mutants.data_before_announcement) announcer_.release(c, announce_reason::data);
  accepted a{seq, f, offset, length, push, fin, now_ps()};
  if (b.waiting.empty() && give_place(c, b, a, false)) return;
  ++counters_.waits;
  accepted_store_.push(b.waiting, a);
  agenda_.in(wait_time(), [this, c] { serve_waiting(c, false); });
}

// As far as it can be decided now; true: all of it. A buffer that the application has lent goes first;
// payload of a connection that lends some waits for one, not for ever. `a` is what is left.
bool adapter::give_place(cid c, connection_buffers& b, accepted& a, bool at_once) {
  const bool direct = b.terms.memory & US_MEM_DIRECT;
  at_once = at_once || !direct || (b.terms.memory & US_MEM_EXPEDITE) || now_ps() >= a.at + wait_time();
  const tcp_view v = engine_->view(c);
  if (a.length == 0) {  // a FIN alone
    if (b.hold != no_hold && !hand_over(b.hold)) return true;
    us_record r = stream_record(c, v, US_REC_DATA);
    r.rcv_nxt = (a.seq + 1).raw;
    r.flags = US_REC_FLAG_FIN;
    r.u.data.buf_id = US_NO_BUF;
    b.acked_dirty = false;
    output_.push(r, v.hard.conn & US_CONN_PROTECTED);
    return true;
  }
  while (a.length) {
    const bool lent = !b.direct.empty();
    if (!lent && !at_once) return false;
    list_store<receive_buffer>::list& from = lent ? b.direct : b.rx;
    if (from.empty()) {
      SC_REPORT_ERROR("/understudy/adapter", "payload accepted beyond the host's grant (I-RX-6)");
      return true;
    }
    counters_.fallbacks += direct && !lent;
    if (config_.mutants.cross_connection && !lent) mix_up_buffers(b);
    receive_buffer& to = receive_store_.front(from);
    const std::uint32_t n = std::min(a.length, to.length - to.used);
    placed p{a.seq + n, to.at + to.used, to.id, to.base_off + to.used, a.frame, a.offset, n};
    to.used += n;
    a.seq += n;
    a.offset += n;
    a.length -= n;
    if (to.used == to.length) {
      p.flags |= US_REC_FLAG_DONE;
      receive_store_.pop(from);
    }
    if (a.length == 0) {
      if (a.push) p.flags |= US_REC_FLAG_PUSH;
      if (a.fin) p.flags |= US_REC_FLAG_FIN;
    }
    if (hold_age_ && !(b.terms.memory & US_MEM_EXPEDITE)) {
      hold_back(c, b, v, std::move(p));
    } else {
      write_now(c, b, v, p, a.length != 0);
    }
  }
  return true;
}

us_record adapter::data_record(cid c, const tcp_view& v, const placed& p) const {
  us_record r = stream_record(c, v, US_REC_DATA);
  r.rcv_nxt = (p.end + ((p.flags & US_REC_FLAG_FIN) ? 1u : 0u)).raw;
  r.flags = p.flags;
  r.u.data.buf_id = p.buffer.raw;
  r.u.data.off = p.buffer_offset;
  r.u.data.len = p.length;
  return r;
}

// Payload first, its record behind it: the order on the bus is the order of the commit (I-RX-2). `more`: the
// segment goes on in another buffer.
void adapter::write_now(cid c, connection_buffers& b, const tcp_view& v, const placed& p, bool more) {
  const us_record r = data_record(c, v, p);
  const bool is_protected = v.hard.conn & US_CONN_PROTECTED;
  b.acked_dirty = false;
  if (config_.mutants.record_before_payload) output_.push(r, is_protected);
  dma.write(p.at, p.frame, p.offset - (config_.mutants.shifted_payload ? 1 : 0),
            p.length + (config_.mutants.write_outside && more ? 1 : 0), relaxed());
  if (!config_.mutants.record_before_payload) output_.push(r, is_protected);
}

// Payload that waits for a buffer of the application: one has come, or its time is over.
void adapter::serve_waiting(cid c, bool at_once) {
  if (dead_ || !engine_->known(c)) return;
  connection_buffers& b = buffers(c);
  while (!b.waiting.empty()) {
    if (!give_place(c, b, accepted_store_.front(b.waiting), at_once)) return;
    accepted_store_.front(b.waiting).frame = {};
    accepted_store_.pop(b.waiting);
  }
}

// ---------------------------------------------------------------- holding back

void adapter::hold_back(cid c, connection_buffers& b, const tcp_view& v, placed p) {
  if (b.hold == no_hold) {
    if (free_holds_.empty() && !hand_over(static_cast<std::uint16_t>(*holds_->oldest()))) return;
    b.hold = free_holds_.back();
    free_holds_.pop_back();
    held_[b.hold].connection = c;
  }
  held& h = held_[b.hold];
  const hold_verdict verdict = holds_->add(b.hold, p.at.raw, p.length, now_cycles());
  p.merges = verdict.merges && !h.pieces.empty() && h.newest == p.buffer;
  h.newest = p.buffer;
  h.end = p.end;
  counters_.merged += p.merges;
  // The peer can send no more until this is acknowledged, or somebody waits for it.
  const bool window_closes = v.hard.rcv_adv.minus(p.end) < v.hard.mss;
  const bool urgent = (p.flags & US_REC_FLAG_FIN) || window_closes ||
                      ((p.flags & US_REC_FLAG_PUSH) && regs_[US_REG_HOLD_EXPEDITE / 4]);
  placed_store_.push(h.pieces, p);
  if (urgent && !verdict.flush) ++counters_.expedited;
  if ((urgent || verdict.flush) && !config_.mutants.hold_for_ever) {
    hand_over(b.hold);
  } else {
    schedule_holds();
  }
}

// All that is held of one connection, in order: a DMA write and a record for each run of consecutive bytes,
// the records in one burst. False: the adapter has died of it.
bool adapter::hand_over(std::uint16_t slot) {
  held& h = held_[slot];
  const cid c = h.connection;
  connection_buffers& b = buffers(c);
  if (!log(event_kind::engine_step, c.raw, handed_over_step << 32 | h.end.raw)) return false;
  const tcp_view v = engine_->view(c);
  const bool is_protected = v.hard.conn & US_CONN_PROTECTED;
  ++counters_.holds;
  burst_.clear();
  while (!h.pieces.empty()) {
    placed run = placed_store_.front(h.pieces);
    std::uint32_t pieces = 0;
    placed_store_.each(h.pieces, [&](const placed& p) {
      if (pieces && !p.merges) return false;
      if (pieces++) run.length += p.length;
      run.end = p.end;
      run.flags = static_cast<std::uint8_t>(run.flags | p.flags);
      return true;
    });
    if (pieces > 1) {
      run.frame = frame_ref::make(run.length, 0);
      run.offset = 0;
    }
    for (std::uint32_t i = 0, at = 0; i < pieces; ++i) {
      placed& p = placed_store_.front(h.pieces);
      if (pieces > 1) std::memcpy(run.frame.data() + at, p.frame.data() + p.offset, p.length);
      at += p.length;
      p.frame = {};
      placed_store_.pop(h.pieces);
    }
    dma.write(run.at, run.frame, run.offset, run.length, relaxed());
    burst_.push_back(data_record(c, v, run));
  }
  holds_->flushed(slot);
  b.hold = no_hold;
  b.acked_dirty = false;
  free_holds_.push_back(slot);
  output_.push_burst(burst_, is_protected);
  return true;
}

void adapter::schedule_holds() {
  const std::uint64_t next = holds_->next_deadline();
  if (next == hold_never || next * config_.clock_period >= hold_timer_) return;
  hold_timer_ = std::max(next * config_.clock_period, now_ps());
  agenda_.at(hold_timer_, [this] {
    hold_timer_ = never;
    if (config_.mutants.hold_for_ever) return;
    while (const auto slot = holds_->expire(now_cycles()))
      if (!hand_over(static_cast<std::uint16_t>(*slot))) return;
    schedule_holds();
  });
}

// Nothing of the connection waits or is held back any more.
void adapter::hand_over_all(cid c) {
  serve_waiting(c, true);
  if (const std::uint16_t slot = buffers(c).hold; slot != no_hold) hand_over(slot);
}

void adapter::clear_holds() {
  for (held& h : held_) {
    while (!h.pieces.empty()) {
      placed_store_.front(h.pieces).frame = {};
      placed_store_.pop(h.pieces);
    }
  }
  holds_->reset();
  hold_age_ = 0;
  hold_timer_ = never;
  free_holds_.clear();
  for (std::size_t i = held_.size(); i-- > 0;) free_holds_.push_back(static_cast<std::uint16_t>(i));
}

// ---------------------------------------------------------------- groups

us_status adapter::set_group(const us_idt_entry& e) {
  const auto& d = e.u.group;
  group_rule r;
  r.terms = d.terms;
  r.local_port = d.local_port;
  r.vlan = d.vlan;
  r.set = d.set;
  r.process = d.process;
  r.dscp = d.dscp;
  r.priority = d.priority_class & 15;
  r.size_class = d.priority_class >> 4;
  r.local_prefix = d.local_prefix;
  r.remote_prefix = d.remote_prefix;
  std::copy(std::begin(d.local_ip), std::end(d.local_ip), r.local.bytes.begin());
  std::copy(std::begin(d.remote_ip), std::end(d.remote_ip), r.remote.bytes.begin());
  if (d.lender != US_NO_GROUP && (d.lender >= US_GROUPS || d.lender == d.index)) return US_ERR_BAD_LENGTH;
  if (const us_status s = rules_.set(d.index, r); s != US_OK) return s;
  pool_->configure(d.index, d.quota, d.lender);
  return US_OK;
}

us_status adapter::post_pool(const receive_buffer& r, unsigned group) {
  switch (pool_->put(group, {r.at, r.id, r.length}).status) {
    case alloc_status::ok:
      break;
    case alloc_status::double_free:
      return US_ERR_IN_USE;
    case alloc_status::full:
      return US_ERR_NO_RESOURCES;
    default:
      return US_ERR_BAD_LENGTH;
  }
  std::uint32_t& least = group_bytes_[group];
  least = least ? std::min(least, r.length) : r.length;
  pool_peak_ = std::max(pool_peak_, pool_->free(0));
  offer_window();
  return US_OK;
}

// What a SYN cookie may promise: the least that a connection will begin with, whatever its group.
void adapter::offer_window() {
  std::uint32_t least = pool_->free(0) ? group_bytes_[0] : 0;
  for (unsigned g = 1; g < US_GROUPS; ++g)
    if (rules_.used(g)) least = pool_->free(g) ? std::min(least, group_bytes_[g]) : 0;
  engine_->offer(least);
}

}  // namespace understudy
