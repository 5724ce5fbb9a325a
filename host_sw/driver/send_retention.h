// Bytes of one connection's send stream that the host keeps until the peer has acknowledged them: a ring in
// DMA memory in which a byte's place follows from its sequence number alone, so that any range can be posted
// again to a substitute.
#pragma once
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "host_sw/hal/hal.h"
#include "model/abi/seq32.h"

namespace understudy::host {

// Contiguous piece of the send stream in DMA memory.
struct send_range {
  std::uint64_t iova = 0;
  std::uint32_t len = 0;
  seq32 end;                          // sequence number after its last byte
  const std::uint8_t* cpu = nullptr;  // the same in the driver's own memory; null: in an application's
};

class send_retention {
 public:
  bool created() const { return memory_.cpu != nullptr; }
  // `memory`: a power of two bytes. `first`: sequence number of the stream's first byte.
  void create(const dma_region& memory, seq32 first) {
    memory_ = memory;
    first_ = first;
  }
  dma_region take_memory() { return std::exchange(memory_, {}); }
  // Store bytes at `at`. The caller keeps everything that is still wanted within one ring's length.
  void store(hal& h, seq32 at, const std::uint8_t* data, std::uint32_t bytes);
  // The first contiguous piece of [from, to), at most 2^20 bytes. from is before to.
  send_range piece(seq32 from, seq32 to) const;

 private:
  std::uint32_t place(seq32 s) const {
    return s.minus(first_) & static_cast<std::uint32_t>(memory_.bytes - 1);
  }
  dma_region memory_;
  seq32 first_;
};

// Memory of retention rings, kept for the next connection of the same size.
class retention_memory {
 public:
  explicit retention_memory(hal& h) : hal_(h) {}
  // At least `bytes`, rounded up to a power of two; cpu is null if there is none.
  dma_region take(std::uint32_t bytes);
  void give_back(const dma_region& r) { free_[r.bytes].push_back(r); }

 private:
  hal& hal_;
  std::map<std::size_t, std::vector<dma_region>> free_;
};

}  // namespace understudy::host
