// What happens when nothing arrives: repetition, probes, keep-alives, the end of TIME_WAIT.
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// ---------------------------------------------------------------- repetition

TEST(TcpHandshake, SynAckIsRepeatedWithBackoffAndGivenUp) {
  tcp_config c;
  c.syn_retries = 3;
  solo t(c);
  t.syn();
  t.time.run_for(60_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 4u);
  for (std::size_t i = 1; i < r.size(); ++i)
    EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at), static_cast<double>(1_s << (i - 1)), 1e9);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(TcpHandshake, ASynIsRepeatedWithBackoffAndGivenUp) {
  solo t;
  t.e.open({ip_b, ip_a, 81, port_a}, 700);
  t.time.run_for(300_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 8u);
  const double wanted_s[] = {1, 2, 4, 8, 16, 32, 64};
  for (std::size_t i = 0; i < r.size(); ++i) {
    EXPECT_EQ(r[i].s.flags, tcp_syn);
    EXPECT_EQ(r[i].s.seq, seq32{700});
    EXPECT_EQ(r[i].s.options.mss, 1460u);
    EXPECT_EQ(r[i].request.retransmission, i > 0);
    if (i > 0) {
      EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at) / 1e12, wanted_s[i - 1], 0.001);
    }
  }
  EXPECT_EQ(t.host().last_change, tcp_env::change::aborted);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_EQ(t.counters().timeouts, 7u);
}

TEST(TcpLoss, TheTimeoutBacksOffAndGivesUp) {
  tcp_config c;
  c.data_retries = 4;
  solo t(c);
  t.establish();
  t.e.post(t.id(), 100);
  t.time.run_for(600_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 5u);
  const double first = static_cast<double>(r[1].at - r[0].at);
  EXPECT_NEAR(first, 200e9, 2e9) << "the handshake's round trip is below the minimum";
  for (std::size_t i = 2; i < r.size(); ++i)
    EXPECT_NEAR(static_cast<double>(r[i].at - r[i - 1].at), first * static_cast<double>(1 << (i - 1)), 2e9);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
  EXPECT_EQ(t.counters().timeouts, 4u);
}

// ---------------------------------------------------------------- persist

TEST(TcpPersist, AClosedWindowIsProbedWithBackoffForever) {
  tcp_config c;
  c.data_retries = 3;
  solo t(c);
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  for (int i = 0; i < 12; ++i) {
    const picos before = t.time.now;
    ASSERT_TRUE(t.time.run_while([&] { return t.e.sent.size() == t.seen; }, before + 200_s));
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u);
    EXPECT_EQ(r[0].s.seq, t.ack);
    EXPECT_EQ(r[0].s.payload_length, 1u);
    if (i < 7) {
      EXPECT_NEAR(static_cast<double>(t.time.now - before), static_cast<double>(500_ms << i), 1e9);
    }
    t.ack_only();  // answered: the window stays closed
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  t.window = 60000;
  t.ack_only();
  EXPECT_EQ(t.fresh().size(), 4u);
}

TEST(TcpPersist, UnansweredProbesEndTheConnection) {
  tcp_config c;
  c.data_retries = 3;
  solo t(c);
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  t.time.run_for(100_s);
  EXPECT_EQ(t.fresh().size(), 3u);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(TcpPersist, AnAcceptedProbeByteMovesOn) {
  solo t;
  t.window = 0;
  t.establish();
  t.e.post(t.id(), 5000);
  t.time.run_for(600_ms);
  ASSERT_EQ(t.fresh().size(), 1u);
  t.ack += 1;
  t.window = 60000;
  t.ack_only();
  const auto r = t.fresh();
  ASSERT_GE(r.size(), 4u);
  EXPECT_EQ(r[0].s.seq, t.ack);
}

TEST(TcpPersist, AFinIsProbedToo) {
  solo t;
  t.window = 0;
  t.establish();
  ASSERT_EQ(t.e.close(t.id()), US_OK);
  t.time.run_for(600_ms);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].s.flags, tcp_fin | tcp_ack);
  EXPECT_EQ(r[0].s.seq, t.ack);
}

// ---------------------------------------------------------------- keep-alive

