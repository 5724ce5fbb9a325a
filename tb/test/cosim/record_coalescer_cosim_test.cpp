// rtl/record_coalescer.sv against its twin: the same commands, the same answers, the same cycles.
#include <Vrecord_coalescer_8.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/core/rng.h"
#include "model/cosim/record_coalescer_compare.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

using op = coalescer_op;
constexpr std::uint64_t seed = 1;
constexpr std::uint32_t most32 = 0xffffffff;

struct pair {
  explicit pair(std::uint32_t slots = 8)
      : rtl(make_record_coalescer_rtl(slots)), twin(make_record_coalescer_twin(slots)) {}
  coalescer_outcome operator()(const coalescer_command& c) {
    coalescer_outcome seen;
    const auto m = compare_coalescer(c, *rtl, *twin, &seen);
    EXPECT_FALSE(m) << m->text;
    ++compared;
    return seen;
  }
  coalescer_outcome add(std::uint32_t slot, std::uint64_t at, std::uint32_t length, std::uint64_t now = 0) {
    return (*this)({op::add, {}, slot, at, length, now});
  }
  coalescer_outcome flushed(std::uint32_t slot) { return (*this)({op::flushed, {}, slot, 0, 0, 0}); }
  coalescer_outcome look(op o, std::uint64_t now = 0) { return (*this)({o, {}, 0, 0, 0, now}); }
  void configure(const hold_terms& t) { (*this)({op::configure, t, 0, 0, 0, 0}); }
  std::unique_ptr<record_coalescer_unit> rtl, twin;
  int compared = 0;
};

TEST(record_coalescer_cosim, limits_merges_and_totals_agree) {
  pair both;
  EXPECT_TRUE(both.add(0, 0, 64).flush) << "as constructed, nothing is held back";
  EXPECT_EQ(both.flushed(0).amount.pieces, 1u);
  both.configure({1000, 4, 100, 200});
  EXPECT_FALSE(both.add(0, 0x1'0000'0000, 100).merges);
  EXPECT_TRUE(both.add(0, 0x1'0000'0064, 100).merges);
  EXPECT_FALSE(both.add(0, 0x1'0000'00c8, 1).merges);
  EXPECT_TRUE(both.add(0, 0x1'0000'00c9, 1).flush);
  EXPECT_EQ(both.flushed(0).amount.ranges, 2u);
  EXPECT_FALSE(both.add(1, 0, 999).flush);
  EXPECT_TRUE(both.add(1, 0, 1).flush);
  both.configure({0, 0, 1, most32});
  for (int i = 0; i < 5; ++i) both.add(2, std::uint64_t{1} << 20 | std::uint64_t(i) << 20, 1u << 20);
  both.configure({0, 0x10000, 1, 0});  // beyond 16 bits: the counter's end
  EXPECT_FALSE(both.add(3, 0, 1).flush);
  both((coalescer_command{op::reset, {}, 0, 0, 0, 0}));
  EXPECT_FALSE(both.look(op::oldest).slot);
  EXPECT_EQ(both.compared, 20);
}

TEST(record_coalescer_cosim, counters_at_their_end_agree) {
  pair both;
  both.configure({0, 0, 100, most32});
  for (int i = 0; i < 4094; ++i) {
    both.rtl->add(0, 0, 1u << 20, 0);
    both.twin->add(0, 0, 1u << 20, 0);
  }
  EXPECT_FALSE(both.add(0, 0, 1u << 20).flush);
  EXPECT_TRUE(both.add(0, 0, 1u << 20).flush);
  EXPECT_EQ(both.flushed(0).amount.bytes, most32);
  for (int i = 0; i < 65533; ++i) {
    both.rtl->add(0, 0, 1, 0);
    both.twin->add(0, 0, 1, 0);
  }
  EXPECT_FALSE(both.add(0, 0, 1).flush);
  EXPECT_TRUE(both.add(0, 0, 1).flush);
  EXPECT_TRUE(both.add(0, 0, 1).flush);
  EXPECT_EQ(both.flushed(0).amount.ranges, 65535u);
}

