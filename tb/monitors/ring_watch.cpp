#include "tb/monitors/ring_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "model/abi/crc32c.h"
#include "model/pcie/pcie_port.h"
#include "tb/monitors/tx_register.h"

namespace understudy::tb {

namespace {
constexpr auto memory_read = static_cast<std::uint32_t>(tlp_type::memory_read);
constexpr auto memory_write = static_cast<std::uint32_t>(tlp_type::memory_write);
char letter(unsigned adapter) {
  return static_cast<char>('A' + adapter);
}
}  // namespace

ring_watch::ring_watch(const host::any_driver& d, const posted_buffers& posted, unsigned adapters,
                       record_visible f, const event_history& history)
    : driver_(d), posted_(posted), history_(history), record_visible_(std::move(f)), adapters_(adapters) {}

ring_watch::adapter_state& ring_watch::state(unsigned adapter) {
  adapter_state& a = adapters_[adapter];
  if (!a.known) {
    a.rings = driver_.rings(adapter);
    a.known = a.rings.odt_entries != 0;
    if (a.known) {
      a.records_issued = a.records_visible = a.head = a.rings.first_index;
      read_ring& input = a.read[0];
      input.tail = input.fetched = a.rings.first_index;
      input.at = a.rings.idt_iova;
      input.entries = a.rings.idt_entries;
    }
  }
  return a;
}

void ring_watch::on_event(const event& e) {
  judge_refusal();
  if (e.unit >= adapters_.size()) return;
  switch (e.kind) {
    case event_kind::fault:
      adapters_[e.unit].faulty = adapters_[e.unit].faulty || e.a != harmless_fault;
      adapters_[e.unit].unsilenced = adapters_[e.unit].unsilenced || e.a == unsilenced_fault;
      break;
    case event_kind::write_visible:
      write_visible(e);
      break;
    case event_kind::tlp_up:
      tlp_up(e);
      break;
    case event_kind::frame_out:
      if (adapters_[e.unit].fenced && !adapters_[e.unit].unsilenced)
        dma2_.violated(e.number, e.at,
                       fmt::format("adapter {} sends a frame after its fence", letter(e.unit)));
      break;
    case event_kind::mmio_write: {
      adapter_state& a = state(e.unit);
      if (e.a == US_REG_IDT_TAIL) {
        doorbell(a.read[0], "", e);
      } else if (const auto r = tx_register_at(e.a)) {
        read_ring& queue = a.read[1 + r->queue];
        if (r->offset == US_TX_CONTROL && (e.b & US_TX_ENABLE))
          queue.tail = queue.fetched = a.rings.first_index;
        if (r->offset == US_TX_TAIL && queue.entries) doorbell(queue, "transmit queue's ", e);
      } else if (e.a == US_REG_ODT_HEAD) {
        a.head = static_cast<std::uint32_t>(e.b);
        a.armed_at = e.at;
        a.woken = false;
      }
      break;
    }
    case event_kind::interrupt: {
      adapter_state& a = state(e.unit);
      if (e.a == US_VECTOR_RECORDS) {
        judge_wakeup(e.unit, e.number, e.at);
        a.woken = true;
      }
      if (a.interrupt_covers.empty()) break;
      const std::uint32_t covers = a.interrupt_covers.pop_front();
      if (static_cast<std::int32_t>(a.records_visible - covers) < 0) {
        q3_.violated(e.number, e.at,
                     fmt::format("adapter {}: interrupt for {} records, {} visible", letter(e.unit), covers,
                                 a.records_visible));
      } else {
        q3_.checked();
      }
      break;
    }
    default:
      break;
  }
}

// `of` names the ring, with a blank behind it; empty: the input table.
void ring_watch::doorbell(read_ring& r, const char* of, const event& e) {
  const auto value = static_cast<std::uint32_t>(e.b);
  if (static_cast<std::int32_t>(value - r.tail) < 0) {
    q2_.violated(e.number, e.at,
                 fmt::format("adapter {}: {}doorbell {} after {}", letter(e.unit), of, value, r.tail));
  } else {
    q2_.checked();
  }
  r.tail = value;
  if (value - r.fetched > r.entries) {
    q4_.violated(e.number, e.at,
                 fmt::format("adapter {}: {}descriptor {} overwrites one from {} on that was not fetched",
                             letter(e.unit), of, value - 1, r.fetched));
  } else {
    q4_.checked();
  }
}

void ring_watch::tlp_up(const event& e) {
  adapter_state& a = state(e.unit);
  if (a.fenced && a.unsilenced) return;  // it reaches nothing: write_visible() sees to that
  if (a.fenced)
    dma2_.violated(e.number, e.at,
                   fmt::format("adapter {} puts a TLP on the bus after its fence", letter(e.unit)));
  const auto type = static_cast<std::uint32_t>(e.b >> 32);
  const auto length = static_cast<std::uint32_t>(e.b);
  const std::uint64_t odt_bytes = std::uint64_t{a.rings.odt_entries} * US_ENTRY_BYTES;
  if (type == memory_write) {
    if (e.a >= pcie_port::msi_base && e.a < pcie_port::msi_end) {
      a.interrupt_covers.push_back(a.records_issued);
    } else if (a.known && inside(e.a, length, a.rings.odt_iova, odt_bytes)) {
      a.records_issued += length / US_ENTRY_BYTES;
    }
    return;
  }
  if (type != memory_read || length == 0 || !a.known) return;
  for (std::size_t i = 0; i < a.read.size(); ++i) {
    read_ring& r = a.read[i];
    if (!r.entries || !inside(e.a, length, r.at, r.bytes())) continue;
    const std::uint32_t n = length / US_ENTRY_BYTES;
    if (static_cast<std::int32_t>(r.tail - (r.fetched + n)) < 0) {
      q2_.violated(
          e.number, e.at,
          fmt::format("adapter {} fetches {}descriptor {}, the tail is {}", letter(e.unit),
                      i ? fmt::format("transmit queue {}'s ", i - 1) : "", r.fetched + n - 1, r.tail));
    } else {
      q2_.checked();
    }
    r.fetched += n;
    dma1_.checked();
    return;
  }
  bool raw = false;
  for (const read_ring& r : a.read)
    for (std::size_t i = 0; i < r.raw.size() && !raw; ++i)
      raw = inside(e.a, length, r.raw[i].at, r.raw[i].length);
  if (raw || is_posted(e.a, length)) {
    dma1_.checked();
  } else {
    dma1_.violated(e.number, e.at,
                   fmt::format("adapter {} reads {} bytes at {:#x}, where nothing is posted", letter(e.unit),
                               length, e.a));
  }
}

// Ranges may overlap: an application may send the same bytes again. Nearly always the nearest one decides.
bool ring_watch::is_posted(std::uint64_t at, std::uint32_t length) const {
  for (auto it = readable_.upper_bound(at); it != readable_.begin();)
    if (--it; inside(at, length, it->first, it->second)) return true;
  return false;
}

void ring_watch::no_longer_readable(const sent& s) {
  const auto [first, last] = readable_.equal_range(s.at);
  const auto it = std::find_if(first, last, [&](const auto& r) { return r.second == s.length; });
  if (it != last) readable_.erase(it);
}

void ring_watch::write_visible(const event& e) {
  adapter_state& a = state(e.unit);
  if (a.fenced)
    dma2_.violated(e.number, e.at,
                   fmt::format("a write of adapter {} to {:#x} lands after its fence", letter(e.unit), e.a));
  const std::uint64_t odt_bytes = std::uint64_t{a.rings.odt_entries} * US_ENTRY_BYTES;
  if (a.known && inside(e.a, e.b, a.rings.odt_iova, odt_bytes)) {
    dma1_.checked();
    if (e.length == 0 || e.length % sizeof(us_record)) {
      q1_.violated(e.number, e.at, fmt::format("adapter {}: a record of {} bytes", letter(e.unit), e.length));
      return;
    }
    for (std::uint32_t n = 0; n < e.length; n += sizeof(us_record)) record_written(a, e, e.a + n, e.data + n);
    return;
  }
  if (a.known && inside(e.a, e.b, a.rings.heartbeat_iova, sizeof(us_heartbeat))) {
    dma1_.checked();
    return;
  }
  const auto* buffer = posted_.holding(e.a);
  if (buffer && inside(e.a, e.b, buffer->first, buffer->second.length) && buffer->second.adapter == e.unit) {
    dma1_.checked();
  } else {
    dma1_.violated(
        e.number, e.at,
        fmt::format("adapter {} writes {} bytes at {:#x}, which are not its own", letter(e.unit), e.b, e.a));
  }
}

void ring_watch::record_written(adapter_state& a, const event& e, std::uint64_t at,
                                const std::uint8_t* bytes) {
  us_record r;
  std::memcpy(&r, bytes, sizeof r);
  const std::uint32_t slot = static_cast<std::uint32_t>((at - a.rings.odt_iova) / US_ENTRY_BYTES);
  if (r.number != a.records_visible || slot != (r.number & (a.rings.odt_entries - 1)) ||
      r.crc != crc32c(&r, offsetof(us_record, crc))) {
    q1_.violated(e.number, e.at,
                 fmt::format("adapter {}: record {} in slot {} where {} is due", letter(e.unit), r.number,
                             slot, a.records_visible));
  } else {
    q1_.checked();
  }
  if (r.number - a.head >= a.rings.odt_entries) {
    q4_.violated(e.number, e.at,
                 fmt::format("adapter {}: record {} overwrites one from {} on that the host has not read",
                             letter(e.unit), r.number, a.head));
  } else {
    q4_.checked();
  }
  a.records_visible = r.number + 1;
  if (!(r.flags & US_REC_FLAG_QUIET)) a.visible_at.push_back({r.number, e.at});
  record_visible_(e.unit, r, e);
}

void ring_watch::on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length) {
  // A substitute is given again what was posted before: the new range takes the place of the old ones.
  const seq32 begin = seq_end - length;
  fifo<sent>& ranges = sent_.try_emplace(c.raw, 8).first->second;
  while (!ranges.empty() && ranges.back().end.after(begin)) {
    const sent last = ranges.pop_back();
    no_longer_readable(last);
    const seq32 last_begin = last.end - last.length;
    if (!last_begin.before(begin)) continue;
    ranges.push_back({begin, last.at, begin.minus(last_begin)});
    readable_.emplace(last.at, begin.minus(last_begin));
    break;
  }
  readable_.emplace(at.raw, length);
  ranges.push_back({seq_end, at.raw, length});
}

