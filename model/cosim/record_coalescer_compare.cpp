#include "model/cosim/record_coalescer_compare.h"

#include <fmt/format.h>

namespace understudy {
namespace {

const char* name_of(coalescer_op o) {
  constexpr const char* names[] = {"configure", "add",           "flushed", "expire",
                                   "oldest",    "next_deadline", "reset"};
  return names[static_cast<unsigned>(o)];
}

const char* first_difference(const coalescer_outcome& a, const coalescer_outcome& b) {
  if (a.merges != b.merges) return "merges";
  if (a.flush != b.flush) return "flush";
  if (a.amount.bytes != b.amount.bytes) return "bytes";
  if (a.amount.pieces != b.amount.pieces) return "pieces";
  if (a.amount.ranges != b.amount.ranges) return "ranges";
  if (a.slot != b.slot) return "slot";
  if (a.deadline != b.deadline) return "deadline";
  if (a.cycles != b.cycles) return "cycles";
  return nullptr;
}

std::string text_of(const coalescer_outcome& o) {
  return fmt::format("merges={:d} flush={:d} bytes={} pieces={} ranges={} slot={} deadline={} cycles={}",
                     o.merges, o.flush, o.amount.bytes, o.amount.pieces, o.amount.ranges,
                     o.slot ? std::to_string(*o.slot) : "none", o.deadline, o.cycles);
}

}  // namespace

coalescer_outcome run_coalescer(record_coalescer_unit& unit, const coalescer_command& c) {
  coalescer_outcome o;
  const std::uint64_t before = unit.cycles();
  std::uint32_t answered = 0;
  switch (c.op) {
    case coalescer_op::configure:
      unit.configure(c.terms);
      break;
    case coalescer_op::add: {
      const hold_verdict v = unit.add(c.slot, c.at, c.length, c.now);
      o.merges = v.merges;
      o.flush = v.flush;
      answered = v.cycles;
      break;
    }
    case coalescer_op::flushed:
      o.amount = unit.flushed(c.slot);
      answered = o.amount.cycles;
      o.amount.cycles = 0;
      break;
    case coalescer_op::expire:
      o.slot = unit.expire(c.now);
      break;
    case coalescer_op::oldest:
      o.slot = unit.oldest();
      break;
    case coalescer_op::next_deadline:
      o.deadline = unit.next_deadline();
      break;
    case coalescer_op::reset:
      unit.reset();
      break;
  }
  o.cycles = answered ? answered : static_cast<std::uint32_t>(unit.cycles() - before);
  return o;
}

std::optional<coalescer_mismatch> compare_coalescer(const coalescer_command& c, record_coalescer_unit& rtl,
                                                    record_coalescer_unit& twin, coalescer_outcome* seen) {
  const coalescer_outcome r = run_coalescer(rtl, c);
  const coalescer_outcome t = run_coalescer(twin, c);
  if (seen) *seen = t;
  const char* field = first_difference(r, t);
  if (!field) return std::nullopt;
  coalescer_mismatch m{field, rtl.cycles(), r, t, {}};
  m.text = fmt::format("record_coalescer: {} differs at cycle {}, {} of slot {}: rtl [{}] twin [{}]", field,
                       m.cycle, name_of(c.op), c.slot, text_of(r), text_of(t));
  return m;
}

}  // namespace understudy
