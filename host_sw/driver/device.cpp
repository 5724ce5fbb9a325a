#include "host_sw/driver/device.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "host_sw/hal/pci_config.h"

namespace understudy::host {
namespace {

constexpr std::uint32_t needed_features = US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE;

start_result refuse(driver_error error, unsigned adapter, const char* what, std::uint32_t got,
                    std::uint32_t want) {
  char text[160];
  std::snprintf(text, sizeof text, "adapter %u: %s is 0x%08x, wanted 0x%08x", adapter, what, got, want);
  return {error, text};
}

std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}
std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32);
}

}  // namespace

start_result device::bring_up(const driver_config& config, std::uint16_t first_epoch,
                              const hal::handler (&handlers)[US_MSIX_VECTORS],
                              void* const (&contexts)[US_MSIX_VECTORS]) {
  constexpr std::uint32_t id = US_PCI_DEVICE << 16 | US_PCI_VENDOR;
  const std::uint32_t pci = hal_.cfg_read32(number_, pci_id);
  if (pci == all_ones) return refuse(driver_error::no_device, number_, "PCI id", pci, id);
  if (pci != id) return refuse(driver_error::wrong_device, number_, "PCI id", pci, id);
  hal_.cfg_write32(number_, pci_command, pci_command_memory | pci_command_bus_master);

  const std::uint32_t magic = read(US_REG_ID);
  if (magic != US_MAGIC) return refuse(driver_error::wrong_magic, number_, "ID", magic, US_MAGIC);
  const std::uint32_t abi = read(US_REG_ABI_VERSION);
  if (abi >> 16 != US_ABI_MAJOR)
    return refuse(driver_error::wrong_abi, number_, "ABI_VERSION", abi, US_ABI_MAJOR << 16 | US_ABI_MINOR);
  const std::uint32_t features = read(US_REG_FEATURES);
  const bool tagged = std::any_of(config.addresses.begin(), config.addresses.end(),
                                  [](const local_address& a) { return a.vlan != 0; });
  const std::uint32_t needed =
      needed_features | (config.heartbeat_us ? US_FEATURE_HEARTBEAT : 0u) | (tagged ? US_FEATURE_VLAN : 0u);
  if ((features & needed) != needed)
    return refuse(driver_error::missing_feature, number_, "FEATURES", features, needed);
  can_set_options_ = features & US_FEATURE_SET_OPTIONS;
  can_announce_ = features & US_FEATURE_ANNOUNCE;
  can_send_raw_ = features & US_FEATURE_SEND_RAW;
  can_inline_ = features & US_FEATURE_INLINE;
  has_memory_features_ = features & US_FEATURE_MEMORY;
  echoes_ = features & US_FEATURE_ECHO;
  if (features & US_FEATURE_TX_QUEUES) tx_queues_ = std::min(read(US_REG_TX_QUEUES), US_TX_QUEUES_MOST);
  max_connections = read(US_REG_MAX_CONNECTIONS);
  constexpr std::uint32_t largest = 1u << cid::index_bits;
  if (max_connections > largest) max_connections = largest;

  heartbeat_ = hal_.dma_alloc(sizeof(us_heartbeat));
  first_index_ = config.first_index;
  if (!heartbeat_.cpu || !idt.create(hal_, config.idt_entries, first_index_) ||
      !odt.create(hal_, config.odt_entries, first_index_))
    return {driver_error::no_memory, "no DMA memory for the tables"};

  for (unsigned v = 0; v < US_MSIX_VECTORS; ++v) {
    const hal::msi_target t = hal_.irq_attach(number_, v, handlers[v], contexts[v]);
    const std::uint32_t at = US_MSIX_TABLE + 16 * v;
    write(at, low(t.address));
    write(at + 4, high(t.address));
    write(at + 8, t.data);
    write(at + 12, 0);
  }
  const auto read_config = [&](std::uint32_t offset) { return hal_.cfg_read32(number_, offset); };
  if (const std::uint32_t msix = pci_find_capability(read_config, pci_cap_msix))
    hal_.cfg_write32(number_, msix, read_config(msix) | pci_msix_enable);

  write(US_REG_IDT_BASE_LO, low(idt.iova()));
  write(US_REG_IDT_BASE_HI, high(idt.iova()));
  write(US_REG_IDT_SIZE, idt.entries());
  write(US_REG_ODT_BASE_LO, low(odt.iova()));
  write(US_REG_ODT_BASE_HI, high(odt.iova()));
  write(US_REG_ODT_SIZE, odt.entries());
  write(US_REG_HEARTBEAT_LO, low(heartbeat_.iova));
  write(US_REG_HEARTBEAT_HI, high(heartbeat_.iova));
  write(US_REG_HEARTBEAT_US, config.heartbeat_us);
  if (can_announce_) {
    write(US_REG_ANNOUNCE_COUNT, config.announce_count);
    write(US_REG_ANNOUNCE_AGE_US, config.announce_age_us);
  }
  if (has_memory_features_) {
    write(US_REG_HOLD_BYTES, config.hold_bytes);
    write(US_REG_HOLD_COUNT, config.hold_count);
    write(US_REG_HOLD_US, config.hold_us);
    write(US_REG_HOLD_EXPEDITE, config.expedite);
    write(US_REG_WAIT_US, config.wait_us);
  }
  set_epoch(first_epoch);
  write_clock_and_secret(config, 0);
  write(US_REG_CONTROL, US_CONTROL_ENABLE);
  ring_odt();
  missed_ = -static_cast<int>(config.heartbeat_misses);  // the first beat may take a period longer
  return {};
}

