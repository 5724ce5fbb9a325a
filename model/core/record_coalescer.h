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
  bool operator==(const hold_verdict&) const = default;
};

// What a slot held.
struct held_amount {
  std::uint32_t bytes = 0;
  std::uint32_t pieces = 0;
  std::uint32_t ranges = 0;
  std::uint32_t cycles = 0;
  bool operator==(const held_amount&) const = default;
};

inline constexpr std::uint64_t hold_never = ~std::uint64_t{0};

// One slot for each connection that holds something. Slots in use form a list in the order of their first
// piece: all ages are equal, so that it is the order of deadlines, too.
class record_coalescer {
 public:
  // Of every operation, whatever it answers, from the cycle that takes the command to that of the answer,
  // both counted: read the slot (the oldest one, for expire, oldest and next_deadline); compare, write and
  // link; answer.
  static constexpr std::uint32_t op_cycles = 3;
  static constexpr std::uint32_t max_length = 1u << 20;  // of a piece

  // `slots`: 2 to 4096.
  explicit record_coalescer(std::uint32_t slots = 256) : slots_(slots) {}

  std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
  // Holds from now on, for what is held already, too: deadlines stay in the order of first pieces.
  void configure(const hold_terms& t) { terms_ = t; }
  void reset();
  // A piece of `length` bytes (1 to max_length) for host address `at`, at cycle `now`, which never goes back.
  // Counters stop at their largest value, 2^32 - 1 bytes and 65535 pieces and ranges, and flush is answered
  // there. A slot beyond slots(), another length, or a piece that does not end below 2^64: flush, and nothing
  // is kept of it.
  hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now);
  // The slot is empty again. Empty already, or beyond slots(): zeros.
  held_amount flushed(std::uint32_t slot);
  // The slot whose deadline comes first, if it has come. It stays as it is until flushed().
  std::optional<std::uint32_t> expire(std::uint64_t now) const;
  std::optional<std::uint32_t> oldest() const;
  // Of the oldest slot, its first piece's cycle and hold_age, at most hold_never - 1; hold_never: nothing is
  // held.
  std::uint64_t next_deadline() const;

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct slot {
    std::uint32_t bytes = 0;
    std::uint16_t pieces = 0;  // 0: empty
    std::uint16_t ranges = 0;
    std::uint32_t range_bytes = 0;  // of the newest range
    std::uint64_t range_end = 0;    // host address after it
    std::uint64_t first = 0;        // cycle of the first piece
    std::uint32_t before = none;
    std::uint32_t after = none;
  };
  hold_terms terms_;
  std::vector<slot> slots_;
  std::uint32_t head_ = none;  // oldest
  std::uint32_t tail_ = none;
};

}  // namespace understudy
