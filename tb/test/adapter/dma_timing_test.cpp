// The same transfers through the C++ data path and through the Verilated one, in the engine as scenarios use
// it: how long they take, one by one and with many waiting.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "model/adapter/dma_engine.h"
#include "model/core/rng.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/protocol_checker.h"
#include "tb/report/percentile.h"

namespace understudy::tb {
namespace {

constexpr std::uint64_t seed = 1;
constexpr std::uint32_t places = 64, place_bytes = 16384;

struct registers : sc_core::sc_module {
  explicit registers(const sc_core::sc_module_name& n) : sc_module(n) {}
  tlm_utils::simple_target_socket<registers> mmio{"mmio"}, cfg{"cfg"};
};

enum class kind : std::uint8_t { read, write, both };

struct transfer {
  bool write = false;
  std::uint32_t from = 0;  // in host memory
  std::uint32_t lane = 0;  // of the frame
};

// One engine on a link of its own.
struct lane {
  lane(const std::string& name, bool rtl, const pcie_config& bus, std::uint32_t tags = dma_block_tags)
      : card((name + "_card").c_str()),
        port((name + "_port").c_str(), bus, memory, log, 0),
        checker((name + "_checker").c_str()),
        engine((name + "_engine").c_str(), data_path(rtl, tags)) {
    engine.socket.bind(checker.target);
    checker.initiator.bind(port.dma);
    port.mmio.bind(card.mmio);
    port.cfg.bind(card.cfg);
    engine.bus_master(true);
    host = memory.allocate(places * place_bytes, 4096);
    frame = frame_ref::make(place_bytes);
  }
  static dma_config data_path(bool rtl, std::uint32_t tags) {
    dma_config c;
    c.rtl = rtl;
    c.tags = tags;
    return c;
  }
  // `told` counts. Of a write: when it is proved to be in host memory.
  void begin(const transfer& t, std::uint32_t bytes, std::uint64_t& told) {
    const iova at{host.iova + t.from};
    if (t.write) {
      engine.write(at, frame, t.lane, bytes);
      engine.flush(at, [&told](bool ok) { told += ok; });
    } else {
      engine.read(at, bytes, frame.data() + t.lane, frame, [&told](bool ok) { told += ok; });
    }
  }

