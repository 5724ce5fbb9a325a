#include "tb/monitors/memory_watch.h"

#include <fmt/format.h>

#include <iterator>

namespace understudy::tb {

memory_watch::memory_watch(const host::any_driver& d, const posted_buffers& posted, unsigned adapters,
                           picos handover_deadline, const event_history& history)
    : driver_(d), posted_(posted), history_(history), deadline_(handover_deadline), adapters_(adapters) {}

// ---------------------------------------------------------------- whose bytes

bool memory_watch::in_app(std::uint64_t at) const {
  const auto after = app_.upper_bound(at);
  return after != app_.begin() && std::prev(after)->first + std::prev(after)->second > at;
}

const memory_watch::lent_send* memory_watch::lent_to_send(std::uint64_t at, std::uint64_t length) const {
  for (const auto& [c, ranges] : sends_)
    for (std::size_t i = 0; i < ranges.size(); ++i)
      if (ranges[i].at < at + length && at < ranges[i].at + ranges[i].length) return &ranges[i];
  return nullptr;
}

void memory_watch::on_post_buffer(unsigned adapter, buf_id b, iova at, std::uint32_t length) {
  if (const auto* other = posted_.overlapping(at.raw, length)) {
    dma6_.violated(history_.count(), history_.now(),
                   fmt::format("buffer {:#x} of adapter {} at {:#x} overlaps buffer {:#x}", b.raw, adapter,
                               at.raw, other->second.name.raw));
  } else if (in_app(at.raw) && lent_to_send(at.raw, length)) {
    dma6_.violated(history_.count(), history_.now(),
                   fmt::format("buffer {:#x} at {:#x} lies in memory that is being sent", b.raw, at.raw));
  } else {
    dma6_.checked();
  }
}

// Ranges of the driver's own memory are judged by I-TX-1; a substitute is given again what was posted before.
void memory_watch::on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length) {
  if (!in_app(at.raw)) return;
  fifo<lent_send>& ranges = sends_[c.raw];
  while (!ranges.empty() && ranges.back().end.after(seq_end - length)) ranges.pop_back();
  if (posted_.overlapping(at.raw, length)) {
    dma6_.violated(
        history_.count(), history_.now(),
        fmt::format("{} bytes at {:#x} are sent from a buffer that an adapter may write", length, at.raw));
  } else {
    dma6_.checked();
  }
  ranges.push_back({seq_end, at.raw, length});
}

void memory_watch::on_send_freed(cid c, seq32 below) {
  const auto it = sends_.find(c.raw);
  if (it == sends_.end()) return;
  fifo<lent_send>& ranges = it->second;
  while (!ranges.empty() && ranges.front().end.before_eq(below)) ranges.drop_front();
  if (ranges.empty()) return;
  lent_send& first = ranges.front();
  const seq32 begin = first.end - first.length;
  if (!below.after(begin)) return;
  first.at += below.minus(begin);
  first.length -= below.minus(begin);
}

void memory_watch::on_connection_end(cid c) {
  sends_.erase(c.raw);
}

void memory_watch::on_app_memory(iova at, std::uint64_t length) {
  app_[at.raw] = length;
}

void memory_watch::on_app_memory_gone(iova at) {
  const auto it = app_.find(at.raw);
  if (it == app_.end()) return;
  if (posted_.overlapping(it->first, it->second) || lent_to_send(it->first, it->second)) {
    dma6_.violated(history_.count(), history_.now(),
                   fmt::format("memory at {:#x} goes while an adapter holds a part of it", at.raw));
  } else {
    dma6_.checked();
  }
  app_.erase(it);
}

void memory_watch::on_app_access(iova at, std::uint32_t length, bool write) {
  const char* what = write ? "writes" : "reads";
  if (const auto* lent = posted_.overlapping(at.raw, length)) {
    dma6_.violated(
        history_.count(), history_.now(),
        fmt::format("the application {} {} bytes at {:#x}, in buffer {:#x} that an adapter may write", what,
                    length, at.raw, lent->second.name.raw));
  } else if (const lent_send* s = write ? lent_to_send(at.raw, length) : nullptr) {
    dma6_.violated(
        history_.count(), history_.now(),
        fmt::format("the application writes {} bytes at {:#x} that are being sent, up to number {}", length,
                    at.raw, s->end.raw));
  } else {
    dma6_.checked();
  }
}

// ---------------------------------------------------------------- handing over

void memory_watch::on_event(const event& e) {
  const bool accepts = e.kind == event_kind::engine_step && e.b >> 32 == US_REC_DATA;
  if ((!accepts && e.kind != event_kind::fault) || e.unit >= adapters_.size()) return;
  pending& p = adapters_[e.unit];
  if (!accepts) {
    p.accepted.clear();
    return;
  }
  p.accepted.push_back({static_cast<std::uint32_t>(e.a), seq32{static_cast<std::uint32_t>(e.b)}, e.at});
  judge_handover(e.unit, e.number, e.at);
}

void memory_watch::on_record_visible(unsigned adapter, const us_record& r) {
  const bool over = r.type == US_REC_ABORTED || r.type == US_REC_CLOSED;
  if (adapter >= adapters_.size() || (r.type != US_REC_DATA && !over)) return;
  told& t = adapters_[adapter].told_of[r.cid];
  t.over = over;
  t.rcv_nxt = seq32{r.rcv_nxt};
}

void memory_watch::on_fenced(unsigned adapter) {
  if (adapter < adapters_.size()) adapters_[adapter].accepted.clear();
}

// In order of time: what is behind one that waits is judged when that is.
void memory_watch::judge_handover(unsigned adapter, std::uint64_t event, picos now) {
  pending& p = adapters_[adapter];
  while (!p.accepted.empty()) {
    const piece a = p.accepted.front();
    const auto t = p.told_of.find(a.connection);
    if (t != p.told_of.end() && (t->second.over || t->second.rcv_nxt.after(a.seq))) {
      lv7_.checked();
    } else if (now - a.at > deadline_) {
      lv7_.violated(event, now,
                    fmt::format("connection {:#x}: bytes from {} on, accepted at {} us, are not handed over",
                                a.connection, a.seq.raw, a.at / 1_us));
    } else {
      return;
    }
    p.accepted.drop_front();
  }
}

// ---------------------------------------------------------------- the end

void memory_watch::end_of_run(std::uint64_t events, picos now) {
  for (unsigned a = 0; a < adapters_.size(); ++a) judge_handover(a, events, now);
  std::size_t number = 0;
  for (const host::any_driver::group_facts& g : driver_.groups()) {
    if (g.free + g.posted + g.filled == g.total) {
      dma7_.checked(g.total);
    } else {
      dma7_.violated(events, now,
                     fmt::format("group {}: {} free + {} posted + {} filled, {} in all", number, g.free,
                                 g.posted, g.filled, g.total));
    }
    ++number;
  }
}

}  // namespace understudy::tb
