// Records that few connections need at a time, each named by a small number.
#pragma once
#include <cstdint>
#include <vector>

namespace understudy {

// Grows to the most that were in use at once and allocates nothing after that. References last until the next
// take().
template <typename T>
class slab {
 public:
  struct name {
    std::uint32_t n = 0xffffffff;
    explicit operator bool() const { return n != 0xffffffff; }
  };
  name take() {
    if (free_.empty()) {
      records_.emplace_back();
      if (free_.capacity() < records_.capacity()) free_.reserve(records_.capacity());
      return {static_cast<std::uint32_t>(records_.size() - 1)};
    }
    const name r{free_.back()};
    free_.pop_back();
    records_[r.n] = T{};
    return r;
  }
  // Naming nothing is harmless; the name names nothing afterwards.
  void give(name& r) {
    if (r) free_.push_back(r.n);
    r = {};
  }
  T& operator[](name r) { return records_[r.n]; }
  const T& operator[](name r) const { return records_[r.n]; }
  std::size_t used() const { return records_.size() - free_.size(); }

 private:
  std::vector<T> records_;
  std::vector<std::uint32_t> free_;
};

}  // namespace understudy
