// A ring of descriptors that the host writes and the adapter reads: its input table, or a transmit queue.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/driver/ring_queue.h"
#include "host_sw/hal/hal.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

class idt_ring {
 public:
  // What the driver remembers of a descriptor, whatever the device does to the table.
  struct note {
    std::uint32_t index = 0;
    std::uint8_t opcode = US_OP_NOP;
    std::uint32_t cid = US_NO_CID;
    std::uint32_t buf_id = US_NO_BUF;  // POST_RX, POST_POOL
  };

  // Memory for `entries` (a power of two) descriptors, the first of which has the index `first`; what it has
  // already is used again. False: none left.
  bool create(hal& h, std::uint32_t entries, std::uint32_t first = 0);
  // Number, seal and store a descriptor; when the table is full it waits its turn. Returns its free-running
  // index.
  std::uint32_t push(us_idt_entry e);
  // The adapter says that it has consumed everything before `head`. False, and no effect, if that contradicts
  // what it was given. Waiting descriptors move into the freed slots. What it said before is old news,
  // without effect: a record may come behind a register that was read later than the record was written.
  bool consumed_to(std::uint32_t head);
  // The new tail, once for each burst: true if the adapter has not been told of it yet.
  bool take_doorbell(std::uint32_t* tail);
  // The adapter is gone: nothing waits any more.
  void stop();

  // Null: too old, or never pushed. `unchecked` is a deliberate fault: whatever lies in its place.
  const note* find(std::uint32_t index, bool unchecked = false) const;
  std::uint32_t next() const { return tail_ + static_cast<std::uint32_t>(waiting_.size()); }
  std::uint32_t consumed() const { return head_; }
  bool announced() const { return announced_ == tail_; }
  std::uint32_t told() const { return announced_; }
  std::size_t waiting() const { return waiting_.size(); }
  std::uint32_t entries() const { return entries_; }
  std::uint64_t iova() const { return memory_.iova; }
  std::uint64_t written() const { return written_; }

 private:
  void store(us_idt_entry e);
  hal* hal_ = nullptr;
  dma_region memory_;
  std::uint32_t entries_ = 0;
  std::uint32_t head_ = 0;       // consumed by the adapter
  std::uint32_t tail_ = 0;       // written into the table
  std::uint32_t announced_ = 0;  // told to the adapter
  std::uint64_t written_ = 0;
  ring_queue<us_idt_entry> waiting_;
  std::vector<note> notes_;
};

}  // namespace understudy::host
