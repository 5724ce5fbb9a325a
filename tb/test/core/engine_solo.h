// One engine against segments that a test writes by hand: the test is the peer.
#pragma once
#include <vector>

#include "tb/test/core/engine_rig.h"

namespace understudy::tb {

class solo {
 public:
  explicit solo(const tcp_config& c = {}, const four_tuple& ends = {ip_b, ip_a, port_b, port_a})
      : tuple(ends), e(time, 1, c) {
    e.window = 64 * 1024;
    e.engine->listen(tuple.local, tuple.local_port, 0, 16, US_CONN_PROTECTED);
  }
  four_tuple tuple;  // as the engine sees it
  timeline time;
  rig_end e;
  seq32 seq{5000};  // the peer's next number
  seq32 ack;        // what the peer acknowledges
  std::uint16_t window = 0xffff;
  tcp_options syn_options{.mss = 1460, .wscale = 0, .has_ts = true, .tsval = 100};
  std::uint32_t ts = 100;                // the peer's timestamp
  std::size_t seen = 0;                  // segments that fresh() has returned
  static constexpr picos step = 100_us;  // longer than fetch and commit

  segment make(std::uint8_t flags, std::uint32_t length = 0) const {
    segment s;
    s.tuple = tuple;
    s.seq = seq;
    s.ack = flags & tcp_ack ? ack : seq32{};
    s.flags = flags;
    s.window = window;
    s.payload_length = length;
    s.options.has_ts = syn_options.has_ts && !(flags & tcp_rst);
    s.options.tsval = ts;
    return s;
  }
  // Deliver a segment and let commits and sends happen.
  void give(const segment& s, std::uint64_t first = 0) {
    e.take(s, first);
    time.run_for(step);
  }
  // The peer sends its next `length` bytes, and FIN if asked.
  void data(std::uint32_t length, std::uint8_t flags = tcp_ack) {
    const segment s = make(flags, length);
    const std::uint64_t first = seq.minus(first_byte);
    seq += s.length();
    give(s, first);
  }
  void ack_only() { give(make(tcp_ack)); }
  // What the engine has sent since the last call.
  std::vector<sent_segment> fresh() {
    std::vector<sent_segment> r(e.sent.begin() + static_cast<std::ptrdiff_t>(seen), e.sent.end());
    seen = e.sent.size();
    return r;
  }
  // The peer opens.
  void syn() {
    segment s = make(tcp_syn);
    s.options = syn_options;
    seq += 1;
    first_byte = seq;
    give(s);
  }
  void establish() {
    syn();
    const auto r = fresh();
    ASSERT_EQ(r.size(), 1u);
    ASSERT_EQ(r[0].s.flags, tcp_syn | tcp_ack);
    ASSERT_EQ(r[0].s.ack, seq);
    ack = r[0].s.seq + 1;
    ack_only();
    ASSERT_EQ(state(), US_TCP_ESTABLISHED);
    fresh();
  }
  us_tcp_state state() const {
    return e.engine->known(e.newest) ? e.engine->view(e.newest).hard.state : US_TCP_CLOSED;
  }
  tcp_view view() { return e.view(); }
  cid id() const { return e.newest; }
  host_connection& host() { return e.only(); }
  const tcp_counters& counters() const { return e.engine->counters(); }
  seq32 first_byte;  // the peer's
};

// The host closed first, the peer then: the engine waits for what may still be on its way.
struct time_wait : solo {
  time_wait() {
    establish();
    e.close(id());
    time.run_for(step);
    ack += 1;
    data(0, tcp_ack | tcp_fin);
    fresh();
  }
};

}  // namespace understudy::tb
