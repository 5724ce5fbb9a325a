// rtl/buffer_allocator.sv against its twin: the same commands, the same answers, state and counters, the same
// cycles, with wrong bits in memory and without.
#include <Vbuffer_allocator_16.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/core/rng.h"
#include "model/cosim/buffer_allocator_compare.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

using op = allocator_op;
constexpr std::uint64_t seed = 1;
constexpr unsigned buffer_bits = buffer_allocator::buffer_code::code_bits;
constexpr unsigned link_bits = buffer_allocator::link_code::code_bits;

pool_buffer buffer(std::uint32_t id) {
  return {iova{0x7'0000'0000 + std::uint64_t{id} * 0x1234567}, buf_id{id}, 1 + id * 37 % (1u << 20)};
}

struct pair {
  explicit pair(std::uint32_t entries = 16, unsigned id_bits = 6)
      : rtl(make_buffer_allocator_rtl(entries, id_bits)),
        twin(make_buffer_allocator_twin(entries, id_bits)) {}
  void operator()(const allocator_command& c, alloc_status expected) {
    allocator_outcome seen;
    const auto m = compare_allocator(c, *rtl, *twin, &seen);
    ASSERT_FALSE(m) << m->text;
    ASSERT_EQ(seen.answer.status, expected) << "command " << compared;
    answer = seen.answer;
    ++compared;
  }
  std::unique_ptr<buffer_allocator_unit> rtl, twin;
  taken_buffer answer;
  int compared = 0;
};

allocator_command put(unsigned group, const pool_buffer& b) {
  return {op::put, group, 0, 0, b, 0};
}
allocator_command take(unsigned group) {
  return {op::take, group, 0, 0, {}, 0};
}
allocator_command settle(unsigned group) {
  return {op::settle, group, 0, 0, {}, 0};
}
allocator_command give_back(unsigned group, unsigned from, const pool_buffer& b) {
  return {op::give_back, group, from, 0, b, 0};
}
allocator_command configure(unsigned group, std::uint16_t quota, unsigned lender) {
  return {op::configure, group, lender, quota, {}, 0};
}
allocator_command flip(unsigned list, std::uint32_t n, unsigned bit) {
  return {op::flip, list, bit, 0, {}, n};
}

TEST(buffer_allocator_cosim, each_status_of_each_command_agrees) {
  pair both;
  const auto run = [&](const allocator_command& c, alloc_status s) { both(c, s); };
  using s = alloc_status;
  run(put(16, buffer(1)), s::bad_group);
  run(put(300, buffer(1)), s::bad_group);
  run(put(0, {iova{1}, buf_id{1}, 0}), s::bad_length);
  run(put(0, {iova{1}, buf_id{1}, (1u << 20) + 1}), s::bad_length);
  run(put(0, {iova{1}, buf_id{1}, 0xffffffff}), s::bad_length);
  run(put(0, {iova{1}, buf_id{64}, 1}), s::bad_id);
  run(put(0, {iova{1}, buf_id{}, 1}), s::bad_id);
  run(put(0, {iova{~std::uint64_t{0}}, buf_id{0xffe00000 | 63}, 1u << 20}), s::ok);
  run(put(1, {iova{1}, buf_id{63}, 1}), s::double_free);
  run(take(16), s::bad_group);
  run(take(1), s::empty);
  run(configure(16, 0, 0), s::bad_group);
  run(configure(1, 0, 16), s::bad_group);
  run(configure(1, 0, 1), s::bad_group);
  run(configure(1, 1, 0), s::ok);
  run(take(1), s::ok);
  EXPECT_EQ(both.answer.from, 0);
  const pool_buffer taken = both.answer.buffer;
  EXPECT_EQ(taken.id.raw, 0xffe0003f);
  run(take(1), s::over_quota);
  run(settle(16), s::bad_group);
  run(settle(0), s::bad_state);
  run(give_back(16, 0, buffer(1)), s::bad_group);
  run(give_back(1, 16, buffer(1)), s::bad_group);
  run(give_back(1, 0, {iova{1}, buf_id{1}, 0}), s::bad_length);
  run(give_back(1, 0, buffer(64)), s::bad_id);
  run(give_back(0, 0, buffer(1)), s::bad_state);
  run(give_back(1, 0, taken), s::ok);
  run(take(1), s::ok);
  run(settle(1), s::ok);
  for (std::uint32_t i = 0; i < 16; ++i) run(put(15, buffer(i)), s::ok);
  run(put(15, buffer(16)), s::full);
  run(take(15), s::ok);
  run(put(15, buffer(16)), s::full);
  run(give_back(15, 15, buffer(1)), s::double_free);
  run(give_back(15, 3, buffer(0)), s::ok);
  run(flip(17, 0, 0), s::empty);
  run(flip(15, 15, 0), s::empty);
  run(flip(15, 0, 177), s::empty);
  run({op::reset, 0, 0, 0, {}, 0}, s::ok);
  run(take(15), s::empty);
  run(put(15, buffer(3)), s::ok);
  EXPECT_EQ(both.compared, 54);
}

