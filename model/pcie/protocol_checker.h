// Sits between an initiator and a target, passes every call on unchanged, and reports breaches of the TLM-2.0
// base protocol as errors "/understudy/tlm" that cite the clause of IEEE 1666.
#pragma once
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <algorithm>
#include <string>
#include <systemc>
#include <tlm>
#include <vector>

#include "model/sim/agenda_queue.h"

namespace understudy {

class protocol_checker : public sc_core::sc_module {
 public:
  static constexpr const char* report_id = "/understudy/tlm";

  explicit protocol_checker(const sc_core::sc_module_name& name) : sc_module(name) {
    target.register_nb_transport_fw(this, &protocol_checker::nb_transport_fw);
    target.register_b_transport(this, &protocol_checker::b_transport);
    target.register_transport_dbg(this, &protocol_checker::transport_dbg);
    initiator.register_nb_transport_bw(this, &protocol_checker::nb_transport_bw);
  }

  tlm_utils::simple_target_socket<protocol_checker> target{"target"};           // the initiator binds here
  tlm_utils::simple_initiator_socket<protocol_checker> initiator{"initiator"};  // binds to the target

  // Transactions that have begun and not ended; calls seen so far.
  std::size_t open() const { return open_.size(); }
  std::uint64_t calls() const { return calls_; }

 private:
  using payload = tlm::tlm_generic_payload;
  enum class stage { requested, accepted, responding };
  struct transaction {
    payload* p;
    stage at;
    picos when;  // effective time of its last phase
    tlm::tlm_command command;
    unsigned char* data;
    unsigned length;
  };

  [[gnu::cold]] static void breach(const char* clause, const char* what) {
    SC_REPORT_ERROR(report_id, (std::string("IEEE 1666 ") + clause + ": " + what).c_str());
  }
  static picos effective(const sc_core::sc_time& t) { return now_ps() + t.value(); }

  std::vector<transaction>::iterator find(const payload& p) {
    if (!open_.empty() && open_.back().p == &p) return open_.end() - 1;
    return std::find_if(open_.begin(), open_.end(), [&](const transaction& x) { return x.p == &p; });
  }

  static void check_attributes(const payload& p) {
    if (p.get_response_status() != tlm::TLM_INCOMPLETE_RESPONSE)
      breach("14.17 e", "the response status of a request is not TLM_INCOMPLETE_RESPONSE");
    if (p.is_dmi_allowed()) breach("14.16", "the DMI hint of a request is set");
    if (p.get_command() != tlm::TLM_IGNORE_COMMAND) {
      if (!p.get_data_ptr()) breach("14.11 e", "the data pointer is null");
      if (p.get_data_length() == 0) breach("14.12 d", "the data length is 0");
    }
    if (p.get_streaming_width() == 0) breach("14.15 f", "the streaming width is 0");
    if (p.get_byte_enable_ptr() && p.get_byte_enable_length() == 0)
      breach("14.14 f", "there are byte enables and their length is 0");
  }
  static void check_answered(const payload& p) {
    if (p.get_response_status() == tlm::TLM_INCOMPLETE_RESPONSE)
      breach("14.17", "the target has not set the response status");
  }

  void begin_request(payload& p, const sc_core::sc_time& t) {
    if (!p.has_mm())
      breach("14.5 i", "nb_transport without a memory manager");
    else if (p.get_ref_count() == 0)
      breach("14.5 t", "nb_transport with a reference count of 0");
    check_attributes(p);
    if (find(p) != open_.end()) {
      breach("15.2.4", "BEGIN_REQ of a transaction that has not ended");
      return;
    }
    if (request_open_)
      breach("15.2.6 e", "BEGIN_REQ before the END_REQ of the one before (request exclusion)");
    if (effective(t) < request_free_)
      breach("15.2.7", "BEGIN_REQ before the time annotated to the END_REQ of the one before");
    request_open_ = &p;
    open_.push_back(
        {&p, stage::requested, effective(t), p.get_command(), p.get_data_ptr(), p.get_data_length()});
  }
  void end_request(transaction& x, const sc_core::sc_time& t) {
    keep_time(x, t);
    x.at = stage::accepted;
    request_open_ = nullptr;
    request_free_ = effective(t);
  }
  void begin_response(transaction& x, const sc_core::sc_time& t) {
    if (x.at == stage::requested) end_request(x, t);  // BEGIN_RESP implies END_REQ
    keep_time(x, t);
    x.at = stage::responding;
    if (response_open_)
      breach("15.2.6 f", "BEGIN_RESP before the END_RESP of the one before (response exclusion)");
    if (effective(t) < response_free_)
      breach("15.2.7", "BEGIN_RESP before the time annotated to the END_RESP of the one before");
    response_open_ = x.p;
    check_answered(*x.p);
    if (x.p->get_command() != x.command || x.p->get_data_ptr() != x.data ||
        x.p->get_data_length() != x.length)
      breach("14.7", "command, data pointer or length was changed on the way");
  }
  void end(std::vector<transaction>::iterator x, const sc_core::sc_time& t) {
    keep_time(*x, t);
    if (x->at == stage::requested) end_request(*x, t);
    if (response_open_ == x->p) {
      response_open_ = nullptr;
      response_free_ = effective(t);
    }
    *x = open_.back();
    open_.pop_back();
  }
  static void keep_time(transaction& x, const sc_core::sc_time& t) {
    if (effective(t) < x.when) breach("15.2.7 c", "a phase before the annotated time of the phase before");
    x.when = effective(t);
  }

