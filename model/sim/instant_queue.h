// Numbers of things to do, by the instant at which they are due; those of one instant in order of entry.
//
// A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990) of base 64: nothing is entered before the instant that
// was taken last, so an entry lies at the level of the highest digit in which its instant differs from that
// one, in the bucket of this digit. At level 0 a bucket is one instant. When that level is empty, the entries
// of the next bucket are dealt out again, to levels below its own. Entries of one instant are always in one
// bucket, in order. Each bucket is a list through the numbers: no allocation beyond reserve().
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "model/core/units.h"

namespace understudy {

class instant_queue {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  // Room for numbers below `numbers`.
  void reserve(std::uint32_t numbers) { links_.resize(numbers); }
  // `number`, which is not entered, is due at `t`, no earlier than what take() gave last.
  void enter(picos t, std::uint32_t number) {
    links_[number] = {t, none};
    append(place_of(t), number);
  }
  // The instant of the first entry; `never`: there is none.
  picos first() const { return levels_in_use_ ? buckets_[lowest()].least : never; }
  // Remove and return the first entry if it is due at `now` or before; else `none`.
  std::uint32_t take(picos now) {
    if (!levels_in_use_) return none;
    unsigned b = lowest();
    if (buckets_[b].least > now) return none;
    taken_ = buckets_[b].least;
    if (b >= digits && buckets_[b].head != buckets_[b].tail) {
      deal(b);
      b = lowest();
    }
    bucket& from = buckets_[b];
    const std::uint32_t number = from.head;
    from.head = links_[number].next;
    if (from.head == none) mark_empty(b);
    return number;
  }
  // Remove each entry for which `condition(number)`.
  template <typename P>
  void remove_if(P condition) {
    for (unsigned b = 0; b < buckets_.size(); ++b) {
      if (!(in_use_[b / digits] >> b % digits & 1)) continue;
      for (std::uint32_t n = empty(b), next; n != none; n = next) {
        next = links_[n].next;
        if (!condition(n)) {
          links_[n].next = none;
          append(b, n);
        }
      }
    }
  }

 private:
  static constexpr unsigned digit_bits = 6, digits = 1u << digit_bits;
  static constexpr unsigned levels = (64 + digit_bits - 1) / digit_bits;
  struct link {
    picos at = 0;
    std::uint32_t next = none;
  };
  struct bucket {
    std::uint32_t head = none, tail = none;  // of no meaning while it is empty
    picos least = never;
  };
  // Buckets are numbered by level and digit.
  unsigned place_of(picos t) const {
    const unsigned level = (static_cast<unsigned>(std::bit_width((t ^ taken_) | 1)) - 1) / digit_bits;
    return level * digits + static_cast<unsigned>(t >> level * digit_bits & (digits - 1));
  }
  unsigned lowest() const {
    const auto level = static_cast<unsigned>(std::countr_zero(levels_in_use_));
    return level * digits + static_cast<unsigned>(std::countr_zero(in_use_[level]));
  }
  void append(unsigned b, std::uint32_t number) {
    bucket& to = buckets_[b];
    std::uint64_t& level = in_use_[b / digits];
    const std::uint64_t bit = std::uint64_t{1} << b % digits;
    const picos at = links_[number].at;
    if (level & bit) {
      links_[to.tail].next = number;
      if (at < to.least) to.least = at;
    } else {
      level |= bit;
      levels_in_use_ |= 1u << b / digits;
      to.head = number;
      to.least = at;
    }
    to.tail = number;
  }
  void mark_empty(unsigned b) {
    std::uint64_t& level = in_use_[b / digits];
    level &= ~(std::uint64_t{1} << b % digits);
    if (!level) levels_in_use_ &= ~(1u << b / digits);
  }
  // Take all of a bucket: the first of its list.
  std::uint32_t empty(unsigned b) {
    mark_empty(b);
    return buckets_[b].head;
  }
  // What is due first, at taken_, lies in bucket `b`, above level 0: deal its entries out anew.
  void deal(unsigned b) {
    for (std::uint32_t n = empty(b), next; n != none; n = next) {
      link& l = links_[n];
      next = l.next;
      l.next = none;
      append(place_of(l.at), n);
    }
  }

  std::array<bucket, levels * digits> buckets_;
  std::array<std::uint64_t, levels> in_use_{};  // by level, a bit a digit: the bucket is not empty
  std::uint32_t levels_in_use_ = 0;             // a bit a level
  std::vector<link> links_;                     // by number
  picos taken_ = 0;                             // the instant of what was taken last
};

}  // namespace understudy
