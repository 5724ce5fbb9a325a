#include "model/pcie/iommu.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/pcie/flow_credits.h"
#include "model/pcie/host_cache.h"
#include "tb/report/percentile.h"

using namespace understudy;

namespace {

iommu_config small() {
  iommu_config c;
  c.on = true;
  c.entries = 2;
  c.walk = 100_ns;
  c.walkers = 1;
  return c;
}

TEST(iommu, off_it_admits_everything_at_once) {
  iommu m{iommu_config{}};
  EXPECT_TRUE(m.admit(0xdead'0000, 64, 5));
  EXPECT_EQ(m.translated(7, 0xdead'0000), 7u);
  EXPECT_EQ(m.counters().misses + m.counters().refused, 0u);
}

TEST(iommu, admits_the_pages_of_a_window_until_its_last_window_is_unmapped) {
  iommu m{small()};
  EXPECT_FALSE(m.admit(0x10000, 64, 0));
  m.map(0x10ff0, 32);  // two pages
  EXPECT_TRUE(m.admit(0x10000, 64, 0));
  EXPECT_TRUE(m.admit(0x10fe0, 0x40, 0));
  EXPECT_FALSE(m.admit(0x11fe0, 0x40, 0)) << "the page behind is nobody's";
  m.map(0x11000, 8);
  m.unmap(0x10ff0, 32);
  EXPECT_FALSE(m.admit(0x10000, 64, 0));
  EXPECT_TRUE(m.admit(0x11000, 64, 0));
  m.unmap(0x11000, 8);
  EXPECT_FALSE(m.admit(0x11000, 64, 0));
  EXPECT_EQ(m.counters().refused, 4u);
  EXPECT_EQ(m.counters().last_refused, 0x11000u);
}

TEST(iommu, a_revocation_refuses_what_is_translated_later_and_lets_the_rest_land) {
  iommu m{small()};
  m.map(0x1000, 4096);
  m.revoke(50);
  EXPECT_TRUE(m.admit(0x1000, 64, 50));
  EXPECT_FALSE(m.admit(0x1000, 64, 51));
  m.map(0x1000, 4096);
  EXPECT_FALSE(m.admit(0x1000, 64, 60)) << "for good";
  EXPECT_TRUE(m.admit_interrupt(50));
  EXPECT_FALSE(m.admit_interrupt(51));
}

TEST(iommu, permits_and_caches_whole_pages_of_every_size) {
  unsigned judged = 0;
  for (std::uint64_t page = 4096; page <= 1ull << 30; page *= 2, ++judged) {
    iommu_config c = small();
    c.page = static_cast<std::uint32_t>(page);
    iommu m{c};
    const std::uint64_t base = 8 * page;
    m.map(base + page / 2, 64);  // a few bytes give the page
    EXPECT_TRUE(m.admit(base, 64, 0)) << page;
    EXPECT_TRUE(m.admit(base + page - 64, 64, 0)) << page;
    EXPECT_FALSE(m.admit(base - 64, 64, 0)) << page;
    EXPECT_FALSE(m.admit(base + page, 64, 0)) << page;
    EXPECT_EQ(m.translated(0, base), c.walk) << page;
    EXPECT_EQ(m.translated(c.walk, base + page - 1), c.walk) << "one translation for the whole page";
    EXPECT_EQ(m.translated(c.walk, base + page), 2 * c.walk) << "another page";
    EXPECT_EQ(m.counters().misses, 2u);
    EXPECT_EQ(m.counters().hits, 1u);
  }
  EXPECT_EQ(judged, 19u);
}

TEST(iommu, a_translation_costs_a_walk_unless_it_was_used_lately) {
  iommu m{small()};
  m.map(0, 1 << 20);
  EXPECT_EQ(m.translated(0, 0x1000), 100_ns);
  EXPECT_EQ(m.translated(10, 0x1800), 100_ns) << "the walk for this page is under way";
  EXPECT_EQ(m.translated(150_ns, 0x1000), 150_ns);
  EXPECT_EQ(m.translated(200_ns, 0x2000), 300_ns);
  EXPECT_EQ(m.translated(200_ns, 0x3000), 400_ns) << "one walker: it waits; and page 1 makes room";
  EXPECT_EQ(m.translated(500_ns, 0x2000), 500_ns);
  EXPECT_EQ(m.translated(500_ns, 0x1000), 600_ns);
  EXPECT_EQ(m.counters().misses, 4u);
  EXPECT_EQ(m.counters().hits, 3u);
}

TEST(flow_credits, a_tlp_waits_until_its_header_and_data_credits_are_back) {
  flow_credits f(2, 8);
  EXPECT_EQ(flow_credits::data_credits(0), 0u);
  EXPECT_EQ(flow_credits::data_credits(17), 2u);
  EXPECT_EQ(f.available(10, 4), 10u);
  f.take(4, 100);
  EXPECT_EQ(f.available(11, 4), 11u);
  f.take(4, 200);
  EXPECT_EQ(f.available(12, 0), 100u) << "no header";
  f.take(0, 300);
  EXPECT_EQ(f.available(110, 5), 200u) << "no data";
  EXPECT_EQ(f.available(400, 99), 400u) << "more than there ever were: all of them";
  f.take(8, 500);
  f.reset();
  EXPECT_EQ(f.available(401, 8), 401u);
}

TEST(host_cache, a_read_takes_longer_from_a_core_and_from_memory_than_after_a_device_write) {
  host_cache_config c;
  c.bytes = 1 << 16;
  c.device_bytes = 1 << 12;
  c.core_snoop = 10_ns;
  c.miss = 60_ns;
  c.remote_node = 100_ns;
  host_cache h(c, 1, "test");
  EXPECT_EQ(h.read_extra(0x1000, 64), 160_ns);
  h.core_holds(0x1000, 64);
  EXPECT_EQ(h.read_extra(0x1000, 64), 110_ns);
  EXPECT_EQ(h.read_extra(0x1000, 128), 160_ns) << "the slowest line counts";
  h.device_wrote(0x1000, 64);
  EXPECT_EQ(h.read_extra(0x1000, 64), 0u) << "near, wherever its memory is";
  h.device_wrote(0x2000, 64);
  EXPECT_EQ(h.read_extra(0x1000, 64), 160_ns) << "device writes have their share of the cache alone";
  c.bytes = 0;
  EXPECT_EQ(host_cache(c, 1, "test").read_extra(0x1000, 64), 0u) << "no cache model";
}

TEST(host_cache, jitter_keeps_the_median_and_reaches_its_quantiles) {
  host_cache_config c;
  c.jitter_p95 = 20_ns;
  c.jitter_p999 = 200_ns;
  host_cache h(c, 7, "test");
  std::vector<picos> all;
  all.reserve(20000);
  for (int i = 0; i < 20000; ++i) all.push_back(h.read_extra(0, 64));
  EXPECT_LT(tb::percentile(all, 490), 1_ns);
  EXPECT_NEAR(static_cast<double>(tb::percentile(all, 950)), 20e3, 2e3);
  EXPECT_NEAR(static_cast<double>(tb::percentile(all, 999)), 200e3, 10e3);
}

}  // namespace
