// The DMA engine on a PCIe link with host memory behind it, with the C++ data path and with the Verilated
// one.
#include "model/adapter/dma_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "model/core/rng.h"
#include "model/cosim/dma_pins.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/protocol_checker.h"
#include "tb/test/allocations.h"

namespace understudy::tb {
namespace {

constexpr std::uint64_t seed = 1;

struct registers : sc_core::sc_module {
  explicit registers(const sc_core::sc_module_name& n) : sc_module(n) {}
  tlm_utils::simple_target_socket<registers> mmio{"mmio"}, cfg{"cfg"};
};

// Tags of the adapter's reads: none is asked with while it is under way.
struct tag_watch : tlp_observer {
  void on_tlp(std::uint16_t, const tlp_on_link& t) override {
    if (t.up && t.type == tlp_type::memory_read) {
      EXPECT_TRUE(under_way.insert(t.tag).second) << t.tag;
      seen.push_back(t.tag);
    }
    if (!t.up && t.length == t.left) under_way.erase(t.tag);
  }
  std::uint32_t largest() const { return *std::max_element(seen.begin(), seen.end()); }
  std::uint32_t smallest() const { return *std::min_element(seen.begin(), seen.end()); }
  std::set<std::uint32_t> under_way;
  std::vector<std::uint32_t> seen;
};

struct dma_rig {
  explicit dma_rig(const dma_config& c, const pcie_config& bus = {})
      : port("port", bus, memory, log, 0), engine("engine", c) {
    engine.socket.bind(checker.target);
    checker.initiator.bind(port.dma);
    port.mmio.bind(card.mmio);
    port.cfg.bind(card.cfg);
    engine.bus_master(true);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  }
  static void run(picos t) { sc_core::sc_start(to_sc(t)); }
  // Allocated host memory, filled at random.
  host_memory::region host(std::size_t bytes) {
    const auto r = memory.allocate(bytes, 4096);
    for (std::size_t i = 0; i < bytes; ++i) r.cpu[i] = static_cast<std::uint8_t>(random.below(256));
    return r;
  }
  frame_ref frame(std::uint32_t bytes) {
    frame_ref f = frame_ref::make(bytes);
    for (std::uint32_t i = 0; i < bytes; ++i) f.data()[i] = static_cast<std::uint8_t>(random.below(256));
    return f;
  }
  dma_engine::done count(bool* ok = nullptr) {
    return [this, ok](bool all) {
      ++told;
      told_ok += all;
      if (ok) *ok = all;
    };
  }
  void expect_every_read_byte_accounted() {
    const dma_counters& c = engine.counters();
    EXPECT_EQ(c.read_bytes, c.read_bytes_done + c.read_bytes_failed + c.read_bytes_aborted);
  }

  rng random{seed, "test/dma_engine"};
  event_log log;
  host_memory memory;
  pcie_port port;
  registers card{"card"};
  protocol_checker checker{"checker"};
  dma_engine engine;
  int told = 0, told_ok = 0;
};

dma_config data_path(bool rtl) {
  dma_config c;
  c.rtl = rtl;
  return c;
}

class dma_engine_test : public testing::TestWithParam<bool>, protected dma_rig {
 protected:
  dma_engine_test() : dma_rig(data_path(GetParam())) {}
};
INSTANTIATE_TEST_SUITE_P(data_path, dma_engine_test, testing::Bool(),
                         [](const auto& p) { return p.param ? "rtl" : "twin"; });

// A record ends in host memory whole or not at all, whenever the power goes.
TEST_P(dma_engine_test, SP_1_aligned_record_lands_whole_or_not_at_all_under_a_power_cut_at_any_byte) {
  const auto ring = host(64 * 1024);
  std::vector<std::uint8_t> record(64, 0xa5);
  // The record of 64 bytes takes 88 on the link, 11.2 ns: every picosecond in ten is a cut within a byte.
  int whole = 0, nothing = 0;
  for (picos cut = 0; cut <= 20'000; cut += 100) {
    std::uint8_t* at = ring.cpu + 64 * static_cast<std::size_t>(cut / 100);
    std::fill_n(at, 64, std::uint8_t{0});
    port.set_link_up(true);
    run(pcie_config{}.retrain_time + 1_us);
    EXPECT_EQ(engine.write_atomic(iova{ring.iova + static_cast<std::uint64_t>(at - ring.cpu)}, record),
              dma_status::ok);
    run(cut ? cut : 1);
    port.set_link_up(false);
    run(2_us);
    const auto there = std::count(at, at + 64, 0xa5);
    ASSERT_TRUE(there == 0 || there == 64) << there << " bytes are there after a cut at " << cut << " ps";
    ++(there ? whole : nothing);
  }
  std::printf("%d whole, %d not at all\n", whole, nothing);
  EXPECT_GT(whole, 20);
  EXPECT_GT(nothing, 20);
}

TEST_P(dma_engine_test, SP_2_misaligned_or_too_long_record_is_refused_and_no_byte_is_written_bad) {
  const auto r = host(4096);
  const std::vector<std::uint8_t> before(r.cpu, r.cpu + 4096), bytes(128, 0xee);
  const std::pair<std::uint32_t, std::uint32_t> cases[] = {{1, 64}, {32, 32},  {63, 1},
                                                           {0, 65}, {64, 128}, {4064, 64}};
  for (const auto& [offset, length] : cases)
    EXPECT_EQ(engine.write_atomic(iova{r.iova + offset}, {bytes.data(), length}), dma_status::not_atomic);
  run(10_us);
  EXPECT_EQ(std::vector<std::uint8_t>(r.cpu, r.cpu + 4096), before);
  EXPECT_EQ(engine.counters().refused, std::size(cases));
  EXPECT_EQ(engine.counters().requests, 0u);
  EXPECT_EQ(engine.write_atomic(iova{r.iova + 64}, {bytes.data(), 64}), dma_status::ok);
  run(10_us);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 64, r.cpu + 64));
}

