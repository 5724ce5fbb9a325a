// The retransmission time-out (RFC 6298): against the document's own arithmetic, Karn's algorithm, backoff.
#include <cmath>

#include "model/core/rng.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

double micros(picos t) {
  return static_cast<double>(t) / 1e6;
}

// SRTT and RTTVAR of RFC 6298 2.2 and 2.3, in microseconds.
struct estimator {
  double srtt = 0, rttvar = 0;
  void sample(picos r) {
    const double x = micros(r);
    if (srtt == 0) {
      srtt = x;
      rttvar = x / 2;
      return;
    }
    rttvar = 0.75 * rttvar + 0.25 * std::fabs(srtt - x);
    srtt = 0.875 * srtt + 0.125 * x;
  }
  double rto() const { return srtt + 4 * rttvar; }
};

// A connection whose round trips are what the test says. Engine and estimator see the same ones.
struct distant : solo {
  explicit distant(bool timestamps, picos first, const tcp_config& c = {}) : solo(c) {
    syn_options.has_ts = timestamps;
    syn();
    acknowledged_after(first, 1);
    EXPECT_EQ(state(), US_TCP_ESTABLISHED);
  }
  // What was just sent is acknowledged `rtt` after it left; `numbers` that it took.
  void acknowledged_after(picos rtt, std::uint32_t numbers) {
    const auto r = fresh();
    ASSERT_EQ(r.size(), 1u);
    time.run_until(r[0].at + rtt);
    known.sample(time.now - r[0].at);
    ack = r[0].s.seq + numbers;
    e.take(make(tcp_ack));
  }
  // A segment that leaves now.
  void send() {
    e.post(id(), 100);
    time.run_for(step);
  }
  void expect_estimate() {
    EXPECT_NEAR(micros(view().srtt), known.srtt, 10) << "integers, in microseconds";
    EXPECT_NEAR(micros(view().rto), known.rto(), 60);
  }
  estimator known;
};

