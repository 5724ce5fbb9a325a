#include "tb/monitors/event_text.h"

#include <fmt/format.h>

#include "tb/monitors/wire_segment.h"

namespace understudy::tb {

namespace {

const char* name(event_kind k) {
  switch (k) {
    case event_kind::frame_out:
      return "frame_out";
    case event_kind::frame_in:
      return "frame_in";
    case event_kind::tlp_up:
      return "tlp_up";
    case event_kind::tlp_down:
      return "tlp_down";
    case event_kind::write_visible:
      return "write_visible";
    case event_kind::mmio_write:
      return "mmio_write";
    case event_kind::mmio_read:
      return "mmio_read";
    case event_kind::interrupt:
      return "interrupt";
    case event_kind::timer:
      return "timer";
    case event_kind::engine_step:
      return "engine_step";
    case event_kind::recovery_step:
      return "recovery_step";
    case event_kind::fault:
      return "fault";
  }
  return "?";
}

}  // namespace

std::string event_text(const event& e) {
  std::string t = fmt::format("{:>9} {:>14.6f} us  unit {:<3} {:<13}", e.number,
                              static_cast<double>(e.at) / 1e6, e.unit, name(e.kind));
  const bool is_frame = e.kind == event_kind::frame_out || e.kind == event_kind::frame_in;
  const auto s = is_frame ? read_segment(e.data, e.length) : std::nullopt;
  if (s) {
    t += fmt::format(" {} > {} seq {} ack {} len {} win {}{}{}{}{}", s->source_port, s->destination_port,
                     s->seq.raw, s->ack.raw, s->payload_length, s->window, s->syn ? " SYN" : "",
                     s->fin ? " FIN" : "", s->rst ? " RST" : "", s->has_ack ? " ACK" : "");
  } else {
    t += fmt::format(" {:#x} {:#x}", e.a, e.b);
  }
  return t;
}

}  // namespace understudy::tb
