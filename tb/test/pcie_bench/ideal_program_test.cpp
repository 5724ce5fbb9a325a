// `understudy pcie-bench --ideal`: what it writes for every link, payload, request size and completion
// boundary, against published figures and worked ones.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "tb/test/pcie_bench/published.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

using published::agrees;
using rates = std::map<std::pair<std::string, std::uint32_t>, double>;

// bandwidth.csv of a run with these options, by test and size.
rates bandwidth(const std::string& options) {
  const std::filesystem::path out = test_folder();
  std::filesystem::remove_all(out);
  const program_run r =
      shell(quoted(US_PROGRAM) + " pcie-bench --ideal " + options + " --out " + quoted(out.string()));
  EXPECT_EQ(r.status, 0) << options;
  const std::vector<std::string> lines = lines_of(out / "bandwidth.csv");
  EXPECT_FALSE(lines.empty()) << options;
  if (lines.empty()) return {};
  EXPECT_EQ(lines[0], "test,size,gbps");
  rates all;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t a = lines[i].find(','), b = lines[i].find(',', a + 1);
    all[{lines[i].substr(0, a), static_cast<std::uint32_t>(std::stoul(lines[i].substr(a + 1, b - a - 1)))}] =
        std::stod(lines[i].substr(b + 1));
  }
  return all;
}

TEST(ideal_program, writes_the_published_rate_of_every_link_and_payload) {
  unsigned judged = 0;
  for (const auto& l : published::links)
    for (unsigned m = 0; m < 3; ++m) {
      const unsigned mps = 128u << m;
      const rates r = bandwidth(
          fmt::format("--gen {} --lanes {} --mps {} --mrrs 512 --sizes 4096", l.generation, l.lanes, mps));
      ASSERT_EQ(r.size(), 3u);
      const double writes = 4096 + 24.0 * 4096 / mps, completions = 4096 + 20.0 * 4096 / mps,
                   requests = 24.0 * 8;
      const std::pair<const char*, double> wires[] = {
          {"BW_DMA_WR", writes}, {"BW_DMA_RD", completions}, {"BW_DMA_RW", writes + requests}};
      for (const auto& [test, bytes] : wires) {
        const double tlps = r.at({test, 4096}) * bytes / 4096;
        EXPECT_TRUE(agrees(tlps, {l.tlps[m], 0.01})) << test << " gen " << l.generation << " x" << l.lanes
                                                     << " MPS " << mps << ": " << tlps << ", " << l.tlps[m];
        ++judged;
      }
    }
  EXPECT_EQ(judged, 72u);
}

TEST(ideal_program, writes_the_published_bandwidth_of_every_size_and_direction) {
  std::string sizes;
  for (const auto& r : published::sizes) sizes += fmt::format("{}{}", sizes.empty() ? "" : ",", r.size);
  unsigned judged = 0;
  for (std::size_t l = 0; l < std::size(published::size_links); ++l) {
    const auto& link = published::size_links[l];
    const rates r = bandwidth(fmt::format("--gen {} --lanes {} --mps 256 --mrrs 512 --sizes {}",
                                          link.generation, link.lanes, sizes));
    ASSERT_EQ(r.size(), 30u);
    for (const auto& row : published::sizes)
      for (unsigned t = 0; t < 3; ++t, ++judged)
        EXPECT_TRUE(agrees(r.at({published::size_tests[t], row.size}), row.gbps[l][t]))
            << published::size_tests[t] << " " << row.size << ", link " << l << ": "
            << r.at({published::size_tests[t], row.size}) << ", " << row.gbps[l][t].value;
    if (l > 0) continue;
    for (const auto& row : published::sizes) {
      const double bits = 8.0 * row.size;
      EXPECT_TRUE(agrees(r.at({"BW_DMA_WR", row.size}) * 1e3 / bits, row.writes_m)) << row.size;
      EXPECT_TRUE(agrees(r.at({"BW_DMA_RD", row.size}) * 1e3 / bits, row.reads_m)) << row.size;
      judged += 2;
    }
  }
  EXPECT_EQ(judged, 120u + 20u);
}

TEST(ideal_program, chops_completions_at_the_boundary_that_is_asked_for) {
  std::string sizes;
  for (const auto& r : published::chopped) sizes += fmt::format("{}{}", sizes.empty() ? "" : ",", r.size);
  const std::string link = "--gen 3 --lanes 8 --mps 256 --mrrs 512 --sizes " + sizes;
  const rates whole = bandwidth(link), of64 = bandwidth(link + " --chop --rcb 64"),
              of128 = bandwidth(link + " --chop --rcb 128"), unchopped = bandwidth(link + " --rcb 128");
  for (const auto& r : published::chopped) {
    EXPECT_TRUE(agrees(of64.at({"BW_DMA_RD", r.size}), {r.gbps, 0.01})) << r.size;
    // 57.885 Gb/s for n bytes and a header of 20 at every 128.
    const double n = r.size, want = 57.885 * n / (n + 20 * std::ceil(n / 128));
    EXPECT_TRUE(agrees(of128.at({"BW_DMA_RD", r.size}), {want, 0.001})) << r.size;
    EXPECT_EQ(of64.at({"BW_DMA_WR", r.size}), whole.at({"BW_DMA_WR", r.size}))
        << "writes have no completions";
  }
  EXPECT_EQ(unchopped, whole) << "what begins at a page and ends at MPS has no use for RCB";
  EXPECT_LT(of64.at({"BW_DMA_RD", 4096}), of128.at({"BW_DMA_RD", 4096}));
  EXPECT_LT(of128.at({"BW_DMA_RD", 4096}), whole.at({"BW_DMA_RD", 4096}));
}

TEST(ideal_program, asks_for_reads_in_requests_of_MRRS) {
  // 4096 bytes each way, 57.885 Gb/s for TLPs: writes of 256 bytes in 280 and 24 bytes a request share the
  // way up; completions of 20 + min(256, MRRS) the way down.
  const struct {
    unsigned mrrs;
    double reads, both;
  } table[] = {{128, 50.061, 45.179},
               {256, 53.690, 48.745},
               {512, 53.690, 50.752},
               {1024, 53.690, 51.816},
               {4096, 53.690, 52.642}};
  for (const auto& r : table) {
    const rates got = bandwidth(fmt::format("--gen 3 --lanes 8 --mps 256 --mrrs {} --sizes 4096", r.mrrs));
    EXPECT_TRUE(agrees(got.at({"BW_DMA_RD", 4096}), {r.reads, 0.001})) << r.mrrs;
    EXPECT_TRUE(agrees(got.at({"BW_DMA_RW", 4096}), {r.both, 0.001})) << r.mrrs;
  }
}

TEST(ideal_program, takes_what_is_not_given_from_the_defaults) {
  EXPECT_EQ(bandwidth("--sizes 64,1500"),
            bandwidth("--gen 3 --lanes 8 --mps 256 --mrrs 512 --rcb 64 --sizes 64,1500"));
}

}  // namespace
}  // namespace understudy::tb
