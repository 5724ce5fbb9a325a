// The memory that host and adapters share: one sparse region of which only touched pages cost anything.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace understudy {

// Bus addresses do not depend on where the operating system puts the region. Copied on write by a forked
// process.
class host_memory {
 public:
  static constexpr std::uint64_t base_address = 0x1'0000'0000;
  static constexpr std::uint64_t default_bytes = 64ull << 30, least_bytes = 1ull << 30;

  // Reserves `bytes` of address space. std::system_error if the operating system refuses.
  explicit host_memory(std::uint64_t bytes);
  // The same with `default_bytes`, halved until the operating system gives them (`ulimit -v`, valgrind), to
  // `least_bytes` at least.
  host_memory();
  ~host_memory();
  host_memory(const host_memory&) = delete;
  host_memory& operator=(const host_memory&) = delete;

  struct region {
    std::uint8_t* cpu = nullptr;  // null: there is no room left
    std::uint64_t iova = 0;
  };
  // Zeroed memory at a multiple of `align` (a power of two, at least 1); `bytes` > 0. A released range of the
  // same size and a fitting alignment is used again, last released first; otherwise the region grows.
  region allocate(std::size_t bytes, std::size_t align = 64);
  // Give back what allocate() returned with this address. False: there is no such allocation.
  bool release(std::uint64_t iova);

  // Where the `len` bytes at `iova` are; null unless all of them lie in the range that allocations have
  // reached so far.
  std::uint8_t* at(std::uint64_t iova, std::uint64_t len);
  // False, and nothing copied, where at() is null.
  bool read(std::uint64_t iova, void* to, std::size_t len);
  bool write(std::uint64_t iova, const void* from, std::size_t len);

 private:
  std::uint8_t* memory_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t used_ = 0;                     // bytes below the highest address handed out so far
  std::map<std::uint64_t, std::size_t> live_;  // offset -> bytes
  std::map<std::size_t, std::vector<std::uint64_t>> free_;  // bytes -> offsets
};

}  // namespace understudy
