// The memory of an application that neither copies what it sends nor what it receives: a ring that it sends
// from, and buffers that it lends to receive into, at least a window ahead of the stream.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "host_sw/sockets/sockets.h"

namespace understudy::tb {

// How the streams of a host use memory.
struct stream_memory {
  bool zero_copy_send = false;
  bool zero_copy_receive = false;
  std::uint32_t window = 256 * 1024;     // bytes lent ahead of the stream
  std::uint32_t send_ring = 256 * 1024;  // bytes of the ring that is sent from
  bool touch_lent = false;               // a deliberate defect: bytes that are lent to be sent are changed
};

class lent_memory {
 public:
  lent_memory(host::sockets& s, int fd, const stream_memory& use) : sockets_(s), fd_(fd), use_(use) {}
  lent_memory(const lent_memory&) = delete;
  lent_memory& operator=(const lent_memory&) = delete;

  // The connection is open: lend the receive buffers.
  void open();
  // Send from the ring; returns how many bytes fit.
  std::size_t write(std::span<const std::uint8_t> bytes);
  // The next bytes of the stream; 0: none. A buffer that was read is lent again.
  std::size_t read(std::span<std::uint8_t> room);
  // write() took less than it was given, and there is room now.
  bool has_room_again();
  // The connection has ended: everything comes back and goes. False: the adapter still holds some.
  bool close();

 private:
  static constexpr std::uint32_t pieces = 8;  // receive buffers; half of them are one window
  void reap();
  void lend(std::uint64_t piece);

  host::sockets& sockets_;
  int fd_;
  stream_memory use_;
  host::dma_region in_;
  host::dma_region out_;
  std::uint64_t produced_ = 0;  // bytes of the send stream
  std::uint64_t returned_ = 0;  // of them, the application's again
  bool short_ = false;
  host::received_piece piece_;  // being read
  std::uint32_t read_ = 0;      // bytes of it that were
};

}  // namespace understudy::tb