TEST_P(dma_engine_test, SP_3_the_atomic_unit_can_be_asked_for) {
  static_assert(dma_engine::atomic_unit() == 64);
  const auto r = host(4096);
  const std::vector<std::uint8_t> bytes(dma_engine::atomic_unit() + 1);
  EXPECT_EQ(engine.write_atomic(iova{r.iova}, {bytes.data(), dma_engine::atomic_unit()}), dma_status::ok);
  EXPECT_EQ(engine.write_atomic(iova{r.iova}, {bytes.data(), dma_engine::atomic_unit() + 1}),
            dma_status::not_atomic);
  EXPECT_EQ(engine.write_atomic(iova{r.iova + dma_engine::atomic_unit()}, {bytes.data(), 1}), dma_status::ok);
}

TEST_P(dma_engine_test, unaligned_transfers_both_ways_move_exactly_their_bytes) {
  const auto r = host(1 << 20);
  std::vector<std::uint8_t> want(r.cpu, r.cpu + (1 << 20));
  std::vector<std::pair<frame_ref, std::uint32_t>> reads;
  int wanted = 0;
  for (int i = 0; i < 300; ++i) {
    const auto n = static_cast<std::uint32_t>(1 + random.below(i % 10 ? 400 : 9000));
    // Writes to the lower half, reads from the upper one.
    const auto at = static_cast<std::uint32_t>(random.below((1 << 19) - n));
    if (i % 2) {
      const auto offset = static_cast<std::uint32_t>(random.below(64));
      const frame_ref f = frame(n + offset);
      engine.write(iova{r.iova + at}, f, offset, n);
      std::copy_n(f.data() + offset, n, want.begin() + at);
    } else {
      frame_ref f = frame(n + 64);
      engine.read(iova{r.iova + (1 << 19) + at}, n, f.data(), f, count());
      reads.emplace_back(f, at);
      std::fill_n(f.data(), n, std::uint8_t{0});
      ++wanted;
    }
    if (i % 7 == 0) run(1_us);
  }
  run(2_ms);
  EXPECT_EQ(told_ok, wanted);
  EXPECT_TRUE(std::equal(want.begin(), want.end(), r.cpu));
  for (const auto& [f, at] : reads)
    EXPECT_TRUE(std::equal(f.data(), f.data() + (f.size() - 64), r.cpu + (1 << 19) + at)) << at;
  expect_every_read_byte_accounted();
}

TEST_P(dma_engine_test, ranges_that_cannot_be_are_refused_and_nothing_moves_bad) {
  const auto r = host(4096);
  frame_ref f = frame(2000);
  EXPECT_EQ(engine.write(iova{r.iova}, f, 0, 0), dma_status::bad_descriptor);
  EXPECT_EQ(engine.write(iova{~std::uint64_t{0} - 10}, f, 0, 100), dma_status::bad_descriptor);
  EXPECT_EQ(engine.read(iova{r.iova}, 0, f.data(), f, count()), dma_status::bad_descriptor);
  EXPECT_EQ(engine.read(iova{r.iova}, dma_max_bytes + 1, f.data(), f, count()), dma_status::bad_descriptor);
  EXPECT_EQ(engine.read(iova{r.iova}, ~0u, f.data(), f, count()), dma_status::bad_descriptor);
  EXPECT_EQ(engine.write_small(iova{r.iova}, std::vector<std::uint8_t>(65)), dma_status::bad_descriptor);
  run(10_us);
  EXPECT_EQ(engine.counters().refused, 5u);
  EXPECT_EQ(engine.counters().requests, 0u);
  EXPECT_EQ(told, 0);
}

