// Two hosts with a TCP engine each, joined by a wire that loses, duplicates and reorders, on simulated time;
// or one of them against segments that a test writes by hand. Monitors watch every segment that leaves.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/core/packet.h"
#include "model/core/rng.h"
#include "model/core/tcp_engine.h"

namespace understudy::tb {

inline const ip_address ip_a = ip_address::v4(10, 0, 0, 1);
inline const ip_address ip_b = ip_address::v4(10, 0, 0, 2);
inline constexpr ip_address ip6_a = ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1});
inline constexpr ip_address ip6_b = ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2});
inline constexpr std::uint16_t port_a = 40000;
inline constexpr std::uint16_t port_b = 80;

// Byte `n` of the stream that `side` sends.
inline std::uint8_t stream_byte(std::uint32_t side, std::uint64_t n) {
  return static_cast<std::uint8_t>((n * 2654435761u + side * 97u) >> 11 ^ n);
}

class timeline {
 public:
  picos now = 0;
  void at(picos t, std::function<void()> f) {
    events_.emplace(std::make_pair(std::max(t, now), count_++), std::move(f));
  }
  void in(picos d, std::function<void()> f) { at(now + d, std::move(f)); }
  // Run events up to and including `until`, then stand there.
  void run_until(picos until) {
    while (!events_.empty() && events_.begin()->first.first <= until) step();
    now = std::max(now, until);
  }
  void run_for(picos d) { run_until(now + d); }
  // Run until `done` holds; false: it did not by `deadline`.
  bool run_while(const std::function<bool()>& busy, picos deadline) {
    while (busy()) {
      if (events_.empty() || events_.begin()->first.first > deadline) return false;
      step();
    }
    return true;
  }

 private:
  void step() {
    auto e = events_.extract(events_.begin());
    now = e.key().first;
    e.mapped()();
  }
  std::map<std::pair<picos, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t count_ = 0;
};

// What the host knows of a connection.
struct host_connection {
  cid id;
  tcp_hard_state hard;     // constants of the handshake
  seq32 tx_base, rx_base;  // numbers of the streams' first bytes
  seq32 una;               // as records told
  seq32 committed;
  seq32 posted;  // after the last posted byte
  seq32 edge;    // granted
  bool fin_posted = false, eof = false, established = false, ended = false, time_wait = false;
  bool gone = false;  // the engine has forgotten it; the host may not know yet
  us_status status = US_OK;
  tcp_env::change last_change{};
  std::vector<std::uint8_t> rx;
  std::uint64_t acked_events = 0;
};

struct sent_segment {
  picos at;
  segment s;
  tcp_env::send_request request;
  bool raw = false;
};

class rig_end : public tcp_env {
 public:
  rig_end(timeline& t, std::uint32_t side, const tcp_config& c) : time(t), side_(side), config(c) {
    make_engine();
  }

  // ---- knobs
  picos commit_delay = 5_us;
  picos fetch_delay = 1_us;
  std::uint32_t window = 256 * 1024;  // bytes granted ahead of what is committed
  bool auto_grant = true;
  bool auto_commit = true;
  std::uint32_t clock_ms = 1000;
  std::function<void(const frame_ref&)> wire;

  timeline& time;
  std::uint32_t side_;
  tcp_config config;
  std::unique_ptr<tcp_engine> engine;
  std::map<std::uint32_t, host_connection> conns;  // by cid
  std::deque<sent_segment> sent;
  std::vector<segment> raw_sent;
  std::uint64_t violations = 0, checked = 0;
  std::vector<std::string> what;
  cid newest;

  void make_engine() {
    engine = std::make_unique<tcp_engine>(config, *this);
    const std::uint32_t key[4] = {1, 2, 3, 4};
    engine->set_secret(key);
    engine->set_clock(time.now, clock_ms + static_cast<std::uint32_t>(time.now / 1_ms));
    ++life_;
    next_wake_ = never;
  }
  host_connection& conn(cid c) { return conns.at(c.raw); }
  host_connection& only() { return conns.at(newest.raw); }
  tcp_view view() { return engine->view(newest); }

