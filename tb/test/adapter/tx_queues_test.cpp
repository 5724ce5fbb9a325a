// Transmit queues: rings of their own for frames that the host has built. Turns, batches, bounds, refusals.
#include <algorithm>
#include <map>
#include <string>

#include "tb/test/adapter/adapter_rig.h"
#include "tb/test/allocations.h"

namespace understudy::tb {
namespace {

adapter_config with_queues(std::uint32_t n) {
  adapter_config c;
  c.tx_queues = n;
  return c;
}

pcie_config with_iommu() {
  pcie_config c;
  c.translation.on = true;
  return c;
}

constexpr std::uint32_t entries = 32;

struct tx_ring {
  host_memory::region memory;
  std::uint32_t tail = 0;
};

struct queue_rig : adapter_rig {
  explicit queue_rig(const adapter_config& c = with_queues(4), const pcie_config& bus = {},
                     std::uint32_t records = 1024)
      : adapter_rig(c, 64, records, bus), first(c.first_index) {
    tail = head = first;
    bring_up(0);
    for (unsigned q = 0; q < c.tx_queues; ++q) rings.push_back({memory.allocate(4096, 4096), first});
    frames = memory.allocate(64 * 16384, 4096);
    for (std::uint32_t i = 0; i < 64 * 16384; ++i)
      frames.cpu[i] = static_cast<std::uint8_t>(i * 37 + i / 251);
  }
  void set(unsigned q, std::uint32_t reg, std::uint32_t value) { write(US_TX_QUEUE(q) + reg, value); }
  std::uint32_t get(unsigned q, std::uint32_t reg) { return read(US_TX_QUEUE(q) + reg); }
  void set_up(unsigned q, std::uint64_t base, std::uint32_t size) {
    set(q, US_TX_BASE_LO, static_cast<std::uint32_t>(base));
    set(q, US_TX_BASE_HI, static_cast<std::uint32_t>(base >> 32));
    set(q, US_TX_SIZE, size);
    set(q, US_TX_CONTROL, US_TX_ENABLE);
  }
  // With the test's ring; with an IOMMU it is mapped.
  void open(unsigned q) {
    port.translation().map(rings[q].memory.iova, entries * US_ENTRY_BYTES);
    rings[q].tail = first;
    set_up(q, rings[q].memory.iova, entries);
    ASSERT_EQ(get(q, US_TX_STATUS), US_TX_RUNNING);
  }
  us_idt_entry descriptor(std::uint64_t at, std::uint32_t bytes, bool more = false) const {
    us_idt_entry e{};
    e.opcode = US_OP_SEND_RAW;
    e.cid = US_NO_CID;
    e.flags = more ? US_RAW_MORE : 0;
    e.u.send.iova_lo = static_cast<std::uint32_t>(at);
    e.u.send.iova_hi = static_cast<std::uint32_t>(at >> 32);
    e.u.send.len = bytes;
    return e;
  }
  void put(unsigned q, const us_idt_entry& e) {
    std::memcpy(rings[q].memory.cpu + (rings[q].tail++ & (entries - 1)) * US_ENTRY_BYTES, &e, sizeof e);
  }
  void piece(unsigned q, std::uint64_t at, std::uint32_t bytes, bool more = false) {
    us_idt_entry e = descriptor(at, bytes, more);
    seal(e, rings[q].tail);
    put(q, e);
  }
  static void seal(us_idt_entry& e, std::uint32_t index) {
    e.index16 = static_cast<std::uint16_t>(index);
    e.crc = crc32c(&e, offsetof(us_idt_entry, crc));
  }
  // A frame of `bytes` that says `tag`: its bytes lie in a room that the 64th frame after it uses again.
  void frame(unsigned q, std::uint8_t tag, std::uint32_t bytes) {
    const std::uint32_t room = made++ % 64 * 16384;
    std::uint8_t* at = frames.cpu + room;
    std::copy(peer_mac.begin(), peer_mac.end(), at);
    std::copy(adapter_mac.begin(), adapter_mac.end(), at + 6);
    at[12] = 0x88;
    at[13] = 0xb5;
    at[14] = tag;
    piece(q, frames.iova + room, bytes);
  }
  void doorbell(unsigned q) { port.mmio_write(US_TX_QUEUE(q) + US_TX_TAIL, rings[q].tail); }
  void ring(unsigned q, picos wait = 100_us) {
    doorbell(q);
    run(wait);
  }
  std::vector<us_record> reports(unsigned q) {
    for (const us_record& r : take_records()) {
      EXPECT_TRUE(r.type == US_REC_RAW || r.type == US_REC_TX_STOPPED) << int{r.type};
      if (r.type == US_REC_RAW || r.type == US_REC_TX_STOPPED) all_reports[r.u.end.ring].push_back(r);
    }
    return std::exchange(all_reports[q + 1], {});
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> outcomes(unsigned q) {  // index, status
    std::vector<std::pair<std::uint32_t, std::uint32_t>> all;
    for (const us_record& r : reports(q))
      if (r.type == US_REC_RAW) all.emplace_back(r.u.end.index - first, r.u.end.status);
    return all;
  }
  std::size_t memory_reads() const {
    std::size_t n = 0;
    for (const event& e : events.all)
      n += e.kind == event_kind::tlp_up && e.b >> 32 == static_cast<std::uint64_t>(tlp_type::memory_read);
    return n;
  }
  const tx_queue_counters& counts(unsigned q) const { return dev.transmit_queues().counters(q); }

  std::uint32_t first;
  std::vector<tx_ring> rings;
  host_memory::region frames;
  std::uint32_t made = 0;
  std::map<std::uint32_t, std::vector<us_record>> all_reports;
};

using outcome_list = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

// ---------------------------------------------------------------- what is there

TEST(tx_queues_absent, adapter_is_one_of_minor_6) {
  adapter_rig g;
  g.bring_up(0);
  EXPECT_EQ(g.read(US_REG_ABI_VERSION), US_ABI_MAJOR << 16 | 6u);
  EXPECT_EQ(g.read(US_REG_FEATURES) & US_FEATURE_TX_QUEUES, 0u);
  EXPECT_EQ(g.read(US_REG_TX_QUEUES), 0u);
  g.write(US_TX_QUEUE(0) + US_TX_CONTROL, US_TX_ENABLE);
  EXPECT_EQ(g.read(US_TX_QUEUE(0) + US_TX_STATUS), 0u) << "nothing runs";
}

TEST(tx_queues_present, are_said_by_minor_7_a_feature_and_their_number) {
  queue_rig g(with_queues(3));
  EXPECT_EQ(g.read(US_REG_ABI_VERSION), US_ABI_MAJOR << 16 | 7u);
  EXPECT_NE(g.read(US_REG_FEATURES) & US_FEATURE_TX_QUEUES, 0u);
  EXPECT_EQ(g.read(US_REG_TX_QUEUES), 3u);
  for (unsigned q = 0; q < 3; ++q) EXPECT_EQ(g.get(q, US_TX_STATUS), 0u) << "off after power-on";
  g.write(US_TX_QUEUE(3) + US_TX_CONTROL, US_TX_ENABLE);
  EXPECT_EQ(g.read(US_TX_QUEUE(3) + US_TX_STATUS), 0u) << "there is no fourth";
}

// ---------------------------------------------------------------- frames

class tx_frames : public testing::TestWithParam<bool> {};  // the DMA engine in RTL

TEST_P(tx_frames, leave_as_they_were_built_and_are_reported_by_their_queue) {
  adapter_config c = with_queues(4);
  c.dma.rtl = GetParam();
  queue_rig g(c);
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  const std::uint32_t sizes[] = {14, 59, 60, 64, 1514, 4096, 9018};
  std::map<int, std::vector<std::uint8_t>> want;
  std::uint8_t tag = 0;
  for (const std::uint32_t bytes : sizes)
    for (unsigned q = 0; q < 4; ++q) {
      const std::uint8_t* const at = g.frames.cpu + g.made % 64 * 16384;
      g.frame(q, ++tag, bytes);
      want[tag] = {at, at + bytes};
      want[tag].resize(std::max(60u, bytes));
    }
  for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
  g.run(1_ms);
  ASSERT_EQ(g.wire.arrivals.size(), want.size());
  for (const auto& a : g.wire.arrivals) {
    const auto b = a.f.bytes();
    const auto t = std::find_if(want.begin(), want.end(), [&](const auto& w) {
      return w.second == std::vector<std::uint8_t>(b.begin(), b.end());
    });
    ASSERT_NE(t, want.end());
    want.erase(t);
  }
  for (unsigned q = 0; q < 4; ++q) {
    const outcome_list o = g.outcomes(q);
    ASSERT_FALSE(o.empty());
    EXPECT_EQ(o.back(), (std::pair{6u, std::uint32_t{US_OK}}));
    EXPECT_EQ(g.counts(q).frames, 7u);
    EXPECT_EQ(g.get(q, US_TX_HEAD), 7u);
  }
  EXPECT_EQ(g.dev.counters().raw_frames, 0u) << "none by the input table";
  g.expect_no_report();
}
INSTANTIATE_TEST_SUITE_P(of, tx_frames, testing::Bool());

TEST(tx_frame, in_pieces_is_gathered_in_the_order_of_its_descriptors) {
  queue_rig g;
  g.open(0);
  g.piece(0, g.frames.iova + 100, 20, true);
  g.piece(0, g.frames.iova + 7000, 300, true);
  g.piece(0, g.frames.iova + 16384, 1, true);
  g.piece(0, g.frames.iova + 33, 99);
  g.ring(0);
  ASSERT_EQ(g.wire.arrivals.size(), 1u);
  std::vector<std::uint8_t> want;
  for (const auto& [at, n] : {std::pair{100, 20}, {7000, 300}, {16384, 1}, {33, 99}})
    want.insert(want.end(), g.frames.cpu + at, g.frames.cpu + at + n);
  const auto b = g.wire.arrivals[0].f.bytes();
  EXPECT_EQ(std::vector<std::uint8_t>(b.begin(), b.end()), want);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{3, US_OK}}));
  EXPECT_EQ(g.counts(0).reads, 4u);
}

