#include "host_sw/driver/app_memory.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace understudy::host {

const char* name(buffer_status s) {
  static constexpr const char* names[] = {"ok",           "zero length", "too long",      "misaligned",
                                          "unmapped",     "foreign",     "double posted", "overlapping",
                                          "adapter owns", "bad state",   "no room"};
  return names[static_cast<std::size_t>(s)];
}

dma_region app_memory::allocate(std::size_t bytes, std::uint32_t process) {
  const std::size_t size = (bytes + line - 1) / line * line;
  if (size == 0) return {};
  dma_region m = hal_.dma_alloc(size);
  if (!m.cpu) return {};
  m.bytes = size;
  regions_[m.cpu] = {m, process, std::vector<std::uint8_t>(size / line)};
  return m;
}

buffer_status app_memory::free(const std::uint8_t* at) {
  const auto it = regions_.find(at);
  if (it == regions_.end()) return buffer_status::unmapped;
  const auto& lines = it->second.lines;
  if (std::any_of(lines.begin(), lines.end(), [](std::uint8_t n) { return n != 0; }))
    return buffer_status::adapter_owns;
  hal_.dma_free(it->second.memory);
  regions_.erase(it);
  return buffer_status::ok;
}

buffer_status app_memory::find(const std::uint8_t* at, std::size_t bytes, std::uint32_t process, region** r) {
  if (bytes == 0) return buffer_status::zero_length;
  if (bytes > longest) return buffer_status::too_long;
  const auto after = regions_.upper_bound(at);
  if (after == regions_.begin()) return buffer_status::unmapped;
  region& found = std::prev(after)->second;
  const auto offset = static_cast<std::size_t>(at - found.memory.cpu);
  if (offset >= found.memory.bytes || bytes > found.memory.bytes - offset) return buffer_status::unmapped;
  if (found.process != process) return buffer_status::foreign;
  *r = &found;
  return buffer_status::ok;
}

std::uint64_t app_memory::iova_of(const std::uint8_t* at) const {
  const auto after = regions_.upper_bound(at);
  if (after == regions_.begin()) return 0;
  const dma_region& m = std::prev(after)->second.memory;
  const auto offset = static_cast<std::size_t>(at - m.cpu);
  return offset < m.bytes ? m.iova + offset : 0;
}

app_memory::region& app_memory::containing(const std::uint8_t* at) {
  return std::prev(regions_.upper_bound(at))->second;
}

template <typename F>
void app_memory::each_line(region& r, const std::uint8_t* at, std::size_t bytes, F f) {
  const auto first = static_cast<std::size_t>(at - r.memory.cpu);
  for (std::size_t i = first / line; i <= (first + bytes - 1) / line; ++i) f(r.lines[i]);
}

buffer_status app_memory::lend_to_write(const std::uint8_t* at, std::size_t bytes, std::uint32_t process,
                                        std::uint64_t* iova) {
  region* r = nullptr;
  if (const buffer_status s = find(at, bytes, process, &r); s != buffer_status::ok) return s;
  const auto offset = static_cast<std::size_t>(at - r->memory.cpu);
  if (offset % line || bytes % line) return buffer_status::misaligned;
  bool all_writing = true, any = false;
  each_line(*r, at, bytes, [&](std::uint8_t n) {
    all_writing = all_writing && n == writing;
    any = any || n != 0;
  });
  if (any) return all_writing ? buffer_status::double_posted : buffer_status::overlapping;
  each_line(*r, at, bytes, [](std::uint8_t& n) { n = writing; });
  lent_lines_ += bytes / line;
  *iova = r->memory.iova + offset;
  return buffer_status::ok;
}

buffer_status app_memory::lend_to_read(const std::uint8_t* at, std::size_t bytes, std::uint32_t process,
                                       std::uint64_t* iova) {
  region* r = nullptr;
  if (const buffer_status s = find(at, bytes, process, &r); s != buffer_status::ok) return s;
  bool written = false, full = false;
  each_line(*r, at, bytes, [&](std::uint8_t n) {
    written = written || n == writing;
    full = full || n == writing - 1;
  });
  if (written) return buffer_status::overlapping;
  if (full) return buffer_status::no_room;
  each_line(*r, at, bytes, [this](std::uint8_t& n) { lent_lines_ += n++ == 0; });
  *iova = r->memory.iova + static_cast<std::uint64_t>(at - r->memory.cpu);
  hal_.cpu_wrote(*iova, bytes);
  return buffer_status::ok;
}

void app_memory::return_written(const std::uint8_t* at, std::size_t bytes) {
  each_line(containing(at), at, bytes, [this](std::uint8_t& n) { lent_lines_ -= std::exchange(n, 0) != 0; });
}

void app_memory::return_read(const std::uint8_t* at, std::size_t bytes) {
  each_line(containing(at), at, bytes, [this](std::uint8_t& n) {
    if (n != 0 && n != writing) lent_lines_ -= --n == 0;
  });
}

}  // namespace understudy::host
