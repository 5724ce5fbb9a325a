// Where a connection's bytes lie in host memory: receive buffers granted to it, and ranges of its send
// stream.
#pragma once
#include <cstdint>
#include <vector>

#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/core/frame.h"

namespace understudy {

// Many short FIFO lists in one node store: 8 bytes a list, no allocation in steady state.
template <typename T>
class list_store {
 public:
  struct list {
    std::uint32_t head = none;
    std::uint32_t tail = none;
    bool empty() const { return head == none; }
  };
  T& front(const list& l) { return nodes_[l.head].value; }
  void push(list& l, const T& v) {
    std::uint32_t n;
    if (free_ == none) {
      n = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({v, none});
    } else {
      n = free_;
      free_ = nodes_[n].next;
      nodes_[n] = {v, none};
    }
    if (l.empty()) {
      l.head = n;
    } else {
      nodes_[l.tail].next = n;
    }
    l.tail = n;
  }
  void pop(list& l) {
    const std::uint32_t n = l.head;
    l.head = nodes_[n].next;
    if (l.head == none) l.tail = none;
    nodes_[n].next = free_;
    free_ = n;
  }
  void clear(list& l) {
    while (!l.empty()) pop(l);
  }
  // Call f(value) in order until it answers false.
  template <typename F>
  void each(const list& l, F f) {
    for (std::uint32_t n = l.head; n != none; n = nodes_[n].next)
      if (!f(nodes_[n].value)) return;
  }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct node {
    T value;
    std::uint32_t next;
  };
  std::vector<node> nodes_;
  std::uint32_t free_ = none;
};

// A buffer that the host has granted: bytes are placed at at + used, at + used + 1, ...
struct receive_buffer {
  iova at;
  buf_id id;
  std::uint32_t length = 0;
  std::uint32_t used = 0;
  std::uint32_t base_off = 0;  // what records add to `used`
};

// A range of the send stream: bytes [begin, begin + length) lie at `at`.
struct send_range {
  seq32 begin;
  std::uint32_t length = 0;
  iova at;
  frame_ref bytes;  // they came with their descriptor; else empty
};

}  // namespace understudy
