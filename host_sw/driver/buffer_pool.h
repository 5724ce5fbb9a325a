// Receive buffers: equal pieces of DMA memory, each with one holder at any time.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/hal/hal.h"
#include "model/abi/ids.h"

namespace understudy::host {

enum class buffer_holder : std::uint8_t {
  nobody,
  adapter_pool,  // posted for whichever connection comes next
  connection,    // posted for, or filled for, one connection
};

struct rx_buffer {
  std::uint8_t* cpu = nullptr;
  std::uint64_t iova = 0;
  buffer_holder holder = buffer_holder::nobody;
  unsigned adapter = 0;          // of adapter_pool
  std::uint32_t generation = 0;  // high bits of its name: a name from before it was given back is recognised
};

class buffer_pool {
 public:
  void create(hal& h, std::uint32_t bytes_each);
  // A buffer that nobody holds. Invalid: no memory is left.
  buf_id take(buffer_holder holder, unsigned adapter);
  // Back to nobody; its name is void from now on.
  void give_back(buf_id id);
  // Null: no buffer of that name. Any value may be asked for.
  rx_buffer* find(buf_id id);

  std::uint32_t bytes_each() const { return bytes_; }
  std::size_t free() const { return free_.size(); }
  std::size_t total() const { return buffers_.size(); }
  // Names of the buffers in the pool of `adapter`, in order of index.
  std::vector<buf_id> in_pool_of(unsigned adapter) const;

 private:
  static constexpr std::uint32_t index_bits = 20;
  static constexpr std::uint32_t slab_buffers = 32;
  static constexpr std::uint32_t max_buffers = (1u << index_bits) - 1;
  bool grow();
  static buf_id name(std::uint32_t index, std::uint32_t generation) {
    return buf_id{index | generation << index_bits};
  }
  hal* hal_ = nullptr;
  std::uint32_t bytes_ = 0;
  std::vector<rx_buffer> buffers_;
  std::vector<std::uint32_t> free_;
};

}  // namespace understudy::host
