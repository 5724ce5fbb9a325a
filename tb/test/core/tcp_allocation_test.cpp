// A running transfer allocates nothing.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "model/core/tcp_engine.h"
#include "tb/test/allocations.h"

namespace understudy {
namespace {

// An end whose requests and commits wait in fixed rings until the test serves them.
struct end : tcp_env {
  struct commit {
    cid c;
    seq32 n;
  };
  std::array<send_request, 1024> requests;
  std::array<commit, 1024> commits;
  std::uint32_t sent = 0, served = 0, placed = 0, committed = 0;
  cid connection;
  std::uint64_t bytes = 0;
  bool established = false;
  tcp_engine engine{tcp_config{}, *this};

  void send(const send_request& r) override { requests[sent++ % requests.size()] = r; }
  void send_raw(const segment&) override {}
  void place(cid c, seq32 seq, const frame_ref&, std::uint32_t, std::uint32_t length, bool, bool) override {
    bytes += length;
    commits[placed++ % commits.size()] = {c, seq + length};
  }
  void changed(cid c, change w, us_status) override {
    connection = c;
    if (w == change::established) established = true;
    const seq32 n = engine.view(c).hard.rcv_nxt;
    if (w == change::embryo || (w == change::established && !(engine.view(c).hard.conn & US_CONN_PASSIVE)))
      commits[placed++ % commits.size()] = {c, n};
  }
  // Everything that waits; segments go to `peer`, every `hold`-th one behind its successor.
  void serve(picos now, end& peer) {
    while (committed != placed) {
      const commit k = commits[committed++ % commits.size()];
      engine.grant(now, k.c, k.n + 200'000);
      engine.on_committed(now, k.c, k.n);
    }
    frame_ref held;
    segment held_segment;
    while (served != sent) {
      segment s;
      if (!engine.build_segment(now, requests[served++ % requests.size()], s)) continue;
      frame_ref f = frame_ref::make(s.payload_length, 128);
      std::memset(f.data(), 0, s.payload_length);
      prepend_headers(f, s, {}, {}, 0);
      const parsed_frame p = parse_frame(f);
      if (served % 50 == 0 && !held) {
        held = f;
        held_segment = p.tcp;
        continue;
      }
      peer.engine.on_segment(now, p.tcp, f, 0);
      if (held) peer.engine.on_segment(now, held_segment, std::exchange(held, {}), 0);
    }
    if (held) peer.engine.on_segment(now, held_segment, held, 0);
    if (engine.next_deadline() <= now) engine.on_time(now);
  }
};

TEST(TcpAllocation, ARunningTransferAllocatesNothing) {
  end a, b;
  const ip_address ip_a = ip_address::v4(10, 0, 0, 1), ip_b = ip_address::v4(10, 0, 0, 2);
  ASSERT_TRUE(b.engine.listen(ip_b, 80, 0, 4, US_CONN_PROTECTED));
  const cid c = a.engine.connect(0, {ip_a, ip_b, 1000, 80}, 0, seq32{0xfff00000}, US_CONN_PROTECTED);
  picos now = 0;
  const auto run = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      now += 10_us;
      a.serve(now, b);
      b.serve(now, a);
    }
  };
  run(5);
  ASSERT_TRUE(a.established && b.established);
  seq32 posted{0xfff00001};
  const auto transfer = [&](std::uint64_t bytes) {
    for (const std::uint64_t until = b.bytes + bytes; b.bytes < until; run(3)) {
      posted += 30'000;
      ASSERT_EQ(a.engine.post_send(now, c, posted), US_OK);
    }
  };
  transfer(3'000'000);  // warm
  const std::uint64_t before = tb::allocations, frames = detail::frame_pool::instance().allocated();
  const std::uint64_t segments = b.engine.counters().segments_in;
  const auto start = std::chrono::steady_clock::now();
  transfer(100'000'000);
  const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(tb::allocations, before);
  EXPECT_EQ(detail::frame_pool::instance().allocated(), frames);
  EXPECT_GT(b.engine.counters().out_of_order, 100u) << "reassembly was used";
  std::printf("%.0f data segments a second through both engines\n",
              static_cast<double>(b.engine.counters().segments_in - segments) / s);
}

}  // namespace
}  // namespace understudy