  event_log log;
  host_memory memory;
  registers card;
  pcie_port port;
  protocol_checker checker;
  dma_engine engine;
  host_memory::region host;
  frame_ref frame;
};

double run_until(const std::uint64_t& told, std::uint64_t n) {
  const picos start = now_ps();
  while (told < n) sc_core::sc_start(to_sc(500_ps));
  return static_cast<double>(now_ps() - start) / 1e3;
}

struct measured {
  double p50 = 0, p99 = 0;  // ns, one after the other
  double gbps = 0;          // with all waiting
};

measured measure(lane& l, const std::vector<transfer>& all, std::uint32_t bytes) {
  std::vector<double> ns;
  std::uint64_t told = 0;
  for (const transfer& t : all) {
    l.begin(t, bytes, told);
    ns.push_back(run_until(told, ns.size() + 1));
    sc_core::sc_start(to_sc(1_us));
  }
  told = 0;
  for (const transfer& t : all) {
    const iova to{l.host.iova + t.from};
    if (t.write) {
      l.engine.write(to, l.frame, t.lane, bytes);
      ++told;
    } else {
      l.engine.read(to, bytes, l.frame.data() + t.lane, l.frame, [&told](bool ok) { told += ok; });
    }
  }
  l.engine.flush(iova{l.host.iova}, [&told](bool ok) { told += ok; });
  const double time = run_until(told, all.size() + 1);
  return {tb::percentile(ns, 500), tb::percentile(ns, 990),
          8.0 * bytes * static_cast<double>(all.size()) / time};
}

class dma_timing : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(generation, dma_timing, testing::Values(3u, 5u));

TEST_P(dma_timing, of_the_engine_in_scenarios_is_that_of_the_rtl_in_its_place) {
  pcie_config bus;
  bus.link.generation = GetParam();
  bus.link.lanes = GetParam() == 3 ? 8 : 16;  // the second is faster than the data path
  bus.link.mps = 256;
  lane twin("twin", false, bus), rtl("rtl", true, bus);
  rng random(seed, "test/dma_timing");
  std::printf("%-6s %5s %-9s | %9s %9s %7s | %9s %9s %7s | %8s %8s %7s\n", "op", "bytes", "aligned",
              "rtl p50", "twin p50", "error", "rtl p99", "twin p99", "error", "rtl Gb/s", "twin", "error");
  double worst[3] = {};
  int rows = 0;
  for (const std::uint32_t bytes : {64u, 256u, 512u, 1514u, 4096u, 9000u})
    for (const bool aligned : {true, false})
      for (const kind k : {kind::read, kind::write, kind::both}) {
        std::vector<transfer> all;
        for (int i = 0; i < 200; ++i) {
          transfer t;
          t.write = k == kind::write || (k == kind::both && i % 2);
          t.from = static_cast<std::uint32_t>(random.below(places)) * place_bytes;
          if (!aligned) {
            t.from += 1 + static_cast<std::uint32_t>(random.below(4095));
            t.lane = 1 + static_cast<std::uint32_t>(random.below(63));
          }
          all.push_back(t);
        }
        const measured a = measure(rtl, all, bytes), b = measure(twin, all, bytes);
        const double e[] = {b.p50 / a.p50 - 1, b.p99 / a.p99 - 1, b.gbps / a.gbps - 1};
        const char* names[] = {"read", "write", "both"};
        std::printf("%-6s %5u %-9s | %9.1f %9.1f %6.2f%% | %9.1f %9.1f %6.2f%% | %8.2f %8.2f %6.2f%%\n",
                    names[static_cast<int>(k)], bytes, aligned ? "yes" : "no", a.p50, b.p50, 100 * e[0],
                    a.p99, b.p99, 100 * e[1], a.gbps, b.gbps, 100 * e[2]);
        for (int i = 0; i < 3; ++i) worst[i] = std::max(worst[i], std::abs(e[i]));
        EXPECT_LE(std::abs(e[0]), 0.05) << names[static_cast<int>(k)] << " " << bytes;
        EXPECT_LE(std::abs(e[1]), 0.05) << names[static_cast<int>(k)] << " " << bytes;
        EXPECT_LE(std::abs(e[2]), 0.02) << names[static_cast<int>(k)] << " " << bytes;
        ++rows;
      }
  std::printf("worst: p50 %.2f%%, p99 %.2f%%, throughput %.2f%%\n", 100 * worst[0], 100 * worst[1],
              100 * worst[2]);
  EXPECT_EQ(rows, 36);
  EXPECT_GT(rtl.engine.rtl_cycles(), 0u);
  EXPECT_EQ(twin.engine.rtl_cycles(), 0u);
  EXPECT_EQ(rtl.engine.counters().requests, twin.engine.counters().requests);
}

// What the Verilated block makes ahead of the link does not come between a read and a tag that is free again.
TEST(dma_share, of_reads_that_wait_for_tags_beside_many_writes_is_the_same) {
  pcie_config slow;
  slow.link.generation = 1;
  slow.link.lanes = 1;
  lane twin("twin", false, slow, 2), rtl("rtl", true, slow, 2);
  const auto measure_reads = [](lane& l) {
    constexpr std::uint64_t reads = 40;
    std::uint64_t told = 0;
    for (int i = 0; i < 1000; ++i) l.engine.write(iova{l.host.iova}, l.frame, 0, 256);
    for (std::uint64_t i = 0; i < reads; ++i) l.begin({.from = place_bytes}, 512, told);
    const double ns = run_until(told, reads);
    EXPECT_GT(l.engine.queued_write_bytes(), 256u * 100) << "there were writes all the time";
    return ns;
  };
  const double a = measure_reads(rtl), b = measure_reads(twin);
  std::printf("40 reads: rtl %.1f ns, twin %.1f ns\n", a, b);
  EXPECT_NEAR(a, b, 0.02 * a);
}

}  // namespace
}  // namespace understudy::tb