void ring_watch::on_send_freed(cid c, seq32 below) {
  const auto it = sent_.find(c.raw);
  if (it == sent_.end()) return;
  while (!it->second.empty() && it->second.front().end.before_eq(below))
    no_longer_readable(it->second.pop_front());
  if (!it->second.empty()) {  // the first part of a range is the host's again
    sent& first = it->second.front();
    const seq32 begin = first.end - first.length;
    if (below.after(begin)) {
      no_longer_readable(first);
      first.at += below.minus(begin);
      first.length -= below.minus(begin);
      readable_.emplace(first.at, first.length);
    }
  }
}

void ring_watch::on_connection_end(cid c) {
  const auto it = sent_.find(c.raw);
  if (it == sent_.end()) return;
  while (!it->second.empty()) no_longer_readable(it->second.pop_front());
  sent_.erase(it);
}

void ring_watch::on_record(unsigned adapter, const us_record& r, const event_log& log, bool wild) {
  adapter_state& a = state(adapter);
  const picos now = std::max(now_ps(), history_.now());
  a.rings = driver_.rings(adapter);
  if (r.epoch != a.rings.epoch) {
    dma2_.violated(log.count(), now,
                   fmt::format("the host takes a record of epoch {} in epoch {}", r.epoch, a.rings.epoch));
  } else {
    dma2_.checked();
  }
  judge_refusal();
  ++a.consumed;
  const auto beyond = [](const read_ring& ring, std::uint32_t index) {
    return static_cast<std::int32_t>(index - ring.tail) > 0;
  };
  const bool of_a_ring = r.type == US_REC_RAW || r.type == US_REC_TX_STOPPED;
  const std::uint32_t number = of_a_ring ? r.u.end.ring : 0;
  const bool no_ring = of_a_ring && (number >= a.read.size() || !a.read[number].entries);
  read_ring& ring = a.read[no_ring ? 0 : number];
  const std::uint32_t behind = r.u.end.index + (r.type != US_REC_TX_STOPPED);
  const bool wild_index = (!a.fenced && beyond(a.read[0], r.idt_head)) || no_ring ||
                          ((r.type == US_REC_REFUSED || of_a_ring) &&
                           (beyond(ring, behind) || ring.tail - r.u.end.index > 4 * ring.entries));
  if (wild || wild_index) {
    wild_ = {true, r.number, adapter, driver_.counters().bad_records};
  } else {
    q5_.checked();
  }
  if (r.type == US_REC_RAW && !no_ring)
    while (!ring.raw.empty() && static_cast<std::int32_t>(ring.raw.front().index - r.u.end.index) <= 0)
      ring.raw.drop_front();
  if (a.visible_at.empty() || a.visible_at.front().number != r.number) return;
  judge_wakeup(adapter, log.count(), now);
  a.visible_at.drop_front();
}

