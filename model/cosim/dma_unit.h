// rtl/dma_engine.sv for a bus master that asks request by request: transfers in, requests out, answers in.
// The clock runs only inside the calls.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "model/core/dma_block.h"

namespace understudy {

struct dma_unit_transfer {
  dma_op op = dma_op::write;
  std::uint64_t address = 0;  // in host memory
  std::uint8_t* local =
      nullptr;  // the transfer's bytes; they stay there until it is over. A write up to 64 bytes is copied
  std::uint32_t lane = 0;  // where they lie in packet memory, modulo 64
  std::uint32_t length = 0;
  std::uint32_t cookie = 0;  // the caller's name of it
};
struct dma_unit_request {
  dma_op op = dma_op::write;
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint32_t tag = 0;  // of a read or flush
  std::uint32_t cookie = 0;
};
struct dma_unit_report {
  std::uint32_t cookie = 0;
  dma_status status = dma_status::ok;
  std::uint32_t bytes = 0;
};

struct dma_unit_limits {
  std::uint32_t mps = 256, mrrs = 512;
  std::uint32_t tags = 64;  // outstanding at most, 1 to dma_unit::max_tags; their numbers are below it
  bool operator==(const dma_unit_limits&) const = default;
};

class dma_unit {
 public:
  // Transfers of a kind (reads; writes and flushes) that may wait for their last request.
  static constexpr std::uint32_t queue_depth = 4;
  static constexpr std::uint32_t max_tags = dma_block_tags;
  // Reads whose reports may be missing: so many before a read, all must be reported before it can start.
  static constexpr std::uint32_t read_slots = dma_block_tags;

  virtual ~dma_unit() = default;
  // Whether fewer than queue_depth of its kind wait for their last request.
  virtual bool has_room(dma_op kind) const = 0;
  // There is room. The clock does not run: the block takes it in the cycles of the calls that follow.
  virtual void post(const dma_unit_transfer& t) = 0;
  // Whether a request can come of what is posted. `tag`: one is free, as a read or flush needs.
  virtual bool has_request(bool tag) const = 0;
  // Whether a read is among it.
  virtual bool has_read() const = 0;
  // Run to the end of the next request. `payload` takes a write's bytes (at most MPS). std::logic_error if
  // none comes.
  virtual dma_unit_request next_request(std::uint8_t* payload) = 0;
  // Other limits, while nothing is under way.
  virtual void limit(const dma_unit_limits& l) = 0;
  // A completion of a read, in the order of its bytes, or of a flush: its bytes go to where they belong.
  // One that is not `ok` has none and ends its request. With `last`, the report of its transfer follows.
  virtual void complete(std::uint32_t tag, bool ok, const std::uint8_t* data, std::uint32_t length,
                        bool last) = 0;
  // The report of the transfer that complete(last) has ended.
  virtual dma_unit_report last_report() const = 0;
  // Clock cycles evaluated since construction, reset included.
  virtual std::uint64_t cycles() const = 0;

  // For benchmarks: the values of every input pin, cycle by cycle, go to `to` from here on; null ends it.
  virtual void record(std::vector<std::uint8_t>* to) = 0;
};

// std::invalid_argument if there is no block of `data_bytes` (8, 16, 32 or 64), or none that has so many
// tags.
std::unique_ptr<dma_unit> make_dma_rtl(const dma_unit_limits& limits, std::uint32_t data_bytes = 32);

}  // namespace understudy
