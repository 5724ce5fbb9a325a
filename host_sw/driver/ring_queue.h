// A first-in first-out queue in one growing array: no allocation once it has reached its size.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace understudy::host {

template <typename T>
class ring_queue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // The i-th oldest, i below size().
  T& operator[](std::size_t i) { return store_[(first_ + i) & (store_.size() - 1)]; }
  const T& operator[](std::size_t i) const { return store_[(first_ + i) & (store_.size() - 1)]; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  void push_back(T v) {
    if (size_ == store_.size()) grow();
    store_[(first_ + size_++) & (store_.size() - 1)] = std::move(v);
  }
  void pop_front() {
    first_ = (first_ + 1) & (store_.size() - 1);
    --size_;
  }
  void pop_back() { --size_; }
  void clear() { first_ = size_ = 0; }

 private:
  void grow() {
    std::vector<T> bigger(store_.empty() ? 1 : store_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
    store_ = std::move(bigger);
    first_ = 0;
  }
  std::vector<T> store_;  // size: 0 or a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace understudy::host
