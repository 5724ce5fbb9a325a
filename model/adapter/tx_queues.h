// Transmit queues: rings of SEND_RAW descriptors beside the input table, for frames that the host has built.
//
// The way of a frame: its queue's doorbell -> descriptors, fetched in batches -> its pieces, read when its
// queue has the turn -> the MAC, which takes one frame of each queue in turn -> a US_REC_RAW record, which
// reports several. A queue with a long backlog holds up no other; reads that the host's memory does not
// answer take the place of others', since all queues share them.
#pragma once
#include <cstdint>
#include <vector>

#include "model/abi/understudy_abi.h"
#include "model/adapter/adapter_config.h"
#include "model/adapter/dma_engine.h"
#include "model/adapter/output_table.h"
#include "model/adapter/raw_chain.h"
#include "model/core/fifo.h"
#include "model/core/frame.h"
#include "model/core/inplace_function.h"
#include "model/sim/agenda.h"

namespace understudy {

struct tx_queue_counters {
  std::uint64_t descriptors = 0;  // taken
  std::uint64_t fetches = 0;      // DMA reads of descriptors
  std::uint64_t reads = 0;        // DMA reads of pieces
  std::uint64_t frames = 0;       // that the MAC has taken
  std::uint64_t failed = 0;       // not sent: a length or a DMA was bad
  std::uint64_t reports = 0;      // records about frames
  std::uint64_t stops = 0;        // for a descriptor that cannot be understood, or a ring that cannot be read
  std::uint64_t refused = 0;      // ENABLE with a ring that cannot be
};

class tx_queues {
 public:
  using ready = inplace_function<void(), 16>;

  // adapter_config::tx_queues of them, all off. `on_ready`: a frame may be ready for the MAC.
  tx_queues(const adapter_config& config, dma_engine& dma, agenda& work, output_table& output,
            ready on_ready);

  unsigned count() const { return static_cast<unsigned>(queues_.size()); }
  // Register `offset` of BAR 0 belongs to a queue that is there.
  bool has_register(std::uint32_t offset) const {
    return offset >= US_TX_BLOCK && offset < US_TX_QUEUE(count());
  }
  std::uint32_t read(std::uint32_t offset) const;
  // False: a doorbell that goes back, beyond its ring, or to a queue that does not run. It changes nothing.
  bool write(std::uint32_t offset, std::uint32_t value);
  // US_CONTROL_ENABLE: without it nothing is fetched, and no queue begins to run.
  void enable(bool on);
  // All are off, as after power-on. The agenda has been cleared and the DMA engine reset.
  void reset();
  std::uint32_t tail(unsigned queue) const { return queue < count() ? queues_[queue].tail : 0; }

  // When the first frame can leave; never: none is there.
  picos next_ready() const;
  // The frame whose turn it is at `now`, of those that can leave; empty: none. It counts as sent. `on_ready`
  // is not called meanwhile: whoever takes one asks next_ready() again.
  frame_ref take(picos now);

  const tx_queue_counters& counters(unsigned queue) const { return queues_[queue].counters; }

 private:
  struct planned {  // descriptors are there, nothing of it is read
    raw_chain chain;
    std::uint32_t bytes = 0;  // 0: it cannot be sent
    std::uint32_t last = 0;   // index of its last descriptor
  };
  struct open_frame {
    frame_ref frame;
    std::uint32_t bytes = 0;
    std::uint32_t last = 0;
    std::uint32_t reads = 0;  // of its pieces, to come
    us_status status = US_OK;
    picos ready_at = 0;  // once all of it is there
  };
  struct queue {
    // Registers.
    std::uint32_t base_lo = 0, base_hi = 0, size = 0, tail = 0, head = 0;
    us_status status = US_OK;  // why it does not run
    bool running = false;
    // Taken by ENABLE.
    iova base;
    std::uint32_t entries = 0;
    std::uint32_t life = 0;  // how often it was switched off: what was under way then is not of now
    bool fetching = false;
    us_status broken = US_OK;  // it will stop when what came before is over
    frame_ref fetched;         // where a read of descriptors goes
    raw_chain chain;           // of the frame whose last descriptor has not come
    std::uint32_t whole = 0;   // index behind the last descriptor of the newest whole frame
    fifo<planned> held;
    std::uint32_t held_descriptors = 0;
    fifo<open_frame> open;  // in order; begun, and not yet taken by the MAC
    std::uint64_t first_open = 0;
    std::uint32_t open_bytes = 0;
    std::uint32_t unreported = 0;
    std::uint32_t last_over = 0;
    bool report_scheduled = false;
    tx_queue_counters counters;
  };
  struct piece_read {
    std::uint32_t queue = 0;
    std::uint32_t life = 0;
    std::uint64_t frame = 0;  // its number in the queue
    raw_piece piece;
  };

  void switch_on(queue& q);
  void switch_off(queue& q);
  void fetch(queue& q);
  void take_descriptors(queue& q, std::uint32_t n);
  void break_at_head(queue& q, us_status why);
  bool may_begin(const queue& q) const;
  void begin(queue& q);
  void go_on();
  void read_over(std::uint32_t queue_number, std::uint32_t life, std::uint64_t frame, bool ok);
  void settle(queue& q);
  void sent(queue& q, std::uint32_t last);
  void report(queue& q, std::uint8_t type, us_status status, std::uint32_t index);
  std::uint32_t number(const queue& q) const { return static_cast<std::uint32_t>(&q - queues_.data()); }

  const adapter_config& config_;
  dma_engine& dma_;
  agenda& work_;
  output_table& output_;
  ready on_ready_;
  bool enabled_ = false;
  bool taking_ = false;
  std::vector<queue> queues_;
  fifo<piece_read> waiting_;   // of the frame that was begun last
  std::uint32_t reading_ = 0;  // reads of pieces outstanding, of all queues
  unsigned read_turn_ = 0;     // queue that begins a frame next, if it can
  unsigned mac_turn_ = 0;      // queue of which the MAC takes one next, if it can
};

}  // namespace understudy
