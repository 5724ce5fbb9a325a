// The adapter's bus master: cuts transfers into TLP-sized requests, keeps posted writes in order, tracks
// reads by tag.
#pragma once
#include <tlm.h>
#include <tlm_utils/simple_initiator_socket.h>

#include <memory>
#include <span>
#include <systemc>
#include <vector>

#include "model/abi/ids.h"
#include "model/core/dma_block.h"
#include "model/core/fifo.h"
#include "model/core/frame.h"
#include "model/core/inplace_function.h"
#include "model/cosim/dma_unit.h"
#include "model/sim/agenda.h"

namespace understudy {

struct dma_config {
  std::uint32_t mps = 256;   // payload bytes of a write request, at most (PCIe 2.2.2)
  std::uint32_t mrrs = 512;  // bytes of a read request, at most (PCIe 2.2.2)
  std::uint32_t tags = 64;   // read requests outstanding, at most, 1 to 768; with `rtl` to dma_unit::max_tags
  // Room for the data of reads that are outstanding: a read is issued when there is room for all of it, as
  // who advertises infinite completion credits must (PCIe 2.6.1). At least mrrs.
  std::uint32_t completion_bytes = 64 * 1024;
  // A read that is not answered after this has failed (PCIe 2.8: 10 ms to 50 ms by default).
  picos completion_timeout = 10_ms;
  picos issue_time = 4_ns;        // engine work for each request: two cycles of 500 MHz
  picos clock_period = 2500_ps;   // of the data path
  std::uint32_t data_bytes = 32;  // that it moves in a cycle: 8, 16, 32 or 64
  bool rtl = false;               // the Verilated data path, whose cycles count where they are more
};

struct dma_counters {
  std::uint64_t operations = 0;  // transfers asked for (a transfer is one contiguous range)
  std::uint64_t write_bytes = 0, read_bytes = 0;
  std::uint64_t requests = 0;    // TLPs
  std::uint64_t failed = 0;      // answers other than OK, and
  std::uint64_t timeouts = 0;    // of these reads that nobody answered
  std::uint64_t unexpected = 0;  // answers after that, or after a reset
  std::uint64_t refused = 0;     // transfers of an impossible range, or that could not be atomic
  // Of read_bytes: those that are there, that failed, and that were never asked for (abort, reset) or came
  // when nobody wanted them any more (reset). At rest the three make up read_bytes.
  std::uint64_t read_bytes_done = 0, read_bytes_failed = 0, read_bytes_aborted = 0;
  std::uint64_t write_bytes_aborted = 0;
};

// What an abort has kept from happening.
struct dma_aborted {
  std::uint32_t transfers = 0;
  std::uint64_t bytes = 0;
};

// Posted writes with the flushes behind them, in order, share the link in turn with reads. Reads have two
// queues, which take turns transfer by transfer; each is started in order and answered in any. A flush is a
// zero-length read that cannot pass the writes before it (PCIe 2.4.1, 2.2.5). While bus_master(false) nothing
// is issued. After stop(), which may come from inside any call that the engine makes, nothing more happens at
// all: requests are forgotten, answers still under way ignored, nobody is called.
class dma_engine : public sc_core::sc_module {
 public:
  using done = inplace_function<void(bool ok), 48>;
  static constexpr std::uint32_t small_bytes = 64;

  tlm_utils::simple_initiator_socket<dma_engine> socket{"socket"};

  // std::invalid_argument if there is no Verilated block of that width or of so many tags.
  dma_engine(const sc_core::sc_module_name& name, const dma_config& config);
  ~dma_engine() override;

  static constexpr unsigned read_queues = 2;
  // Requests that the Verilated block makes at a time, at most: the first leaves at once, what is asked for
  // later goes behind the others. One while a read waits for a tag.
  static constexpr unsigned requests_ahead = 4;

