#include "model/pcie/iommu.h"

#include <algorithm>

namespace understudy {

iommu::iommu(const iommu_config& config)
    : config_(config), tlb_(config.on ? config.entries : 0), walker_free_(config.walkers, 0) {}

void iommu::map(std::uint64_t iova, std::uint64_t bytes) {
  if (!config_.on || bytes == 0) return;
  ++counters_.maps;
  for (std::uint64_t p = page_of(iova); p <= page_of(iova + bytes - 1); ++p) ++windows_[p];
}

void iommu::unmap(std::uint64_t iova, std::uint64_t bytes) {
  if (!config_.on || bytes == 0) return;
  ++counters_.unmaps;
  for (std::uint64_t p = page_of(iova); p <= page_of(iova + bytes - 1); ++p) {
    const auto found = windows_.find(p);
    if (found == windows_.end() || --found->second > 0) continue;
    windows_.erase(found);
    forget(p);
  }
}

void iommu::revoke(picos now) {
  if (!config_.on) return;
  revoked_at_ = std::min(revoked_at_, now);
  ++counters_.invalidations;
  std::fill(tlb_.begin(), tlb_.end(), entry{});
}

void iommu::forget(std::uint64_t page) {
  for (entry& e : tlb_)
    if (e.page == page) e = {};
}

bool iommu::admit(std::uint64_t iova, std::uint32_t bytes, picos translated) {
  if (!config_.on) return true;
  bool inside = translated <= revoked_at_ && bytes > 0;
  for (std::uint64_t p = page_of(iova); inside && p <= page_of(iova + bytes - 1); ++p)
    inside = windows_.contains(p);
  if (inside) return true;
  ++counters_.refused;
  counters_.last_refused = iova;
  return false;
}

bool iommu::admit_interrupt(picos translated) {
  if (translated <= revoked_at_) return true;
  ++counters_.refused;
  return false;
}

picos iommu::translated(picos at, std::uint64_t iova) {
  if (!config_.on) return at;
  const std::uint64_t page = page_of(iova);
  auto found = std::find_if(tlb_.begin(), tlb_.end(), [&](const entry& e) { return e.page == page; });
  if (found != tlb_.end()) {
    ++counters_.hits;
  } else {
    ++counters_.misses;
    const auto walker = std::min_element(walker_free_.begin(), walker_free_.end());
    *walker = std::max(at, *walker) + config_.walk;
    found = std::prev(tlb_.end());
    *found = {page, *walker};
  }
  std::rotate(tlb_.begin(), found, std::next(found));
  return std::max(at, tlb_.front().ready);
}

}  // namespace understudy
