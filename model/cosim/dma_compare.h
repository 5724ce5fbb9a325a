// rtl/dma_engine.sv in the surroundings of a dma_workload, and its comparison with the twin.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "model/core/dma_block.h"

namespace understudy {

// A bit that is flipped on its way out of the RTL, to show that the comparison sees it.
struct dma_corruption {
  enum class place : std::uint8_t {
    none,
    operation,
    address,
    length,
    tag,
    payload,
    packet_memory,
    strobe,
    report,  // the bytes that it states
    status
  } where = place::none;
  std::uint64_t nth = 0;  // of the values that pass there
};

// The Verilated block of `w.data_bytes` with assertions on. std::logic_error when an assertion fails or a
// descriptor is never reported; std::invalid_argument for a width that does not exist. `unexpected`: the
// block's count of completions that nobody asked for.
dma_trace run_dma_rtl(const dma_workload& w, const dma_corruption& corruption = {},
                      std::uint64_t* unexpected = nullptr);

// What differs first, in words with the cycle of the RTL; nothing if requests, payloads, reports and packet
// memory are the same. Cycles may differ.
std::optional<std::string> compare_dma(const dma_trace& rtl, const dma_trace& twin);

}  // namespace understudy