TEST(tx_frame, whose_last_piece_has_not_come_waits_for_it) {
  queue_rig g;
  g.open(0);
  g.piece(0, g.frames.iova, 54, true);
  g.ring(0);
  EXPECT_EQ(g.get(0, US_TX_HEAD), 1u);
  EXPECT_TRUE(g.wire.arrivals.empty());
  EXPECT_EQ(g.counts(0).reads, 0u) << "nothing of it is read";
  g.piece(0, g.frames.iova + 54, 46);
  g.ring(0);
  ASSERT_EQ(g.wire.arrivals.size(), 1u);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{1, US_OK}}));
}

// ---------------------------------------------------------------- turns

std::size_t place_of(const queue_rig& g, int tag) {
  const std::vector<int> tags = tags_of(g.wire);
  return static_cast<std::size_t>(std::find(tags.begin(), tags.end(), tag) - tags.begin());
}

TEST(tx_turns, small_frame_of_another_queue_does_not_wait_for_a_long_backlog) {
  queue_rig g;
  g.open(0);
  g.open(1);
  for (int i = 0; i < 31; ++i) g.frame(0, 1, 9000);
  g.doorbell(0);
  g.run(60_us);  // in the middle of the backlog
  g.frame(1, 2, 64);
  const picos rung = now_ps();
  g.ring(1, 500_us);
  ASSERT_EQ(g.wire.arrivals.size(), 32u);
  const std::size_t at = place_of(g, 2);
  ASSERT_LT(at, 20u);
  EXPECT_LT(g.wire.arrivals[at].at - rung, 20_us);
  // The negative control: behind them in their own queue.
  g.wire.arrivals.clear();
  for (int i = 0; i < 31; ++i) g.frame(0, 1, 9000);
  g.frame(0, 2, 64);
  const picos again = now_ps();
  g.ring(0, 500_us);
  ASSERT_EQ(g.wire.arrivals.size(), 32u);
  EXPECT_EQ(place_of(g, 2), 31u);
  EXPECT_GT(g.wire.arrivals[31].at - again, 100_us);
}

