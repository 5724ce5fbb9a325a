// Buffers for frames that the host's stack builds itself, of one interface: mapped once for its adapter, with
// room for a header in front of the payload, so that a frame is one contiguous range and leaves in one DMA.
//
//   base                          data                             base + size
//    |------- headroom ------------|------------ payload -----------|-- tail --|
//            | slack |== header ==|
//                    ^ the DMA begins here, at any byte
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "host_sw/hal/hal.h"

namespace understudy::host {

enum class headroom_mode : std::uint8_t {
  fixed,       // fixed_headroom
  configured,  // tx_pool_config::headroom
  dynamic,     // the longest header seen, rounded up to a cache line
};

struct tx_pool_config {
  headroom_mode mode = headroom_mode::fixed;
  std::uint32_t headroom = 128;  // configured: bytes, up to max_headroom; dynamic: to begin with
  std::uint32_t payload = 9216;  // bytes of each buffer for payload
  std::uint32_t buffers = 64;
};

struct tx_buffer {
  std::uint8_t* base = nullptr;
  std::uint64_t iova = 0;  // of base
  std::uint32_t size = 0;
  std::uint32_t headroom = 0;  // bytes before the payload, as take() has placed it
  unsigned interface = 0;      // the adapter that it is mapped for
  bool taken = false;
  std::uint8_t* data() const { return base + headroom; }
  std::uint32_t room() const { return size - headroom; }
};

class tx_buf_pool {
 public:
  static constexpr std::uint32_t fixed_headroom = 128;
  static constexpr std::uint32_t max_headroom = 512;
  static constexpr std::uint32_t cache_line = 64;

  // False: no memory, or a headroom above max_headroom.
  bool create(hal& h, unsigned interface, const tx_pool_config& c);
  // A buffer whose payload begins behind the headroom of now; null, and counted: all are taken.
  tx_buffer* take();
  void give_back(tx_buffer& b);
  // The stack used a header of so many bytes. In dynamic mode buffers taken from now on have room for it.
  void saw_header(std::uint32_t bytes);

  std::uint32_t headroom() const { return headroom_; }
  std::size_t free() const { return free_.size(); }
  std::size_t total() const { return buffers_.size(); }
  // Ranges mapped for the adapter: at creation, once for all.
  std::uint64_t mapped() const { return mapped_; }
  // Times that take() found no buffer.
  std::uint64_t empty() const { return empty_; }

 private:
  std::vector<tx_buffer> buffers_;
  std::vector<tx_buffer*> free_;
  headroom_mode mode_ = headroom_mode::fixed;
  std::uint32_t headroom_ = fixed_headroom;
  std::uint64_t mapped_ = 0;
  std::uint64_t empty_ = 0;
};

}  // namespace understudy::host
