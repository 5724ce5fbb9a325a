#include "model/adapter/tx_queues.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "model/adapter/descriptor_ring.h"

namespace understudy {

namespace {
constexpr unsigned raw_reads_queue = 1;  // of the DMA engine
}  // namespace

tx_queues::tx_queues(const adapter_config& config, dma_engine& dma, agenda& work, output_table& output,
                     ready on_ready)
    : config_(config),
      dma_(dma),
      work_(work),
      output_(output),
      on_ready_(std::move(on_ready)),
      queues_(config.tx_queues) {
  for (queue& q : queues_) q.tail = q.head = config_.first_index;
}

// ---------------------------------------------------------------- registers

std::uint32_t tx_queues::read(std::uint32_t offset) const {
  const queue& q = queues_[(offset - US_TX_BLOCK) / US_TX_BLOCK_BYTES];
  switch (offset % US_TX_BLOCK_BYTES) {
    case US_TX_BASE_LO:
      return q.base_lo;
    case US_TX_BASE_HI:
      return q.base_hi;
    case US_TX_SIZE:
      return q.size;
    case US_TX_CONTROL:
      return q.running ? US_TX_ENABLE : 0;
    case US_TX_TAIL:
      return q.tail;
    case US_TX_HEAD:
      return q.head;
    case US_TX_STATUS:
      return q.running ? US_TX_RUNNING : static_cast<std::uint32_t>(q.status);
    default:
      return 0;
  }
}

bool tx_queues::write(std::uint32_t offset, std::uint32_t value) {
  queue& q = queues_[(offset - US_TX_BLOCK) / US_TX_BLOCK_BYTES];
  switch (offset % US_TX_BLOCK_BYTES) {
    case US_TX_BASE_LO:
      q.base_lo = value;
      break;
    case US_TX_BASE_HI:
      q.base_hi = value;
      break;
    case US_TX_SIZE:
      q.size = value;
      break;
    case US_TX_CONTROL:
      if (!(value & US_TX_ENABLE)) {
        switch_off(q);
      } else if (!q.running) {
        switch_on(q);
      }
      break;
    case US_TX_TAIL:
      if (!q.running || !doorbell_ok(q.head, q.tail, q.entries, value)) return false;
      q.tail = value;
      fetch(q);
      break;
    default:
      break;
  }
  return true;
}

void tx_queues::enable(bool on) {
  enabled_ = on;
  for (queue& q : queues_) fetch(q);
}

void tx_queues::switch_on(queue& q) {
  const std::uint64_t base = static_cast<std::uint64_t>(q.base_hi) << 32 | q.base_lo;
  const std::uint64_t bytes = std::uint64_t{q.size} * US_ENTRY_BYTES;
  q.status = US_OK;
  if (!enabled_) {
    q.status = US_ERR_BAD_STATE;
  } else if (!ring_entries_ok(q.size)) {
    q.status = US_ERR_BAD_LENGTH;
  } else if (base % US_ENTRY_BYTES || base + bytes < base) {
    q.status = US_ERR_BAD_ADDRESS;
  }
  if (q.status != US_OK) {
    ++q.counters.refused;
    return;
  }
  q.base = iova{base};
  q.entries = q.size;
  q.tail = q.head = q.whole = config_.first_index;
  if (!q.fetched) q.fetched = frame_ref::make(config_.descriptors_a_fetch * US_ENTRY_BYTES);
  q.running = true;
}

void tx_queues::switch_off(queue& q) {
  ++q.life;
  q.running = false;
  q.status = q.broken = US_OK;
  if (std::exchange(q.fetching, false)) q.fetched = {};  // a late answer belongs to the old one
  q.chain.count = 0;
  q.held.clear();
  q.held_descriptors = 0;
  q.first_open += q.open.size();
  q.open.clear();
  q.open_bytes = 0;
  q.unreported = 0;
  q.report_scheduled = false;
}

void tx_queues::reset() {
  for (queue& q : queues_) {
    switch_off(q);
    q.base_lo = q.base_hi = q.size = 0;
    q.tail = q.head = config_.first_index;
  }
  waiting_.clear();
  reading_ = 0;
  read_turn_ = mac_turn_ = 0;
  enabled_ = false;
}

// ---------------------------------------------------------------- descriptors

// One read of descriptors at a time in each queue, never across the end of its ring, never beyond its
// doorbell, and not while more than a batch waits.
void tx_queues::fetch(queue& q) {
  if (!enabled_ || !q.running || q.broken != US_OK || q.fetching || q.head == q.tail ||
      q.held_descriptors > config_.descriptors_a_fetch)
    return;
  const descriptor_batch b =
      next_batch(q.head, q.tail, q.entries, config_.descriptors_a_fetch, config_.mutants.fetch_beyond_tail);
  q.fetching = true;
  ++q.counters.fetches;
  const dma_status s = dma_.read(q.base + b.offset, (b.count + b.beyond) * US_ENTRY_BYTES, q.fetched.data(),
                                 q.fetched, [this, i = number(q), life = q.life, n = b.count](bool ok) {
                                   queue& to = queues_[i];
                                   if (life != to.life) return;
                                   if (!ok) {
                                     to.fetching = false;
                                     break_at_head(to, US_ERR_DMA);
                                     return;
                                   }
                                   work_.in(n * config_.descriptor_time, [this, i, life, n] {
                                     if (life == queues_[i].life) take_descriptors(queues_[i], n);
                                   });
                                 });
  if (s == dma_status::ok) return;
  q.fetching = false;
  break_at_head(q, US_ERR_DMA);
}

void tx_queues::take_descriptors(queue& q, std::uint32_t n) {
  q.fetching = false;
  us_status bad = US_OK;
  for (std::uint32_t i = 0; i < n; ++i) {
    us_idt_entry e;
    std::memcpy(&e, q.fetched.data() + std::size_t{i} * US_ENTRY_BYTES, sizeof e);
    bad = seal_of(e, q.head);
    if (bad == US_OK && e.opcode != US_OP_SEND_RAW) bad = US_ERR_BAD_OPCODE;
    if (bad != US_OK) break;
    ++q.counters.descriptors;
    q.chain.add(e);
    const std::uint32_t index = q.head++;
    if (e.flags & US_RAW_MORE) continue;
    planned& p = q.held.extend_back();
    p.bytes = q.chain.lay_out();
    p.chain = q.chain;
    p.last = index;
    q.whole = q.head;
    q.held_descriptors += q.chain.count;
    q.chain.count = 0;
  }
  if (bad != US_OK) {
    break_at_head(q, bad);
  } else {
    fetch(q);
  }
  go_on();
}

// What cannot be understood may be a part of any frame: nothing of it and of what follows is sent.
void tx_queues::break_at_head(queue& q, us_status why) {
  ++q.counters.stops;
  q.broken = why;
  q.chain.count = 0;
  settle(q);
}

// ---------------------------------------------------------------- pieces

// A queue has at most tx_queue_bytes in the adapter, or one frame.
bool tx_queues::may_begin(const queue& q) const {
  return !q.held.empty() && (q.open_bytes == 0 || q.open_bytes + q.held[0].bytes <= config_.tx_queue_bytes);
}

void tx_queues::begin(queue& q) {
  planned& p = q.held.front();
  open_frame& f = q.open.extend_back();
  f.bytes = p.bytes;
  f.last = p.last;
  f.status = p.bytes ? US_OK : US_ERR_BAD_LENGTH;
  f.reads = p.bytes ? p.chain.count : 0;
  f.frame = p.bytes ? room_for_raw(p.bytes) : frame_ref{};
  q.open_bytes += p.bytes;
  const std::uint64_t frame = q.first_open + q.open.size() - 1;
  for (unsigned i = 0; i < f.reads; ++i) waiting_.push_back({number(q), q.life, frame, p.chain.pieces[i]});
  const bool over = f.reads == 0;
  q.held_descriptors -= p.chain.count;
  q.held.drop_front();
  fetch(q);
  if (over) settle(q);
}

// Pieces of the frame begun last, then a frame of the next queue in turn, while reads may be issued.
void tx_queues::go_on() {
  while (reading_ < config_.raw_reads) {
    if (waiting_.empty()) {
      unsigned i = 0;
      while (i < count() && !may_begin(queues_[(read_turn_ + i) % count()])) ++i;
      if (i == count()) return;
      queue& q = queues_[(read_turn_ + i) % count()];
      read_turn_ = number(q) + 1;
      begin(q);
      continue;
    }
    const piece_read r = waiting_.pop_front();
    queue& q = queues_[r.queue];
    if (r.life != q.life) continue;
    open_frame& f = q.open[r.frame - q.first_open];
    ++reading_;
    ++q.counters.reads;
    const dma_status s = dma_.read(
        r.piece.at, r.piece.length, f.frame.data() + r.piece.offset, f.frame,
        [this, i = r.queue, life = r.life, frame = r.frame](bool ok) {
          read_over(i, life, frame, ok);
          go_on();
        },
        raw_reads_queue);
    if (s != dma_status::ok) read_over(r.queue, r.life, r.frame, false);
  }
}

void tx_queues::read_over(std::uint32_t queue_number, std::uint32_t life, std::uint64_t frame, bool ok) {
  --reading_;
  queue& q = queues_[queue_number];
  if (life != q.life) return;
  open_frame& f = q.open[frame - q.first_open];
  if (!ok) f.status = US_ERR_DMA;
  if (--f.reads) return;
  f.ready_at = now_ps() + config_.tx_latency;
  settle(q);
}

// ---------------------------------------------------------------- outcomes, in order

// Frames in front that cannot be sent are over; one that can waits for the MAC; a broken queue that has
// nothing left stops.
void tx_queues::settle(queue& q) {
  while (!q.open.empty() && q.open.front().reads == 0 && q.open.front().status != US_OK) {
    const open_frame f = q.open.pop_front();
    ++q.first_open;
    q.open_bytes -= f.bytes;
    ++q.counters.failed;
    report(q, US_REC_RAW, f.status, f.last);
  }
  if (!q.open.empty()) {
    if (q.open.front().reads == 0 && !taking_) on_ready_();
    return;
  }
  if (q.broken == US_OK || !q.held.empty() || !q.running) return;
  if (q.unreported) report(q, US_REC_RAW, US_OK, q.last_over);
  const us_status why = q.broken;
  switch_off(q);
  q.status = why;
  report(q, US_REC_TX_STOPPED, why, q.whole);
}

picos tx_queues::next_ready() const {
  picos first = never;
  for (const queue& q : queues_)
    if (!q.open.empty() && q.open[0].reads == 0) first = std::min(first, q.open[0].ready_at);
  return first;
}

frame_ref tx_queues::take(picos now) {
  for (unsigned i = 0; i < count(); ++i) {
    queue& q = queues_[(mac_turn_ + i) % count()];
    if (q.open.empty() || q.open.front().reads || q.open.front().ready_at > now) continue;
    open_frame f = q.open.pop_front();
    mac_turn_ = number(q) + 1;
    ++q.first_open;
    q.open_bytes -= f.bytes;
    taking_ = true;
    sent(q, f.last);
    settle(q);
    go_on();
    taking_ = false;
    return std::move(f.frame);
  }
  return {};
}

void tx_queues::sent(queue& q, std::uint32_t last) {
  ++q.counters.frames;
  q.last_over = last;
  if (++q.unreported >= config_.raw_completion_batch) {
    report(q, US_REC_RAW, US_OK, last);
  } else if (!q.report_scheduled) {
    q.report_scheduled = true;
    work_.in(config_.acked_record_age, [this, i = number(q), life = q.life] {
      queue& of = queues_[i];
      if (life != of.life) return;
      of.report_scheduled = false;
      if (of.unreported) report(of, US_REC_RAW, US_OK, of.last_over);
    });
  }
}

void tx_queues::report(queue& q, std::uint8_t type, us_status status, std::uint32_t index) {
  q.unreported = 0;
  ++q.counters.reports;
  output_.push(raw_report(type, number(q) + 1, status, index), false);
}

}  // namespace understudy