void device::write_clock_and_secret(const driver_config& config, std::uint32_t ticks_ahead) {
  write(US_REG_CLOCK_MS, low(hal_.now_ns() / 1'000'000) + ticks_ahead);
  write(US_REG_SECRET_0, config.secret[0]);
  write(US_REG_SECRET_1, config.secret[1]);
  write(US_REG_SECRET_2, config.secret[2]);
  write(US_REG_SECRET_3, config.secret[3]);
}

void device::set_epoch(std::uint16_t e) {
  epoch = e;
  write(US_REG_EPOCH, e);
}

bool device::reception_is_blocked() {
  std::uint32_t control = read(US_REG_CONTROL);
  if (control == all_ones) return false;
  if (control & US_CONTROL_RX_ENABLE) {
    write(US_REG_CONTROL, US_CONTROL_ENABLE);
    control = read(US_REG_CONTROL);
  }
  const std::uint32_t status = read(US_REG_STATUS);
  // Not enabled: it has been reset since it was brought up, and knows no tables.
  return control != all_ones && status != all_ones && (control & US_CONTROL_ENABLE) &&
         !(control & US_CONTROL_RX_ENABLE) && (status & US_STATUS_RX_BLOCKED) && !(status & US_STATUS_FATAL);
}

void device::ring_idt() {
  std::uint32_t tail;
  if (!idt.take_doorbell(&tail)) return;
  ++count_.doorbells;
  write(US_REG_IDT_TAIL, tail);
}

void device::ring_odt() {
  ++count_.doorbells;
  odt_rung_ = odt.head();
  write(US_REG_ODT_HEAD, odt_rung_);
}

void device::ring_tx() {
  for (unsigned q = 0; q < tx_queues_; ++q) {
    std::uint32_t tail;
    if (!tx[q].take_doorbell(&tail)) continue;
    ++count_.doorbells;
    write(US_TX_QUEUE(q) + US_TX_TAIL, tail);
  }
}

bool device::begin_queue(unsigned queue, std::uint32_t entries) {
  const std::uint32_t at = US_TX_QUEUE(queue);
  write(at + US_TX_CONTROL, 0);
  if (!tx[queue].create(hal_, entries, first_index_)) return false;
  tx_echo_[queue] = {};
  write(at + US_TX_BASE_LO, low(tx[queue].iova()));
  write(at + US_TX_BASE_HI, high(tx[queue].iova()));
  write(at + US_TX_SIZE, entries);
  write(at + US_TX_CONTROL, US_TX_ENABLE);
  const std::uint32_t status = read(at + US_TX_STATUS);
  return status != all_ones && (status & US_TX_RUNNING);
}

void device::stop() {
  idt.stop();
  for (idt_ring& ring : tx) ring.stop();
}

void device::announce_now() {
  if (!can_announce_) return;
  ++count_.doorbells;
  write(US_REG_ANNOUNCE_NOW, 1);
}

bool device::beats(std::uint32_t allowed_misses) {
  us_heartbeat h;
  std::memcpy(&h, heartbeat_.cpu, sizeof h);
  if (h.status & US_STATUS_FATAL) return false;
  if (h.count != last_beat_) {
    last_beat_ = h.count;
    missed_ = 0;
    return true;
  }
  return ++missed_ < static_cast<int>(allowed_misses);
}

void device::ring_lost() {
  if (!echoes_ || missed_) return;  // a beat that is missing says nothing
  us_heartbeat h;
  std::memcpy(&h, heartbeat_.cpu, sizeof h);
  if (idt_echo_.lost(idt.told(), h.idt_tail)) {
    ++count_.lost_doorbells;
    write(US_REG_IDT_TAIL, idt.told());
  }
  if (odt_echo_.lost(odt_rung_, h.odt_head)) {
    ++count_.lost_doorbells;
    write(US_REG_ODT_HEAD, odt_rung_);
  }
  for (unsigned q = 0; q < tx_queues_; ++q) {
    if (!tx[q].entries() || !tx_echo_[q].lost(tx[q].told(), h.tx_tail[q])) continue;
    ++count_.lost_doorbells;
    write(US_TX_QUEUE(q) + US_TX_TAIL, tx[q].told());
  }
}

bool device::wakeup_lost() {
  const bool waiting = odt.loud_waits();
  const bool lost = waiting && was_waiting_ && waiting_at_ == odt.head();
  was_waiting_ = waiting;
  waiting_at_ = odt.head();
  return lost;
}

ring_facts device::facts() const {
  ring_facts f{idt.iova(), idt.entries(), odt.iova(), odt.entries(), heartbeat_.iova, epoch, first_index_};
  for (unsigned q = 0; q < tx_queues_; ++q) f.tx[q] = {tx[q].iova(), tx[q].entries()};
  return f;
}

}  // namespace understudy::host
