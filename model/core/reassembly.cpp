#include "model/core/reassembly.h"

#include <utility>

namespace understudy {

std::uint32_t reassembly_pool::make(payload_slice s) {
  std::uint32_t n = free_;
  if (n == none) {
    n = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[n].next;
  }
  nodes_[n].slice = std::move(s);
  nodes_[n].next = none;
  return n;
}

void reassembly_pool::release(std::uint32_t n) {
  nodes_[n].slice.frame = frame_ref();
  nodes_[n].next = free_;
  free_ = n;
}

// Remove the node that follows `before` (none: the first).
void reassembly_pool::remove_after(reassembly_queue& q, std::uint32_t before) {
  ++steps;
  std::uint32_t& link = before == none ? q.head : nodes_[before].next;
  const std::uint32_t n = link;
  link = nodes_[n].next;
  if (q.tail == n) q.tail = before;
  q.bytes -= nodes_[n].slice.length;
  --q.slices;
  release(n);
}

bool reassembly_pool::insert(reassembly_queue& q, payload_slice s, std::uint32_t limit) {
  std::uint32_t left = most_steps;
  std::uint32_t before = none;
  if (q.tail != none && nodes_[q.tail].slice.seq.before_eq(s.seq)) {
    before = q.tail;
  } else {
    for (std::uint32_t n = q.head; n != none && nodes_[n].slice.seq.before_eq(s.seq); n = nodes_[n].next) {
      ++steps;
      if (left-- == 0) return false;
      before = n;
    }
  }
  if (before != none && end(before).after(s.seq)) {
    const std::uint32_t overlap = end(before).minus(s.seq);
    if (overlap >= s.length) return true;
    s.seq += overlap;
    s.offset += overlap;
    s.length -= overlap;
  }
  const seq32 s_end = s.seq + s.length;
  // Slices that `s` covers give way to it.
  std::uint32_t covered_bytes = 0, covered = 0;
  for (std::uint32_t n = before == none ? q.head : nodes_[before].next;
       n != none && nodes_[n].slice.seq.before(s_end); n = nodes_[n].next) {
    ++steps;
    if (left-- == 0) return false;
    if (end(n).after(s_end)) {
      s.length = nodes_[n].slice.seq.minus(s.seq);
      s.push = false;
      break;
    }
    covered_bytes += nodes_[n].slice.length;
    ++covered;
  }
  if (s.length == 0) return true;
  if (q.bytes - covered_bytes + s.length > limit || (q.slices - covered + 1) * least_charge > limit)
    return false;
  for (; covered; --covered) remove_after(q, before);
  q.bytes += s.length;
  ++q.slices;
  const std::uint32_t n = make(std::move(s));
  std::uint32_t& link = before == none ? q.head : nodes_[before].next;
  nodes_[n].next = link;
  link = n;
  if (nodes_[n].next == none) q.tail = n;
  return true;
}

bool reassembly_pool::take(reassembly_queue& q, seq32 at, payload_slice& out) {
  while (q.head != none) {
    payload_slice& s = nodes_[q.head].slice;
    if (s.seq.after(at)) return false;
    const std::uint32_t skip = at.minus(s.seq);
    if (skip < s.length) {
      out = {std::move(s.frame), at, s.offset + skip, s.length - skip, s.push};
      remove_after(q, none);
      return true;
    }
    remove_after(q, none);
  }
  return false;
}

void reassembly_pool::clear(reassembly_queue& q) {
  while (q.head != none) remove_after(q, none);
}

}  // namespace understudy
