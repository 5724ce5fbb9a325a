// BAR 0 and configuration space of the adapter, its interrupts and its heartbeat.
#include <cstring>
#include <utility>

#include "model/adapter/adapter.h"
#include "model/adapter/descriptor_ring.h"
#include "model/pcie/poison_extension.h"

namespace understudy {

namespace {

constexpr std::uint32_t msix_masked = 1;  // of a vector's control

// A dword access inside `size` bytes: what a register file takes (anything else is answered as hardware
// would).
bool dword_access(tlm::tlm_generic_payload& t, std::uint64_t size) {
  if (t.get_address() > size - 4 || t.get_address() % 4 != 0) {
    t.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return false;
  }
  if (t.get_data_length() != 4 || t.get_streaming_width() < 4) {
    t.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return false;
  }
  if (t.get_byte_enable_ptr()) {
    t.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
    return false;
  }
  return true;
}

}  // namespace

void adapter::mmio_transport(tlm::tlm_generic_payload& t, sc_core::sc_time& delay) {
  if (dead_) {  // nobody answers: the requester's completion time-out ends it
    t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    return;
  }
  if (!dword_access(t, US_BAR0_SIZE)) {
    report_error(config_space::aer_unsupported_request, t.is_read());
    return;
  }
  if (const auto* e = t.get_extension<poison_extension>(); e && e->poisoned && t.is_write()) {
    // PCIe 2.7.2.2: a control register is not modified.
    report_error(config_space::aer_poisoned, false);
    t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    return;
  }
  delay += to_sc(config_.register_access);
  const auto offset = static_cast<std::uint32_t>(t.get_address());
  std::uint32_t value;
  if (t.is_read()) {
    value = read_register(offset);
    std::memcpy(t.get_data_ptr(), &value, 4);
  } else {
    std::memcpy(&value, t.get_data_ptr(), 4);
    write_register(offset, value);
  }
  t.set_response_status(dead_ ? tlm::TLM_GENERIC_ERROR_RESPONSE
                              : tlm::TLM_OK_RESPONSE);  // it may die while it works
}

void adapter::cfg_transport(tlm::tlm_generic_payload& t, sc_core::sc_time& delay) {
  if (dead_) {
    t.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
    return;
  }
  if (!dword_access(t, config_space::bytes)) {
    report_error(config_space::aer_unsupported_request, true);
    return;
  }
  delay += to_sc(config_.register_access);
  const auto offset = static_cast<std::uint32_t>(t.get_address());
  std::uint32_t value;
  if (t.is_read()) {
    value = config_space_.read(offset);
    if (offset == config_space::device_control && dma.outstanding_reads())
      value |= config_space::transactions_pending;
    std::memcpy(t.get_data_ptr(), &value, 4);
  } else {
    std::memcpy(&value, t.get_data_ptr(), 4);
    if ((offset & ~3u) == config_space::device_control && (value & config_space::initiate_flr)) {
      config_space_.reset();
      reset();
    } else {
      config_space_.write(offset, value);
    }
    configure_dma();
    send_pending_interrupts();
  }
  t.set_response_status(tlm::TLM_OK_RESPONSE);
}

// As configuration space says now.
void adapter::configure_dma() {
  dma.limit({config_space_.mps(), config_space_.mrrs(), config_space_.tags()});
  dma.time_out(config_space_.completion_timeout());
  dma.bus_master(config_space_.bus_master());
}

void adapter::report_error(std::uint32_t bit, bool advisory) {
  const error_message m = config_space_.report_error(bit, advisory);
  if (m != error_message::none && signal_error_) signal_error_(m);
}

// A read of ours has failed: the status registers say how (PCIe 7.8.4.2, 7.5.1.1.4).
void adapter::report_read_error(tlm::tlm_response_status s) {
  switch (s) {
    case tlm::TLM_INCOMPLETE_RESPONSE:
      return report_error(config_space::aer_completion_timeout, false);
    case tlm::TLM_GENERIC_ERROR_RESPONSE:
      return report_error(config_space::aer_poisoned, false);
    case tlm::TLM_COMMAND_ERROR_RESPONSE:
      return config_space_.report(config_space::command, config_space::received_target_abort);
    default:
      return config_space_.report(config_space::command, config_space::received_master_abort);
  }
}

std::uint32_t adapter::read_register(std::uint32_t offset) {
  if (offset >= US_MSIX_TABLE) {
    const std::uint32_t i = (offset - US_MSIX_TABLE) / 4;
    return offset == US_MSIX_PBA ? msix_pending_ : i < US_MSIX_VECTORS * 4 ? msix_[i / 4][i % 4] : 0;
  }
  if (tx_queues_.has_register(offset)) return tx_queues_.read(offset);
  switch (offset) {
    case US_REG_ID:
      return US_MAGIC;
    case US_REG_ABI_VERSION:
      return US_ABI_MAJOR << 16 | (tx_queues_.count() ? US_ABI_MINOR : US_ABI_MINOR_WITHOUT_QUEUES);
    case US_REG_FEATURES:
      return US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE | US_FEATURE_HEARTBEAT |
             US_FEATURE_SET_OPTIONS | US_FEATURE_ANNOUNCE | US_FEATURE_SEND_RAW | US_FEATURE_MEMORY |
             US_FEATURE_VLAN | US_FEATURE_INLINE | US_FEATURE_ECHO |
             (tx_queues_.count() ? US_FEATURE_TX_QUEUES : 0u) |
             (config_.tcp.timestamps ? US_FEATURE_TIMESTAMPS : 0u) |
             (config_.tcp.window_scaling ? US_FEATURE_WINDOW_SCALE : 0u);
    case US_REG_STATUS:
      return status_;
    case US_REG_CONTROL:
      return control_;
    case US_REG_MAX_CONNECTIONS:
      return config_.tcp.max_connections;
    case US_REG_IDT_HEAD:
      return idt_head_;
    case US_REG_DROPPED_BLOCKED:
      return static_cast<std::uint32_t>(counters_.dropped_blocked - at_reset_.dropped_blocked);
    case US_REG_DROPPED_BAD:
      return static_cast<std::uint32_t>(counters_.dropped.bad() - at_reset_.dropped.bad());
    case US_REG_REFUSED_COMMANDS:
      return static_cast<std::uint32_t>(counters_.refused - at_reset_.refused);
    case US_REG_BAD_DOORBELLS:
      return static_cast<std::uint32_t>(counters_.bad_doorbells - at_reset_.bad_doorbells);
    case US_REG_TX_QUEUES:
      return tx_queues_.count();
    case US_REG_DMA_ATOMIC:
      return dma_engine::atomic_unit();
    case US_REG_SECRET_0:
    case US_REG_SECRET_1:
    case US_REG_SECRET_2:
    case US_REG_SECRET_3:
    case US_REG_ANNOUNCE_NOW:
      return 0;
    default:
      return regs_[offset / 4];
  }
}

void adapter::write_register(std::uint32_t offset, std::uint32_t value) {
  if (offset >= US_MSIX_TABLE) {
    const std::uint32_t i = (offset - US_MSIX_TABLE) / 4;
    if (i >= US_MSIX_VECTORS * 4) return;
    const bool control = i % 4 == 3;
    msix_[i / 4][i % 4] = control ? value & msix_masked : value;
    if (control) send_pending_interrupts();
    return;
  }
  if (offset == US_REG_CONTROL) {
    control(value);
    return;
  }
  if (tx_queues_.has_register(offset)) {
    if (!tx_queues_.write(offset, value)) ++counters_.bad_doorbells;
    return;
  }
  const std::uint32_t before = std::exchange(regs_[offset / 4], value);
  switch (offset) {
    case US_REG_IDT_TAIL: {
      if (!doorbell_ok(idt_head_, idt_tail_, regs_[US_REG_IDT_SIZE / 4], value)) {
        ignore_doorbell(offset, before);
        return;
      }
      output_.input_doorbell(idt_tail_, value);
      idt_tail_ = value;
      fetch_descriptors();
      break;
    }
    case US_REG_ODT_HEAD:
      if (output_.host_consumed(value)) {
        // PCI 3.0 6.8.3.5: what a pending bit tells of has been served.
        if (output_.head() == output_.tail()) msix_pending_ &= ~(1u << US_VECTOR_RECORDS);
        after_engine();
      } else
        ignore_doorbell(offset, before);
      break;
    case US_REG_ANNOUNCE_COUNT:
    case US_REG_ANNOUNCE_AGE_US:
      announcer_.configure(regs_[US_REG_ANNOUNCE_COUNT / 4], regs_[US_REG_ANNOUNCE_AGE_US / 4] * 1_us);
      break;
    case US_REG_HOLD_BYTES:
    case US_REG_HOLD_COUNT:
    case US_REG_HOLD_US:
      configure_holding();
      break;
    case US_REG_ANNOUNCE_NOW:
      announcer_.flush(announce_reason::idle);
      after_engine();
      break;
    case US_REG_HEARTBEAT_US:
      if (value) start_beating();
      break;
    case US_REG_EPOCH:
      output_.set_epoch(static_cast<std::uint16_t>(value));
      break;
    case US_REG_CLOCK_MS:
      engine_->set_clock(now_ps(), value);
      break;
    case US_REG_SECRET_3: {
      const std::uint32_t key[4] = {regs_[US_REG_SECRET_0 / 4], regs_[US_REG_SECRET_1 / 4],
                                    regs_[US_REG_SECRET_2 / 4], value};
      engine_->set_secret(key);
      break;
    }
    default:
      break;
  }
}

// Back, or beyond the ring: the index stays what it was `before`.
void adapter::ignore_doorbell(std::uint32_t offset, std::uint32_t before) {
  regs_[offset / 4] = before;
  ++counters_.bad_doorbells;
}

void adapter::control(std::uint32_t value) {
  if (value & US_CONTROL_RESET) {
    reset();
    return;
  }
  const std::uint32_t before = control_;
  control_ = value & (US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE);
  const auto address = [this](std::uint32_t lo, std::uint32_t hi) {
    return iova{static_cast<std::uint64_t>(regs_[hi / 4]) << 32 | regs_[lo / 4]};
  };
  if (control_ & ~before & US_CONTROL_ENABLE) {
    const std::uint32_t idt = regs_[US_REG_IDT_SIZE / 4];
    const std::uint32_t odt = regs_[US_REG_ODT_SIZE / 4];
    const iova odt_base = address(US_REG_ODT_BASE_LO, US_REG_ODT_BASE_HI);
    if (!ring_entries_ok(idt) || !ring_entries_ok(odt) || odt_base.raw % US_ENTRY_BYTES ||
        regs_[US_REG_IDT_BASE_LO / 4] % US_ENTRY_BYTES) {
      status_ |= US_STATUS_FATAL;
      control_ = 0;
      return;
    }
    output_.configure(odt_base, odt);
    tx_queues_.enable(true);
    if (regs_[US_REG_HEARTBEAT_US / 4]) start_beating();
  }
  if (control_ & ~before & US_CONTROL_RX_ENABLE) {
    status_ &= ~US_STATUS_RX_BLOCKED;
    announce_addresses();
    engine_->kick_restored(now_ps());
    after_engine();
  }
  if (!(control_ & US_CONTROL_RX_ENABLE)) status_ |= US_STATUS_RX_BLOCKED;
  if (!(control_ & US_CONTROL_ENABLE)) tx_queues_.enable(false);
}

void adapter::start_indices() {
  idt_tail_ = idt_head_ = config_.first_index;
  regs_[US_REG_IDT_TAIL / 4] = regs_[US_REG_ODT_HEAD / 4] = config_.first_index;
}

void adapter::reset() {
  agenda_.clear();
  dma.reset();
  engine_.reset(new tcp_engine(config_.tcp, *this));
  lookup_.reset();
  output_.reset();
  announcer_.clear();
  control_ = 0;
  status_ = US_STATUS_READY | US_STATUS_RX_BLOCKED;
  at_reset_ = counters_;
  std::memset(regs_, 0, sizeof regs_);
  start_indices();
  reset_msix();
  heartbeat_count_ = 0;
  beating_ = false;
  fetching_ = false;
  fetched_ = frame_ref::make(fetched_.size());  // a late answer belongs to the old one
  for (auto& a : addresses_) a = local_address{};
  neighbours_.clear();
  for (auto& b : connections_) {
    receive_store_.clear(b.rx);
    receive_store_.clear(b.direct);
    while (!b.tx.empty()) drop_sent(b);
    for (; !b.waiting.empty(); accepted_store_.pop(b.waiting)) accepted_store_.front(b.waiting).frame = {};
    b = connection_buffers{};
  }
  clear_holds();
  pool_->reset();
  pool_peak_ = 0;
  std::fill(std::begin(group_bytes_), std::end(group_bytes_), 0u);
  rules_.clear();
  listen_terms_.clear();
  announced_.clear();
  deferred_grants_.clear();
  acked_.clear();
  ended_.clear();
  acked_scheduled_ = false;
  rx_fifo_.clear();
  rx_at_engine_ = 0;
  rx_ready_ = 0;
  timer_free_ = 0;
  inline_for_ = {};
  inline_bytes_ = {};
  rx_fifo_bytes_ = 0;
  rx_stalled_ = false;
  out_frames_.clear();
  out_control_.clear();
  out_data_.clear();
  waiting_kicks_.clear();
  slots_.clear();
  free_slots_.clear();
  waiting_for_neighbour_.clear();
  tx_queues_.reset();
  queues_turn_ = false;
  raw_chain_.count = 0;
  raw_first_ += raw_frames_.size();
  raw_frames_.clear();
  raw_reads_waiting_.clear();
  raw_reading_ = raw_unreported_ = 0;
  raw_report_scheduled_ = false;
  transmit_scheduled_ = false;
  timer_at_ = never;
}

void adapter::reset_msix() {
  std::memset(msix_, 0, sizeof msix_);
  for (auto& v : msix_) v[3] = msix_masked;
  msix_pending_ = 0;
}

void adapter::raise_interrupt(unsigned vector) {
  if (!config_space_.msix_enabled()) return;
  msix_pending_ |= 1u << vector;
  send_pending_interrupts();
}

void adapter::send_pending_interrupts() {
  if (!config_space_.msix_enabled() || config_space_.msix_function_masked()) return;
  for (unsigned v = 0; v < US_MSIX_VECTORS; ++v) {
    if (!(msix_pending_ & 1u << v) || msix_[v][3] & msix_masked) continue;
    msix_pending_ &= ~(1u << v);
    send_interrupt(v);
  }
}

void adapter::send_interrupt(unsigned vector) {
  const std::uint32_t* v = msix_[vector];
  dma.write_small(iova{static_cast<std::uint64_t>(v[1]) << 32 | v[0]},
                  {reinterpret_cast<const std::uint8_t*>(&v[2]), 4});
}

void adapter::start_beating() {
  if (beating_) return;
  beating_ = true;
  beat();
}

void adapter::beat() {
  const std::uint32_t period = regs_[US_REG_HEARTBEAT_US / 4];
  if (period == 0 || !(control_ & US_CONTROL_ENABLE)) {
    beating_ = false;
    return;
  }
  if (muted_) return;
  us_heartbeat h{};
  h.count = ++heartbeat_count_;
  h.epoch = static_cast<std::uint16_t>(regs_[US_REG_EPOCH / 4]);
  h.status = status_;
  h.connections = engine_->connections();
  h.idt_tail = regs_[US_REG_IDT_TAIL / 4];
  h.odt_head = regs_[US_REG_ODT_HEAD / 4];
  for (unsigned q = 0; q < tx_queues_.count(); ++q) h.tx_tail[q] = tx_queues_.tail(q);
  dma.write_atomic(
      iova{static_cast<std::uint64_t>(regs_[US_REG_HEARTBEAT_HI / 4]) << 32 | regs_[US_REG_HEARTBEAT_LO / 4]},
      {reinterpret_cast<const std::uint8_t*>(&h), sizeof h});
  agenda_.in(period * 1_us, [this] { beat(); });
}

}  // namespace understudy
