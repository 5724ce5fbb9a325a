// The receive buffers that adapters may write, as the driver said when it posted them: one table for all
// monitors, by name and by address.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <unordered_map>

#include "model/abi/ids.h"

namespace understudy::tb {

struct posted_buffer {
  std::uint32_t length = 0;  // from its address on
  std::uint32_t taken = 0;   // first bytes of it that the driver has had a record of: the host's again
  unsigned adapter = 0;
  buf_id name{};
};

// Allocates only while more buffers are posted than ever before.
class posted_buffers {
 public:
  using by_address = std::pmr::multimap<std::uint64_t, posted_buffer>;
  using entry = by_address::value_type;  // address, buffer

  // No buffer of that name is posted.
  void post(unsigned adapter, buf_id b, iova at, std::uint32_t length);
  void take_back(buf_id b);
  // The driver has had a record of `bytes` more of it. All that is left of it is taken back by take_back().
  void take(buf_id b, std::uint32_t bytes);

  // The buffer whose bytes, taken or not, `at` is one of. Null: of none.
  const entry* holding(std::uint64_t at) const;
  // A buffer that an adapter may write at one of `length` bytes at `at`. Null: none.
  const entry* overlapping(std::uint64_t at, std::uint64_t length) const;
  std::size_t size() const { return by_name_.size(); }

 private:
  std::pmr::unsynchronized_pool_resource nodes_;
  by_address buffers_{&nodes_};
  std::pmr::unordered_map<std::uint32_t, by_address::iterator> by_name_{&nodes_};  // looked up, never walked
  mutable const entry* last_held_ = nullptr;
};

}  // namespace understudy::tb
