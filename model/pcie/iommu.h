// One function's address translation in the root complex: which pages its DMA may touch, and what a
// translation costs. Bus addresses equal host addresses; what is modelled is permission and time.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/core/units.h"

namespace understudy {

// The defaults of entries, walk and walkers fit both IOMMU runs of the pcie-bench data set (Neugebauer et
// al., SIGCOMM 2018): bandwidth falls beyond 64 pages, latency rises by 250 to 310 ns, and 64-byte reads that
// all miss take 45 to 52 ns each.
struct iommu_config {
  bool on = false;
  std::uint32_t entries = 64;  // of the IOTLB, fully associative, least recently used goes; at least 1
  std::uint32_t page = 4096;   // bytes: a power of two, at least 4096
  picos walk = 290_ns;         // of the page table, for a translation that the IOTLB does not hold
  std::uint32_t walkers = 6;   // walks at the same time; at least 1
};

struct iommu_counters {
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t maps = 0, unmaps = 0;  // windows
  std::uint64_t refused = 0;           // requests outside of every window
  std::uint64_t last_refused = 0;      // address of the newest of them
  std::uint64_t invalidations = 0;     // of everything, with a drain
};

class iommu {
 public:
  explicit iommu(const iommu_config& config);

  // Let the function reach the pages that these bytes touch. A page that several windows touch stays
  // reachable until the last of them is unmapped.
  void map(std::uint64_t iova, std::uint64_t bytes);
  // Take back a window: the same numbers as for map().
  void unmap(std::uint64_t iova, std::uint64_t bytes);
  // Take back every window from `now` on, and all that is mapped later, for good.
  void revoke(picos now);

  // Whether a request may go through that had its translation at `translated`. Counts a refusal. Always true
  // while the IOMMU is off.
  bool admit(std::uint64_t iova, std::uint32_t bytes, picos translated);
  // The same of an interrupt message: refused by revoke() alone.
  bool admit_interrupt(picos translated);
  // When a request that arrives at `at` has its translation. The request crosses no page.
  picos translated(picos at, std::uint64_t iova);

  const iommu_config& config() const { return config_; }
  const iommu_counters& counters() const { return counters_; }

 private:
  struct entry {
    std::uint64_t page = ~std::uint64_t{0};
    picos ready = 0;
  };
  std::uint64_t page_of(std::uint64_t iova) const { return iova / config_.page; }
  void forget(std::uint64_t page);

  iommu_config config_;
  std::unordered_map<std::uint64_t, std::uint32_t> windows_;  // page -> windows that touch it; never iterated
  std::vector<entry> tlb_;                                    // most recently used first
  std::vector<picos> walker_free_;
  picos revoked_at_ = never;
  iommu_counters counters_;
};

}  // namespace understudy
