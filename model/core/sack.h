// Selective acknowledgment state of one connection in trouble; a connection in order has none.
#pragma once
#include <array>

#include "model/core/range_set.h"
#include "model/core/slab.h"

namespace understudy {

// Receiver (RFC 2018): the islands in the reassembly queue, and which were touched last.
struct sack_report {
  range_set held;
  std::array<seq32, 4> recent{};  // a number of the island touched last, of the one before, ...
  std::uint32_t known = 0;        // entries of `recent`
};

// Sender (RFC 6675): what the peer says that it holds above snd_una, and how far recovery has come.
struct sack_board {
  range_set held;
  seq32 high_rxt;  // holes before it were sent again in this recovery
  seq32 rescue;    // RescueRxt: the last segment may be sent again once snd_una is after it
};

using sack_report_name = slab<sack_report>::name;
using sack_board_name = slab<sack_board>::name;

}  // namespace understudy