  // Every transfer is refused, counted, and nothing done, with a range of no bytes, above dma_max_bytes, or
  // beyond the address space.
  //
  // Write bytes [offset, offset + length) of the frame to `to`; the frame is kept until they are in host
  // memory. `relaxed`: with the attribute Relaxed Ordering (PCIe 2.2.6.4); what proves or announces other
  // writes never has it.
  dma_status write(iova to, const frame_ref& f, std::uint32_t offset, std::uint32_t length,
                   bool relaxed = false);
  // Write up to 64 bytes, copied now, in one request unless they cross 4 KiB.
  dma_status write_small(iova to, std::span<const std::uint8_t> bytes, bool relaxed = false);
  // no_fragment: the bytes, copied now, are in host memory whole or not at all. Refused (not_atomic), and
  // nothing written, unless `to` is a multiple of atomic_unit() and the bytes are at most that.
  dma_status write_atomic(iova to, std::span<const std::uint8_t> bytes, bool relaxed = false);
  static constexpr std::uint32_t atomic_unit() { return dma_atomic_bytes; }
  // `d` is called when every write queued before has reached the host, as the bus proves it by answering a
  // read behind them.
  void flush(iova at, done d);
  // Read `length` bytes into `to`, which `keep` keeps alive (it may be null for memory that stays). A refused
  // read is not told to `d`.
  dma_status read(iova from, std::uint32_t length, std::uint8_t* to, const frame_ref& keep, done d,
                  unsigned queue = 0);

  // Give up what the queue has not yet asked for. A read is told (false) when what was asked for of it is
  // answered, at once if nothing was; a flush that is dropped is told false. What the Verilated block already
  // holds or has made requests of, at most dma_unit::queue_depth transfers and requests_ahead, goes on.
  dma_aborted abort_reads(unsigned queue);
  dma_aborted abort_writes();

  void bus_master(bool on);
  // Smaller requests or fewer tags than configured, from the next request on; what is more counts as the
  // configured value. Tags (of the link, in frame_extension) are below the limit; above 256 they begin with
  // 256 (PCIe 2.2.6.2). The Verilated block takes new limits when nothing is under way, and nothing new until
  // then.
  void limit(const dma_unit_limits& l);
  // Off: no read times out. On again: the time of those outstanding begins then (PCIe 7.5.3.16 permits it).
  void time_out(bool on);
  void stop();
  // Give up everything queued, also what the Verilated block holds, and forget what is under way: nobody is
  // told, its answers are ignored, and their tags stay taken until they come or time out. What the link has
  // taken of a write lands. The engine goes on with what is asked for next.
  dma_aborted reset();
  // Behind a reset(): the link has lost what is under way, and nothing of it is answered. Tags are free at
  // once, and in order; a transaction object stays away for each read, since it has had no response.
  void forget_reads();
  // Called with the status of each read that has failed; incomplete: nobody answered.
  void on_error(inplace_function<void(tlm::tlm_response_status), 16> h) { error_ = std::move(h); }
  // Called for each answer to a read that has timed out or that a reset has forgotten (PCIe 2.3.2: an
  // Unexpected Completion).
  void on_unexpected(inplace_function<void(), 16> h) { unexpected_ = std::move(h); }
  // Call `a` once, as soon as fewer than `bytes` of posted writes wait; one such wish at a time.
  void when_below(std::uint64_t bytes, inplace_function<void(), 16> a) {
    below_bytes_ = bytes;
    below_ = std::move(a);
  }
  // Bytes of posted writes waiting in the engine.
  std::uint64_t queued_write_bytes() const { return queued_write_bytes_; }
  // Read requests whose answers are missing.
  std::uint32_t outstanding_reads() const { return outstanding_reads_; }
  const dma_counters& counters() const { return counters_; }
  // The Verilated data path; null without.
  dma_unit* block() { return block_.get(); }
  // Evaluated of it so far; 0 without.
  std::uint64_t rtl_cycles() const { return block_ ? cycles_before_reset_ + block_->cycles() : 0; }

