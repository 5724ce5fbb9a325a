#include "model/pcie/protocol_checker.h"

#include <gtest/gtest.h>

#include <string>

#include "model/sim/agenda.h"

using namespace understudy;
using sc_core::sc_time;

namespace {

// Either end of a socket, moved by the test: answers what it was told to.
struct initiator_end : sc_core::sc_module, tlm::tlm_mm_interface {
  explicit initiator_end(const sc_core::sc_module_name& n) : sc_module(n) {
    socket.register_nb_transport_bw(this, &initiator_end::bw);
  }
  tlm_utils::simple_initiator_socket<initiator_end> socket{"socket"};
  tlm::tlm_sync_enum answer = tlm::TLM_COMPLETED;
  tlm::tlm_phase answer_phase = tlm::END_RESP;
  sc_time answer_delay;
  int calls = 0;
  tlm::tlm_sync_enum bw(tlm::tlm_generic_payload&, tlm::tlm_phase& phase, sc_time& t) {
    ++calls;
    if (phase == tlm::END_REQ) return end_request_answer;
    phase = answer_phase;
    t += answer_delay;
    return answer;
  }
  tlm::tlm_sync_enum end_request_answer = tlm::TLM_ACCEPTED;
  void free(tlm::tlm_generic_payload*) override {}
};

struct target_end : sc_core::sc_module {
  explicit target_end(const sc_core::sc_module_name& n) : sc_module(n) {
    socket.register_nb_transport_fw(this, &target_end::fw);
    socket.register_b_transport(this, &target_end::b);
  }
  tlm_utils::simple_target_socket<target_end> socket{"socket"};
  tlm::tlm_sync_enum answer = tlm::TLM_UPDATED;
  tlm::tlm_phase answer_phase = tlm::END_REQ;
  sc_time answer_delay;
  bool sets_status = true;
  bool drops_delay = false;
  tlm::tlm_sync_enum fw(tlm::tlm_generic_payload& p, tlm::tlm_phase& phase, sc_time& t) {
    if (phase == tlm::END_RESP) return tlm::TLM_COMPLETED;
    if (sets_status && answer != tlm::TLM_ACCEPTED) p.set_response_status(tlm::TLM_OK_RESPONSE);
    phase = answer_phase;
    t += answer_delay;
    return answer;
  }
  void b(tlm::tlm_generic_payload& p, sc_time& t) {
    if (sets_status) p.set_response_status(tlm::TLM_OK_RESPONSE);
    if (drops_delay) t = sc_core::SC_ZERO_TIME;
  }
};

class checker : public testing::Test {
 protected:
  checker() {
    sc_core::sc_report_handler::set_actions(protocol_checker::report_id, sc_core::SC_ERROR,
                                            sc_core::SC_CACHE_REPORT);
    from.socket.bind(check.target);
    check.initiator.bind(to.socket);
    sc_core::sc_start(sc_core::SC_ZERO_TIME);
    for (auto* p : {&first, &second}) prepare(*p);
  }
  void prepare(tlm::tlm_generic_payload& p) {
    p.set_mm(&from);
    p.acquire();
    p.set_command(tlm::TLM_READ_COMMAND);
    p.set_data_ptr(data);
    p.set_data_length(4);
    p.set_streaming_width(4);
    p.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  }
  tlm::tlm_sync_enum forward(tlm::tlm_generic_payload& p, tlm::tlm_phase phase, sc_time t = {}) {
    return from.socket->nb_transport_fw(p, phase, t);
  }
  tlm::tlm_sync_enum backward(tlm::tlm_generic_payload& p, tlm::tlm_phase phase, sc_time t = {}) {
    return to.socket->nb_transport_bw(p, phase, t);
  }
  static int breaches() { return sc_core::sc_report_handler::get_count(protocol_checker::report_id); }
  // Exactly one breach, and it cites this clause.
  static void expect_breach(const std::string& clause) {
    EXPECT_EQ(breaches(), 1);
    const sc_core::sc_report* r = sc_core::sc_report_handler::get_cached_report();
    ASSERT_NE(r, nullptr);
    EXPECT_NE(std::string(r->get_msg()).find("IEEE 1666 " + clause), std::string::npos) << r->get_msg();
  }

