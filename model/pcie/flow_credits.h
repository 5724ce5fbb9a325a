// Flow-control credits of one type of TLP at a sender (PCIe 2.6.1): a header credit for each TLP, a data
// credit for each 16 bytes of payload. They are taken when a TLP goes and come back at an instant that is
// known then.
#pragma once
#include <algorithm>
#include <cstdint>

#include "model/core/units.h"
#include "model/pcie/fifo.h"

namespace understudy {

class flow_credits {
 public:
  // What the receiver advertises; both at least 1.
  flow_credits(std::uint32_t headers, std::uint32_t data) : headers_(headers), data_(data), all_data_(data) {}

  static std::uint32_t data_credits(std::uint32_t bytes) { return (bytes + 15) / 16; }

  // The earliest instant, `at` or later, when a TLP with so many data credits may go. More than were ever
  // advertised count as all of them.
  picos available(picos at, std::uint32_t data) {
    data = std::min(data, all_data_);
    while (!out_.empty() && (out_.front().back <= at || headers_ == 0 || data_ < data)) {
      const taken t = out_.pop_front();
      at = std::max(at, t.back);
      ++headers_;
      data_ += t.data;
    }
    return at;
  }
  // A TLP goes; its credits are back at `back`, not before those of the TLPs before it.
  void take(std::uint32_t data, picos back) {
    data = std::min(data, all_data_);
    --headers_;
    data_ -= data;
    out_.push_back({back, data});
  }
  // The link went down: all are there again.
  void reset() {
    while (!out_.empty()) {
      ++headers_;
      data_ += out_.pop_front().data;
    }
  }

 private:
  struct taken {
    picos back;
    std::uint32_t data;
  };
  std::uint32_t headers_, data_;
  const std::uint32_t all_data_;
  fifo<taken> out_;
};

}  // namespace understudy