TEST(tx_turns, are_frame_by_frame_while_queues_have_some) {
  queue_rig g;
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  for (int i = 0; i < 20; ++i)
    for (unsigned q = 0; q < 4; ++q) g.frame(q, static_cast<std::uint8_t>(q), 1500);
  for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
  g.run(1_ms);
  const std::vector<int> tags = tags_of(g.wire);
  ASSERT_EQ(tags.size(), 80u);
  // From where every queue has begun to where the first one ends.
  int judged = 0;
  for (std::size_t i = 16; i + 4 <= 72; i += 4, ++judged) {
    std::vector<int> four(tags.begin() + static_cast<std::ptrdiff_t>(i),
                          tags.begin() + static_cast<std::ptrdiff_t>(i) + 4);
    std::sort(four.begin(), four.end());
    EXPECT_EQ(four, (std::vector<int>{0, 1, 2, 3})) << i;
  }
  EXPECT_EQ(judged, 14);
}

TEST(tx_turns, pass_a_queue_whose_reads_fail) {
  queue_rig g(with_queues(2));
  g.open(0);
  g.open(1);
  for (int i = 0; i < 10; ++i) {
    g.piece(0, std::uint64_t{1} << 50, 9000);  // nobody there
    g.frame(1, 1, 100);
  }
  g.doorbell(0);
  g.doorbell(1);
  g.run(1_ms);
  EXPECT_EQ(g.wire.arrivals.size(), 10u);
  EXPECT_EQ(g.counts(0).failed, 10u);
  EXPECT_EQ(g.counts(1).frames, 10u);
}

