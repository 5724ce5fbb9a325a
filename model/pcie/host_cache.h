// What a DMA read costs beyond its fixed latency, by where the host keeps the line: written by a device into
// the cache (direct cache access), held by a core's cache, or in memory, near or far. Times only, no data.
#pragma once
#include <cstdint>
#include <vector>

#include "model/core/rng.h"
#include "model/core/units.h"

namespace understudy {

struct host_cache_config {
  std::uint64_t bytes = 0;  // last-level cache; 0: every read takes the fixed latency alone
  std::uint64_t device_bytes = 2 * 1024 * 1024;  // share of it that device writes may fill
  bool written_by_cores =
      false;              // lines that nobody is known to have touched: in a core's cache, else memory
  picos core_snoop = 0;   // to fetch a line that a core's cache holds
  picos miss = 0;         // to fetch a line from memory
  picos remote_node = 0;  // one hop to the far node, for every line that no device write left near
  picos jitter_p95 = 0;   // 95th percentile above the median; 0 with jitter_p999 0: none
  picos jitter_p999 = 0;  // 99.9th percentile above the median, at least jitter_p95
};

// Lines of 64 bytes that DMA reads found, by place. All 0 without a cache.
struct host_cache_counters {
  std::uint64_t device_lines = 0;  // that a device had written, in the last-level cache
  std::uint64_t core_lines = 0;    // in a core's cache
  std::uint64_t memory_lines = 0;  // in memory
};

class host_cache {
 public:
  // `seed` and `name`: of the random stream behind the jitter.
  host_cache(const host_cache_config& config, std::uint64_t seed, std::string_view name);

  void device_wrote(std::uint64_t address, std::uint32_t bytes);
  // A core has written or read these bytes last.
  void core_holds(std::uint64_t address, std::uint64_t bytes);
  // Extra time of a read; its lines are fetched in parallel.
  picos read_extra(std::uint64_t address, std::uint32_t bytes);
  const host_cache_counters& counters() const { return count_; }

 private:
  // Direct mapped: a line's tag in the only place where it can be; 0: empty.
  using lines = std::vector<std::uint32_t>;
  static bool holds(const lines& l, std::uint64_t line);
  static void keep(lines& l, std::uint64_t line);
  picos jitter();

  host_cache_config config_;
  lines by_device_, by_core_;
  host_cache_counters count_;
  rng random_;
};

}  // namespace understudy
