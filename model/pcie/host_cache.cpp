#include "model/pcie/host_cache.h"

#include <algorithm>

namespace understudy {

namespace {
constexpr std::uint64_t line_bytes = 64;

std::uint32_t tag(std::uint64_t line, std::size_t places) {
  return static_cast<std::uint32_t>(line / places) + 1;
}
}  // namespace

host_cache::host_cache(const host_cache_config& config, std::uint64_t seed, std::string_view name)
    : config_(config), random_(seed, name) {
  if (config.bytes == 0) return;
  by_core_.resize(std::max<std::uint64_t>(1, config.bytes / line_bytes));
  by_device_.resize(std::max<std::uint64_t>(1, config.device_bytes / line_bytes));
}

bool host_cache::holds(const lines& l, std::uint64_t line) {
  return l[line % l.size()] == tag(line, l.size());
}

void host_cache::keep(lines& l, std::uint64_t line) {
  l[line % l.size()] = tag(line, l.size());
}

void host_cache::device_wrote(std::uint64_t address, std::uint32_t bytes) {
  if (config_.bytes == 0 || bytes == 0) return;
  for (std::uint64_t l = address / line_bytes; l <= (address + bytes - 1) / line_bytes; ++l) {
    keep(by_device_, l);
    if (holds(by_core_, l)) by_core_[l % by_core_.size()] = 0;
  }
}

void host_cache::core_holds(std::uint64_t address, std::uint64_t bytes) {
  if (config_.bytes == 0 || bytes == 0) return;
  for (std::uint64_t l = address / line_bytes; l <= (address + bytes - 1) / line_bytes; ++l) {
    keep(by_core_, l);
    if (holds(by_device_, l)) by_device_[l % by_device_.size()] = 0;
  }
}

picos host_cache::jitter() {
  if (config_.jitter_p999 == 0) return 0;
  const double u = random_.uniform();
  const auto p95 = static_cast<double>(config_.jitter_p95), p999 = static_cast<double>(config_.jitter_p999);
  if (u < 0.5) return 0;
  if (u < 0.95) return static_cast<picos>(p95 * (u - 0.5) / 0.45);
  if (u < 0.999) return static_cast<picos>(p95 + (p999 - p95) * (u - 0.95) / 0.049);
  return config_.jitter_p999;
}

picos host_cache::read_extra(std::uint64_t address, std::uint32_t bytes) {
  picos extra = jitter();
  if (config_.bytes == 0 || bytes == 0) return extra;
  picos slowest = 0;
  for (std::uint64_t l = address / line_bytes; l <= (address + bytes - 1) / line_bytes; ++l) {
    if (holds(by_device_, l)) {
      ++count_.device_lines;
      continue;
    }
    const bool core = config_.written_by_cores || holds(by_core_, l);
    ++(core ? count_.core_lines : count_.memory_lines);
    slowest = std::max(slowest, (core ? config_.core_snoop : config_.miss) + config_.remote_node);
  }
  return extra + slowest;
}

}  // namespace understudy