TEST_P(dma_engine_test, failed_completion_fails_its_transfer_alone) {
  const auto r = host(8192);
  frame_ref f = frame(3000);
  bool first = true, second = true, third = false;
  engine.read(iova{0x1000}, 1000, f.data(), f, count(&first));  // outside of memory
  engine.read(iova{r.iova + 8192 - 512}, 1024, f.data() + 1000, f, count(&second));
  engine.read(iova{r.iova}, 500, f.data() + 2500, f, count(&third));
  bool flushed = true;
  engine.flush(iova{0x1000}, count(&flushed));
  run(100_us);
  EXPECT_EQ(told, 4);
  EXPECT_FALSE(first);
  EXPECT_FALSE(second) << "its second half lies behind the memory";
  EXPECT_TRUE(third);
  EXPECT_FALSE(flushed);
  EXPECT_TRUE(std::equal(r.cpu, r.cpu + 500, f.data() + 2500));
  EXPECT_EQ(engine.counters().read_bytes_failed, 1512u);
  expect_every_read_byte_accounted();
}

TEST_P(dma_engine_test, reads_that_the_link_has_lost_let_go_of_their_frames) {
  const auto from = host(4096);
  frame_ref in = frame(2048);
  engine.read(iova{from.iova}, 2048, in.data(), in, count());
  run(200_ns);
  ASSERT_GT(engine.outstanding_reads(), 0u);
  ASSERT_TRUE(in.is_shared());
  port.set_link_up(false);
  engine.reset();
  engine.forget_reads();
  EXPECT_EQ(engine.outstanding_reads(), 0u);
  EXPECT_FALSE(in.is_shared());
  run(20_ms);
  EXPECT_EQ(told, 0);
}

struct completion_lengths : tlp_observer {
  void on_tlp(std::uint16_t, const tlp_on_link& t) override {
    if (t.type == tlp_type::completion_data) of_link.push_back(t.length);
  }
  std::vector<std::uint32_t> of_link;
};

// The widths of the block's data pins.
struct pins_of_32_bytes {
  std::uint8_t cpl_data_i[32], ram_rd_data_i[32];
};

struct completer_case {
  const char* name;
  bool chops;
  bool lowered;  // MPS of the port's Device Control: 128 bytes
  std::size_t completions;
};
class dma_completions : public testing::TestWithParam<completer_case> {};
INSTANTIATE_TEST_SUITE_P(completer, dma_completions,
                         testing::Values(completer_case{"of_whole_payloads", false, false, 4},
                                         completer_case{"that_chops", true, false, 13},
                                         completer_case{"of_a_lowered_mps", false, true, 7}),
                         [](const auto& p) { return std::string(p.param.name); });

// Every cut of 700 bytes from 0x2c on ends with a short completion.
TEST_P(dma_completions, reach_the_verilated_block_as_they_cross_the_link) {
  pcie_config bus;
  bus.link.completer_chops = GetParam().chops;
  dma_rig g(data_path(true), bus);
  if (GetParam().lowered) g.port.port_cfg_write(port_device_control, 0);
  g.run(1_us);
  completion_lengths seen;
  g.port.watch(&seen);
  std::vector<std::uint8_t> pins;
  g.engine.block()->record(&pins);
  const auto r = g.host(4096);
  frame_ref f = g.frame(700);
  g.engine.read(iova{r.iova + 0x2c}, 700, f.data(), f, g.count());
  g.run(10_us);
  EXPECT_EQ(g.told_ok, 1);
  EXPECT_TRUE(std::equal(f.data(), f.data() + 700, r.cpu + 0x2c));
  // A beat that the block does not take at once stays on the pins; no two have the same bytes.
  std::vector<std::uint32_t> of_block;
  dma_inputs<pins_of_32_bytes> now{}, before{};
  for (std::size_t at = 0; at < pins.size(); at += sizeof now, before = now) {
    std::memcpy(&now, pins.data() + at, sizeof now);
    const bool stays = before.cpl_valid && std::memcmp(before.cpl_data, now.cpl_data, 32) == 0;
    if (now.cpl_valid && now.cpl_first && !stays) of_block.push_back(now.cpl_length);
  }
  EXPECT_EQ(of_block, seen.of_link);
  EXPECT_EQ(of_block.size(), GetParam().completions);
}

TEST_P(dma_engine_test, failed_requests_give_their_tags_back) {
  const auto r = host(512);
  frame_ref f = frame(512);
  const int reads = 3 * static_cast<int>(dma_config{}.tags);
  for (int i = 0; i < reads; ++i) engine.read(iova{0x1000}, 512, f.data(), f, count());  // outside of memory
  run(100_us);
  EXPECT_EQ(told, reads);
  EXPECT_EQ(told_ok, 0);
  engine.read(iova{r.iova}, 512, f.data(), f, count());
  run(10_us);
  EXPECT_EQ(told_ok, 1);
}

