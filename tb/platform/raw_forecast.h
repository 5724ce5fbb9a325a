// What a frame that the host has built costs on the bus, by the published formulas.
#pragma once
#include <cstdint>
#include <vector>

#include "model/adapter/adapter_config.h"
#include "model/pcie/pcie_port.h"

namespace understudy::tb {

// What the published formulas say of a frame whose pieces lie at `pieces`, fetched with at most `raw_reads`
// outstanding, behind its descriptors at `table` (one each): requests of MRRS and 4 KiB, completions of MPS
// and RCB, serialised on the way down; nothing else on the link.
struct raw_piece_at {
  std::uint64_t at = 0;
  std::uint32_t bytes = 0;
};
struct raw_forecast {
  double latency_ns = 0;  // doorbell's arrival to the frame's first bit
  std::uint64_t tlps = 0, link_bytes = 0;
};
raw_forecast forecast_raw(const pcie_config& bus, const adapter_config& card, std::uint64_t table,
                          const std::vector<raw_piece_at>& pieces);

// Frames a second that can leave when many such frames wait, on an Ethernet link of `wire`: the least of what
// the reads (card.raw_reads outstanding, each for its round trip), the PCI Express link downwards, the
// fetching and execution of descriptors, and the Ethernet link allow.
double forecast_raw_rate(const pcie_config& bus, const adapter_config& card, bits_per_second wire,
                         std::uint64_t table, const std::vector<raw_piece_at>& pieces);

}  // namespace understudy::tb
