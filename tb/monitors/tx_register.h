// Which register of which transmit queue an event is about.
#pragma once
#include <cstdint>
#include <optional>

#include "model/abi/understudy_abi.h"

namespace understudy::tb {

struct tx_register {
  unsigned queue = 0;
  std::uint32_t offset = 0;  // enum us_tx_register
};

// Of the register at `offset` of BAR 0; nothing: it is no transmit queue's.
inline std::optional<tx_register> tx_register_at(std::uint64_t offset) {
  if (offset < US_TX_BLOCK || offset >= US_TX_QUEUE(US_TX_QUEUES_MOST)) return std::nullopt;
  const auto in_block = static_cast<std::uint32_t>(offset - US_TX_BLOCK);
  return tx_register{in_block / US_TX_BLOCK_BYTES, in_block % US_TX_BLOCK_BYTES};
}

// The queue whose doorbell the register at `offset` of BAR 0 is.
inline std::optional<unsigned> tx_doorbell_at(std::uint64_t offset) {
  const auto r = tx_register_at(offset);
  return r && r->offset == US_TX_TAIL ? std::optional(r->queue) : std::nullopt;
}

}  // namespace understudy::tb
