// Decides when received payload that is held back in the adapter is handed over in bulk, and which pieces go
// together. The reference of rtl/record_coalescer.sv: same answers, same cycles.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace understudy {

struct hold_terms {
  std::uint32_t hold_bytes = 0;    // of one slot, from which on it is handed over; 0: no limit
  std::uint32_t hold_count = 0;    // the same in pieces, 16 bits; 0: no limit
  std::uint32_t hold_age = 0;      // cycles from the first piece on; 0: nothing is held back
  std::uint32_t max_range = 9216;  // bytes that consecutive pieces are merged to, at most
};

struct hold_verdict {
  bool merges = false;  // the piece begins where the slot's newest range ends, and extends it
  bool flush = false;   // with this piece a limit is reached
  std::uint32_t cycles = 0;
};

// What a slot held.
struct held_amount {
  std::uint32_t bytes = 0;
  std::uint32_t pieces = 0;
  std::uint32_t ranges = 0;
  std::uint32_t cycles = 0;
};

inline constexpr std::uint64_t hold_never = ~std::uint64_t{0};

// One slot for each connection that holds something. Slots in use form a list in the order of their first
// piece: all ages are equal, so that it is the order of deadlines, too.
class record_coalescer {
 public:
  // Cycles of the RTL from the request to its answer.
  static constexpr std::uint32_t add_cycles = 3;      // read the slot, compare, write it
  static constexpr std::uint32_t flushed_cycles = 4;  // read it, unlink it from its two neighbours
  static constexpr std::uint32_t look_cycles = 1;     // expire, oldest, next_deadline

  explicit record_coalescer(std::uint32_t slots = 256) : slots_(slots) {}

  std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
  // Holds from now on; what a slot holds already keeps its deadline.
  void configure(const hold_terms& t) { terms_ = t; }
  void reset();
  // A piece of `length` bytes (1 to 2^20) for host address `at`, at cycle `now`, which never goes back. A
  // slot beyond slots(): flush, and nothing is kept.
  hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now);
  // The slot is empty again. Empty already, or beyond slots(): zeros.
  held_amount flushed(std::uint32_t slot);
  // The slot whose deadline comes first, if it has come. It stays as it is until flushed().
  std::optional<std::uint32_t> expire(std::uint64_t now) const;
  std::optional<std::uint32_t> oldest() const;
  // Of the oldest slot; hold_never: nothing is held.
  std::uint64_t next_deadline() const;

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct slot {
    std::uint32_t bytes = 0;
    std::uint32_t pieces = 0;  // 0: empty
    std::uint32_t ranges = 0;
    std::uint32_t range_bytes = 0;  // of the newest range
    std::uint64_t range_end = 0;    // host address after it
    std::uint64_t deadline = 0;
    std::uint32_t before = none;
    std::uint32_t after = none;
  };
  hold_terms terms_;
  std::vector<slot> slots_;
  std::uint32_t head_ = none;  // oldest
  std::uint32_t tail_ = none;
};

}  // namespace understudy
