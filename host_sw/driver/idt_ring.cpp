#include "host_sw/driver/idt_ring.h"

#include <bit>
#include <cstring>

#include "model/abi/crc32c.h"

namespace understudy::host {

static_assert(std::endian::native == std::endian::little, "descriptors and records are copied as they stand");

bool idt_ring::create(hal& h, std::uint32_t entries, std::uint32_t first) {
  hal_ = &h;
  if (!memory_.cpu || entries_ != entries) {
    if (memory_.cpu) h.dma_free(memory_);
    memory_ = h.dma_alloc(static_cast<std::size_t>(entries) * US_ENTRY_BYTES);
  }
  entries_ = entries;
  head_ = tail_ = announced_ = first;
  waiting_.clear();
  notes_.assign(static_cast<std::size_t>(entries) * 4, note{});
  return memory_.cpu != nullptr;
}

void idt_ring::store(us_idt_entry e) {
  e.index16 = static_cast<std::uint16_t>(tail_);
  e.crc = crc32c(&e, offsetof(us_idt_entry, crc));
  const std::size_t place = static_cast<std::size_t>(tail_ & (entries_ - 1)) * US_ENTRY_BYTES;
  std::memcpy(memory_.cpu + place, &e, sizeof e);
  hal_->cpu_wrote(memory_.iova + place, sizeof e);
  ++tail_;
  ++written_;
  hal_->spend(work::write_descriptor, 1);
}

std::uint32_t idt_ring::push(us_idt_entry e) {
  const std::uint32_t index = next();
  note& n = notes_[index & (notes_.size() - 1)];
  n = {index, e.opcode, e.cid, US_NO_BUF};
  if (e.opcode == US_OP_POST_RX || e.opcode == US_OP_POST_POOL) n.buf_id = e.u.rx.buf_id;
  if (waiting_.empty() && tail_ - head_ < entries_) {
    store(e);
  } else {
    waiting_.push_back(e);
  }
  return index;
}

bool idt_ring::consumed_to(std::uint32_t head) {
  if (head_ - head <= entries_) return true;
  if (head - head_ > announced_ - head_) return false;
  head_ = head;
  while (!waiting_.empty() && tail_ - head_ < entries_) {
    store(waiting_.front());
    waiting_.pop_front();
  }
  return true;
}

bool idt_ring::take_doorbell(std::uint32_t* tail) {
  if (announced_ == tail_) return false;
  *tail = announced_ = tail_;
  return true;
}

void idt_ring::stop() {
  waiting_.clear();
  announced_ = tail_;
}

const idt_ring::note* idt_ring::find(std::uint32_t index, bool unchecked) const {
  const note& n = notes_[index & (notes_.size() - 1)];
  if (n.opcode == US_OP_NOP || (n.index != index && !unchecked)) return nullptr;
  return &n;
}

}  // namespace understudy::host
