#include "model/adapter/dma_engine.h"

#include <algorithm>

#include "model/pcie/frame_extension.h"
#include "model/pcie/tlp.h"

namespace understudy {

// A generic payload of the pool with room for a small write and the frame that a large one refers to.
struct dma_engine::transaction : tlm::tlm_generic_payload {
  explicit transaction(tlm::tlm_mm_interface* mm) : tlm::tlm_generic_payload(mm) { set_extension(&frame); }
  ~transaction() override { clear_extension(&frame); }
  frame_extension frame;
  std::uint8_t bytes[small_bytes] = {};
  std::uint8_t enables[4] = {};
  std::uint32_t job = 0;                  // of a read
  std::uint64_t serial = 0;               // of a read that is outstanding; else 0
  bool given_up = false;                  // it was not answered in time, and never may be
  std::uint32_t life = 0;                 // of the engine, in which it was asked for
  std::uint32_t tag = 0;                  // of a read or flush
  dma_unit_request request;               // as the Verilated block has made it
  std::uint32_t cycles = 0;               // that it took
  std::vector<std::uint8_t> block_bytes;  // what goes through it
  bool is_flush = false;
  done flush_done;
};

class dma_engine::transaction_pool : public tlm::tlm_mm_interface {
 public:
  transaction& take() {
    transaction* t;
    if (free_.empty()) {
      all_.push_back(std::make_unique<transaction>(this));
      t = all_.back().get();
    } else {
      t = free_.back();
      free_.pop_back();
    }
    t->acquire();
    t->set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    t->set_byte_enable_ptr(nullptr);
    t->set_byte_enable_length(0);
    t->set_dmi_allowed(false);
    t->is_flush = false;
    return *t;
  }
  void free(tlm::tlm_generic_payload* p) override {
    auto* t = static_cast<transaction*>(p);
    t->frame.frame = frame_ref{};
    t->frame.relaxed = false;
    free_.push_back(t);
  }

