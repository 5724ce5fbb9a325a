// The DMA engine's data path: how transfers are cut into requests, and what the hardware block
// (rtl/dma_engine.sv) does with a stream of them, cycle by cycle. This is its C++ twin.
#pragma once
#include <cstdint>
#include <vector>

namespace understudy {

enum class dma_op : std::uint8_t {
  write,  // packet memory to host
  read,   // host to packet memory
  flush,  // a zero-length read behind the writes before it (PCIe 2.4.1)
};
enum class dma_status : std::uint8_t {
  ok,
  bad_descriptor,  // length 0 or above dma_max_bytes, or a range beyond the address space: nothing moved
  not_atomic,      // no_fragment was asked for where dma_atomic() says no: nothing moved
  failed,          // a completion other than successful; the bytes say how much is there
};

constexpr std::uint32_t dma_max_bytes = 1u << 20;  // of a transfer
// The unit of atomic writes: what starts at a multiple of it and is not longer goes in one request, and is in
// host memory whole or not at all.
constexpr std::uint32_t dma_atomic_bytes = 64;
constexpr std::uint32_t dma_block_tags = 64;  // that the hardware block has
constexpr std::uint32_t dma_page = 4096;      // no request crosses a multiple of it (PCIe 2.2.7)

constexpr bool dma_atomic(std::uint64_t address, std::uint64_t length) {
  return address % dma_atomic_bytes == 0 && length <= dma_atomic_bytes;
}

// ok, or why a write or read of this range is refused.
dma_status dma_check(std::uint64_t address, std::uint64_t length, bool no_fragment);

// Bytes of the first request of `left` > 0 bytes at `address`; `limit` is Max_Payload_Size of a write,
// Max_Read_Request_Size of a read, which count the whole DWs that the bytes lie in (PCIe 2.2.7).
constexpr std::uint32_t dma_first_request(std::uint64_t address, std::uint64_t left, std::uint32_t limit) {
  std::uint64_t n = dma_page - address % dma_page;
  const std::uint64_t in_words = limit - address % 4;
  if (in_words < n) n = in_words;
  return static_cast<std::uint32_t>(left < n ? left : n);
}

// Cycles from one request of a busy block to the next, when nothing makes it wait: a read or flush 1, a write
// one for each beat. From an unaligned source (`local`: where the bytes lie in packet memory) a beat is
// joined from two, and the first of them moves aside before the write begins: one cycle more, which nobody
// sees if a read went out in it (`behind_read`).
constexpr std::uint32_t dma_request_cycles(dma_op op, std::uint64_t local, std::uint32_t length,
                                           std::uint32_t data_bytes, bool behind_read) {
  if (op != dma_op::write) return 1;
  return (length + data_bytes - 1) / data_bytes + (local % data_bytes != 0 && !behind_read);
}

struct dma_descriptor {
  dma_op op = dma_op::write;
  bool no_fragment = false;
  std::uint64_t address = 0;  // in host memory
  std::uint32_t local = 0;    // in packet memory
  std::uint32_t length = 0;   // bytes; of a flush ignored
  std::uint16_t id = 0;       // the caller's name of it, in requests and the report
};

// ---- A run: descriptors, and the surroundings in which the block works.

enum class dma_port : std::uint8_t { tx, ram_read, ram_write, done };
enum class dma_order : std::uint8_t {
  in_order,
  reversed,  // of eight requests the last is answered first
  random,
};

struct dma_workload {
  std::vector<dma_descriptor> descriptors;  // each has an id of its own
  std::uint32_t descriptor_gap = 0;         // cycles between offers; 0: offered as fast as they are taken
  std::uint32_t mps = 256, mrrs = 512;
  std::uint32_t tags = dma_block_tags;  // outstanding at most; their numbers are below it
  std::uint32_t data_bytes = 32;        // 8, 16, 32 or 64
  std::uint64_t seed = 1;
  std::uint32_t ready_percent[4] = {100, 100, 100, 100};  // of the cycles, by dma_port
  std::uint32_t ram_latency = 2;                          // cycles from an address to its beat; 1 or more
  std::uint32_t completion_latency = 60;                  // cycles from a request to its first completion
  std::uint32_t completion_bytes = 256;                   // of a completion, at most; a multiple of 64
  dma_order order = dma_order::in_order;
  std::uint32_t fail_one_in = 0;     // requests answered with an error behind their first completion; 0: none
  std::vector<std::uint8_t> memory;  // packet memory before the run
};

// What stands in host memory at `address`, and whether the other side of a port is ready in a cycle.
std::uint8_t dma_host_byte(const dma_workload& w, std::uint64_t address);
bool dma_ready(const dma_workload& w, dma_port port, std::uint64_t cycle);

// The completions with which the host answers a read or flush: cycles behind the request, bytes, success.
struct dma_completion {
  std::uint64_t after = 0;
  std::uint32_t length = 0;
  bool ok = true;
};
void dma_answer(const dma_workload& w, dma_op op, std::uint64_t address, std::uint32_t length,
                std::vector<dma_completion>& out);

struct dma_request {
  dma_op op = dma_op::write;
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t id = 0;
  std::uint64_t cycle = 0;              // in which its last beat was taken
  std::vector<std::uint8_t> payload{};  // of a write
  std::uint32_t tag = 0;                // of a read or flush
};
struct dma_outcome {  // of a descriptor
  std::uint16_t id = 0;
  dma_status status = dma_status::ok;
  std::uint32_t bytes = 0;     // moved
  std::uint64_t accepted = 0;  // cycles
  std::uint64_t reported = 0;
};
struct dma_trace {
  std::vector<dma_request> writes, reads;  // flushes are among the writes; each in order
  std::vector<dma_outcome> outcomes;       // one a descriptor, in the order of descriptors
  std::vector<std::uint8_t> memory;        // packet memory after the run
  std::uint64_t cycles = 0;                // from the first offer to the last report
};

// What the hardware does with the workload. Cycles and tags are the hardware's as long as reports are taken
// before 4 refusals, or 8 reports of reads or of writes, wait: then it holds intake, completions or requests
// up, and this does not.
dma_trace run_dma_block(const dma_workload& w);

}  // namespace understudy