void ring_watch::on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint32_t index) {
  if (d.opcode != US_OP_SEND_RAW) return;
  state(adapter).read[0].raw.push_back(
      {index, std::uint64_t{d.u.send.iova_hi} << 32 | d.u.send.iova_lo, d.u.send.len});
}

void ring_watch::on_tx_queue(unsigned adapter, unsigned queue) {
  adapter_state& a = state(adapter);
  read_ring& r = a.read[1 + queue];
  const host::ring_facts::tx_ring now = driver_.rings(adapter).tx[queue];
  r.at = now.iova;
  r.entries = now.entries;
  r.raw.clear();
}

void ring_watch::on_tx_descriptor(unsigned adapter, unsigned queue, const us_idt_entry& d,
                                  std::uint32_t index) {
  state(adapter).read[1 + queue].raw.push_back(
      {index, std::uint64_t{d.u.send.iova_hi} << 32 | d.u.send.iova_lo, d.u.send.len});
}

// The driver has had its say on the record that came last.
void ring_watch::judge_refusal() {
  if (!std::exchange(wild_.waits, false)) return;
  if (driver_.counters().bad_records == wild_.bad_before) {
    q5_.violated(
        history_.count(), history_.now(),
        fmt::format("the driver takes record {} of adapter {}, whose index or length lies outside of what "
                    "the adapter was given",
                    wild_.number, letter(wild_.adapter)));
  } else {
    q5_.checked();
  }
}