TEST_P(dma_engine_test, poison_and_completer_abort_fail_their_transfer_alone) {
  const auto r = host(8192);
  frame_ref f = frame(1500);
  std::vector<tlm::tlm_response_status> errors;
  engine.on_error([&](tlm::tlm_response_status s) { errors.push_back(s); });
  bool ok[3] = {true, true, false};
  port.poison_next_read();
  engine.read(iova{r.iova}, 500, f.data(), f, count(&ok[0]));
  run(5_us);
  port.abort_next_read();
  engine.read(iova{r.iova}, 500, f.data() + 500, f, count(&ok[1]));
  run(5_us);
  engine.read(iova{r.iova}, 500, f.data() + 1000, f, count(&ok[2]));
  run(5_us);
  EXPECT_FALSE(ok[0]);
  EXPECT_FALSE(ok[1]);
  EXPECT_TRUE(ok[2]);
  EXPECT_EQ(errors, (std::vector<tlm::tlm_response_status>{tlm::TLM_GENERIC_ERROR_RESPONSE,
                                                           tlm::TLM_COMMAND_ERROR_RESPONSE}));
  expect_every_read_byte_accounted();
}

TEST_P(dma_engine_test, read_that_nobody_answers_fails_after_the_completion_timeout) {
  const auto r = host(8192);
  frame_ref f = frame(3000);
  engine.read(iova{r.iova}, 1500, f.data(), f, count());
  engine.flush(iova{r.iova}, count());
  run(100_ns);
  port.set_link_up(false);
  port.set_link_up(true);
  run(dma_config{}.completion_timeout - 1_us);
  EXPECT_EQ(told, 0);
  run(2_us);
  EXPECT_EQ(told, 2);
  EXPECT_EQ(told_ok, 0);
  EXPECT_EQ(engine.counters().timeouts, 4u) << "three requests of the read, and the flush";
  expect_every_read_byte_accounted();
  engine.read(iova{r.iova}, 1500, f.data() + 1500, f, count());
  run(10_us);
  EXPECT_EQ(told_ok, 1);
  EXPECT_TRUE(std::equal(f.data() + 1500, f.data() + 3000, r.cpu));
  run(20_ms);
  EXPECT_EQ(engine.counters().timeouts, 4u);
}

// Bytes that no other transfer has in the same place, and none of them is 0.
std::uint8_t pattern(std::uint32_t transfer, std::uint32_t byte) {
  return static_cast<std::uint8_t>(1 + (transfer * 41 + byte * 7) % 255);
}

// Bytes of `transfer` at `at`; every other byte must be 0. `holes`: whether some lie behind a 0.
std::uint32_t there(const std::uint8_t* at, std::uint32_t length, std::uint32_t transfer, bool* holes) {
  std::uint32_t n = 0;
  for (std::uint32_t b = 0; b < length; ++b) {
    if (at[b] == 0) continue;
    EXPECT_EQ(at[b], pattern(transfer, b)) << transfer << " " << b;
    if (n++ != b) *holes = true;
  }
  return n;
}

TEST_P(dma_engine_test, abort_of_reads_accounts_for_every_byte) {
  constexpr std::uint32_t transfers = 40, length = 9000, others = 10;
  const auto r = host(transfers * length);
  for (std::uint32_t i = 0; i < transfers; ++i)
    for (std::uint32_t b = 0; b < length; ++b) r.cpu[i * length + b] = pattern(i, b);
  std::vector<frame_ref> to;
  std::vector<bool> whole(transfers);
  for (std::uint32_t i = 0; i < transfers; ++i) {
    to.push_back(frame_ref::make(length));
    std::fill_n(to[i].data(), length, std::uint8_t{0});
    engine.read(iova{r.iova + i * length}, length, to[i].data(), to[i], [&, i](bool ok) {
      ++told;
      told_ok += ok;
      whole[i] = ok;
    });
  }
  frame_ref small = frame(64 * others);
  for (std::uint32_t i = 0; i < others; ++i)
    engine.read(iova{r.iova}, 64, small.data() + 64 * i, small, count(), 1);
  run(2_us);
  const dma_aborted a = engine.abort_reads(0);
  run(1_ms);
  EXPECT_EQ(told, static_cast<int>(transfers + others)) << "each is told once";
  const dma_counters& c = engine.counters();
  std::printf("%u transfers and %llu bytes aborted, %llu done\n", a.transfers,
              static_cast<unsigned long long>(a.bytes), static_cast<unsigned long long>(c.read_bytes_done));
  EXPECT_GT(a.transfers, 20u);
  EXPECT_LT(a.transfers, transfers);
  EXPECT_EQ(c.read_bytes_aborted, a.bytes);
  EXPECT_EQ(c.read_bytes_failed, 0u);
  expect_every_read_byte_accounted();
  EXPECT_EQ(told_ok, static_cast<int>(transfers + others - a.transfers));
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < transfers; ++i) {
    bool holes = false;
    const std::uint32_t n = there(to[i].data(), length, i, &holes);
    EXPECT_FALSE(holes) << i;
    EXPECT_EQ(n == length, whole[i]) << i;
    bytes += n;
  }
  EXPECT_EQ(bytes, transfers * length - a.bytes);
  EXPECT_EQ(bytes + 64 * others, c.read_bytes_done);
}

