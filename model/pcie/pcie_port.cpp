#include "model/pcie/pcie_port.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "model/abi/understudy_abi.h"
#include "model/pcie/frame_extension.h"

namespace understudy {

namespace {

constexpr std::uint32_t nobody = 0xffffffff;
constexpr std::uint32_t register_bytes = 4;
constexpr std::uint32_t port_device = 0x5554;
constexpr std::uint32_t dllp_pair = 16;  // an ACK and an UpdateFC
constexpr const char* report_id = "/understudy/pcie";

// A read whose byte enables are all off (PCIe 2.2.5: zero-length read).
bool is_flush(const tlm::tlm_generic_payload& p) {
  const unsigned char* enables = p.get_byte_enable_ptr();
  return enables && p.get_data_length() == register_bytes &&
         std::all_of(enables, enables + p.get_byte_enable_length(),
                     [](unsigned char e) { return e == TLM_BYTE_DISABLED; });
}

bits_per_second rate_of(const pcie_config& c, const link_parameters& link) {
  return static_cast<bits_per_second>(
      std::llround(c.ideal ? tlp_bandwidth(link) : raw_rate(link) * skp_share()));
}

std::uint64_t dllp_interval_of(const link_parameters& link) {
  return std::uint64_t{ack_limit(link)} * link.lanes;
}

frame_ref frame_of(const tlm::tlm_generic_payload& p) {
  const auto* e = p.get_extension<frame_extension>();
  return e ? e->frame : frame_ref{};
}

bool is_relaxed(const tlm::tlm_generic_payload& p) {
  const auto* e = p.get_extension<frame_extension>();
  return e && e->relaxed;
}

bool is_posted(tlp_type type) {
  return type == tlp_type::memory_write || type == tlp_type::message;
}

// One of so many that a test or a fault has asked for.
bool taken(std::uint32_t& wanted) {
  if (wanted == 0) return false;
  --wanted;
  return true;
}

// What a target says to a request that it does not support (PCIe 2.3.1); other errors are silence.
bool is_unsupported(tlm::tlm_response_status s) {
  return s == tlm::TLM_ADDRESS_ERROR_RESPONSE || s == tlm::TLM_BURST_ERROR_RESPONSE ||
         s == tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE;
}

std::uint16_t tag_of(const tlm::tlm_generic_payload& p) {
  const auto* e = p.get_extension<frame_extension>();
  return e ? e->tag : std::uint16_t{0};
}

// Completions for a read that has failed at its completer: data that are poisoned come all the same (PCIe
// 2.7.2), nothing else does.
bool is_poisoned(tlm::tlm_response_status s) {
  return s == tlm::TLM_GENERIC_ERROR_RESPONSE;
}
bool has_data(tlm::tlm_response_status s) {
  return s == tlm::TLM_OK_RESPONSE || is_poisoned(s);
}

// Of a completion (PCIe 2.2.9).
std::uint8_t completion_status(tlm::tlm_response_status s) {
  constexpr std::uint8_t successful = 0, unsupported_request = 1, completer_abort = 4;
  return s == tlm::TLM_ADDRESS_ERROR_RESPONSE   ? unsupported_request
         : s == tlm::TLM_COMMAND_ERROR_RESPONSE ? completer_abort
                                                : successful;
}

constexpr unsigned rollover = 4;  // REPLAY_NUM has two bits
constexpr double million = 1e6;

}  // namespace

pcie_port::pcie_port(const sc_core::sc_module_name& name, const pcie_config& config, host_memory& memory,
                     event_log& log, std::uint16_t unit)
    : sc_module(name),
      config_(config),
      memory_(memory),
      log_(log),
      unit_(unit),
      link_(config.link),
      rate_(rate_of(config, config.link)),
      dllp_interval_(dllp_interval_of(config.link)),
      ack_latency_(wire_time(dllp_interval_, rate_)),
      iommu_(config.translation),
      cache_(config.cache, config.seed, std::string("pcie/jitter/") + std::to_string(unit)),
      posted_credits_(config.credits.posted_headers, config.credits.posted_data),
      nonposted_credits_(config.credits.nonposted_headers, 1),
      link_errors_(config.seed, std::string("pcie/lcrc/") + std::to_string(unit)),
      read_errors_(config.seed, std::string("pcie/read/") + std::to_string(unit)),
      target_speed_(config.link.generation),
      dpc_on_(config.dpc),
      up_link_(config.replay_buffer),
      down_link_(config.replay_buffer),
      posted_left_(config.credits.adapter_posted_headers),
      nonposted_left_(config.credits.adapter_nonposted_headers) {
  dma.register_nb_transport_fw(this, &pcie_port::nb_transport_fw);
  dma.register_b_transport(this, &pcie_port::b_transport);
  dma.register_transport_dbg(this, &pcie_port::transport_dbg);
  SC_THREAD(access_registers);
  access_payload_.set_data_ptr(access_data_.data());
  access_payload_.set_data_length(register_bytes);
  access_payload_.set_streaming_width(register_bytes);
  access_payload_.set_extension(&access_poison_);
}

pcie_port::~pcie_port() {
  access_payload_.clear_extension(&access_poison_);
}

// ---------------------------------------------------------------- the link

// An ideal link keeps the fraction of a picosecond from TLP to TLP while it is busy: published figures are
// about rates.
picos pcie_port::time_on_wire(direction& d, bool follows, std::uint64_t bytes) const {
  if (!config_.ideal) return wire_time(bytes, rate_);
  const uint128 work = static_cast<uint128>(bytes) * 8 * 1'000'000'000'000ULL + (follows ? d.part : 0);
  d.part = work % rate_;
  return static_cast<picos>(work / rate_);
}

pcie_port::span pcie_port::occupy(direction& d, direction& reverse, picos earliest, std::uint32_t wire) {
  picos start = std::max(earliest, d.busy_until);
  if (!config_.ideal) {
    const picos room = d.unacknowledged.available(start, wire);
    counters_.replay_stalls += room > start;
    start = room;
  }
  if (!trainings_.empty()) start = beside_training(start, wire_time(wire + d.dllp_due, rate_));
  // DLLPs that are due go out while the line is idle, else in front of the next TLP.
  if (d.dllp_due && start >= d.busy_until + wire_time(d.dllp_due, rate_)) d.dllp_due = 0;
  span s{start, start + time_on_wire(d, start == d.busy_until, wire + d.dllp_due)};
  if (config_.lcrc_errors > 0 || d.to_break > 0) s.finish = replays(d, s.finish, wire);
  d.busy_until = s.finish;
  d.dllp_due = 0;
  if (!config_.ideal) {
    await_ack(d, s.finish, wire);
    reverse.acknowledged += wire;
    if (reverse.acknowledged >= dllp_interval_) {
      const std::uint64_t pairs = reverse.acknowledged / dllp_interval_;
      reverse.dllp_due += pairs * dllp_pair;
      reverse.acknowledged %= dllp_interval_;
      counters_.dllps += 2 * pairs;
    }
  }
  return s;
}

// An end finds an error of the link at `at`, unless the link goes down first.
void pcie_port::detect(link_end who, std::uint32_t bit, picos at) {
  agenda_.at(at, [this, who, bit, epoch = link_epoch_] {
    if (epoch != link_epoch_) return;
    if (who == link_end::adapter)
      tell_adapter(bit);
    else
      aer_correctable_ |= bit;
  });
}

void pcie_port::tell_adapter(std::uint32_t bit) {
  if (!link_error_) return;
  const error_message m = link_error_(bit);
  if (m == error_message::none || now_ps() < message_through_) return;
  send_error_message(m);
  message_through_ =
      std::max({up_link_.busy_until, up_link_.unacknowledged.all_back(), posted_credits_.all_back()});
}

bool pcie_port::broken(direction& d) {
  return taken(d.to_break) || (config_.lcrc_errors > 0 && link_errors_.chance(config_.lcrc_errors / million));
}

bool pcie_port::lost(dllp kind) {
  std::uint32_t& wanted = dllps_to_lose_[static_cast<std::size_t>(kind)];
  if (wanted > 0)
    --wanted;
  else if (config_.dllp_errors == 0 || !link_errors_.chance(config_.dllp_errors / million))
    return false;
  ++counters_.bad_dllps;
  return true;
}

// REPLAY_TIMER: three times the ACK latency and, for what is between the ends here, the way there and back
// (PCIe 3.6.2.1).
picos pcie_port::replay_timer() const {
  return 3 * ack_latency_ + 2 * config_.propagation;
}

// A TLP is in the replay buffer until an ACK that covers it has arrived. The receiver sends one when the
// oldest TLP without has waited for the ACK latency. A lost one does no harm if the next one comes before
// REPLAY_TIMER expires.
void pcie_port::await_ack(direction& d, picos finish, std::uint32_t wire) {
  const picos arrived = finish + config_.propagation;
  if (arrived > d.ack_leaves) {
    d.ack_leaves = beside_training(arrived + ack_latency_, 0);
    d.ack_arrives = d.ack_leaves + config_.propagation;
    picos expires = finish + replay_timer();
    bool again = lost(dllp::ack);
    if (again) detect(sender(d), aer_bad_dllp, d.ack_arrives);
    for (unsigned n = 1; again; ++n) {
      const picos retrains = n % rollover == 0 ? config_.retrain_time : 0;
      d.ack_arrives = expires + retrains + ack_latency_ + 2 * config_.propagation;
      again = lost(dllp::ack);
      agenda_.at(expires, [this, &d, number = d.unacknowledged.taken(), epoch = link_epoch_,
                           lost_ack = again ? d.ack_arrives : never] {
        if (epoch == link_epoch_) expire_replay_timer(d, number, lost_ack);
      });
      expires += retrains + replay_timer();
    }
  }
  d.unacknowledged.take(wire, d.ack_arrives);
}

// Everything from TLP `number` on goes again, unless a later ACK has covered it; the receiver has it already,
// drops it, and sends another ACK. `lost_ack`: when that arrives broken, or never.
void pcie_port::expire_replay_timer(direction& d, std::uint64_t number, picos lost_ack) {
  if (d.unacknowledged.returned(now_ps()) > number) return;
  ++counters_.replay_timeouts;
  counters_.replayed_bytes += d.unacknowledged.out();
  detect(sender(d), aer_replay_timeout, now_ps());
  if (lost_ack != never) detect(sender(d), aer_bad_dllp, lost_ack);
  d.replay_num = d.replay_num > 0 && d.replayed == number ? d.replay_num + 1 : 1;
  d.replayed = number;
  if (d.replay_num % rollover == 0) {
    detect(sender(d), aer_replay_rollover, now_ps());
    recover(now_ps());
  }
  const picos takes = wire_time(d.unacknowledged.out(), rate_);
  d.busy_until = beside_training(std::max(d.busy_until, now_ps()), takes) + takes;
}

// When an UpdateFC that would arrive at `at` does, or one in its place: it is repeated every 30 us, and a
// link over which none came for 200 us is retrained (PCIe 2.6.1.2). Its credits are for TLPs in the direction
// `credited`.
picos pcie_port::update_arrives(const direction& credited, picos at) {
  constexpr picos period = 30_us, watchdog = 200_us;
  picos silent = 0;
  while (lost(dllp::update_fc)) {
    detect(sender(credited), aer_bad_dllp, at);
    at += period;
    silent += period;
    if (silent < watchdog) continue;
    at = recover(at);
    silent = 0;
  }
  return beside_training(at - config_.propagation, 0) + config_.propagation;
}

void pcie_port::direction::restart(picos now) {
  busy_until = now;
  dllp_due = acknowledged = 0;
  part = 0;
  unacknowledged.reset();
  ack_leaves = ack_arrives = 0;
  replay_num = 0;
}

// When a TLP that would be through at `finish` is, if it, and so everything behind it, is sent again (PCIe
// 3.6.2.1, 3.6.3.1): each time a NAK must come back first, or REPLAY_TIMER expires.
picos pcie_port::replays(direction& d, picos finish, std::uint32_t wire) {
  const picos takes = wire_time(wire, rate_);
  const picos nak = 2 * config_.propagation + wire_time(dllp_pair / 2, rate_);
  for (unsigned n = 1; broken(d); ++n) {
    ++counters_.lcrc_errors;
    counters_.replayed_bytes += wire;
    detect(receiver(d), aer_bad_tlp, finish + config_.propagation);
    if (lost(dllp::nak)) {
      ++counters_.replay_timeouts;
      detect(sender(d), aer_bad_dllp, finish + nak);
      finish += replay_timer();
      detect(sender(d), aer_replay_timeout, finish);
    } else {
      finish += nak;
    }
    if (n % rollover == 0) {
      detect(sender(d), aer_replay_rollover, finish);
      finish = recover(finish);
    }
    finish = beside_training(finish, takes) + takes;
  }
  return finish;
}

// The link trains from `from` on, now or later. What a direction is already to send from then on is sent as
// planned, and what follows so much later.
picos pcie_port::train(picos from) {
  std::erase_if(trainings_, [now = now_ps()](const span& t) { return t.finish <= now; });
  ++counters_.retrains;
  trainings_.push_back({from, from + config_.retrain_time});
  for (direction* d : {&up_link_, &down_link_})
    if (d->busy_until > from) d->busy_until += config_.retrain_time;
  return from + config_.retrain_time;
}

// An end finds at `from` that the link must be retrained. One that trains then need not be. The end of it.
picos pcie_port::recover(picos from) {
  return trains_at(from) ? beside_training(from, 0) : train(from);
}

bool pcie_port::trains_at(picos t) const {
  return std::any_of(trainings_.begin(), trainings_.end(),
                     [t](const span& s) { return s.start <= t && t < s.finish; });
}

// The earliest instant, `start` or later, from which on something that takes so long meets no training.
picos pcie_port::beside_training(picos start, picos takes) const {
  const auto meets = [&](const span& s) {
    return start < s.finish && start + std::max<picos>(takes, 1) > s.start;
  };
  for (;;) {
    const auto t = std::find_if(trainings_.begin(), trainings_.end(), meets);
    if (t == trainings_.end()) return start;
    start = t->finish;
  }
}

void pcie_port::retrain(unsigned generation, unsigned lanes) {
  if (!link_up()) return;
  link_.generation = generation;
  link_.lanes = lanes;
  take_link();
  train(now_ps());
  if (trained_ && powered_) trained_(generation, lanes);
}

// What follows from speed, width and MPS.
void pcie_port::take_link() {
  rate_ = rate_of(config_, link_);
  dllp_interval_ = dllp_interval_of(link_);
  ack_latency_ = wire_time(dllp_interval_, rate_);
}

std::uint32_t pcie_port::wire_bytes(tlp_type type, std::uint64_t address, std::uint32_t bytes) const {
  const std::uint32_t data = config_.ideal ? bytes : padded_bytes(address, bytes);
  return tlp_wire_bytes(config_.link, type, data, address >> 32 != 0);
}

void pcie_port::log_tlp(event_kind kind, std::uint64_t a, tlp_type type, std::uint32_t length) {
  event e;
  e.kind = kind;
  e.unit = unit_;
  e.at = now_ps();
  e.a = a;
  e.b = static_cast<std::uint64_t>(type) << 32 | length;
  log_.emit(e);
}

void pcie_port::log_access(event_kind kind, const host_request& r) {
  event e;
  e.kind = kind;
  e.unit = unit_;
  e.at = now_ps();
  e.a = r.offset;
  e.b = r.value;
  log_.emit(e);
}

void pcie_port::set_link_up(bool up) {
  plugged_ = up;
  if (up) return bring_up();
  if (link_up()) aer_uncorrectable_ |= aer_surprise_down;
  take_down();
}

// DL_Down. The other end hears of it when nobody is in the middle of a call.
void pcie_port::take_down() {
  lose_traffic();
  const bool was_up = std::exchange(data_link_, data_link::down) == data_link::active;
  if (!was_up || !powered_) return;
  agenda_.in(0, [this] {
    if (powered_ && went_down_) went_down_();
  });
}

// What kept the link down is over, perhaps: it trains from Detect on. What goes down meanwhile has another
// epoch.
void pcie_port::bring_up() {
  if (data_link_ != data_link::down || !may_train()) return;
  data_link_ = data_link::trains;
  agenda_.at(train(now_ps()), [this, epoch = link_epoch_] {
    if (epoch == link_epoch_) activate();
  });
}

void pcie_port::activate() {
  data_link_ = data_link::active;
  link_.generation = target_speed_;
  link_.lanes = config_.link.lanes;
  take_link();
  if (trained_) trained_(link_.generation, link_.lanes);
}

bool pcie_port::contain(std::uint32_t reason) {
  if (!link_up() || !dpc_on_) return false;
  contained_ = true;
  dpc_reason_ = reason;
  ++counters_.contained;
  take_down();
  return true;
}

void pcie_port::power_off_device() {
  powered_ = false;
  take_down();
  while (!responses_.empty()) responses_.pop_front()->release();
  if (response_open_) std::exchange(response_open_, nullptr)->release();
}

void pcie_port::lose(dma_read& r) {
  if (r.transaction) std::exchange(r.transaction, nullptr)->release();
  if (r.waiter) {
    r.waiter->lost = true;
    if (--r.waiter->outstanding == 0) in_step([&done = r.waiter->done] { done.notify(); });
    r.waiter = nullptr;
  }
}

void pcie_port::lose_traffic() {
  const picos now = now_ps();
  while (!up_.empty() && up_.back().finish > now) {
    up_tlp t = up_.pop_back();
    ++counters_.dropped;
    lose(t.read);
  }
  announced_ = std::min(announced_, up_.size());
  last_due_ = now;
  overtakers_ = 0;
  for (std::size_t i = 0; i < up_.size(); ++i) {
    lose(up_[i].read);
    overtakers_ += up_[i].relaxed && !up_[i].landed && up_[i].due < last_due_;
    last_due_ = std::max(last_due_, up_[i].due);
  }
  counters_.dropped += held_reads_.size() + served_.size() + held_completions_.size() + down_.size() +
                       requests_.size() + posted_waiting_.size() + nonposted_waiting_.size();
  while (!held_reads_.empty()) {
    held_read r = held_reads_.pop_front();
    lose(r.tlp.read);
  }
  while (!held_completions_.empty()) {
    held_completion r = held_completions_.pop_front();
    lose(r.read);
  }
  while (!served_.empty()) {
    served_read r = served_.pop_front();
    lose(r.read);
  }
  while (!down_.empty()) {
    down_tlp t = down_.pop_front();
    lose(t.read);
  }
  while (!requests_.empty()) requests_.pop_front();
  posted_waiting_.clear();
  nonposted_waiting_.clear();
  up_link_.restart(now);
  down_link_.restart(now);
  trainings_.clear();
  message_through_ = 0;
  posted_left_ = config_.credits.adapter_posted_headers;
  nonposted_left_ = config_.credits.adapter_nonposted_headers;
  posted_credits_.reset();
  nonposted_credits_.reset();
  ++link_epoch_;
}

bool pcie_port::quiet() const {
  return up_.empty() && held_reads_.empty() && served_.empty() && held_completions_.empty() &&
         down_.empty() && requests_.empty() && posted_waiting_.empty() && nonposted_waiting_.empty() &&
         !accessing_ && responses_.empty() && !response_open_ && posted_ == 0 && open_tickets_ == 0;
}

// ---------------------------------------------------------------- DMA, as the adapter sees it

bool pcie_port::acceptable(payload& p, bool one_tlp) const {
  const std::uint32_t length = p.get_data_length();
  if (p.get_command() == tlm::TLM_IGNORE_COMMAND) {
    p.set_response_status(tlm::TLM_COMMAND_ERROR_RESPONSE);
    return false;
  }
  if (p.get_byte_enable_ptr() && !(p.is_read() && is_flush(p))) {
    p.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
    return false;
  }
  if (length == 0 || p.get_streaming_width() < length) {
    p.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return false;
  }
  if (one_tlp) {
    const std::uint32_t fits = p.is_write() ? first_write(config_.link, p.get_address(), length)
                                            : first_read(config_.link, p.get_address(), length);
    if (fits < length) {
      p.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
      SC_REPORT_ERROR(report_id, "PCIe 2.2.7: a request exceeds MPS or MRRS, or crosses 4 KiB");
      return false;
    }
  }
  return true;
}

tlm::tlm_sync_enum pcie_port::nb_transport_fw(payload& p, tlm::tlm_phase& phase, sc_core::sc_time& t) {
  const picos earliest = now_ps() + t.value();
  if (phase == tlm::END_RESP) {
    if (&p == response_open_) {
      response_open_ = nullptr;
      response_free_at_ = earliest;
      p.release();
      pump_responses();
    }
    return tlm::TLM_COMPLETED;
  }
  if (phase != tlm::BEGIN_REQ) {
    SC_REPORT_ERROR(report_id, "IEEE 1666 15.2.3 c: an initiator sends BEGIN_REQ and END_RESP only");
    return tlm::TLM_ACCEPTED;
  }
  if (!acceptable(p, true)) return tlm::TLM_COMPLETED;

  if (p.is_write()) {
    p.set_response_status(tlm::TLM_OK_RESPONSE);
    const picos free = send_write(earliest, p.get_address(), p.get_data_ptr(), p.get_data_length(),
                                  frame_of(p), is_relaxed(p));
    t = to_sc(free - now_ps());
    return tlm::TLM_COMPLETED;
  }
  dma_read r;
  r.tag = tag_of(p);
  r.transaction = &p;
  r.address = p.get_address();
  if (!is_flush(p)) {
    r.destination = p.get_data_ptr();
    r.length = p.get_data_length();
  }
  p.acquire();
  const picos free = send_read(earliest, r);
  t = to_sc(free - now_ps());
  phase = tlm::END_REQ;
  return tlm::TLM_UPDATED;
}

void pcie_port::b_transport(payload& p, sc_core::sc_time& t) {
  if (!acceptable(p, false)) return;
  picos free = now_ps() + t.value();
  std::uint64_t address = p.get_address();
  std::uint8_t* data = p.get_data_ptr();
  std::uint32_t left = p.get_data_length();

  if (p.is_write()) {
    const frame_ref frame = frame_of(p);
    while (left > 0) {
      const std::uint32_t n = first_write(config_.link, address, left);
      free = send_write(free, address, data, n, frame, is_relaxed(p));
      address += n;
      data += n;
      left -= n;
    }
    p.set_response_status(tlm::TLM_OK_RESPONSE);
    t = to_sc(free - now_ps());
    return;
  }

  blocking_read waiter;
  const bool flush = is_flush(p);
  while (left > 0) {
    const std::uint32_t n = first_read(config_.link, address, left);
    dma_read r;
    r.waiter = &waiter;
    r.address = address;
    if (!flush) {
      r.destination = data;
      r.length = n;
    }
    ++waiter.outstanding;
    free = send_read(free, r);
    address += n;
    data += n;
    left -= n;
  }
  while (waiter.outstanding > 0) sc_core::wait(waiter.done);
  if (waiter.lost) {
    agenda_.wait_for(config_.completion_timeout, waiter.done);
    waiter.status = tlm::TLM_GENERIC_ERROR_RESPONSE;
  }
  p.set_response_status(waiter.status);
  t = sc_core::SC_ZERO_TIME;
}

unsigned pcie_port::transport_dbg(payload& p) {
  const bool done = p.is_read()    ? memory_.read(p.get_address(), p.get_data_ptr(), p.get_data_length())
                    : p.is_write() ? memory_.write(p.get_address(), p.get_data_ptr(), p.get_data_length())
                                   : false;
  return done ? p.get_data_length() : 0;
}

// ---------------------------------------------------------------- upwards

picos pcie_port::send_write(picos earliest, std::uint64_t address, const std::uint8_t* data,
                            std::uint32_t length, const frame_ref& frame, bool relaxed) {
  up_tlp t;
  t.relaxed = relaxed;
  t.type = tlp_type::memory_write;
  t.address = address;
  t.length = length;
  t.wire = wire_bytes(t.type, address, length);
  t.poisoned = link_up() && taken(poison_write_);
  if (link_up()) {
    t.frame = frame ? frame : frame_ref::copy_of(data, length);
    t.bytes = frame ? data : t.frame.data();
  }
  return send_up(earliest, std::move(t), config_.write_latency);
}

picos pcie_port::send_read(picos earliest, dma_read r) {
  up_tlp t;
  t.type = tlp_type::memory_read;
  t.address = r.address;
  t.length = r.length;
  t.wire = wire_bytes(t.type, r.address, 0);
  t.read = r;
  if (!config_.ideal && link_up()) {
    const picos wanted = std::max(earliest, up_link_.busy_until);
    if (!held_reads_.empty()) return hold_read(wanted, never, std::move(t));
    const picos credited = nonposted_credits_.available(wanted, 0);
    if (credited > wanted) return hold_read(wanted, credited, std::move(t));
  }
  return send_up(earliest, std::move(t), 0);
}

// Posted writes and completions go on: they must be able to pass a read that cannot go (PCIe 2.4.1).
// `credited` of the first one: when its credit is there.
picos pcie_port::hold_read(picos wanted, picos credited, up_tlp t) {
  ++counters_.credit_stalls;
  held_reads_.push_back({wanted, std::move(t)});
  if (held_reads_.size() == 1) wake_held_reads(credited);
  return wanted;
}

void pcie_port::wake_held_reads(picos credited) {
  agenda_.at(credited, [this, epoch = link_epoch_] {
    if (epoch == link_epoch_) send_held_reads();
  });
}

void pcie_port::send_held_reads() {
  const picos now = now_ps();
  while (!held_reads_.empty()) {
    const picos wanted = std::max(now, up_link_.busy_until);
    const picos credited = nonposted_credits_.available(wanted, 0);
    if (credited > wanted) return wake_held_reads(credited);
    held_read r = held_reads_.pop_front();
    counters_.credit_stall_time += std::max(now, r.wanted) - r.wanted;
    send_up(std::max(now, r.wanted), std::move(r.tlp), 0);
  }
}

// `handling`: from the last byte's arrival to `due`, if nothing earlier holds it up.
picos pcie_port::send_up(picos earliest, up_tlp t, picos handling) {
  if (!link_up()) {
    ++counters_.dropped;
    lose(t.read);
    return earliest + wire_time(t.wire, rate_);
  }
  const span s = occupy(up_link_, down_link_, wait_for_credits(earliest, t), t.wire);
  t.start = s.start;
  t.finish = s.finish;
  const picos arrived = s.finish + config_.propagation;
  const bool translates = t.read.live() || (t.type == tlp_type::memory_write && !is_interrupt(t));
  t.translated = translates ? iommu_.translated(arrived, t.address) : arrived;
  t.due = (t.read.live() ? arrived : t.translated) + handling;
  if (t.relaxed && t.due < last_due_)
    ++overtakers_;  // PCIe 2.4.1: it may pass posted requests
  else
    last_due_ = t.due = std::max(t.due, last_due_);
  // The root complex passes a TLP on as soon as it knows where to; the credits come back by an UpdateFC.
  picos credited = last_due_ - handling + config_.propagation;
  if (!config_.ideal && t.type != tlp_type::completion && t.type != tlp_type::completion_data)
    credited = update_arrives(up_link_, credited);
  if (!config_.ideal && is_posted(t.type)) posted_credits_.take(data_credits(t), credited);
  if (!config_.ideal && t.type == tlp_type::memory_read) nonposted_credits_.take(0, credited);
  agenda_.at(t.due, [this] { land(); });
  if (t.poisoned)
    agenda_.at(t.finish, [this, epoch = link_epoch_] {
      if (epoch == link_epoch_) contain(0);  // an uncorrectable error of the port's own
    });
  up_.push_back(std::move(t));
  if (s.start <= now_ps())
    announce();
  else
    agenda_.at(s.start, [this] { announce(); });
  return s.finish;
}

picos pcie_port::wait_for_credits(picos earliest, const up_tlp& t) {
  if (config_.ideal || !is_posted(t.type)) return earliest;
  const picos wanted = std::max(earliest, up_link_.busy_until);
  const picos free = posted_credits_.available(wanted, data_credits(t));
  if (free > wanted) {
    ++counters_.credit_stalls;
    counters_.credit_stall_time += free - wanted;
    return free;
  }
  return earliest;
}

void pcie_port::announce() {
  const picos now = now_ps();
  while (announced_ < up_.size() && up_[announced_].start <= now) {
    const up_tlp& t = up_[announced_++];
    ++counters_.tlps_up;
    counters_.bytes_up += t.wire;
    const bool answers = t.type == tlp_type::completion || t.type == tlp_type::completion_data;
    // Lower Address is 0 but of completions for reads of memory (PCIe 2.2.9).
    const bool memory = !answers || t.answered.kind == access::mmio_read;
    tell({t.start, true, t.type, memory ? t.address : 0, t.length,
          answers ? static_cast<std::uint16_t>(t.answered.ticket.slot) : t.read.tag,
          answers ? register_bytes : 0, 0, t.message, t.poisoned, t.relaxed});
    log_tlp(event_kind::tlp_up, t.address, t.type, t.length);
    if (config_.mutant_interrupt_overtakes && is_interrupt(t)) land_interrupt(t);
  }
}

void pcie_port::land() {
  const picos now = now_ps();
  while (!up_.empty() && up_.front().due <= now) {
    const up_tlp t = up_.pop_front();
    --announced_;
    if (t.landed) continue;
    if (t.type == tlp_type::memory_write) {
      land_write(t);
    } else if (t.type == tlp_type::memory_read) {
      if (t.read.live()) serve(t.read, t.translated);
    } else if (t.type == tlp_type::message) {
      land_message(t.message);
    } else {
      agenda_.in(config_.mmio_latency, [this, r = t.answered] {
        if (!waiting(r.ticket)) {  // it has timed out (PCIe 2.3.2)
          aer_uncorrectable_ |= aer_unexpected_completion;
          return;
        }
        if (r.kind == access::mmio_read && !r.refused) {
          ++counters_.mmio_reads;
          log_access(event_kind::mmio_read, r);
        }
        finish(r.ticket, r.value);
      });
    }
  }
  for (std::size_t i = 0; overtakers_ > 0 && i < up_.size(); ++i) {
    if (!up_[i].relaxed || up_[i].landed || up_[i].due > now) continue;
    --overtakers_;
    ++counters_.overtakings;
    up_[i].landed = true;
    land_write(up_tlp(up_[i]));
  }
}

bool pcie_port::is_interrupt(const up_tlp& t) {
  return t.type == tlp_type::memory_write && t.length == register_bytes && t.address >= msi_base &&
         t.address < msi_end;
}

void pcie_port::land_interrupt(const up_tlp& t) {
  std::uint32_t data;
  std::memcpy(&data, t.bytes, sizeof data);
  ++counters_.msi;
  event e;
  e.unit = unit_;
  e.at = now_ps();
  e.kind = event_kind::interrupt;
  e.a = data;
  e.b = t.address;
  log_.emit(e);
  if (interrupt_) interrupt_(e.b, data);
}

void pcie_port::land_write(const up_tlp& t) {
  if (t.poisoned) {
    ++counters_.poisoned_writes;
    aer_uncorrectable_ |= aer_poisoned;
    return;
  }
  if (is_interrupt(t)) {
    if (!iommu_.admit_interrupt(t.translated)) return;
    if (!config_.mutant_interrupt_overtakes) land_interrupt(t);
    return;
  }
  event e;
  e.unit = unit_;
  e.at = now_ps();
  if (!iommu_.admit(t.address, t.length, t.translated) || !memory_.write(t.address, t.bytes, t.length)) {
    ++counters_.unsupported;
    aer_uncorrectable_ |= aer_unsupported_request;
    return;
  }
  cache_.device_wrote(t.address, t.length);
  ++counters_.writes;
  counters_.write_bytes += t.length;
  e.kind = event_kind::write_visible;
  e.a = t.address;
  e.b = t.length;
  e.data = t.bytes;
  e.length = t.length;
  log_.emit(e);
}

void pcie_port::send_error_message(error_message m) {
  up_tlp t;
  t.type = tlp_type::message;
  t.message = m;
  t.wire = wire_bytes(t.type, 0, 0);
  send_up(now_ps(), std::move(t), 0);
}

// Root Error Status counts to two of each sort and remembers who was first (PCIe 6.2.4.1.1, 7.8.4.10).
void pcie_port::land_message(error_message m) {
  constexpr std::uint32_t id = adapter_requester_id;
  if (m == error_message::correctable) {
    ++counters_.err_cor;
    if (!(aer_root_status_ & root_cor)) aer_source_ = (aer_source_ & 0xffff0000) | id;
    aer_root_status_ |= aer_root_status_ & root_cor ? root_more_cor : root_cor;
    return;
  }
  const bool fatal = m == error_message::fatal;
  ++(fatal ? counters_.err_fatal : counters_.err_nonfatal);
  if (fatal && contain(port_dpc_by_fatal | id << 16)) return;  // the message goes no further
  const bool first = !(aer_root_status_ & root_uncor);
  if (first) aer_source_ = (aer_source_ & 0xffff) | id << 16;
  aer_root_status_ |= first ? root_uncor | (fatal ? root_first_fatal : 0) : root_more_uncor;
  aer_root_status_ |= fatal ? root_fatal : root_nonfatal;
}

// Sample memory; the completions go when address and data are there. One read may overtake another
// (PCIe 2.4.1).
void pcie_port::serve(dma_read r, picos translated) {
  const std::uint32_t bytes = r.destination ? r.length : register_bytes;
  const bool there = iommu_.admit(r.address, bytes, translated) &&
                     (r.destination ? memory_.read(r.address, r.destination, r.length)
                                    : memory_.at(r.address, register_bytes) != nullptr);
  picos extra = 0;
  if (there) {
    ++counters_.reads;
    counters_.read_bytes += r.length;
    extra = cache_.read_extra(r.address, r.length);
  } else {
    ++counters_.unsupported;
    aer_uncorrectable_ |= aer_unsupported_request;
    r.status = tlm::TLM_ADDRESS_ERROR_RESPONSE;
  }
  const auto happens = [this](std::uint32_t& wanted, std::uint32_t rate) {
    if (wanted == 0) return rate > 0 && read_errors_.chance(rate / million);
    --wanted;
    return true;
  };
  if (there && happens(poison_, config_.poisoned_reads)) {
    ++counters_.poisoned;
    r.status = tlm::TLM_GENERIC_ERROR_RESPONSE;
  } else if (there && happens(abort_, config_.aborted_reads)) {
    ++counters_.aborted;
    aer_uncorrectable_ |= aer_completer_abort;
    r.status = tlm::TLM_COMMAND_ERROR_RESPONSE;
  }
  const picos at = std::max(now_ps(), translated) + config_.read_latency + extra;
  served_.push_back({at, r});
  for (std::size_t i = served_.size() - 1; i > 0 && served_[i - 1].at > at; --i)
    std::swap(served_[i - 1], served_[i]);
  agenda_.at(at, [this] { return_reads(); });
}

// ---------------------------------------------------------------- downwards

void pcie_port::return_reads() {
  while (!served_.empty() && served_.front().at <= now_ps()) {
    const dma_read r = served_.pop_front().read;
    if (posted_waiting_.empty())
      complete(r);
    else
      held_completions_.push_back({request_number_, r});
  }
}

void pcie_port::complete(const dma_read& r) {
  std::uint64_t address = r.address;
  std::uint32_t left = r.length ? r.length : 1;  // a zero-length read asks for one byte (PCIe 2.3.1.1)
  tlp_on_link seen{0, false, tlp_type::completion, address, 0, r.tag, left, 0};
  seen.poisoned = is_poisoned(r.status);
  if (!has_data(r.status)) {
    seen.status = completion_status(r.status);
    send_down({0, false, {}, r}, seen, wire_bytes(tlp_type::completion, 0, 0));
    return;
  }
  seen.type = tlp_type::completion_data;
  if (auto* e = r.transaction ? r.transaction->get_extension<frame_extension>() : nullptr)
    e->completer = link_;
  std::uint32_t n = first_completion(link_, address, left);
  for (; n < left; n = first_completion(link_, address, left)) {
    const std::uint32_t wire = wire_bytes(tlp_type::completion_data, address, n);
    const span s = occupy(down_link_, up_link_, now_ps(), wire);
    ++counters_.tlps_down;
    counters_.bytes_down += wire;
    seen.at = s.finish + config_.propagation;
    seen.length = n;
    tell(seen);
    address += n;
    left -= n;
    seen.address = address;
    seen.left = left;
  }
  seen.length = n;
  send_down({0, false, {}, r}, seen, wire_bytes(tlp_type::completion_data, address, n));
}

// `seen`: what an observer is told, at its arrival.
void pcie_port::send_down(down_tlp t, const tlp_on_link& seen, std::uint32_t wire) {
  const span s = occupy(down_link_, up_link_, now_ps(), wire);
  ++counters_.tlps_down;
  counters_.bytes_down += wire;
  t.at = s.finish + config_.propagation;
  if (observer_) {
    tlp_on_link arriving = seen;
    arriving.at = t.at;
    tell(arriving);
  }
  agenda_.at(t.at, [this] { arrive(); });
  down_.push_back(t);
}

void pcie_port::arrive() {
  while (!down_.empty() && down_.front().at <= now_ps()) {
    const down_tlp t = down_.pop_front();
    if (t.request) {
      requests_.push_back(t.host);
      log_tlp(event_kind::tlp_down, t.host.offset, request_type(t.host.kind), register_bytes);
      in_step([this] { request_arrived_.notify(); });
    } else {
      respond(t.read);
    }
  }
}

void pcie_port::respond(const dma_read& r) {
  if (r.transaction) {
    r.transaction->set_response_status(r.status);
    responses_.push_back(r.transaction);
  } else {
    if (r.status != tlm::TLM_OK_RESPONSE) r.waiter->status = r.status;
    if (--r.waiter->outstanding == 0) in_step([&done = r.waiter->done] { done.notify(); });
  }
  log_tlp(event_kind::tlp_down, r.address,
          has_data(r.status) ? tlp_type::completion_data : tlp_type::completion, r.length);
  pump_responses();
}

// One response at a time (IEEE 1666 15.2.6 f).
void pcie_port::pump_responses() {
  if (pumping_) return;
  pumping_ = true;
  while (!responses_.empty() && !response_open_ && response_free_at_ <= now_ps()) {
    payload* p = responses_.pop_front();
    response_open_ = p;
    tlm::tlm_phase phase = tlm::BEGIN_RESP;
    sc_core::sc_time t = sc_core::SC_ZERO_TIME;
    const tlm::tlm_sync_enum answer = dma->nb_transport_bw(*p, phase, t);
    const bool ended = answer == tlm::TLM_COMPLETED || (answer == tlm::TLM_UPDATED && phase == tlm::END_RESP);
    if (ended && response_open_ == p) {
      response_open_ = nullptr;
      response_free_at_ = now_ps() + t.value();
      p->release();
    }
  }
  pumping_ = false;
  if (!responses_.empty() && !response_open_) agenda_.at(response_free_at_, [this] { pump_responses(); });
}

// ---------------------------------------------------------------- the host's requests

tlp_type pcie_port::request_type(access kind) {
  switch (kind) {
    case access::mmio_write:
      return tlp_type::memory_write;
    case access::mmio_read:
      return tlp_type::memory_read;
    case access::cfg_write:
      return tlp_type::config_write;
    default:
      return tlp_type::config_read;
  }
}

pcie_port::host_ticket pcie_port::open_ticket(host_done done) {
  if (free_hosts_.empty()) {
    free_hosts_.push_back(static_cast<std::uint32_t>(hosts_.size()));
    hosts_.emplace_back();
  }
  const std::uint32_t slot = free_hosts_.back();
  free_hosts_.pop_back();
  hosts_[slot].done = std::move(done);
  ++open_tickets_;
  return {slot, hosts_[slot].generation};
}

void pcie_port::finish(const host_ticket& t, std::uint32_t value) {
  if (!waiting(t)) return;
  host_done done = std::move(hosts_[t.slot].done);
  ++hosts_[t.slot].generation;
  free_hosts_.push_back(t.slot);
  --open_tickets_;
  if (done) done(value);
}

void pcie_port::start_request(const host_request& r, picos delay) {
  ++posted_;
  agenda_.in(delay + config_.mmio_latency, [this, r] {
    --posted_;
    enter_request(r);
  });
  if (r.kind != access::mmio_write)
    agenda_.in(delay + config_.completion_timeout, [this, ticket = r.ticket] {
      if (!waiting(ticket)) return;
      ++counters_.timeouts;
      aer_uncorrectable_ |= aer_completion_timeout;
      finish(ticket, nobody);
    });
}

void pcie_port::mmio_write(std::uint32_t offset, std::uint32_t value, picos delay) {
  host_request r{access::mmio_write, offset, value, {}};
  r.poisoned = taken(poison_mmio_write_);
  start_request(r, delay);
}

void pcie_port::mmio_read(std::uint32_t offset, host_done done, picos delay) {
  start_request({access::mmio_read, offset, 0, open_ticket(std::move(done))}, delay);
}

void pcie_port::cfg_write(std::uint32_t offset, std::uint32_t value, picos delay, host_done done) {
  start_request({access::cfg_write, offset, value, open_ticket(std::move(done))}, delay);
}

void pcie_port::cfg_read(std::uint32_t offset, host_done done, picos delay) {
  start_request({access::cfg_read, offset, 0, open_ticket(std::move(done))}, delay);
}

void pcie_port::enter_request(host_request r) {
  if (!link_up() || unfenceable_) {
    ++counters_.dropped;
    return;
  }
  r.number = request_number_++;
  (r.posted() ? posted_waiting_ : nonposted_waiting_).push_back(r);
  const std::size_t waited = posted_waiting_.size() + nonposted_waiting_.size();
  send_requests();
  counters_.host_stalls += posted_waiting_.size() + nonposted_waiting_.size() == waited;
}

// In order, but posted requests and completions pass non-posted requests that wait for credits; nothing
// passes a posted one (PCIe 2.4.1).
void pcie_port::send_requests() {
  for (;;) {
    while (!held_completions_.empty() &&
           (posted_waiting_.empty() || held_completions_.front().number <= posted_waiting_.front().number))
      complete(held_completions_.pop_front().read);
    const bool in_turn =
        !nonposted_waiting_.empty() &&
        (posted_waiting_.empty() || nonposted_waiting_.front().number < posted_waiting_.front().number);
    host_request r;
    if (in_turn && nonposted_left_ > 0) {
      --nonposted_left_;
      r = nonposted_waiting_.pop_front();
    } else if (!posted_waiting_.empty() && posted_left_ > 0) {
      --posted_left_;
      r = posted_waiting_.pop_front();
    } else {
      return;
    }
    const bool write = r.kind == access::mmio_write || r.kind == access::cfg_write;
    send_down({0, true, r, {}},
              {0, false, request_type(r.kind), r.offset, register_bytes,
               static_cast<std::uint16_t>(r.ticket.slot), 0, 0, error_message::none, r.poisoned},
              wire_bytes(request_type(r.kind), r.offset, write ? register_bytes : 0));
  }
}

// The adapter has carried out a request, which came in `epoch`: an UpdateFC tells the root port.
void pcie_port::give_back_credit(bool posted, std::uint64_t epoch) {
  if (epoch != link_epoch_) return;
  agenda_.at(update_arrives(down_link_, now_ps() + config_.propagation), [this, posted, epoch] {
    if (epoch != link_epoch_) return;
    ++(posted ? posted_left_ : nonposted_left_);
    send_requests();
  });
}

// A thread, because b_transport must not be called from a method (IEEE 1666 11.1.1.4 b).
void pcie_port::access_registers() {
  for (;;) {
    while (requests_.empty()) wait(request_arrived_);
    host_request r = requests_.pop_front();
    const std::uint64_t epoch = link_epoch_;
    accessing_ = true;
    const bool write = r.kind == access::mmio_write || r.kind == access::cfg_write;
    access_payload_.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    access_payload_.set_address(r.offset);
    access_payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    access_payload_.set_dmi_allowed(false);
    std::memcpy(access_data_.data(), &r.value, register_bytes);
    sc_core::sc_time t = sc_core::SC_ZERO_TIME;
    access_poison_.poisoned = r.poisoned;
    auto& socket = r.kind == access::mmio_write || r.kind == access::mmio_read ? mmio : cfg;
    socket->b_transport(access_payload_, t);
    const bool carried_out = access_payload_.is_response_ok();
    r.refused = is_unsupported(access_payload_.get_response_status());
    counters_.host_unsupported += r.refused;
    counters_.poisoned_writes += r.poisoned && !carried_out;
    if (!write) std::memcpy(&r.value, access_data_.data(), register_bytes);
    if (carried_out && r.kind == access::mmio_write) {
      ++counters_.mmio_writes;
      log_access(event_kind::mmio_write, r);
    }
    if (t != sc_core::SC_ZERO_TIME) agenda_.wait_for(t.value(), access_over_);
    accessing_ = false;
    give_back_credit(r.posted(), epoch);
    if (r.kind == access::mmio_write || !(carried_out || r.refused)) continue;
    if (epoch != link_epoch_) {
      ++counters_.dropped;
      continue;
    }
    answer(r);
  }
}

// The completion goes up, behind the adapter's earlier writes.
void pcie_port::answer(host_request r) {
  up_tlp t;
  const bool data = r.kind != access::cfg_write && !r.refused;
  t.type = data ? tlp_type::completion_data : tlp_type::completion;
  t.address = r.offset;
  t.length = data ? register_bytes : 0;
  t.wire = wire_bytes(t.type, t.address, t.length);
  if (!data) r.value = r.refused ? nobody : 0;
  t.answered = r;
  send_up(now_ps(), std::move(t), 0);
}

// ---------------------------------------------------------------- the port's own configuration space

void pcie_port::port_cfg_write(std::uint32_t offset, std::uint32_t value, picos delay, host_done done) {
  agenda_.in(delay + config_.mmio_latency, [this, offset, value, ticket = open_ticket(std::move(done))] {
    write_port_register(offset, value);
    agenda_.in(config_.mmio_latency, [this, ticket] { finish(ticket, 0); });
  });
}

void pcie_port::write_port_register(std::uint32_t offset, std::uint32_t value) {
  switch (offset) {
    case port_aer_uncorrectable:
      aer_uncorrectable_ &= ~value;
      break;
    case port_aer_correctable:
      aer_correctable_ &= ~value;
      break;
    case port_aer_root_status:
      aer_root_status_ &= ~value;
      break;
    case port_dpc_control:
      dpc_on_ = config_.dpc && value & port_dpc_on_fatal;
      break;
    case port_dpc_status:
      if (!(value & port_dpc_triggered) || !contained_) break;
      contained_ = false;
      bring_up();
      break;
    case port_device_control:  // of completions with data, at most; more than the slot has counts as that
      link_.mps = std::min(128u << (value >> 5 & 7), config_.link.mps);
      take_link();
      break;
    case port_link_control_2:
      target_speed_ = std::clamp(value & 15, 1u, config_.link.generation);
      break;
    case port_link_control:
      if (unfenceable_) break;
      disabled_ = (value & port_link_disable) != 0;
      if (disabled_) {
        take_down();
        break;
      }
      if (value & port_retrain_link) retrain(target_speed_, link_.lanes);
      bring_up();
      break;
    default:
      break;
  }
}

void pcie_port::port_cfg_read(std::uint32_t offset, host_done done, picos delay) {
  agenda_.in(delay + config_.mmio_latency, [this, offset, ticket = open_ticket(std::move(done))] {
    agenda_.at(last_due_, [this, offset, ticket] {
      agenda_.in(config_.mmio_latency,
                 [this, ticket, value = port_register(offset)] { finish(ticket, value); });
    });
  });
}

void pcie_port::revoke_dma(picos delay, host_done done) {
  const std::uint32_t answer = iommu_.config().on ? 0 : nobody;
  agenda_.in(delay + config_.mmio_latency, [this, answer, ticket = open_ticket(std::move(done))] {
    iommu_.revoke(now_ps());
    agenda_.at(last_due_, [this, answer, ticket] {
      agenda_.in(config_.mmio_latency, [this, answer, ticket] { finish(ticket, answer); });
    });
  });
}

std::uint32_t pcie_port::port_register(std::uint32_t offset) const {
  const link_parameters& link = config_.link;
  switch (offset) {
    case 0x00:
      return US_PCI_VENDOR | port_device << 16;
    case 0x04:
      return 1u << 20;  // Status: there is a capability list
    case 0x08:
      return 0x060400u << 8;  // class: PCI-to-PCI bridge
    case 0x0c:
      return 1u << 16;  // header type 1
    case 0x18:
      return 1u << 16 | 1u << 8;  // bus 1 below
    case 0x34:
      return port_capability;
    case 0x3c:
      return 1u << 17;  // Bridge Control: SERR# Enable, so that error messages pass
    case port_capability:
      return 0x10u | 0x42u << 16;  // PCI Express, version 2, root port, end of the list
    case port_capability + 0x04:   // Device Capabilities: MPS, role-based error reporting
      return size_code(link.mps) | 1u << 15;
    case port_device_control:
      return size_code(link_.mps) << 5;
    case port_capability + 0x0c:  // Link Capabilities: speed, width, reports Link Active
      return link.generation | link.lanes << 4 | 1u << 20;
    case port_link_control: {
      const std::uint32_t training = trains_at(now_ps()) ? port_link_training : 0;
      const std::uint32_t status =
          link_up() ? link_.generation << 16 | link_.lanes << 20 | port_link_active : 0;
      return status | training | (disabled_ ? port_link_disable : 0) | (link.rcb == 128 ? port_rcb_128 : 0);
    }
    case port_capability + 0x24:  // Device Capabilities 2: 10-Bit Tag Completer Supported
      return 1u << 16;
    case port_capability + 0x2c:  // Link Capabilities 2: every speed up to its own
      return ((1u << link.generation) - 1) << 1;
    case port_link_control_2:
      return target_speed_;
    case port_aer:
      return 0x0001u | 2u << 16 | (config_.dpc ? port_dpc << 20 : 0);  // AER, version 2
    case port_aer_severity:
      return aer_surprise_down | (config_.dpc ? aer_poisoned : 0);
    case port_dpc:
      return config_.dpc ? 0x001du | 1u << 16 : 0;  // version 1, end of the list
    case port_dpc_control:
      return dpc_on_ ? port_dpc_on_fatal : 0;
    case port_dpc_status:
      return contained_ ? port_dpc_triggered | dpc_reason_ : 0;
    case port_aer_uncorrectable:
      return aer_uncorrectable_;
    case port_aer_correctable:
      return aer_correctable_;
    case port_aer_root_status:
      return aer_root_status_;
    case port_aer_source:
      return aer_source_;
    default:
      return 0;
  }
}

}  // namespace understudy
