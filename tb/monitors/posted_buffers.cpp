#include "tb/monitors/posted_buffers.h"

#include <iterator>

namespace understudy::tb {

namespace {
bool holds(const posted_buffers::entry& e, std::uint64_t at) {
  return at >= e.first && at < e.first + e.second.length;
}
}  // namespace

void posted_buffers::post(unsigned adapter, buf_id b, iova at, std::uint32_t length) {
  by_name_.emplace(b.raw,
                   buffers_.emplace_hint(buffers_.end(), at.raw, posted_buffer{length, 0, adapter, b}));
}

void posted_buffers::take_back(buf_id b) {
  const auto it = by_name_.find(b.raw);
  if (it == by_name_.end()) return;
  if (last_held_ == &*it->second) last_held_ = nullptr;
  buffers_.erase(it->second);
  by_name_.erase(it);
}

void posted_buffers::take(buf_id b, std::uint32_t bytes) {
  const auto it = by_name_.find(b.raw);
  if (it == by_name_.end()) return;
  posted_buffer& p = it->second->second;
  if (bytes < p.length - p.taken) p.taken += bytes;
}

const posted_buffers::entry* posted_buffers::holding(std::uint64_t at) const {
  if (last_held_ && holds(*last_held_, at)) return last_held_;
  const auto after = buffers_.upper_bound(at);
  if (after == buffers_.begin() || !holds(*std::prev(after), at)) return nullptr;
  return last_held_ = &*std::prev(after);
}

const posted_buffers::entry* posted_buffers::overlapping(std::uint64_t at, std::uint64_t length) const {
  auto it = buffers_.lower_bound(at + length);
  while (it != buffers_.begin()) {
    --it;
    const auto& [begin, buffer] = *it;
    if (begin + buffer.length <= at) return nullptr;
    if (begin + buffer.taken < at + length) return &*it;
  }
  return nullptr;
}

}  // namespace understudy::tb
