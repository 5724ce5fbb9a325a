#include "model/cosim/record_coalescer_unit.h"

#include <Vrecord_coalescer_256.h>
#include <Vrecord_coalescer_8.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/cosim/rtl_harness.h"

namespace understudy {

namespace {

class twin final : public record_coalescer_unit {
 public:
  explicit twin(std::uint32_t slots) : core_(slots) {}
  std::uint32_t slots() const override { return core_.slots(); }
  void configure(const hold_terms& t) override {
    core_.configure(t);
    worked();
  }
  void reset() override {
    core_.reset();
    worked();
  }
  hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now) override {
    worked();
    return core_.add(slot, at, length, now);
  }
  held_amount flushed(std::uint32_t slot) override {
    worked();
    return core_.flushed(slot);
  }
  std::optional<std::uint32_t> expire(std::uint64_t now) override {
    worked();
    return core_.expire(now);
  }
  std::optional<std::uint32_t> oldest() override {
    worked();
    return core_.oldest();
  }
  std::uint64_t next_deadline() override {
    worked();
    return core_.next_deadline();
  }
  std::uint64_t cycles() const override { return cycles_; }

 private:
  void worked() { cycles_ += record_coalescer::op_cycles; }
  record_coalescer core_;
  std::uint64_t cycles_ = 0;
};

template <class Top, std::uint32_t Slots>
class rtl final : public record_coalescer_unit {
 public:
  rtl() : top_(rtl_.pins()) {
    top_.cmd_valid_i = 0;
    top_.rsp_ready_i = 1;
    top_.cmd_at_i = top_.cmd_now_i = 0;
    top_.cmd_slot_i = 0;
    top_.cmd_op_i = op_oldest;
    top_.cmd_length_i = top_.hold_bytes_i = top_.hold_age_i = top_.max_range_i = 0;
    top_.hold_count_i = 0;
  }
  std::uint32_t slots() const override { return Slots; }
  void configure(const hold_terms& t) override {
    top_.hold_bytes_i = t.hold_bytes;
    top_.hold_count_i = static_cast<std::uint16_t>(std::min(t.hold_count, most_slot));
    top_.hold_age_i = t.hold_age;
    top_.max_range_i = t.max_range;
    run(op_configure);
  }
  void reset() override { run(op_reset); }
  hold_verdict add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now) override {
    name(slot);
    top_.cmd_at_i = at;
    top_.cmd_length_i = std::min(length, most_length);
    top_.cmd_now_i = now;
    const std::uint32_t cycles = run(op_add);
    return {top_.merges_o != 0, top_.flush_o != 0, cycles};
  }
  held_amount flushed(std::uint32_t slot) override {
    name(slot);
    const std::uint32_t cycles = run(op_flushed);
    return {top_.bytes_o, top_.pieces_o, top_.ranges_o, cycles};
  }
  std::optional<std::uint32_t> expire(std::uint64_t now) override {
    top_.cmd_now_i = now;
    run(op_expire);
    return slot_answered();
  }
  std::optional<std::uint32_t> oldest() override {
    run(op_oldest);
    return slot_answered();
  }
  std::uint64_t next_deadline() override {
    run(op_oldest);
    return top_.ok_o ? top_.deadline_o : hold_never;
  }
  std::uint64_t cycles() const override { return rtl_.cycles(); }

 private:
  enum op : std::uint8_t { op_configure, op_add, op_flushed, op_expire, op_oldest, op_reset };
  static constexpr std::uint32_t patience_cycles = 1000;  // a block that has not answered by then never will
  // What the pins can say.
  static constexpr std::uint32_t most_slot = 65535;
  static constexpr std::uint32_t most_length = (1u << 21) - 1;

  void name(std::uint32_t slot) { top_.cmd_slot_i = static_cast<std::uint16_t>(std::min(slot, most_slot)); }
  std::optional<std::uint32_t> slot_answered() const {
    return top_.ok_o ? std::optional<std::uint32_t>(top_.slot_o) : std::nullopt;
  }
  // The answer stays at the pins. Cycles, those of command and answer included.
  std::uint32_t run(op o) {
    const std::uint64_t start = rtl_.cycles();
    top_.cmd_op_i = o;
    top_.cmd_valid_i = 1;
    until([&] { return top_.cmd_ready_o; });
    top_.cmd_valid_i = 0;
    until([&] { return top_.rsp_valid_o; });
    return static_cast<std::uint32_t>(rtl_.cycles() - start);
  }
  // The cycle in which it is true is over.
  template <class Condition>
  void until(Condition done) {
    for (std::uint32_t waited = 0;; ++waited) {
      rtl_.settle();
      const bool now = done();
      rtl_.edge();
      if (now) return;
      if (waited == patience_cycles)
        throw std::logic_error("rtl/record_coalescer.sv: no answer to a command");
    }
  }

  rtl_harness<Top> rtl_;
  Top& top_;
};

}  // namespace

std::unique_ptr<record_coalescer_unit> make_record_coalescer_twin(std::uint32_t slots) {
  return std::make_unique<twin>(slots);
}

std::unique_ptr<record_coalescer_unit> make_record_coalescer_rtl(std::uint32_t slots) {
  if (slots == 256) return std::make_unique<rtl<Vrecord_coalescer_256, 256>>();
  if (slots == 8) return std::make_unique<rtl<Vrecord_coalescer_8, 8>>();
  throw std::invalid_argument("record_coalescer: there is no RTL of " + std::to_string(slots) +
                              " slots, allowed are 8 and 256");
}

}  // namespace understudy