  cid open(const four_tuple& t, std::uint32_t iss, std::uint8_t bits = US_CONN_PROTECTED) {
    const cid c = engine->connect(time.now, t, 0, seq32{iss}, bits);
    EXPECT_TRUE(c.valid());
    host_connection& h = fresh(c);
    h.id = newest = c;
    h.hard.tuple = t;
    h.hard.iss = seq32{iss};
    h.hard.conn = bits;
    h.tx_base = h.posted = h.una = seq32{iss} + 1;
    wake();
    return c;
  }
  us_status post(cid c, std::uint32_t bytes) {
    host_connection& h = conn(c);
    h.posted += bytes;
    const us_status s = engine->post_send(time.now, c, h.posted);
    wake();
    return s;
  }
  us_status close(cid c) {
    host_connection& h = conn(c);
    h.fin_posted = true;
    const us_status s = engine->post_fin(time.now, c, h.posted + 1);
    wake();
    return s;
  }
  void grant(cid c, seq32 edge) {
    conn(c).edge = edge;
    EXPECT_EQ(engine->grant(time.now, c, edge), US_OK);
    wake();
  }
  void commit(cid c, seq32 n) {
    host_connection& h = conn(c);
    if (n.after(h.committed)) h.committed = n;
    if (auto_grant && !h.ended) {
      h.edge = n + window;
      engine->grant(time.now, c, h.edge);
    }
    engine->on_committed(time.now, c, n);
    wake();
  }
  void take(const frame_ref& f) {
    const parsed_frame p = parse_frame(f);
    ASSERT_EQ(p.kind, frame_class::tcp);
    deliver(p.tcp, f);
  }
  // A segment written by a test; payload is the peer's stream from `first` on, which may lie before its
  // beginning (modulo 2^32, as sequence numbers do).
  void take(segment s, std::uint64_t first = 0) {
    frame_ref f = frame_ref::make(s.payload_length, 128);
    for (std::uint32_t i = 0; i < s.payload_length; ++i)
      f.data()[i] = stream_byte(side_ ^ 1, static_cast<std::uint32_t>(first + i));
    s.payload_offset = 0;
    deliver(s, f);
  }
  // The adapter dies with everything in it; a substitute is loaded from what the host knows. Not yet kicked.
  void fail_over() {
    make_engine();
    for (auto& [raw, h] : conns) {
      if (h.ended || !(h.hard.conn & US_CONN_PROTECTED)) continue;
      tcp_hard_state s = h.hard;
      s.rcv_nxt = h.committed;
      s.snd_una = h.una;
      s.snd_max = h.posted + (h.fin_posted ? 1 : 0);
      s.rcv_adv = h.edge;
      s.fin_tx = h.fin_posted;
      s.fin_rx = h.eof;
      s.state = !h.established ? h.hard.state
                : h.time_wait  ? US_TCP_TIME_WAIT
                : h.fin_posted ? (h.eof ? US_TCP_CLOSING : US_TCP_FIN_WAIT_1)
                : h.eof        ? US_TCP_CLOSE_WAIT
                               : US_TCP_ESTABLISHED;
      ASSERT_EQ(engine->restore(time.now, h.id, s), US_OK);
      if (h.posted.after(h.una)) {
        EXPECT_EQ(engine->post_send(time.now, h.id, h.posted), US_OK);
      }
      engine->grant(time.now, h.id, h.edge);
    }
  }
  void kick() {
    engine->kick_restored(time.now);
    wake();
  }
  void wake() {
    const picos d = engine->next_deadline();
    if (d == never || d >= next_wake_) return;
    next_wake_ = d;
    time.at(d, [this, life = life_] {
      if (life != life_) return;
      next_wake_ = never;
      engine->on_time(time.now);
      wake();
    });
  }

