#include "tb/platform/timeout_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/core/packet.h"

namespace understudy::tb {

namespace {
std::optional<wire_segment> segment_of(const frame_ref& f) {
  return read_segment(f.data(), f.size());
}
// A question that got no answer is asked again when there is something to send: by then a peer's timer may
// run out.
constexpr picos address_wait = 3_s;

// Of a frame of ARP or neighbour discovery: the peer that asks or answers, or is asked. Empty: another frame.
std::optional<ip_address> peer_in_question(const frame_ref& f) {
  const parsed_frame p = parse_frame(f);
  switch (p.kind) {
    case frame_class::arp_request:
    case frame_class::arp_reply:
    case frame_class::neighbor_solicitation:
    case frame_class::neighbor_advertisement:
      return is_hosts(p.sender_ip) ? p.target_ip : p.sender_ip;
    default:
      return {};
  }
}
}  // namespace

timeout_log::timeout_log(platform& p, segment_reader& segments) : platform_(p), segments_(segments) {
  p.log.subscribe(this, {event_kind::frame_in, event_kind::frame_out});
  const auto f = [this](const frame_ref& frame, frame_loss why) { lost(frame, why); };
  for (const auto& [name, link] : p.links()) link->on_loss(f);
  p.fabric->on_loss(f);
  if (p.lwip)
    p.lwip->on_timeout([this](const frame_ref& frame) {
      if (const auto s = segment_of(frame)) timed_out(*s);
    });
}

void timeout_log::lost(const frame_ref& f, frame_loss why) {
  const auto s = segment_of(f);
  if (!s) {
    if (const auto peer = peer_in_question(f)) lost_questions_[*peer] = {now_ps(), why};
    return;
  }
  if (is_hosts(s->source_ip)) {
    conversation& c = conversations_[to_peer(*s)];
    if (!s->has_ack || (c.answer_lost && !s->ack.after(c.lost_ack))) return;
    c.answer_lost = true;
    c.lost_ack = s->ack;
    c.answer_loss = why;
  } else if (s->end() != s->seq) {
    conversations_[from_peer(*s)].open.push_back({s->end(), why, no_unit, false});
  }
}

void timeout_log::on_event(const event& e) {
  const bool at_peer = e.unit == lwip_unit || e.unit == twin_unit;
  if (e.kind == event_kind::frame_out && at_peer) {
    if (const auto& s = segments_.of(e)) sent(*s, e.unit == twin_unit);
    return;
  }
  if (e.kind != event_kind::frame_in) return;
  if (!at_peer && e.unit >= platform_.main.slots.size()) return;
  const auto& s = segments_.of(e);
  if (!s && !at_peer && peer_in_question(frame_ref::copy_of(e.data, e.length)))
    asked_ |= std::uint64_t{1} << e.unit;
  if (!s) return;
  if (!at_peer) {
    conversation& c = conversations_[from_peer(*s)];
    if (s->end() != s->seq)
      c.open.push_back({s->end(), frame_loss::carrier, e.unit, c.edge_known && s->end().after(c.edge)});
    return;
  }
  if (!is_hosts(s->source_ip)) return;
  conversation& c = conversations_[to_peer(*s)];
  if (!s->has_ack) return;
  if (s->syn) c.scale = s->has_wscale ? s->wscale : 0;
  const seq32 edge =
      s->ack + (static_cast<std::uint32_t>(s->window) << (s->syn || !c.peer_scales ? 0 : c.scale));
  if (!c.edge_known || edge.after(c.edge)) c.edge = edge;
  c.edge_known = true;
  std::erase_if(c.open, [&](const range& r) { return r.end.before_eq(s->ack); });
}

// The twin's engine counts time-outs by connection; the segment that one sends follows it.
void timeout_log::sent(const wire_segment& s, bool by_twin) {
  if (s.end() == s.seq) return;
  conversation& c = conversations_[from_peer(s)];
  if (!c.begun || (s.syn && s.end() != c.sent)) {
    c = {};
    c.begun = true;
    c.peer_scales = s.has_wscale;
    c.sent = s.seq;
  }
  if (by_twin && s.seq.before(c.sent)) {
    const tcp_engine& engine = platform_.twin->slots[0].device->engine();
    const cid id = engine.find({s.source_ip, s.destination_ip, s.source_port, s.destination_port});
    if (!id.valid()) return;
    const std::uint64_t n = engine.view(id).timeouts;
    if (n > c.timeouts) timed_out(s);
    c.timeouts = n;
  }
  if (s.end().after(c.sent)) c.sent = s.end();
}

// A timer that runs out may send everything again that is not acknowledged (lwIP): what follows at the same
// instant has the cause of the first.
void timeout_log::timed_out(const wire_segment& s) {
  conversation& c = conversations_[from_peer(s)];
  const cause why = c.timed_out_at == now_ps() ? c.timed_out_by : cause_of(s, c);
  c.timed_out_at = now_ps();
  c.timed_out_by = why;
  if (why != &timeout_counts::unexplained || counts_.unexplained) {
    ++(counts_.*why);
    return;
  }
  ++counts_.unexplained;
  unexplained_ =
      fmt::format("{:.3f} us, port {} to {}, sequence number {}", static_cast<double>(now_ps()) / 1e6,
                  s.source_port, s.destination_port, s.seq.raw);
}

timeout_log::cause timeout_log::cause_of(const wire_segment& s, const conversation& c) const {
  for (const range& r : c.open) {
    if (!r.end.after(s.seq)) continue;
    if (r.unit == no_unit) return cause_of(r.why);
    if (r.unit < 64 && struck_ >> r.unit & 1) return cause_of(frame_loss::carrier);
    if (r.beyond) return &timeout_counts::window;
  }
  if (s.syn && asked_ & struck_) return cause_of(frame_loss::carrier);
  const auto lost = lost_questions_.find(s.source_ip);
  if (lost != lost_questions_.end() && now_ps() - lost->second.at <= address_wait)
    return cause_of(lost->second.why);
  if (c.answer_lost && c.lost_ack.after(s.seq)) return cause_of(c.answer_loss);
  return &timeout_counts::unexplained;
}

timeout_log::cause timeout_log::cause_of(frame_loss why) {
  switch (why) {
    case frame_loss::wire:
      return &timeout_counts::wire;
    case frame_loss::carrier:
      return &timeout_counts::old_adapter;
    case frame_loss::queue:
    case frame_loss::hold:
      return &timeout_counts::hold;
  }
  return &timeout_counts::unexplained;
}

}  // namespace understudy::tb
