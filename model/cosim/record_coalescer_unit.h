// The adapter's record coalescer behind one interface: the C++ twin, or the Verilated RTL
// (rtl/record_coalescer.sv). Both answer the same, cycles included; see model/core/record_coalescer.h.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "model/core/record_coalescer.h"

namespace understudy {

class record_coalescer_unit {
 public:
  virtual ~record_coalescer_unit() = default;
  virtual std::uint32_t slots() const = 0;
  virtual void configure(const hold_terms& t) = 0;
  virtual void reset() = 0;
  virtual hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now) = 0;
  virtual held_amount flushed(std::uint32_t slot) = 0;
  virtual std::optional<std::uint32_t> expire(std::uint64_t now) = 0;
  virtual std::optional<std::uint32_t> oldest() = 0;
  virtual std::uint64_t next_deadline() = 0;
  // Clock cycles worked since construction: of the model in the twin; evaluated by Verilator in the RTL, its
  // reset included.
  virtual std::uint64_t cycles() const = 0;
};

// The RTL is there with 256 slots, and with 8, for tests; anything else throws std::invalid_argument.
std::unique_ptr<record_coalescer_unit> make_record_coalescer_twin(std::uint32_t slots = 256);
std::unique_ptr<record_coalescer_unit> make_record_coalescer_rtl(std::uint32_t slots = 256);

}  // namespace understudy
