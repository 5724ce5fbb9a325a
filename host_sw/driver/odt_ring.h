// Output descriptor table of one adapter: the adapter writes commit records, the host reads them in order.
#pragma once
#include <cstdint>

#include "host_sw/hal/hal.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

class odt_ring {
 public:
  enum class look : std::uint8_t {
    nothing,  // the next record is not there yet
    record,   // there it is
    corrupt,  // it is not there but its successor is: records are written in order, so one was damaged
  };

  // Memory for `entries` (a power of two) records, the first of which has the number `first`. False: none
  // left.
  bool create(hal& h, std::uint32_t entries, std::uint32_t first = 0);
  // Copy the next record if it is valid: its number is the expected one and its CRC holds. Does not consume
  // it.
  look peek(us_record* out) const;
  bool waiting() const {
    us_record r;
    return peek(&r) == look::record;
  }
  // A record waits for which an interrupt is due, or a damaged one.
  bool loud_waits() const;
  void consume() { ++head_; }
  std::uint32_t head() const { return head_; }  // free-running index of the next record
  std::uint32_t entries() const { return entries_; }
  std::uint64_t iova() const { return memory_.iova; }

 private:
  bool valid(std::uint32_t index, us_record* out) const;
  dma_region memory_;
  std::uint32_t entries_ = 0;
  std::uint32_t head_ = 0;
};

}  // namespace understudy::host
