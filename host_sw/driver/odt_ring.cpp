#include "host_sw/driver/odt_ring.h"

#include <cstring>

#include "model/abi/crc32c.h"

namespace understudy::host {

bool odt_ring::create(hal& h, std::uint32_t entries, std::uint32_t first) {
  entries_ = entries;
  head_ = first;
  memory_ = h.dma_alloc(static_cast<std::size_t>(entries) * US_ENTRY_BYTES);
  return memory_.cpu != nullptr;
}

bool odt_ring::valid(std::uint32_t index, us_record* out) const {
  std::memcpy(out, memory_.cpu + static_cast<std::size_t>(index & (entries_ - 1)) * US_ENTRY_BYTES,
              sizeof *out);
  return out->type != US_REC_NONE && out->number == index &&
         out->crc == crc32c(out, offsetof(us_record, crc));
}

bool odt_ring::loud_waits() const {
  us_record r;
  for (std::uint32_t n = 0; n < entries_; ++n) {
    if (!valid(head_ + n, &r)) return valid(head_ + n + 1, &r);
    if (!(r.flags & US_REC_FLAG_QUIET)) return true;
  }
  return true;
}

odt_ring::look odt_ring::peek(us_record* out) const {
  if (valid(head_, out)) return look::record;
  us_record successor;
  return valid(head_ + 1, &successor) ? look::corrupt : look::nothing;
}

}  // namespace understudy::host
