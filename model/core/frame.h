// An Ethernet frame (without FCS) in a reference-counted, pooled buffer: it travels by reference from end to
// end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace understudy {

class frame_ref;

namespace detail {

// The buffer behind a frame. Single-threaded: the count is not atomic. `data` follows the header in memory.
struct frame_buffer {
  std::uint32_t refs;
  std::uint32_t capacity;  // bytes after this header
  std::uint32_t offset;    // first byte of the frame
  std::uint32_t length;    // bytes of the frame
  std::uint32_t class_index;
  std::uint32_t mark;  // free for the owner's use: an impairment or a fault notes itself here for the capture
  frame_buffer* next;  // in the free list
  std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this + 1); }
};

// Free lists by size class; grows on demand, so that steady state allocates nothing.
class frame_pool {
 public:
  static constexpr std::uint32_t classes = 3;
  static constexpr std::uint32_t class_bytes[classes] = {256, 2048, 9600};

  static frame_pool& instance() {
    static frame_pool p;
    return p;
  }
  // A buffer with room for `capacity` bytes (at most 9600), uninitialised, one reference.
  frame_buffer* take(std::uint32_t capacity) {
    std::uint32_t c = 0;
    while (c + 1 < classes && class_bytes[c] < capacity) ++c;
    frame_buffer* b = free_[c];
    if (b) {
      free_[c] = b->next;
    } else {
      b = static_cast<frame_buffer*>(std::malloc(sizeof(frame_buffer) + class_bytes[c]));
      if (!b) throw std::bad_alloc();
      b->capacity = class_bytes[c];
      b->class_index = c;
      ++allocated_;
    }
    b->refs = 1;
    b->mark = 0;
    b->next = nullptr;
    return b;
  }
  void give_back(frame_buffer* b) {
    b->next = free_[b->class_index];
    free_[b->class_index] = b;
  }
  // Buffers ever taken from the heap; constant in steady state.
  std::uint64_t allocated() const { return allocated_; }

 private:
  frame_buffer* free_[classes] = {};
  std::uint64_t allocated_ = 0;
};

}  // namespace detail

// Shared handle of a frame. Copying shares; the bytes are written only by whoever made the frame, before it
// is sent on.
class frame_ref {
 public:
  static constexpr std::uint32_t max_bytes = 9600;

  frame_ref() = default;
  frame_ref(const frame_ref& o) : b_(o.b_) {
    if (b_) ++b_->refs;
  }
  frame_ref(frame_ref&& o) noexcept : b_(std::exchange(o.b_, nullptr)) {}
  frame_ref& operator=(frame_ref o) noexcept {
    std::swap(b_, o.b_);
    return *this;
  }
  ~frame_ref() {
    if (b_ && --b_->refs == 0) detail::frame_pool::instance().give_back(b_);
  }

  // A new frame of `length` bytes, uninitialised, with `headroom` bytes before it. Together at most
  // max_bytes.
  static frame_ref make(std::uint32_t length, std::uint32_t headroom = 0) {
    frame_ref f;
    f.b_ = detail::frame_pool::instance().take(length + headroom);
    f.b_->offset = headroom;
    f.b_->length = length;
    return f;
  }
  static frame_ref copy_of(const void* data, std::uint32_t length) {
    frame_ref f = make(length);
    std::memcpy(f.data(), data, length);
    return f;
  }

  explicit operator bool() const { return b_ != nullptr; }
  std::uint8_t* data() { return b_->bytes() + b_->offset; }
  const std::uint8_t* data() const { return b_->bytes() + b_->offset; }
  std::uint32_t size() const { return b_->length; }
  std::uint32_t headroom() const { return b_->offset; }
  // Somebody else holds it too: its bytes are not to be written.
  bool is_shared() const { return b_->refs > 1; }
  std::span<const std::uint8_t> bytes() const { return {data(), size()}; }
  // Make `n` bytes of headroom part of the frame, in front. `n` is at most the headroom left.
  void extend_front(std::uint32_t n) {
    b_->offset -= n;
    b_->length += n;
  }
  std::uint32_t& mark() { return b_->mark; }
  std::uint32_t mark() const { return b_->mark; }

 private:
  detail::frame_buffer* b_ = nullptr;
};

}  // namespace understudy