TEST(buffer_allocator_cosim, every_wrong_bit_and_every_pair_agree) {
  pair both;
  int corrected = 0, lost = 0;
  for (unsigned i = 0; i < buffer_allocator::word_bits; ++i)
    for (unsigned k = i; k < buffer_allocator::word_bits; k += i % 9 == 0 ? 1 : 11) {
      both(put(2, buffer(5)), alloc_status::ok);
      both(put(2, buffer(6)), alloc_status::ok);
      both(flip(2, 0, i), alloc_status::ok);
      if (k != i) both(flip(2, 0, k), alloc_status::ok);
      const bool one_word = k < buffer_bits && i != k;
      both(take(2), one_word ? alloc_status::uncorrectable : alloc_status::ok);
      both(take(2), alloc_status::ok);
      both({op::reset, 0, 0, 0, {}, 0}, alloc_status::ok);
      ASSERT_FALSE(HasFailure()) << i << " " << k;
      ++(one_word ? lost : corrected);
    }
  EXPECT_GT(corrected, 1000);
  EXPECT_GT(lost, 1000);
}

TEST(buffer_allocator_cosim, lost_links_agree) {
  pair both;
  const auto cut = [&](unsigned list, std::uint32_t n) {
    for (const unsigned bit : {0u, 1u, link_bits, link_bits + 1})
      both(flip(list, n, buffer_bits + bit), alloc_status::ok);
  };
  for (std::uint32_t i = 0; i < 16; ++i) both(put(1, buffer(i)), alloc_status::ok);
  for (int i = 0; i < 4; ++i) {
    both(take(1), alloc_status::ok);
    both(settle(1), alloc_status::ok);
  }
  cut(buffer_allocator::unused_words, 0);
  both(flip(buffer_allocator::unused_words, 1, 0), alloc_status::empty);
  both(put(1, buffer(40)), alloc_status::uncorrectable);
  both(put(1, buffer(40)), alloc_status::full);
  cut(1, 3);
  both(flip(1, 4, 0), alloc_status::empty);
  for (int i = 0; i < 3; ++i) both(take(1), alloc_status::ok);
  both(take(1), alloc_status::uncorrectable);
  both(take(1), alloc_status::empty);
  both(give_back(1, 0, buffer(50)), alloc_status::ok);
  both(take(0), alloc_status::ok);
  EXPECT_EQ(both.answer.buffer, buffer(50));
}

