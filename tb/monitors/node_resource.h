// Memory for the nodes of containers that gain and lose an entry all the time.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>
#include <vector>

namespace understudy::tb {

// Hands out pieces of at most 128 bytes from blocks of its own and keeps those that come back, by size, for
// the next of their size; larger ones are the global heap's. Blocks are freed with it: containers go first.
class node_resource : public std::pmr::memory_resource {
 private:
  static constexpr std::size_t grain = 16, largest = 128, block_bytes = 16 * 1024;
  struct piece {
    piece* next;
  };

  void* do_allocate(std::size_t bytes, std::size_t align) override {
    if (bytes > largest || align > grain) return std::pmr::new_delete_resource()->allocate(bytes, align);
    const std::size_t size = (bytes + grain - 1) / grain;
    if (piece* p = free_[size]) {
      free_[size] = p->next;
      return p;
    }
    if (left_ < size * grain) {
      blocks_.push_back(std::make_unique_for_overwrite<block>());
      next_ = blocks_.back()->data();
      left_ = block_bytes;
    }
    void* const p = next_;
    next_ += size * grain;
    left_ -= size * grain;
    return p;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t align) override {
    if (bytes > largest || align > grain) {
      std::pmr::new_delete_resource()->deallocate(p, bytes, align);
      return;
    }
    const std::size_t size = (bytes + grain - 1) / grain;
    free_[size] = new (p) piece{free_[size]};
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  struct alignas(grain) block : std::array<std::byte, block_bytes> {};
  std::vector<std::unique_ptr<block>> blocks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
  std::array<piece*, largest / grain + 1> free_{};
};

}  // namespace understudy::tb
