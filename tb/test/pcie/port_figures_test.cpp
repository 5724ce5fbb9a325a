// Figures of a port that its parameters promise: bandwidth of each link, and what a read takes by where the
// host keeps the line.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <vector>

#include "tb/test/pcie/card.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

// ---------------------------------------------------------------- bandwidth

// DLLPs that `tlp_bytes` cause in the other direction: an ACK and an UpdateFC, 16 bytes, at the longest
// interval that the specification allows (PCIe 3.5.3.1).
double dllp_bytes(const link_parameters& l, double tlp_bytes) {
  return 16 * tlp_bytes / (static_cast<double>(ack_limit(l)) * l.lanes);
}

// Gb/s of a direction that carries `bytes` on the wire for `payload`.
double rate_of(const link_parameters& l, double payload, double bytes) {
  return raw_rate(l) * skp_share() * payload / bytes / 1e9;
}

class port_bandwidth : public testing::TestWithParam<std::tuple<unsigned, unsigned, std::uint32_t, bool>> {
 protected:
  static constexpr double tolerance = 0.005;  // of the closed form: rounding to picoseconds, first and last
  static constexpr unsigned n = 600;
  static constexpr std::uint32_t offset = 0x60, bytes = 512;  // unaligned to either RCB

  static pcie_config config() {
    const auto& [generation, lanes, rcb, chops] = GetParam();
    pcie_config c;
    c.link.generation = generation;
    c.link.lanes = lanes;
    c.link.rcb = rcb;
    c.link.completer_chops = chops;
    c.credits.nonposted_headers = n;  // the link alone limits
    c.replay_buffer = 1024 * 1024;
    return c;
  }
  // Reads and writes are there as fast as the link takes them; gigabits a second of either.
  struct rates {
    double read = 0, write = 0;
  };
  static rates measure(bench& b, bool reads, bool writes) {
    const auto m = b.memory.allocate(1 << 20, 4096);
    b.run(0);
    std::vector<card::operation*> all;
    for (unsigned i = 0; i < n; ++i) {
      const std::uint64_t at = m.iova + i % 16 * 4096;
      if (reads) all.push_back(&b.device.read(at + offset, bytes));
      if (!writes) continue;
      b.device.fill(at, 1, 256);
      b.device.fill(at + 256, 1, 256);
      if (reads && b.device.link_free > now_ps()) b.run(b.device.link_free - now_ps());
    }
    const picos left = b.device.link_free;
    b.run(left + 5_ms);  // 600 reads of a Gen1 lane take 1.5 ms
    rates r;
    if (writes) r.write = n * 512 * 8e3 / static_cast<double>(left);
    if (reads)
      r.read = (n - 1) * bytes * 8e3 / static_cast<double>(all.back()->answered - all.front()->answered);
    return r;
  }
  static std::uint64_t completions(const link_parameters& l) { return completion_count(l, offset, bytes); }
};

TEST_P(port_bandwidth, of_writes_is_the_links_rate_less_headers) {
  const pcie_config c = config();
  bench b(c);
  const double want = rate_of(c.link, 256, 280);
  const double got = measure(b, false, true).write;
  std::printf("%.3f Gb/s of %.3f\n", got, want);
  EXPECT_NEAR(got, want, want * tolerance);
}

// By the direction that is busier: completions, with the DLLPs that the requests cause.
TEST_P(port_bandwidth, of_reads_is_the_links_rate_less_headers_of_completions_and_dllps) {
  const pcie_config c = config();
  bench b(c);
  const double down = bytes + 20.0 * static_cast<double>(completions(c.link));
  const double want = rate_of(c.link, bytes, down + dllp_bytes(c.link, 24));
  const double got = measure(b, true, false).read;
  std::printf("%.3f Gb/s of %.3f, %llu completions a read\n", got, want,
              static_cast<unsigned long long>(completions(c.link)));
  EXPECT_NEAR(got, want, want * tolerance);
  EXPECT_EQ(b.port.counters().tlps_down, n * completions(c.link));
}