// What had left is there, what had not is not, to the byte.
TEST_P(dma_engine_test, abort_of_writes_accounts_for_every_byte) {
  constexpr std::uint32_t transfers = 40, length = 4000, apart = 8192;
  const auto r = memory.allocate(transfers * apart, 4096);
  for (std::uint32_t i = 0; i < transfers; ++i) {
    frame_ref f = frame_ref::make(length);
    for (std::uint32_t b = 0; b < length; ++b) f.data()[b] = pattern(i, b);
    engine.write(iova{r.iova + i * apart}, f, 0, length);
  }
  engine.flush(iova{r.iova}, count());
  run(2_us);
  const dma_aborted a = engine.abort_writes();
  EXPECT_EQ(engine.counters().write_bytes_aborted, a.bytes);
  run(1_ms);
  EXPECT_EQ(told, 1) << "the flush that was dropped is told";
  EXPECT_EQ(told_ok, 0);
  EXPECT_GT(a.bytes, 0u);
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < transfers; ++i) {
    bool holes = false;
    const std::uint32_t n = there(r.cpu + std::size_t{i} * apart, length, i, &holes);
    EXPECT_FALSE(holes) << i;
    EXPECT_TRUE(n == 0 || bytes == std::uint64_t{i} * length) << "behind one that was cut off: " << i;
    bytes += n;
  }
  EXPECT_GT(bytes, 0u);
  EXPECT_EQ(bytes, std::uint64_t{transfers} * length - a.bytes);
  EXPECT_EQ(engine.queued_write_bytes(), 0u);
}

// Function-level reset (PCIe 6.6.2), as the engine sees it.
TEST_P(dma_engine_test, reset_in_the_middle_of_a_read_and_a_write_accounts_for_every_byte) {
  constexpr std::uint32_t length = 4000, reads = 9000;
  const auto r = memory.allocate(8192, 4096), from = host(16384);
  frame_ref out = frame_ref::make(length), in = frame_ref::make(reads);
  for (std::uint32_t b = 0; b < length; ++b) out.data()[b] = pattern(0, b);
  std::vector<tlm::tlm_response_status> errors;
  engine.on_error([&](tlm::tlm_response_status s) { errors.push_back(s); });
  std::uint64_t unexpected = 0;
  engine.on_unexpected([&] { ++unexpected; });
  engine.write(iova{r.iova}, out, 0, length);
  engine.read(iova{from.iova}, reads, in.data(), in, count());
  engine.flush(iova{r.iova}, count());
  run(200_ns);
  port.poison_next_read();  // one of the late answers
  const dma_aborted a = engine.reset();
  EXPECT_EQ(a.transfers, 3u);
  EXPECT_EQ(engine.queued_write_bytes(), 0u);
  const dma_counters& c = engine.counters();
  const std::uint64_t before = c.requests;
  run(100_us);
  EXPECT_EQ(c.requests, before) << "nothing more is asked for";
  EXPECT_EQ(told, 0) << "nobody is told";
  EXPECT_TRUE(errors.empty()) << "nor of what was wrong with late answers";
  bool holes = false;
  const std::uint32_t n = there(r.cpu, length, 0, &holes);
  EXPECT_FALSE(holes);
  EXPECT_GT(n, 0u);
  EXPECT_LT(n, length);
  EXPECT_EQ(n, length - c.write_bytes_aborted) << "what had left has landed";
  EXPECT_GT(c.unexpected, 0u);
  EXPECT_EQ(unexpected, c.unexpected);
  EXPECT_EQ(c.read_bytes_aborted, reads) << "a read is of no use without its beginning";
  EXPECT_EQ(c.failed, 0u);
  expect_every_read_byte_accounted();
  EXPECT_TRUE(port.quiet());
  // And again from the start.
  engine.write(iova{r.iova}, out, 0, length);
  engine.read(iova{from.iova}, reads, in.data(), in, count());
  engine.flush(iova{r.iova}, count());
  run(100_us);
  EXPECT_EQ(told_ok, 2);
  EXPECT_EQ(there(r.cpu, length, 0, &holes), length);
  EXPECT_TRUE(std::equal(from.cpu, from.cpu + reads, in.data()));
  expect_every_read_byte_accounted();
}

