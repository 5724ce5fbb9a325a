#include "host_sw/driver/buffer_pool.h"

namespace understudy::host {

bool buffer_pool::add_group(hal& h, std::uint32_t bytes_each, std::uint32_t buffers) {
  hal_ = &h;
  groups_.push_back({bytes_each, buffers != 0, 0, {}});
  return buffers == 0 || grow(static_cast<unsigned>(groups_.size() - 1), buffers);
}

bool buffer_pool::grow(unsigned number, std::uint32_t buffers) {
  group& g = groups_[number];
  if (buffers_.size() + buffers > max_buffers) return false;
  const dma_region slab = hal_->dma_alloc(static_cast<std::size_t>(g.bytes) * buffers);
  if (!slab.cpu) return false;
  const auto first = static_cast<std::uint32_t>(buffers_.size());
  for (std::uint32_t i = 0; i < buffers; ++i) {
    rx_buffer b;
    b.cpu = slab.cpu + static_cast<std::size_t>(i) * g.bytes;
    b.iova = slab.iova + static_cast<std::uint64_t>(i) * g.bytes;
    b.bytes = g.bytes;
    b.group = static_cast<std::uint8_t>(number);
    buffers_.push_back(b);
  }
  for (std::uint32_t i = buffers; i-- > 0;) g.free.push_back(first + i);
  g.total += buffers;
  return true;
}

buf_id buffer_pool::take(unsigned number, buffer_holder holder, unsigned adapter) {
  group& g = groups_[number];
  if (g.free.empty() && (g.limited || !grow(number, slab_buffers))) return {};
  const std::uint32_t index = g.free.back();
  g.free.pop_back();
  rx_buffer& b = buffers_[index];
  b.holder = holder;
  b.adapter = static_cast<std::uint8_t>(adapter);
  return name(index, b.generation);
}

buf_id buffer_pool::lend(std::uint8_t* cpu, std::uint64_t iova, std::uint32_t bytes) {
  if (unlent_.empty()) {
    if (buffers_.size() >= max_buffers) return {};
    unlent_.push_back(static_cast<std::uint32_t>(buffers_.size()));
    buffers_.emplace_back();
  }
  const std::uint32_t index = unlent_.back();
  unlent_.pop_back();
  rx_buffer& b = buffers_[index];
  b.cpu = cpu;
  b.iova = iova;
  b.bytes = bytes;
  b.holder = buffer_holder::application;
  return name(index, b.generation);
}

void buffer_pool::give_back(buf_id id, bool mixed_up) {
  rx_buffer* b = find(id);
  if (!b) return;
  const std::uint32_t index = id.raw & ((1u << index_bits) - 1);
  const std::size_t number = mixed_up ? (b->group + 1) % groups_.size() : b->group;
  (b->holder == buffer_holder::application ? unlent_ : groups_[number].free).push_back(index);
  b->holder = buffer_holder::nobody;
  b->generation = (b->generation + 1) & ((1u << (32 - index_bits)) - 1);
}

rx_buffer* buffer_pool::find(buf_id id) {
  const std::uint32_t index = id.raw & ((1u << index_bits) - 1);
  if (index >= buffers_.size()) return nullptr;
  rx_buffer& b = buffers_[index];
  if (b.holder == buffer_holder::nobody || b.generation != id.raw >> index_bits) return nullptr;
  return &b;
}

std::size_t buffer_pool::free() const {
  std::size_t n = 0;
  for (const group& g : groups_) n += g.free.size();
  return n;
}

std::size_t buffer_pool::total() const {
  std::size_t n = 0;
  for (const group& g : groups_) n += g.total;
  return n;
}

std::vector<buf_id> buffer_pool::in_pool_of(unsigned adapter) const {
  std::vector<buf_id> r;
  for (std::uint32_t i = 0; i < buffers_.size(); ++i) {
    const rx_buffer& b = buffers_[i];
    if (b.holder == buffer_holder::adapter_pool && b.adapter == adapter) r.push_back(name(i, b.generation));
  }
  return r;
}

}  // namespace understudy::host
