// A first-in first-out queue that keeps its memory: no allocation once it has grown to its working size.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace understudy {

template <typename T>
class ring_queue {
 public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  T& operator[](std::size_t i) { return items_[(head_ + i) & (items_.size() - 1)]; }
  // Append; returns the new last element.
  T& push(T&& v) {
    if (count_ == items_.size()) grow();
    T& slot = items_[(head_ + count_++) & (items_.size() - 1)];
    slot = std::move(v);
    return slot;
  }
  // Remove and return the first element; the queue is not empty.
  T pop() {
    T v = std::move(items_[head_]);
    head_ = (head_ + 1) & (items_.size() - 1);
    --count_;
    return v;
  }
  void clear() {
    while (count_) pop();
  }

 private:
  void grow() {
    std::vector<T> bigger(items_.empty() ? 16 : items_.size() * 2);
    for (std::size_t i = 0; i < count_; ++i) bigger[i] = std::move((*this)[i]);
    items_ = std::move(bigger);
    head_ = 0;
  }
  std::vector<T> items_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace understudy
