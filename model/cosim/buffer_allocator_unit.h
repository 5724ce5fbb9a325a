// The adapter's buffer allocator behind one interface: the C++ twin, or the Verilated RTL
// (rtl/buffer_allocator.sv). Both answer the same, cycles included; see model/core/buffer_allocator.h.
#pragma once
#include <cstdint>
#include <memory>

#include "model/core/buffer_allocator.h"

namespace understudy {

class buffer_allocator_unit {
 public:
  virtual ~buffer_allocator_unit() = default;
  virtual alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender) = 0;
  virtual void reset() = 0;
  virtual alloc_answer put(unsigned group, const pool_buffer& b) = 0;
  virtual taken_buffer take(unsigned group) = 0;
  virtual alloc_answer settle(unsigned group) = 0;
  virtual alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b) = 0;
  virtual std::uint32_t free(unsigned group) const = 0;
  virtual std::uint32_t out(unsigned group) const = 0;
  virtual allocator_counters counters() const = 0;
  virtual bool flip(unsigned group, std::uint32_t n, unsigned bit) = 0;
  // Clock cycles worked since construction: of the model in the twin, where flip() takes none; evaluated by
  // Verilator in the RTL, its reset included.
  virtual std::uint64_t cycles() const = 0;
};

// The RTL is there with 65536 entries and 21 id bits, and with 16 and 6, for tests; anything else throws
// std::invalid_argument.
std::unique_ptr<buffer_allocator_unit> make_buffer_allocator_twin(std::uint32_t entries = 65536,
                                                                  unsigned id_bits = 21);
std::unique_ptr<buffer_allocator_unit> make_buffer_allocator_rtl(std::uint32_t entries = 65536,
                                                                 unsigned id_bits = 21);

}  // namespace understudy
