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
#include "model/core/fifo.h"
#include "model/core/frame.h"
#include "model/core/inplace_function.h"
#include "model/sim/agenda.h"

namespace understudy {

struct dma_config {
  std::uint32_t mps = 256;   // payload bytes of a write request, at most (PCIe 2.2.2)
  std::uint32_t mrrs = 512;  // bytes of a read request, at most (PCIe 2.2.2)
  std::uint32_t tags = 64;   // read requests outstanding, at most
  picos issue_time = 4_ns;   // engine work for each request: two cycles of 500 MHz
};

struct dma_counters {
  std::uint64_t operations = 0;  // transfers asked for (a transfer is one contiguous range)
  std::uint64_t write_bytes = 0, read_bytes = 0;
  std::uint64_t requests = 0;  // TLPs
  std::uint64_t failed = 0;    // answers other than OK
};

// Two queues share the link in turn: posted writes with the flushes behind them, in order; reads, started in
// order and answered in any. A flush is a zero-length read that cannot pass the writes before it
// (PCIe 2.4.1, 2.2.5). While bus_master(false) nothing is issued. After stop(), which may come from inside
// any call that the engine makes, nothing more happens at all: requests are forgotten, answers still under
// way ignored, nobody is called.
class dma_engine : public sc_core::sc_module {
 public:
  using done = inplace_function<void(bool ok), 48>;
  static constexpr std::uint32_t small_bytes = 64;

  tlm_utils::simple_initiator_socket<dma_engine> socket{"socket"};

  dma_engine(const sc_core::sc_module_name& name, const dma_config& config);
  ~dma_engine() override;

  // Write bytes [offset, offset + length) of the frame to `to`; the frame is kept until they are in host
  // memory.
  void write(iova to, const frame_ref& f, std::uint32_t offset, std::uint32_t length);
  // Write up to 64 bytes, copied now; never split (the caller aligns: a record is one TLP).
  void write_small(iova to, std::span<const std::uint8_t> bytes);
  // `d` is called when every write queued before has reached the host, as the bus proves it by answering a
  // read behind them.
  void flush(iova at, done d);
  // Read `length` bytes (above 0) into `to`, which `keep` keeps alive (it may be null for memory that stays).
  void read(iova from, std::uint32_t length, std::uint8_t* to, const frame_ref& keep, done d);

  void bus_master(bool on);
  void stop();
  // Forget everything queued and under way; nobody is told. The engine goes on with what is asked for next.
  void reset();
  // Call `a` once, as soon as fewer than `bytes` of posted writes wait; one such wish at a time.
  void when_below(std::uint64_t bytes, inplace_function<void(), 16> a) {
    below_bytes_ = bytes;
    below_ = std::move(a);
  }
  // Bytes of posted writes waiting in the engine.
  std::uint64_t queued_write_bytes() const { return queued_write_bytes_; }
  const dma_counters& counters() const { return counters_; }

 private:
  struct posted {  // a write, small write or flush
    iova at;
    frame_ref frame;
    std::uint32_t offset = 0;
    std::uint32_t length = 0;  // 0: flush
    bool small = false;
    std::uint8_t bytes[small_bytes];
    done d;
  };
  struct read_job {
    iova at;
    std::uint32_t length = 0;
    std::uint32_t issued = 0;
    std::uint32_t outstanding = 0;
    bool ok = true;
    bool busy = false;
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
  bool issue_posted();
  bool issue_read();
  void issue(transaction& t);
  void answered(transaction& t);
  std::uint32_t new_read_job();

  dma_config config_;
  agenda agenda_;
  fifo<posted> posted_;
  fifo<std::uint32_t> reads_waiting_;  // indices into jobs_
  std::vector<read_job> jobs_;
  std::vector<std::uint32_t> free_jobs_;
  std::unique_ptr<transaction_pool> pool_;
  std::uint32_t outstanding_reads_ = 0;
  std::uint64_t queued_write_bytes_ = 0;
  std::uint64_t below_bytes_ = 0;
  inplace_function<void(), 16> below_;
  bool step_pending_ = false;
  bool request_phase_open_ = false;  // BEGIN_REQ without END_REQ yet (IEEE 1666 15.2.6 e)
  bool reads_turn_ = false;
  bool bus_master_ = false;
  bool stopped_ = false;
  picos next_issue_ = 0;
  dma_counters counters_;
};

}  // namespace understudy