  initiator_end from{"from"};
  target_end to{"to"};
  protocol_checker check{"check"};
  agenda later;
  tlm::tlm_generic_payload first, second;
  unsigned char data[8] = {};
};

}  // namespace

TEST_F(checker, lets_every_legal_sequence_pass) {
  // END_REQ by return, BEGIN_RESP completed by return.
  forward(first, tlm::BEGIN_REQ);
  EXPECT_EQ(check.open(), 1u);
  backward(first, tlm::BEGIN_RESP);
  EXPECT_EQ(check.open(), 0u);
  // Two outstanding, END_REQ by call, END_RESP by call.
  to.answer = tlm::TLM_ACCEPTED;
  from.answer = tlm::TLM_ACCEPTED;
  for (auto* p : {&first, &second}) {
    p->set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    forward(*p, tlm::BEGIN_REQ);
    backward(*p, tlm::END_REQ);
  }
  EXPECT_EQ(check.open(), 2u);
  for (auto* p : {&second, &first}) {
    p->set_response_status(tlm::TLM_OK_RESPONSE);
    backward(*p, tlm::BEGIN_RESP);
    forward(*p, tlm::END_RESP);
  }
  // BEGIN_RESP that implies END_REQ; early completion; BEGIN_RESP by return.
  first.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  forward(first, tlm::BEGIN_REQ);
  first.set_response_status(tlm::TLM_OK_RESPONSE);
  backward(first, tlm::BEGIN_RESP);
  forward(first, tlm::END_RESP);
  to.answer = tlm::TLM_COMPLETED;
  first.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  forward(first, tlm::BEGIN_REQ);
  to.answer = tlm::TLM_UPDATED;
  to.answer_phase = tlm::BEGIN_RESP;
  first.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  forward(first, tlm::BEGIN_REQ);
  forward(first, tlm::END_RESP);
  // Blocking.
  sc_time t = to_sc(5);
  first.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  from.socket->b_transport(first, t);
  EXPECT_EQ(t, to_sc(5));
  EXPECT_EQ(breaches(), 0);
  EXPECT_EQ(check.open(), 0u);
  EXPECT_EQ(check.calls(), 17u);
}

TEST_F(checker, passes_answers_and_delays_on_unchanged) {
  to.answer_delay = to_sc(7);
  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_time t = to_sc(3);
  EXPECT_EQ(from.socket->nb_transport_fw(first, phase, t), tlm::TLM_UPDATED);
  EXPECT_EQ(phase, tlm::END_REQ);
  EXPECT_EQ(t, to_sc(10));
  EXPECT_EQ(breaches(), 0);
}

TEST_F(checker, wants_a_memory_manager) {
  tlm::tlm_generic_payload p;
  p.set_data_ptr(data);
  p.set_data_length(4);
  p.set_streaming_width(4);
  p.set_command(tlm::TLM_WRITE_COMMAND);
  forward(p, tlm::BEGIN_REQ);
  expect_breach("14.5 i");
}

TEST_F(checker, wants_a_reference) {
  tlm::tlm_generic_payload p;
  prepare(p);
  p.release();
  forward(p, tlm::BEGIN_REQ);
  expect_breach("14.5 t");
}

TEST_F(checker, wants_an_incomplete_status_in_a_request) {
  first.set_response_status(tlm::TLM_OK_RESPONSE);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.17");
}

TEST_F(checker, wants_data) {
  first.set_data_ptr(nullptr);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.11 e");
}

TEST_F(checker, wants_a_length) {
  first.set_data_length(0);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.12 d");
}

TEST_F(checker, wants_a_streaming_width) {
  first.set_streaming_width(0);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.15 f");
}

TEST_F(checker, wants_a_length_of_byte_enables) {
  unsigned char enables[4] = {};
  first.set_byte_enable_ptr(enables);
  first.set_byte_enable_length(0);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.14 f");
}

TEST_F(checker, wants_the_dmi_hint_clear) {
  first.set_dmi_allowed(true);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.16");
}

TEST_F(checker, refuses_a_request_during_a_request) {
  to.answer = tlm::TLM_ACCEPTED;
  forward(first, tlm::BEGIN_REQ);
  forward(second, tlm::BEGIN_REQ);
  expect_breach("15.2.6 e");
}

