// DMA that takes its time: under way both ways, for a reset to come in the middle of, or unanswered for long.
#pragma once
#include <cstdint>

#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {

// A slow link, so that a reset falls into the middle of transfers.
inline pcie_config slow_link() {
  pcie_config c;
  c.link.generation = 1;
  c.link.lanes = 1;
  return c;
}

// Reads that time out after `t`, and memory that answers after `t`.
inline adapter_config times_out_after(picos t) {
  adapter_config c;
  c.dma.completion_timeout = t;
  return c;
}
inline pcie_config answers_after(picos t) {
  pcie_config c;
  c.read_latency = t;
  return c;
}

// A frame of the host's own stack.
inline void post_raw(adapter_rig& g, std::uint64_t at, std::uint32_t bytes) {
  us_idt_entry e{};
  e.opcode = US_OP_SEND_RAW;
  e.cid = US_NO_CID;
  e.u.send.iova_lo = static_cast<std::uint32_t>(at);
  e.u.send.iova_hi = static_cast<std::uint32_t>(at >> 32);
  e.u.send.len = bytes;
  g.post(e);
}

// A command that is answered by a record.
inline void post_refused(adapter_rig& g) {
  us_idt_entry e{};
  e.opcode = 99;
  g.post(e);
}

// Four frames of 9000 bytes, 9216 apart in the memory returned, are read while 40 records are written: for
// `after`, from the first write on. The adapter is up.
inline host_memory::region dma_under_way(adapter_rig& g, picos after) {
  const auto m = g.memory.allocate(65536, 4096);
  for (int i = 0; i < 65536; ++i) m.cpu[i] = static_cast<std::uint8_t>(i * 37 + i / 251);
  for (int i = 0; i < 4; ++i) {
    post_raw(g, m.iova + static_cast<std::uint64_t>(i) * 9216, 9000);
    for (int k = 0; k < 10; ++k) post_refused(g);
  }
  g.ring(100_ns);
  EXPECT_TRUE(g.run_until([&] { return g.dev.dma.queued_write_bytes() > 0; }, 100_ns));
  g.run(after);
  return m;
}

}  // namespace understudy::tb