  // ---- tcp_env
  void send(const send_request& r) override {
    time.in(fetch_delay, [this, r, life = life_] {
      if (life == life_) build(r);
    });
  }
  void send_raw(const segment& s) override {
    raw_sent.push_back(s);
    for (const auto& [raw, h] : conns)
      if (h.hard.tuple == s.tuple && h.established && !h.gone) fail("RST to a live connection");
    sent.push_back({time.now, s, {}, true});
    emit(s);
  }
  void place(cid c, seq32 seq, const frame_ref& f, std::uint32_t offset, std::uint32_t length, bool,
             bool fin) override {
    std::vector<std::uint8_t> bytes(f.data() + offset, f.data() + offset + length);
    if (!auto_commit) return;
    time.at(next_commit(),
            [this, c, seq, bytes = std::move(bytes), fin, life = life_, una = engine->view(c).hard.snd_una] {
              if (life != life_ || !conns.contains(c.raw)) return;
              host_connection& h = conn(c);
              if (h.rx_base + static_cast<std::uint32_t>(h.rx.size()) != seq)
                fail("bytes placed out of order");
              h.rx.insert(h.rx.end(), bytes.begin(), bytes.end());
              if (fin) h.eof = true;
              if (una.after(h.una)) h.una = una;
              commit(c, seq + static_cast<std::uint32_t>(bytes.size()) + (fin ? 1 : 0));
            });
  }
  void changed(cid c, change w, us_status status) override {
    const tcp_view v = engine->view(c);
    host_connection& h = w == change::embryo && conns[c.raw].gone ? fresh(c) : conns[c.raw];
    if (w == change::embryo || w == change::established) {
      const bool first = w == change::embryo || !(v.hard.conn & US_CONN_PASSIVE);
      if (first && h.rx_base == seq32{}) {
        h.id = newest = c;
        h.hard = v.hard;
        h.tx_base = h.posted = h.una = v.hard.iss + 1;
        h.rx_base = h.committed = v.hard.rcv_nxt;
        h.edge = v.cookie ? v.hard.rcv_adv : h.committed;  // a cookie's SYN-ACK has offered a window
        if (auto_commit) commit_later(c, v.hard.rcv_nxt);
      }
    }
    if (w == change::aborted || w == change::closed) h.gone = true;
    // Records are read in order, one commit delay after the engine wrote them.
    time.at(next_commit(), [this, c, w, status, hard = v.hard, life = life_] {
      if (life == life_) learn(c, w, status, hard);
    });
  }

 private:
  // A connection begins. A substitute may give it an id that one of a dead adapter had.
  host_connection& fresh(cid c) {
    edge_.erase(c.raw);
    tsval_.erase(c.raw);
    return conns[c.raw] = {};
  }
  // An answer to a cookie is given once more when its connection has its window.
  void deliver(const segment& s, const frame_ref& f) {
    if (engine->on_segment(time.now, s, f, 0))
      time.at(next_commit(), [this, s, f, life = life_] {
        if (life != life_) return;
        engine->on_segment(time.now, s, f, 0);
        wake();
      });
    wake();
  }
  void learn(cid c, change w, us_status status, const tcp_hard_state& hard) {
    host_connection& h = conn(c);
    h.last_change = w;
    if (w == change::embryo || w == change::established) h.hard.state = hard.state;
    if (w == change::established) h.established = true;
    if (w == change::acked) {
      ++h.acked_events;
      if (hard.snd_una.after(h.una)) h.una = hard.snd_una;
    }
    if (w == change::time_wait) h.time_wait = true;
    if (w == change::aborted || w == change::closed) {
      h.ended = true;
      h.status = status;
    }
  }
  // When a record written now is read: after every one before it, whatever commit_delay was then.
  picos next_commit() {
    last_commit_ = std::max(last_commit_, time.now + commit_delay);
    return last_commit_;
  }
  void commit_later(cid c, seq32 n) {
    time.at(next_commit(), [this, c, n, life = life_] {
      if (life == life_) commit(c, n);
    });
  }
  void fail(const std::string& why) {
    ++violations;
    what.push_back(why);
  }
  void build(const send_request& r) {
    segment s;
    if (!engine->build_segment(time.now, r, s)) return;
    if (s.seq != r.seq && r.length) fail("the engine moved a data segment");
    check(s, r);
    sent.push_back({time.now, s, r});
    emit(s);
    wake();
  }
  void emit(const segment& s) {
    if (!wire) return;
    frame_ref f = frame_ref::make(s.payload_length, 128);
    if (s.payload_length) {
      const host_connection& h = conn(engine->find(s.tuple));
      const std::uint32_t first = s.seq.minus(h.tx_base);
      for (std::uint32_t i = 0; i < s.payload_length; ++i) f.data()[i] = stream_byte(side_, first + i);
    }
    prepend_headers(f, s, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 1);
    wire(f);
  }
  // The rules that no segment may break.
  void check(const segment& s, const send_request& r) {
    ++checked;
    const host_connection& h = conn(r.connection);
    const bool syn = s.flags & tcp_syn;
    if (s.flags & tcp_ack && h.hard.conn & US_CONN_PROTECTED && s.ack.after(h.committed))
      fail("ACK before commit");
    if (s.flags & tcp_ack) {
      const seq32 edge = s.ack + (static_cast<std::uint32_t>(s.window) << (syn ? 0 : h.hard.our_wscale));
      auto& top = edge_[r.connection.raw];
      if (edge.after(h.edge) && !h.eof) fail("edge beyond the grant");
      if (top != seq32{} && (edge + (1u << h.hard.our_wscale)).before_eq(top)) fail("edge moved back");
      if (top == seq32{} || edge.after(top)) top = edge;
    }
    if (s.options.has_ts) {
      auto& ts = tsval_[r.connection.raw];
      if (ts && static_cast<std::int32_t>(s.options.tsval - ts) < 0) fail("TSval moved back");
      ts = s.options.tsval;
    }
    if (!syn && (s.seq + s.length()).after(h.posted + (h.fin_posted ? 1 : 0)))
      fail("sent beyond the posted end");
  }

