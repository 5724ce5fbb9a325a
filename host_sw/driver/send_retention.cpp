#include "host_sw/driver/send_retention.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace understudy::host {

void send_retention::store(hal& h, seq32 at, const std::uint8_t* data, std::uint32_t bytes) {
  const std::uint32_t offset = place(at);
  const auto head = std::min(bytes, static_cast<std::uint32_t>(memory_.bytes) - offset);
  std::memcpy(memory_.cpu + offset, data, head);
  h.cpu_wrote(memory_.iova + offset, head);
  if (head == bytes) return;
  std::memcpy(memory_.cpu, data + head, bytes - head);
  h.cpu_wrote(memory_.iova, bytes - head);
}

send_range send_retention::piece(seq32 from, seq32 to) const {
  constexpr std::uint32_t longest = 1u << 20;  // of a SEND descriptor
  const std::uint32_t offset = place(from);
  const auto room = static_cast<std::uint32_t>(memory_.bytes) - offset;
  const std::uint32_t len = std::min({to.minus(from), room, longest});
  return {memory_.iova + offset, len, from + len, memory_.cpu + offset};
}

dma_region retention_memory::take(std::uint32_t bytes) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(bytes, 4096));
  auto& list = free_[size];
  if (list.empty()) {
    dma_region r = hal_.dma_alloc(size);
    r.bytes = size;
    return r;
  }
  const dma_region r = list.back();
  list.pop_back();
  return r;
}

}  // namespace understudy::host