 private:
  std::vector<std::unique_ptr<transaction>> all_;
  std::vector<transaction*> free_;
};

dma_engine::dma_engine(const sc_core::sc_module_name& name, const dma_config& config)
    : sc_module(name), config_(config), pool_(std::make_unique<transaction_pool>()) {
  socket.register_nb_transport_bw(this, &dma_engine::nb_transport_bw);
  limits_ = {config_.mps, config_.mrrs, config_.tags};
  for (std::uint32_t tag = 0; tag < config_.tags; ++tag) free_tags_.push_back(tag);
  if (!config_.rtl) return;
  make_block();
  // The block asks for whole requests by tag alone: as many as there is room for.
  config_.tags = std::min(config_.tags, std::max(1u, config_.completion_bytes / config_.mrrs));
  limits_.tags = config_.tags;
}

dma_engine::~dma_engine() = default;

void dma_engine::make_block() {
  block_limits_ = limits_;
  block_ = make_dma_rtl(block_limits_, config_.data_bytes);
}

void dma_engine::limit(const dma_unit_limits& l) {
  const dma_unit_limits now{std::min(l.mps, config_.mps), std::min(l.mrrs, config_.mrrs),
                            std::min(l.tags, config_.tags)};
  if (now == limits_) return;
  if (now.tags != limits_.tags) order_tags();
  limits_ = now;
  wake_if_work();
}

bool dma_engine::refuses(iova at, std::uint64_t length) {
  if (dma_check(at.raw, length, false) == dma_status::ok) return false;
  ++counters_.refused;
  return true;
}

dma_engine::posted& dma_engine::new_posted(iova to, std::uint32_t length) {
  ++counters_.operations;
  counters_.write_bytes += length;
  queued_write_bytes_ += length;
  posted& p = posted_.extend_back();
  p.at = to;
  p.length = length;
  p.offset = 0;
  return p;
}

dma_status dma_engine::write(iova to, const frame_ref& f, std::uint32_t offset, std::uint32_t length,
                             bool relaxed) {
  if (stopped_) return dma_status::ok;
  if (refuses(to, length)) return dma_status::bad_descriptor;
  posted& p = new_posted(to, length);
  p.frame = f;
  p.offset = offset;
  p.small = false;
  p.relaxed = relaxed;
  wake(0);
  return dma_status::ok;
}

dma_status dma_engine::write_small(iova to, std::span<const std::uint8_t> bytes, bool relaxed) {
  if (stopped_) return dma_status::ok;
  if (bytes.size() > small_bytes || refuses(to, bytes.size())) return dma_status::bad_descriptor;
  posted& p = new_posted(to, static_cast<std::uint32_t>(bytes.size()));
  p.small = true;
  p.relaxed = relaxed;
  std::copy(bytes.begin(), bytes.end(), p.bytes);
  wake(0);
  return dma_status::ok;
}

dma_status dma_engine::write_atomic(iova to, std::span<const std::uint8_t> bytes, bool relaxed) {
  if (dma_atomic(to.raw, bytes.size())) return write_small(to, bytes, relaxed);
  ++counters_.refused;
  return dma_status::not_atomic;
}

void dma_engine::flush(iova at, done d) {
  if (stopped_) return;
  posted& p = posted_.extend_back();
  p.at = at;
  p.length = 0;
  p.d = std::move(d);
  wake(0);
}

dma_status dma_engine::read(iova from, std::uint32_t length, std::uint8_t* to, const frame_ref& keep, done d,
                            unsigned queue) {
  if (stopped_) return dma_status::ok;
  if (refuses(from, length)) return dma_status::bad_descriptor;
  ++counters_.operations;
  counters_.read_bytes += length;
  const std::uint32_t j = new_read_job();
  read_job& job = jobs_[j];
  job.at = from;
  job.length = length;
  job.issued = 0;
  job.outstanding = 0;
  job.ok = true;
  job.to = to;
  job.keep = keep;
  job.d = std::move(d);
  reads_waiting_[queue].push_back(j);
  wake(0);
  return dma_status::ok;
}

dma_aborted dma_engine::abort_reads(unsigned queue) {
  dma_aborted a;
  fifo<std::uint32_t>& waiting = reads_waiting_[queue];
  for (std::size_t left = waiting.size(); left && !stopped_; --left) {
    const std::uint32_t j = waiting.pop_front();
    read_job& job = jobs_[j];
    ++a.transfers;
    a.bytes += job.length - job.issued;
    counters_.read_bytes_aborted += job.length - job.issued;
    job.length = job.issued;
    job.ok = false;
    if (job.outstanding == 0) end_read(j);
  }
  return a;
}

dma_aborted dma_engine::abort_writes() {
  dma_aborted a;
  fifo<posted> kept;
  std::size_t held = block_ ? posted_in_block_ : 0;
  for (std::size_t left = posted_.size(); left; --left) {
    posted p = posted_.pop_front();
    if (held) {
      --held;
      kept.push_back(std::move(p));
      continue;
    }
    ++a.transfers;
    a.bytes += p.length;
    counters_.write_bytes_aborted += p.length;
    queued_write_bytes_ -= p.length;
    if (p.length == 0 && p.d && !stopped_) p.d(false);
  }
  while (!kept.empty()) posted_.push_back(kept.pop_front());
  return a;
}

void dma_engine::bus_master(bool on) {
  bus_master_ = on;
  if (on) wake(0);
}

void dma_engine::stop() {
  stopped_ = true;
  agenda_.close();
  posted_.clear();
  for (auto& q : reads_waiting_) q.clear();
  reads_in_block_.clear();
  queued_write_bytes_ = 0;
  below_ = {};
}

dma_aborted dma_engine::reset() {
  ++life_;
  below_ = {};
  for (read_job& job : jobs_) job.d = done{};
  for (std::size_t i = 0; i < posted_.size(); ++i) posted_[i].d = done{};
  posted_in_block_ = 0;
  while (!ahead_.empty()) ahead_.pop_front()->release();
  while (!reads_in_block_.empty()) reads_waiting_[0].push_back(reads_in_block_.pop_front());
  dma_aborted a = abort_writes();
  for (unsigned q = 0; q < read_queues; ++q) {
    const dma_aborted reads = abort_reads(q);
    a.transfers += reads.transfers;
    a.bytes += reads.bytes;
  }
  if (!block_) return a;
  cycles_before_reset_ += block_->cycles();
  make_block();
  block_reads_ = block_floor_ = 0;
  block_ended_ = 0;
  return a;
}

void dma_engine::forget_reads() {
  while (!deadlines_.empty()) {
    transaction& t = *deadlines_.front().read;
    give_up(t);
    t.frame.frame = {};  // nobody writes there any more
  }
  order_tags();
}

std::uint32_t dma_engine::new_read_job() {
  if (free_jobs_.empty()) {
    jobs_.emplace_back();
    return static_cast<std::uint32_t>(jobs_.size() - 1);
  }
  const std::uint32_t j = free_jobs_.back();
  free_jobs_.pop_back();
  return j;
}

void dma_engine::wake(picos delay) {
  if (step_pending_ || stopped_) return;
  step_pending_ = true;
  agenda_.at(std::max(now_ps() + delay, next_issue_), [this] {
    step_pending_ = false;
    step();
  });
}

bool dma_engine::reads_wait() const {
  for (const auto& q : reads_waiting_)
    if (!q.empty()) return true;
  return false;
}

void dma_engine::wake_if_work() {
  if (!posted_.empty() || reads_wait() || !reads_in_block_.empty()) wake(0);
}

// One request, then come back when the link and the engine are free again.
void dma_engine::step() {
  if (stopped_ || !bus_master_ || request_phase_open_) return;
  const bool issued = block_        ? issue_from_block()
                      : reads_turn_ ? (issue_read() || issue_posted())
                                    : (issue_posted() || issue_read());
  if (!issued) return;
  reads_turn_ = !reads_turn_;
  wake_if_work();
}

// Fewer are outstanding than the limit says: one below it is free.
std::uint32_t dma_engine::take_tag() {
  while (free_tags_.front() >= limits_.tags) free_tags_.push_back(free_tags_.pop_front());
  return free_tags_.pop_front();
}

void dma_engine::order_tags() {
  std::vector<std::uint32_t> tags;
  while (!free_tags_.empty()) tags.push_back(free_tags_.pop_front());
  std::sort(tags.begin(), tags.end());
  for (const std::uint32_t tag : tags) free_tags_.push_back(tag);
}

// A flush: one DW with no byte enabled.
void dma_engine::make_flush(transaction& t, posted& p) {
  t.set_command(tlm::TLM_READ_COMMAND);
  t.set_address(p.at.raw & ~std::uint64_t{3});
  t.set_data_ptr(t.bytes);
  t.set_data_length(4);
  t.set_streaming_width(4);
  t.set_byte_enable_ptr(t.enables);
  t.set_byte_enable_length(4);
  t.is_flush = true;
  t.flush_done = std::move(p.d);
  posted_.drop_front();
  ++outstanding_reads_;
  watch(t);
}

// The next `n` bytes of the write in front.
void dma_engine::make_write(transaction& t, posted& p, std::uint32_t n) {
  t.set_command(tlm::TLM_WRITE_COMMAND);
  t.set_address(p.at.raw);
  t.set_data_length(n);
  t.set_streaming_width(n);
  t.frame.relaxed = p.relaxed;
  queued_write_bytes_ -= n;
  p.length -= n;
  p.offset += n;
  p.at = p.at + n;
  if (p.length == 0) {
    p.frame = frame_ref{};
    posted_.drop_front();
  }
}

void dma_engine::make_read(transaction& t, std::uint32_t j, std::uint32_t n) {
  read_job& job = jobs_[j];
  t.set_command(tlm::TLM_READ_COMMAND);
  t.set_address(job.at.raw + job.issued);
  t.set_data_ptr(block_ ? t.block_bytes.data() : job.to + job.issued);
  t.set_data_length(n);
  t.set_streaming_width(n);
  t.job = j;
  job.issued += n;
  ++job.outstanding;
  ++outstanding_reads_;
  reserved_bytes_ += n;
  watch(t);
}

// What the engine and the data path take for a request, at least.
picos dma_engine::work(std::uint32_t cycles) const {
  return std::max<picos>(config_.issue_time, cycles * config_.clock_period);
}

bool dma_engine::issue_posted() {
  if (posted_.empty()) return false;
  posted& p = posted_.front();
  if (p.length == 0) {
    if (outstanding_reads_ >= limits_.tags) return false;
    transaction& t = pool_->take();
    make_flush(t, p);
    write_waits_behind_read_ = false;
    issue(t, work(1));
    return true;
  }
  transaction& t = pool_->take();
  const std::uint32_t n = dma_first_request(p.at.raw, p.length, limits_.mps);
  const std::uint32_t cycles =
      dma_request_cycles(dma_op::write, p.offset, n, config_.data_bytes, write_waits_behind_read_);
  if (p.small) {
    std::copy_n(p.bytes + p.offset, n, t.bytes);
    t.set_data_ptr(t.bytes);
  } else {
    t.frame.frame = p.frame;
    t.set_data_ptr(p.frame.data() + p.offset);
  }
  make_write(t, p, n);
  write_waits_behind_read_ = false;
  issue(t, work(cycles));
  if (below_ && queued_write_bytes_ < below_bytes_) {
    auto a = std::move(below_);
    a();
  }
  return true;
}

// The read whose turn it is: of one that has begun, then of the other queue. False: none waits.
bool dma_engine::next_read(std::uint32_t& job) {
  for (unsigned i = 0; i < read_queues; ++i) {
    const unsigned q = (reads_from_ + i) % read_queues;
    if (reads_waiting_[q].empty()) continue;
    reads_from_ = q;
    job = reads_waiting_[q].front();
    return true;
  }
  return false;
}

bool dma_engine::issue_read() {
  std::uint32_t j;
  if (outstanding_reads_ >= limits_.tags || !next_read(j)) return false;
  read_job& job = jobs_[j];
  const std::uint32_t n = dma_first_request(job.at.raw + job.issued, job.length - job.issued, limits_.mrrs);
  if (reserved_bytes_ > 0 && reserved_bytes_ + n > config_.completion_bytes) return false;
  transaction& t = pool_->take();
  make_read(t, j, n);
  if (job.issued == job.length) {
    reads_waiting_[reads_from_].drop_front();
    reads_from_ = (reads_from_ + 1) % read_queues;
  }
  write_waits_behind_read_ = !posted_.empty();
  issue(t, work(1));
  return true;
}

// Whether the Verilated block has the limits of now: its own are stable while anything is under way.
bool dma_engine::take_limits() {
  if (block_limits_ == limits_) return true;
  if (posted_in_block_ || !reads_in_block_.empty() || outstanding_reads_) return false;
  block_limits_ = limits_;
  block_->limit(limits_);
  return true;
}

// Hand over what the Verilated block has room for.
void dma_engine::fill_block() {
  if (!take_limits()) return;
  while (posted_in_block_ < posted_.size() && block_->has_room(dma_op::write)) {
    posted& p = posted_[posted_in_block_++];
    if (p.length == 0) {
      block_->post({dma_op::flush, p.at.raw, nullptr, 0, 0, 0});
    } else if (p.small) {
      block_->post({dma_op::write, p.at.raw, p.bytes, 0, p.length, 0});
    } else {
      block_->post({dma_op::write, p.at.raw, p.frame.data() + p.offset, p.offset % 64, p.length, 0});
    }
  }
  std::uint32_t j;
  while (block_->has_room(dma_op::read) && block_reads_ - block_floor_ < dma_unit::read_slots &&
         next_read(j)) {
    reads_waiting_[reads_from_].drop_front();
    reads_from_ = (reads_from_ + 1) % read_queues;
    read_job& job = jobs_[j];
    job.in_block = block_reads_++;
    const auto lane = job.keep ? static_cast<std::uint32_t>(job.to - job.keep.data()) % 64 : 0;
    block_->post({dma_op::read, job.at.raw, job.to, lane, job.length, j});
    reads_in_block_.push_back(j);
  }
}

// The Verilated block splits, takes turns and moves the bytes. What comes of the transfers that it holds
// waits before the link, but nothing while a read waits for a tag: it has the next turn.
void dma_engine::run_block() {
  std::uint32_t taken = outstanding_reads_;  // tags
  while (ahead_.size() < requests_ahead) {
    fill_block();
    const bool tag = taken < block_limits_.tags;
    if (!block_->has_request(tag) || (!ahead_.empty() && !tag && block_->has_read())) return;
    transaction& t = pool_->take();
    t.block_bytes.resize(std::max(config_.mps, config_.mrrs));
    const std::uint64_t before = block_->cycles();
    t.request = block_->next_request(t.block_bytes.data());
    t.cycles = static_cast<std::uint32_t>(block_->cycles() - before);
    taken += t.request.op != dma_op::write;
    ahead_.push_back(&t);
  }
}

bool dma_engine::issue_from_block() {
  if (ahead_.empty()) run_block();
  if (ahead_.empty()) return false;
  // A new block knows nothing of the reads that a reset has forgotten: they have their tags until they end.
  if (ahead_.front()->request.op != dma_op::write && outstanding_reads_ >= block_limits_.tags) return false;
  transaction& t = *ahead_.pop_front();
  const dma_unit_request& r = t.request;
  t.tag = r.tag;
  switch (r.op) {
    case dma_op::flush:
      make_flush(t, posted_.front());
      --posted_in_block_;
      break;
    case dma_op::write:
      t.set_data_ptr(t.block_bytes.data());
      if (posted_.front().length == r.length) --posted_in_block_;
      make_write(t, posted_.front(), r.length);
      break;
    case dma_op::read:
      make_read(t, r.cookie, r.length);
      if (jobs_[r.cookie].issued == jobs_[r.cookie].length) reads_in_block_.drop_front();
      break;
  }
  if (!t.is_flush) t.set_address(r.address);
  issue(t, work(t.cycles));
  if (below_ && queued_write_bytes_ < below_bytes_) {
    auto a = std::move(below_);
    a();
  }
  return true;
}

void dma_engine::issue(transaction& t, picos work) {
  ++counters_.requests;
  t.life = life_;
  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  request_phase_open_ = true;
  const tlm::tlm_sync_enum status = socket->nb_transport_fw(t, phase, delay);
  const picos busy = std::max<picos>(delay.value(), work);
  next_issue_ = now_ps() + busy;
  switch (status) {
    case tlm::TLM_COMPLETED:
      request_phase_open_ = false;
      answered(t);
      break;
    case tlm::TLM_UPDATED:
      if (phase == tlm::END_REQ) {
        request_phase_open_ = false;
      } else {  // BEGIN_RESP at once: it implies END_REQ
        request_phase_open_ = false;
        agenda_.in(delay.value(), [this, p = &t] {
          tlm::tlm_phase end = tlm::END_RESP;
          sc_core::sc_time none = sc_core::SC_ZERO_TIME;
          socket->nb_transport_fw(*p, end, none);
          answered(*p);
        });
      }
      break;
    case tlm::TLM_ACCEPTED:
      break;
  }
}

tlm::tlm_sync_enum dma_engine::nb_transport_bw(tlm::tlm_generic_payload& p, tlm::tlm_phase& phase,
                                               sc_core::sc_time& delay) {
  auto& t = static_cast<transaction&>(p);
  if (t.given_up) {
    if (phase != tlm::BEGIN_RESP) return tlm::TLM_ACCEPTED;
    came_too_late();
    t.given_up = false;
    t.release();
    return tlm::TLM_COMPLETED;
  }
  if (phase == tlm::END_REQ) {
    request_phase_open_ = false;
    next_issue_ = std::max<picos>(next_issue_, now_ps() + delay.value());
    wake(0);
    return tlm::TLM_ACCEPTED;
  }
  // BEGIN_RESP, which implies END_REQ if that did not come (IEEE 1666 15.2.6 c)
  if (request_phase_open_) {
    request_phase_open_ = false;
    wake(0);
  }
  if (stopped_ || delay == sc_core::SC_ZERO_TIME) {
    answered(t);
  } else {
    agenda_.in(delay.value(), [this, q = &t] { answered(*q); });
  }
  return tlm::TLM_COMPLETED;
}

void dma_engine::came_too_late() {
  ++counters_.unexpected;
  if (unexpected_ && !stopped_) unexpected_();
}

void dma_engine::answered(transaction& t) {
  bool ok = t.is_response_ok();
  bool wanted = t.life == life_;  // else a reset has forgotten it
  counters_.failed += wanted && !ok;
  if (t.is_write()) {
    t.release();
    return;
  }
  --outstanding_reads_;
  if (!block_) free_tags_.push_back(t.tag);
  t.serial = 0;
  forget_answered();
  if (!wanted && !t.given_up) came_too_late();
  if (wanted && !ok && error_ && !stopped_) error_(t.get_response_status());
  wanted = t.life == life_;
  const bool through_block = block_ && !stopped_ && wanted;
  if (t.is_flush) {
    if (through_block) {
      block_->complete(t.tag, ok, nullptr, 0, true);
      ok = block_->last_report().status == dma_status::ok;
    }
    done d = std::move(t.flush_done);
    if (!t.given_up) t.release();
    if (stopped_) return;
    if (wanted) d(ok);
    wake_if_work();
    return;
  }
  const std::uint32_t j = t.job;
  const std::uint32_t n = t.get_data_length();
  read_job& job = jobs_[j];
  --job.outstanding;
  reserved_bytes_ -= n;
  const bool last = job.outstanding == 0 && job.issued == job.length;
  (!wanted ? counters_.read_bytes_aborted
   : ok    ? counters_.read_bytes_done
           : counters_.read_bytes_failed) += n;
  job.ok = job.ok && ok;
  if (through_block) {
    complete_in_block(t, ok, last);
    if (last) {
      job.ok = block_->last_report().status == dma_status::ok;
      block_ended_ |= std::uint64_t{1} << (job.in_block - block_floor_);
      for (; block_ended_ & 1; block_ended_ >>= 1) ++block_floor_;
    }
  }
  if (!t.given_up) t.release();
  if (last) end_read(j);
  wake_if_work();
}

// The completions of a read as they crossed the link, in order: a failed one is a single completion without
// data. With `last`, the report of its transfer follows.
void dma_engine::complete_in_block(const transaction& t, bool ok, bool last) {
  std::uint64_t address = t.get_address();
  const std::uint8_t* data = t.get_data_ptr();
  std::uint32_t left = t.get_data_length();
  for (;;) {
    const std::uint32_t n = ok ? first_completion(t.frame.completer, address, left) : left;
    block_->complete(t.tag, ok, data, n, last && n == left);
    if (n == left) return;
    address += n;
    data += n;
    left -= n;
  }
}

// A read is outstanding from here on. All have the same time, so that the oldest ends first.
void dma_engine::watch(transaction& t) {
  if (!block_) t.tag = take_tag();
  const std::uint32_t first = limits_.tags > tags_of_8_bits ? tags_of_8_bits : 0;
  t.frame.tag = static_cast<std::uint16_t>(first + t.tag);
  t.serial = ++serial_;
  if (deadlines_.size() > 2 * config_.tags) {  // the oldest is not answered, nor does it time out
    for (std::size_t n = deadlines_.size(); n > 0; --n) {
      const deadline d = deadlines_.pop_front();
      if (d.read->serial == d.serial) deadlines_.push_back(d);
    }
  }
  deadlines_.push_back({&t, t.serial, now_ps() + config_.completion_timeout});
  await_expiry();
}

void dma_engine::await_expiry() {
  if (expiry_pending_ || deadlines_.empty() || stopped_ || !times_out_) return;
  expiry_pending_ = true;
  agenda_.at(deadlines_.front().at, [this] { expire_reads(); });
}

void dma_engine::time_out(bool on) {
  if (std::exchange(times_out_, on) || !on) return;
  for (std::size_t i = 0; i < deadlines_.size(); ++i)
    deadlines_[i].at = now_ps() + config_.completion_timeout;
  await_expiry();
}

void dma_engine::forget_answered() {
  while (!deadlines_.empty() && deadlines_.front().read->serial != deadlines_.front().serial)
    deadlines_.drop_front();
}

// The transaction stays away from the pool, and what it reads into stays alive: its target may still answer.
void dma_engine::give_up(transaction& t) {
  t.given_up = true;
  if (!t.is_flush) t.frame.frame = jobs_[t.job].keep;
  answered(t);
}

void dma_engine::expire_reads() {
  expiry_pending_ = false;
  while (!deadlines_.empty() && deadlines_.front().at <= now_ps() && !stopped_ && times_out_) {
    transaction& t = *deadlines_.front().read;
    counters_.timeouts += t.life == life_;
    give_up(t);
  }
  await_expiry();
}

void dma_engine::end_read(std::uint32_t j) {
  read_job& job = jobs_[j];
  done d = std::move(job.d);
  const bool ok = job.ok;
  job.keep = frame_ref{};
  free_jobs_.push_back(j);
  if (d && !stopped_) d(ok);
}

}  // namespace understudy