struct silent : solo {
  explicit silent(const tcp_config& c = {}) : solo(c) { establish(); }
  void keepalive(std::uint16_t idle_s) {
    EXPECT_EQ(e.engine->set_options(time.now, id(), {.keepalive = true, .keepalive_idle_s = idle_s}), US_OK);
    e.wake();
  }
};

TEST(TcpKeepalive, IsOffUntilAskedFor) {
  silent t;
  t.time.run_for(100'000_s);
  EXPECT_TRUE(t.fresh().empty());
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
}

TEST(TcpKeepalive, ProbesAfterSilenceAndGoesOnWhileAnswered) {
  silent t;
  t.keepalive(10);
  for (int n = 0; n < 20; ++n) {
    t.time.run_for(9'900_ms);
    EXPECT_TRUE(t.fresh().empty()) << n;
    t.time.run_for(200_ms);
    const auto r = t.fresh();
    ASSERT_EQ(r.size(), 1u) << n;
    EXPECT_EQ(r[0].s.seq, t.ack - 1) << "one below: the peer must answer";
    EXPECT_EQ(r[0].s.payload_length, 0u);
    EXPECT_EQ(r[0].s.flags, tcp_ack);
    t.ack_only();
  }
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  EXPECT_EQ(t.counters().keepalives, 20u);
}

TEST(TcpKeepalive, UnansweredProbesEndTheConnection) {
  silent t;
  t.keepalive(10);
  t.time.run_for(11_s + 8 * 75_s);
  EXPECT_EQ(t.fresh().size(), 9u);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED) << "no single probe decides";
  t.time.run_for(75_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

TEST(TcpKeepalive, AnythingFromThePeerPutsItOff) {
  silent t;
  t.keepalive(10);
  for (int n = 0; n < 5; ++n) {
    t.time.run_for(9_s);
    t.data(100);
  }
  t.time.run_for(1_s);
  for (const sent_segment& s : t.fresh()) EXPECT_EQ(s.s.seq, t.ack) << "ACKs and no probe";
}

TEST(TcpKeepalive, NothingIsProbedWhileDataIsInFlight) {
  silent t;
  t.keepalive(1);
  t.e.post(t.id(), 100);
  t.time.run_for(20_s);
  for (const sent_segment& s : t.fresh()) EXPECT_EQ(s.s.payload_length, 100u);
  EXPECT_EQ(t.counters().keepalives, 0u);
  t.ack += 100;
  t.ack_only();
  t.time.run_for(1100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
}

TEST(TcpKeepalive, MayBeSwitchedOffAgainAndIsOnByConfiguration) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 5_s;
  silent t(c);
  t.time.run_for(5100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
  EXPECT_EQ(t.e.engine->set_options(t.time.now, t.id(), {}), US_OK);
  t.time.run_for(1000_s);
  EXPECT_EQ(t.counters().keepalives, 1u);
  EXPECT_EQ(t.e.engine->set_options(t.time.now, cid{999, 1}, {}), US_ERR_BAD_CID);
}

TEST(TcpKeepalive, ASubstituteGoesOnWithIt) {
  tcp_config c;
  c.keepalive = true;
  c.keepalive_idle = 5_s;
  silent t(c);
  t.time.run_for(3_s);
  t.e.fail_over();
  t.e.kick();
  t.time.run_for(t.step);
  t.ack_only();
  t.time.run_for(4_s);
  EXPECT_EQ(t.counters().keepalives, 0u);
  t.time.run_for(1100_ms);
  EXPECT_EQ(t.counters().keepalives, 1u);
}

// ---------------------------------------------------------------- TIME_WAIT

TEST(TcpTimeWait, LastsTwoMsl) {
  time_wait t;
  t.time.run_for(119_s);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.time.run_for(2_s);
  EXPECT_EQ(t.state(), US_TCP_CLOSED);
  EXPECT_EQ(t.host().status, US_OK);
}

TEST(TcpTimeWait, MayBeSkippedAtTheEndOfARun) {
  time_wait t;
  t.e.engine->expire_time_wait(t.time.now);
  t.time.run_for(t.step);
  EXPECT_EQ(t.e.engine->connections(), 0u);
  EXPECT_TRUE(t.host().ended);
}

}  // namespace
}  // namespace understudy::tb
