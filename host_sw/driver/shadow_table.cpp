#include "host_sw/driver/shadow_table.h"

namespace understudy::host {

connection* shadow_table::create(const tuple_key& key) {
  std::uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() + 1 >= (1u << slot_bits)) return nullptr;
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  connection& c = slots_[slot];
  c.generation = (c.generation + 1) & ((1u << (32 - slot_bits)) - 1);
  c.handle = (slot + 1) | c.generation << slot_bits;
  c.key = key;
  by_tuple_[key] = c.handle;
  ++used_;
  return &c;
}

void shadow_table::erase(connection& c) {
  unbind(c);
  const std::uint32_t slot = (c.handle & ((1u << slot_bits) - 1)) - 1;
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
  const std::uint32_t number = handle & ((1u << slot_bits) - 1);
  if (number == 0 || number > slots_.size()) return nullptr;
  connection& c = slots_[number - 1];
  return c.handle == handle ? &c : nullptr;
}

connection* shadow_table::find(const tuple_key& key) {
  const auto it = by_tuple_.find(key);
  return it == by_tuple_.end() ? nullptr : find(it->second);
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
  if (it != by_tuple_.end() && it->second == c.handle) by_tuple_.erase(it);
}

}  // namespace understudy::host
