// rtl/dma_engine.sv against its twin: the same requests, payloads, reports and bytes over a matrix of size,
// alignment, back-pressure and completion order; and the twin's cycles against the RTL's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "model/core/rng.h"
#include "model/cosim/dma_compare.h"
#include "model/cosim/dma_unit.h"
#include "tb/report/percentile.h"

namespace understudy {
namespace {

// US_SEED, else 1.
const std::uint64_t seed = std::getenv("US_SEED") ? std::strtoull(std::getenv("US_SEED"), nullptr, 10) : 1;
constexpr std::uint64_t host = 0x1'2345'6000;

dma_workload surroundings(std::uint32_t data_bytes) {
  dma_workload w;
  w.seed = seed;
  w.data_bytes = data_bytes;
  return w;
}

// `n` transfers beside each other in packet memory, each at lane `local` there and at byte `offset` behind a
// multiple of 64 KiB in the host.
void add(dma_workload& w, dma_op op, int n, std::uint32_t bytes, std::uint32_t offset, std::uint32_t local) {
  for (int i = 0; i < n; ++i) {
    dma_descriptor d;
    d.op = op;
    d.id = static_cast<std::uint16_t>(w.descriptors.size());
    d.address = host + (std::uint64_t{d.id} << 16) + offset;
    d.length = bytes;
    const auto at = static_cast<std::uint32_t>(w.memory.size());
    d.local = at + local;
    w.memory.resize((at + local + bytes + 63) / 64 * 64);
    w.descriptors.push_back(d);
  }
}
void fill(dma_workload& w) {
  w.memory.resize(w.memory.size() + 128);
  rng random(w.seed, "test/dma_cosim/memory");
  for (auto& b : w.memory) b = static_cast<std::uint8_t>(1 + random.below(255));
}

struct traces {
  dma_trace rtl, twin;
};
traces both(const dma_workload& w) {
  return {run_dma_rtl(w), run_dma_block(w)};
}

class dma_block_cosim_test : public testing::TestWithParam<std::uint32_t> {
 protected:
  static void SetUpTestSuite() { std::printf("seed %llu\n", static_cast<unsigned long long>(seed)); }
};
INSTANTIATE_TEST_SUITE_P(width, dma_block_cosim_test, testing::Values(8, 16, 32, 64));

TEST_P(dma_block_cosim_test, every_alignment_of_both_ends_agrees) {
  std::size_t compared = 0;
  for (const dma_op op : {dma_op::write, dma_op::read})
    for (std::uint32_t local = 0; local < GetParam(); ++local) {
      dma_workload w = surroundings(GetParam());
      for (std::uint32_t offset = 0; offset < 64; offset += 3)
        for (const std::uint32_t bytes : {1u, 2u, 7u, 63u, 64u, 65u, 129u})
          add(w, op, 1, bytes, offset, local);
      for (std::uint32_t n = 1; n < 200; n += 13) add(w, op, 1, n, 4096 - n / 2, local);
      fill(w);
      const traces t = both(w);
      const auto different = compare_dma(t.rtl, t.twin);
      ASSERT_FALSE(different) << *different;
      compared += w.descriptors.size();
    }
  EXPECT_EQ(compared, 2u * GetParam() * (22 * 7 + 16));
}

// Each request lies in whole DWs of at most `limit` bytes and in one page (PCIe 2.2.7). How many begin inside
// a DW.
std::size_t expect_legal(const std::vector<dma_request>& requests, std::uint32_t limit) {
  std::size_t odd = 0;
  for (const dma_request& r : requests) {
    const std::uint64_t offset = r.address % 4;
    EXPECT_LE((offset + r.length + 3) / 4 * 4, limit) << std::hex << r.address;
    EXPECT_LE(r.address % 4096 + r.length, 4096u) << std::hex << r.address;
    odd += offset != 0 && r.op != dma_op::flush;
  }
  return odd;
}

// Everything at random but how fast reports are taken: always at once.
dma_workload mixture(rng& random, std::uint32_t data_bytes, std::uint64_t round) {
  dma_workload w = surroundings(data_bytes);
  w.seed = seed + round;
  w.mps = 128u << random.below(6);
  w.mrrs = 128u << random.below(6);
  w.tags = random.chance(0.3) ? 1 + static_cast<std::uint32_t>(random.below(8)) : 64;
  w.ram_latency = 1 + static_cast<std::uint32_t>(random.below(5));
  w.completion_bytes = random.chance(0.5) ? 64 : 256;
  w.order = static_cast<dma_order>(random.below(3));
  w.fail_one_in = random.chance(0.3) ? 4 : 0;
  for (const dma_port p : {dma_port::tx, dma_port::ram_read, dma_port::ram_write})
    w.ready_percent[static_cast<unsigned>(p)] =
        random.chance(0.5) ? 100 : 10 + static_cast<std::uint32_t>(random.below(90));
  for (int i = 0; i < 60; ++i) {
    const auto kind = random.below(10);
    const auto bytes = static_cast<std::uint32_t>(1 + random.below(random.chance(0.2) ? 5000 : 300));
    add(w,
        kind < 4   ? dma_op::write
        : kind < 9 ? dma_op::read
                   : dma_op::flush,
        1, bytes, static_cast<std::uint32_t>(random.below(8192)),
        static_cast<std::uint32_t>(random.below(64)));
    dma_descriptor& d = w.descriptors.back();
    if (random.chance(0.1)) d.no_fragment = true;
    if (d.op != dma_op::flush && random.chance(0.05)) d.length = random.chance(0.5) ? 0 : (1u << 20) + 1;
    if (d.op != dma_op::flush && random.chance(0.03)) d.address = ~std::uint64_t{0} - d.length / 2;
  }
  fill(w);
  return w;
}

TEST_P(dma_block_cosim_test, random_mixtures_agree) {
  rng random(seed, "test/dma_cosim/mixtures");
  std::size_t failed = 0, refused = 0, flushes = 0, odd = 0;
  for (std::uint64_t round = 0; round < 60; ++round) {
    const dma_workload w = mixture(random, GetParam(), round);
    const traces t = both(w);
    const auto different = compare_dma(t.rtl, t.twin);
    ASSERT_FALSE(different) << "round " << round << ": " << *different;
    odd += expect_legal(t.rtl.writes, w.mps) + expect_legal(t.rtl.reads, w.mrrs);
    for (const dma_descriptor& d : w.descriptors) flushes += d.op == dma_op::flush;
    for (const dma_outcome& o : t.rtl.outcomes) {
      failed += o.status == dma_status::failed;
      refused += o.status == dma_status::bad_descriptor || o.status == dma_status::not_atomic;
    }
  }
  std::printf("%zu failed, %zu refused, %zu flushes\n", failed, refused, flushes);
  EXPECT_GT(odd, 500u) << "requests at addresses that are no multiple of 4";
  EXPECT_GT(failed, 50u);
  EXPECT_GT(refused, 100u);
  EXPECT_GT(flushes, 100u);
}

// In the order of addresses, without cycles and tags.
std::vector<dma_request> moved(std::vector<dma_request> requests) {
  std::sort(requests.begin(), requests.end(), [](const dma_request& a, const dma_request& b) {
    return std::tie(a.address, a.op) < std::tie(b.address, b.op);
  });
  for (dma_request& r : requests) r.cycle = r.tag = 0;
  return requests;
}

// Waiting reports hold up intake, requests and completions at last, which the twin does not follow.
TEST_P(dma_block_cosim_test, reports_that_wait_change_cycles_and_nothing_that_is_moved) {
  rng random(seed, "test/dma_cosim/reports");
  std::size_t later = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    dma_workload w = mixture(random, GetParam(), round);
    w.ready_percent[static_cast<unsigned>(dma_port::done)] = 2 + static_cast<std::uint32_t>(random.below(6));
    const traces t = both(w);
    SCOPED_TRACE(round);
    ASSERT_EQ(t.rtl.memory, t.twin.memory);
    for (const auto kind : {&dma_trace::writes, &dma_trace::reads}) {
      const std::vector<dma_request> rtl = moved(t.rtl.*kind), twin = moved(t.twin.*kind);
      ASSERT_EQ(rtl.size(), twin.size());
      for (std::size_t i = 0; i < rtl.size(); ++i) {
        ASSERT_EQ(rtl[i].address, twin[i].address);
        ASSERT_EQ(rtl[i].length, twin[i].length);
        ASSERT_EQ(rtl[i].payload, twin[i].payload);
      }
    }
    later += t.rtl.outcomes.back().accepted > t.twin.outcomes.back().accepted;
    for (std::size_t i = 0; i < w.descriptors.size(); ++i) {
      ASSERT_EQ(t.rtl.outcomes[i].status, t.twin.outcomes[i].status) << i;
      ASSERT_EQ(t.rtl.outcomes[i].bytes, t.twin.outcomes[i].bytes) << i;
    }
  }
  std::printf("%zu of 40 take the last descriptor later than the twin says\n", later);
  EXPECT_GT(later, 0u) << "reports have waited";
}

TEST_P(dma_block_cosim_test, read_arrives_as_the_host_has_it_and_nothing_beside_it_changes) {
  dma_workload w = surroundings(GetParam());
  w.order = dma_order::random;
  add(w, dma_op::read, 40, 1000, 0xf83, 5);
  fill(w);
  const dma_trace t = run_dma_rtl(w);
  std::vector<std::uint8_t> want = w.memory;
  for (const dma_descriptor& d : w.descriptors)
    for (std::uint32_t i = 0; i < d.length; ++i) want[d.local + i] = dma_host_byte(w, d.address + i);
  EXPECT_EQ(t.memory, want);
  // 125 bytes to the end of the page, 512 and 363.
  EXPECT_EQ(t.reads.size(), 40u * 3);
  EXPECT_EQ(t.reads[0].length, 125u);
}

TEST_P(dma_block_cosim_test, flush_stays_behind_the_writes_before_it) {
  dma_workload w = surroundings(GetParam());
  add(w, dma_op::write, 2, 700, 11, 3);
  add(w, dma_op::flush, 1, 1, 0, 0);
  add(w, dma_op::write, 1, 64, 0, 0);
  fill(w);
  const dma_trace t = run_dma_rtl(w);
  ASSERT_EQ(t.writes.size(), 3u + 3 + 1 + 1);
  EXPECT_EQ(t.writes[6].op, dma_op::flush);
  EXPECT_EQ(t.writes[6].length, 0u);
  EXPECT_GT(t.outcomes[2].reported, t.writes[6].cycle);
}

TEST_P(dma_block_cosim_test, failed_request_is_reported_with_the_bytes_that_are_there) {
  dma_workload w = surroundings(GetParam());
  w.fail_one_in = 1;
  add(w, dma_op::read, 3, 1024, 0, 1);  // two requests; of each the first completion of 256 bytes succeeds
  fill(w);
  const dma_trace t = run_dma_rtl(w);
  for (const dma_outcome& o : t.outcomes) {
    EXPECT_EQ(o.status, dma_status::failed);
    EXPECT_EQ(o.bytes, 512u);
  }
}

TEST_P(dma_block_cosim_test, a_range_that_cannot_be_atomic_is_refused_and_moves_nothing_bad) {
  dma_workload w = surroundings(GetParam());
  const std::uint32_t cases[][3] = {{0, 64, 0}, {64, 1, 0},  {0, 65, 1},
                                    {1, 8, 1},  {32, 32, 1}, {4032, 65, 1}};
  for (const auto& c : cases) {
    add(w, dma_op::write, 1, c[1], c[0], 0);
    w.descriptors.back().no_fragment = true;
  }
  fill(w);
  const dma_trace t = run_dma_rtl(w);
  ASSERT_EQ(t.writes.size(), 2u);
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(t.outcomes[i].status, cases[i][2] ? dma_status::not_atomic : dma_status::ok) << i;
    EXPECT_EQ(t.outcomes[i].bytes, cases[i][2] ? 0 : cases[i][1]) << i;
  }
}

