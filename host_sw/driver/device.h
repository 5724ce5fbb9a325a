// One adapter as the driver sees it: registers, tables, heartbeat, health.
#pragma once
#include <cstdint>

#include "host_sw/driver/driver.h"
#include "host_sw/driver/idt_ring.h"
#include "host_sw/driver/odt_ring.h"
#include "host_sw/hal/hal.h"

namespace understudy::host {

class device {
 public:
  device(hal& h, driver_counters& count, unsigned number) : hal_(h), count_(count), number_(number) {}

  // Check what it is, switch bus mastering and interrupts on, give it tables, key, clock and heartbeat,
  // enable it with reception blocked. `handlers[v]` and `contexts[v]` belong to vector v.
  start_result bring_up(const driver_config& config, std::uint16_t epoch,
                        const hal::handler (&handlers)[US_MSIX_VECTORS],
                        void* const (&contexts)[US_MSIX_VECTORS]);

  std::uint32_t read(std::uint32_t reg) {
    ++count_.mmio_reads;
    return hal_.mmio_read32(number_, reg);
  }
  void write(std::uint32_t reg, std::uint32_t value) { hal_.mmio_write32(number_, reg, value); }
  void write_clock_and_secret(const driver_config& config, std::uint32_t ticks_ahead);
  void set_epoch(std::uint16_t epoch);
  void allow_reception() { write(US_REG_CONTROL, receiving); }
  // True if that has arrived.
  bool reception_is_allowed() { return read(US_REG_CONTROL) == receiving; }
  // True if it answers and drops every frame. Tries to bring that about.
  bool reception_is_blocked();

  // Tell it of new descriptors / of consumed records, which arms the interrupt.
  void ring_idt();
  void ring_odt();
  void ring_tx();

  // Transmit queue `queue`, below tx_queues(), begins with an empty ring of `entries`; what was open in it is
  // forgotten. False: no memory, or the adapter refuses it.
  bool begin_queue(unsigned queue, std::uint32_t entries);

  // Look at the heartbeat block, once each period. False: it missed too many beats, or reports a fatal error.
  bool beats(std::uint32_t allowed_misses);
  // Once each period: a doorbell that two heartbeats in a row have said to be missing is rung again.
  void ring_lost();
  // A record that is not quiet waits, unchanged, since the last call: its interrupt got lost.
  bool wakeup_lost();

  unsigned number() const { return number_; }
  ring_facts facts() const;

  bool alive = true;     // false: failed, never used again
  bool serving = false;  // connections are loaded into it, or their last records are being drained
  idt_ring idt;
  odt_ring odt;
  idt_ring tx[US_TX_QUEUES_MOST];  // without entries: not open
  unsigned tx_queues() const { return tx_queues_; }
  // It is gone: no descriptor waits for a slot any more.
  void stop();
  std::uint16_t epoch = 0;
  std::uint32_t max_connections = 0;
  bool can_announce() const { return can_announce_; }
  void announce_now();
  bool can_set_options() const { return can_set_options_; }
  bool can_send_raw() const { return can_send_raw_; }
  bool can_inline() const { return can_inline_; }
  bool has_memory_features() const { return has_memory_features_; }
  std::uint32_t pool_posted[US_GROUPS] = {};  // buffers in its pool, by group
  std::uint64_t service_timer = 0;
  bool paused = false;  // record processing will go on from a timer

 private:
  static constexpr std::uint32_t receiving = US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE;
  // A doorbell, and whether the adapter has it.
  struct echo {
    std::uint32_t rung = 0;
    bool missing = false;
    // `heard`: what the adapter has. True: it has missed `now`, and at the last look already.
    bool lost(std::uint32_t now, std::uint32_t heard) {
      const bool again = missing && rung == now && heard != now;
      rung = now;
      missing = heard != now;
      return again;
    }
  };

  bool can_set_options_ = false;
  bool can_announce_ = false;
  bool can_send_raw_ = false;
  bool can_inline_ = false;
  bool has_memory_features_ = false;
  bool echoes_ = false;
  hal& hal_;
  driver_counters& count_;
  unsigned number_;
  dma_region heartbeat_;
  std::uint32_t last_beat_ = 0;
  int missed_ = 0;
  std::uint32_t first_index_ = 0;
  std::uint32_t odt_rung_ = 0;
  echo idt_echo_, odt_echo_, tx_echo_[US_TX_QUEUES_MOST];
  unsigned tx_queues_ = 0;
  bool was_waiting_ = false;
  std::uint32_t waiting_at_ = 0;
};

}  // namespace understudy::host
