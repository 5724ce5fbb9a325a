// Two engines over a bad wire deliver both byte streams exactly, and again when adapters die on the way.
#include <cstdio>

#include "tb/test/core/engine_rig.h"

namespace understudy::tb {
namespace {

struct stream_case {
  std::uint64_t seed;
  std::uint32_t bytes_ab, bytes_ba;
  wire_faults faults;
  std::uint32_t iss = 1000;
  bool timestamps = true;
  std::uint8_t bits = US_CONN_PROTECTED;
  std::uint32_t window = 256 * 1024;
  std::uint32_t failovers = 0;  // of each end, spread over the run
  bool cubic = false;
};

// Each end posts its bytes in random pieces, then its FIN.
void feed(rig_end& e, cid c, std::uint32_t left, std::shared_ptr<rng> draws) {
  if (!left) {
    EXPECT_EQ(e.close(c), US_OK);
    return;
  }
  const auto n = static_cast<std::uint32_t>(1 + draws->below(std::min(left, 40000u)));
  EXPECT_EQ(e.post(c, n), US_OK);
  e.time.in(draws->below(200) * 1_us, [&e, c, left, n, draws] { feed(e, c, left - n, draws); });
}

void run(const stream_case& s) {
  SCOPED_TRACE("seed " + std::to_string(s.seed));
  std::printf("[ seed %llu ]\n", static_cast<unsigned long long>(s.seed));
  tcp_config config;
  config.timestamps = s.timestamps;
  config.sack = s.seed % 4 != 3;
  if (s.cubic) config.congestion = congestion_kind::cubic;
  rig r(s.seed, config, config);
  r.faults = s.faults;
  r.a.window = r.b.window = s.window;
  r.connect(s.iss, s.bits, s.bits);
  ASSERT_TRUE(r.a.only().established);
  const cid ca = r.a.newest, cb = r.b.newest;
  rng draws(s.seed, "feed");
  feed(r.a, ca, s.bytes_ab, std::make_shared<rng>(s.seed, "a"));
  feed(r.b, cb, s.bytes_ba, std::make_shared<rng>(s.seed, "b"));
  std::uint64_t kicks = 0;
  for (std::uint32_t i = 0; i < s.failovers; ++i) {
    for (rig_end* e : {&r.a, &r.b}) {
      r.time.in((i * 3 + 1 + draws.below(3)) * 1_ms + draws.below(1000) * 1_us, [&r, e, &kicks] {
        if (e->only().ended) return;
        e->fail_over();
        e->kick();
        ++kicks;
        (void)r;
      });
    }
  }
  const auto over = [](rig_end& e) { return e.only().ended || e.only().time_wait; };
  const bool done = r.time.run_while([&] { return !(over(r.a) && over(r.b)); }, 600_s);
  EXPECT_TRUE(done) << "a " << r.a.only().rx.size() << " of " << s.bytes_ba << ", b " << r.b.only().rx.size()
                    << " of " << s.bytes_ab;
  EXPECT_TRUE(rig::received(r.b, cb, s.bytes_ab));
  EXPECT_TRUE(rig::received(r.a, ca, s.bytes_ba));
  EXPECT_TRUE(r.a.only().eof && r.b.only().eof);
  EXPECT_EQ(r.a.only().status, US_OK);
  EXPECT_EQ(r.b.only().status, US_OK);
  for (rig_end* e : {&r.a, &r.b}) {
    EXPECT_EQ(e->violations, 0u) << (e->what.empty() ? "" : e->what.front());
    EXPECT_GT(e->checked, (s.bytes_ab + s.bytes_ba) / 1460 / 4);
  }
  EXPECT_EQ(kicks > 0, s.failovers > 0);
  EXPECT_EQ(r.lost > 0, s.faults.loss > 0);
}

TEST(TcpStream, AClearWireDeliversBothStreamsWithoutRetransmission) {
  run({.seed = 1, .bytes_ab = 3'000'000, .bytes_ba = 1'000'000, .faults = {}});
}

TEST(TcpStream, LossDuplicationAndReorderingLeaveBothStreamsExact) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    run({.seed = seed,
         .bytes_ab = 200'000,
         .bytes_ba = 100'000,
         .faults = {.loss = 0.02, .duplicate = 0.02, .reorder = 0.1},
         .iss = static_cast<std::uint32_t>(seed * 0x9e3779b9u),
         .timestamps = seed % 2 == 0});
}

TEST(TcpStream, HeavyLossLeavesBothStreamsExact) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    run({.seed = seed,
         .bytes_ab = 30'000,
         .bytes_ba = 30'000,
         .faults = {.loss = 0.2, .duplicate = 0.1, .reorder = 0.3}});
}

TEST(TcpStream, CubicDeliversTheSame) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    run({.seed = seed,
         .bytes_ab = 200'000,
         .bytes_ba = 100'000,
         .faults = {.loss = 0.02, .duplicate = 0.02, .reorder = 0.1},
         .cubic = true});
}

TEST(TcpStream, SequenceNumbersWrapInsideTheStreams) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    run({.seed = seed,
         .bytes_ab = 300'000,
         .bytes_ba = 300'000,
         .faults = {.loss = 0.01, .duplicate = 0.01, .reorder = 0.05},
         .iss = 0xffffffffu - 100'000 - static_cast<std::uint32_t>(seed)});
}

TEST(TcpStream, UnprotectedConnectionsDeliverTheSame) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    run({.seed = seed,
         .bytes_ab = 150'000,
         .bytes_ba = 150'000,
         .faults = {.loss = 0.02, .reorder = 0.1},
         .bits = 0});
}

TEST(TcpStream, ASmallWindowDeliversTheSame) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    run({.seed = seed,
         .bytes_ab = 60'000,
         .bytes_ba = 60'000,
         .faults = {.loss = 0.02, .reorder = 0.1},
         .window = 4096});
}

TEST(TcpStream, AdaptersThatDieOnTheWayLeaveBothStreamsExact) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    run({.seed = seed,
         .bytes_ab = 1'200'000,
         .bytes_ba = 600'000,
         .faults = {.loss = seed % 2 ? 0.0 : 0.01, .duplicate = 0.01, .reorder = 0.05},
         .iss = static_cast<std::uint32_t>(seed * 0x9e3779b9u),
         .timestamps = seed % 3 != 0,
         .failovers = 3});
}

TEST(TcpStream, TheSameSeedGivesTheSameRun) {
  std::uint64_t segments[2];
  picos end[2];
  for (int k = 0; k < 2; ++k) {
    rig r(7);
    r.faults = {.loss = 0.05, .duplicate = 0.05, .reorder = 0.2};
    r.connect();
    r.a.post(r.a.newest, 200'000);
    ASSERT_TRUE(r.time.run_while([&] { return r.b.only().rx.size() < 200'000; }, 600_s));
    segments[k] = r.a.engine->counters().segments_out;
    end[k] = r.time.now;
  }
  EXPECT_EQ(segments[0], segments[1]);
  EXPECT_EQ(end[0], end[1]);
}

}  // namespace
}  // namespace understudy::tb
