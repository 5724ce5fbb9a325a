// A queue that allocates only while it grows beyond its largest size so far.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace understudy {

template <typename T>
class fifo {
 public:
  explicit fifo(std::size_t capacity = 64) {
    std::size_t n = 1;
    while (n < capacity) n *= 2;
    ring_.resize(n);
  }
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  // The queue is not empty.
  T& front() { return ring_[head_]; }
  T& back() { return (*this)[count_ - 1]; }
  T& operator[](std::size_t i) { return ring_[(head_ + i) & (ring_.size() - 1)]; }
  const T& operator[](std::size_t i) const { return ring_[(head_ + i) & (ring_.size() - 1)]; }
  void push_back(T v) {
    if (count_ == ring_.size()) grow();
    ring_[(head_ + count_++) & (ring_.size() - 1)] = std::move(v);
  }
  // One more element at the back, holding whatever its place held before: assign every field that is read
  // later.
  T& extend_back() {
    if (count_ == ring_.size()) grow();
    return ring_[(head_ + count_++) & (ring_.size() - 1)];
  }
  // Forget the first element without moving it out; the queue is not empty.
  void drop_front() {
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
  }
  T pop_front() {
    T v = std::move(ring_[head_]);
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
    return v;
  }
  void clear() {
    while (count_) pop_front();
  }
  T pop_back() { return std::move((*this)[--count_]); }

 private:
  void grow() {
    std::vector<T> larger(ring_.size() * 2);
    for (std::size_t i = 0; i < count_; ++i) larger[i] = std::move((*this)[i]);
    ring_.swap(larger);
    head_ = 0;
  }
  std::vector<T> ring_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace understudy
