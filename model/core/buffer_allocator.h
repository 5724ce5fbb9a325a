// The adapter's store of posted receive buffers, by group: free lists in one memory of protected words. The
// reference of rtl/buffer_allocator.sv: same answers, same cycles.
//
// Connections that the host does not know yet begin with a buffer from here; what a known connection gets the
// host names itself. `out` counts a group's buffers that such unknown connections hold; the quota bounds it.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "model/abi/ids.h"
#include "model/abi/understudy_abi.h"

namespace understudy {

struct pool_buffer {
  iova at;
  buf_id id;
  std::uint32_t length = 0;  // 1 to 2^20
};

enum class alloc_status : std::uint8_t {
  ok,
  bad_group,
  bad_length,
  bad_id,         // its low 20 bits are beyond the presence map
  full,           // no word is free
  double_free,    // the buffer is in a list already
  empty,          // neither the group nor its lender has one
  over_quota,     // as many are out as may be
  bad_state,      // none is out that could be settled
  uncorrectable,  // a word had two wrong bits: its buffer is lost, and the host's accounts will say so
};

struct alloc_answer {
  alloc_status status = alloc_status::ok;
  std::uint32_t cycles = 0;
};
struct taken_buffer {
  alloc_status status = alloc_status::ok;
  pool_buffer buffer;
  std::uint8_t from = 0;  // group whose list it came from
  std::uint32_t cycles = 0;
};

struct allocator_counters {
  std::uint64_t puts = 0, takes = 0, borrowed = 0, double_frees = 0, corrected = 0, uncorrectable = 0;
};

class buffer_allocator {
 public:
  static constexpr std::uint32_t quick_cycles = 2;   // refused, settled, configured: registers alone
  static constexpr std::uint32_t memory_cycles = 5;  // a word read or written, and its neighbour's link

  // `entries` words; ids whose low 20 bits are below 2^id_bits.
  explicit buffer_allocator(std::uint32_t entries = 65536, unsigned id_bits = 20);

  std::uint32_t entries() const { return entries_; }
  // Buffers of `group` that may be out (0: no limit), and the group that it takes from when it has none left
  // (US_NO_GROUP: none).
  alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender);
  void reset();
  // To the end of the group's list.
  alloc_answer put(unsigned group, const pool_buffer& b);
  // The first of the group's list, or of its lender's.
  taken_buffer take(unsigned group);
  // The host knows the connection that holds one: it is out no more.
  alloc_answer settle(unsigned group);
  // A buffer that was taken comes back unused, to the front of the list it came from.
  alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b);

  std::uint32_t free(unsigned group) const { return groups_[group].free; }
  std::uint32_t out(unsigned group) const { return groups_[group].out; }
  const allocator_counters& counters() const { return counters_; }
  // Flip bit `bit` (0 to 137: address, id, length, next) of the word that holds the n-th buffer of a list;
  // for faults. False: there is none.
  bool flip(unsigned group, std::uint32_t n, unsigned bit);

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct word {
    pool_buffer buffer;
    std::uint32_t next = none;
    std::uint8_t flipped[2] = {0xff, 0xff};  // bits that are wrong; 0xff: none
  };
  struct group {
    std::uint32_t head = none, tail = none, free = 0, out = 0;
    std::uint16_t quota = 0;
    std::uint8_t lender = US_NO_GROUP;
  };
  alloc_status check(unsigned group, const pool_buffer& b) const;
  bool present(buf_id id) const;
  void set_present(buf_id id, bool v);
  std::uint32_t store(const pool_buffer& b, std::uint32_t next);
  void drop_head(group& g);

  std::uint32_t entries_;
  std::vector<word> words_;  // those used so far
  std::uint32_t free_word_ = none;
  std::array<group, US_GROUPS> groups_{};
  std::vector<std::uint64_t> present_;  // a bit for each id
  unsigned id_bits_;
  allocator_counters counters_;
};

}  // namespace understudy
