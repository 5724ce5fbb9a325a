#include "host_sw/driver/rx_limit.h"

namespace understudy::host {

bool rx_limit::returned(bool filled) {
  if (!adapts()) return false;
  filled_ += filled;
  if (++seen_ < config_.window) return false;
  const std::uint64_t percent = std::uint64_t{100} * filled_ / seen_;
  seen_ = filled_ = 0;
  std::uint32_t next = target_;
  if (percent < config_.low_percent) next = target_ > config_.preset ? config_.preset : config_.least;
  if (percent >= config_.high_percent) next = target_ < config_.preset ? config_.preset : config_.most;
  if (next == target_) return false;
  target_ = next;
  ++changes_;
  return true;
}

}  // namespace understudy::host
