// How many receive buffers a group may have out, by how well they are used (US8423636): few filled ones in a
// window of returned buffers lower the limit below its preset, many raise it above.
#pragma once
#include <cstdint>

namespace understudy::host {

struct rx_limit_config {
  std::uint32_t window = 0;  // buffers that come back between two looks; 0: the limit stays at the preset
  std::uint32_t preset = 0;  // buffers
  std::uint32_t least = 0;   // at most preset
  std::uint32_t most = 0;    // at least preset
  std::uint32_t low_percent = 25;   // filled in a window, below which the limit goes down
  std::uint32_t high_percent = 75;  // at or above which it goes up; above low_percent
};

class rx_limit {
 public:
  explicit rx_limit(const rx_limit_config& c = {}) : config_(c), target_(c.preset) {}
  // A buffer comes back, filled or not. True: the limit has changed, which it does at the end of a window at
  // most, one step: least, preset, most.
  bool returned(bool filled);
  std::uint32_t target() const { return target_; }
  bool adapts() const { return config_.window != 0; }
  std::uint64_t changes() const { return changes_; }

 private:
  rx_limit_config config_;
  std::uint32_t target_;
  std::uint32_t seen_ = 0;
  std::uint32_t filled_ = 0;
  std::uint64_t changes_ = 0;
};

}  // namespace understudy::host