TEST(tx_reads, outstanding_are_bounded_for_all_queues_together) {
  adapter_config c = with_queues(4);
  c.raw_reads = 2;
  queue_rig g(c);
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  for (int i = 0; i < 8; ++i)
    for (unsigned q = 0; q < 4; ++q) g.frame(q, 1, 256);
  for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
  g.run(1_ms);
  ASSERT_EQ(g.wire.arrivals.size(), 32u);
  // Each frame is one request: at no instant are three of them under way.
  int out = 0, most = 0, seen = 0;
  for (const event& e : g.events.all) {
    const auto length = static_cast<std::uint32_t>(e.b);
    if (e.kind == event_kind::tlp_up && e.a >= g.frames.iova && e.a < g.frames.iova + 64 * 16384) {
      EXPECT_EQ(length, 256u);
      most = std::max(most, ++out);
      ++seen;
    }
    if (e.kind == event_kind::tlp_down &&
        e.b >> 32 == static_cast<std::uint64_t>(tlp_type::completion_data) && length == 256)
      --out;
  }
  EXPECT_EQ(seen, 32);
  EXPECT_LE(most, 2);
  EXPECT_GE(most, 1);
}

// ---------------------------------------------------------------- batches

struct fetch_case {
  std::uint32_t at_once;  // adapter_config::descriptors_a_fetch
  std::uint32_t before;   // descriptors before: where in the ring of 32 the next begin
  std::uint32_t fetches;  // of 16 more
};

class tx_prefetch : public testing::TestWithParam<fetch_case> {};

TEST_P(tx_prefetch, takes_as_many_as_it_may_in_one_read_and_never_crosses_the_end_of_the_ring) {
  const fetch_case& p = GetParam();
  adapter_config c = with_queues(1);
  c.descriptors_a_fetch = p.at_once;
  queue_rig g(c);
  g.open(0);
  for (std::uint32_t i = 0; i < p.before; ++i) g.frame(0, 1, 60);
  if (p.before) g.ring(0);
  const std::uint64_t fetches = g.counts(0).fetches;
  const std::size_t begin = g.events.all.size();
  for (int i = 0; i < 16; ++i) g.frame(0, 1, 60);
  g.ring(0);
  EXPECT_EQ(g.counts(0).fetches - fetches, p.fetches);
  EXPECT_EQ(g.counts(0).descriptors, p.before + 16u);
  std::uint64_t bytes = 0;
  const std::uint64_t base = g.rings[0].memory.iova;
  for (std::size_t i = begin; i < g.events.all.size(); ++i) {
    const event& e = g.events.all[i];
    if (e.kind != event_kind::tlp_up || e.a < base || e.a >= base + 4096) continue;
    bytes += static_cast<std::uint32_t>(e.b);
    EXPECT_LE(e.a + static_cast<std::uint32_t>(e.b), base + entries * US_ENTRY_BYTES) << "behind the ring";
  }
  EXPECT_EQ(bytes, 16u * US_ENTRY_BYTES) << "none twice, none beyond the doorbell";
}
INSTANTIATE_TEST_SUITE_P(of, tx_prefetch,
                         testing::Values(fetch_case{1, 0, 16}, fetch_case{8, 0, 2}, fetch_case{16, 0, 1},
                                         fetch_case{16, 24, 2}, fetch_case{16, 31, 2}, fetch_case{32, 0, 1}));

TEST(tx_prefetch_bound, of_a_long_backlog_is_two_batches_and_the_frames_that_are_open) {
  adapter_config c = with_queues(1);
  c.descriptors_a_fetch = 4;
  queue_rig g(c);
  g.open(0);
  for (int i = 0; i < 32; ++i) g.frame(0, 1, 9000);
  g.doorbell(0);
  int judged = 0;
  for (int i = 0; i < 30; ++i, ++judged) {
    g.run(5_us);
    // 32 KiB of frames are three of them.
    EXPECT_LE(g.get(0, US_TX_HEAD), g.counts(0).frames + 2 * 4 + 3) << i;
  }
  EXPECT_EQ(judged, 30);
  g.run(1_ms);
  EXPECT_EQ(g.wire.arrivals.size(), 32u);
}

class tx_reports : public testing::TestWithParam<std::uint32_t> {};

TEST_P(tx_reports, come_in_batches_and_the_last_ones_after_a_time) {
  const std::uint32_t batch = GetParam();
  adapter_config c = with_queues(2);
  c.raw_completion_batch = batch;
  c.acked_record_age = 1_ms;
  queue_rig g(c);
  g.open(0);
  g.open(1);
  for (int i = 0; i < 16; ++i) g.frame(0, 1, 128);
  g.ring(0);
  outcome_list whole;
  for (std::uint32_t last = batch - 1; last < 16; last += batch) whole.emplace_back(last, US_OK);
  EXPECT_EQ(g.outcomes(0), whole) << "the last descriptor of each batch";
  g.run(2_ms);
  EXPECT_TRUE(g.outcomes(0).empty()) << "everything is reported";
  EXPECT_TRUE(g.outcomes(1).empty()) << "of the other queue there is nothing to say";
  if (batch == 1) return;
  for (std::uint32_t i = 0; i + 1 < batch; ++i) g.frame(0, 1, 128);
  g.ring(0);
  EXPECT_TRUE(g.outcomes(0).empty()) << "the batch is not full";
  g.run(1_ms);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{16 + batch - 2, US_OK}}));
}
INSTANTIATE_TEST_SUITE_P(of, tx_reports, testing::Values(1u, 4u, 8u));

