#include "model/cosim/connection_table_unit.h"

#include <Vconnection_table_1024x4.h>
#include <Vconnection_table_4x2.h>
#include <fmt/format.h>

#include <stdexcept>

#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

class connection_table_twin final : public connection_table_unit {
 public:
  connection_table_twin(std::uint32_t sets, std::uint32_t ways) : store_(sets, ways) {}
  store_answer run(const store_request& r) override { return store_.run(r); }
  std::uint64_t cycles() const override { return 0; }

 private:
  connection_store store_;
};

template <class Top>
class connection_table_rtl final : public connection_table_unit {
 public:
  connection_table_rtl() {
    drive({});
    rtl_.pins().valid_i = 0;
    wait_for([](const Top& t) { return t.ready_o != 0; });
  }
  store_answer run(const store_request& r) override {
    Top& top = rtl_.pins();
    drive(r);
    const std::uint64_t start = rtl_.cycles();
    rtl_.settle();
    rtl_.edge();
    top.valid_i = 0;
    wait_for([](const Top& t) { return t.answer_valid_o != 0; });
    const store_answer a{top.hit_o != 0,
                         top.index_o,
                         top.evicted_o != 0,
                         top.victim_o,
                         top.corrected_o,
                         top.dropped_o,
                         static_cast<std::uint32_t>(rtl_.cycles() + 1 - start)};
    rtl_.edge();
    return a;
  }
  std::uint64_t cycles() const override { return rtl_.cycles(); }

 private:
  // Clearing the store takes as many cycles as it has sets; a block that is not ready by then never will be.
  static constexpr std::uint32_t patience_cycles = 2000;

  void drive(const store_request& r) {
    Top& top = rtl_.pins();
    top.valid_i = 1;
    top.answer_ready_i = 1;
    top.op_i = static_cast<std::uint8_t>(r.op);
    top.key_i = r.key;
    top.index_i = r.index;
    top.way_i = static_cast<std::uint8_t>(r.way);
    top.mask_i[0] = static_cast<std::uint32_t>(r.flip[0]);
    top.mask_i[1] = static_cast<std::uint32_t>(r.flip[0] >> 32);
    top.mask_i[2] = static_cast<std::uint32_t>(r.flip[1]);
  }
  // Until the pin is high in the settled half of a cycle.
  template <class Pin>
  void wait_for(Pin pin) {
    for (std::uint32_t n = 0; n < patience_cycles; ++n) {
      rtl_.settle();
      if (pin(rtl_.pins())) return;
      rtl_.edge();
    }
    throw std::logic_error("rtl/connection_table.sv: no answer to a request");
  }

  rtl_harness<Top> rtl_;
};

const char* first_difference(const store_answer& a, const store_answer& b) {
  if (a.hit != b.hit) return "hit";
  if (a.index != b.index) return "index";
  if (a.evicted != b.evicted) return "evicted";
  if (a.victim != b.victim) return "victim";
  if (a.corrected != b.corrected) return "corrected";
  if (a.dropped != b.dropped) return "dropped";
  if (a.cycles != b.cycles) return "cycles";
  return nullptr;
}

std::string text_of(const store_answer& a) {
  return fmt::format("hit={:d} index={} evicted={:d} victim={} corrected={} dropped={} cycles={}", a.hit,
                     a.index, a.evicted, a.victim, a.corrected, a.dropped, a.cycles);
}

}  // namespace

std::unique_ptr<connection_table_unit> make_connection_table_twin(std::uint32_t sets, std::uint32_t ways) {
  return std::make_unique<connection_table_twin>(sets, ways);
}

std::unique_ptr<connection_table_unit> make_connection_table_rtl(std::uint32_t sets, std::uint32_t ways) {
  if (sets == 1024 && ways == 4) return std::make_unique<connection_table_rtl<Vconnection_table_1024x4>>();
  if (sets == 4 && ways == 2) return std::make_unique<connection_table_rtl<Vconnection_table_4x2>>();
  throw std::invalid_argument(fmt::format(
      "connection_table: no RTL of {} sets and {} ways, allowed are 1024 and 4, or 4 and 2", sets, ways));
}

std::optional<connection_table_mismatch> compare_connection_table(const store_request& r,
                                                                  connection_table_unit& rtl,
                                                                  connection_table_unit& twin) {
  const store_answer a = rtl.run(r), b = twin.run(r);
  const char* field = first_difference(a, b);
  if (!field) return std::nullopt;
  return connection_table_mismatch{
      field, a, b,
      fmt::format("connection_table: {} differs, operation {} of key {:016x}: rtl [{}] twin [{}]", field,
                  static_cast<int>(r.op), r.key, text_of(a), text_of(b))};
}

}  // namespace understudy
