// An adapter as far as the bus can see it: a DMA initiator that keeps the base protocol, and registers with
// an access time.
#pragma once
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <systemc>
#include <tlm>
#include <vector>

#include "model/core/event_log.h"
#include "model/pcie/frame_extension.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/protocol_checker.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

class card : public sc_core::sc_module, public tlm::tlm_mm_interface {
 public:
  // One DMA, with everything that a transaction needs to live.
  struct operation {
    tlm::tlm_generic_payload payload;
    std::uint8_t data[4096] = {};
    std::uint8_t enables[4] = {};
    picos answered = never;
  };

  explicit card(const sc_core::sc_module_name& name) : sc_module(name) {
    dma.register_nb_transport_bw(this, &card::nb_transport_bw);
  }
  ~card() override {
    for (auto& o : all_) o->payload.clear_extension<frame_extension>();
  }

  tlm_utils::simple_initiator_socket<card> dma{"dma"};
  bool accept_later = false;  // answer BEGIN_RESP with TLM_ACCEPTED; the test calls end_response()
  int alive = 0;              // operations not yet given back

  operation& take() {
    if (free_.empty()) {
      all_.push_back(std::make_unique<operation>());
      all_.back()->payload.set_mm(this);
      free_.push_back(all_.back().get());
    }
    operation* o = free_.back();
    free_.pop_back();
    ++alive;
    o->answered = never;
    o->payload.acquire();
    o->payload.set_data_ptr(o->data);
    o->payload.set_byte_enable_ptr(nullptr);
    o->payload.set_dmi_allowed(false);
    o->payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    return *o;
  }
  // Begin at the earliest instant that the link has allowed. The answer to BEGIN_REQ is in `last`.
  operation& begin(operation& o, tlm::tlm_command command, std::uint64_t address, std::uint32_t length) {
    auto& p = o.payload;
    p.set_command(command);
    p.set_address(address);
    p.set_data_length(length);
    p.set_streaming_width(length);
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time t = to_sc(link_free > now_ps() ? link_free - now_ps() : 0);
    last = dma->nb_transport_fw(p, phase, t);
    link_free = now_ps() + t.value();
    if (last == tlm::TLM_COMPLETED) {
      status = p.get_response_status();
      p.release();
    }
    return o;
  }
  void write(std::uint64_t address, const void* data, std::uint32_t length) {
    operation& o = take();
    std::memcpy(o.data, data, length);
    begin(o, tlm::TLM_WRITE_COMMAND, address, length);
    std::memset(o.data, 0xee, sizeof o.data);  // the buffer is ours again
  }
  void fill(std::uint64_t address, std::uint8_t value, std::uint32_t length) {
    std::uint8_t bytes[4096];
    std::memset(bytes, value, length);
    write(address, bytes, length);
  }
  operation& read(std::uint64_t address, std::uint32_t length) {
    return begin(take(), tlm::TLM_READ_COMMAND, address, length);
  }
  operation& flush(std::uint64_t address) {
    operation& o = take();
    o.payload.set_byte_enable_ptr(o.enables);
    o.payload.set_byte_enable_length(4);
    return begin(o, tlm::TLM_READ_COMMAND, address, 4);
  }
  void end_response(operation& o) {
    tlm::tlm_phase phase = tlm::END_RESP;
    sc_core::sc_time t;
    dma->nb_transport_fw(o.payload, phase, t);
    o.payload.release();
  }
  void free(tlm::tlm_generic_payload* p) override {
    --alive;
    for (auto& o : all_)
      if (&o->payload == p) free_.push_back(o.get());
  }

  picos link_free = 0;
  tlm::tlm_sync_enum last = tlm::TLM_ACCEPTED;
  tlm::tlm_response_status status = tlm::TLM_INCOMPLETE_RESPONSE;  // of the last early completion
  std::uint64_t answers = 0;

