#include "model/pcie/bench_card.h"

#include <algorithm>
#include <cmath>

namespace understudy {

namespace {
constexpr picos quiet_time = 1_us;  // between two timed transfers, so that nothing of the first is under way
constexpr std::uint32_t word = 16;  // a read that ends within one costs the data path extra
}  // namespace

struct bench_card::request : tlm::tlm_generic_payload {
  explicit request(tlm::tlm_mm_interface* mm) : tlm::tlm_generic_payload(mm) {}
  bool last = false;  // of its transfer
};

bench_card::bench_card(const sc_core::sc_module_name& name, const card_parameters& card,
                       const link_parameters& link, std::uint64_t seed)
    : sc_module(name),
      card_(card),
      link_(link),
      rate_(static_cast<bits_per_second>(std::llround(raw_rate(link) * skp_share()))),
      random_(seed, "pcie-bench/addresses"),
      data_(4096) {
  socket.register_nb_transport_bw(this, &bench_card::nb_transport_bw);
}

bench_card::~bench_card() = default;

void bench_card::free(tlm::tlm_generic_payload* p) {
  free_.push_back(static_cast<request*>(p));
}

void bench_card::run(const card_job& job, done d) {
  job_ = job;
  done_ = std::move(d);
  result_ = {};
  read_ = write_ = at_ = {};
  finished_ = 0;
  write_turn_ = false;
  slots_ = 0;
  egress_free_ = engine_free_ = ingress_free_ = now_ps();
  measured_first_ = job.count / 4;
  place_ = 0;
  if (measures_latency())
    begin_timed();
  else
    keep_busy();
}

std::uint64_t bench_card::next_address(bool random) {
  const std::uint64_t places = std::max<std::uint64_t>(1, job_.window / job_.stride);
  const std::uint64_t place = random ? random_.below(places) : place_++ % places;
  return job_.base + place * job_.stride;
}

picos bench_card::send(bool write, std::uint64_t address, std::uint32_t bytes, bool last) {
  if (free_.empty()) {
    all_.push_back(std::make_unique<request>(this));
    free_.push_back(all_.back().get());
  }
  request& r = *free_.back();
  free_.pop_back();
  r.acquire();
  r.last = last;
  r.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
  r.set_address(address);
  r.set_data_ptr(data_.data());
  r.set_data_length(bytes);
  r.set_streaming_width(bytes);
  r.set_byte_enable_ptr(nullptr);
  r.set_dmi_allowed(false);
  r.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_core::sc_time t = sc_core::SC_ZERO_TIME;
  const bool over = socket->nb_transport_fw(r, phase, t) == tlm::TLM_COMPLETED;
  if (over) r.release();
  return now_ps() + t.value();
}

// The card's data path for the completions of a read: as long as they are on the wire, and a gap each.
picos bench_card::data_time(std::uint64_t address, std::uint32_t bytes) const {
  picos time = 0;
  while (bytes > 0) {
    const std::uint32_t n = first_completion(link_, address, bytes);
    time +=
        wire_time(tlp_wire_bytes(link_, tlp_type::completion_data, padded_bytes(address, n), false), rate_) +
        card_.tlp_gap;
    address += n;
    bytes -= n;
  }
  return time;
}

// ---------------------------------------------------------------- bandwidth

// The next transfer of its direction becomes the current one. False: there is none yet. Of a test of both, a
// write begins when the read before it has begun, and the next read when that write has.
bool bench_card::begin_read() {
  if (!reads() || read_.begun == job_.count || (writes() && read_.begun > write_.begun)) return false;
  ++read_.begun;
  read_.address = next_address(true);
  read_.left = job_.size;
  return true;
}

bool bench_card::begin_write() {
  if (!writes() || write_.begun == job_.count || (reads() && write_.begun == read_.begun)) return false;
  ++write_.begun;
  write_.address = next_address(true);
  write_.left = job_.size;
  write_.not_before = std::max(now_ps(), engine_free_);
  engine_free_ = write_.not_before + card_.write_issue +
                 card_.write_chunk * ((job_.size + card_.chunk - 1) / card_.chunk);
  return true;
}

void bench_card::send_next_read() {
  const std::uint32_t n = first_read(link_, read_.address, read_.left);
  slots_ += slots_of(n);
  egress_free_ = send(false, read_.address, n, n == read_.left);
  read_.address += n;
  read_.left -= n;
}

void bench_card::send_next_write() {
  const std::uint32_t n = first_write(link_, write_.address, write_.left);
  const bool last = n == write_.left;
  egress_free_ = send(true, write_.address, n, last) + card_.tlp_gap;
  if (reads()) egress_free_ += card_.shared_byte * n;
  write_.address += n;
  write_.left -= n;
  if (!last) return;
  if (job_.size % link_.mrrs) egress_free_ += card_.short_gap;
  if (!reads()) agenda_.at(egress_free_, [this] { note_progress(); });
}

// One TLP after the other, as soon as the data path takes it: of a read when it has slots, of a write when
// the engine is there. Where both could go they take turns, and neither waits for what the other one lacks.
void bench_card::keep_busy() {
  for (;;) {
    const bool reading = read_.left > 0 || begin_read();
    const bool writing = write_.left > 0 || begin_write();
    if (!reading && !writing) return;
    if (egress_free_ > now_ps()) return wake(egress_free_);
    const bool may_read =
        reading && slots_ + slots_of(first_read(link_, read_.address, read_.left)) <= card_.read_slots;
    const bool may_write = writing && write_.not_before <= now_ps();
    if (may_write && (write_turn_ || !may_read)) {
      send_next_write();
      write_turn_ = false;
    } else if (may_read) {
      send_next_read();
      write_turn_ = true;
    } else {  // transferred() comes back here, too
      if (writing) wake(write_.not_before);
      return;
    }
  }
}

void bench_card::wake(picos at) {
  if (at >= wake_at_) return;
  wake_at_ = at;
  agenda_.at(at, [this, at] {
    if (wake_at_ != at) return;
    wake_at_ = never;
    if (done_ && !measures_latency()) keep_busy();
  });
}

void bench_card::transferred(std::uint32_t slots, bool last) {
  slots_ -= slots;
  if (last) note_progress();
  if (done_) keep_busy();
}

// A transfer is over: of the pairs of a test of both directions, its read.
void bench_card::note_progress() {
  ++finished_;
  if (finished_ == measured_first_) measured_from_ = now_ps();
  if (finished_ < job_.count) return;
  const double bits = 8.0 * job_.size * (job_.count - measured_first_);
  result_.bits_per_second = bits * 1e12 / static_cast<double>(now_ps() - measured_from_);
  done d = std::move(done_);
  done_ = {};
  d(std::move(result_));
}

// ---------------------------------------------------------------- latency

void bench_card::begin_timed() {
  timed_from_ = now_ps();
  at_.address = next_address(false);
  at_.left = job_.size;
  switch (job_.test) {
    case card_test::dma_write_read_latency:
    case card_test::command_write_read_latency: {
      const bool dma = job_.test == card_test::dma_write_read_latency;
      const std::uint32_t n = first_write(link_, at_.address, at_.left);
      agenda_.in((dma ? card_.write_overhead : card_.command_overhead) + n * card_.memory_byte,
                 [this] { send_timed_write(); });
      return;
    }
    default:
      at_.left = 0;
      send_timed_write();
  }
}

// One TLP of the write that goes first; behind the last of them the read.
void bench_card::send_timed_write() {
  picos next = now_ps();
  if (at_.left > 0) {
    const std::uint32_t n = first_write(link_, at_.address, at_.left);
    next = send(true, at_.address, n, n == at_.left);
    at_.address += n;
    at_.left -= n;
    if (at_.left > 0) {
      const std::uint32_t following = first_write(link_, at_.address, at_.left);
      agenda_.at(std::max(next, now_ps() + following * card_.memory_byte), [this] { send_timed_write(); });
      return;
    }
    at_.address -= job_.size;
  }
  at_.left = job_.size;
  timed_outstanding_ = 0;
  stored_ = 0;
  const bool dma = job_.test == card_test::dma_read_latency || job_.test == card_test::dma_write_read_latency;
  agenda_.in(dma ? card_.read_overhead : card_.command_overhead, [this] { send_timed_read(); });
}

void bench_card::send_timed_read() {
  const std::uint32_t n = first_read(link_, at_.address, at_.left);
  ++timed_outstanding_;
  const picos next = send(false, at_.address, n, n == at_.left);
  at_.address += n;
  at_.left -= n;
  if (at_.left > 0) agenda_.at(next, [this] { send_timed_read(); });
}

// The card stores what has arrived while more is on its way: the first completion before the last.
void bench_card::timed_read_arrived(const request& r) {
  const std::uint32_t bytes = r.get_data_length();
  const std::uint32_t first = first_completion(link_, r.get_address(), bytes);
  const picos rest = bytes > first ? data_time(r.get_address() + first, bytes - first) : 0;
  stored_ =
      std::max(now_ps(), std::max(stored_, now_ps() - std::min(now_ps(), rest)) + bytes * card_.memory_byte);
  if (--timed_outstanding_ > 0 || at_.left > 0) return;
  agenda_.at(stored_, [this] {
    result_.latency.push_back(now_ps() - timed_from_);
    if (++finished_ < job_.count) {
      agenda_.in(quiet_time, [this] { begin_timed(); });
    } else {
      done d = std::move(done_);
      done_ = {};
      d(std::move(result_));
    }
  });
}

// ---------------------------------------------------------------- answers

tlm::tlm_sync_enum bench_card::nb_transport_bw(tlm::tlm_generic_payload& p, tlm::tlm_phase& phase,
                                               sc_core::sc_time&) {
  auto& r = static_cast<request&>(p);
  if (measures_latency()) {
    timed_read_arrived(r);
  } else {
    const std::uint32_t bytes = r.get_data_length();
    picos service = card_.tlp_gap == 0 && card_.short_gap == 0 ? 0 : data_time(r.get_address(), bytes);
    if (r.last && job_.size % link_.mrrs) service += card_.short_gap;
    if (r.last && job_.size % word) service = std::max(service, card_.partial_read);
    ingress_free_ = std::max(now_ps(), ingress_free_ + service);
    agenda_.at(ingress_free_, [this, slots = slots_of(bytes), last = r.last] { transferred(slots, last); });
  }
  p.release();
  phase = tlm::END_RESP;
  return tlm::TLM_COMPLETED;
}

}  // namespace understudy