TEST(tx_reports_once, never_say_of_a_frame_that_it_was_sent_before_the_MAC_has_it) {
  queue_rig g;
  g.open(0);
  for (int i = 0; i < 24; ++i) g.frame(0, static_cast<std::uint8_t>(i), 9000);
  g.doorbell(0);
  std::size_t judged = 0;
  std::uint32_t last = 0;
  for (int i = 0; i < 400; ++i) {
    g.run(1_us);
    for (const auto& [index, status] : g.outcomes(0)) {
      EXPECT_EQ(status, std::uint32_t{US_OK});
      EXPECT_LE(index + 1, g.events.of(event_kind::frame_out).size());
      last = index;
      ++judged;
    }
  }
  EXPECT_EQ(last, 23u);
  EXPECT_GE(judged, 3u);
}

// ---------------------------------------------------------------- wrap

class tx_wrap : public testing::TestWithParam<std::uint32_t> {};

TEST_P(tx_wrap, loses_and_doubles_no_frame) {
  adapter_config c = with_queues(1);
  c.first_index = 0u - GetParam();
  queue_rig g(c);
  g.open(0);
  EXPECT_EQ(g.get(0, US_TX_HEAD), c.first_index);
  EXPECT_EQ(g.get(0, US_TX_TAIL), c.first_index);
  std::uint32_t sent = 0;
  for (std::uint32_t n = 1; n <= entries; ++n) {  // every burst up to the whole ring
    g.wire.arrivals.clear();
    for (std::uint32_t i = 0; i < n; ++i) g.frame(0, static_cast<std::uint8_t>(i), 60);
    g.ring(0);
    std::vector<int> want;
    for (std::uint32_t i = 0; i < n; ++i) want.push_back(static_cast<int>(i));
    ASSERT_EQ(tags_of(g.wire), want) << n;
    sent += n;
    const outcome_list o = g.outcomes(0);
    ASSERT_FALSE(o.empty());
    EXPECT_EQ(o.back(), (std::pair{sent - 1, std::uint32_t{US_OK}}));
    g.ring_odt();
  }
  EXPECT_EQ(g.get(0, US_TX_HEAD), c.first_index + sent);
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 0u);
}
INSTANTIATE_TEST_SUITE_P(of, tx_wrap, testing::Values(0u, 1u, 15u, 32u, 65u, 200u));

// ---------------------------------------------------------------- refusals

struct bad_ring {
  const char* what;
  std::uint64_t base;
  std::uint32_t size;
  us_status status;
};

class tx_bad_ring : public testing::TestWithParam<bad_ring> {};

TEST_P(tx_bad_ring, is_refused_and_nothing_of_it_is_read) {
  const bad_ring& p = GetParam();
  queue_rig g;
  g.set_up(1, p.base, p.size);
  EXPECT_EQ(g.get(1, US_TX_STATUS), std::uint32_t{p.status});
  EXPECT_EQ(g.get(1, US_TX_CONTROL), 0u);
  EXPECT_EQ(g.counts(1).refused, 1u);
  const std::size_t before = g.memory_reads();
  g.frame(1, 1, 100);
  g.ring(1);
  EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), 1u) << "a queue that does not run hears no doorbell";
  EXPECT_EQ(g.get(1, US_TX_TAIL), 0u);
  EXPECT_EQ(g.memory_reads(), before);
  EXPECT_TRUE(g.wire.arrivals.empty());
  g.open(1);
  g.frame(1, 1, 100);
  g.ring(1);
  EXPECT_EQ(g.wire.arrivals.size(), 1u) << "a good one is taken afterwards";
}
INSTANTIATE_TEST_SUITE_P(of, tx_bad_ring,
                         testing::Values(bad_ring{"no entries", 0x10000, 0, US_ERR_BAD_LENGTH},
                                         bad_ring{"too few", 0x10000, 8, US_ERR_BAD_LENGTH},
                                         bad_ring{"no power of two", 0x10000, 24, US_ERR_BAD_LENGTH},
                                         bad_ring{"all ones", 0x10000, ~0u, US_ERR_BAD_LENGTH},
                                         bad_ring{"too many", 0x10000, 131072, US_ERR_BAD_LENGTH},
                                         bad_ring{"base not aligned", 0x10020, 32, US_ERR_BAD_ADDRESS},
                                         bad_ring{"beyond the address space", ~std::uint64_t{0} - 1023, 32,
                                                  US_ERR_BAD_ADDRESS}));

