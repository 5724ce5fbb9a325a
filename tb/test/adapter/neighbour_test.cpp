// Frames to neighbours that nobody knows yet wait for an answer, not for ever and not in each other's way.
#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

constexpr std::uint16_t nobody_listens = 81;
constexpr std::size_t most_waiting = 1024;

// `n` segments that the adapter answers by resets; the peer's MAC is not known.
void provoke_resets(adapter_rig& g, std::uint16_t n, std::uint16_t first_port) {
  for (std::uint16_t i = 0; i < n; ++i)
    g.wire.send(g.segment_from_peer(nobody_listens, static_cast<std::uint16_t>(first_port + i), seq32{1},
                                    seq32{7}, tcp_ack));
  g.run(5_ms);
}

std::size_t questions(const adapter_rig& g) {
  std::size_t n = 0;
  for (const auto& a : g.wire.arrivals) {
    const parsed_frame p = parse_frame(a.f);
    n += p.kind == frame_class::arp_request && p.target_ip == peer_ip;
  }
  return n;
}

TEST(neighbour, whose_answers_are_lost_is_asked_again_however_much_waits_for_it) {
  adapter_rig g;
  g.bring_up();
  g.post_address();
  g.ring(50_us);
  provoke_resets(g, most_waiting + 10, 2000);
  EXPECT_EQ(questions(g), 1u) << "ten a second, at most";
  EXPECT_EQ(g.dev.counters().dropped_no_neighbour, 10u);
  g.run(100_ms);
  provoke_resets(g, 1, 9000);
  EXPECT_EQ(questions(g), 2u);
  EXPECT_TRUE(g.take_segments().empty());
  g.introduce_peer();
  g.run(5_ms);
  const auto sent = g.take_segments();
  ASSERT_EQ(sent.size(), most_waiting) << "the newest of them";
  EXPECT_EQ(sent.front().tuple.local_port, 2011);
  EXPECT_EQ(sent.back().tuple.local_port, 9000);
  g.expect_no_report();
}

}  // namespace
}  // namespace understudy::tb
