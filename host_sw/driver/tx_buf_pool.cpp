#include "host_sw/driver/tx_buf_pool.h"

#include <algorithm>

namespace understudy::host {

namespace {
std::uint32_t whole_lines(std::uint32_t bytes) {
  return (bytes + tx_buf_pool::cache_line - 1) / tx_buf_pool::cache_line * tx_buf_pool::cache_line;
}
}  // namespace

bool tx_buf_pool::create(hal& h, unsigned interface, const tx_pool_config& c) {
  if (c.headroom > max_headroom || c.payload == 0 || c.buffers == 0) return false;
  mode_ = c.mode;
  headroom_ = c.mode == headroom_mode::fixed ? fixed_headroom : c.headroom;
  const std::uint32_t size = whole_lines(max_headroom + c.payload);
  const dma_region all = h.dma_alloc(std::size_t{size} * c.buffers);
  if (!all.cpu) return false;
  mapped_ = 1;
  buffers_.resize(c.buffers);
  for (std::uint32_t i = 0; i < c.buffers; ++i) {
    tx_buffer& b = buffers_[i];
    b.base = all.cpu + std::size_t{size} * i;
    b.iova = all.iova + std::uint64_t{size} * i;
    b.size = size;
    b.interface = interface;
  }
  for (auto b = buffers_.rbegin(); b != buffers_.rend(); ++b) free_.push_back(&*b);
  return true;
}

tx_buffer* tx_buf_pool::take() {
  if (free_.empty()) {
    ++empty_;
    return nullptr;
  }
  tx_buffer* b = free_.back();
  free_.pop_back();
  b->taken = true;
  b->headroom = headroom_;
  return b;
}

void tx_buf_pool::give_back(tx_buffer& b) {
  if (!b.taken) return;
  b.taken = false;
  free_.push_back(&b);
}

void tx_buf_pool::saw_header(std::uint32_t bytes) {
  if (mode_ != headroom_mode::dynamic || bytes <= headroom_) return;
  headroom_ = std::min(whole_lines(bytes), max_headroom);
}

}  // namespace understudy::host
