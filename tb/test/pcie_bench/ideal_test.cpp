// The analytic convention, simulated: every TLP on the wire, against figures that others publish.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>

#include "tb/pcie_bench/bench.h"

namespace understudy::tb {
namespace {

link_parameters link_of(unsigned generation, unsigned lanes, std::uint32_t mps = 256) {
  link_parameters l;
  l.generation = generation;
  l.lanes = lanes;
  l.mps = mps;
  l.mrrs = std::max(512u, mps);
  return l;
}

struct printed {
  double value;  // as published, in Gb/s
  double unit;   // of its last digit
};

// Within 0.1 %, or half of the last printed digit where that is more.
bool agrees(double measured, printed p) {
  return std::abs(measured - p.value) <= std::max(p.value * 0.001, p.unit / 2);
}

double of(const bench& b, const char* test, std::uint32_t size) {
  for (const auto& r : b.results().bandwidth)
    if (r.test == test && r.size == size) return r.gbps;
  ADD_FAILURE() << test << " " << size << " was not measured";
  return 0;
}

// Writes of 4 KiB say what TLPs can use of a direction.
TEST(ideal_link, carries_tlps_at_the_published_rate_at_every_generation_width_and_payload) {
  struct row {
    unsigned generation, lanes;
    double mps128, mps256, mps512;
  };
  constexpr row table[] = {{1, 8, 12.14, 13.57, 12.98},    {2, 8, 27.58, 28.68, 28.18},
                           {3, 8, 56.67, 57.88, 57.31},    {3, 16, 111.70, 113.70, 114.62},
                           {4, 8, 113.33, 115.77, 114.62}, {4, 16, 223.40, 227.40, 229.25},
                           {5, 8, 226.66, 231.54, 229.25}, {5, 16, 446.80, 454.80, 458.49}};
  bench_plan plan;
  plan.bandwidth_sizes = {4096};
  plan.transfers = 400;
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const row& r : table)
    for (const std::uint32_t mps : {128u, 256u, 512u}) {
      made.push_back(std::make_unique<bench>(fmt::format("b{}", made.size()),
                                             ideal_bus(link_of(r.generation, r.lanes, mps)),
                                             card_parameters{}, plan));
      all.push_back(made.back().get());
    }
  bench::run(all);
  unsigned judged = 0;
  for (std::size_t i = 0; i < std::size(table); ++i) {
    const row& r = table[i];
    const double want[] = {r.mps128, r.mps256, r.mps512};
    for (unsigned m = 0; m < 3; ++m, ++judged) {
      const double mps = 128 << m;
      const double tlps = of(*made[3 * i + m], "BW_DMA_WR", 4096) * (mps + 24) / mps;
      EXPECT_TRUE(agrees(tlps, {want[m], 0.01}))
          << "gen " << r.generation << " x" << r.lanes << " MPS " << mps << ": " << tlps << ", " << want[m];
    }
  }
  EXPECT_EQ(judged, 24u);
}

TEST(ideal_link, has_the_published_bandwidth_of_every_size_and_direction) {
  struct row {
    std::uint32_t size;
    printed x8[3], gen3[3], gen4[3], gen5[3];  // writes, reads, both; x8 of generation 3, x16 of 3, 4, 5
  };
  constexpr double k = 0.001, c = 0.01, d = 0.1;
  constexpr row table[] = {{1,
                            {{2.315, k}, {2.412, k}, {1.181, k}},
                            {{4.548, k}, {4.738, k}, {2.320, k}},
                            {{9.096, k}, {9.475, k}, {4.641, k}},
                            {{18.19, c}, {18.95, c}, {9.28, c}}},
                           {16,
                            {{23.15, c}, {25.73, c}, {14.47, c}},
                            {{45.48, c}, {50.53, c}, {28.43, c}},
                            {{90.96, c}, {101.07, c}, {56.85, c}},
                            {{181.9, d}, {202.1, d}, {113.7, d}}},
                           {64,
                            {{42.10, c}, {44.10, c}, {33.08, c}},
                            {{82.69, c}, {86.63, c}, {64.97, c}},
                            {{165.4, d}, {173.3, d}, {129.9, d}},
                            {{330.8, d}, {346.5, d}, {259.9, d}}},
                           {65,
                            {{42.28, c}, {44.27, c}, {33.30, c}},
                            {{83.04, c}, {86.95, c}, {65.40, c}},
                            {{166.1, d}, {173.9, d}, {130.8, d}},
                            {{332.2, d}, {347.8, d}, {261.6, d}}},
                           {128,
                            {{48.75, c}, {50.06, c}, {42.10, c}},
                            {{95.75, c}, {98.34, c}, {82.69, c}},
                            {{191.5, d}, {196.7, d}, {165.4, d}},
                            {{383.0, d}, {393.3, d}, {330.8, d}}},
                           {256,
                            {{52.92, c}, {53.69, c}, {48.75, c}},
                            {{103.95, c}, {105.46, c}, {95.75, c}},
                            {{207.9, d}, {210.9, d}, {191.5, d}},
                            {{415.8, d}, {421.8, d}, {383.0, d}}},
                           {257,
                            {{48.78, c}, {50.09, c}, {45.22, c}},
                            {{95.81, c}, {98.39, c}, {88.82, c}},
                            {{191.6, d}, {196.8, d}, {177.6, d}},
                            {{383.2, d}, {393.5, d}, {355.3, d}}},
                           {512,
                            {{52.92, c}, {53.69, c}, {50.75, c}},
                            {{103.95, c}, {105.46, c}, {99.68, c}},
                            {{207.9, d}, {210.9, d}, {199.4, d}},
                            {{415.8, d}, {421.8, d}, {398.7, d}}},
                           {1500,
                            {{52.82, c}, {53.60, c}, {50.60, c}},
                            {{103.74, c}, {105.28, c}, {99.39, c}},
                            {{207.5, d}, {210.6, d}, {198.8, d}},
                            {{415.0, d}, {421.1, d}, {397.6, d}}},
                           {4096,
                            {{52.92, c}, {53.69, c}, {50.75, c}},
                            {{103.95, c}, {105.46, c}, {99.68, c}},
                            {{207.9, d}, {210.9, d}, {199.4, d}},
                            {{415.8, d}, {421.8, d}, {398.7, d}}}};
  std::vector<std::uint32_t> sizes;
  for (const row& r : table) sizes.push_back(r.size);
  bench_plan plan;
  plan.bandwidth_sizes = sizes;
  const struct { unsigned generation, lanes; } links[] = {{3, 8}, {3, 16}, {4, 16}, {5, 16}};
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const auto& l : links) {
    made.push_back(std::make_unique<bench>(
        fmt::format("b{}", made.size()), ideal_bus(link_of(l.generation, l.lanes)), card_parameters{}, plan));
    all.push_back(made.back().get());
  }
  bench::run(all);
  const char* tests[] = {"BW_DMA_WR", "BW_DMA_RD", "BW_DMA_RW"};
  unsigned judged = 0;
  double worst = 0;
  for (const row& r : table)
    for (unsigned t = 0; t < 3; ++t) {
      const printed want[] = {r.x8[t], r.gen3[t], r.gen4[t], r.gen5[t]};
      for (unsigned l = 0; l < 4; ++l, ++judged) {
        const double measured = of(*made[l], tests[t], r.size);
        worst = std::max(worst, std::abs(measured / want[l].value - 1));
        EXPECT_TRUE(agrees(measured, want[l]))
            << tests[t] << " " << r.size << " bytes, gen " << links[l].generation << " x" << links[l].lanes
            << ": " << measured << ", published " << want[l].value;
      }
    }
  EXPECT_EQ(judged, 120u);
  std::printf("worst of %u cells: %.3f %%\n", judged, worst * 100);
}

// The link as it is pads payloads and sends the DLLPs that its traffic causes.
TEST(ideal_link, differs_from_the_ordinary_link_by_padding_and_dllps) {
  bench_plan plan;
  plan.bandwidth_sizes = {64, 65, 256, 257, 4096};
  pcie_config ordinary;
  bench analytic("ideal", ideal_bus(ordinary.link), {}, plan), real("ordinary", ordinary, {}, plan);
  bench::run({&analytic, &real});
  std::printf("bytes   writes: ideal ordinary   both: ideal ordinary   Gb/s\n");
  for (const std::uint32_t size : plan.bandwidth_sizes) {
    const double iw = of(analytic, "BW_DMA_WR", size), ow = of(real, "BW_DMA_WR", size);
    const double ib = of(analytic, "BW_DMA_RW", size), ob = of(real, "BW_DMA_RW", size);
    std::printf("%5u %15.2f %8.2f %13.2f %8.2f\n", size, iw, ow, ib, ob);
    EXPECT_GT(ow, iw);
    EXPECT_LT(ow, iw * 1.10);
    EXPECT_GT(ob, ib);
    EXPECT_LT(ob, ib * 1.10);
  }
}

}  // namespace
}  // namespace understudy::tb
