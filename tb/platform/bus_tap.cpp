#include "tb/platform/bus_tap.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "model/abi/understudy_abi.h"
#include "tb/monitors/tx_register.h"

namespace understudy::tb {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t own_bytes = 4;

void put32(std::uint8_t* at, std::uint32_t v) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
}

bool carries_data(tlp_type t) {
  return t == tlp_type::memory_write || t == tlp_type::config_write || t == tlp_type::completion_data;
}

std::uint32_t words_of(std::uint64_t address, std::uint32_t length) {
  return length ? static_cast<std::uint32_t>((address % 4 + length + 3) / 4) : 1;
}

}  // namespace

std::size_t tlp_header(std::uint8_t (&out)[20], const tlp_on_link& t) {
  // Type field; memory requests have 0, messages their way: to the root complex (PCIe 2.2.8.1).
  constexpr std::uint32_t config = 4, completion = 10, message = 0x10;
  const std::uint64_t address = t.address;
  const std::uint32_t length = t.length;
  const bool memory = t.type == tlp_type::memory_read || t.type == tlp_type::memory_write;
  const bool answers = t.type == tlp_type::completion || t.type == tlp_type::completion_data;
  const bool four = (memory && address >> 32) || t.type == tlp_type::message;
  const std::uint32_t format = (carries_data(t.type) ? 2u : 0u) | (four ? 1u : 0u);
  const std::uint32_t words =
      t.type == tlp_type::completion || t.type == tlp_type::message ? 0 : words_of(address, length);
  const std::uint32_t tag9 = t.tag >> 9 & 1, tag8 = t.tag >> 8 & 1;  // PCIe 2.2.6.2
  std::fill(std::begin(out), std::end(out), std::uint8_t{0});
  out[0] = version;
  out[1] = t.up ? 0 : 1;
  put32(out + own_bytes, format << 29 |
                             (answers                       ? completion
                              : memory                      ? 0
                              : t.type == tlp_type::message ? message
                                                            : config)
                                 << 24 |
                             tag9 << 23 | tag8 << 19 | (t.poisoned ? 1u << 14 : 0u) |
                             (t.relaxed ? 1u << 13 : 0u) | (words & 0x3ff));
  const std::uint32_t tag = (t.tag & 0xffu) << 8;
  if (answers) {
    put32(out + 8, std::uint32_t{t.status} << 13 | (t.left & 0xfff));
    put32(out + 12, tag | static_cast<std::uint32_t>(address & 0x7f));  // lower address
    return own_bytes + 12;
  }
  if (t.type == tlp_type::message) {
    put32(out + 8, static_cast<std::uint32_t>(t.message));
    return own_bytes + 16;
  }
  // Byte enables (PCIe 2.2.5); none of a zero-length read.
  std::uint32_t first = 0, last = 0;
  if (length > 0) {
    const auto begin = static_cast<std::uint32_t>(address % 4);
    const auto end = static_cast<std::uint32_t>((address + length - 1) % 4);
    first = 0xfu << begin & 0xf;
    last = 0xfu >> (3 - end);
    if (words == 1) {
      first &= last;
      last = 0;
    }
  }
  put32(out + 8, tag | last << 4 | first);
  if (four) {
    put32(out + 12, static_cast<std::uint32_t>(address >> 32));
    put32(out + 16, static_cast<std::uint32_t>(address) & ~3u);
    return own_bytes + 16;
  }
  put32(out + 12, static_cast<std::uint32_t>(address) & ~3u);
  return own_bytes + 12;
}

bus_tap::bus_tap(pcapng_writer& writer, host_memory& memory, const host::any_driver& driver,
                 unsigned adapters, unsigned tx_queues)
    : writer_(writer), memory_(memory), driver_(driver), tx_(adapters) {
  for (unsigned i = 0; i < adapters; ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    tlps_.push_back(writer.add_interface("tlp_" + letter, 0, tlp_link_type));
    input_.push_back({writer.add_interface("descriptors_" + letter, 0, descriptor_link_type), {}});
    for (unsigned q = 0; q < tx_queues; ++q)
      tx_[i].push_back(
          {writer.add_interface(fmt::format("tx_{}{}", letter, q), 0, descriptor_link_type), {}});
  }
}

void bus_tap::on_tlp(std::uint16_t unit, const tlp_on_link& t) {
  if (unit >= tlps_.size()) return;
  coming c;
  c.at = t.at;
  c.order = told_++;
  c.interface = tlps_[unit];
  c.up = t.up;
  c.header = static_cast<std::uint32_t>(tlp_header(c.bytes, t));
  c.length = c.header + (carries_data(t.type) ? 4 * words_of(t.address, t.length) : 0);
  coming_.push(c);
}

// In the order of their times, as readers of captures expect.
void bus_tap::write_until(picos now) {
  for (; !coming_.empty() && coming_.top().at <= now; coming_.pop()) {
    const coming& c = coming_.top();
    writer_.packet(c.at, c.interface, c.up, {c.bytes, c.header}, c.length);
  }
}

void bus_tap::on_event(const event& e) {
  write_until(e.at);
  if (e.unit >= tlps_.size()) return;
  switch (e.kind) {
    case event_kind::write_visible: {
      const host::ring_facts r = driver_.rings(e.unit);
      const std::uint64_t bytes = std::uint64_t{r.odt_entries} * US_ENTRY_BYTES;
      if (e.length == US_ENTRY_BYTES && e.a >= r.odt_iova && e.a - r.odt_iova < bytes)
        writer_.packet(e.at, input_[e.unit].interface, true, {e.data, e.length}, e.length);
      return;
    }
    case event_kind::mmio_write:
      if (e.a == US_REG_IDT_TAIL) {
        const host::ring_facts r = driver_.rings(e.unit);
        posted_descriptors(input_[e.unit], e, r.idt_iova, r.idt_entries, r.first_index);
      } else if (const auto r = tx_register_at(e.a); r && r->queue < tx_[e.unit].size()) {
        written_ring& ring = tx_[e.unit][r->queue];
        const host::ring_facts f = driver_.rings(e.unit);
        if (r->offset == US_TX_CONTROL) ring.tail.reset();
        if (r->offset == US_TX_TAIL)
          posted_descriptors(ring, e, f.tx[r->queue].iova, f.tx[r->queue].entries, f.first_index);
      }
      return;
    default:
      return;
  }
}

void bus_tap::posted_descriptors(written_ring& ring, const event& e, std::uint64_t base,
                                 std::uint32_t entries, std::uint32_t first) {
  const auto tail = static_cast<std::uint32_t>(e.b);
  std::uint32_t at = ring.tail.value_or(first);
  ring.tail = tail;
  if (entries == 0 || tail - at > entries) at = tail;
  for (; at != tail; ++at) {
    const std::uint64_t slot = at & (entries - 1);
    const std::uint8_t* entry = memory_.at(base + slot * US_ENTRY_BYTES, US_ENTRY_BYTES);
    if (entry) writer_.packet(e.at, ring.interface, false, {entry, US_ENTRY_BYTES}, US_ENTRY_BYTES);
  }
}

}  // namespace understudy::tb
