// Numbers of things to do, by the instant at which they are due; those of one instant in order of entry.
//
// A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990): nothing is entered before the instant that was taken
// last, so an entry lies in the bucket of the highest bit in which its instant differs from that one. When
// the lowest buckets are empty, the entries of the next are dealt out again, to buckets below it. Entries of
// one instant are always in one bucket, in order. Each bucket is a list through the numbers: no allocation
// beyond reserve().
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
    append(bucket_of(t), number);
  }
  // The instant of the first entry; `never`: there is none.
  picos first() const {
    if (buckets_[0].head != none) return taken_;
    return filled_ ? buckets_[lowest()].least : never;
  }
  // Remove and return the first entry if it is due at `now` or before; else `none`.
  std::uint32_t take(picos now) {
    if (buckets_[0].head == none && !deal(now)) return none;
    const std::uint32_t number = buckets_[0].head;
    buckets_[0].head = links_[number].next;
    return number;
  }
  // Remove each entry for which `condition(number)`.
  template <typename P>
  void remove_if(P condition) {
    for (unsigned b = 0; b < buckets_.size(); ++b) {
      std::uint32_t n = empty(b);
      while (n != none) {
        const std::uint32_t next = links_[n].next;
        if (!condition(n)) {
          links_[n].next = none;
          append(b, n);
        }
        n = next;
      }
    }
  }

 private:
  struct link {
    picos at = 0;
    std::uint32_t next = none;
  };
  struct bucket {
    std::uint32_t head = none, tail = none;
    picos least = never;
  };
  unsigned bucket_of(picos t) const { return static_cast<unsigned>(std::bit_width(t ^ taken_)); }
  unsigned lowest() const { return static_cast<unsigned>(std::countr_zero(filled_)) + 1; }
  void append(unsigned b, std::uint32_t number) {
    bucket& to = buckets_[b];
    if (to.head == none) {
      to.head = number;
      to.least = never;
      if (b) filled_ |= std::uint64_t{1} << (b - 1);
    } else {
      links_[to.tail].next = number;
    }
    to.tail = number;
    if (links_[number].at < to.least) to.least = links_[number].at;
  }
  // Take all of a bucket: the first of its list.
  std::uint32_t empty(unsigned b) {
    const std::uint32_t head = buckets_[b].head;
    buckets_[b].head = none;
    if (b) filled_ &= ~(std::uint64_t{1} << (b - 1));
    return head;
  }
  // Bucket 0 is empty: fill it with what is due first. False: nothing is due by `now`.
  bool deal(picos now) {
    if (!filled_) return false;
    const unsigned b = lowest();
    if (buckets_[b].least > now) return false;
    taken_ = buckets_[b].least;
    for (std::uint32_t n = empty(b); n != none;) {
      link& l = links_[n];
      const std::uint32_t next = l.next;
      l.next = none;
      append(bucket_of(l.at), n);
      n = next;
    }
    return true;
  }

  std::array<bucket, 65> buckets_;
  std::uint64_t filled_ = 0;  // bit b - 1: bucket b is not empty
  std::vector<link> links_;   // by number
  picos taken_ = 0;           // the instant of what was taken last
};

}  // namespace understudy