 private:
  struct posted {  // a write, small write or flush
    iova at;
    frame_ref frame;
    std::uint32_t offset = 0;
    std::uint32_t length = 0;  // 0: flush
    bool small = false;
    bool relaxed = false;
    std::uint8_t bytes[small_bytes];
    done d;
  };
  struct read_job {
    iova at;
    std::uint32_t length = 0;
    std::uint32_t issued = 0;
    std::uint32_t outstanding = 0;
    std::uint64_t in_block = 0;  // its number there
    bool ok = true;
    std::uint8_t* to = nullptr;
    frame_ref keep;
    done d;
  };
  class transaction_pool;
  struct transaction;

  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& t, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay);
  void step();
  void wake(picos delay);
  void wake_if_work();
  bool refuses(iova at, std::uint64_t length);
  posted& new_posted(iova to, std::uint32_t length);
  bool reads_wait() const;
  bool next_read(std::uint32_t& job);
  bool issue_posted();
  bool issue_read();
  void run_block();
  bool issue_from_block();
  void make_block();
  void fill_block();
  bool take_limits();
  void make_flush(transaction& t, posted& p);
  void make_write(transaction& t, posted& p, std::uint32_t n);
  void make_read(transaction& t, std::uint32_t job, std::uint32_t n);
  picos work(std::uint32_t cycles) const;
  void issue(transaction& t, picos work);
  void end_read(std::uint32_t job);
  void answered(transaction& t);
  void came_too_late();
  std::uint32_t take_tag();
  void order_tags();
  void watch(transaction& t);
  void complete_in_block(const transaction& t, bool ok, bool last);
  void forget_answered();
  void expire_reads();
  void await_expiry();
  void give_up(transaction& t);
  std::uint32_t new_read_job();

  dma_config config_;
  agenda agenda_;
  fifo<posted> posted_;
  fifo<std::uint32_t> reads_waiting_[read_queues];  // indices into jobs_
  unsigned reads_from_ = 0;                         // the queue whose turn it is
  std::vector<read_job> jobs_;
  std::vector<std::uint32_t> free_jobs_;
  std::unique_ptr<transaction_pool> pool_;
  std::uint32_t outstanding_reads_ = 0;
  // Of the C++ data path: in the order in which they became free, at first and after another limit by number.
  fifo<std::uint32_t> free_tags_;
  std::uint32_t reserved_bytes_ = 0;  // of completion_bytes
  struct deadline {
    transaction* read;
    std::uint64_t serial;
    picos at;
  };
  fifo<deadline> deadlines_;  // of reads, in order; the one at the front is outstanding
  bool expiry_pending_ = false;
  bool times_out_ = true;
  std::uint64_t serial_ = 0;  // of the newest read
  std::uint32_t life_ = 0;    // counts resets
  inplace_function<void(tlm::tlm_response_status), 16> error_;
  inplace_function<void(), 16> unexpected_;
  std::uint64_t queued_write_bytes_ = 0;
  std::uint64_t below_bytes_ = 0;
  inplace_function<void(), 16> below_;
  bool step_pending_ = false;
  bool request_phase_open_ = false;  // BEGIN_REQ without END_REQ yet (IEEE 1666 15.2.6 e)
  bool reads_turn_ = false;
  bool write_waits_behind_read_ = false;  // of the C++ data path: a read left while a write waited
  bool bus_master_ = false;
  bool stopped_ = false;
  picos next_issue_ = 0;
  dma_counters counters_;

  dma_unit_limits limits_;  // now
  std::unique_ptr<dma_unit> block_;
  dma_unit_limits block_limits_;  // of the block
  std::uint64_t cycles_before_reset_ = 0;
  fifo<transaction*> ahead_;            // requests of the block that the link has not taken
  std::size_t posted_in_block_ = 0;     // of posted_, from the front
  fifo<std::uint32_t> reads_in_block_;  // jobs that have requests to come
  std::uint64_t block_reads_ = 0;       // ever begun there
  std::uint64_t block_floor_ = 0;       // all before are reported
  std::uint64_t block_ended_ = 0;       // of those behind, by bit
};

}  // namespace understudy
