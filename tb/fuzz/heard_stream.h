// What the peer of an engine could put together of the stream that the engine's host posts.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "tb/test/core/engine_rig.h"

namespace understudy::tb {

class heard_stream {
 public:
  // Of the host `side`, whose SYN has the number `iss`.
  heard_stream(std::uint32_t side, seq32 iss) : side_(side), iss_(iss) {}

  seq32 iss() const { return iss_; }
  // Payload `bytes` at `seq`, of a stream of which the host has posted `posted` bytes. False: it is not
  // there, or other bytes are.
  bool hear(seq32 seq, const std::uint8_t* bytes, std::uint32_t n, std::uint64_t posted) {
    const std::uint64_t at = seq.minus(iss_ + 1);
    if (at + n > posted) return false;
    for (std::uint32_t i = 0; i < n; ++i)
      if (bytes[i] != stream_byte(side_, at + i)) return false;
    mark(at, at + n);
    return true;
  }
  // A FIN with that number is right.
  bool ends_at(seq32 fin, std::uint64_t posted) {
    fin_ = fin.minus(iss_ + 1) == posted;
    return fin_;
  }
  // The peer says that it has everything before `ack`, which it may not have: that is then its own loss.
  void acknowledged(seq32 ack) {
    if (!ack.after(next())) return;
    mark(whole_, std::min<std::uint64_t>(ack.minus(iss_ + 1), whole_ + (1u << 21)));
  }
  // First number that is missing; the FIN counts where it follows the last byte.
  seq32 next() const { return iss_ + 1 + static_cast<std::uint32_t>(whole_); }
  bool fin() const { return fin_; }
  // Bytes from the beginning without a gap.
  std::uint64_t whole() const { return whole_; }

 private:
  void mark(std::uint64_t from, std::uint64_t to) {
    if (to > has_.size()) has_.resize(to);
    std::fill(has_.begin() + static_cast<std::ptrdiff_t>(from),
              has_.begin() + static_cast<std::ptrdiff_t>(to), std::uint8_t{1});
    while (whole_ < has_.size() && has_[whole_]) ++whole_;
  }

  std::uint32_t side_;
  seq32 iss_;
  std::vector<std::uint8_t> has_;  // byte by byte
  std::uint64_t whole_ = 0;
  bool fin_ = false;
};

}  // namespace understudy::tb
