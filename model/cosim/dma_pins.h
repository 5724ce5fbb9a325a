// The pins of rtl/dma_engine.sv as C++ values, at any width of the data.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "model/core/dma_block.h"

namespace understudy {

// Verilator's pins are 32-bit words in host order, least significant first; byte 0 of a beat is data[7:0].
static_assert(std::endian::native == std::endian::little);

// Every input idle, limits set. `Top`: a Verilated dma_engine.
template <class Top>
void idle_dma_pins(Top& top, std::uint32_t mps, std::uint32_t mrrs, std::uint32_t tags) {
  top.mps_i = static_cast<std::uint16_t>(mps);
  top.mrrs_i = static_cast<std::uint16_t>(mrrs);
  top.tags_i = static_cast<std::uint16_t>(tags);
  top.desc_valid_i = 0;
  top.tx_ready_i = 0;
  top.cpl_valid_i = 0;
  top.cpl_first_i = 0;
  top.cpl_last_i = 0;
  top.ram_rd_ready_i = 1;
  top.ram_rd_data_valid_i = 0;
  top.ram_wr_ready_i = 1;
  top.done_ready_i = 1;
}

template <class Top>
void drive_dma_descriptor(Top& top, const dma_descriptor& d) {
  top.desc_valid_i = 1;
  top.desc_op_i = static_cast<std::uint8_t>(d.op);
  top.desc_no_fragment_i = d.no_fragment;
  top.desc_address_i = d.address;
  top.desc_local_i = d.local;
  top.desc_length_i = d.length;
  top.desc_id_i = d.id;
}

// The beat of a completion of `length` bytes that starts at its byte `at`; `bytes` are the completion's.
template <class Top>
void drive_dma_completion(Top& top, std::uint32_t tag, bool ok, const std::uint8_t* bytes,
                          std::uint32_t length, std::uint32_t at) {
  constexpr std::uint32_t width = sizeof(top.cpl_data_i);
  const std::uint32_t n = length - at < width ? length - at : width;
  top.cpl_valid_i = 1;
  top.cpl_first_i = at == 0;
  top.cpl_last_i = at + n == length;
  top.cpl_ok_i = ok;
  top.cpl_tag_i = static_cast<std::uint8_t>(tag);
  top.cpl_length_i = static_cast<std::uint16_t>(length);
  std::array<std::uint8_t, width> beat;
  beat.fill(0);
  if (n) std::memcpy(beat.data(), bytes + at, n);
  std::memcpy(&top.cpl_data_i, beat.data(), width);
}

// Write the bytes of the write to packet memory that the pins show; `beat` is where its first lane goes.
template <class Top>
void take_dma_ram_write(const Top& top, std::uint8_t* beat) {
  constexpr std::uint32_t width = sizeof(top.ram_wr_data_o);
  std::uint64_t strobe = 0;
  std::memcpy(&strobe, &top.ram_wr_strobe_o, sizeof(top.ram_wr_strobe_o));
  const auto* data = reinterpret_cast<const std::uint8_t*>(&top.ram_wr_data_o);
  if (strobe + 1 == (width == 64 ? 0 : std::uint64_t{1} << width % 64)) {
    std::memcpy(beat, data, width);
    return;
  }
  while (strobe) {  // runs without a hole: one at most
    const auto first = static_cast<std::uint32_t>(std::countr_zero(strobe));
    const auto count = static_cast<std::uint32_t>(std::countr_one(strobe >> first));
    std::memcpy(beat + first, data + first, count);
    strobe &= ~(((std::uint64_t{1} << count) - 1) << first);
  }
}

}  // namespace understudy