TEST_F(checker, refuses_a_request_before_the_annotated_end_of_the_last) {
  to.answer_delay = to_sc(10);
  forward(first, tlm::BEGIN_REQ);
  forward(second, tlm::BEGIN_REQ, to_sc(9));
  expect_breach("15.2.7");
}

TEST_F(checker, accepts_a_request_at_the_annotated_end_of_the_last) {
  to.answer_delay = to_sc(10);
  forward(first, tlm::BEGIN_REQ);
  forward(second, tlm::BEGIN_REQ, to_sc(10));
  EXPECT_EQ(breaches(), 0);
}

TEST_F(checker, refuses_a_transaction_that_begins_twice) {
  forward(first, tlm::BEGIN_REQ);
  first.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  forward(first, tlm::BEGIN_REQ);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_the_targets_phases_from_an_initiator) {
  forward(first, tlm::END_REQ);
  expect_breach("15.2.3 c");
}

TEST_F(checker, refuses_end_resp_without_begin_resp) {
  forward(first, tlm::BEGIN_REQ);
  forward(first, tlm::END_RESP);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_a_second_end_req) {
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::END_REQ);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_a_response_to_nothing) {
  first.set_response_status(tlm::TLM_OK_RESPONSE);
  backward(first, tlm::BEGIN_RESP);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_a_second_response) {
  from.answer = tlm::TLM_ACCEPTED;
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP);
  backward(first, tlm::BEGIN_RESP);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_a_response_during_a_response) {
  from.answer = tlm::TLM_ACCEPTED;
  forward(first, tlm::BEGIN_REQ);
  forward(second, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP);
  backward(second, tlm::BEGIN_RESP);
  expect_breach("15.2.6 f");
}

TEST_F(checker, refuses_a_response_before_the_annotated_end_of_the_last) {
  from.answer_delay = to_sc(10);
  forward(first, tlm::BEGIN_REQ);
  forward(second, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP);
  backward(second, tlm::BEGIN_RESP, to_sc(9));
  expect_breach("15.2.7");
}

TEST_F(checker, refuses_a_phase_before_the_annotated_time_of_the_last) {
  to.answer_delay = to_sc(10);
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP, to_sc(9));
  expect_breach("15.2.7");
}

TEST_F(checker, wants_the_status_set_in_a_response) {
  to.sets_status = false;
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP);
  expect_breach("14.17");
}

TEST_F(checker, wants_the_status_set_in_an_early_completion) {
  to.sets_status = false;
  to.answer = tlm::TLM_COMPLETED;
  forward(first, tlm::BEGIN_REQ);
  expect_breach("14.17");
}

TEST_F(checker, refuses_attributes_changed_on_the_way) {
  forward(first, tlm::BEGIN_REQ);
  first.set_data_ptr(data + 4);
  backward(first, tlm::BEGIN_RESP);
  expect_breach("14.7");
}

TEST_F(checker, refuses_an_update_to_a_phase_that_cannot_follow) {
  to.answer_phase = tlm::BEGIN_REQ;
  forward(first, tlm::BEGIN_REQ);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_an_update_of_a_response_to_anything_but_its_end) {
  from.answer = tlm::TLM_UPDATED;
  from.answer_phase = tlm::BEGIN_RESP;
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::BEGIN_RESP);
  expect_breach("15.2.4");
}

TEST_F(checker, refuses_an_initiator_that_completes_at_end_req) {
  to.answer = tlm::TLM_ACCEPTED;
  from.end_request_answer = tlm::TLM_COMPLETED;
  forward(first, tlm::BEGIN_REQ);
  backward(first, tlm::END_REQ);
  expect_breach("15.2.4");
}

TEST_F(checker, wants_the_status_set_by_b_transport) {
  to.sets_status = false;
  sc_time t;
  from.socket->b_transport(first, t);
  expect_breach("14.17");
}

TEST_F(checker, refuses_a_b_transport_that_drops_delay) {
  to.drops_delay = true;
  sc_time t = to_sc(10);
  from.socket->b_transport(first, t);
  expect_breach("11.1.1");
}

TEST_F(checker, refuses_b_transport_from_a_method) {
  later.at(1000, [this] {
    sc_time t;
    from.socket->b_transport(first, t);
    expect_breach("11.1.1.4 b");
  });
  sc_core::sc_start(to_sc(2000));
  EXPECT_TRUE(first.is_response_ok());
}
