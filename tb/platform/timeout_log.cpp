#include "tb/platform/timeout_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace understudy::tb {

namespace {
std::optional<wire_segment> segment_of(const frame_ref& f) {
  return read_segment(f.data(), f.size());
}
// A question that got no answer is asked again when there is something to send: by then a peer's timer may
// run out.
constexpr picos address_wait = 3_s;

std::uint32_t address_at(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | p[3];
}

bool is_arp(const std::uint8_t* frame, std::uint32_t length) {
  return length >= 42 && frame[12] == 0x08 && frame[13] == 0x06;
}
}  // namespace

timeout_log::timeout_log(platform& p) : platform_(p) {
  p.log.subscribe(this);
  const auto f = [this](const frame_ref& frame, frame_loss why) { lost(frame, why); };
  for (const auto& [name, link] : p.links()) link->on_loss(f);
  p.fabric->on_loss(f);
  if (p.lwip)
    p.lwip->on_timeout([this](const frame_ref& frame) {
      if (const auto s = segment_of(frame)) timed_out(*s);
    });
}

timeout_log::conversation& timeout_log::of(std::uint32_t peer_ip, std::uint16_t peer_port,
                                           std::uint16_t host_port) {
  return conversations_[{peer_ip, std::uint32_t{peer_port} << 16 | host_port}];
}

void timeout_log::lost(const frame_ref& f, frame_loss why) {
  const auto s = segment_of(f);
  if (!s && is_arp(f.data(), f.size())) {
    const std::uint32_t sender = address_at(f.data() + 28);
    lost_arp_[sender == host_ip.v4_value() ? address_at(f.data() + 38) : sender] = {now_ps(), why};
  }
  if (!s) return;
  if (s->source_ip == host_ip.v4_value()) {
    conversation& c = of(s->destination_ip, s->destination_port, s->source_port);
    if (!s->has_ack || (c.answer_lost && !s->ack.after(c.lost_ack))) return;
    c.answer_lost = true;
    c.lost_ack = s->ack;
    c.answer_loss = why;
  } else if (s->end() != s->seq) {
    of_peers(*s).open.push_back({s->end(), why, no_unit, false});
  }
}

void timeout_log::on_event(const event& e) {
  const bool at_peer = e.unit == lwip_unit || e.unit == twin_unit;
  if (e.kind == event_kind::frame_out && at_peer) {
    if (const auto s = read_segment(e.data, e.length)) sent(*s, e.unit == twin_unit);
    return;
  }
  if (e.kind != event_kind::frame_in) return;
  if (!at_peer && e.unit >= platform_.main.slots.size()) return;
  const auto s = read_segment(e.data, e.length);
  if (!s && !at_peer && is_arp(e.data, e.length)) asked_ |= std::uint64_t{1} << e.unit;
  if (!s) return;
  if (!at_peer) {
    conversation& c = of_peers(*s);
    if (s->end() != s->seq)
      c.open.push_back({s->end(), frame_loss::carrier, e.unit, c.edge_known && s->end().after(c.edge)});
    return;
  }
  if (s->source_ip != host_ip.v4_value()) return;
  conversation& c = of(s->destination_ip, s->destination_port, s->source_port);
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
  conversation& c = of_peers(s);
  if (!c.begun || (s.syn && s.end() != c.sent)) {
    c = {};
    c.begun = true;
    c.peer_scales = s.has_wscale;
    c.sent = s.seq;
  }
  if (by_twin && s.seq.before(c.sent)) {
    const tcp_engine& engine = platform_.twin->slots[0].device->engine();
    const cid id = engine.find(
        {ip_address::v4(s.source_ip), ip_address::v4(s.destination_ip), s.source_port, s.destination_port});
    if (!id.valid()) return;
    const std::uint64_t n = engine.view(id).timeouts;
    if (n > c.timeouts) timed_out(s);
    c.timeouts = n;
  }
  if (s.end().after(c.sent)) c.sent = s.end();
}

void timeout_log::timed_out(const wire_segment& s) {
  const conversation& c = of_peers(s);
  for (const range& r : c.open) {
    if (!r.end.after(s.seq)) continue;
    if (r.unit == no_unit) return count(r.why);
    if (r.unit < 64 && struck_ >> r.unit & 1) return count(frame_loss::carrier);
    if (r.beyond) {
      ++counts_.window;
      return;
    }
  }
  if (s.syn && asked_ & struck_) return count(frame_loss::carrier);
  const auto arp = lost_arp_.find(s.source_ip);
  if (arp != lost_arp_.end() && now_ps() - arp->second.at <= address_wait) return count(arp->second.why);
  if (c.answer_lost && c.lost_ack.after(s.seq)) return count(c.answer_loss);
  if (counts_.unexplained++ == 0)
    unexplained_ =
        fmt::format("{:.3f} us, port {} to {}, sequence number {}", static_cast<double>(now_ps()) / 1e6,
                    s.source_port, s.destination_port, s.seq.raw);
}

void timeout_log::count(frame_loss why) {
  switch (why) {
    case frame_loss::wire:
      ++counts_.wire;
      break;
    case frame_loss::carrier:
      ++counts_.old_adapter;
      break;
    case frame_loss::queue:
    case frame_loss::hold:
      ++counts_.hold;
      break;
  }
}

}  // namespace understudy::tb
