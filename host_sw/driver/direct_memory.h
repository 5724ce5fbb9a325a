// What a connection has of its application's own memory: buffers lent to receive into, what came in them, and
// ranges that are sent from where they lie.
#pragma once
#include <cstdint>

#include "host_sw/driver/ring_queue.h"
#include "model/abi/ids.h"
#include "model/abi/seq32.h"

namespace understudy::host {

// A piece of the received stream in a lent buffer.
struct received_piece {
  std::uint64_t cookie = 0;  // of the buffer
  const std::uint8_t* data = nullptr;
  std::uint32_t offset = 0;  // in the buffer
  std::uint32_t bytes = 0;   // 0: the buffer comes back with nothing more in it
  bool done = false;         // the buffer is the application's again
};

// Progress of a range that was sent from the application's memory.
struct sent_piece {
  std::uint64_t cookie = 0;
  std::uint32_t bytes = 0;  // acknowledged up to here, from the range's beginning: these may be changed
  bool done = false;        // the whole range is the application's again
  bool delivered = true;    // with done: false if the connection ended before all of it was acknowledged
};

struct lent_range {
  buf_id id;
  std::uint8_t* cpu = nullptr;
  std::uint32_t len = 0;
  std::uint32_t committed = 0;
  std::uint64_t cookie = 0;
  bool posted = false;
};

struct arrival {
  bool direct = false;      // in a lent buffer; else in one of the pool
  received_piece piece;     // direct
  std::uint32_t bytes = 0;  // not direct
};

struct direct_send {
  seq32 end;  // sequence number after the range
  std::uint32_t len = 0;
  std::uint64_t iova = 0;
  const std::uint8_t* cpu = nullptr;
  std::uint64_t cookie = 0;
  std::uint32_t acked = 0;
  const std::uint8_t* lent_from = nullptr;  // lines before it are the application's again
};

struct direct_memory {
  ring_queue<lent_range> lent;    // in the order in which they are filled
  ring_queue<arrival> arrived;    // in stream order
  ring_queue<direct_send> sends;  // in stream order, not acknowledged
  ring_queue<sent_piece> sent;    // not yet told
};

}  // namespace understudy::host
