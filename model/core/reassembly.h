// Payload that arrived ahead of its turn: slices of received frames, one ordered queue a connection, nodes
// pooled.
#pragma once
#include <cstdint>
#include <vector>

#include "model/abi/seq32.h"
#include "model/core/frame.h"

namespace understudy {

// Bytes [offset, offset + length) of a frame, which are bytes [seq, seq + length) of a stream.
struct payload_slice {
  frame_ref frame;
  seq32 seq;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  bool push = false;
};

// One connection's queue: slices in order of sequence, never overlapping.
struct reassembly_queue {
  std::uint32_t head = 0xffffffff;
  std::uint32_t tail = 0xffffffff;
  std::uint32_t bytes = 0;  // payload held
  std::uint32_t slices = 0;
  bool empty() const { return slices == 0; }
};

class reassembly_pool {
 public:
  // A slice counts as at least this many bytes against the limit, so that tiny segments cannot make long
  // queues.
  static constexpr std::uint32_t least_charge = 256;

  // Slices that insert() looks at before it gives up: segments that lie deep inside a long queue are rare,
  // and a peer must not make them dear.
  static constexpr std::uint32_t most_steps = 256;
  std::uint64_t steps = 0;  // slices looked at or removed since the owner set it to 0

  // Keep what `s` adds to the queue; bytes that are there already are not kept twice. True: all of `s` is in
  // the queue now. False: the queue is as it was, because it would hold more than `limit` bytes or the place
  // is too far inside.
  bool insert(reassembly_queue& q, payload_slice s, std::uint32_t limit);
  // Take the part of the queue that starts exactly at `at`, dropping what lies before it. False: there is a
  // hole at `at`.
  bool take(reassembly_queue& q, seq32 at, payload_slice& out);
  void clear(reassembly_queue& q);

 private:
  struct node {
    payload_slice slice;
    std::uint32_t next = none;
  };
  static constexpr std::uint32_t none = 0xffffffff;
  std::uint32_t make(payload_slice s);
  void release(std::uint32_t n);
  void remove_after(reassembly_queue& q, std::uint32_t before);
  seq32 end(std::uint32_t n) const { return nodes_[n].slice.seq + nodes_[n].slice.length; }

  std::vector<node> nodes_;
  std::uint32_t free_ = none;
};

}  // namespace understudy
