// The on-chip part of the connection table: a set-associative store that finds a connection's index by the
// keyed hash of its 4-tuple. The C++ twin of rtl/connection_table.sv: for every sequence of operations both
// give the same answers.
#pragma once
#include <cstdint>
#include <vector>

#include "model/core/secded.h"

namespace understudy {

enum class store_op : std::uint8_t {
  lookup,
  insert,  // of a key that is there: its index is replaced
  remove,
  scrub,  // read a set, correct it, write it back
  flip,   // a fault: the bits of `flip` change in the code word of one way; nothing is judged
};

// Of a word of the store.
using store_code = secded<64>;

struct store_request {
  store_op op = store_op::lookup;
  std::uint64_t key = 0;         // keyed hash; its low bits name the set (of scrub and flip as well)
  std::uint32_t index = 0;       // insert: 20 bits
  std::uint32_t way = 0;         // flip
  store_code::code_type flip{};  // flip
};

struct store_answer {
  bool hit = false;            // lookup, insert, remove: the key was there
  std::uint32_t index = 0;     // the index found; 0 without a hit
  bool evicted = false;        // insert: another connection has left the store
  std::uint32_t victim = 0;    // its index; 0 if none
  std::uint8_t corrected = 0;  // words of the set with one wrong bit: written back right
  std::uint8_t dropped = 0;    // words of the set with more: cleared, what they held is a miss from now on
  std::uint32_t cycles = 0;    // of the block's clock
  bool operator==(const store_answer&) const = default;
};

// Every operation takes this many clock cycles: accept, read the set, correct and compare and write, answer.
inline constexpr std::uint32_t store_cycles = 4;

// A word is a connection's valid bit (63), tag (62 to 20: the key's upper 43 bits) and index (19 to 0), each
// under its own SECDED code. The victim of an insertion is the first empty way, else the first that was not
// used since all had been (not recently used).
class connection_store {
 public:
  static constexpr std::uint32_t index_bits = 20;
  // `sets`: a power of two up to 2^20; `ways`: 1 to 8.
  connection_store(std::uint32_t sets, std::uint32_t ways)
      : sets_(sets), ways_(ways), words_(std::size_t{sets} * ways), used_(std::size_t{sets} * ways) {}

  store_answer run(const store_request& r);
  std::uint32_t sets() const { return sets_; }
  std::uint32_t ways() const { return ways_; }

 private:
  void touch(std::size_t base, std::uint32_t way);

  std::uint32_t sets_;
  std::uint32_t ways_;
  std::vector<store_code::code_type> words_;  // way by way, set by set
  std::vector<std::uint8_t> used_;            // recently; a hint, without a code
};

}  // namespace understudy