TEST(tcp_rto, is_srtt_and_four_times_its_variation) {
  constexpr std::uint64_t seed = 12;
  rng draws(seed, "rto/jitter");
  distant t(false, 300_ms);
  t.expect_estimate();
  EXPECT_NEAR(micros(t.view().rto), 900'000, 10) << "the first sample: R + 4 R / 2";
  int unclamped = 0;
  for (int n = 0; n < 200; ++n) {
    t.send();
    t.acknowledged_after(250_ms + draws.below(100) * 1_ms, 100);
    t.expect_estimate();
    unclamped += t.view().rto > t.e.config.rto_min;
  }
  EXPECT_EQ(unclamped, 200) << "seed " << seed;
  EXPECT_EQ(t.counters().retransmissions, 0u);
  // And that is when it fires.
  t.send();
  const picos rto = t.view().rto;
  const picos left = t.fresh().back().at;
  t.time.run_for(2_s);
  const auto again = t.fresh();
  ASSERT_FALSE(again.empty());
  EXPECT_TRUE(again[0].request.retransmission);
  EXPECT_GE(again[0].at - left + 10_us, rto) << "armed when the segment was asked for, 1 us before it left";
  EXPECT_LE(again[0].at - left, rto + 200_us) << "a tick of the wheel later at most";
}

TEST(tcp_rto, a_steady_round_trip_leaves_only_the_clock_granularity_above_it) {
  distant t(false, 300_ms);
  for (int n = 0; n < 100; ++n) {
    t.send();
    t.acknowledged_after(300_ms, 100);
  }
  EXPECT_NEAR(micros(t.view().rto), 300'000 + 100, 20) << "RFC 6298 2.3: max(G, 4 RTTVAR)";
}

TEST(tcp_rto, stays_between_its_bounds) {
  tcp_config c;
  c.rto_min = 350_ms;
  c.rto_max = 2_s;
  distant t(false, 300_ms, c);
  for (int n = 0; n < 40; ++n) {
    t.send();
    t.acknowledged_after(300_ms, 100);
  }
  EXPECT_EQ(t.view().rto, 350_ms);
  t.send();
  t.fresh();
  t.time.run_for(60_s);
  const auto again = t.fresh();
  ASSERT_GE(again.size(), 6u);
  const double wanted_ms[] = {700, 1400, 2000, 2000, 2000};
  for (std::size_t n = 1; n < 6; ++n)
    EXPECT_NEAR(micros(again[n].at - again[n - 1].at) / 1000, wanted_ms[n - 1], 1);
}

// Without timestamps nobody knows which copy was acknowledged.
TEST(tcp_rto, karn_no_sample_of_what_was_sent_twice_and_the_backoff_stays_until_there_is_one) {
  distant t(false, 300_ms);
  for (int n = 0; n < 40; ++n) {
    t.send();
    t.acknowledged_after(300_ms, 100);
  }
  const picos srtt = t.view().srtt, rto = t.view().rto;
  t.send();
  t.time.run_for(rto + rto / 2);  // lost once
  EXPECT_EQ(t.counters().timeouts, 1u);
  EXPECT_EQ(t.view().rto, 2 * rto);
  t.ack += 100;
  t.ack_only();
  EXPECT_EQ(t.view().srtt, srtt);
  EXPECT_EQ(t.view().rto, 2 * rto) << "RFC 6298 5.7: until a new measurement";
  t.fresh();
  t.send();
  t.acknowledged_after(300_ms, 100);
  EXPECT_LT(t.view().rto, rto + 1_ms);
}

// With them an answer tells which copy it answers (RFC 7323 4.1).
TEST(tcp_rto, an_echoed_timestamp_is_a_sample_after_a_loss_and_ends_the_backoff) {
  distant t(true, 300_ms);
  for (int n = 0; n < 40; ++n) {
    t.send();
    t.acknowledged_after(300_ms, 100);
  }
  const picos rto = t.view().rto;
  t.send();
  t.time.run_for(rto + 50_ms);
  const auto sent = t.fresh();
  ASSERT_EQ(sent.size(), 2u);
  ASSERT_TRUE(sent[1].request.retransmission);
  t.time.run_until(sent[1].at + 300_ms);
  t.ack += 100;
  segment s = t.make(tcp_ack);
  s.options.tsecr = sent[1].s.options.tsval;
  t.give(s);
  EXPECT_NEAR(micros(t.view().srtt), 300'000, 1000);
  EXPECT_LT(t.view().rto, rto + 5_ms);
}

// A closed window's probes back off as well; the data behind it does not inherit that. Four probes were
// answered; the next answer opens the window.
struct probed : solo {
  explicit probed(bool timestamps) {
    syn_options.has_ts = timestamps;
    establish();
    window = 0;
    ack_only();
    e.post(id(), 1000);
    for (int n = 0; n < 4; ++n) {
      time.run_for(60_s);
      ack_only();
    }
    fresh();
    window = 0xffff;
  }
  void expect_the_smallest_timeout() {
    ack_only();
    time.run_for(1_s);
    EXPECT_GE(fresh().size(), 2u) << "sent, and sent again";
  }
};

TEST(tcp_rto, the_backoff_of_probes_ends_when_the_window_opens) {
  probed t(true);
  t.expect_the_smallest_timeout();
}

TEST(tcp_rto, the_backoff_of_probes_ends_with_a_byte_that_the_peer_takes) {
  probed t(false);
  t.ack += 1;
  t.expect_the_smallest_timeout();
}

TEST(tcp_rto, doubles_with_each_expiry_up_to_its_bound) {
  solo t;
  t.establish();
  t.e.post(t.id(), 100);
  t.time.run_for(1000_s);
  const auto r = t.fresh();
  ASSERT_EQ(r.size(), 16u);
  double wanted_ms = 200;
  for (std::size_t n = 1; n < r.size(); ++n) {
    EXPECT_NEAR(micros(r[n].at - r[n - 1].at) / 1000, wanted_ms, 2) << n;
    wanted_ms = std::min(2 * wanted_ms, 120'000.0);
  }
  EXPECT_EQ(t.host().status, US_ERR_TIMEOUT);
}

}  // namespace
}  // namespace understudy::tb