TEST(record_coalescer_cosim, bad_pieces_and_slots_agree) {
  pair both;
  both.configure({0, 0, 100, 9216});
  for (const std::uint32_t slot : {8u, 9u, 255u, 65535u, 65536u, 65537u, most32}) {
    EXPECT_TRUE(both.add(slot, 0, 1).flush) << slot;
    EXPECT_EQ(both.flushed(slot).amount.pieces, 0u) << slot;
  }
  for (const std::uint32_t length : {0u, (1u << 20) + 1, 1u << 21, (1u << 21) + 5, most32})
    EXPECT_TRUE(both.add(0, 0, length).flush) << length;
  EXPECT_TRUE(both.add(0, ~std::uint64_t{0}, 1).flush);
  EXPECT_TRUE(both.add(0, ~std::uint64_t{0} - 0xffff, 0x10000).flush);
  EXPECT_EQ(both.look(op::next_deadline).deadline, hold_never);
  EXPECT_FALSE(both.add(0, ~std::uint64_t{0} - 0x10000, 0x10000).flush);
  EXPECT_EQ(both.look(op::oldest).slot, 0u);
}

// Every order in which four slots can be flushed, whichever were added to again in between.
TEST(record_coalescer_cosim, slots_leave_the_list_from_anywhere) {
  pair both;
  both.configure({0, 0, 50, 9216});
  std::uint64_t now = 0;
  int orders = 0;
  std::uint32_t order[] = {0, 1, 2, 3};
  do {
    for (const std::uint32_t s : {4u, 1u, 3u, 0u, 2u}) both.add(s, 0, 1, now += 3);
    for (const std::uint32_t s : order) {
      both.look(op::oldest);
      both.look(op::next_deadline);
      both.look(op::expire, now + 40);
      both.flushed(s);
      if (s == 1) both.add(1, 0, 1, now += 3);
    }
    EXPECT_EQ(both.look(op::expire, ~std::uint64_t{0}).slot, 4u);
    both.flushed(4);
    EXPECT_EQ(both.look(op::oldest).slot, 1u);
    both.flushed(1);
    EXPECT_FALSE(both.look(op::oldest).slot);
    ++orders;
  } while (std::next_permutation(order, order + 4));
  EXPECT_EQ(orders, 24);
}

TEST(record_coalescer_cosim, deadlines_at_the_end_of_the_clock_agree) {
  pair both;
  both.configure({0, 0, most32, 9216});
  both.add(0, 0, 1, hold_never - most32 - 1);
  EXPECT_EQ(both.look(op::next_deadline).deadline, hold_never - 1);
  EXPECT_FALSE(both.look(op::expire, hold_never - 2).slot);
  EXPECT_EQ(both.look(op::expire, hold_never - 1).slot, 0u);
  both.flushed(0);
  both.add(1, 0, 1, hold_never);
  EXPECT_EQ(both.look(op::next_deadline).deadline, hold_never - 1);
  both.configure({0, 0, 7, 9216});
  EXPECT_EQ(both.look(op::next_deadline).deadline, hold_never - 1);
}

struct tally {
  int merges = 0, flushes = 0, expiries = 0, empty = 0;
};
void random_commands(pair& both, std::uint32_t slots, int commands, rng& random, tally& seen) {
  std::uint64_t now = random.chance(0.1) ? hold_never - 10 * static_cast<unsigned>(commands) : 1;
  std::vector<std::uint64_t> end(slots, 0);
  for (int i = 0; i < commands && !testing::Test::HasFailure(); ++i) {
    now += random.below(10);
    const auto slot = static_cast<std::uint32_t>(random.chance(0.01) ? random.next() : random.below(slots));
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::uint32_t length =
            static_cast<std::uint32_t>(random.chance(0.02) ? random.below(1u << 21) : 1 + random.below(1500));
        const std::uint64_t at = slot < slots && random.chance(0.7) ? end[slot] : random.next();
        const auto o = both.add(slot, at, length, now);
        if (slot < slots) end[slot] = at + length;
        seen.merges += o.merges;
        seen.flushes += o.flush;
        if (o.flush && random.chance(0.9)) both.flushed(slot);
        break;
      }
      case 4:
        seen.empty += both.flushed(slot).amount.pieces == 0;
        break;
      case 5:
        if (const auto s = both.look(op::expire, now).slot) {
          ++seen.expiries;
          both.flushed(*s);
        }
        break;
      case 6:
        both.look(random.chance(0.5) ? op::oldest : op::next_deadline);
        break;
      default:
        if (random.chance(0.02))
          both.configure({static_cast<std::uint32_t>(random.chance(0.3) ? 0 : random.below(20000)),
                          static_cast<std::uint32_t>(random.chance(0.3) ? 0 : random.below(20)),
                          static_cast<std::uint32_t>(random.chance(0.1) ? 0 : random.below(400)),
                          static_cast<std::uint32_t>(random.below(10000))});
        else if (random.chance(0.001))
          both.look(op::reset);
    }
  }
}

