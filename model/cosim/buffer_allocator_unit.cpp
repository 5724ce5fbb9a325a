#include "model/cosim/buffer_allocator_unit.h"

namespace understudy {

namespace {

class twin final : public buffer_allocator_unit {
 public:
  alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender) override {
    return core_.configure(group, quota, lender);
  }
  void reset() override { core_.reset(); }
  alloc_answer put(unsigned group, const pool_buffer& b) override { return core_.put(group, b); }
  taken_buffer take(unsigned group) override { return core_.take(group); }
  alloc_answer settle(unsigned group) override { return core_.settle(group); }
  alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b) override {
    return core_.give_back(group, from, b);
  }
  std::uint32_t free(unsigned group) const override { return core_.free(group); }
  std::uint32_t out(unsigned group) const override { return core_.out(group); }
  allocator_counters counters() const override { return core_.counters(); }
  bool flip(unsigned group, std::uint32_t n, unsigned bit) override { return core_.flip(group, n, bit); }

 private:
  buffer_allocator core_;
};

}  // namespace

std::unique_ptr<buffer_allocator_unit> make_buffer_allocator_twin() {
  return std::make_unique<twin>();
}

}  // namespace understudy
