// Rings, doorbells, interrupts and bus accesses of the host's adapters, judged by what is truly visible in
// memory. I-DMA-1, I-DMA-2, I-DMA-4, I-Q-1 to I-Q-5, I-LV-2.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "model/sim/agenda.h"
#include "tb/monitors/monitor.h"
#include "tb/monitors/posted_buffers.h"

namespace understudy::tb {

class ring_watch {
 public:
  // `record_visible(adapter, record)` is called for each valid record at the instant when it is visible in
  // host memory.
  using record_visible = std::function<void(unsigned adapter, const us_record& r, const event& e)>;

  // A record that lies longer than this, and no interrupt has called a driver that is not at work, is a lost
  // wake-up: a hundred times the moderation's default. How long the driver then takes is not judged here: a
  // busy CPU is no lost wake-up.
  static constexpr picos wakeup_deadline = 1_ms;

  // `posted`: kept by the owner.
  ring_watch(const host::any_driver& d, const posted_buffers& posted, unsigned adapters, record_visible f,
             const event_history& history);

  void on_event(const event& e);
  // ---- the driver's side
  void on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length);
  void on_send_freed(cid c, seq32 below);
  void on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint32_t index);
  void on_tx_queue(unsigned adapter, unsigned queue);
  void on_tx_descriptor(unsigned adapter, unsigned queue, const us_idt_entry& d, std::uint32_t index);
  // `wild`: it names a buffer or bytes that its adapter does not have; the driver must refuse it.
  void on_record(unsigned adapter, const us_record& r, const event_log& log, bool wild);
  // The connection is over: its send ranges are the host's again.
  void on_connection_end(cid c);
  // The adapter is dead or fenced: nothing of it may land any more; what it had announced the drain consumes.
  void on_fenced(unsigned adapter);
  void end_of_run(std::uint64_t events, picos now);

  std::vector<const monitor*> monitors() const;

 private:
  struct loud {
    std::uint32_t number;
    picos at;
  };
  struct raw_piece {  // of a frame that the host has built, until a record says that it is over
    std::uint32_t index;
    std::uint64_t at;
    std::uint32_t length;
  };
  // A ring of descriptors that an adapter reads.
  struct read_ring {
    std::uint64_t at = 0;
    std::uint32_t entries = 0;  // 0: it is not open
    std::uint32_t tail = 0;     // at the device
    std::uint32_t fetched = 0;
    fifo<raw_piece> raw;  // posted by it
    std::uint64_t bytes() const { return std::uint64_t{entries} * US_ENTRY_BYTES; }
  };
  struct adapter_state {
    host::ring_facts rings;
    bool known = false;  // rings read from the driver
    bool fenced = false;
    bool unsilenced = false;           // goes on by itself after its fence
    bool faulty = false;               // struck by a fault: it need not wake anybody any more
    std::uint32_t records_issued = 0;  // TLPs into the output table
    std::uint32_t records_visible = 0;
    std::uint32_t head = 0;  // ODT_HEAD at the device
    // As us_record's `ring` counts: 0 is the input table, n transmit queue n - 1.
    std::array<read_ring, 1 + US_TX_QUEUES_MOST> read;
    fifo<std::uint32_t> interrupt_covers;  // records issued when each interrupt message left
    fifo<loud> visible_at;                 // of the records not yet consumed that an interrupt is due for
    picos armed_at = 0;                    // the driver's latest word that it wants an interrupt
    bool woken = false;                    // one came since
    std::uint32_t consumed = 0;
  };
  static bool inside(std::uint64_t at, std::uint64_t length, std::uint64_t base, std::uint64_t size) {
    return at >= base && at + length <= base + size;
  }
  adapter_state& state(unsigned adapter);
  void write_visible(const event& e);
  // One record of a write, at `at`.
  void record_written(adapter_state& a, const event& e, std::uint64_t at, const std::uint8_t* bytes);
  void tlp_up(const event& e);
  void doorbell(read_ring& r, const char* of, const event& e);
  // For how long the oldest record has lain while nobody woke the driver.
  static picos unheard(adapter_state& a, picos now);
  void judge_wakeup(unsigned adapter, std::uint64_t event, picos now);
  void judge_refusal();
  bool is_posted(std::uint64_t at, std::uint32_t length) const;

  const host::any_driver& driver_;
  const posted_buffers& posted_;
  const event_history& history_;
  record_visible record_visible_;
  std::vector<adapter_state> adapters_;
  std::pmr::unsynchronized_pool_resource nodes_;
  std::pmr::multimap<std::uint64_t, std::uint64_t> readable_{
      &nodes_};  // posted send ranges: address -> length
  struct sent {
    seq32 end;
    std::uint64_t at;
    std::uint32_t length;
  };
  void no_longer_readable(const sent& s);
  std::unordered_map<std::uint32_t, fifo<sent>> sent_;  // cid -> ranges in order; never walked
  monitor dma1_{"I-DMA-1", history_}, dma2_{"I-DMA-2", history_}, dma4_{"I-DMA-4", history_},
      q1_{"I-Q-1", history_}, q2_{"I-Q-2", history_}, q3_{"I-Q-3", history_}, q4_{"I-Q-4", history_},
      q5_{"I-Q-5", history_}, lv2_{"I-LV-2", history_};
  struct {
    bool waits = false;  // the driver has yet to refuse it
    std::uint32_t number = 0;
    unsigned adapter = 0;
    std::uint64_t bad_before = 0;  // records that the driver had refused
  } wild_;
};

}  // namespace understudy::tb
