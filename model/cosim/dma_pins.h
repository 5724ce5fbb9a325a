// The pins of rtl/dma_engine.sv as C++ values, at any width of the data.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "model/core/dma_block.h"

namespace understudy {

// Verilator's pins are 32-bit words in host order, least significant first; byte 0 of a beat is data[7:0].
static_assert(std::endian::native == std::endian::little);

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
  auto* beat = reinterpret_cast<std::uint8_t*>(&top.cpl_data_i);
  if (n == width) {
    std::memcpy(beat, bytes + at, width);
    return;
  }
  std::memset(beat, 0, width);
  if (n) std::memcpy(beat, bytes + at, n);
}

// Every input idle, limits set. `Top`: a Verilated dma_engine.
template <class Top>
void idle_dma_pins(Top& top, std::uint32_t mps, std::uint32_t mrrs, std::uint32_t tags) {
  top.mps_i = static_cast<std::uint16_t>(mps);
  top.mrrs_i = static_cast<std::uint16_t>(mrrs);
  top.tags_i = static_cast<std::uint16_t>(tags);
  drive_dma_descriptor(top, {});
  top.desc_valid_i = 0;
  top.tx_ready_i = 0;
  drive_dma_completion(top, 0, false, nullptr, 0, 0);
  top.cpl_valid_i = 0;
  top.ram_rd_ready_i = 1;
  top.ram_rd_data_valid_i = 0;
  top.ram_wr_ready_i = 1;
  top.done_ready_i = 1;
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

// The input pins of a cycle that change in a simulation.
template <class Top>
struct dma_inputs {
  std::uint8_t desc_valid, desc_op, tx_ready, cpl_valid, cpl_first, cpl_last, cpl_ok, cpl_tag, ram_valid;
  std::uint16_t desc_id, cpl_length, mps, mrrs, tags;
  std::uint32_t desc_local, desc_length;
  std::uint64_t desc_address;
  std::uint8_t cpl_data[sizeof(Top::cpl_data_i)], ram_data[sizeof(Top::ram_rd_data_i)];

  void take(const Top& t) {
    desc_valid = t.desc_valid_i;
    desc_op = t.desc_op_i;
    tx_ready = t.tx_ready_i;
    cpl_valid = t.cpl_valid_i;
    cpl_first = t.cpl_first_i;
    cpl_last = t.cpl_last_i;
    cpl_ok = t.cpl_ok_i;
    cpl_tag = t.cpl_tag_i;
    ram_valid = t.ram_rd_data_valid_i;
    desc_id = t.desc_id_i;
    cpl_length = t.cpl_length_i;
    mps = t.mps_i;
    mrrs = t.mrrs_i;
    tags = t.tags_i;
    desc_local = t.desc_local_i;
    desc_length = t.desc_length_i;
    desc_address = t.desc_address_i;
    std::memcpy(cpl_data, &t.cpl_data_i, sizeof cpl_data);
    std::memcpy(ram_data, &t.ram_rd_data_i, sizeof ram_data);
  }
  void give(Top& t) const {
    t.desc_valid_i = desc_valid;
    t.desc_op_i = desc_op;
    t.tx_ready_i = tx_ready;
    t.cpl_valid_i = cpl_valid;
    t.cpl_first_i = cpl_first;
    t.cpl_last_i = cpl_last;
    t.cpl_ok_i = cpl_ok;
    t.cpl_tag_i = cpl_tag;
    t.ram_rd_data_valid_i = ram_valid;
    t.desc_id_i = desc_id;
    t.cpl_length_i = cpl_length;
    t.mps_i = mps;
    t.mrrs_i = mrrs;
    t.tags_i = tags;
    t.desc_local_i = desc_local;
    t.desc_length_i = desc_length;
    t.desc_address_i = desc_address;
    std::memcpy(&t.cpl_data_i, cpl_data, sizeof cpl_data);
    std::memcpy(&t.ram_rd_data_i, ram_data, sizeof ram_data);
  }
};

}  // namespace understudy
