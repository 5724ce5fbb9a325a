// The adapter's checksum block behind one interface: the C++ twin, or the Verilated RTL (rtl/checksum.sv).
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "model/core/checksum.h"
#include "model/core/frame.h"

namespace understudy {

// Judges (receive) and computes (transmit) the checksums of Ethernet frames, one at a time. Both
// implementations give the same result for every frame, cycles included; the caller turns cycles into time
// with its clock's period.
class checksum_unit {
 public:
  virtual ~checksum_unit() = default;
  // checksum_mode::check over a frame without FCS.
  virtual checksum_result check(const frame_ref& frame) = 0;
  // checksum_mode::insert: the values to write into the frame's checksum fields. The frame stays as it is.
  virtual checksum_result compute(const frame_ref& frame) = 0;
  // Bytes the block takes in a clock cycle.
  virtual std::uint32_t data_bytes() const = 0;
  // Clock cycles worked since construction: of the model in the twin; evaluated by Verilator in the RTL, its
  // reset included.
  virtual std::uint64_t cycles() const = 0;
};

// `data_bytes` is 4, 8, 16, 32 or 64; anything else throws std::invalid_argument, which lists what is
// allowed.
std::unique_ptr<checksum_unit> make_checksum_twin(std::uint32_t data_bytes = 32);
std::unique_ptr<checksum_unit> make_checksum_rtl(std::uint32_t data_bytes = 32);

// The RTL with a waveform (VCD) of everything it does, one time unit a half cycle: slower, for replay. Throws
// std::runtime_error, naming the path, when the file cannot be written.
std::unique_ptr<checksum_unit> make_checksum_rtl_traced(const std::string& vcd_path,
                                                        std::uint32_t data_bytes = 32);

}  // namespace understudy