// A read and as many bytes written: upwards go the writes, the requests and the DLLPs for the completions.
TEST_P(port_bandwidth, of_writes_beside_reads_pays_for_requests_and_dllps) {
  const pcie_config c = config();
  bench b(c);
  const double down = bytes + 20.0 * static_cast<double>(completions(c.link));
  const double up = 2 * 280 + 24;
  // The busier direction sets the pace; the other one's DLLPs wait for a TLP or for a pause.
  const double want = rate_of(c.link, 512, up + dllp_bytes(c.link, std::min(down, up)));
  const double got = measure(b, true, true).write;
  std::printf("%.3f Gb/s of %.3f\n", got, want);
  EXPECT_NEAR(got, want, want * 2 * tolerance);
}

INSTANTIATE_TEST_SUITE_P(of, port_bandwidth,
                         testing::Combine(testing::Values(1u, 3u, 5u), testing::Values(1u, 2u, 4u, 8u, 16u),
                                          testing::Values(64u, 128u), testing::Values(false)));
INSTANTIATE_TEST_SUITE_P(of_chopping, port_bandwidth,
                         testing::Combine(testing::Values(2u, 4u), testing::Values(2u, 8u, 16u),
                                          testing::Values(64u, 128u), testing::Values(true)));

// ---------------------------------------------------------------- where the line is

pcie_config with_cache() {
  pcie_config c;
  c.cache.bytes = 8 * 1024 * 1024;
  c.cache.core_snoop = 27_ns;
  c.cache.miss = 80_ns;
  return c;
}

// How long a read of 64 bytes takes that nothing else is on the link with.
picos alone(bench& b, std::uint64_t at) {
  const picos start = now_ps();
  b.device.link_free = start;
  auto& r = b.device.read(at, 64);
  b.run(5_us);
  EXPECT_EQ(r.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  return r.answered - start;
}

// A line in each place; what a read of it takes beyond one that the device has just written.
struct places {
  picos core, cold;
};
places beyond_warm(bench& b) {
  const auto m = b.memory.allocate(8192, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 64);  // direct cache access leaves it in the cache
  b.run(5_us);
  b.port.cache().core_holds(m.iova + 64, 64);
  const picos warm = alone(b, m.iova);
  EXPECT_EQ(warm, b.wire(24) + b.wire(84) + 2 * b.port.config().propagation + b.port.config().read_latency);
  const places p{alone(b, m.iova + 64) - warm, alone(b, m.iova + 4096) - warm};
  EXPECT_EQ(alone(b, m.iova), warm) << "a read leaves a line where it is";
  b.device.fill(m.iova + 4096, 1, 64);
  b.run(5_us);
  EXPECT_EQ(alone(b, m.iova + 4096), warm) << "the cold line, once the device has written it";
  return p;
}

TEST(port_cache, lets_a_read_of_a_cold_line_take_longer_than_of_a_warm_one_by_the_configured_figures) {
  bench b(with_cache());
  const places p = beyond_warm(b);
  EXPECT_EQ(p.core, 27_ns);
  EXPECT_EQ(p.cold, 80_ns);
}

// The hop is paid for what lies in the far node; what the device wrote lies in the near cache.
TEST(port_cache, adds_the_hop_to_a_remote_node_and_spares_what_the_device_wrote) {
  pcie_config c = with_cache();
  c.cache.remote_node = 106_ns;
  bench b(c);
  const places p = beyond_warm(b);
  EXPECT_EQ(p.core, 27_ns + 106_ns);
  EXPECT_EQ(p.cold, 80_ns + 106_ns);
}

TEST(port_cache, that_is_off_makes_no_difference) {
  bench b;
  const places p = beyond_warm(b);
  EXPECT_EQ(p.core, 0u);
  EXPECT_EQ(p.cold, 0u);
}

// One cold line among warm ones is waited for once, and the lines of a read are fetched in parallel.
TEST(port_cache, makes_a_read_wait_for_its_slowest_line) {
  bench b(with_cache());
  const auto m = b.memory.allocate(8192, 4096);
  b.run(0);
  const auto read_256 = [&](std::uint64_t at) {
    const picos start = now_ps();
    b.device.link_free = start;
    auto& r = b.device.read(at, 256);
    b.run(5_us);
    return r.answered - start;
  };
  b.device.fill(m.iova, 1, 256);
  b.device.fill(m.iova + 1024, 1, 192);
  b.run(5_us);
  const picos warm = read_256(m.iova);
  EXPECT_EQ(read_256(m.iova + 1024) - warm, 80_ns) << "its last line is cold";
  EXPECT_EQ(read_256(m.iova + 4096) - warm, 80_ns) << "all four are";
}

}  // namespace