// Enough wrong bits make another good code word of a link: what it leads to must be a word in use, and what
// lies there a buffer that is in a list.
TEST(buffer_allocator_cosim, links_that_lead_elsewhere_agree) {
  using code = buffer_allocator::link_code;
  int lost = 0, ok = 0;
  for (std::uint64_t elsewhere = 0; elsewhere < 8; ++elsewhere) {
    pair both;
    for (std::uint32_t i = 0; i < 4; ++i) both(put(0, buffer(i)), alloc_status::ok);
    const code::code_type change = code::encode({1 ^ elsewhere});  // the first links to word 1; 4 are in use
    for (unsigned bit = 0; bit < code::code_bits; ++bit)
      for (const unsigned copy : {0u, link_bits})
        if (code::bit(change, bit)) both(flip(0, 0, buffer_bits + copy + bit), alloc_status::ok);
    both(take(0), elsewhere < 4 ? alloc_status::ok : alloc_status::uncorrectable);
    for (int i = 0; i < 6; ++i) {
      allocator_outcome seen;
      const auto m = compare_allocator(take(0), *both.rtl, *both.twin, &seen);
      ASSERT_FALSE(m) << m->text;
      lost += seen.answer.status == alloc_status::uncorrectable;
      ok += seen.answer.status == alloc_status::ok;
    }
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(ok, 0);
}

// Random commands, some of them wrong; `flips`: the share of commands that wrong a bit, so that words get
// many wrong ones. In the long run each status must have occurred.
void random_commands(pair& both, int commands, double flips, std::uint32_t ids, rng& random,
                     std::map<alloc_status, int>& seen) {
  struct taken {
    unsigned group, from;
    pool_buffer b;
  };
  std::vector<taken> out;
  for (int i = 0; i < commands; ++i) {
    const auto group = static_cast<unsigned>(random.chance(0.01) ? random.below(300) : random.below(4));
    pool_buffer b = buffer(static_cast<std::uint32_t>(random.below(ids)));
    if (random.chance(0.02)) b.length = random.chance(0.5) ? 0 : (1u << 20) + 1;
    if (random.chance(0.02)) b.id.raw ^= 1u << random.below(32);
    b.at.raw = random.next();
    allocator_command c;
    if (random.chance(flips)) {
      c = flip(static_cast<unsigned>(random.chance(0.2) ? 16 : random.below(4)),
               static_cast<std::uint32_t>(random.below(4)),
               static_cast<unsigned>(random.below(buffer_allocator::word_bits + 1)));
    } else {
      switch (random.below(16)) {
        case 0:
          c = configure(group, static_cast<std::uint16_t>(random.chance(0.5) ? 0 : random.below(8)),
                        random.chance(0.5) ? US_NO_GROUP : static_cast<unsigned>(random.below(18)));
          break;
        case 1:
        case 2:
          c = settle(group);
          break;
        case 3:
        case 4:
        case 5:
          c = give_back(group, static_cast<unsigned>(random.below(5)), b);
          if (!out.empty() && random.chance(0.9)) {
            c = give_back(out.back().group, out.back().from, out.back().b);
            out.pop_back();
          }
          break;
        case 6:
          c = {random.chance(0.03) ? op::reset : op::take, group, 0, 0, {}, 0};
          break;
        default:
          c = random.chance(0.55) ? put(group, b) : take(group);
      }
    }
    allocator_outcome o;
    const auto m = compare_allocator(c, *both.rtl, *both.twin, &o);
    ASSERT_FALSE(m) << "seed " << seed << " command " << i << ": " << m->text;
    ++both.compared;
    if (c.op == op::take && o.answer.status == alloc_status::ok) {
      out.push_back({c.group, o.answer.from, o.answer.buffer});
      if (out.size() > 32) out.erase(out.begin());
    }
    if (c.op != op::flip) ++seen[o.answer.status];
  }
}

TEST(buffer_allocator_cosim, random_commands_agree) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  pair both;
  rng random(seed, "test/buffer_allocator_cosim");
  std::map<alloc_status, int> seen;
  random_commands(both, 40000, 0, 40, random, seen);
  random_commands(both, 40000, 0.02, 64, random, seen);
  random_commands(both, 40000, 0.5, 64, random, seen);
  EXPECT_EQ(both.compared, 120000);
  for (unsigned s = 0; s <= static_cast<unsigned>(alloc_status::uncorrectable); ++s)
    EXPECT_GT(seen[static_cast<alloc_status>(s)], 100) << s;
}

TEST(buffer_allocator_cosim, the_size_that_the_adapter_uses_agrees) {
  pair both(65536, 21);
  rng random(seed, "test/buffer_allocator_cosim/large");
  std::map<alloc_status, int> seen;
  random_commands(both, 15000, 0.02, 1u << 21, random, seen);
  EXPECT_GT(both.twin->counters().corrected, 20u);
  EXPECT_GT(both.twin->counters().takes, 1000u);
}

TEST(buffer_allocator_cosim, a_full_memory_of_that_size_agrees) {
  pair both(65536, 21);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const pool_buffer b = buffer(i * 32 + i % 32);
    ASSERT_EQ(both.rtl->put(i % 16, b).status, alloc_status::ok);
    ASSERT_EQ(both.twin->put(i % 16, b).status, alloc_status::ok);
  }
  both(put(0, buffer(0x1fffff)), alloc_status::double_free);
  both(put(0, buffer(0x1ffffe)), alloc_status::full);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const taken_buffer r = both.rtl->take(i % 16), t = both.twin->take(i % 16);
    ASSERT_EQ(r.status, alloc_status::ok);
    ASSERT_EQ(r.buffer, t.buffer);
    ASSERT_EQ(r.cycles, t.cycles);
  }
  both(take(0), alloc_status::empty);
}

