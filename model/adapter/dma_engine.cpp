#include "model/adapter/dma_engine.h"

#include <algorithm>

#include "model/pcie/frame_extension.h"

namespace understudy {

namespace {
constexpr std::uint32_t page = 4096;  // no request crosses it (PCIe 2.2.7)
}

// A generic payload of the pool with room for a small write and the frame that a large one refers to.
struct dma_engine::transaction : tlm::tlm_generic_payload {
  explicit transaction(tlm::tlm_mm_interface* mm) : tlm::tlm_generic_payload(mm) { set_extension(&frame); }
  ~transaction() override { clear_extension(&frame); }
  frame_extension frame;
  std::uint8_t bytes[small_bytes] = {};
  std::uint8_t enables[4] = {};
  std::uint32_t job = 0;  // of a read
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
    free_.push_back(t);
  }

 private:
  std::vector<std::unique_ptr<transaction>> all_;
  std::vector<transaction*> free_;
};

dma_engine::dma_engine(const sc_core::sc_module_name& name, const dma_config& config)
    : sc_module(name), config_(config), pool_(std::make_unique<transaction_pool>()) {
  socket.register_nb_transport_bw(this, &dma_engine::nb_transport_bw);
}

dma_engine::~dma_engine() = default;

void dma_engine::write(iova to, const frame_ref& f, std::uint32_t offset, std::uint32_t length) {
  if (stopped_) return;
  ++counters_.operations;
  counters_.write_bytes += length;
  queued_write_bytes_ += length;
  posted& p = posted_.extend_back();
  p.at = to;
  p.frame = f;
  p.offset = offset;
  p.length = length;
  p.small = false;
  wake(0);
}

void dma_engine::write_small(iova to, std::span<const std::uint8_t> bytes) {
  if (stopped_) return;
  ++counters_.operations;
  counters_.write_bytes += bytes.size();
  queued_write_bytes_ += bytes.size();
  posted& p = posted_.extend_back();
  p.at = to;
  p.length = static_cast<std::uint32_t>(bytes.size());
  p.offset = 0;
  p.small = true;
  std::copy(bytes.begin(), bytes.end(), p.bytes);
  wake(0);
}

void dma_engine::flush(iova at, done d) {
  if (stopped_) return;
  posted& p = posted_.extend_back();
  p.at = at;
  p.length = 0;
  p.d = std::move(d);
  wake(0);
}

void dma_engine::read(iova from, std::uint32_t length, std::uint8_t* to, const frame_ref& keep, done d) {
  if (stopped_) return;
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
  reads_waiting_.push_back(j);
  wake(0);
}

void dma_engine::bus_master(bool on) {
  bus_master_ = on;
  if (on) wake(0);
}

void dma_engine::stop() {
  stopped_ = true;
  agenda_.close();
  posted_.clear();
  reads_waiting_.clear();
  queued_write_bytes_ = 0;
  below_ = {};
}

void dma_engine::reset() {
  posted_.clear();
  queued_write_bytes_ = 0;
  below_ = {};
  while (!reads_waiting_.empty()) {
    const std::uint32_t j = reads_waiting_.pop_front();
    jobs_[j].length = jobs_[j].issued;  // ends with the answers that are under way
    if (jobs_[j].outstanding == 0) free_jobs_.push_back(j);
  }
  for (read_job& job : jobs_) job.d = done{};
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

void dma_engine::wake_if_work() {
  if (!posted_.empty() || !reads_waiting_.empty()) wake(0);
}

// One request, then come back when the link and the engine are free again.
void dma_engine::step() {
  if (stopped_ || !bus_master_ || request_phase_open_) return;
  const bool issued = reads_turn_ ? (issue_read() || issue_posted()) : (issue_posted() || issue_read());
  if (!issued) return;
  reads_turn_ = !reads_turn_;
  wake_if_work();
}

bool dma_engine::issue_posted() {
  if (posted_.empty()) return false;
  posted& p = posted_.front();
  if (p.length == 0) {  // flush: one DW with no byte enabled
    if (outstanding_reads_ >= config_.tags) return false;
    transaction& t = pool_->take();
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
    issue(t);
    return true;
  }
  transaction& t = pool_->take();
  std::uint32_t n = p.length;
  if (p.small) {
    std::copy_n(p.bytes, n, t.bytes);
    t.set_data_ptr(t.bytes);
  } else {
    n = std::min({n, config_.mps, page - static_cast<std::uint32_t>(p.at.raw % page)});
    t.frame.frame = p.frame;
    t.set_data_ptr(p.frame.data() + p.offset);
  }
  t.set_command(tlm::TLM_WRITE_COMMAND);
  t.set_address(p.at.raw);
  t.set_data_length(n);
  t.set_streaming_width(n);
  queued_write_bytes_ -= n;
  p.length -= n;
  p.offset += n;
  p.at = p.at + n;
  if (p.length == 0) {
    p.frame = frame_ref{};
    posted_.drop_front();
  }
  issue(t);
  if (below_ && queued_write_bytes_ < below_bytes_) {
    auto a = std::move(below_);
    a();
  }
  return true;
}

bool dma_engine::issue_read() {
  if (reads_waiting_.empty() || outstanding_reads_ >= config_.tags) return false;
  const std::uint32_t j = reads_waiting_.front();
  read_job& job = jobs_[j];
  const std::uint64_t at = job.at.raw + job.issued;
  const std::uint32_t n =
      std::min({job.length - job.issued, config_.mrrs, page - static_cast<std::uint32_t>(at % page)});
  transaction& t = pool_->take();
  t.set_command(tlm::TLM_READ_COMMAND);
  t.set_address(at);
  t.set_data_ptr(job.to + job.issued);
  t.set_data_length(n);
  t.set_streaming_width(n);
  t.job = j;
  job.issued += n;
  ++job.outstanding;
  ++outstanding_reads_;
  if (job.issued == job.length) reads_waiting_.pop_front();
  issue(t);
  return true;
}

void dma_engine::issue(transaction& t) {
  ++counters_.requests;
  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  request_phase_open_ = true;
  const tlm::tlm_sync_enum status = socket->nb_transport_fw(t, phase, delay);
  const picos busy = std::max<picos>(delay.value(), config_.issue_time);
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

void dma_engine::answered(transaction& t) {
  const bool ok = t.is_response_ok();
  if (!ok) ++counters_.failed;
  if (t.is_write()) {
    t.release();
    return;
  }
  --outstanding_reads_;
  if (t.is_flush) {
    done d = std::move(t.flush_done);
    t.release();
    if (stopped_) return;
    d(ok);
    wake_if_work();
    return;
  }
  const std::uint32_t j = t.job;
  t.release();
  read_job& job = jobs_[j];
  job.ok = job.ok && ok;
  if (--job.outstanding == 0 && job.issued == job.length) {
    done d = std::move(job.d);
    const bool all_ok = job.ok;
    job.keep = frame_ref{};
    free_jobs_.push_back(j);
    if (d && !stopped_) d(all_ok);
  }
  wake_if_work();
}

}  // namespace understudy
