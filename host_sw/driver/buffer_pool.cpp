#include "host_sw/driver/buffer_pool.h"

namespace understudy::host {

void buffer_pool::create(hal& h, std::uint32_t bytes_each) {
  hal_ = &h;
  bytes_ = bytes_each;
}

bool buffer_pool::grow() {
  if (buffers_.size() + slab_buffers > max_buffers) return false;
  const dma_region slab = hal_->dma_alloc(static_cast<std::size_t>(bytes_) * slab_buffers);
  if (!slab.cpu) return false;
  const auto first = static_cast<std::uint32_t>(buffers_.size());
  for (std::uint32_t i = 0; i < slab_buffers; ++i) {
    rx_buffer b;
    b.cpu = slab.cpu + static_cast<std::size_t>(i) * bytes_;
    b.iova = slab.iova + static_cast<std::uint64_t>(i) * bytes_;
    buffers_.push_back(b);
  }
  for (std::uint32_t i = slab_buffers; i-- > 0;) free_.push_back(first + i);
  return true;
}

buf_id buffer_pool::take(buffer_holder holder, unsigned adapter) {
  if (free_.empty() && !grow()) return {};
  const std::uint32_t index = free_.back();
  free_.pop_back();
  rx_buffer& b = buffers_[index];
  b.holder = holder;
  b.adapter = adapter;
  return name(index, b.generation);
}

void buffer_pool::give_back(buf_id id) {
  rx_buffer* b = find(id);
  if (!b) return;
  b->holder = buffer_holder::nobody;
  b->generation = (b->generation + 1) & ((1u << (32 - index_bits)) - 1);
  free_.push_back(id.raw & ((1u << index_bits) - 1));
}

rx_buffer* buffer_pool::find(buf_id id) {
  const std::uint32_t index = id.raw & ((1u << index_bits) - 1);
  if (index >= buffers_.size()) return nullptr;
  rx_buffer& b = buffers_[index];
  if (b.holder == buffer_holder::nobody || b.generation != id.raw >> index_bits) return nullptr;
  return &b;
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
