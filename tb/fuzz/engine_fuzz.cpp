// libFuzzer target: the input is a script of what peer, host, time and failures do to one engine, from
// LISTEN, a SYN of ours or an established connection on, over IPv4 or IPv6, and through as many connections
// of one tuple as there come. The oracle is two byte streams of each: what reaches the host is exactly the
// beginning of what the peer sent, and what the peer can put together of the segments is what the host
// posted, all of it in the end if the peer behaves. The rig's monitors see every segment.
#include <cstdio>
#include <cstdlib>

#include "tb/fuzz/heard_stream.h"
#include "tb/test/core/engine_solo.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

class script {
 public:
  script(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool more() const { return at_ != end_; }
  std::uint8_t byte() { return more() ? *at_++ : 0; }
  std::uint32_t number(unsigned bytes) {
    std::uint32_t v = 0;
    for (unsigned n = 0; n < bytes; ++n) v = v << 8 | byte();
    return v;
  }
  // Mostly near zero, both ways; now and then anywhere.
  std::uint32_t offset() {
    const std::uint8_t kind = byte();
    if (kind < 128) return kind;
    if (kind < 192) return 0u - (kind - 128u);
    return number(kind < 240 ? 2 : 4);
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

tcp_config configuration(std::uint8_t bits) {
  tcp_config c;
  c.sack = bits & 1;
  c.timestamps = bits & 2;
  c.window_scaling = bits & 4;
  c.nagle = bits & 8;
  c.ecn = bits & 16;
  c.keepalive = bits & 32;
  c.keepalive_idle = 1_s;
  if (bits & 64) c.congestion = congestion_kind::cubic;
  c.reassembly_bytes = bits & 128 ? 8 * 1024 : 64 * 1024;
  return c;
}

// How a script begins: upper three bits of its second byte. 0 is what it was before there was a choice.
struct beginning {
  explicit beginning(std::uint8_t bits) : how(static_cast<kind>(bits >> 5 & 3)), v6(bits & 128) {}
  enum class kind : std::uint8_t {
    established,
    listen,   // nothing has come yet
    cookies,  // the same, with a listener that has a half-open connection already and answers with cookies
    active    // the host opens
  } how;
  bool v6;
  four_tuple tuple() const {
    return v6 ? four_tuple{ip6_b, ip6_a, port_b, port_a} : four_tuple{ip_b, ip_a, port_b, port_a};
  }
};

class session : public solo {
 public:
  session(const tcp_config& c, std::uint8_t bits)
      : solo(c, beginning(bits).tuple()), begin_(bits), bits_(bits) {
    e.wire = [this](const frame_ref& f) { heard(f); };
    syn_options.sack_permitted = bits & 1;
    syn_options.has_ts = bits & 2;
    if (bits & 4) syn_options.wscale = -1;
    if (bits & 8) seq = seq32{0xffffff00u};
    if (bits & 16) syn_options.mss = 48;
    first_byte = seq + 1;
    using kind = beginning::kind;
    if (begin_.how == kind::cookies) {
      e.engine->unlisten(tuple.local, tuple.local_port);
      listen(0);
      segment other = make(tcp_syn);
      ++other.tuple.remote_port;
      give(other);
    }
    if (begin_.how == kind::active) e.open(tuple, 0xfffffff0u);
    if (begin_.how == kind::established) establish();
    look();
  }
  // There is a connection of the tuple, in whatever state.
  bool alive() const { return e.engine->find(tuple).valid(); }
  // A script that began with a connection ends with it; others go on without one.
  bool goes_on() const { return alive() || begin_.how != beginning::kind::established; }

  // The host has a beginning of the stream of each connection that there was.
  void judge_streams() {
    for (life& l : lives_) {
      const auto& rx = e.conns.at(l.id.raw).rx;
      for (; l.judged < rx.size(); ++l.judged)
        if (rx[l.judged] != stream_byte(e.side_ ^ 1, static_cast<std::uint32_t>(l.first + l.judged)))
          fail("the host got other bytes than the peer sent");
    }
  }

  void step(script& s) {
    if (alive())
      busy_step(s);
    else
      idle_step(s);
    look();
  }

  void judge() {
    time.run_for(1_s);
    look();
    judge_streams();
    finish();
    judge_streams();
    if (e.violations) fail(e.what.front().c_str());
    if (counters().most_steps > 2000) fail("a segment cost more steps than it may");
  }

 private:
  // One connection of the tuple; a SYN may follow a TIME_WAIT (RFC 9293 3.10.7.4), a listener takes one after
  // the other. Its streams begin at numbers of their own.
  struct life {
    cid id;
    heard_stream sent;        // what its peer has
    std::size_t judged = 0;   // bytes of the host's that were compared
    bool based = false;       // the peer's first number is known
    std::uint32_t first = 0;  // its distance from first_byte
  };

  [[noreturn]] static void fail(const char* why) {
    std::fprintf(stderr, "engine_fuzz: %s\n", why);
    std::abort();
  }
  life& now() { return lives_.back(); }
  bool established() { return host().established && !host().gone; }
  bool listen(picos cookies_until) {
    listen_terms t;
    if (begin_.how == beginning::kind::cookies) {
      t.commit = bits_ & 1 ? US_COMMIT_BEFORE_DATA_ACK : US_COMMIT_BEFORE_SYNACK;
      t.cookies_above = 1;
      t.cookies_until = cookies_until;
    }
    e.engine->offer(16 * 1024);
    return e.engine->listen(tuple.local, tuple.local_port, 0, 16, US_CONN_PROTECTED, t);
  }

  // Notice a connection that has come into being.
  void look() {
    const cid c = e.engine->find(tuple);
    if (!c.valid()) return;
    if (lives_.empty() || now().id != c || generation_ != now_generation_) {
      std::erase_if(lives_, [c](const life& l) { return l.id == c; });  // of a dead adapter
      lives_.push_back({c, heard_stream(e.side_, e.engine->view(c).hard.iss)});
      generation_ = now_generation_;
      dirty_ = dirty_next_;
    }
    e.newest = c;
    if (now().based || view().hard.state == US_TCP_SYN_SENT) return;
    now().based = true;
    now().first = next_ = top_ = host().rx_base.minus(first_byte);
  }

  // The peer hears a frame of the engine.
  void heard(const frame_ref& f) {
    const parsed_frame p = parse_frame(f);
    if (p.kind != frame_class::tcp) fail("a frame that nobody can read");
    const segment& s = p.tcp;
    if (s.tuple.local_port != tuple.remote_port) return;  // somebody else's
    if (s.flags & tcp_syn) syn_heard_ = s.seq;
    if (!alive()) return;
    look();
    const host_connection& h = host();
    const std::uint64_t posted = h.posted.minus(now().sent.iss() + 1);
    if (s.flags & tcp_syn && s.seq != now().sent.iss()) fail("a SYN with another number");
    if (s.payload_length && !now().sent.hear(s.seq, f.data() + s.payload_offset, s.payload_length, posted))
      fail("the peer got other bytes than the host posted");
    if (s.flags & tcp_fin && !(h.fin_posted && now().sent.ends_at(s.seq + s.payload_length, posted)))
      fail("a FIN where the stream does not end");
  }

  void busy_step(script& s) {
    const std::uint8_t what = s.byte();
    switch (what < 250 ? what % 10 : 10) {
      case 0: {  // the next bytes
        const std::uint32_t n = s.number(2) % 3000;
        piece(next_, n, s.byte() & 1 ? tcp_ack | tcp_psh : tcp_ack);
        next_ += n;
        break;
      }
      case 1:  // any bytes of the stream
        piece(next_ + s.offset(), s.number(2) % 3000, tcp_ack);
        break;
      case 2:
        any_segment(s, view().hard.snd_una);
        break;
      case 3: {  // the peer acknowledges
        const tcp_view v = view();
        if (v.hard.state == US_TCP_SYN_SENT) {
          answer_syn(s);
          break;
        }
        const std::uint32_t flight = v.snd_nxt.minus(v.hard.snd_una);
        ack = v.hard.snd_una + (flight ? s.number(2) % (flight + 1) : 0);
        now().sent.acknowledged(earlier(ack, host().posted));
        segment a = plain(tcp_ack, 0);
        if (a.seq.after(edge())) dirty_ = true;
        sent_before(a.seq);
        blocks(s, a);
        give(a);
        break;
      }
      case 4:
        if (host().established && !host().fin_posted && host().posted.minus(host().tx_base) < 1u << 20)
          e.post(id(), 1 + s.number(2));
        break;
      case 5:
        time.run_for((1 + s.byte()) * (s.byte() & 1 ? 1_ms : 100_ms));
        break;
      case 6:
        e.commit_delay = s.byte() * 1_us;
        window = static_cast<std::uint16_t>(s.number(2));
        break;
      case 7:
        if (!established()) break;
        time.run_for(1_ms);
        if (!alive()) break;
        look();
        if (established()) fail_over();
        break;
      case 8:
        if (!host().fin_posted && host().established) e.close(id());
        break;
      case 9:
        ts += s.byte();
        e.engine->set_options(time.now, id(),
                              {.nagle = (s.byte() & 1) != 0, .keepalive = (s.byte() & 1) != 0});
        break;
      case 10: {  // a router says that a segment was too big, or somebody who pretends to be one
        const seq32 number = view().hard.snd_una + s.offset();
        e.engine->on_packet_too_big(time.now, view().hard.tuple, number, s.number(2) % 1600);
        e.wake();
        break;
      }
    }
  }

  // No connection: the peer may open one, answer what it has heard before, or say anything.
  void idle_step(script& s) {
    dirty_next_ = false;
    switch (s.byte() % 6) {
      case 0: {
        const std::uint8_t options = s.byte();
        seq = seq + s.offset();
        segment syn = make(tcp_syn);
        syn.options = syn_options;
        syn.options.tsval = ts;
        if (options & 1) syn.options = {};
        if (options & 2) syn.flags |= tcp_ece | tcp_cwr;
        if (options & 4) syn.options.mss = static_cast<std::uint16_t>(s.number(2));
        first_byte = seq + 1;
        next_ = top_ = 0;
        give(syn);
        break;
      }
      case 1: {  // the third segment of a handshake, to a cookie perhaps, and with data
        ack = syn_heard_ + 1;
        piece(0, s.number(2) % 2000, tcp_ack);
        break;
      }
      case 2:
        dirty_next_ = true;
        any_segment(s, syn_heard_ + 1);
        break;
      case 3:
        time.run_for((1 + s.byte()) * (s.byte() & 1 ? 1_ms : 1_s));
        break;
      case 4:
        time.run_for(1_ms);
        if (!alive()) fail_over();
        break;
      case 5:
        time.run_for(1_ms);  // the host has heard of the end of what was
        if (!alive()) e.open(tuple, s.number(4));
        break;
    }
  }

  // SYN-ACK or, as both open at once, SYN.
  void answer_syn(script& s) {
    const std::uint8_t how = s.byte();
    segment a = make(how & 1 ? tcp_syn : tcp_syn | tcp_ack);
    a.seq = first_byte - 1;
    a.ack = how & 1 ? seq32{} : view().hard.iss + 1;
    a.options = syn_options;
    a.options.tsval = ts;
    give(a);
  }

  void fail_over() {
    e.fail_over();
    ++now_generation_;
    if (alive()) generation_ = now_generation_;  // the same connection on another adapter
    if (!listen(time.now + tcp_engine::cookie_life)) fail("a fresh engine listens already");
    e.kick();
  }

  // The peer behaves from now on: what the host posted is all there in the end. Not after a segment that no
  // peer sends: what it said may forbid that for ever.
  void finish() {
    if (!alive() || dirty_ || !established()) return;
    if (host().posted.minus(view().hard.snd_una) > 1u << 17) return;
    window = 0xffff;
    e.commit_delay = 5_us;
    picos pause = 1_ms;
    std::uint64_t got = now().sent.whole();
    for (int idle = 0; idle < 40;) {
      const std::uint32_t here = view().hard.rcv_nxt.minus(first_byte);
      for (next_ = here; next_ != top_ && seq32{top_}.after(seq32{next_}) && alive();) {
        const std::uint32_t n = std::min(1000u, top_ - next_);
        piece(next_, n, tcp_ack);
        next_ += n;
      }
      if (!alive()) return;
      heard_stream& h = now().sent;
      const bool all = h.next() == host().posted && (!host().fin_posted || h.fin());
      ++ts;
      ack = later(h.next() + (all && h.fin() ? 1u : 0u), view().hard.snd_una);
      next_ = view().hard.rcv_nxt.minus(first_byte);
      give(plain(tcp_ack, 0));
      if (!alive()) return;
      if (all && view().hard.snd_una == host().posted + (host().fin_posted ? 1u : 0u)) return;
      time.run_for(pause);
      if (!alive()) return;
      idle = h.whole() == got ? idle + 1 : 0;
      got = h.whole();
      pause = idle ? std::min<picos>(2 * pause, 130_s) : 1_ms;
    }
    fail("the peer cannot get what the host posted");
  }

  segment plain(std::uint8_t flags, std::uint32_t length) {
    const seq32 kept = seq;
    seq = first_byte + next_;
    const segment s = make(flags, length);
    seq = kept;
    return s;
  }
  // Of what the engine takes.
  seq32 edge() { return later(view().hard.rcv_adv, view().hard.rcv_nxt); }
  // A segment says that the peer has sent what is before `end`: it sends that again in the end.
  void sent_before(seq32 end) {
    if (end.after(first_byte + top_)) top_ = earlier(end, edge()).minus(first_byte);
  }
  void piece(std::uint32_t at, std::uint32_t length, std::uint8_t flags) {
    segment s = plain(flags, length);
    s.seq = first_byte + at;
    if (alive()) {
      if (s.seq.after_eq(edge()) && s.seq != view().hard.rcv_nxt) dirty_ = true;
      sent_before(s.seq + length);
    }
    give(s, at);
  }
  void blocks(script& in, segment& s) {
    const std::uint8_t n = in.byte() % 8;
    if (n > 4) return;
    s.options.sack_count = n;
    for (std::uint8_t k = 0; k < n; ++k) {
      const seq32 left = view().hard.snd_una + (in.byte() & 1 ? in.number(2) : in.offset());
      s.options.sack[k] = {left, left + (in.byte() & 1 ? in.number(2) : in.offset())};
    }
  }
  // `una`: a number that an acknowledgment may be near.
  void any_segment(script& in, seq32 una) {
    segment s = plain(in.byte(), in.number(2) % 2000);
    const std::uint32_t at = next_ + in.offset();
    s.seq = first_byte + at;
    s.ack = una + in.offset();
    s.window = static_cast<std::uint16_t>(in.number(2));
    s.urgent = static_cast<std::uint16_t>(in.number(2));
    s.ecn = in.byte() & 3;
    if (in.byte() & 1) s.options.has_ts = !s.options.has_ts;
    s.options.tsval += in.offset();
    if (alive()) {
      blocks(in, s);
      dirty_ = dirty_next_ = true;
    }
    give(s, s.flags & tcp_syn ? at + 1u : at);  // a SYN has a number, and the payload comes behind it
  }

  beginning begin_;
  std::uint8_t bits_;
  std::uint32_t next_ = 0;   // bytes of the peer's stream that were sent in order
  std::uint32_t top_ = 0;    // of it, the end of what the engine may hold
  seq32 syn_heard_;          // of the newest SYN or SYN-ACK
  bool dirty_ = false;       // the connection has heard a segment that no peer sends
  bool dirty_next_ = false;  // the next one begins with such
  std::uint32_t generation_ = 0, now_generation_ = 0;  // adapters that have died
  std::vector<life> lives_;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  testing::InitGoogleTest(argc, *argv);
  testing::GTEST_FLAG(throw_on_failure) = true;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 2000) return 0;
  script s(data, size);
  const tcp_config c = configuration(s.byte());
  session t(c, s.byte());
  while (s.more() && t.goes_on()) {
    t.step(s);
    t.judge_streams();
  }
  t.judge();
  return 0;
}
