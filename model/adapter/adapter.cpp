#include "model/adapter/adapter.h"

#include <algorithm>
#include <bit>

namespace understudy {

static_assert(std::endian::native == std::endian::little,
              "descriptors and records are copied as they stand: little-endian");

adapter::adapter(const sc_core::sc_module_name& name, const adapter_config& config, event_log& log,
                 std::uint16_t unit)
    : sc_module(name),
      dma("dma", config.dma),
      ethernet("ethernet_out", "ethernet_in", *this),
      config_(config),
      log_(log),
      unit_(unit),
      config_space_(
          {config.link_generation, config.link_lanes, config.dma.mps, config.dma.mrrs, config.dma.tags}),
      checksum_(!config.checksum_rtl ? make_checksum_twin(config.checksum_bytes)
                : config.checksum_vcd.empty()
                    ? make_checksum_rtl(config.checksum_bytes)
                    : make_checksum_rtl_traced(config.checksum_vcd, config.checksum_bytes)),
      engine_(new tcp_engine(config.tcp, *this)),
      lookup_(config.lookup),
      output_(
          config_, dma, agenda_, [this](cid c, seq32 rcv_nxt) { committed(c, rcv_nxt); },
          [this] { raise_interrupt(US_VECTOR_RECORDS); }),
      tx_queues_(config_, dma, agenda_, output_, [this] { start_transmit(); }),
      announcer_(agenda_, [this](std::span<us_record> all) { write_announcement(all); }),
      fetched_(frame_ref::make(config.descriptors_a_fetch * US_ENTRY_BYTES)),
      connections_(config.tcp.max_connections),
      pool_(config.buffer_allocator_rtl ? make_buffer_allocator_rtl() : make_buffer_allocator_twin()),
      holds_(config.record_coalescer_rtl ? make_record_coalescer_rtl() : make_record_coalescer_twin()),
      held_(holds_->slots()) {
  start_indices();
  reset_msix();
  clear_holds();
  mmio.register_b_transport(this, &adapter::mmio_transport);
  cfg.register_b_transport(this, &adapter::cfg_transport);
  dma.on_error([this](tlm::tlm_response_status s) { report_read_error(s); });
  // PCIe 6.2.3.2.4.5: whoever has lost track of its request knows already.
  dma.on_unexpected([this] { report_error(config_space::aer_unexpected_completion, true); });
  at_power_up_ = evaluated();
}

rtl_cycle_counts adapter::evaluated() const {
  return {config_.checksum_rtl ? checksum_->cycles() : 0, dma.rtl_cycles(),
          config_.buffer_allocator_rtl ? pool_->cycles() : 0,
          config_.record_coalescer_rtl ? holds_->cycles() : 0, lookup_.rtl_cycles()};
}

rtl_cycle_counts adapter::rtl_cycles() const {
  const rtl_cycle_counts now = evaluated(), &then = at_power_up_;
  return {now.checksum - then.checksum, now.dma_engine - then.dma_engine,
          now.buffer_allocator - then.buffer_allocator, now.record_coalescer - then.record_coalescer,
          now.connection_table - then.connection_table};
}

adapter::~adapter() = default;

void adapter::link_trained(unsigned generation, unsigned lanes) {
  if (!dead_) config_space_.trained(generation, lanes);
}

error_message adapter::link_error(std::uint32_t bit) {
  return dead_ ? error_message::none : config_space_.report_correctable(bit);
}

void adapter::link_went_down() {
  config_space_.hot_reset();
  reset();
  dma.forget_reads();
  configure_dma();
}

void adapter::kill() {
  dead_ = true;
  agenda_.close();
  dma.stop();
}

bool adapter::log(event_kind kind, std::uint64_t a, std::uint64_t b) {
  if (dead_) return false;
  log_.emit({kind, unit_, now_ps(), a, b});
  return !dead_;
}

bool adapter::upset_store(std::uint64_t n, unsigned bits) {
  if (dead_ || engine_->connections() == 0) return false;
  n %= engine_->connections();
  for (std::uint32_t i = 0; i < connections_.size(); ++i) {
    const cid c{i, connections_[i].generation};
    if (!engine_->known(c) || n--) continue;
    lookup_.upset(engine_->key_of(engine_->view(c).hard.tuple), bits);
    return true;
  }
  return false;
}

void adapter::expire_time_wait() {
  if (dead_) return;
  engine_->expire_time_wait(now_ps());
  after_engine();
}

void adapter::after_engine() {
  if (dead_) return;
  while (!deferred_grants_.empty()) {
    const deferred_grant g = deferred_grants_.back();
    deferred_grants_.pop_back();
    engine_->grant(now_ps(), g.c, g.edge);
  }
  for (const cid c : announced_) engine_->announced(c);
  announced_.clear();
  const picos deadline = std::max(engine_->next_deadline(), timer_free_);
  if (deadline < timer_at_) {
    timer_at_ = deadline;
    agenda_.at(deadline, [this] { serve_timer(); });
  }
  start_transmit();
}

// One entry of the wheel; the unit is busy with it, and others that are due wait.
void adapter::serve_timer() {
  timer_at_ = never;
  const picos now = now_ps();
  if (engine_->next_deadline() <= now && timer_free_ <= now && log(event_kind::timer)) {
    const tcp_engine::served_timers served = engine_->on_time(now, 1);
    counters_.timers += served.entries;
    counters_.timers_late += served.late;
    timer_free_ = now + served.entries * config_.timer_time;
  }
  after_engine();
}

adapter::connection_buffers& adapter::buffers(cid c) {
  connection_buffers& b = connections_[c.index()];
  if (b.generation != c.generation()) {
    receive_store_.clear(b.rx);
    receive_store_.clear(b.direct);
    while (!b.tx.empty()) drop_sent(b);
    b.terms = {};
    b.group = 0;
    b.generation = c.generation();
    b.reads = 0;
    b.acked_dirty = b.told = b.opened = b.gathered = b.held = b.credit = b.urgent = false;
    b.pool_bytes = 0;
  }
  return b;
}

}  // namespace understudy
