// Transmission of frames that the host's stack has built: a contiguous one in a single DMA, or a header and a
// payload in buffers of their own, gathered by the adapter.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/driver/tx_buf_pool.h"
#include "host_sw/hal/hal.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

struct raw_send_counters {
  std::uint64_t single = 0;    // frames in one piece
  std::uint64_t gathered = 0;  // frames in two
  std::uint64_t descriptors = 0;
  std::uint64_t copied_bytes = 0;  // of headers, by the driver
  // Ranges mapped and unmapped for a frame; a pool's own mapping, made once, is not among them.
  std::uint64_t maps = 0, unmaps = 0;  // calls of the HAL
  std::uint64_t sent = 0, failed = 0;  // as the adapter reports
  // Why a frame in a pool's buffer went out in two pieces.
  std::uint64_t no_headroom = 0;      // the header is longer
  std::uint64_t other_interface = 0;  // the buffer is mapped for another adapter
  // Times that the pool had no buffer: for a caller, who then gathers or waits, or for a header that found no
  // room, whose frame was not sent.
  std::uint64_t pool_empty = 0;
};

// A range of DMA memory that a pool does not own.
struct tx_range {
  std::uint64_t iova = 0;
  std::uint32_t bytes = 0;
};

class raw_send {
 public:
  // Puts a descriptor into the adapter's input table or a transmit queue; its free-running index.
  using post_function = std::uint32_t (*)(void* context, const us_idt_entry&);
  // A frame has left (true) or nothing of it has (false). Its buffers are the caller's again; a pool's buffer
  // has gone back to the pool unless `sent` is false, so that the frame can be tried again.
  using done_function = void (*)(void* context, std::uint64_t cookie, bool sent);

  raw_send(hal& h, unsigned interface, tx_buf_pool& pool, post_function post, done_function done,
           void* context);

  // The payload lies at buffer.data(). Header in a buffer of the stack's own: copied in front of it if there
  // is room, else sent as two pieces from a second buffer of the pool; without one, `done` says false at
  // once.
  void xmit(tx_buffer& b, std::uint32_t payload, const std::uint8_t* header, std::uint32_t header_bytes,
            std::uint64_t cookie);
  // The stack has put the header before buffer.data() itself: one piece without a copy. At most headroom
  // bytes; false, and nothing sent, with more.
  bool xmit_in_place(tx_buffer& b, std::uint32_t payload, std::uint32_t header_bytes, std::uint64_t cookie);
  // Two pieces, each mapped for this frame.
  void xmit_gather(tx_range header, tx_range payload, std::uint64_t cookie);

  // A US_REC_RAW record of the adapter. False: it contradicts what was posted.
  bool completed(const us_record& r);

  // A transmit queue has stopped, and begins anew: every frame that is open is told unsent, and its buffer is
  // the caller's. What is posted meanwhile is not among them.
  void give_up();
  // The adapter is gone: the same, and so is every frame from now on, at once.
  void abandon();

  // Frames posted and not yet reported.
  std::size_t open() const { return open_.size() - first_open_; }
  raw_send_counters counters() const;

 private:
  struct frame {
    std::uint32_t last = 0;  // index of its last descriptor
    std::uint64_t cookie = 0;
    tx_buffer* buffer = nullptr;
    tx_buffer* spare = nullptr;  // holds a header that found no room
    tx_range mapped[2] = {};     // to be unmapped; of 0 bytes: none
  };
  void map(frame& f, tx_range range);
  std::uint32_t piece(std::uint64_t iova, std::uint32_t bytes, bool more);
  void posted(const frame& f);
  void over(bool sent);
  bool refused(std::uint64_t cookie);

  hal& hal_;
  unsigned interface_;
  tx_buf_pool& pool_;
  post_function post_;
  done_function done_;
  void* context_;
  std::vector<frame> open_;  // in order of descriptors, from first_open_ on
  std::size_t first_open_ = 0;
  bool gone_ = false;  // the adapter
  raw_send_counters count_;
};

}  // namespace understudy::host
