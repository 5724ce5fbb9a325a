// All connections of an engine: a slab addressed by connection id and a keyed hash over the 4-tuples.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/abi/ids.h"
#include "model/core/siphash.h"
#include "model/core/tcp_connection.h"

namespace understudy {

// Grows with use up to `capacity`; connections never move. Free indexes are used again oldest first, so that
// the order of events alone decides ids.
class connection_table {
 public:
  static constexpr std::uint32_t none = 0xffffffff;
  // Buckets looked at since the owner set it to 0. Not counted: moving everything to a larger array, which is
  // the model's; a table in an adapter's memory has its size from the start.
  mutable std::uint64_t steps = 0;

  // `capacity` at most 2^20.
  explicit connection_table(std::uint32_t capacity) : capacity_(capacity), buckets_(64, none) {}

  // Change the hash key; connections stay findable.
  void set_key(const sip_key& key);
  const sip_key& key() const { return key_; }
  // Keyed hash of a tuple; `purpose` separates uses.
  std::uint64_t hash(const four_tuple& t, std::uint64_t purpose) const;

  // Index of the connection; none: unknown.
  std::uint32_t find(const four_tuple& t) const { return find(t, hash(t, 0)); }
  // The same with the tuple's hash for purpose 0 at hand.
  std::uint32_t find(const four_tuple& t, std::uint64_t hash) const;
  std::uint32_t find(cid c) const {
    return c.valid() && c.index() < slots_ && used_[c.index()] && at(c.index()).generation == c.generation()
               ? c.index()
               : none;
  }
  // A fresh connection for a tuple that is not in the table. none: full.
  std::uint32_t take(const four_tuple& t);
  // The same under a given id. none: the index is in use or beyond capacity.
  std::uint32_t take(const four_tuple& t, cid c);
  void release(std::uint32_t index);

  tcp_connection& at(std::uint32_t index) { return (*chunks_[index / chunk])[index % chunk]; }
  const tcp_connection& at(std::uint32_t index) const { return (*chunks_[index / chunk])[index % chunk]; }
  cid id(std::uint32_t index) const { return cid{index, at(index).generation}; }
  std::uint32_t size() const { return size_; }
  bool full() const { return size_ >= capacity_; }
  // Indexes run from 0 to slots() - 1, some unused.
  std::uint32_t slots() const { return slots_; }
  bool used(std::uint32_t index) const { return used_[index]; }

 private:
  static constexpr std::uint32_t chunk = 64;
  struct free_link {
    std::uint32_t next = none;
    std::uint32_t prev = none;
  };
  void grow_to(std::uint32_t slots);
  void link_free(std::uint32_t index);
  void unlink_free(std::uint32_t index);
  void install(std::uint32_t index, const four_tuple& t, std::uint32_t generation);
  // Buckets that it looked at.
  std::uint32_t put(std::uint32_t index);
  void rehash(std::size_t buckets);

  std::uint32_t capacity_;
  std::uint32_t slots_ = 0;
  std::uint32_t size_ = 0;
  sip_key key_;
  std::vector<std::unique_ptr<std::array<tcp_connection, chunk>>> chunks_;
  std::vector<std::uint8_t> used_;
  std::vector<free_link> free_;
  std::uint32_t free_head_ = none;
  std::uint32_t free_tail_ = none;
  std::vector<std::uint32_t> buckets_;  // linear probing; at most half full
};

}  // namespace understudy
