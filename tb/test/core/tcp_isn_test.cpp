// Initial sequence numbers (RFC 6528): nobody outside can tell one from others, and one tuple never takes
// numbers again that it has used.
#include <array>
#include <cmath>
#include <set>

#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

constexpr std::uint32_t key[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};

// The number that an engine of this key and clock gives to a peer's port at `when`.
class numbers {
 public:
  explicit numbers(std::uint32_t clock_ms = 0, const tcp_config& c = {}) : e_(time_, 1, c) {
    e_.engine->set_secret(key);
    e_.engine->set_clock(0, clock_ms);
    e_.engine->listen(ip_b, port_b, 0, 1, 0);
  }
  seq32 of(std::uint16_t port, const ip_address& peer = ip_a) {
    segment s;
    s.tuple = {ip_b, peer, port_b, port};
    s.flags = tcp_syn;
    e_.take(s);
    const cid c = e_.engine->find(s.tuple);
    EXPECT_TRUE(c.valid());
    const seq32 iss = e_.engine->view(c).hard.iss;
    EXPECT_EQ(e_.engine->abort(time_.now, c), US_OK);
    return iss;
  }
  void wait(picos t) { time_.run_for(t); }

 private:
  timeline time_;
  rig_end e_;
};

std::vector<std::uint32_t> of_ports(std::uint32_t n) {
  numbers engine;
  std::vector<std::uint32_t> r;
  r.reserve(n);
  for (std::uint32_t port = 1; port <= n; ++port)
    r.push_back(engine.of(static_cast<std::uint16_t>(port)).raw);
  return r;
}

// Pearson's statistic of `counts` against equal shares; 255 degrees of freedom have mean 255 and
// deviation 22.6.
double chi_square(const std::array<std::uint32_t, 256>& counts) {
  double sum = 0, n = 0;
  for (const std::uint32_t c : counts) n += c;
  for (const std::uint32_t c : counts) sum += (c - n / 256) * (c - n / 256) / (n / 256);
  return sum;
}

