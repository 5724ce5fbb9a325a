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
#include "model/core/secded.h"

namespace understudy {

struct pool_buffer {
  iova at;
  buf_id id;
  std::uint32_t length = 0;  // 1 to 2^20
  bool operator==(const pool_buffer&) const = default;
};

enum class alloc_status : std::uint8_t {
  ok,
  bad_group,
  bad_length,
  bad_id,         // its low 21 bits are beyond the presence map
  full,           // no word is free, but for those that are kept for buffers that are out
  double_free,    // the buffer is in a list already
  empty,          // neither the group nor its lender has one
  over_quota,     // as many are out as may be
  bad_state,      // none is out that could be settled
  uncorrectable,  // a word had two wrong bits: a buffer is lost, and the host's accounts will say so
};

struct alloc_answer {
  alloc_status status = alloc_status::ok;
  std::uint32_t cycles = 0;  // from the one that takes the command to that of the answer, both counted
};
struct taken_buffer {
  alloc_status status = alloc_status::ok;
  pool_buffer buffer;
  std::uint8_t from = 0;  // group whose list it came from, or (uncorrectable) was lost from
  std::uint32_t cycles = 0;
};

struct allocator_counters {
  std::uint64_t puts = 0, takes = 0, borrowed = 0, double_frees = 0;
  std::uint64_t corrected = 0, uncorrectable = 0;  // words read
  bool operator==(const allocator_counters&) const = default;
};

// A word holds a buffer in one code word and the link to the next in two. One wrong bit of a code word is
// corrected, two are found; so two wrong bits of a word lose its buffer at most:
//   * two in the buffer: take() answers uncorrectable. Its id stays marked as in a list, so that a put of it
//     is a double_free until reset();
//   * two in each link: take() answers uncorrectable, and what is linked behind is lost, too. The same in a
//     word without a buffer: put() or give_back() is refused as uncorrectable, and the words behind are lost.
// What is lost comes back by reset(). Whatever is wrong, no buffer is handed out whose id is not marked, and
// so none twice.
class buffer_allocator {
 public:
  static constexpr std::uint32_t quick_cycles = 3;   // refused, settled, configured: registers and the map
  static constexpr std::uint32_t memory_cycles = 5;  // a word read or written, and its neighbour's link

  using buffer_code = secded<64 + 32 + 21>;  // address, id, length
  using link_code = secded<20>;
  // buffer_code, link_code, the same again.
  static constexpr unsigned word_bits = buffer_code::code_bits + 2 * link_code::code_bits;
  // For flip(): the list of words that hold no buffer, the latest first.
  static constexpr unsigned unused_words = US_GROUPS;

  // `entries` words, 1 to 2^20 - 1; ids whose low 21 bits are below 2^id_bits, 6 to 21.
  explicit buffer_allocator(std::uint32_t entries = 65536, unsigned id_bits = 21);

  std::uint32_t entries() const { return entries_; }
  // Buffers of `group` that may be out (0: no limit), and the group that it takes from when it has none left
  // (US_NO_GROUP: none).
  alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender);
  // No buffers, nothing out, no limits, no lenders. Counters go on.
  void reset();
  std::uint32_t reset_cycles() const { return static_cast<std::uint32_t>(present_.size()) + 2; }
  // To the end of the group's list.
  alloc_answer put(unsigned group, const pool_buffer& b);
  // The first of the group's list, or of its lender's.
  taken_buffer take(unsigned group);
  // The host knows the connection that holds one: it is out no more.
  alloc_answer settle(unsigned group);
  // A buffer that was taken comes back unused, to the front of the list it came from. There is always a word
  // for it.
  alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b);

  std::uint32_t free(unsigned group) const { return groups_[group].free; }
  std::uint32_t out(unsigned group) const { return groups_[group].out; }
  const allocator_counters& counters() const { return counters_; }
  // Flip bit `bit` (below word_bits) of the word that holds the n-th buffer of a list; for faults. False:
  // there is none, or no link leads there.
  bool flip(unsigned group, std::uint32_t n, unsigned bit);

 private:
  struct word {
    pool_buffer buffer;
    std::uint32_t next = 0;
  };
  // Which bits of a word are wrong.
  struct flips {
    buffer_code::code_type buffer{};
    link_code::code_type link[2]{};
  };
  struct group {
    std::uint32_t head = 0, tail = 0;  // while free > 0
    std::uint32_t free = 0, out = 0;
    std::uint16_t quota = 0;
    std::uint8_t lender = US_NO_GROUP;
  };
  struct read_word {
    word w;
    secded_status buffer = secded_status::clean;
    secded_status link = secded_status::clean;
  };

  alloc_status check(unsigned group, const pool_buffer& b) const;
  bool present(buf_id id) const;
  void set_present(buf_id id, bool v);
  read_word read(std::uint32_t index) const;
  void write(std::uint32_t index, const word& w);
  void write_link(std::uint32_t index, std::uint32_t next);
  bool leads_on(const read_word& r) const;
  bool find_word(std::uint32_t& index);

  std::uint32_t entries_;
  std::vector<word> words_;   // those used so far
  std::vector<flips> flips_;  // of every word; empty until the first flip
  std::uint32_t fresh_ = 0;   // words used since the last reset
  // Words that came back, a list; with those never used, `unused_`.
  std::uint32_t recycled_head_ = 0, recycled_ = 0;
  std::uint32_t unused_;
  std::uint32_t out_ = 0;  // of all groups
  std::array<group, US_GROUPS> groups_{};
  std::vector<std::uint64_t> present_;  // a bit for each id
  unsigned id_bits_;
  allocator_counters counters_;
};

}  // namespace understudy
