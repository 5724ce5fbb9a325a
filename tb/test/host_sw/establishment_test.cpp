// The driver's part in establishment: quiet records, committed handshakes that were not announced, terms of
// listeners, accept credits.
#include <cerrno>
#include <utility>

#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

struct bulk_rig : driver_rig {
  explicit bulk_rig(unsigned adapters = 1, host::driver_config c = small_config())
      : driver_rig(adapters, std::move(c)) {
    for (fake_adapter& a : m.a) a.features |= US_FEATURE_ANNOUNCE;
  }
  fake_adapter& a(unsigned n = 0) { return m.a[n]; }
  // CONNECT, and the record that commits its handshake.
  host::conn connecting(std::uint32_t cid) {
    host::conn c = host::no_conn;
    EXPECT_EQ(d.connect({}, v4(peer_ip, 80), {}, &c), 0);
    m.run_us(5);
    a().connect_commits(a().seen_of(US_OP_CONNECT).back(), cid, 900);
    return c;
  }
};

TEST(establishment, an_adapter_that_announces_is_told_how_many_and_how_old) {
  bulk_rig g;
  g.start();
  EXPECT_EQ(g.a().reg(US_REG_ANNOUNCE_COUNT), 32u);
  EXPECT_EQ(g.a().reg(US_REG_ANNOUNCE_AGE_US), 20u);
  g.d.announce_now();
  EXPECT_EQ(g.a().reg(US_REG_ANNOUNCE_NOW), 1u);
}

TEST(establishment, an_adapter_of_minor_1_hears_nothing_of_it) {
  driver_rig g;
  g.start();
  ASSERT_GE(g.d.listen(v4(0, 80), 16, {}), 0);
  g.m.run_us(5);
  EXPECT_FALSE(g.m.a[0].regs.contains(US_REG_ANNOUNCE_COUNT));
  const us_idt_entry e = g.m.a[0].seen_of(US_OP_LISTEN).at(0);
  EXPECT_EQ(e.flags, US_CONN_PROTECTED);
  EXPECT_EQ(e.u.listen.cookies_above, 0u);
  EXPECT_EQ(e.u.listen.credits, 0u);
}

TEST(establishment, a_listener_carries_its_terms) {
  bulk_rig g;
  g.start();
  host::connection_options o;
  o.commit = US_COMMIT_LAZY;
  o.urgent = true;
  ASSERT_GE(g.d.listen(v4(0, 80), 16, o), 0);
  o.commit = US_COMMIT_BEFORE_DATA_ACK;
  o.speaks_first = true;
  EXPECT_EQ(g.d.listen(v4(0, 81), 16, o), -EINVAL) << "its peers may wait without a word";
  g.m.run_us(5);
  const us_idt_entry e = g.a().seen_of(US_OP_LISTEN).at(0);
  EXPECT_EQ(e.u.listen.commit, US_COMMIT_LAZY);
  EXPECT_EQ(e.flags, US_CONN_PROTECTED | US_LISTEN_URGENT);
  EXPECT_EQ(e.u.listen.credits, 16u);
  EXPECT_GT(e.u.listen.cookies_above, 0u);
}

TEST(establishment, the_default_policy_gives_way_where_the_server_speaks_first) {
  host::driver_config c = small_config();
  c.commit = US_COMMIT_BEFORE_DATA_ACK;
  bulk_rig g(1, c);
  g.start();
  host::connection_options o;
  ASSERT_GE(g.d.listen(v4(0, 80), 16, o), 0);
  o.speaks_first = true;
  ASSERT_GE(g.d.listen(v4(0, 81), 16, o), 0);
  g.m.run_us(5);
  EXPECT_EQ(g.a().seen_of(US_OP_LISTEN).at(0).u.listen.commit, US_COMMIT_BEFORE_DATA_ACK);
  EXPECT_EQ(g.a().seen_of(US_OP_LISTEN).at(1).u.listen.commit, US_COMMIT_BEFORE_SYNACK);
}

TEST(establishment, a_quiet_record_is_no_lost_wakeup_and_a_loud_one_behind_it_is) {
  bulk_rig g;
  g.start();
  g.m.run_us(500);
  const auto before = g.d.counters().lost_wakeups;
  us_record r = g.a().blank(US_REC_CREDIT, US_NO_CID);
  r.flags = US_REC_FLAG_QUIET;
  g.a().emit(r, false);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().lost_wakeups, before);
  g.a().emit(g.a().blank(US_REC_CREDIT, US_NO_CID), false);
  g.m.run_us(1000);
  EXPECT_EQ(g.d.counters().lost_wakeups, before + 1);
}

