// libFuzzer target: the input is a script of what peer, host, time and failures do to one engine. The oracle
// is the peer's byte stream: what reaches the host is exactly its beginning; and the rig's monitors see every
// segment.
#include <cstdio>
#include <cstdlib>

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

class session : public solo {
 public:
  session(const tcp_config& c, std::uint8_t bits) : solo(c) {
    syn_options.sack_permitted = bits & 1;
    syn_options.has_ts = bits & 2;
    if (bits & 4) syn_options.wscale = -1;
    if (bits & 8) seq = seq32{0xffffff00u};
    if (bits & 16) syn_options.mss = 48;
    establish();
    seq = first_byte;
    first_ = id();
  }
  // The connection goes on. A SYN may follow a TIME_WAIT (RFC 9293 3.10.7.4): then there is another, whose
  // stream begins elsewhere.
  bool alive() { return state() != US_TCP_CLOSED && id() == first_; }

  // The host has a beginning of the peer's stream.
  void judge_stream() {
    if (id() != first_) return;
    const auto& rx = host().rx;
    for (; judged_ < rx.size(); ++judged_)
      if (rx[judged_] != stream_byte(e.side_ ^ 1, judged_))
        fail("the host got other bytes than the peer sent");
  }

  void step(script& s) {
    switch (s.byte() % 11) {
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
        any_segment(s);
        break;
      case 3: {  // the peer acknowledges
        const tcp_view v = view();
        const std::uint32_t flight = v.snd_nxt.minus(v.hard.snd_una);
        ack = v.hard.snd_una + (flight ? s.number(2) % (flight + 1) : 0);
        segment a = plain(tcp_ack, 0);
        blocks(s, a);
        give(a);
        break;
      }
      case 4:
        if (!host().fin_posted && host().posted.minus(host().tx_base) < 1u << 20)
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
        if (!host().established || host().gone) break;
        time.run_for(1_ms);
        if (!alive()) break;
        e.fail_over();
        if (!e.engine->known(id())) break;
        e.kick();
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

  void judge() {
    time.run_for(1_s);
    judge_stream();
    if (e.violations) fail(e.what.front().c_str());
    if (counters().most_steps > 2000) fail("a segment cost more steps than it may");
  }

 private:
  [[noreturn]] static void fail(const char* why) {
    std::fprintf(stderr, "engine_fuzz: %s\n", why);
    std::abort();
  }
  segment plain(std::uint8_t flags, std::uint32_t length) {
    const seq32 kept = seq;
    seq = first_byte + next_;
    const segment s = make(flags, length);
    seq = kept;
    return s;
  }
  void piece(std::uint32_t at, std::uint32_t length, std::uint8_t flags) {
    segment s = plain(flags, length);
    s.seq = first_byte + at;
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
  void any_segment(script& in) {
    segment s = plain(in.byte(), in.number(2) % 2000);
    const std::uint32_t at = next_ + in.offset();
    s.seq = first_byte + at;
    s.ack = view().hard.snd_una + in.offset();
    s.window = static_cast<std::uint16_t>(in.number(2));
    s.urgent = static_cast<std::uint16_t>(in.number(2));
    s.ecn = in.byte() & 3;
    if (in.byte() & 1) s.options.has_ts = !s.options.has_ts;
    s.options.tsval += in.offset();
    blocks(in, s);
    give(s, at);
  }

  std::uint32_t next_ = 0;  // bytes of the peer's stream that were sent in order
  cid first_;
  std::size_t judged_ = 0;  // bytes of the host's that were compared
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
  while (s.more() && t.alive()) {
    t.step(s);
    t.judge_stream();
  }
  t.judge();
  return 0;
}