 private:
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& p, tlm::tlm_phase&, sc_core::sc_time& t) {
    for (auto& o : all_)
      if (&o->payload == &p) o->answered = now_ps() + t.value();
    ++answers;
    if (accept_later) return tlm::TLM_ACCEPTED;
    p.release();
    return tlm::TLM_COMPLETED;
  }
  std::vector<std::unique_ptr<operation>> all_;
  std::vector<operation*> free_;
};

// 32-bit registers that remember who came when.
class registers : public sc_core::sc_module {
 public:
  explicit registers(const sc_core::sc_module_name& name) : sc_module(name) {
    socket.register_b_transport(this, &registers::b_transport);
  }
  tlm_utils::simple_target_socket<registers> socket{"socket"};
  struct visit {
    picos at;
    bool write;
    std::uint32_t offset, value;
  };
  std::vector<visit> visits;
  std::uint32_t value = 0;
  picos access = 100_ns;
  bool waits = false;  // the access time is waited for rather than annotated
  bool dead = false;
  tlm::tlm_response_status refuses = tlm::TLM_OK_RESPONSE;  // else: what every access is answered
  unsigned poisoned = 0;                                    // writes with the EP bit, which are refused

 private:
  void b_transport(tlm::tlm_generic_payload& p, sc_core::sc_time& t) {
    const auto* e = p.get_extension<poison_extension>();
    const bool poison = p.is_write() && e && e->poisoned;
    poisoned += poison;
    if (dead || poison || refuses != tlm::TLM_OK_RESPONSE) {
      p.set_response_status(dead || poison ? tlm::TLM_GENERIC_ERROR_RESPONSE : refuses);
      return;
    }
    if (p.is_write())
      std::memcpy(&value, p.get_data_ptr(), 4);
    else
      std::memcpy(p.get_data_ptr(), &value, 4);
    visits.push_back(
        {now_ps() + t.value(), p.is_write(), static_cast<std::uint32_t>(p.get_address()), value});
    if (waits)
      sc_core::wait(to_sc(access));
    else
      t += to_sc(access);
    p.set_response_status(tlm::TLM_OK_RESPONSE);
  }
};

// Keeps every event.
class recorder : public event_observer {
 public:
  void on_event(const event& e) override {
    if (keep) events.push_back(e);
    if (e.kind == kill_at && victim) victim->power_off_device();
  }
  std::vector<event> of(event_kind k) const {
    std::vector<event> r;
    for (const event& e : events)
      if (e.kind == k) r.push_back(e);
    return r;
  }
  std::vector<event> events;
  bool keep = true;
  pcie_port* victim = nullptr;  // dies inside an event of kind kill_at
  event_kind kill_at = event_kind::fault;
};

// What crosses the link from pcie_port::watch() on.
struct tlp_watcher : tlp_observer {
  std::vector<tlp_on_link> all;
  void on_tlp(std::uint16_t, const tlp_on_link& t) override { all.push_back(t); }
};

// Memory, port and card, with checkers on every socket.
struct bench {
  explicit bench(const pcie_config& config = {})
      : port("port", config, memory, log, 3),
        rate(static_cast<bits_per_second>(std::llround(raw_rate(config.link) * skp_share()))) {
    log.subscribe(&record);
    device.dma.bind(dma_check.target);
    dma_check.initiator.bind(port.dma);
    port.mmio.bind(mmio_check.target);
    mmio_check.initiator.bind(bar.socket);
    port.cfg.bind(cfg_check.target);
    cfg_check.initiator.bind(space.socket);
  }
  // The time that a TLP of so many wire bytes takes on an idle link.
  picos wire(std::uint32_t bytes) const { return wire_time(bytes, rate); }
  static void run(picos t) { sc_core::sc_start(to_sc(t)); }

  host_memory memory;
  event_log log;
  recorder record;
  card device{"device"};
  registers bar{"bar"}, space{"space"};
  protocol_checker dma_check{"dma_check"}, mmio_check{"mmio_check"}, cfg_check{"cfg_check"};
  pcie_port port;
  bits_per_second rate;
};

}  // namespace understudy::tb