TEST(establishment, a_committed_connect_is_announced_when_its_record_says_so) {
  bulk_rig g;
  g.start();
  const host::conn c = g.connecting(7);
  g.m.run_us(5);
  EXPECT_TRUE(g.user.connected.empty());
  EXPECT_EQ(g.shadow(7).state, US_TCP_ESTABLISHED) << "a substitute goes on with it";
  EXPECT_EQ(g.d.write(c, "x", 1), 0);
  g.a().peer_completes(7);
  g.m.run_us(5);
  ASSERT_EQ(g.user.connected.size(), 1u);
  EXPECT_EQ(g.user.connected[0], c);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
  EXPECT_EQ(g.write(c, "hello"), 5);
}

TEST(establishment, a_committed_connect_survives_the_adapter_and_is_told_by_the_host) {
  bulk_rig g(2);
  g.start();
  const host::conn c = g.connecting(7);
  g.m.run_us(5);
  g.d.fail_now(0);
  g.m.run_us(500);
  ASSERT_EQ(g.d.state(), host::recovery_state::running);
  ASSERT_EQ(g.user.connected.size(), 1u);
  EXPECT_EQ(g.user.connected[0], c);
  const us_idt_entry e = g.a(1).seen_of(US_OP_RESTORE).at(0);
  EXPECT_EQ(e.u.restore.state, US_TCP_ESTABLISHED);
  EXPECT_TRUE(g.a(1).seen_of(US_OP_CONNECT).empty());
  EXPECT_EQ(g.write(c, "hello"), 5);
}

TEST(establishment, a_simultaneous_open_is_committed_in_syn_rcvd) {
  bulk_rig g;
  g.start();
  host::conn c = host::no_conn;
  ASSERT_EQ(g.d.connect({}, v4(peer_ip, 80), {}, &c), 0);
  g.m.run_us(5);
  g.a().connect_commits(g.a().seen_of(US_OP_CONNECT).back(), 7, 900, false);
  g.m.run_us(5);
  EXPECT_EQ(g.shadow(7).state, US_TCP_SYN_RCVD);
  g.a().peer_completes(7);
  g.m.run_us(5);
  EXPECT_EQ(g.user.connected.size(), 1u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(establishment, an_abort_before_the_announcement_reaches_the_adapter_once) {
  bulk_rig g;
  g.start();
  const host::conn c = g.connecting(7);
  g.m.run_us(5);
  ASSERT_EQ(g.d.abort(c), 0);
  g.m.run_us(5);
  g.a().peer_completes(7);  // crossed it
  g.m.run_us(5);
  EXPECT_EQ(g.a().seen_of(US_OP_ABORT).size(), 1u);
  g.a().ends(7, US_REC_ABORTED, US_ERR_ABORTED);
  g.m.run_us(5);
  ASSERT_EQ(g.user.ended.size(), 1u);
  g.d.release(c);
  EXPECT_EQ(g.d.connections(), 0u);
}

TEST(establishment, credits_go_back_as_the_application_accepts) {
  bulk_rig g;
  g.start();
  ASSERT_GE(g.d.listen(v4(0, 80), 8, {}), 0);
  g.m.run_us(1);
  for (std::uint16_t i = 0; i < 4; ++i)
    g.a().peer_opens(5u + i, static_cast<std::uint16_t>(1000 + i), 80, 100, 500);
  g.m.run_us(5);
  ASSERT_EQ(g.user.accepted.size(), 4u);
  g.d.accepted(0);
  g.m.run_us(5);
  EXPECT_TRUE(g.a().seen_of(US_OP_ACCEPTED).empty()) << "a quarter of the backlog at a time";
  g.d.accepted(0);
  g.m.run_us(5);
  ASSERT_EQ(g.a().seen_of(US_OP_ACCEPTED).size(), 1u);
  EXPECT_EQ(g.a().seen_of(US_OP_ACCEPTED)[0].u.listen.credits, 2u);
}

TEST(establishment, a_substitute_gets_the_credits_that_are_left_and_honours_cookies_of_what_it_recovers) {
  bulk_rig g(2);
  g.start();
  ASSERT_GE(g.d.listen(v4(0, 80), 8, {}), 0);
  host::connection_options unprotected_too;
  unprotected_too.failover = false;
  ASSERT_GE(g.d.listen(v4(0, 81), 8, unprotected_too), 0);
  g.m.run_us(1);
  for (std::uint16_t i = 0; i < 3; ++i)
    g.a().peer_opens(5u + i, static_cast<std::uint16_t>(1000 + i), 80, 100, 500);
  g.m.run_us(5);
  g.d.fail_now(0);
  g.m.run_us(500);
  const us_idt_entry e = g.a(1).seen_of(US_OP_LISTEN).at(0);
  EXPECT_EQ(e.u.listen.credits, 5u);
  EXPECT_TRUE(e.flags & US_LISTEN_TAKEOVER);
  const us_idt_entry unprotected = g.a(1).seen_of(US_OP_LISTEN).at(1);
  EXPECT_EQ(unprotected.u.listen.port, 81u);
  EXPECT_FALSE(unprotected.flags & US_LISTEN_TAKEOVER)
      << "its connections are over, whatever their peers say";
}

}  // namespace
}  // namespace understudy::tb