TEST(buffer_allocator_cosim, cycles_by_outcome_are_printed_and_agree) {
  pair both;
  std::printf("%-24s %6s %6s\n", "outcome", "rtl", "twin");
  int rows = 0;
  const auto row = [&](const char* what, const allocator_command& c, std::uint32_t cycles) {
    const auto r = run_allocator(*both.rtl, c), t = run_allocator(*both.twin, c);
    std::printf("%-24s %6u %6u\n", what, r.answer.cycles, t.answer.cycles);
    EXPECT_EQ(r.answer.cycles, cycles);
    EXPECT_EQ(t.answer.cycles, cycles);
    ++rows;
  };
  row("configure", configure(0, 0, US_NO_GROUP), 3);
  row("take, empty", take(0), 3);
  row("put, ok", put(0, buffer(1)), 5);
  row("put, ok, behind another", put(0, buffer(2)), 5);
  row("put, double_free", put(0, buffer(2)), 3);
  row("take, ok", take(0), 5);
  row("give_back, ok", give_back(0, 0, buffer(1)), 5);
  row("take, ok", take(0), 5);
  row("settle, ok", settle(0), 3);
  both(flip(0, 0, 0), alloc_status::ok);
  both(flip(0, 0, 1), alloc_status::ok);
  row("take, uncorrectable", take(0), 5);
  row("reset", {op::reset, 0, 0, 0, {}, 0}, 3);
  EXPECT_EQ(rows, 11);
}

TEST(buffer_allocator_cosim, soak_agrees) {
  if (!std::getenv("UNDERSTUDY_SOAK")) GTEST_SKIP() << "run by the nightly test of this name";
  pair both;
  for (std::uint64_t s = 1; s <= 20; ++s) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(s));
    rng random(s, "test/buffer_allocator_cosim/soak");
    std::map<alloc_status, int> seen;
    random_commands(both, 200000, s % 4 * 0.1, s % 2 ? 64 : 30, random, seen);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_EQ(both.compared, 20 * 200000);
}

TEST(buffer_allocator_unit, other_sizes_are_refused_bad) {
  EXPECT_THROW(make_buffer_allocator_rtl(4096, 16), std::invalid_argument);
  EXPECT_THROW(make_buffer_allocator_rtl(65536, 16), std::invalid_argument);
}

// An RTL with one of its outputs wrong.
struct corrupted_unit final : buffer_allocator_unit {
  explicit corrupted_unit(std::function<void(taken_buffer&, allocator_counters&)> f, std::uint32_t wrong_free,
                          std::uint32_t wrong_out)
      : corrupt(std::move(f)), wrong_free(wrong_free), wrong_out(wrong_out) {}
  alloc_answer configure(unsigned g, std::uint16_t q, std::uint8_t l) override {
    return rtl->configure(g, q, l);
  }
  void reset() override { rtl->reset(); }
  alloc_answer put(unsigned g, const pool_buffer& b) override { return rtl->put(g, b); }
  taken_buffer take(unsigned g) override {
    taken_buffer t = rtl->take(g);
    allocator_counters c{};
    corrupt(t, c);
    return t;
  }
  alloc_answer settle(unsigned g) override { return rtl->settle(g); }
  alloc_answer give_back(unsigned g, unsigned f, const pool_buffer& b) override {
    return rtl->give_back(g, f, b);
  }
  std::uint32_t free(unsigned g) const override { return rtl->free(g) ^ (g == 9 ? wrong_free : 0); }
  std::uint32_t out(unsigned g) const override { return rtl->out(g) ^ (g == 9 ? wrong_out : 0); }
  allocator_counters counters() const override {
    taken_buffer t{};
    allocator_counters c = rtl->counters();
    corrupt(t, c);
    return c;
  }
  bool flip(unsigned g, std::uint32_t n, unsigned b) override { return rtl->flip(g, n, b); }
  std::uint64_t cycles() const override { return rtl->cycles(); }

  std::function<void(taken_buffer&, allocator_counters&)> corrupt;
  std::uint32_t wrong_free, wrong_out;
  std::unique_ptr<buffer_allocator_unit> rtl = make_buffer_allocator_rtl(16, 6);
};

