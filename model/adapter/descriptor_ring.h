// Rules of a ring of descriptors that the host writes and the adapter reads: its input table, or a transmit
// queue. Indices are free-running.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "model/abi/crc32c.h"
#include "model/abi/understudy_abi.h"

namespace understudy {

// A ring has a power of two entries, 16 to 65536.
inline bool ring_entries_ok(std::uint32_t n) {
  return n >= 16 && n <= 65536 && (n & (n - 1)) == 0;
}

// The host may move the tail from `tail` to `to`: neither back, nor so far that more lies behind `head` than
// the ring has entries.
inline bool doorbell_ok(std::uint32_t head, std::uint32_t tail, std::uint32_t entries, std::uint32_t to) {
  return to - head <= entries && to - head >= tail - head;
}

// What one DMA read fetches: never across the ring's end, never beyond the doorbell.
struct descriptor_batch {
  std::uint32_t offset = 0;  // bytes from the ring's base
  std::uint32_t count = 0;   // descriptors
  std::uint32_t beyond = 0;  // of the mutant fetch_beyond_tail: one more where there is one
};
inline descriptor_batch next_batch(std::uint32_t head, std::uint32_t tail, std::uint32_t entries,
                                   std::uint32_t at_once, bool mutant_beyond_tail) {
  const std::uint32_t slot = head & (entries - 1);
  const std::uint32_t most = std::min(entries - slot, at_once);
  const std::uint32_t n = std::min(tail - head, most);
  return {slot * US_ENTRY_BYTES, n, mutant_beyond_tail && n < most ? 1u : 0u};
}

// US_OK: the entry is whole, and the one with that index.
inline us_status seal_of(const us_idt_entry& e, std::uint32_t index) {
  if (e.crc != crc32c(&e, offsetof(us_idt_entry, crc))) return US_ERR_BAD_CRC;
  return e.index16 == static_cast<std::uint16_t>(index) ? US_OK : US_ERR_BAD_SEQUENCE;
}

}  // namespace understudy