TEST(tx_enable, is_refused_while_the_adapter_is_not_enabled) {
  queue_rig g;
  g.write(US_REG_CONTROL, 0);
  g.set_up(0, g.rings[0].memory.iova, entries);
  EXPECT_EQ(g.get(0, US_TX_STATUS), std::uint32_t{US_ERR_BAD_STATE});
}

TEST(tx_doorbell, back_or_beyond_the_ring_is_ignored_and_counted) {
  queue_rig g;
  g.open(0);
  for (int i = 0; i < 5; ++i) g.frame(0, 1, 100);
  g.ring(0);
  ASSERT_EQ(g.wire.arrivals.size(), 5u);
  const std::size_t before = g.memory_reads();
  const std::uint32_t wrong[] = {4, 0, 5 + entries + 1, ~0u, 0x80000005u};
  std::uint32_t bad = 0;
  for (const std::uint32_t value : wrong) {
    g.set(0, US_TX_TAIL, value);
    EXPECT_EQ(g.get(0, US_TX_TAIL), 5u) << value;
    EXPECT_EQ(g.read(US_REG_BAD_DOORBELLS), ++bad) << value;
  }
  g.run(100_us);
  EXPECT_EQ(g.memory_reads(), before) << "nothing was fetched";
  EXPECT_EQ(g.get(0, US_TX_HEAD), 5u);
  g.frame(0, 1, 100);
  g.ring(0);
  EXPECT_EQ(g.wire.arrivals.size(), 6u);
}

TEST(tx_frame_refused, for_its_length_or_its_pieces_is_reported_in_order_and_not_sent) {
  queue_rig g;
  g.open(0);
  const std::uint64_t at = g.frames.iova;
  g.piece(0, at, 0);
  g.piece(0, at, 13);
  g.frame(0, 7, 100);
  g.piece(0, at, 9019);
  g.piece(0, at, 0xffffffff);
  g.piece(0, at, 9000, true);
  g.piece(0, at, 19);
  for (int i = 0; i < 5; ++i) g.piece(0, at, 100, i < 4);
  g.frame(0, 8, 100);
  g.ring(0);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{0, US_ERR_BAD_LENGTH},
                                         {1, US_ERR_BAD_LENGTH},
                                         {3, US_ERR_BAD_LENGTH},
                                         {4, US_ERR_BAD_LENGTH},
                                         {6, US_ERR_BAD_LENGTH},
                                         {11, US_ERR_BAD_LENGTH},
                                         {12, US_OK}}))
      << "2 was sent, as the record behind it says";
  EXPECT_EQ(tags_of(g.wire), (std::vector<int>{7, 8}));
  EXPECT_EQ(g.counts(0).failed, 6u);
  EXPECT_EQ(g.counts(0).reads, 2u) << "nothing of a bad frame is read";
}

TEST(tx_frame_refused, for_endless_pieces_does_not_hold_the_others_up) {
  queue_rig g;
  g.open(0);
  g.open(1);
  for (int round = 0; round < 4; ++round) {
    for (std::uint32_t i = 0; i < entries; ++i) g.piece(0, g.frames.iova, 9000, true);
    g.ring(0);
  }
  EXPECT_EQ(g.get(0, US_TX_HEAD), 4 * entries) << "they are taken";
  EXPECT_EQ(g.counts(0).reads, 0u);
  g.frame(1, 1, 100);
  g.ring(1);
  EXPECT_EQ(g.wire.arrivals.size(), 1u);
  g.piece(0, g.frames.iova, 100);
  g.ring(0);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{4 * entries, US_ERR_BAD_LENGTH}}));
}

TEST(tx_frame_refused, for_an_address_outside_of_every_window_fails_alone) {
  queue_rig g(with_queues(2), with_iommu());
  g.open(0);
  g.port.translation().map(g.frames.iova, 4 * 16384);  // rooms 0 to 3
  g.frame(0, 1, 1000);
  g.piece(0, g.frames.iova + 5 * 16384, 1000);
  g.frame(0, 2, 1000);
  g.piece(0, g.frames.iova, 500, true);
  g.piece(0, g.frames.iova + 5 * 16384, 500);
  g.frame(0, 3, 1000);
  g.ring(0);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{1, US_ERR_DMA}, {4, US_ERR_DMA}, {5, US_OK}}));
  EXPECT_EQ(tags_of(g.wire), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(g.read(US_REG_STATUS) & US_STATUS_FATAL, 0u);
  EXPECT_EQ(g.get(0, US_TX_STATUS), US_TX_RUNNING);
}

enum class wrong { crc, index, opcode };
class tx_descriptor : public testing::TestWithParam<wrong> {};

