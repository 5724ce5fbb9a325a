// The output descriptor table: numbers records, writes them to host memory, proves them visible, raises the
// interrupt.
#pragma once
#include <cstdint>
#include <span>

#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"
#include "model/adapter/adapter_config.h"
#include "model/adapter/dma_engine.h"
#include "model/core/fifo.h"
#include "model/core/inplace_function.h"
#include "model/sim/agenda.h"

namespace understudy {

struct output_table_counters {
  std::uint64_t records = 0, flushes = 0, interrupts = 0, stalled = 0;
  // Those that establishment of connections caused: interrupts while new EMBRYO or ESTABLISHED records lay in
  // the table; ODT_HEAD doorbells that passed such records, and IDT_TAIL doorbells up to the next ODT_HEAD,
  // those left out that bring nothing but requests to connect.
  std::uint64_t opening_interrupts = 0, opening_doorbells = 0;
};

// A record that finds the ring full waits until the host has consumed others; order is kept.
class output_table {
 public:
  using committed = inplace_function<void(cid c, seq32 rcv_nxt), 16>;
  using interrupt = inplace_function<void(), 16>;

  // `on_commit` is told, in order, of each record pushed with prove = true once it and what it covers are
  // visible. `raise` is to send the interrupt message behind what is queued.
  output_table(const adapter_config& config, dma_engine& dma, agenda& work, committed on_commit,
               interrupt raise);

  // Ring of `entries` (a power of two) at `base`; numbering starts at adapter_config::first_index.
  void configure(iova base, std::uint32_t entries);
  bool configured() const { return entries_ != 0; }
  // Back to the state after construction; proofs under way are forgotten.
  void reset();
  void set_epoch(std::uint16_t e) { epoch_ = e; }

  // Complete `r` (number, epoch, idt_head, crc) and write it behind everything queued. `prove`: on_commit(c,
  // r.rcv_nxt) follows. Payload that the record covers was queued before.
  // `quiet`: no interrupt is needed for it.
  void push(us_record r, bool prove, bool quiet = false);
  // Complete and write all of them in one write (two at the table's end) behind everything queued; `prove` as
  // in push().
  void push_burst(std::span<us_record> all, bool prove = false);
  // Interrupt for quiet records, too.
  void call_host();
  // Doorbell IDT_TAIL: entries `begin` to `end` - 1 of the input table are new.
  void input_doorbell(std::uint32_t begin, std::uint32_t end) {
    if (opening_served_) served_.push_back({begin, end});
  }
  // Entry `index` of the input table is executed; `connect`: it asks for a connection.
  void input_executed(std::uint32_t index, bool connect);
  // Records that fit now.
  std::uint32_t room() const {
    return waiting_.empty() && tail_ - host_head_ < entries_ ? entries_ - (tail_ - host_head_) : 0;
  }
  // Doorbell ODT_HEAD. Out of range (beyond what was written): ignored, false.
  bool host_consumed(std::uint32_t head);
  // To be written into records from now on.
  void set_idt_head(std::uint32_t h) { idt_head_ = h; }

  // The idt_head that the newest record carries.
  std::uint32_t reported_idt_head() const { return reported_idt_head_; }
  std::uint32_t tail() const { return tail_; }
  std::uint32_t head() const { return host_head_; }
  const output_table_counters& counters() const { return counters_; }

 private:
  struct waiting {
    us_record r;
    bool prove;
    bool quiet;
  };
  struct unproven {
    cid c;
    seq32 rcv_nxt;
    std::uint32_t number;
  };
  struct span_of_entries {
    std::uint32_t begin;
    std::uint32_t end;
  };
  void write(us_record& r, bool prove, bool quiet);
  void seal(us_record& r);
  // Somebody waits for the records written so far: interrupt.
  void loud();
  bool loud_waits() const { return static_cast<std::int32_t>(loud_tail_ - host_head_) > 0; }
  void start_proof();
  void proven_up_to(std::uint32_t number);  // exclusive
  void schedule_interrupt();

  const adapter_config& config_;
  dma_engine& dma_;
  agenda& work_;
  committed on_commit_;
  interrupt raise_;
  iova base_;
  std::uint32_t entries_ = 0;
  std::uint16_t epoch_ = 0;
  std::uint32_t tail_ = 0;
  std::uint32_t host_head_ = 0;
  std::uint32_t idt_head_ = 0;
  std::uint32_t reported_idt_head_ = 0;
  std::uint32_t flush_covers_ = 0;  // the newest flush proves records below this
  std::uint32_t flushes_out_ = 0;
  bool armed_ = true;
  bool interrupt_pending_ = false;
  std::uint32_t loud_tail_ = 0;       // after the newest record that is not quiet
  std::uint32_t interrupt_tail_ = 0;  // tail at the newest interrupt
  fifo<std::uint32_t> opening_;       // numbers of EMBRYO and ESTABLISHED records not consumed
  bool opening_served_ = false;       // the newest ODT_HEAD passed some
  fifo<span_of_entries> served_;      // IDT_TAIL doorbells meanwhile, until they turn out to count or not
  picos last_interrupt_ = 0;
  fifo<waiting> waiting_;
  fifo<unproven> unproven_;
  std::uint32_t life_ = 0;  // flushes of an earlier life prove nothing
  output_table_counters counters_;
};

}  // namespace understudy