TEST(dma_unit_bad, width_or_number_of_tags_that_no_block_has_is_refused) {
  for (const std::uint32_t tags : {0u, dma_unit::max_tags + 1, 256u})
    EXPECT_THROW(make_dma_rtl({256, 512, tags}), std::invalid_argument) << tags;
  for (const std::uint32_t width : {0u, 4u, 24u, 128u})
    EXPECT_THROW(make_dma_rtl({}, width), std::invalid_argument) << width;
}

TEST_P(dma_block_cosim_test, corrupted_output_is_caught_wherever_it_is_bad) {
  dma_workload w = surroundings(GetParam());
  add(w, dma_op::write, 4, 500, 9, 3);
  add(w, dma_op::read, 4, 1500, 9, 3);  // three requests each
  add(w, dma_op::flush, 1, 1, 0, 0);
  fill(w);
  const dma_trace twin = run_dma_block(w);
  EXPECT_FALSE(compare_dma(run_dma_rtl(w), twin));
  using place = dma_corruption::place;
  for (const place p : {place::operation, place::address, place::length, place::tag, place::payload,
                        place::packet_memory, place::strobe, place::report, place::status})
    for (const std::uint64_t nth : {0, 1, 5}) {
      const auto different = compare_dma(run_dma_rtl(w, {p, nth}), twin);
      ASSERT_TRUE(different) << static_cast<int>(p) << " " << nth;
      EXPECT_NE(different->find("cycle"), std::string::npos) << *different;
    }
}