TEST_P(tx_descriptor, that_cannot_be_understood_stops_its_queue_alone_and_no_torn_frame_leaves) {
  queue_rig g;
  g.open(0);
  g.open(1);
  g.frame(0, 1, 100);
  g.piece(0, g.frames.iova, 54, true);  // the wrong one is a part of this frame, or not: nobody knows
  us_idt_entry e = g.descriptor(g.frames.iova, 100, true);
  if (GetParam() == wrong::opcode) e.opcode = US_OP_NOP;
  g.seal(e, g.rings[0].tail + (GetParam() == wrong::index));
  if (GetParam() == wrong::crc) e.crc ^= 1;
  g.put(0, e);
  g.piece(0, g.frames.iova, 100);
  g.frame(0, 2, 100);
  g.doorbell(0);
  for (int i = 0; i < 5; ++i) g.frame(1, 3, 100);
  g.ring(1);
  EXPECT_EQ(tags_of(g.wire).size(), 6u) << "what came before it, and the other queue";
  EXPECT_EQ(place_of(g, 2), 6u);
  const us_status why = GetParam() == wrong::crc     ? US_ERR_BAD_CRC
                        : GetParam() == wrong::index ? US_ERR_BAD_SEQUENCE
                                                     : US_ERR_BAD_OPCODE;
  const auto reports = g.reports(0);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].type, US_REC_RAW);
  EXPECT_EQ(reports[0].u.end.index, 0u);
  EXPECT_EQ(reports[0].u.end.status, std::uint32_t{US_OK});
  EXPECT_EQ(reports[1].type, US_REC_TX_STOPPED);
  EXPECT_EQ(reports[1].u.end.index, 1u) << "nothing was sent from here on";
  EXPECT_EQ(reports[1].u.end.status, std::uint32_t{why});
  EXPECT_EQ(g.get(0, US_TX_STATUS), std::uint32_t{why});
  EXPECT_EQ(g.counts(0).stops, 1u);
  EXPECT_EQ(g.get(1, US_TX_STATUS), US_TX_RUNNING);
  // It begins anew.
  g.open(0);
  g.frame(0, 4, 100);
  g.ring(0);
  EXPECT_EQ(g.outcomes(0), (outcome_list{{0, US_OK}}));
  EXPECT_EQ(g.wire.arrivals.size(), 7u);
}
INSTANTIATE_TEST_SUITE_P(of, tx_descriptor, testing::Values(wrong::crc, wrong::index, wrong::opcode));

TEST(tx_ring_not_mapped, stops_its_queue_alone) {
  queue_rig g(with_queues(2), with_iommu());
  g.port.translation().map(g.frames.iova, 64 * 16384);
  g.set_up(0, g.rings[0].memory.iova, entries);
  EXPECT_EQ(g.get(0, US_TX_STATUS), US_TX_RUNNING) << "nobody has looked yet";
  g.open(1);
  g.frame(0, 1, 100);
  g.frame(1, 2, 100);
  g.doorbell(0);
  g.ring(1);
  EXPECT_EQ(tags_of(g.wire), (std::vector<int>{2}));
  const auto reports = g.reports(0);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].type, US_REC_TX_STOPPED);
  EXPECT_EQ(reports[0].u.end.status, std::uint32_t{US_ERR_DMA});
  EXPECT_EQ(reports[0].u.end.index, 0u);
  EXPECT_EQ(g.get(0, US_TX_STATUS), std::uint32_t{US_ERR_DMA});
  EXPECT_EQ(g.read(US_REG_STATUS) & US_STATUS_FATAL, 0u) << "the adapter goes on";
}

TEST(tx_iommu_revoked, with_frames_open_lets_nothing_of_what_comes_later_leave_or_land) {
  queue_rig g(with_queues(2), with_iommu());
  g.port.translation().map(g.frames.iova, 64 * 16384);
  g.open(0);
  g.open(1);
  for (int i = 0; i < 20; ++i)
    for (unsigned q = 0; q < 2; ++q) g.frame(q, 1, 9000);
  g.doorbell(0);
  g.doorbell(1);
  g.run(50_us);
  const picos revoked = now_ps();
  g.port.translation().revoke(revoked);
  g.run(20_ms);
  EXPECT_GT(g.wire.arrivals.size(), 2u);
  EXPECT_LT(g.wire.arrivals.size(), 30u) << "the revocation came in the middle";
  for (const auto& a : g.wire.arrivals) EXPECT_EQ(a.f.size(), 9000u);
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, revoked + 2_us);
  EXPECT_GT(g.counts(0).failed, 0u);
  g.frame(0, 1, 100);
  g.ring(0);
  EXPECT_EQ(g.get(0, US_TX_STATUS), std::uint32_t{US_ERR_DMA}) << "its descriptors cannot be read any more";
}

// ---------------------------------------------------------------- ends

