#include "model/cosim/record_coalescer_unit.h"

namespace understudy {

namespace {

class twin final : public record_coalescer_unit {
 public:
  std::uint32_t slots() const override { return core_.slots(); }
  void configure(const hold_terms& t) override { core_.configure(t); }
  void reset() override { core_.reset(); }
  hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now) override {
    return core_.add(slot, at, length, now);
  }
  held_amount flushed(std::uint32_t slot) override { return core_.flushed(slot); }
  std::optional<std::uint32_t> expire(std::uint64_t now) override { return core_.expire(now); }
  std::optional<std::uint32_t> oldest() override { return core_.oldest(); }
  std::uint64_t next_deadline() override { return core_.next_deadline(); }

 private:
  record_coalescer core_;
};

}  // namespace

std::unique_ptr<record_coalescer_unit> make_record_coalescer_twin() {
  return std::make_unique<twin>();
}

}  // namespace understudy