TEST(buffer_allocator_compare, each_corrupted_output_is_reported_with_both_sides_and_the_cycle_bad) {
  struct output {
    const char* name;
    std::function<void(taken_buffer&, allocator_counters&)> corrupt;
    std::uint32_t free = 0, out = 0;
  };
  const output outputs[] = {
      {"status", [](taken_buffer& t, auto&) { t.status = alloc_status::uncorrectable; }},
      {"address", [](taken_buffer& t, auto&) { t.buffer.at.raw ^= 1ull << 63; }},
      {"id", [](taken_buffer& t, auto&) { t.buffer.id.raw ^= 1; }},
      {"length", [](taken_buffer& t, auto&) { t.buffer.length ^= 4; }},
      {"from", [](taken_buffer& t, auto&) { t.from ^= 1; }},
      {"cycles", [](taken_buffer& t, auto&) { ++t.cycles; }},
      {"free", [](auto&, auto&) {}, 1, 0},
      {"out", [](auto&, auto&) {}, 0, 1},
      {"puts", [](auto&, allocator_counters& c) { ++c.puts; }},
      {"takes", [](auto&, allocator_counters& c) { ++c.takes; }},
      {"borrowed", [](auto&, allocator_counters& c) { ++c.borrowed; }},
      {"double_frees", [](auto&, allocator_counters& c) { ++c.double_frees; }},
      {"corrected", [](auto&, allocator_counters& c) { ++c.corrected; }},
      {"uncorrectable", [](auto&, allocator_counters& c) { ++c.uncorrectable; }},
  };
  for (const auto& o : outputs) {
    corrupted_unit rtl(o.corrupt, o.free, o.out);
    const auto twin = make_buffer_allocator_twin(16, 6);
    rtl.put(0, buffer(5));
    twin->put(0, buffer(5));
    const auto m = compare_allocator(take(0), rtl, *twin);
    ASSERT_TRUE(m) << o.name;
    EXPECT_EQ(m->field, o.name);
    EXPECT_EQ(m->cycle, rtl.cycles());
    EXPECT_NE(m->text.find("cycle " + std::to_string(m->cycle)), std::string::npos);
    EXPECT_NE(m->text.find("rtl ["), std::string::npos);
    EXPECT_NE(m->text.find("twin ["), std::string::npos);
  }
}

// A bit wrong on one side only must show: the comparison sees what is in the memories.
TEST(buffer_allocator_compare, a_wrong_bit_in_one_memory_is_found_bad) {
  pair both;
  both(put(0, buffer(5)), alloc_status::ok);
  ASSERT_TRUE(both.rtl->flip(0, 0, 7));
  const auto m = compare_allocator(take(0), *both.rtl, *both.twin);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->field, "corrected");
}

// ---- At the pins

using harness = rtl_harness<Vbuffer_allocator_16>;
void idle(Vbuffer_allocator_16& p) {
  p.cmd_valid_i = p.cmd_op_i = p.cmd_group_i = p.cmd_other_i = 0;
  p.cmd_quota_i = 0;
  p.cmd_address_i = 0;
  p.cmd_id_i = p.cmd_length_i = 0;
  p.rsp_ready_i = p.query_group_i = 0;
}

TEST(buffer_allocator_pins, an_answer_waits_until_it_is_taken_and_holds_the_next_command_back) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  p.cmd_op_i = 3;  // settle, which is refused
  int answers = 0, waited = 0;
  for (int cycle = 0; cycle < 40; ++cycle) {
    p.rsp_ready_i = cycle % 7 == 6;
    rtl.settle();
    ASSERT_FALSE(p.cmd_ready_o && p.rsp_valid_o);
    if (p.rsp_valid_o) {
      ASSERT_EQ(p.rsp_status_o, static_cast<unsigned>(alloc_status::bad_state));
      ++(p.rsp_ready_i ? answers : waited);
    }
    rtl.edge();
  }
  EXPECT_GE(answers, 4);
  EXPECT_GE(waited, 8);
}

TEST(buffer_allocator_pins, an_opcode_that_is_none_is_refused) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  p.cmd_op_i = 7;
  for (int cycle = 0; cycle < 10 && !p.rsp_valid_o; ++cycle) {
    rtl.settle();
    rtl.edge();
  }
  ASSERT_TRUE(p.rsp_valid_o);
  EXPECT_EQ(p.rsp_status_o, static_cast<unsigned>(alloc_status::bad_group));
}

TEST(buffer_allocator_pins, a_command_that_changes_while_it_waits_fails_an_assertion_bad) {
  harness rtl;
  auto& p = rtl.pins();
  idle(p);
  p.cmd_valid_i = 1;
  EXPECT_THROW(
      for (int cycle = 0; cycle < 8; ++cycle) {
        p.cmd_id_i = static_cast<unsigned>(cycle);
        rtl.settle();
        rtl.edge();
      },
      std::logic_error);
}

}  // namespace
}  // namespace understudy
