// DMA memory of applications: who may lend which bytes to an adapter, and what is lent at this instant.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "host_sw/hal/hal.h"

namespace understudy::host {

// Why memory was not taken, or not given back. Nothing has changed then.
enum class buffer_status : std::uint8_t {
  ok,
  zero_length,    // a buffer has at least one byte
  too_long,       // of one buffer: 2^20 bytes
  misaligned,     // a receive buffer begins and ends at a multiple of 64 bytes
  unmapped,       // not inside memory from allocate()
  foreign,        // another process's memory
  double_posted,  // posted to receive, and not filled yet
  overlapping,    // a part of it is posted
  adapter_owns,   // memory cannot go while a part of it is posted
  bad_state,      // the connection takes no more
  no_room,        // too much is outstanding, or the last buffer name is in use
};
const char* name(buffer_status s);

class app_memory {
 public:
  static constexpr std::uint32_t line = 64;  // granularity of receive buffers
  static constexpr std::uint32_t longest = 1u << 20;

  explicit app_memory(hal& h) : hal_(h) {}

  // Zeroed DMA memory for a process; cpu is null if there is none.
  dma_region allocate(std::size_t bytes, std::uint32_t process);
  buffer_status free(const std::uint8_t* at);

  // Lend [at, at + bytes) to be written by an adapter: exclusively. `iova` is where it finds it.
  buffer_status lend_to_write(const std::uint8_t* at, std::size_t bytes, std::uint32_t process,
                              std::uint64_t* iova);
  // To be read: many may read the same bytes.
  buffer_status lend_to_read(const std::uint8_t* at, std::size_t bytes, std::uint32_t process,
                             std::uint64_t* iova);
  void return_written(const std::uint8_t* at, std::size_t bytes);
  void return_read(const std::uint8_t* at, std::size_t bytes);
  // Where an adapter finds what lies at `at`; 0: in no memory from allocate().
  std::uint64_t iova_of(const std::uint8_t* at) const;
  // Bytes that are lent, in whole lines.
  std::uint64_t lent_bytes() const { return lent_lines_ * line; }

 private:
  struct region {
    dma_region memory;
    std::uint32_t process = 0;
    std::vector<std::uint8_t> lines;  // 0: the application's; `writing`; else how often it is lent to read
  };
  static constexpr std::uint8_t writing = 255;
  buffer_status find(const std::uint8_t* at, std::size_t bytes, std::uint32_t process, region** r);
  template <typename F>
  static void each_line(region& r, const std::uint8_t* at, std::size_t bytes, F f);
  region& containing(const std::uint8_t* at);

  hal& hal_;
  std::map<const std::uint8_t*, region> regions_;  // by address
  std::uint64_t lent_lines_ = 0;
};

}  // namespace understudy::host