// Throughput with descriptors as fast as they are taken; latency with them apart, so that it is not the time
// in a queue.
TEST_P(dma_block_cosim_test, cycles_of_the_twin_are_those_of_the_rtl) {
  struct pressure {
    const char* name;
    std::uint32_t percent[4];
  };
  const pressure pressures[] = {{"none", {100, 100, 100, 100}},
                                {"link 70%", {70, 100, 100, 100}},
                                {"memory 60%", {100, 60, 60, 100}},
                                {"all 50%", {50, 50, 50, 50}}};
  const char* orders[] = {"in order", "reversed", "random"};
  std::printf("%-6s %5s %-9s %-10s %-9s | %9s %9s %7s | %8s %8s %8s %8s\n", "op", "bytes", "aligned",
              "pressure", "order", "rtl cyc", "twin cyc", "error", "rtl p50", "twin p50", "rtl p99",
              "twin p99");
  double worst = 0, worst_p50 = 0, worst_p99 = 0;
  int rows = 0;
  const auto cell = [&](const char* name, const std::vector<dma_op>& ops, std::uint32_t bytes, bool aligned,
                        const pressure& p, dma_order order) {
    dma_workload w = surroundings(GetParam());
    w.order = order;
    std::copy(std::begin(p.percent), std::end(p.percent), w.ready_percent);
    const int n = bytes > 2000 ? 40 : 100;
    for (int i = 0; i < n; ++i)
      add(w, ops[static_cast<std::size_t>(i) % ops.size()], 1, bytes, aligned ? 0 : 0xf9d, aligned ? 0 : 3);
    fill(w);
    traces t = both(w);
    auto different = compare_dma(t.rtl, t.twin);
    ASSERT_FALSE(different) << *different;
    const double error = static_cast<double>(t.twin.cycles) / static_cast<double>(t.rtl.cycles) - 1;
    const std::uint64_t cycles[] = {t.rtl.cycles, t.twin.cycles};
    w.descriptor_gap = 4 * (bytes / GetParam() + 8);
    t = both(w);
    std::vector<double> rtl, twin;
    for (std::size_t i = 0; i < w.descriptors.size(); ++i) {
      rtl.push_back(static_cast<double>(t.rtl.outcomes[i].reported - t.rtl.outcomes[i].accepted));
      twin.push_back(static_cast<double>(t.twin.outcomes[i].reported - t.twin.outcomes[i].accepted));
    }
    const double e50 = tb::percentile(twin, 500) / tb::percentile(rtl, 500) - 1,
                 e99 = tb::percentile(twin, 990) / tb::percentile(rtl, 990) - 1;
    std::printf("%-6s %5u %-9s %-10s %-9s | %9llu %9llu %6.2f%% | %8.0f %8.0f %8.0f %8.0f\n", name, bytes,
                aligned ? "yes" : "no", p.name, orders[static_cast<int>(order)],
                static_cast<unsigned long long>(cycles[0]), static_cast<unsigned long long>(cycles[1]),
                100 * error, tb::percentile(rtl, 500), tb::percentile(twin, 500), tb::percentile(rtl, 990),
                tb::percentile(twin, 990));
    EXPECT_LE(std::abs(error), 0.02);
    EXPECT_LE(std::abs(e50), 0.05);
    EXPECT_LE(std::abs(e99), 0.05);
    worst = std::max(worst, std::abs(error));
    worst_p50 = std::max(worst_p50, std::abs(e50));
    worst_p99 = std::max(worst_p99, std::abs(e99));
    ++rows;
  };
  // The default width in full.
  const std::vector<std::uint32_t> sizes = GetParam() == 32
                                               ? std::vector<std::uint32_t>{1, 64, 256, 1514, 4096, 9000}
                                               : std::vector<std::uint32_t>{64, 1514};
  for (const std::uint32_t bytes : sizes)
    for (const bool aligned : {true, false})
      for (const pressure& p : pressures) {
        cell("write", {dma_op::write}, bytes, aligned, p, dma_order::in_order);
        for (const dma_order order : {dma_order::in_order, dma_order::reversed, dma_order::random}) {
          cell("read", {dma_op::read}, bytes, aligned, p, order);
          cell("both", {dma_op::write, dma_op::read}, bytes, aligned, p, order);
        }
      }
  std::printf("%d rows, worst error: throughput %.2f%%, latency p50 %.2f%%, p99 %.2f%%\n", rows, 100 * worst,
              100 * worst_p50, 100 * worst_p99);
  EXPECT_EQ(rows, static_cast<int>(sizes.size()) * 2 * 4 * 7);
}

}  // namespace
}  // namespace understudy
