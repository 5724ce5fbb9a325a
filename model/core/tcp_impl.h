// Inside the TCP engine: what its parts share. tcp_engine.cpp holds the host's commands, tcp_input.cpp the
// processing of segments, tcp_cookie.cpp SYN cookies, tcp_guard.cpp which of them are believed,
// tcp_output.cpp sending and acknowledging, tcp_congestion.cpp loss and round trips, tcp_path_mtu.cpp what
// the path takes, tcp_timers.cpp time.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "model/core/congestion.h"
#include "model/core/connection_table.h"
#include "model/core/fifo.h"
#include "model/core/reassembly.h"
#include "model/core/tcp_connection.h"
#include "model/core/tcp_engine.h"
#include "model/core/timer_wheel.h"

namespace understudy {

// Timestamps are compared by signed distance (RFC 7323 5.2).
inline bool ts_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

struct tcp_engine::impl {
  using conn = tcp_connection;
  using index = std::uint32_t;
  static constexpr index none = connection_table::none;
  static constexpr picos wheel_tick = 100_us;  // timers are late by at most this

  struct listener {
    bool open = false;  // false: closed, kept until its half-open connections are gone
    std::uint8_t addr_index = 0;
    std::uint8_t conn = 0;
    std::uint32_t backlog = 0;
    std::uint32_t half_open = 0;
    std::uint32_t unannounced = 0;
    listen_terms terms;
    struct handshake {
      cid id;
      picos since;
    };
    fifo<handshake> handshakes;  // in order of their SYNs; some are over already
  };

  impl(const tcp_config& c, tcp_env& e)
      : config(c), env(e), control(congestion(c.congestion)), table(c.max_connections) {}

  tcp_config config;
  tcp_env& env;
  const congestion_control& control;
  tcp_counters counters;
  connection_table table;
  timer_wheel wheel;
  reassembly_pool reassembly;
  slab<sack_report> reports;
  slab<sack_board> boards;
  std::uint64_t work = 0;  // steps that the present segment took
  std::map<std::pair<ip_address, std::uint16_t>, listener> listeners;
  picos clock_origin = 0;
  std::uint32_t clock_at_origin = 0;
  std::uint32_t offered = 0;  // window of a cookie's SYN-ACK
  fifo<cid> time_waits;       // in the order of their beginning; some are over already

  // ---- connections
  cid id(const conn& c, index i) const { return cid{i, c.generation}; }
  listener* find_listener(const four_tuple& t);
  // Initialise what every connection starts with.
  void begin(conn& c, std::uint8_t addr_index, std::uint8_t conn_bits, seq32 iss);
  // What our SYN offers.
  void offer_options(conn& c) const;
  // Tell the owner how the connection ended and forget it.
  void end(index i, tcp_env::change what, us_status status);
  void leave_half_open(const conn& c);
  void leave_backlog(conn& c);
  // Forget the listener if it is closed and nothing refers to it.
  void drop_closed(std::pair<ip_address, std::uint16_t> at);
  // A fresh connection; a full table gives up the oldest TIME_WAIT. none: full of live ones.
  index take(const four_tuple& t);
  // Give up the oldest half-open connection of `l` if it has waited for longer than a handshake takes.
  void make_room(picos now, listener& l);
  // Note a half-open connection that begins now.
  void enter_half_open(picos now, listener& l, cid c);
  void enter_time_wait(picos now, index i);
  // Not before `used`, the end of what an earlier connection of the tuple has sent.
  seq32 fresh_iss(picos now, const four_tuple& t, std::optional<seq32> used) const;
  std::uint16_t our_mss(const conn& c) const {
    return static_cast<std::uint16_t>(config.mtu - (c.tuple.local.is_v4() ? 40 : 60));
  }

  // ---- input
  bool on_segment(picos now, const segment& s, const frame_ref& f, std::uint8_t addr_index);
  bool no_connection(picos now, const segment& s, std::uint8_t addr_index, std::optional<seq32> used = {});
  void passive_open(picos now, const segment& s, std::uint8_t addr_index, listener& l,
                    std::optional<seq32> used);
  void answer_reset(const segment& s);
  void agree_options(conn& c, const segment& s);
  void syn_sent_input(picos now, index i, const segment& s);
  void input(picos now, index i, const segment& s, const frame_ref& f);
  bool reused_by_syn(const conn& c, const segment& s) const;
  void establish(picos now, index i, const segment& s);
  // False: the segment is done with, perhaps the connection too.
  bool ack_input(picos now, index i, const segment& s);
  bool fin_acked_input(picos now, index i);
  void update_window(conn& c, const segment& s);
  void answered(index i);
  void text_input(picos now, index i, const segment& s, const frame_ref& f);
  void hold_slice(conn& c, payload_slice s);
  void note_gap(conn& c, seq32 peer_next);
  void ask_for_the_rest(conn& c);
  void accept_slice(picos now, index i, const payload_slice& s);

