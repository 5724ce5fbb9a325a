#include "model/cosim/checksum_unit.h"

#include <Vchecksum_16.h>
#include <Vchecksum_16_traced.h>
#include <Vchecksum_32.h>
#include <Vchecksum_32_traced.h>
#include <Vchecksum_4.h>
#include <Vchecksum_4_traced.h>
#include <Vchecksum_64.h>
#include <Vchecksum_64_traced.h>
#include <Vchecksum_8.h>
#include <Vchecksum_8_traced.h>

#include <stdexcept>

#include "model/cosim/checksum_pins.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

class checksum_twin final : public checksum_unit {
 public:
  explicit checksum_twin(std::uint32_t data_bytes) : data_bytes_(data_bytes) {}
  checksum_result check(const frame_ref& frame) override { return run(frame, checksum_mode::check); }
  checksum_result compute(const frame_ref& frame) override { return run(frame, checksum_mode::insert); }
  std::uint32_t data_bytes() const override { return data_bytes_; }
  std::uint64_t cycles() const override { return cycles_; }

 private:
  checksum_result run(const frame_ref& frame, checksum_mode mode) {
    const checksum_result r = checksum_block(frame.bytes(), mode, data_bytes_);
    cycles_ += r.cycles;
    return r;
  }
  std::uint32_t data_bytes_;
  std::uint64_t cycles_ = 0;
};

template <class Top, bool Traced>
class checksum_rtl final : public checksum_unit {
 public:
  explicit checksum_rtl(const std::string& vcd_path = {}) : rtl_(1, vcd_path) {}
  checksum_result check(const frame_ref& frame) override { return run(frame, checksum_mode::check); }
  checksum_result compute(const frame_ref& frame) override { return run(frame, checksum_mode::insert); }
  std::uint32_t data_bytes() const override { return width; }
  std::uint64_t cycles() const override { return rtl_.cycles(); }

 private:
  static constexpr std::uint32_t width = sizeof(Top::data_i);
  // A block that has not answered by then never will.
  static constexpr std::uint32_t patience_cycles = 1000;

  checksum_result run(const frame_ref& frame, checksum_mode mode) {
    const auto [is_ip, packet] = checksum_packet_of(frame.bytes());
    if (!is_ip) return {};
    Top& top = rtl_.pins();
    top.result_ready_i = 1;
    const std::uint64_t start = rtl_.cycles();
    std::size_t at = 0;
    do {
      drive_beat(top, packet, at, mode);
      rtl_.settle();
      if (top.ready_o) at += width;
      rtl_.edge();
    } while (at < packet.size() || at == 0);
    top.valid_i = 0;
    for (std::uint32_t waited = 0;; ++waited) {
      rtl_.settle();
      const bool done = top.result_valid_o;
      checksum_result r = read_result(top);
      rtl_.edge();
      if (done) {
        r.cycles = static_cast<std::uint32_t>(rtl_.cycles() - start);
        return r;
      }
      if (waited == patience_cycles) throw std::logic_error("rtl/checksum.sv: no result for a packet");
    }
  }

  rtl_harness<Top, Traced> rtl_;
};

[[noreturn]] void bad_width(std::uint32_t data_bytes) {
  throw std::invalid_argument("checksum: data_bytes is " + std::to_string(data_bytes) +
                              ", allowed are 4, 8, 16, 32 and 64");
}

}  // namespace

std::unique_ptr<checksum_unit> make_checksum_twin(std::uint32_t data_bytes) {
  if (data_bytes != 4 && data_bytes != 8 && data_bytes != 16 && data_bytes != 32 && data_bytes != 64)
    bad_width(data_bytes);
  return std::make_unique<checksum_twin>(data_bytes);
}

std::unique_ptr<checksum_unit> make_checksum_rtl(std::uint32_t data_bytes) {
  switch (data_bytes) {
    case 4:
      return std::make_unique<checksum_rtl<Vchecksum_4, false>>();
    case 8:
      return std::make_unique<checksum_rtl<Vchecksum_8, false>>();
    case 16:
      return std::make_unique<checksum_rtl<Vchecksum_16, false>>();
    case 32:
      return std::make_unique<checksum_rtl<Vchecksum_32, false>>();
    case 64:
      return std::make_unique<checksum_rtl<Vchecksum_64, false>>();
    default:
      bad_width(data_bytes);
  }
}

std::unique_ptr<checksum_unit> make_checksum_rtl_traced(const std::string& vcd_path,
                                                        std::uint32_t data_bytes) {
  switch (data_bytes) {
    case 4:
      return std::make_unique<checksum_rtl<Vchecksum_4_traced, true>>(vcd_path);
    case 8:
      return std::make_unique<checksum_rtl<Vchecksum_8_traced, true>>(vcd_path);
    case 16:
      return std::make_unique<checksum_rtl<Vchecksum_16_traced, true>>(vcd_path);
    case 32:
      return std::make_unique<checksum_rtl<Vchecksum_32_traced, true>>(vcd_path);
    case 64:
      return std::make_unique<checksum_rtl<Vchecksum_64_traced, true>>(vcd_path);
    default:
      bad_width(data_bytes);
  }
}

}  // namespace understudy