picos ring_watch::unheard(adapter_state& a, picos now) {
  if (a.visible_at.empty() || a.woken || a.fenced || a.faulty) return 0;
  const picos since = std::max(a.visible_at.front().at, a.armed_at);
  return now > since ? now - since : 0;
}

void ring_watch::judge_wakeup(unsigned adapter, std::uint64_t event, picos now) {
  adapter_state& a = adapters_[adapter];
  const picos waited = unheard(a, now);
  if (waited > wakeup_deadline) {
    lv2_.violated(
        event, now,
        fmt::format("adapter {}: {} records from {} on lay for {} us, and no interrupt came", letter(adapter),
                    a.visible_at.size(), a.visible_at.front().number, waited / 1_us));
  } else {
    lv2_.checked();
  }
}

void ring_watch::on_fenced(unsigned adapter) {
  adapters_[adapter].fenced = true;
  dma2_.checked();
}

void ring_watch::end_of_run(std::uint64_t events, picos now) {
  judge_refusal();
  for (std::size_t i = 0; i < adapters_.size(); ++i) {
    if (unheard(adapters_[i], now) > wakeup_deadline) judge_wakeup(static_cast<unsigned>(i), events, now);
  }
  // Every receive buffer is free, posted, or held for a reader; after a clean end nobody holds any.
  if (driver_.connections() == 0) {
    const std::size_t accounted = driver_.buffers_free() + posted_.size();
    if (accounted != driver_.buffers_total()) {
      dma4_.violated(events, now,
                     fmt::format("{} buffers free + {} posted, {} in all", driver_.buffers_free(),
                                 posted_.size(), driver_.buffers_total()));
    } else {
      dma4_.checked(driver_.buffers_total());
    }
    if (!readable_.empty())
      dma4_.violated(events, now, fmt::format("{} send ranges never came back", readable_.size()));
  }
}

std::vector<const monitor*> ring_watch::monitors() const {
  return {&dma1_, &dma2_, &dma4_, &q1_, &q2_, &q3_, &q4_, &q5_, &lv2_};
}

}  // namespace understudy::tb
