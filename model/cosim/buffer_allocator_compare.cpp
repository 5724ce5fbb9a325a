#include "model/cosim/buffer_allocator_compare.h"

#include <fmt/format.h>

#include <algorithm>

namespace understudy {
namespace {

const char* name_of(allocator_op o) {
  constexpr const char* names[] = {"configure", "put", "take", "settle", "give_back", "reset", "flip"};
  return names[static_cast<unsigned>(o)];
}

const char* first_difference(const allocator_outcome& a, const allocator_outcome& b) {
  if (a.answer.status != b.answer.status) return "status";
  if (a.answer.buffer.at != b.answer.buffer.at) return "address";
  if (a.answer.buffer.id != b.answer.buffer.id) return "id";
  if (a.answer.buffer.length != b.answer.buffer.length) return "length";
  if (a.answer.from != b.answer.from) return "from";
  if (a.answer.cycles != b.answer.cycles) return "cycles";
  if (!std::equal(a.free, a.free + US_GROUPS, b.free)) return "free";
  if (!std::equal(a.out, a.out + US_GROUPS, b.out)) return "out";
  if (a.counters.puts != b.counters.puts) return "puts";
  if (a.counters.takes != b.counters.takes) return "takes";
  if (a.counters.borrowed != b.counters.borrowed) return "borrowed";
  if (a.counters.double_frees != b.counters.double_frees) return "double_frees";
  if (a.counters.corrected != b.counters.corrected) return "corrected";
  if (a.counters.uncorrectable != b.counters.uncorrectable) return "uncorrectable";
  return nullptr;
}

std::string text_of(const allocator_outcome& o) {
  return fmt::format(
      "status={} address={:x} id={:x} length={} from={} cycles={} free={} out={} puts={} takes={} "
      "borrowed={} "
      "double_frees={} corrected={} uncorrectable={}",
      static_cast<unsigned>(o.answer.status), o.answer.buffer.at.raw, o.answer.buffer.id.raw,
      o.answer.buffer.length, o.answer.from, o.answer.cycles, fmt::join(o.free, ","), fmt::join(o.out, ","),
      o.counters.puts, o.counters.takes, o.counters.borrowed, o.counters.double_frees, o.counters.corrected,
      o.counters.uncorrectable);
}

taken_buffer without_buffer(const alloc_answer& a) {
  taken_buffer t;
  t.status = a.status;
  t.cycles = a.cycles;
  return t;
}

taken_buffer answer_of(buffer_allocator_unit& unit, const allocator_command& c) {
  switch (c.op) {
    case allocator_op::configure:
      return without_buffer(unit.configure(c.group, c.quota, static_cast<std::uint8_t>(c.other)));
    case allocator_op::put:
      return without_buffer(unit.put(c.group, c.buffer));
    case allocator_op::take:
      return unit.take(c.group);
    case allocator_op::settle:
      return without_buffer(unit.settle(c.group));
    case allocator_op::give_back:
      return without_buffer(unit.give_back(c.group, c.other, c.buffer));
    case allocator_op::reset: {
      const std::uint64_t before = unit.cycles();
      unit.reset();
      return without_buffer({alloc_status::ok, static_cast<std::uint32_t>(unit.cycles() - before)});
    }
    case allocator_op::flip:
      return without_buffer({unit.flip(c.group, c.n, c.other) ? alloc_status::ok : alloc_status::empty, 0});
  }
  return {};
}

}  // namespace

allocator_outcome run_allocator(buffer_allocator_unit& unit, const allocator_command& c) {
  allocator_outcome o;
  o.answer = answer_of(unit, c);
  for (unsigned g = 0; g < US_GROUPS; ++g) {
    o.free[g] = unit.free(g);
    o.out[g] = unit.out(g);
  }
  o.counters = unit.counters();
  return o;
}

std::optional<allocator_mismatch> compare_allocator(const allocator_command& c, buffer_allocator_unit& rtl,
                                                    buffer_allocator_unit& twin, allocator_outcome* seen) {
  const allocator_outcome r = run_allocator(rtl, c);
  const allocator_outcome t = run_allocator(twin, c);
  if (seen) *seen = t;
  const char* field = first_difference(r, t);
  if (!field) return std::nullopt;
  allocator_mismatch m{field, rtl.cycles(), r, t, {}};
  m.text =
      fmt::format("buffer_allocator: {} differs at cycle {}, {} of group {}, id {:x}: rtl [{}] twin [{}]",
                  field, m.cycle, name_of(c.op), c.group, c.buffer.id.raw, text_of(r), text_of(t));
  return m;
}

}  // namespace understudy