// At instants that meet the Verilated block in all its states, with new work at once.
TEST_P(dma_engine_test, after_a_reset_at_any_instant_transfers_are_whole_and_keep_to_the_tags) {
  constexpr std::uint32_t length = 9000, reads = 32768;
  const auto old = memory.allocate(16384, 4096), to = memory.allocate(16384, 4096), from = host(reads);
  frame_ref out = frame(length);
  std::vector<std::uint8_t> in(reads);
  constexpr std::uint32_t tags = 8;  // so few that all are taken beside the writes
  engine.limit({256, 512, tags});
  std::uint32_t largest = 0;
  for (unsigned i = 0; i < 40; ++i) {
    std::fill_n(to.cpu, length, std::uint8_t{0});
    std::fill(in.begin(), in.end(), std::uint8_t{0});
    engine.write(iova{old.iova}, out, 0, length);
    engine.read(iova{from.iova}, reads, in.data(), {}, count());
    engine.flush(iova{old.iova}, count());
    run(20_ns + i * 17_ns);
    engine.reset();
    const int before = told_ok;
    engine.write(iova{to.iova}, out, 0, length);
    engine.read(iova{from.iova}, reads, in.data(), {}, count());
    engine.flush(iova{to.iova}, count());
    for (int k = 0; k < 2000; ++k) {
      run(20_ns);
      largest = std::max(largest, engine.outstanding_reads());
    }
    ASSERT_EQ(told_ok, before + 2) << i;
    ASSERT_TRUE(std::equal(out.data(), out.data() + length, to.cpu)) << i;
    ASSERT_TRUE(std::equal(in.begin(), in.end(), from.cpu)) << i;
    ASSERT_TRUE(port.quiet());
  }
  EXPECT_EQ(told, told_ok);
  EXPECT_EQ(largest, tags);
  expect_every_read_byte_accounted();
}

TEST_P(dma_engine_test, tags_of_reads_that_a_reset_has_forgotten_come_back_when_they_time_out) {
  const auto from = host(65536);
  std::vector<std::uint8_t> in(32768);
  std::vector<tlm::tlm_response_status> errors;
  engine.on_error([&](tlm::tlm_response_status s) { errors.push_back(s); });
  engine.read(iova{from.iova}, 32768, in.data(), {}, count());  // a request for each of 64 tags
  run(300_ns);
  engine.reset();
  port.set_link_up(false);
  port.set_link_up(true);
  run(dma_config{}.completion_timeout + 1_us);
  EXPECT_EQ(engine.counters().timeouts, 0u) << "nobody has waited";
  EXPECT_TRUE(errors.empty());
  expect_every_read_byte_accounted();
  engine.read(iova{from.iova}, 32768, in.data(), {}, count());
  run(100_us);
  EXPECT_EQ(told_ok, 1);
  EXPECT_TRUE(std::equal(from.cpu, from.cpu + 32768, in.data()));
}

// PCIe 2.2.6.2: a requester uses the numbers that Device Control allows, each for one request at a time.
TEST_P(dma_engine_test, tags_are_below_the_limit_and_begin_again_with_another) {
  const auto from = host(1 << 20);
  const frame_ref in = frame(9000);
  tag_watch tags;
  port.watch(&tags);
  const auto read = [&](int n) {
    tags.seen.clear();
    for (int i = 0; i < n; ++i)
      engine.read(iova{from.iova}, 9000, const_cast<std::uint8_t*>(in.data()), in, count());
    run(1_ms);
  };
  for (const std::uint32_t limit : {64u, 32u, 1u, 64u, 5u}) {
    engine.limit({256, 512, limit});
    read(20);
    ASSERT_GT(tags.seen.size(), 100u);
    for (std::uint32_t i = 0; i < limit; ++i) EXPECT_EQ(tags.seen[i], i) << limit;
    EXPECT_EQ(tags.largest(), limit - 1);
  }
  EXPECT_EQ(told_ok, 100);
}

// In the C++ data path a limit takes effect at once.
TEST(dma_tags_of_the_twin, are_below_a_limit_that_comes_while_others_are_under_way) {
  dma_rig g(data_path(false));
  const auto from = g.host(1 << 20);
  const frame_ref in = g.frame(9000);
  tag_watch tags;
  g.port.watch(&tags);
  for (int i = 0; i < 20; ++i)
    g.engine.read(iova{from.iova}, 9000, const_cast<std::uint8_t*>(in.data()), in, g.count());
  g.run(300_ns);
  ASSERT_GT(tags.under_way.size(), 32u);
  g.engine.limit({256, 512, 32});
  tags.seen.clear();
  g.run(1_ms);
  EXPECT_EQ(tags.largest(), 31u);
  g.engine.limit({256, 512, 64});
  tags.seen.clear();
  for (int i = 0; i < 20; ++i)
    g.engine.read(iova{from.iova}, 9000, const_cast<std::uint8_t*>(in.data()), in, g.count());
  g.run(1_ms);
  EXPECT_EQ(tags.largest(), 63u);
  EXPECT_EQ(g.told_ok, 40);
}

