// Connections that end, or whose listener does, before the host has heard of them: CE-4. Nothing is announced
// that is over, nothing of it stays behind: no place in the table, no buffer, no accept credit.
#include "tb/test/adapter/announce_rig.h"

namespace understudy::tb {
namespace {

void reset(adapter_rig& g, std::uint16_t peer, std::uint32_t seq = 1001) {
  g.wire.send(g.segment_from_peer(http, static_cast<std::uint16_t>(first_peer + peer), seq32{seq}, seq32{0},
                                  tcp_rst));
  g.run(50_us);
}

void announce_now(adapter_rig& g) {
  g.write(US_REG_ANNOUNCE_NOW, 1);
  g.run(10_us);
}

// Peers of the connections that were announced since the last call, counted from first_peer.
std::vector<int> announced(adapter_rig& g) {
  std::vector<int> peers;
  for (const us_record& r : of(g.take_records(), US_REC_ESTABLISHED))
    peers.push_back(r.u.conn.peer_port - first_peer);
  g.ring_odt();
  return peers;
}
using peers = std::vector<int>;

TEST(early_end, CE_4_a_reset_before_the_announcement_collapses_both_and_leaks_nothing) {
  adapter_rig g;
  serve(g, {});
  establish(g, 2);
  reset(g, 0);
  announce_now(g);
  const auto records = g.take_records();
  ASSERT_EQ(of(records, US_REC_ESTABLISHED).size(), 1u);
  EXPECT_EQ(of(records, US_REC_ESTABLISHED)[0].u.conn.peer_port, first_peer + 1);
  EXPECT_EQ(of(records, US_REC_ABORTED).size(), 1u) << "the host knew the handshake";
  EXPECT_EQ(g.dev.announcements().collapsed, 1u);
  EXPECT_EQ(g.dev.engine().connections(), 1u);
  g.expect_no_report();
}

// Policies whose handshakes no record commits.
class early_end_untold : public ::testing::TestWithParam<us_commit_policy> {};

TEST_P(early_end_untold, CE_4_a_reset_of_what_no_record_named_is_not_told_at_all) {
  adapter_rig g;
  serve(g, {.commit = static_cast<std::uint8_t>(GetParam()), .buffers = 1});
  establish(g, 1);
  reset(g, 0);
  announce_now(g);
  EXPECT_TRUE(g.take_records().empty());
  EXPECT_EQ(g.dev.announcements().collapsed, 1u);
  EXPECT_EQ(g.dev.engine().connections(), 0u);
  establish(g, 1, 1);
  announce_now(g);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, US_REC_ESTABLISHED);
  EXPECT_NE(records[0].snd_wnd, US_NO_BUF) << "the buffer of the one that was reset serves again";
  g.expect_no_report();
}
INSTANTIATE_TEST_SUITE_P(policies, early_end_untold,
                         ::testing::Values(US_COMMIT_BEFORE_DATA_ACK, US_COMMIT_LAZY), [](const auto& i) {
                           return std::string(i.param == US_COMMIT_LAZY ? "lazy" : "before_data_ack");
                         });

// One connection has the only credit and waits in the batch, the next is held for want of another.
void one_waits_one_is_held(adapter_rig& g) {
  serve(g, {.credits = 1});
  establish(g, 2);
  ASSERT_EQ(g.dev.announcements().held, 1u);
  g.take_records();
  g.ring_odt();
}

TEST(early_end, CE_4_the_credit_of_one_that_is_reset_unannounced_goes_to_one_that_is_held) {
  adapter_rig g;
  one_waits_one_is_held(g);
  reset(g, 0);
  announce_now(g);
  EXPECT_EQ(announced(g), (peers{1}));
  EXPECT_EQ(g.dev.engine().connections(), 1u);
  g.expect_no_report();
}

TEST(early_end, CE_4_the_credit_of_a_handshake_that_is_reset_goes_to_the_next_one) {
  adapter_rig g;
  serve(g, {.credits = 1});
  g.wire.send(g.segment_from_peer(http, first_peer, seq32{1000}, seq32{0}, tcp_syn));
  g.run(50_us);
  reset(g, 0);
  EXPECT_EQ(g.dev.engine().connections(), 0u);
  establish(g, 1, 1);
  EXPECT_EQ(g.dev.announcements().held, 0u);
  announce_now(g);
  EXPECT_EQ(announced(g), (peers{1}));
}

TEST(early_end, CE_4_a_held_connection_that_is_reset_is_not_told_and_takes_no_credit) {
  adapter_rig g;
  one_waits_one_is_held(g);
  establish(g, 1, 2);
  EXPECT_EQ(g.dev.announcements().held, 2u);
  reset(g, 1);
  EXPECT_EQ(g.dev.announcements().collapsed, 1u);
  EXPECT_EQ(g.dev.engine().connections(), 2u);
  announce_now(g);
  EXPECT_EQ(announced(g), (peers{0})) << "the third is still held: the second had no credit to give back";
  g.post(listener(US_OP_ACCEPTED, {.credits = 1}));
  g.ring();
  announce_now(g);
  EXPECT_EQ(announced(g), (peers{2}));
  g.expect_no_report();
}

TEST(early_end, CE_4_a_held_connection_whose_peer_closes_is_announced_before_its_end) {
  adapter_rig g;
  serve(g, {.credits = 1});
  const auto iss = establish(g, 2);
  g.take_records();
  g.ring_odt();
  g.wire.send(g.segment_from_peer(http, first_peer + 1, seq32{1001}, iss[1] + 1, tcp_ack | tcp_fin));
  g.run(50_us);
  const auto records = g.take_records();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].u.conn.peer_port, first_peer) << "in the order of their establishment";
  EXPECT_EQ(records[1].type, US_REC_ESTABLISHED);
  EXPECT_EQ(records[1].u.conn.peer_port, first_peer + 1) << "beyond the credits";
  EXPECT_EQ(records[2].cid, records[1].cid);
  EXPECT_NE(records[2].type, US_REC_ESTABLISHED);
  g.expect_no_report();
}

TEST(early_end, CE_4_the_end_of_a_listener_announces_what_waits_and_what_is_held) {
  adapter_rig g;
  one_waits_one_is_held(g);
  g.post(listener(US_OP_UNLISTEN, {}));
  g.ring();
  EXPECT_EQ(bursts_for(g, announce_reason::flush), 1u);
  EXPECT_EQ(announced(g), (peers{0, 1}));
  EXPECT_EQ(g.dev.engine().connections(), 2u) << "they live on";
  g.expect_no_report();
}

}  // namespace
}  // namespace understudy::tb
