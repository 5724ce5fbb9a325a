#include "model/cosim/buffer_allocator_unit.h"

#include <Vbuffer_allocator_16.h>
#include <Vbuffer_allocator_65536.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/cosim/rtl_harness.h"

namespace understudy {

namespace {

class twin final : public buffer_allocator_unit {
 public:
  twin(std::uint32_t entries, unsigned id_bits) : core_(entries, id_bits) {}
  alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender) override {
    return worked(core_.configure(group, quota, lender));
  }
  void reset() override {
    core_.reset();
    cycles_ += core_.reset_cycles();
  }
  alloc_answer put(unsigned group, const pool_buffer& b) override { return worked(core_.put(group, b)); }
  taken_buffer take(unsigned group) override { return worked(core_.take(group)); }
  alloc_answer settle(unsigned group) override { return worked(core_.settle(group)); }
  alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b) override {
    return worked(core_.give_back(group, from, b));
  }
  std::uint32_t free(unsigned group) const override { return core_.free(group); }
  std::uint32_t out(unsigned group) const override { return core_.out(group); }
  allocator_counters counters() const override { return core_.counters(); }
  bool flip(unsigned group, std::uint32_t n, unsigned bit) override { return core_.flip(group, n, bit); }
  std::uint64_t cycles() const override { return cycles_; }

 private:
  template <class Answer>
  Answer worked(const Answer& a) {
    cycles_ += a.cycles;
    return a;
  }
  buffer_allocator core_;
  std::uint64_t cycles_ = 0;
};

template <class Top>
class rtl final : public buffer_allocator_unit {
 public:
  rtl() : top_(rtl_.pins()) {
    top_.cmd_valid_i = 0;
    top_.rsp_ready_i = 1;
    top_.query_group_i = 0;
    drive(op_take, 0, 0, 0, {});
    wait([&] { return top_.cmd_ready_o; });
  }
  alloc_answer configure(unsigned group, std::uint16_t quota, std::uint8_t lender) override {
    return short_form(run(op_configure, group, lender, quota, {}));
  }
  void reset() override { run(op_reset, 0, 0, 0, {}); }
  alloc_answer put(unsigned group, const pool_buffer& b) override {
    return short_form(run(op_put, group, 0, 0, b));
  }
  taken_buffer take(unsigned group) override { return run(op_take, group, 0, 0, {}); }
  alloc_answer settle(unsigned group) override { return short_form(run(op_settle, group, 0, 0, {})); }
  alloc_answer give_back(unsigned group, unsigned from, const pool_buffer& b) override {
    return short_form(run(op_give_back, group, from, 0, b));
  }
  std::uint32_t free(unsigned group) const override { return queried(group).free_o; }
  std::uint32_t out(unsigned group) const override { return queried(group).out_o; }
  allocator_counters counters() const override {
    return {top_.puts_o,         top_.takes_o,     top_.borrowed_o,
            top_.double_frees_o, top_.corrected_o, top_.uncorrectable_o};
  }
  bool flip(unsigned group, std::uint32_t n, unsigned bit) override {
    return run(op_flip, group, bit, 0, {iova{}, buf_id{n}, 0}).status == alloc_status::ok;
  }
  std::uint64_t cycles() const override { return rtl_.cycles(); }

 private:
  enum op : std::uint8_t { op_configure, op_put, op_take, op_settle, op_give_back, op_reset, op_flip };
  // A block that has not answered by then never will: a reset sweeps its map, a flip walks a list.
  static constexpr std::uint32_t patience_cycles = 1u << 21;
  static constexpr std::uint32_t most_length = (1u << 21) - 1;  // that the pins can say

  static alloc_answer short_form(const taken_buffer& t) { return {t.status, t.cycles}; }

  void drive(op o, unsigned group, unsigned other, std::uint16_t quota, const pool_buffer& b) {
    top_.cmd_op_i = o;
    top_.cmd_group_i = static_cast<std::uint8_t>(std::min(group, 255u));
    top_.cmd_other_i = static_cast<std::uint8_t>(std::min(other, 255u));
    top_.cmd_quota_i = quota;
    top_.cmd_address_i = b.at.raw;
    top_.cmd_id_i = b.id.raw;
    top_.cmd_length_i = std::min(b.length, most_length);
  }
  template <class Condition>
  void wait(Condition done) {
    for (std::uint32_t waited = 0;; ++waited) {
      rtl_.settle();
      if (done()) return;
      rtl_.edge();
      if (waited == patience_cycles)
        throw std::logic_error("rtl/buffer_allocator.sv: no answer to a command");
    }
  }
  taken_buffer run(op o, unsigned group, unsigned other, std::uint16_t quota, const pool_buffer& b) {
    const std::uint64_t start = rtl_.cycles();
    drive(o, group, other, quota, b);
    top_.cmd_valid_i = 1;
    wait([&] { return top_.cmd_ready_o; });
    rtl_.edge();
    top_.cmd_valid_i = 0;
    wait([&] { return top_.rsp_valid_o; });
    taken_buffer t;
    t.status = static_cast<alloc_status>(top_.rsp_status_o);
    t.from = top_.rsp_from_o;
    if (o == op_take && t.status == alloc_status::ok)
      t.buffer = {iova{top_.rsp_address_o}, buf_id{top_.rsp_id_o}, top_.rsp_length_o};
    rtl_.edge();
    t.cycles = static_cast<std::uint32_t>(rtl_.cycles() - start);
    return t;
  }
  // No clock: what is combinational follows the question.
  const Top& queried(unsigned group) const {
    top_.query_group_i = static_cast<std::uint8_t>(group);
    rtl_.settle();
    return top_;
  }

  mutable rtl_harness<Top> rtl_;
  Top& top_;
};

}  // namespace

std::unique_ptr<buffer_allocator_unit> make_buffer_allocator_twin(std::uint32_t entries, unsigned id_bits) {
  return std::make_unique<twin>(entries, id_bits);
}

std::unique_ptr<buffer_allocator_unit> make_buffer_allocator_rtl(std::uint32_t entries, unsigned id_bits) {
  if (entries == 65536 && id_bits == 21) return std::make_unique<rtl<Vbuffer_allocator_65536>>();
  if (entries == 16 && id_bits == 6) return std::make_unique<rtl<Vbuffer_allocator_16>>();
  throw std::invalid_argument("buffer_allocator: there is no RTL of " + std::to_string(entries) +
                              " entries and " + std::to_string(id_bits) +
                              " id bits, allowed are 65536 and 20, 16 and 6");
}

}  // namespace understudy
