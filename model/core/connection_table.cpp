#include "model/core/connection_table.h"

#include <cstring>

namespace understudy {

std::uint64_t connection_table::hash(const four_tuple& t, std::uint64_t purpose) const {
  std::uint64_t words[6];
  std::memcpy(words, t.local.bytes.data(), 16);
  std::memcpy(words + 2, t.remote.bytes.data(), 16);
  words[4] = static_cast<std::uint64_t>(t.local_port) << 16 | t.remote_port;
  words[5] = purpose;
  return siphash(key_, words);
}

void connection_table::set_key(const sip_key& key) {
  key_ = key;
  for (std::uint32_t i = 0; i < slots_; ++i)
    if (used_[i]) at(i).hash = static_cast<std::uint32_t>(hash(at(i).tuple, 0));
  rehash(buckets_.size());
}

std::uint32_t connection_table::find(const four_tuple& t, std::uint64_t hash) const {
  const std::size_t mask = buckets_.size() - 1;
  const auto h = static_cast<std::uint32_t>(hash);
  ++steps;
  for (std::size_t b = h & mask; buckets_[b] != none; b = (b + 1) & mask, ++steps) {
    const tcp_connection& c = at(buckets_[b]);
    if (c.hash == h && c.tuple == t) return buckets_[b];
  }
  return none;
}

std::uint32_t connection_table::put(std::uint32_t index) {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t b = at(index).hash & mask;
  std::uint32_t looked_at = 1;
  for (; buckets_[b] != none; b = (b + 1) & mask) ++looked_at;
  buckets_[b] = index;
  return looked_at;
}

void connection_table::rehash(std::size_t buckets) {
  buckets_.assign(buckets, none);
  for (std::uint32_t i = 0; i < slots_; ++i)
    if (used_[i]) put(i);
}

void connection_table::link_free(std::uint32_t index) {
  free_[index] = {none, free_tail_};
  (free_tail_ == none ? free_head_ : free_[free_tail_].next) = index;
  free_tail_ = index;
}

void connection_table::unlink_free(std::uint32_t index) {
  const free_link& l = free_[index];
  (l.prev == none ? free_head_ : free_[l.prev].next) = l.next;
  (l.next == none ? free_tail_ : free_[l.next].prev) = l.prev;
}

void connection_table::grow_to(std::uint32_t slots) {
  while (slots_ < slots) {
    if (slots_ % chunk == 0) chunks_.push_back(std::make_unique<std::array<tcp_connection, chunk>>());
    used_.push_back(0);
    free_.emplace_back();
    link_free(slots_++);
  }
}

void connection_table::install(std::uint32_t index, const four_tuple& t, std::uint32_t generation) {
  unlink_free(index);
  used_[index] = 1;
  ++size_;
  tcp_connection& c = at(index);
  c = tcp_connection{};
  c.generation = static_cast<std::uint16_t>(generation);
  c.tuple = t;
  c.hash = static_cast<std::uint32_t>(hash(t, 0));
  if (size_ * 2 > buckets_.size())
    rehash(buckets_.size() * 2);
  else
    steps += put(index);
}

std::uint32_t connection_table::take(const four_tuple& t) {
  if (full()) return none;
  if (free_head_ == none) grow_to(slots_ + 1);
  const std::uint32_t index = free_head_;
  install(index, t, at(index).generation);
  return index;
}

std::uint32_t connection_table::take(const four_tuple& t, cid c) {
  const std::uint32_t index = c.index();
  if (!c.valid() || index >= capacity_ || full()) return none;
  grow_to(index + 1);
  if (used_[index]) return none;
  install(index, t, c.generation());
  return index;
}

void connection_table::release(std::uint32_t index) {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t hole = at(index).hash & mask;
  ++steps;
  for (; buckets_[hole] != index; hole = (hole + 1) & mask) ++steps;
  for (std::size_t b = (hole + 1) & mask; buckets_[b] != none; b = (b + 1) & mask) {
    ++steps;
    const std::size_t home = at(buckets_[b]).hash & mask;
    if (((b - home) & mask) >= ((b - hole) & mask)) {
      buckets_[hole] = buckets_[b];
      hole = b;
    }
  }
  buckets_[hole] = none;
  tcp_connection& c = at(index);
  const cid next{index, c.generation + 1u};
  c.generation = static_cast<std::uint16_t>(next.valid() ? next.generation() : 0);
  used_[index] = 0;
  --size_;
  link_free(index);
}

}  // namespace understudy
