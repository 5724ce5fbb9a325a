// The analytic convention, simulated: every TLP on the wire, against figures that others publish.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>

#include "tb/pcie_bench/bench.h"
#include "tb/test/pcie_bench/published.h"

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

using published::agrees;

double of(const bench& b, const char* test, std::uint32_t size) {
  for (const auto& r : b.results().bandwidth)
    if (r.test == test && r.size == size) return r.gbps;
  ADD_FAILURE() << test << " " << size << " was not measured";
  return 0;
}

// Writes of 4 KiB say what TLPs can use of a direction.
TEST(ideal_link, carries_tlps_at_the_published_rate_at_every_generation_width_and_payload) {
  bench_plan plan;
  plan.bandwidth_sizes = {4096};
  plan.transfers = 400;
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const auto& r : published::links)
    for (const std::uint32_t mps : {128u, 256u, 512u}) {
      made.push_back(std::make_unique<bench>(fmt::format("b{}", made.size()),
                                             ideal_bus(link_of(r.generation, r.lanes, mps)),
                                             card_parameters{}, plan));
      all.push_back(made.back().get());
    }
  bench::run(all);
  unsigned judged = 0;
  for (std::size_t i = 0; i < std::size(published::links); ++i) {
    const auto& r = published::links[i];
    EXPECT_TRUE(agrees(raw_rate(link_of(r.generation, r.lanes)) / 1e9, {r.raw, 0.001})) << r.raw;
    for (unsigned m = 0; m < 3; ++m, ++judged) {
      const double mps = 128 << m;
      const double tlps = of(*made[3 * i + m], "BW_DMA_WR", 4096) * (mps + 24) / mps;
      EXPECT_TRUE(agrees(tlps, {r.tlps[m], 0.01}))
          << "gen " << r.generation << " x" << r.lanes << " MPS " << mps << ": " << tlps << ", " << r.tlps[m];
    }
  }
  EXPECT_EQ(judged, 24u);
}

TEST(ideal_link, has_the_published_bandwidth_of_every_size_and_direction) {
  std::vector<std::uint32_t> sizes;
  for (const auto& r : published::sizes) sizes.push_back(r.size);
  bench_plan plan;
  plan.bandwidth_sizes = sizes;
  std::vector<std::unique_ptr<bench>> made;
  std::vector<bench*> all;
  for (const auto& l : published::size_links) {
    made.push_back(std::make_unique<bench>(
        fmt::format("b{}", made.size()), ideal_bus(link_of(l.generation, l.lanes)), card_parameters{}, plan));
    all.push_back(made.back().get());
  }
  bench::run(all);
  unsigned judged = 0;
  double worst = 0;
  for (const auto& r : published::sizes)
    for (unsigned t = 0; t < 3; ++t)
      for (unsigned l = 0; l < 4; ++l, ++judged) {
        const char* test = published::size_tests[t];
        const double measured = of(*made[l], test, r.size), want = r.gbps[l][t].value;
        worst = std::max(worst, std::abs(measured / want - 1));
        EXPECT_TRUE(agrees(measured, r.gbps[l][t]))
            << test << " " << r.size << " bytes, link " << l << ": " << measured << ", published " << want;
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