  // ---- cookies
  std::uint32_t cookie_hash(const four_tuple& t, std::uint32_t slot) const;
  seq32 cookie_iss(picos now, const four_tuple& t, seq32 irs, std::uint16_t mss) const;
  std::optional<std::uint16_t> cookie_mss(picos now, const segment& s) const;
  std::uint32_t cookie_tsval(picos now, const conn& c) const;
  void restrict_to_cookie(conn& c) const;
  void send_cookie(picos now, const segment& s, listener& l);
  bool take_cookie(picos now, const segment& s, std::uint8_t addr_index, listener& l);

  // ---- guard
  bool timestamp_ok(picos now, index i, const segment& s);
  bool in_window(const conn& c, const segment& s) const;
  bool ack_plausible(const conn& c, seq32 ack) const;
  bool ack_heard_outside(const conn& c, const segment& s) const;
  void out_of_window(picos now, index i, const segment& s);
  void answer_unacceptable(picos now, index i, const segment& s);
  void challenge(picos now, index i);
  void reset_input(picos now, index i, const segment& s);
  void syn_input(picos now, index i, const segment& s);

  // ---- output
  // The number that segments acknowledge: what is committed, or what is accepted if the connection is not
  // protected.
  seq32 ackable(const conn& c) const {
    if (config.mutants.ack_fin_early && c.fin_accepted) return c.rcv_nxt;
    return c.is_protected() && !config.mutants.ack_before_commit ? c.rcv_committed : c.rcv_nxt;
  }
  // False until the host knows the connection: no segment with an ACK may leave.
  bool may_ack(const conn& c) const {
    return c.peer_syn_committed || !c.is_protected() || config.mutants.ack_before_commit;
  }
  seq32 next_edge(const conn& c) const;
  bool window_update_due(const conn& c) const;
  void request_ack(index i);
  void must_ack(index i);
  void decide_ack(picos now, index i);
  void send_syn(picos now, index i, bool again);
  void output(picos now, index i, std::uint32_t most = 0xffffffff);
  void transmit(picos now, index i, std::uint32_t length, bool fin);
  void kick(index i);
  void probe(index i);
  std::uint32_t send_next(picos now, index i, std::uint32_t room);
  std::uint32_t retransmit(index i, seq32 from, seq32 to);
  seq32 empty_ack_seq(const conn& c, seq32 next) const;
  bool fill_segment(picos now, const tcp_env::send_request& r, index i, segment& out);
  std::uint32_t window_left(const conn& c) const;
  bool repeats_ack(const conn& c) const;
  std::uint16_t advertise(conn& c, bool syn);

  // ---- selective acknowledgment
  void note_held(conn& c, seq32 left, seq32 right);
  void trim_held(conn& c);
  void report_held(const conn& c, std::uint32_t room, tcp_options& out) const;
  bool sack_input(conn& c, const segment& s);
  bool trim_board(conn& c);
  seq32 lost_below(const conn& c) const;
  std::uint32_t pipe(const conn& c, seq32 lost) const;
  void enter_sack_recovery(index i);
  void sack_output(picos now, index i);
  std::uint32_t skip_held(conn& c);
  void forget_board(conn& c) {
    c.sack_recovery = false;
    boards.give(c.board);
  }

  // ---- path MTU
  std::uint16_t claimed_mss(const conn& c, std::uint32_t mtu) const;
  bool shorten_segments(picos now, index i, seq32 seq, std::uint32_t mtu);
  void send_shorter(picos now, index i);
  void forget_old_path(picos now, conn& c) const;

  // ---- congestion and round trips
  void new_ack(picos now, index i, std::uint32_t acked, std::uint32_t flight_before, const segment& s);
  void duplicate_ack(index i);
  picos reneging_delay(const conn& c) const;
  void sample_rtt(conn& c, picos rtt) const;
  void ecn_input(conn& c, const segment& s);
  void ecn_mark(conn& c, const tcp_env::send_request& r, segment& out) const;
  std::uint32_t initial_window(const conn& c) const;

  // ---- time
  std::uint32_t clock_ms(picos now) const {
    return clock_at_origin + static_cast<std::uint32_t>((now - clock_origin) / 1_ms);
  }
  std::uint32_t tsval(picos now, const conn& c) const;
  void present(picos now) { wheel.advance(now / wheel_tick); }
  void schedule(index i);
  void arm(picos now, index i, timer_kind kind, picos delay);
  void disarm(conn& c) { c.timer = timer_kind::none; }
  picos retransmission_delay(const conn& c) const;
  picos persist_delay(int doublings) const;
  picos kick_delay(const conn& c) const;
  void fire(picos now, index i);
  void fire_retransmit(picos now, index i);
  void fire_persist(picos now, index i);
  void fire_kick(picos now, index i);
  picos keepalive_due(const conn& c) const;
  // False: the connection was given up.
  bool fire_keepalive(picos now, index i);
};

}  // namespace understudy