TEST(tx_queue_switched_off, with_frames_open_sends_and_reports_nothing_more_of_them) {
  queue_rig g;
  g.open(0);
  g.open(1);
  for (int i = 0; i < 30; ++i)
    for (unsigned q = 0; q < 2; ++q) g.frame(q, static_cast<std::uint8_t>(q), 9000);
  g.doorbell(0);
  g.doorbell(1);
  g.run(50_us);
  g.set(0, US_TX_CONTROL, 0);
  const std::uint64_t sent = g.counts(0).frames;
  EXPECT_GT(sent, 0u);
  EXPECT_LT(sent, 20u);
  EXPECT_EQ(g.get(0, US_TX_STATUS), 0u);
  g.reports(0);
  g.run(1_ms);
  EXPECT_TRUE(g.reports(0).empty());
  EXPECT_EQ(g.counts(0).frames, sent);
  EXPECT_EQ(g.counts(1).frames, 30u) << "the other goes on";
  g.wire.arrivals.clear();
  g.open(0);
  g.frame(0, 9, 9000);
  g.ring(0);
  EXPECT_EQ(tags_of(g.wire), (std::vector<int>{9}));
  EXPECT_EQ(g.outcomes(0), (outcome_list{{0, US_OK}}));
}

class tx_flr : public testing::TestWithParam<picos> {};

TEST_P(tx_flr, with_frames_open_lets_nothing_leave_or_land_after_it_and_queues_start_again) {
  queue_rig g;
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  for (int i = 0; i < 20; ++i)
    for (unsigned q = 0; q < 4; ++q) g.frame(q, 1, 9000);
  for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
  g.run(GetParam());
  picos reset_at = never;
  g.port.cfg_write(config_space::device_control, config_space::initiate_flr, 0,
                   [&](std::uint32_t) { reset_at = now_ps(); });
  g.run(20_us);
  ASSERT_NE(reset_at, never);
  g.run(20_ms);  // longer than the completion time-out
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, reset_at);
  for (const event& e : g.events.of(event_kind::frame_out)) EXPECT_LE(e.at, reset_at);
  EXPECT_LT(g.wire.arrivals.size(), 80u) << "the reset came in the middle";
  for (unsigned q = 0; q < 4; ++q) {
    EXPECT_EQ(g.get(q, US_TX_STATUS), 0u);
    EXPECT_EQ(g.get(q, US_TX_SIZE), 0u);
    EXPECT_EQ(g.get(q, US_TX_TAIL), 0u);
    EXPECT_EQ(g.get(q, US_TX_HEAD), 0u);
  }
  g.wire.arrivals.clear();
  g.start_over(0);
  for (unsigned q = 0; q < 4; ++q) {
    g.open(q);
    g.frame(q, static_cast<std::uint8_t>(q), 9000);
    g.ring(q);
    EXPECT_EQ(g.outcomes(q), (outcome_list{{0, US_OK}}));
  }
  EXPECT_EQ(tags_of(g.wire), (std::vector<int>{0, 1, 2, 3}));
  g.expect_no_report();
}
INSTANTIATE_TEST_SUITE_P(after, tx_flr, testing::Values(500_ns, 1200_ns, 2_us, 10_us, 60_us));

TEST(tx_adapter_dead, with_frames_open_does_nothing_more) {
  queue_rig g;
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  for (int i = 0; i < 20; ++i)
    for (unsigned q = 0; q < 4; ++q) g.frame(q, 1, 9000);
  for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
  g.run(60_us);
  const picos killed = now_ps();
  g.dev.kill();
  g.run(20_ms);
  EXPECT_GT(g.wire.arrivals.size(), 0u);
  EXPECT_LT(g.wire.arrivals.size(), 80u);
  for (const event& e : g.events.of(event_kind::frame_out)) EXPECT_LE(e.at, killed);
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, killed + 5_us);
}

TEST(tx_steady_state, allocates_nothing_for_a_frame) {
  queue_rig g(with_queues(4), {}, 4096);
  for (unsigned q = 0; q < 4; ++q) g.open(q);
  g.wire.on_frame = [&](const frame_ref&) { g.wire.arrivals.clear(); };
  g.events.all.reserve(1 << 20);  // the test's own memory
  const auto round = [&] {
    for (int i = 0; i < 30; ++i)
      for (unsigned q = 0; q < 4; ++q) g.frame(q, 1, 60 + static_cast<std::uint32_t>(i) * 250);
    for (unsigned q = 0; q < 4; ++q) g.doorbell(q);
    g.run(1_ms);
  };
  for (int i = 0; i < 5; ++i) round();
  g.events.all.clear();
  const std::uint64_t frames = g.counts(0).frames;
  const std::uint64_t before = allocations;
  round();
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(g.counts(0).frames - frames, 30u);
}

}  // namespace
}  // namespace understudy::tb