TEST(record_coalescer_cosim, random_commands_agree) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  rng random(seed, "test/record_coalescer_cosim");
  for (const std::uint32_t slots : {8u, 256u}) {
    pair both(slots);
    both.configure({8000, 12, 300, 9216});
    tally seen;
    random_commands(both, slots, 60000, random, seen);
    EXPECT_GE(both.compared, 50000);
    EXPECT_GT(seen.merges, 1000);
    EXPECT_GT(seen.flushes, 1000);
    EXPECT_GT(seen.expiries, 500);
    EXPECT_GT(seen.empty, 100);
  }
}

TEST(record_coalescer_cosim, cycles_by_command_are_printed_and_agree) {
  pair both;
  std::printf("%-16s %6s %6s\n", "command", "rtl", "twin");
  const coalescer_command commands[] = {{op::configure, {0, 0, 100, 9216}, 0, 0, 0, 0},
                                        {op::add, {}, 0, 0, 1, 0},
                                        {op::add, {}, 0, 1, 1, 0},
                                        {op::add, {}, 99, 0, 1, 0},
                                        {op::oldest, {}, 0, 0, 0, 0},
                                        {op::next_deadline, {}, 0, 0, 0, 0},
                                        {op::expire, {}, 0, 0, 0, 1000},
                                        {op::flushed, {}, 0, 0, 0, 0},
                                        {op::flushed, {}, 0, 0, 0, 0},
                                        {op::reset, {}, 0, 0, 0, 0}};
  int rows = 0;
  for (const auto& c : commands) {
    const auto r = run_coalescer(*both.rtl, c), t = run_coalescer(*both.twin, c);
    constexpr const char* names[] = {"configure", "add",           "flushed", "expire",
                                     "oldest",    "next_deadline", "reset"};
    std::printf("%-16s %6u %6u\n", names[static_cast<unsigned>(c.op)], r.cycles, t.cycles);
    EXPECT_EQ(r.cycles, record_coalescer::op_cycles);
    EXPECT_EQ(t.cycles, record_coalescer::op_cycles);
    ++rows;
  }
  EXPECT_EQ(rows, 10);
}

TEST(record_coalescer_cosim, soak_agrees) {
  if (!std::getenv("UNDERSTUDY_SOAK")) GTEST_SKIP() << "run by the nightly test of this name";
  pair both(256);
  for (std::uint64_t s = 1; s <= 20; ++s) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(s));
    rng random(s, "test/record_coalescer_cosim/soak");
    tally seen;
    both.look(op::reset);
    both.configure({8000, 12, 300, 9216});
    random_commands(both, s % 2 ? 256 : 5, 200000, random, seen);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(both.compared, 20 * 180000);
}

TEST(record_coalescer_unit, other_sizes_are_refused_bad) {
  EXPECT_THROW(make_record_coalescer_rtl(0), std::invalid_argument);
  EXPECT_THROW(make_record_coalescer_rtl(16), std::invalid_argument);
}

// An RTL with one of its outputs wrong.
struct corrupted_unit final : record_coalescer_unit {
  explicit corrupted_unit(std::string f) : field(std::move(f)) {}
  std::uint32_t slots() const override { return rtl->slots(); }
  void configure(const hold_terms& t) override { rtl->configure(t); }
  void reset() override { rtl->reset(); }
  hold_verdict add(std::uint32_t s, std::uint64_t at, std::uint32_t n, std::uint64_t now) override {
    hold_verdict v = rtl->add(s, at, n, now);
    if (field == "merges") v.merges = !v.merges;
    if (field == "flush") v.flush = !v.flush;
    if (field == "cycles") ++v.cycles;
    return v;
  }
  held_amount flushed(std::uint32_t s) override {
    held_amount a = rtl->flushed(s);
    if (field == "bytes") a.bytes ^= 1;
    if (field == "pieces") a.pieces ^= 2;
    if (field == "ranges") a.ranges ^= 4;
    return a;
  }
  std::optional<std::uint32_t> expire(std::uint64_t now) override { return rtl->expire(now); }
  std::optional<std::uint32_t> oldest() override { return field == "slot" ? std::nullopt : rtl->oldest(); }
  std::uint64_t next_deadline() override { return rtl->next_deadline() ^ (field == "deadline"); }
  std::uint64_t cycles() const override { return rtl->cycles(); }

