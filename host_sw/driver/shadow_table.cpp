#include "host_sw/driver/shadow_table.h"

#include <cstring>

#include "host_sw/driver/siphash.h"

namespace understudy::host {

std::size_t shadow_table::hash(const tuple_key& k) const {
  std::uint64_t words[3] = {};
  std::memcpy(words, k.peer_ip.data(), 16);
  words[2] = std::uint64_t{k.addr_index} << 32 | std::uint64_t{k.local_port} << 16 | k.peer_port;
  return siphash(secret_, words, sizeof words);
}

connection* shadow_table::create(const tuple_key& key) {
  std::uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() >= (1u << slot_bits)) return nullptr;
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  connection& c = slots_[slot];
  // Never 0, which with slot 0 would be no_conn.
  constexpr std::uint32_t generations = (1u << (32 - slot_bits)) - 1;
  c.generation = c.generation % generations + 1;
  c.handle = slot | c.generation << slot_bits;
  c.key = key;
  by_tuple_.insert(slot);
  ++used_;
  return &c;
}

void shadow_table::erase(connection& c) {
  unbind(c);
  const std::uint32_t slot = slot_of(c.handle);
  const std::uint32_t generation = c.generation;
  ring_queue<rx_range> rx = std::move(c.rx);
  c = connection{};
  c.generation = generation;
  c.rx = std::move(rx);
  c.rx.clear();
  free_.push_back(slot);
  --used_;
}

connection* shadow_table::find(conn handle) {
  const std::uint32_t slot = slot_of(handle);
  if (slot >= slots_.size() || handle == no_conn) return nullptr;
  connection& c = slots_[slot];
  return c.handle == handle ? &c : nullptr;
}

connection* shadow_table::find(const tuple_key& key) {
  const auto it = by_tuple_.find(key);
  return it == by_tuple_.end() ? nullptr : &slots_[*it];
}

connection* shadow_table::find(cid id) {
  if (!id.valid() || id.index() >= by_index_.size()) return nullptr;
  connection* c = find(by_index_[id.index()]);
  return c && c->id == id ? c : nullptr;
}

bool shadow_table::index_in_use(std::uint32_t cid_index) const {
  return cid_index < by_index_.size() && by_index_[cid_index] != no_conn;
}

void shadow_table::bind(connection& c, cid id) {
  if (id.index() >= by_index_.size()) by_index_.resize(id.index() + 1, no_conn);
  by_index_[id.index()] = c.handle;
  c.id = c.last_id = id;
}

void shadow_table::unbind(connection& c) {
  if (c.id.valid()) by_index_[c.id.index()] = no_conn;
  c.id = cid{};
  const auto it = by_tuple_.find(c.key);
  if (it != by_tuple_.end() && *it == slot_of(c.handle)) by_tuple_.erase(it);
}

}  // namespace understudy::host
