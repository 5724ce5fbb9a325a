// Windows that open again, storms of segments, and how connections end: I-LV-3, I-LV-5, I-OB-2.
#include <fmt/format.h>

#include <algorithm>

#include "tb/monitors/connection_watch.h"

namespace understudy::tb {

namespace {
// A window below this is shut: no sender fills it with less than a segment (RFC 9293 3.8.6.2.1).
constexpr std::uint32_t shut_window = 1448;
// What a receiver tells a peer whose window is shut (RFC 9293 3.8.6.2.2): two segments, or two units of the
// scale.
constexpr std::uint32_t worth_telling = 2 * 1460;
// Duplicates of an ACK that ask for the segment behind it (RFC 5681 3.2).
constexpr std::uint32_t duplicates_that_ask = 3;

std::uint32_t window(seq32 ack, seq32 edge) {
  return edge.after(ack) ? edge.minus(ack) : 0;
}
}  // namespace

// Before what is known of the connection takes the segment in.
void connection_watch::check_progress(const event& e, const wire_segment& s, connection& c) {
  if (e.at - c.interval >= storm_interval) {
    c.interval = e.at;
    c.idle_acks = c.resent = c.asked = 0;
  }
  const std::uint32_t scale = !s.syn && c.scale_in && c.scale_out ? c.our_scale : 0;
  const seq32 edge = s.ack + (static_cast<std::uint32_t>(s.window) << scale);
  const bool carries = s.payload_length || s.syn || s.fin;
  const bool opens = s.has_ack && (!c.edge_known || edge.after(c.edge));
  const bool news = (carries && (!c.ack_sent || s.end().after(c.highest_sent))) || opens ||
                    (s.has_ack && (!c.ack_sent || s.ack.after(c.highest_ack)));
  if (s.has_ack && c.ack_sent && s.ack.after(c.highest_ack)) c.asked += duplicates_that_ask;
  if (!news) {
    const std::uint32_t count = carries ? ++c.resent : ++c.idle_acks;
    const std::uint32_t most = storm_segments + (carries ? 0 : c.asked);
    if (count == most + 1) {
      lv5_.violated(e.number, e.at,
                    fmt::format("{}: {} segments within {} ms that {}, seq {} ack {}", name(c, s), count,
                                (e.at - c.interval) / 1_ms + 1,
                                carries ? "repeat what was sent" : "say nothing new", s.seq.raw, s.ack.raw));
    } else {
      lv5_.checked();
    }
  }
  if (opens && c.owed_since != never) {
    if (e.at - c.owed_since > reopen_deadline) {
      lv3_.violated(
          e.number, e.at,
          fmt::format("{}: the window stayed shut at {} for {} ms after the host had granted up to {}",
                      name(c, s), c.edge.raw, (e.at - c.owed_since) / 1_ms, c.grant.raw));
    } else {
      lv3_.checked();
    }
    c.owed_since = never;
  }
  if (c.quiet_since != never && (carries || s.seq.before(c.peer_ack))) {
    look_at_peers_window(c, e.at);
    if (c.quiet_since != never) c.quiet_since = e.at;
  }
}

void connection_watch::heard(const wire_segment& s, connection& c, bool news) {
  if (s.payload_length || s.syn || s.fin) ++c.asked;
  if (news) c.resent = 0;
}

// A peer that has shut its window while bytes wait for it must hear a probe from time to time.
void connection_watch::look_at_peers_window(connection& c, picos now) {
  const bool all_heard = c.highest_sent.before_eq(c.peer_ack + 1);  // but for a probe
  const bool shut = !c.over && c.established && c.peer_ack_known && all_heard &&
                    window(c.peer_ack, c.peer_edge) < shut_window && c.posted_end.after(c.peer_edge);
  if (c.quiet_since != never) {
    if (now - c.quiet_since > probe_deadline_) {
      lv3_.violated(
          history_.count(), now,
          fmt::format("connection {:#x}: the peer's window is shut at {}, bytes up to {} wait, and no probe "
                      "left for {} ms",
                      c.id, c.peer_edge.raw, c.posted_end.raw, (now - c.quiet_since) / 1_ms));
      c.quiet_since = now;
    } else {
      lv3_.checked();
    }
  }
  if (!shut) {
    c.quiet_since = never;
  } else if (c.quiet_since == never) {
    c.quiet_since = now;
  }
}

// The host has granted more than a shut window shows.
void connection_watch::owe_window(connection& c, picos now) {
  const bool owed = !c.over && !c.fin_in && c.established && c.grant_known && c.edge_known && c.ack_sent &&
                    window(c.highest_ack, c.edge) < shut_window &&
                    window(c.edge, c.grant) >= std::max(worth_telling, 2u << c.our_scale);
  if (!owed) {
    c.owed_since = never;
  } else if (c.owed_since == never) {
    c.owed_since = now;
  }
}

void connection_watch::on_connection_end(cid id, int error, bool excused, std::uint64_t event, picos now) {
  const auto k = key_of_.find(id.raw);
  if (k == key_of_.end()) return;
  const auto it = connections_.find(k->second);
  if (it != connections_.end() && it->second.id == id.raw) {
    connection& c = it->second;
    excused = excused || c.cause || (silent_ >= 0 && !c.is_protected);
    if (error != 0 && !excused) {
      ob2_.violated(
          event, now,
          fmt::format("connection {:#x}: the application hears error {}, and nothing has happened to it",
                      id.raw, error));
    } else if (error == 0 && c.aborted) {
      ob2_.violated(
          event, now,
          fmt::format("connection {:#x}: aborted, and the application hears of an end in order", id.raw));
    } else {
      ob2_.checked();
    }
    c.pieces.clear();
    c.over = true;
    c.owed_since = c.quiet_since = never;
  }
  key_of_.erase(k);
}

void connection_watch::end_of_run(std::uint64_t event, picos now) {
  for (auto& [raw, k] : key_of_) {
    connection* c = by_cid(raw);
    if (!c || c->id != raw || c->over) continue;
    if (c->aborted)
      ob2_.violated(event, now,
                    fmt::format("connection {:#x}: aborted, and the application has not heard of it", raw));
    look_at_peers_window(*c, now);
    if (c->owed_since != never && now - c->owed_since > reopen_deadline)
      lv3_.violated(
          event, now,
          fmt::format("connection {:#x}: the window is still shut at {}, {} ms after the host granted up to "
                      "{}",
                      raw, c->edge.raw, (now - c->owed_since) / 1_ms, c->grant.raw));
  }
}

bool connection_watch::names_wild(unsigned adapter, const us_record& r) const {
  if (r.type != US_REC_DATA || r.u.data.len == 0) return false;
  const auto it = buffers_.find(r.u.data.buf_id);
  if (it == buffers_.end() || it->second.adapter != static_cast<int>(adapter)) return true;
  const buffer& b = it->second;
  return r.u.data.len > b.end || r.u.data.off > b.end - r.u.data.len;
}

}  // namespace understudy::tb
