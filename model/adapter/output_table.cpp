#include "model/adapter/output_table.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "model/abi/crc32c.h"

namespace understudy {

output_table::output_table(const adapter_config& config, dma_engine& dma, agenda& work, committed on_commit,
                           interrupt raise)
    : config_(config), dma_(dma), work_(work), on_commit_(std::move(on_commit)), raise_(std::move(raise)) {
  reset();
}

void output_table::configure(iova base, std::uint32_t entries) {
  base_ = base;
  entries_ = entries;
}

void output_table::reset() {
  ++life_;
  entries_ = 0;
  epoch_ = 0;
  tail_ = host_head_ = idt_head_ = reported_idt_head_ = flush_covers_ = config_.first_index;
  loud_tail_ = interrupt_tail_ = config_.first_index;
  flushes_out_ = 0;
  opening_.clear();
  opening_served_ = false;
  served_.clear();
  armed_ = true;
  interrupt_pending_ = false;
  waiting_.clear();
  unproven_.clear();
}

void output_table::push(us_record r, bool prove, bool quiet) {
  const bool full = !waiting_.empty() || tail_ - host_head_ >= entries_;
  if (full && !config_.mutants.overrun_ring) {
    ++counters_.stalled;
    waiting_.push_back({r, prove, quiet});
    return;
  }
  write(r, prove, quiet);
}

void output_table::seal(us_record& r) {
  if (config_.mutants.skip_record_number && tail_ % 64 == 63) ++tail_;
  r.epoch = epoch_;
  r.number = tail_++;
  r.idt_head = reported_idt_head_ = idt_head_;
  r.crc = crc32c(&r, offsetof(us_record, crc));
  ++counters_.records;
  if (r.type == US_REC_EMBRYO || r.type == US_REC_ESTABLISHED) opening_.push_back(r.number);
}

// A record that is proven by the host's reading it is never quiet, and neither are many that nobody reads.
void output_table::write(us_record& r, bool prove, bool quiet) {
  quiet = quiet && config_.proof != commit_proof::host_ack;
  if (quiet) r.flags |= US_REC_FLAG_QUIET;
  seal(r);
  const iova slot = base_ + std::uint64_t{r.number & (entries_ - 1)} * US_ENTRY_BYTES;
  dma_.write_atomic(slot, {reinterpret_cast<const std::uint8_t*>(&r), sizeof r},
                    config_.mutants.relaxed_records);
  if (prove) {
    unproven_.push_back({cid{r.cid}, seq32{r.rcv_nxt}, r.number});
    start_proof();
  }
  if (!quiet || tail_ - host_head_ >= entries_ / 4) loud();
}

void output_table::push_burst(std::span<us_record> all, bool prove) {
  if (all.size() == 1 || room() < all.size() || config_.mutants.skip_record_number) {
    for (const us_record& r : all) push(r, prove);
    return;
  }
  while (!all.empty()) {
    const std::uint32_t slot = tail_ & (entries_ - 1);
    const auto piece = all.first(std::min<std::size_t>(all.size(), entries_ - slot));
    const auto bytes = static_cast<std::uint32_t>(piece.size_bytes());
    for (us_record& r : piece) seal(r);
    frame_ref f = frame_ref::make(bytes, 0);
    std::memcpy(f.data(), piece.data(), bytes);
    dma_.write(base_ + std::uint64_t{slot} * US_ENTRY_BYTES, f, 0, bytes);
    for (const us_record& r : piece)
      if (prove) unproven_.push_back({cid{r.cid}, seq32{r.rcv_nxt}, r.number});
    all = all.subspan(piece.size());
  }
  if (prove) start_proof();
  loud();
}

void output_table::loud() {
  loud_tail_ = tail_;
  schedule_interrupt();
}

void output_table::call_host() {
  if (tail_ != host_head_) loud();
}

// Behind the newest unproven record, if no flush covers it already; host_ack needs nothing here.
void output_table::start_proof() {
  if (unproven_.empty()) return;
  switch (config_.proof) {
    case commit_proof::host_ack:
      return;
    case commit_proof::trusted_delay:
      work_.in(config_.trusted_delay, [this, upto = tail_] { proven_up_to(upto); });
      return;
    case commit_proof::flush_read:
      if (flushes_out_ >= config_.flushes_in_flight || flush_covers_ == tail_) return;
      flush_covers_ = tail_;
      ++flushes_out_;
      ++counters_.flushes;
      dma_.flush(base_, [this, upto = tail_, life = life_](bool ok) {
        if (life != life_) return;
        --flushes_out_;
        if (ok) proven_up_to(upto);
        if (!unproven_.empty()) start_proof();
      });
  }
}

void output_table::proven_up_to(std::uint32_t number) {
  while (!unproven_.empty() && static_cast<std::int32_t>(unproven_.front().number - number) < 0) {
    const unproven u = unproven_.pop_front();
    on_commit_(u.c, u.rcv_nxt);
  }
}

void output_table::input_executed(std::uint32_t index, bool connect) {
  const auto at_or_before = [](std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b) <= 0;
  };
  while (!served_.empty() && at_or_before(served_.front().end, index)) served_.drop_front();
  if (connect || served_.empty() || !at_or_before(served_.front().begin, index)) return;
  ++counters_.opening_doorbells;
  served_.drop_front();
}

bool output_table::host_consumed(std::uint32_t head) {
  if (head - host_head_ > tail_ - host_head_) return false;
  host_head_ = head;
  armed_ = true;
  opening_served_ = false;
  while (!opening_.empty() && static_cast<std::int32_t>(opening_.front() - head) < 0) {
    opening_.drop_front();
    opening_served_ = true;
  }
  counters_.opening_doorbells += opening_served_;
  if (config_.proof == commit_proof::host_ack) proven_up_to(head);
  while (!waiting_.empty() && tail_ - host_head_ < entries_) {
    waiting w = waiting_.pop_front();
    write(w.r, w.prove, w.quiet);
  }
  if (loud_waits() && !config_.mutants.lost_wakeup) schedule_interrupt();
  return true;
}

void output_table::schedule_interrupt() {
  if (!armed_ || interrupt_pending_) return;
  interrupt_pending_ = true;
  const picos earliest = counters_.interrupts ? last_interrupt_ + config_.interrupt_moderation : 0;
  work_.at(std::max(now_ps(), earliest), [this] {
    interrupt_pending_ = false;
    if (!armed_ || !loud_waits()) return;
    armed_ = false;
    ++counters_.interrupts;
    if (!opening_.empty() && static_cast<std::int32_t>(opening_.back() - interrupt_tail_) >= 0)
      ++counters_.opening_interrupts;
    interrupt_tail_ = tail_;
    last_interrupt_ = now_ps();
    raise_();
  });
}

}  // namespace understudy
