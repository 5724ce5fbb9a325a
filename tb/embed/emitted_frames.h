// Frames that adapters have emitted, until somebody takes them.
#pragma once
#include <cstdint>

#include "model/core/fifo.h"
#include "model/net/capture.h"

namespace understudy::tb {

struct emitted_frame {
  frame_ref f;
  picos at = 0;
  unsigned adapter = 0;
  std::uint64_t missed = 0;  // frames given up before this one
};

// A capture of the adapters' links: the link's number is the adapter's.
class emitted_frames : public capture_sink {
 public:
  static constexpr std::size_t capacity = 65536;  // then the oldest frame goes

  void frame(picos at, unsigned adapter, bool outbound, const frame_ref& f, const char*) override {
    if (!outbound) return;
    if (waiting_.size() == capacity) lost_ = 1 + waiting_.pop_front().missed + lost_;
    waiting_.push_back({f, at, adapter, 0});
  }
  bool empty() const { return waiting_.empty(); }
  // The oldest frame; there is one.
  emitted_frame front() const {
    emitted_frame e = waiting_[0];
    e.missed = lost_;
    return e;
  }
  void pop() {
    waiting_.pop_front();
    lost_ = 0;
  }

 private:
  fifo<emitted_frame> waiting_;
  std::uint64_t lost_ = 0;
};

}  // namespace understudy::tb