TEST_P(dma_engine_test, short_read_of_the_other_queue_does_not_wait_for_all_long_ones) {
  const auto r = host(1 << 20);
  frame_ref f = frame(9000);
  int before = -1;
  for (int i = 0; i < 40; ++i) engine.read(iova{r.iova}, 9000, f.data(), f, count());
  engine.read(
      iova{r.iova}, 64, f.data(), f, [&](bool) { before = told; }, 1);
  run(1_ms);
  EXPECT_EQ(told, 40);
  EXPECT_GE(before, 0);
  EXPECT_LE(before, 8);
}

// The Verilated block makes four requests at a time; one more may stand in its output register.
TEST_P(dma_engine_test, read_goes_behind_few_of_the_requests_of_long_writes) {
  struct : tlp_observer {
    void on_tlp(std::uint16_t, const tlp_on_link& t) override {
      writes += t.type == tlp_type::memory_write;
      if (t.type == tlp_type::memory_read) before_read = writes;
    }
    std::uint32_t writes = 0, before_read = 0;
  } order;
  port.watch(&order);
  const auto to = memory.allocate(9000, 4096), from = host(64);
  frame_ref out = frame(9000), in = frame(64);
  std::uint32_t fewest = 100, most = 0;
  for (unsigned i = 0; i < 24; ++i) {
    for (int w = 0; w < 4; ++w) engine.write(iova{to.iova}, out, 0, 9000);
    run(1_us + i * 13_ns);
    const std::uint32_t before = order.writes;
    engine.read(iova{from.iova}, 64, in.data(), in, count());
    run(100_us);
    fewest = std::min(fewest, order.before_read - before);
    most = std::max(most, order.before_read - before);
  }
  EXPECT_EQ(told_ok, 24);
  EXPECT_EQ(order.writes, 24u * 4 * 36);
  EXPECT_LE(fewest, 1u);
  if (GetParam()) {
    EXPECT_GE(most, 3u);
    EXPECT_LE(most, 5u);
  } else {
    EXPECT_LE(most, 1u);
  }
}

TEST_P(dma_engine_test, no_transfer_allocates_in_steady_state) {
  const auto r = host(1 << 20);
  const std::vector<std::uint8_t> record(64, 1);
  frame_ref in = frame(9000), out = frame(9000);
  const auto round = [&] {
    for (std::uint32_t i = 0; i < 20; ++i) {
      engine.write(iova{r.iova + 3}, out, 5, 1500);
      engine.write_atomic(iova{r.iova + 64 * i}, record);
      engine.read(iova{r.iova + 7}, 1514, in.data(), in, count());
      engine.flush(iova{r.iova}, count());
    }
    run(50_us);
  };
  for (int i = 0; i < 20; ++i) round();
  const std::uint64_t before = allocations;
  for (int i = 0; i < 50; ++i) round();
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(told_ok, 70 * 40);
}

// Answers that come after the completion timeout are dropped.
TEST(dma_reads, that_are_answered_too_late_have_failed_and_the_answer_is_unexpected) {
  dma_config c;
  c.completion_timeout = 50_us;
  pcie_config bus;
  bus.read_latency = 80_us;
  dma_rig g(c, bus);
  const auto r = g.host(4096);
  frame_ref f = g.frame(512);
  unsigned unexpected = 0;
  g.engine.on_unexpected([&] { ++unexpected; });
  g.engine.read(iova{r.iova}, 512, f.data(), f, g.count());
  g.run(60_us);
  EXPECT_EQ(g.told, 1);
  EXPECT_EQ(g.told_ok, 0);
  EXPECT_EQ(unexpected, 0u);
  g.run(60_us);
  EXPECT_EQ(g.told, 1);
  EXPECT_EQ(unexpected, 1u);
  EXPECT_EQ(g.engine.counters().unexpected, 1u);
  EXPECT_EQ(g.engine.counters().timeouts, 1u);
}

// PCIe 7.5.3.16: Completion Timeout Disable.
TEST_P(dma_engine_test, reads_without_a_timeout_wait_for_ever_and_it_begins_when_it_is_enabled) {
  const auto from = host(4096);
  std::vector<std::uint8_t> in(2 * 512);
  const picos timeout = dma_config{}.completion_timeout;
  engine.read(iova{from.iova}, 512, in.data(), {}, count());
  run(200_ns);
  port.set_link_up(false);
  port.set_link_up(true);
  engine.time_out(false);
  run(timeout + 1_ms);
  engine.time_out(false);
  engine.read(iova{from.iova}, 512, in.data() + 512, {}, count());
  run(timeout);
  EXPECT_EQ(told, 1) << "others go on";
  EXPECT_EQ(told_ok, 1);
  EXPECT_EQ(engine.outstanding_reads(), 1u);
  engine.time_out(true);
  run(timeout / 2);
  engine.time_out(true);
  run(timeout / 2 - 1_us);
  EXPECT_EQ(told, 1);
  run(2_us);
  EXPECT_EQ(told, 2);
  EXPECT_EQ(told_ok, 1);
  EXPECT_EQ(engine.counters().timeouts, 1u);
}

