// The newest events of a run, kept so that a violation can show what led to it.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/core/event_log.h"

namespace understudy::tb {

class event_history {
 public:
  static constexpr std::size_t depth = 64;

  event_history() = default;
  event_history(const event_history&) = delete;
  event_history& operator=(const event_history&) = delete;

  void note(const event& e);
  // Instant and number of the newest event; 0 before the first.
  picos now() const { return now_; }
  std::uint64_t count() const { return noted_; }
  // The newest events as text, the oldest first.
  std::vector<std::string> lines() const;

 private:
  static constexpr std::uint32_t kept_bytes = 18 + 60 + 60;  // headers of a frame, at most
  struct entry {
    event what;
    std::array<std::uint8_t, kept_bytes> data;
  };
  std::array<entry, depth> ring_{};
  std::uint64_t noted_ = 0;
  picos now_ = 0;
};

}  // namespace understudy::tb
