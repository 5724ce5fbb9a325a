#include "tb/platform/timeline.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "model/abi/understudy_abi.h"
#include "model/pcie/tlp.h"
#include "tb/monitors/tx_register.h"
#include "tb/monitors/wire_segment.h"
#include "tb/platform/configure.h"

namespace understudy::tb {

namespace {
double us(picos t) {
  return static_cast<double>(t) / 1e6;
}
constexpr double slice_us = 0.001;  // events are instants: a nanosecond is what the eye needs
}  // namespace

void timeline::slice(const event& e, track t, const std::string& name) {
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{:.6f},\"dur\":{},\"name\":\"{}\",\"args\":{{"
                 "\"event\":{}}}}},\n",
                 e.unit, static_cast<unsigned>(t), us(e.at), slice_us, name, e.number);
}

void timeline::arrow(char phase, std::uint64_t id, const event& e, track t) {
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"{}\",\"id\":{},\"pid\":{},\"tid\":{},\"ts\":{:.6f},\"name\":\"cause\",\"cat\":"
                 "\"cause\"{}}},\n",
                 phase, id, e.unit, static_cast<unsigned>(t), us(e.at), phase == 'f' ? ",\"bp\":\"e\"" : "");
}

void timeline::on_event(const event& e) {
  pending none;
  pending& p = e.unit < pending_.size() ? pending_[e.unit] : none;
  switch (e.kind) {
    case event_kind::mmio_write: {
      const auto queue = tx_doorbell_at(e.a);
      slice(e, doorbell,
            e.a == US_REG_IDT_TAIL   ? "IDT_TAIL"
            : e.a == US_REG_ODT_HEAD ? "ODT_HEAD"
            : queue                  ? fmt::format("TX {} TAIL", *queue)
                                     : fmt::format("write {:#x}", e.a));
      if (e.a == US_REG_IDT_TAIL || queue) {
        p.doorbell_flow = ++next_flow_;
        arrow('s', p.doorbell_flow, e, doorbell);
      }
      break;
    }
    case event_kind::mmio_read:
      slice(e, doorbell, fmt::format("read {:#x}", e.a));
      break;
    case event_kind::tlp_up: {
      const auto type = static_cast<tlp_type>(e.b >> 32);
      const auto length = static_cast<std::uint32_t>(e.b);
      if (type == tlp_type::memory_read) {
        const bool fetch = p.doorbell_flow != 0 && length % US_ENTRY_BYTES == 0 && length != 0;
        slice(e, fetch ? descriptor : dma, fmt::format("{} {}", length ? "read" : "flush read", length));
        if (fetch) {
          arrow('t', p.doorbell_flow, e, descriptor);
          p.fetch_flow = std::exchange(p.doorbell_flow, 0);
        } else if (length && p.fetch_flow) {
          arrow('f', std::exchange(p.fetch_flow, 0), e, dma);
        }
      } else if (type == tlp_type::memory_write) {
        slice(e, dma, fmt::format("write {}", length));
        if (!p.write_flow) {
          p.write_flow = ++next_flow_;
          arrow('s', p.write_flow, e, dma);
        }
      }
      break;
    }
    case event_kind::write_visible:
      if (e.length == sizeof(us_record)) {
        slice(e, commit, "record visible");
        if (p.write_flow) {
          arrow('t', p.write_flow, e, commit);
          p.commit_flow = std::exchange(p.write_flow, 0);
        }
        if (!p.interrupt_flow) {
          p.interrupt_flow = ++next_flow_;
          arrow('s', p.interrupt_flow, e, commit);
        }
      } else {
        slice(e, commit, fmt::format("{} bytes visible", e.b));
      }
      break;
    case event_kind::interrupt:
      slice(e, interrupt, fmt::format("vector {}", e.a));
      if (p.interrupt_flow) arrow('f', std::exchange(p.interrupt_flow, 0), e, interrupt);
      break;
    case event_kind::timer:
      slice(e, engine, "timer");
      break;
    case event_kind::engine_step:
      slice(e, engine, fmt::format("connection {:#x} step {}", e.a, e.b >> 32));
      break;
    case event_kind::frame_out:
    case event_kind::frame_in: {
      const auto s = read_segment(e.data, e.length);
      const char* way = e.kind == event_kind::frame_out ? "out" : "in";
      slice(e, wire,
            s ? fmt::format("{} {}>{} seq {} len {}{}{}{}{}", way, s->source_port, s->destination_port,
                            s->seq.raw, s->payload_length, s->syn ? " SYN" : "", s->fin ? " FIN" : "",
                            s->rst ? " RST" : "", s->has_ack ? fmt::format(" ACK {}", s->ack.raw) : "")
              : fmt::format("{} {} bytes", way, e.a));
      if (p.commit_flow && s && s->has_ack && e.kind == event_kind::frame_out) {
        arrow('f', std::exchange(p.commit_flow, 0), e, wire);
      }
      break;
    }
    case event_kind::recovery_step: {
      constexpr const char* names[] = {"ACTIVE",     "FENCING", "BLOCKED",  "DRAINING",
                                       "REBUILDING", "LOADING", "IDENTITY", "RUNNING"};
      slice(e, recovery, e.a < std::size(names) ? names[e.a] : "?");
      break;
    }
    case event_kind::fault:
      slice(e, recovery, "FAULT");
      break;
    case event_kind::tlp_down:
      break;
  }
}

std::string timeline::finish() {
  constexpr const char* tracks[] = {"",           "doorbells", "descriptors", "DMA",     "commit",
                                    "interrupts", "engine",    "wire",        "recovery"};
  for (unsigned unit = 0; unit < pending_.size(); ++unit) {
    fmt::format_to(
        std::back_inserter(text_),
        "{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":\"adapter {}\"}}}},\n", unit,
        adapter_name(unit));
    for (unsigned t = 1; t < std::size(tracks); ++t)
      fmt::format_to(
          std::back_inserter(text_),
          "{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":\"{}\"}}}},\n",
          unit, t, tracks[t]);
  }
  text_.erase(text_.size() - 2);  // the last comma
  text_ += "\n]}\n";
  return std::move(text_);
}

}  // namespace understudy::tb