  tlm::tlm_sync_enum nb_transport_fw(payload& p, tlm::tlm_phase& phase, sc_core::sc_time& t) {
    ++calls_;
    if (phase == tlm::BEGIN_REQ) {
      begin_request(p, t);
    } else if (phase == tlm::END_RESP) {
      const auto x = find(p);
      if (x == open_.end() || x->at != stage::responding)
        breach("15.2.4", "END_RESP without BEGIN_RESP");
      else
        end(x, t);
    } else {
      breach("15.2.3 c", "an initiator sends BEGIN_REQ and END_RESP only");
    }
    const tlm::tlm_phase sent = phase;
    const tlm::tlm_sync_enum r = initiator->nb_transport_fw(p, phase, t);
    if (sent != tlm::BEGIN_REQ) return r;
    const auto x = find(p);
    if (r == tlm::TLM_COMPLETED) {
      check_answered(p);
      if (x != open_.end()) end(x, t);
    } else if (r == tlm::TLM_UPDATED) {
      if (phase == tlm::END_REQ && x != open_.end())
        end_request(*x, t);
      else if (phase == tlm::BEGIN_RESP && x != open_.end())
        begin_response(*x, t);
      else
        breach("15.2.4", "TLM_UPDATED after BEGIN_REQ with a phase other than END_REQ or BEGIN_RESP");
    }
    return r;
  }

  tlm::tlm_sync_enum nb_transport_bw(payload& p, tlm::tlm_phase& phase, sc_core::sc_time& t) {
    ++calls_;
    const tlm::tlm_phase sent = phase;
    const auto x = find(p);
    if (x == open_.end())
      breach("15.2.4", "a phase from the target for a transaction that has not begun or has ended");
    else if (phase == tlm::END_REQ && x->at == stage::requested)
      end_request(*x, t);
    else if (phase == tlm::BEGIN_RESP && x->at != stage::responding)
      begin_response(*x, t);
    else
      breach("15.2.4", "a target sends END_REQ once and then BEGIN_RESP once");
    const tlm::tlm_sync_enum r = target->nb_transport_bw(p, phase, t);
    if (sent != tlm::BEGIN_RESP) {
      if (r != tlm::TLM_ACCEPTED) breach("15.2.4", "an initiator answers END_REQ with TLM_ACCEPTED only");
      return r;
    }
    if (r == tlm::TLM_UPDATED && phase != tlm::END_RESP)
      breach("15.2.4", "TLM_UPDATED after BEGIN_RESP with a phase other than END_RESP");
    if (r == tlm::TLM_COMPLETED || (r == tlm::TLM_UPDATED && phase == tlm::END_RESP))
      if (const auto y = find(p); y != open_.end()) end(y, t);
    return r;
  }

  void b_transport(payload& p, sc_core::sc_time& t) {
    ++calls_;
    if (sc_core::sc_get_current_process_handle().proc_kind() == sc_core::SC_METHOD_PROC_)
      breach("11.1.1.4 b", "b_transport from a method process");
    check_attributes(p);
    const picos before = effective(t);
    initiator->b_transport(p, t);
    check_answered(p);
    if (effective(t) < before) breach("11.1.1", "b_transport has dropped annotated delay");
  }
  unsigned transport_dbg(payload& p) { return initiator->transport_dbg(p); }

  std::vector<transaction> open_;  // in no order
  payload* request_open_ = nullptr;
  payload* response_open_ = nullptr;
  picos request_free_ = 0, response_free_ = 0;
  std::uint64_t calls_ = 0;
};

}  // namespace understudy
