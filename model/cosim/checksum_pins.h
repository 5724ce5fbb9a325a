// The pins of rtl/checksum.sv as C++ values, at any width of the data.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "model/core/checksum.h"

namespace understudy {

// Verilator's pins are 32-bit words in host order, least significant first; byte 0 of the stream is
// data_i[7:0].
static_assert(std::endian::native == std::endian::little);

// Drive the beat of `packet` that starts at byte `at`; a packet of no bytes has one beat. `Top`: a Verilated
// checksum.
template <class Top>
void drive_beat(Top& top, std::span<const std::uint8_t> packet, std::size_t at, checksum_mode mode) {
  constexpr std::size_t width = sizeof(top.data_i);
  const std::size_t n = packet.size() - at < width ? packet.size() - at : width;
  top.valid_i = 1;
  top.first_i = at == 0;
  top.last_i = at + n == packet.size();
  top.insert_i = mode == checksum_mode::insert;
  if (n == width) {
    std::memcpy(&top.data_i, packet.data() + at, width);
  } else {
    std::array<std::uint8_t, width> beat{};
    if (n) std::memcpy(beat.data(), packet.data() + at, n);
    std::memcpy(&top.data_i, beat.data(), width);
  }
  const std::uint64_t keep = n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
  std::memcpy(&top.keep_i, &keep, sizeof(top.keep_i));
}

// The result that the pins show; `cycles` is left 0.
template <class Top>
checksum_result read_result(const Top& top) {
  checksum_result r;
  r.is_ip = true;
  r.ip_ok = top.ip_ok_o;
  r.l4_checked = top.l4_checked_o;
  r.l4_ok = top.l4_ok_o;
  r.ip_sum = top.ip_sum_o;
  r.l4_sum = top.l4_sum_o;
  r.ip_csum = top.ip_csum_o;
  r.l4_csum = top.l4_csum_o;
  return r;
}

}  // namespace understudy
