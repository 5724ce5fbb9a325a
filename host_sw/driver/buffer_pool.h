// Receive buffers: pieces of DMA memory, each with one holder at any time. Those of one group are equal and
// serve the connections of that group; an application's own memory gets a name here as well, so that a record
// can say where bytes lie.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/hal/hal.h"
#include "model/abi/ids.h"

namespace understudy::host {

enum class buffer_holder : std::uint8_t {
  nobody,
  adapter_pool,  // posted for whichever connection of its group comes next
  connection,    // posted for, or filled for, one connection
  application,   // an application's memory, posted for one connection
};

struct rx_buffer {
  std::uint8_t* cpu = nullptr;
  std::uint64_t iova = 0;
  std::uint32_t bytes = 0;
  buffer_holder holder = buffer_holder::nobody;
  std::uint8_t group = 0;
  std::uint8_t adapter = 0;      // of adapter_pool
  std::uint16_t generation = 0;  // high bits of its name: a name from before it was given back is recognised
};

class buffer_pool {
 public:
  // One more group, numbered from 0. `buffers`: as many, and never more; 0: as many as are asked for. False:
  // no memory for them.
  bool add_group(hal& h, std::uint32_t bytes_each, std::uint32_t buffers);
  // A buffer of the group that nobody holds. Invalid: it has none left.
  buf_id take(unsigned group, buffer_holder holder, unsigned adapter);
  // A name for memory of an application. Invalid: there are no more names.
  buf_id lend(std::uint8_t* cpu, std::uint64_t iova, std::uint32_t bytes);
  // Back to nobody; its name is void from now on. `mixed_up`, a deliberate fault: to another group than its
  // own.
  void give_back(buf_id id, bool mixed_up = false);
  // Null: no buffer of that name. Any value may be asked for.
  rx_buffer* find(buf_id id);

  std::uint32_t bytes_each(unsigned group) const { return groups_[group].bytes; }
  std::size_t free(unsigned group) const { return groups_[group].free.size(); }
  std::size_t total(unsigned group) const { return groups_[group].total; }
  // Of all groups.
  std::size_t free() const;
  std::size_t total() const;
  // Names of the buffers in the pool of `adapter`, in order of index.
  std::vector<buf_id> in_pool_of(unsigned adapter) const;

 private:
  static constexpr std::uint32_t index_bits = 21;
  static constexpr std::uint32_t slab_buffers = 32;
  static constexpr std::uint32_t max_buffers = (1u << index_bits) - 1;
  struct group {
    std::uint32_t bytes = 0;
    bool limited = false;
    std::uint32_t total = 0;
    std::vector<std::uint32_t> free;
  };
  bool grow(unsigned group, std::uint32_t buffers);
  static buf_id name(std::uint32_t index, std::uint32_t generation) {
    return buf_id{index | generation << index_bits};
  }
  hal* hal_ = nullptr;
  std::vector<group> groups_;
  std::vector<rx_buffer> buffers_;
  std::vector<std::uint32_t> unlent_;  // places of names of applications' memory
};

}  // namespace understudy::host
