// Flow-control credits of one type of TLP at a sender (PCIe 2.6.1): a header credit for each TLP, a data
// credit for each 16 bytes of payload. They are taken when a TLP goes and come back at an instant that is
// known then; what gives back a later one gives back all before it, as UpdateFC counts do. A replay buffer is
// the same with bytes for data, which an ACK gives back (PCIe 3.6.2.1).
#pragma once
#include <algorithm>
#include <cstdint>

#include "model/core/fifo.h"
#include "model/core/units.h"

namespace understudy {

class flow_credits {
 public:
  // What the receiver advertises; both at least 1.
  flow_credits(std::uint32_t headers, std::uint32_t data) : headers_(headers), data_(data), all_data_(data) {}

  // Of a TLP that carries `bytes`, in whole DWs.
  static std::uint32_t data_credits(std::uint32_t bytes) { return (bytes + 15) / 16; }

  // The earliest instant, `at` or later, when a TLP with so many data credits may go. More than were ever
  // advertised count as all of them.
  picos available(picos at, std::uint32_t data) {
    data = std::min(data, all_data_);
    while (!out_.empty() && (out_.front().back <= at || headers_ == 0 || data_ < data)) {
      const loan t = out_.pop_front();
      at = std::max(at, t.back);
      ++headers_;
      data_ += t.data;
    }
    return at;
  }
  // A TLP goes; its credits, and those of the TLPs before it at the latest, are back at `back`.
  void take(std::uint32_t data, picos back) {
    data = std::min(data, all_data_);
    --headers_;
    data_ -= data;
    for (std::size_t i = out_.size(); i > 0 && out_[i - 1].back > back; --i) out_[i - 1].back = back;
    out_.push_back({back, data});
    ++taken_;
  }
  // TLPs that went, and how many of them have given back at `at`.
  std::uint64_t taken() const { return taken_; }
  std::uint64_t returned(picos at) {
    while (!out_.empty() && out_.front().back <= at) {
      ++headers_;
      data_ += out_.pop_front().data;
    }
    return taken_ - out_.size();
  }
  // When all of them have, if no other one goes.
  picos all_back() const { return out_.empty() ? 0 : out_[out_.size() - 1].back; }
  // Data credits that are out.
  std::uint32_t out() const { return all_data_ - data_; }
  // The link went down: all are there again.
  void reset() {
    while (!out_.empty()) {
      ++headers_;
      data_ += out_.pop_front().data;
    }
  }

 private:
  struct loan {
    picos back;
    std::uint32_t data;
  };
  std::uint32_t headers_, data_;
  const std::uint32_t all_data_;
  std::uint64_t taken_ = 0;
  fifo<loan> out_;
};

}  // namespace understudy