  std::string field;
  std::unique_ptr<record_coalescer_unit> rtl = make_record_coalescer_rtl(8);
};

TEST(record_coalescer_compare, each_corrupted_output_is_reported_with_both_sides_and_the_cycle_bad) {
  struct output {
    const char* field;
    op command;
  };
  const output outputs[] = {{"merges", op::add},     {"flush", op::add},
                            {"cycles", op::add},     {"bytes", op::flushed},
                            {"pieces", op::flushed}, {"ranges", op::flushed},
                            {"slot", op::oldest},    {"deadline", op::next_deadline}};
  for (const auto& o : outputs) {
    corrupted_unit rtl(o.field);
    const auto twin = make_record_coalescer_twin(8);
    for (record_coalescer_unit* u : {static_cast<record_coalescer_unit*>(&rtl), twin.get()}) {
      u->configure({0, 0, 100, 9216});
      u->add(0, 0, 5, 0);
    }
    const auto m = compare_coalescer({o.command, {}, 0, 5, 5, 0}, rtl, *twin);
    ASSERT_TRUE(m) << o.field;
    EXPECT_EQ(m->field, o.field);
    EXPECT_EQ(m->cycle, rtl.cycles());
    EXPECT_NE(m->text.find("cycle " + std::to_string(m->cycle)), std::string::npos);
    EXPECT_NE(m->text.find("rtl ["), std::string::npos);
    EXPECT_NE(m->text.find("twin ["), std::string::npos);
  }
}

// A twin with a piece less must show.
TEST(record_coalescer_compare, a_piece_on_one_side_only_is_found_bad) {
  pair both;
  both.configure({0, 0, 100, 9216});
  both.rtl->add(0, 0, 1, 0);
  const auto m = compare_coalescer({op::oldest, {}, 0, 0, 0, 0}, *both.rtl, *both.twin);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->field, "slot");
}

// ---- At the pins

using harness = rtl_harness<Vrecord_coalescer_8>;
void idle(Vrecord_coalescer_8& p) {
  p.cmd_valid_i = p.cmd_op_i = 0;
  p.cmd_slot_i = p.hold_count_i = 0;
  p.cmd_at_i = p.cmd_now_i = 0;
  p.cmd_length_i = p.hold_bytes_i = p.hold_age_i = p.max_range_i = 0;
  p.rsp_ready_i = 0;
}

TEST(record_coalescer_pins, an_answer_waits_until_it_is_taken_and_holds_the_next_command_back) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  p.cmd_op_i = 1;  // add
  p.cmd_length_i = 3;
  int answers = 0, waited = 0;
  for (int cycle = 0; cycle < 40; ++cycle) {
    p.rsp_ready_i = cycle % 7 == 6;
    rtl.settle();
    ASSERT_FALSE(p.cmd_ready_o && p.rsp_valid_o);
    if (p.rsp_valid_o) {
      ASSERT_TRUE(p.ok_o && p.flush_o);
      ++(p.rsp_ready_i ? answers : waited);
    }
    rtl.edge();
  }
  EXPECT_GE(answers, 4);
  EXPECT_GE(waited, 8);
}

TEST(record_coalescer_pins, an_opcode_that_is_none_is_refused) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  p.cmd_op_i = 6;
  for (int cycle = 0; cycle < 10 && !p.rsp_valid_o; ++cycle) {
    rtl.settle();
    rtl.edge();
  }
  ASSERT_TRUE(p.rsp_valid_o);
  EXPECT_FALSE(p.ok_o);
}

TEST(record_coalescer_pins, a_command_that_changes_while_it_waits_fails_an_assertion_bad) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  EXPECT_THROW(
      for (int cycle = 0; cycle < 8; ++cycle) {
        p.cmd_slot_i = static_cast<std::uint16_t>(cycle);
        rtl.settle();
        rtl.edge();
      },
      std::logic_error);
}

}  // namespace
}  // namespace understudy