TEST(tcp_isn, numbers_of_neighbouring_tuples_are_distinct_and_evenly_spread) {
  const auto iss = of_ports(16'384);
  EXPECT_GE(std::set<std::uint32_t>(iss.begin(), iss.end()).size(), iss.size() - 1) << "0.03 pairs by chance";
  for (unsigned shift = 0; shift < 32; shift += 8) {
    std::array<std::uint32_t, 256> counts{};
    for (const std::uint32_t x : iss) ++counts[x >> shift & 255];
    EXPECT_LT(chi_square(counts), 255 + 5 * 22.6) << "byte at " << shift;
    EXPECT_GT(chi_square(counts), 255 - 5 * 22.6) << "more even than chance";
  }
  for (unsigned bit = 0; bit < 32; ++bit) {
    std::uint32_t ones = 0;
    for (const std::uint32_t x : iss) ones += x >> bit & 1;
    EXPECT_NEAR(ones, 8192, 5 * 64) << bit;
  }
}

TEST(tcp_isn, one_tuples_number_says_nothing_about_the_next) {
  const auto iss = of_ports(16'384);
  for (const std::size_t apart : {1u, 2u, 256u}) {
    std::array<std::uint32_t, 256> differences{};
    double product = 0, squares = 0;
    std::size_t n = 0;
    for (std::size_t i = 0; i + apart < iss.size(); ++i, ++n) {
      ++differences[(iss[i + apart] - iss[i]) >> 24];
      const double a = iss[i] / 4294967296.0 - 0.5, b = iss[i + apart] / 4294967296.0 - 0.5;
      product += a * b;
      squares += a * a;
    }
    EXPECT_LT(chi_square(differences), 255 + 5 * 22.6) << apart;
    EXPECT_LT(std::fabs(product / squares), 5 / std::sqrt(static_cast<double>(n))) << "serial correlation";
  }
}

// The same statistics on what they must notice: a counter, as old stacks had it.
TEST(tcp_isn, a_counter_would_be_noticed) {
  std::array<std::uint32_t, 256> differences{};
  for (std::uint32_t i = 0; i < 16'384; ++i) ++differences[((i + 1) * 64'000 - i * 64'000) >> 24];
  EXPECT_GT(chi_square(differences), 255 + 5 * 22.6);
}

TEST(tcp_isn, each_part_of_the_tuple_and_of_the_key_matters) {
  numbers engine;
  EXPECT_NE(engine.of(7), engine.of(8));
  EXPECT_NE(engine.of(7), engine.of(7, ip_address::v4(10, 0, 0, 99)));
  EXPECT_EQ(engine.of(7), engine.of(7)) << "the clock stands still";
}

TEST(tcp_isn, one_tuples_numbers_follow_a_clock_of_four_microseconds) {
  numbers engine;
  const seq32 first = engine.of(7);
  seq32 last = first;
  picos at = 0;
  for (const picos pause : {4_us, 40_us, 1_ms, 999_us, 1_s, 60_s, 600_s}) {
    engine.wait(pause);
    at += pause;
    const seq32 now = engine.of(7);
    EXPECT_TRUE(now.after(last));
    EXPECT_EQ(now.minus(first), at / 4_us);
    last = now;
  }
}

// A substitute has key and clock of the host: its numbers go on, ahead of the dead adapter's.
TEST(tcp_isn, a_substitutes_numbers_go_on) {
  numbers dead(5000);
  dead.wait(3_ms);
  const seq32 before = dead.of(7);
  numbers substitute(5000 + 4);
  EXPECT_EQ(substitute.of(7).minus(before), 250u);
}

// ------------------------------------------------------------------------------------------------ used
// numbers

// In TIME_WAIT after sending `bytes`; then the peer's SYN of another connection.
seq32 reopened(solo& t, std::uint32_t bytes, seq32* end) {
  t.establish();
  for (std::uint32_t sent = 0; sent < bytes; sent += 20'000) {
    t.e.post(t.id(), 20'000);
    for (int n = 0; n < 4; ++n) {
      t.time.run_for(t.step);
      t.ack = t.view().snd_nxt;
      t.ack_only();
    }
  }
  t.e.close(t.id());
  t.time.run_for(t.step);
  *end = t.view().hard.snd_max;
  t.ack = *end;
  t.data(0, tcp_ack | tcp_fin);
  EXPECT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.fresh();
  t.seq += 100'000;
  t.ts += 1000;
  t.syn_options.tsval = t.ts;
  t.syn();
  EXPECT_EQ(t.state(), US_TCP_SYN_RCVD);
  return t.view().hard.iss;
}

TEST(tcp_isn, a_tuple_reopened_from_time_wait_begins_behind_what_it_has_sent) {
  for (const bool timestamps : {false, true}) {
    solo t;
    t.syn_options.has_ts = timestamps;
    seq32 end;
    const picos begin = t.time.now;
    const seq32 iss = reopened(t, 200'000, &end);
    EXPECT_LT((t.time.now - begin) / 4_us, 100'000u) << "faster than the clock, which alone would not do";
    EXPECT_FALSE(iss.before(end));
  }
}

TEST(tcp_isn, a_tuple_reopened_late_begins_where_the_clock_says) {
  solo t;
  seq32 end;
  const seq32 first = [&] {
    t.establish();
    return t.view().hard.iss;
  }();
  t.e.close(t.id());
  t.time.run_for(t.step);
  end = t.view().hard.snd_max;
  t.ack = end;
  t.data(0, tcp_ack | tcp_fin);
  t.time.run_for(60_s);
  t.seq += 10;
  t.ts += 60'000;
  t.syn_options.tsval = t.ts;
  const picos at = t.time.now;
  t.syn();
  EXPECT_NEAR(t.view().hard.iss.minus(first), static_cast<double>(at) / 4e6, 1);
}

TEST(tcp_isn, a_substitute_that_took_a_time_wait_over_knows_what_was_sent) {
  solo t;
  seq32 end;
  t.establish();
  t.e.post(t.id(), 10'000);
  t.time.run_for(t.step);
  t.ack += 10'000;
  t.ack_only();
  t.e.close(t.id());
  t.time.run_for(t.step);
  end = t.view().hard.snd_max;
  t.ack = end;
  t.data(0, tcp_ack | tcp_fin);
  ASSERT_EQ(t.state(), US_TCP_TIME_WAIT);
  t.e.fail_over();
  t.e.kick();
  ASSERT_TRUE(t.e.engine->listen(ip_b, port_b, 0, 16, US_CONN_PROTECTED));
  t.time.run_for(t.step);
  t.seq += 10;
  t.ts += 1000;
  t.syn_options.tsval = t.ts;
  t.syn();
  ASSERT_EQ(t.state(), US_TCP_SYN_RCVD);
  EXPECT_FALSE(t.view().hard.iss.before(end));
}

TEST(tcp_isn, a_number_used_again_is_seen) {
  tcp_config c;
  c.mutants.reuse_isn = true;
  solo t(c);
  seq32 end;
  EXPECT_TRUE(reopened(t, 20'000, &end).before(end));
}

}  // namespace
}  // namespace understudy::tb