  picos next_wake_ = never;
  picos last_commit_ = 0;
  std::uint64_t life_ = 0;
  std::map<std::uint32_t, seq32> edge_;
  std::map<std::uint32_t, std::uint32_t> tsval_;
};

struct wire_faults {
  double loss = 0, duplicate = 0, reorder = 0;
  picos delay = 50_us;
};

// Both ends and the wire between them. `a` opens, `b` listens.
class rig {
 public:
  explicit rig(std::uint64_t seed = 1, const tcp_config& ca = {}, const tcp_config& cb = {})
      : a(time, 0, ca), b(time, 1, cb), draws_(seed, "rig/wire") {
    a.wire = [this](const frame_ref& f) { carry(b, f); };
    b.wire = [this](const frame_ref& f) { carry(a, f); };
  }
  timeline time;
  rig_end a, b;
  wire_faults faults;
  bool cut = false;                                       // frames vanish
  std::function<bool(rig_end& to, const segment&)> drop;  // drop what it says true for
  std::uint64_t lost = 0;

  static four_tuple tuple() { return {ip_a, ip_b, port_a, port_b}; }
  // Handshake to established on both ends.
  void connect(std::uint32_t iss = 1000, std::uint8_t bits_a = US_CONN_PROTECTED,
               std::uint8_t bits_b = US_CONN_PROTECTED) {
    ASSERT_TRUE(b.engine->listen(ip_b, port_b, 0, 16, bits_b));
    a.open(tuple(), iss, bits_a);
    ASSERT_TRUE(time.run_while(
        [&] { return !a.only().established || b.conns.empty() || !b.only().established; }, 300_s));
    time.run_for(1_ms);
  }
  // True if `to` has received exactly the first `bytes` of its peer's stream.
  static bool received(const rig_end& to, cid c, std::uint64_t bytes) {
    const auto& rx = to.conns.at(c.raw).rx;
    if (rx.size() != bytes) return false;
    for (std::uint64_t i = 0; i < bytes; ++i)
      if (rx[i] != stream_byte(to.side_ ^ 1, i)) return false;
    return true;
  }

 private:
  void carry(rig_end& to, const frame_ref& f) {
    if (cut || draws_.chance(faults.loss) || (drop && drop(to, parse_frame(f).tcp))) {
      ++lost;
      return;
    }
    const int copies = draws_.chance(faults.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const picos extra = draws_.chance(faults.reorder) ? draws_.below(4 * faults.delay) : 0;
      time.in(faults.delay + extra, [&to, f] { to.take(f); });
    }
  }
  rng draws_;
};

}  // namespace understudy::tb