// The Verilated block reports in order: it stops dma_unit::read_slots transfers behind the lost one.
TEST(dma_reads_of_the_twin, without_a_timeout_take_no_memory_behind_one_that_is_lost) {
  dma_rig g(data_path(false));
  const auto from = g.host(4096);
  frame_ref in = g.frame(512);
  g.engine.time_out(false);
  g.engine.read(iova{from.iova}, 512, in.data(), in, g.count());
  g.run(200_ns);
  g.port.set_link_up(false);
  g.port.set_link_up(true);
  g.run(10_us);
  const auto round = [&] {
    for (int i = 0; i < 100; ++i) g.engine.read(iova{from.iova}, 512, in.data(), in, g.count());
    g.run(100_us);
  };
  for (int i = 0; i < 5; ++i) round();
  const std::uint64_t before = allocations;
  for (int i = 0; i < 50; ++i) round();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(g.told_ok, 55 * 100);
}

// Gb/s of `reads` reads of `bytes`, and the time of one alone.
struct read_rate {
  double gbps, alone_ns;
};
read_rate measure(dma_rig& g, std::uint32_t bytes, int reads) {
  const auto r = g.host(1 << 20);
  const frame_ref f = g.frame(4096);
  const auto until_told = [&](int n) {
    const picos start = now_ps();
    while (g.told < n) g.run(10_ns);
    return static_cast<double>(now_ps() - start) / 1000;
  };
  g.engine.read(iova{r.iova}, bytes, const_cast<std::uint8_t*>(f.data()), f, g.count());
  const double alone = until_told(1);
  for (int i = 0; i < reads; ++i)
    g.engine.read(iova{r.iova + static_cast<std::uint64_t>(i % 1024) * 512}, bytes,
                  const_cast<std::uint8_t*>(f.data()), f, g.count());
  const double all = until_told(1 + reads);
  return {8.0 * bytes * reads / all, alone};
}

// B_read <= tags * min(MRRS, n) * 8 / RTT, with 5-bit, 8-bit and 10-bit tags (PCIe 2.2.6.2). The latency is
// so long, and the link so fast, that nothing else limits.
class dma_tags : public testing::TestWithParam<std::uint32_t> {};
TEST_P(dma_tags, reach_the_ceiling_of_reads_in_flight) {
  dma_config c;
  c.tags = GetParam();
  pcie_config bus;
  bus.link.generation = 5;
  bus.link.lanes = 16;
  bus.read_latency = 5_us;
  dma_rig g(c, bus);
  tag_watch tags;
  g.port.watch(&tags);
  const read_rate m = measure(g, 64, static_cast<int>(40 * GetParam()));
  const std::uint32_t first = GetParam() > 256 ? 256 : 0;  // of 10 bits the upper two are never both 0
  EXPECT_EQ(tags.smallest(), first);
  EXPECT_EQ(tags.largest(), first + GetParam() - 1);
  const double ceiling = GetParam() * 64 * 8 / m.alone_ns;
  std::printf("%4u tags: %.2f Gb/s of %.2f\n", GetParam(), m.gbps, ceiling);
  EXPECT_LE(m.gbps, ceiling * 1.01);
  EXPECT_GE(m.gbps, ceiling * 0.95);
}
INSTANTIATE_TEST_SUITE_P(of_each_width, dma_tags, testing::Values(32u, 256u, 768u));

class dma_completion_buffer : public testing::TestWithParam<bool> {};
TEST_P(dma_completion_buffer, is_reserved_before_a_read_is_issued) {
  dma_config c = data_path(GetParam());
  c.completion_bytes = 4096;
  pcie_config bus;
  bus.read_latency = 5_us;
  dma_rig g(c, bus);
  const read_rate m = measure(g, 512, 200);
  const double ceiling = 4096 * 8 / m.alone_ns;
  std::printf("%.2f Gb/s of %.2f; %.2f with all tags\n", m.gbps, ceiling, 64 * 512 * 8 / m.alone_ns);
  EXPECT_LE(m.gbps, ceiling * 1.01);
  EXPECT_GE(m.gbps, ceiling * 0.95);
}
INSTANTIATE_TEST_SUITE_P(data_path, dma_completion_buffer, testing::Bool(),
                         [](const auto& p) { return p.param ? "rtl" : "twin"; });

}  // namespace
}  // namespace understudy::tb
