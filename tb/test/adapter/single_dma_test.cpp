// Frames that the host's stack has built, in one DMA and gathered from two buffers: SD-1 to SD-5.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "host_sw/driver/raw_send.h"
#include "model/core/rng.h"
#include "tb/platform/raw_forecast.h"
#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {
namespace {

using host::raw_send;
using host::tx_buf_pool;
using host::tx_buffer;

constexpr std::uint64_t seed = 1;

// What the driver's parts need of a machine: memory.
class memory_hal final : public host::hal {
 public:
  explicit memory_hal(host_memory& m) : memory_(m) {}
  host::dma_region dma_alloc(std::size_t bytes) override {
    const auto r = memory_.allocate(bytes, bytes >= 4096 ? 4096 : 64);
    return {r.cpu, r.iova, bytes};
  }
  void dma_free(const host::dma_region& r) override { memory_.release(r.iova); }
  void dma_map(unsigned, std::uint64_t at, std::size_t bytes) override {
    ++maps;
    mapped.emplace(at, bytes);
  }
  void dma_unmap(unsigned, std::uint64_t at, std::size_t bytes) override {
    ++unmaps;
    const auto found = mapped.find({at, bytes});
    ASSERT_NE(found, mapped.end()) << "was not mapped";
    mapped.erase(found);
  }
  std::uint64_t maps = 0, unmaps = 0;
  std::multiset<std::pair<std::uint64_t, std::size_t>> mapped;  // now
  void spend(host::work, std::uint64_t) override {}
  unsigned adapters() const override { return 1; }
  std::uint32_t mmio_read32(unsigned, std::uint32_t) override { return 0; }
  void mmio_write32(unsigned, std::uint32_t, std::uint32_t) override {}
  std::uint32_t cfg_read32(unsigned, std::uint32_t) override { return 0; }
  void cfg_write32(unsigned, std::uint32_t, std::uint32_t) override {}
  std::uint32_t port_cfg_read32(unsigned, std::uint32_t) override { return 0; }
  void port_cfg_write32(unsigned, std::uint32_t, std::uint32_t) override {}
  bool dma_revoke(unsigned) override { return false; }
  msi_target irq_attach(unsigned, unsigned, handler, void*) override { return {}; }
  std::uint64_t now_ns() override { return 0; }
  std::uint64_t timer_start(std::uint64_t, handler, void*) override { return 0; }
  void timer_stop(std::uint64_t) override {}
  void port_down_and_hold(unsigned) override {}
  void port_release(unsigned, unsigned) override {}
  void note_recovery(unsigned, unsigned, unsigned) override {}

 private:
  host_memory& memory_;
};

struct single_dma_test : testing::Test {
  explicit single_dma_test(const adapter_config& c = {}) : rig(c, 256, 256) {
    rig.bring_up(0);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  }
  void use(const host::tx_pool_config& c, unsigned interface = 0) {
    ASSERT_TRUE(pool.create(hal, interface, c));
    raw = std::make_unique<raw_send>(
        hal, 0, pool,
        [](void* self, const us_idt_entry& e) {
          auto& r = static_cast<single_dma_test*>(self)->rig;
          r.post(e);
          return r.tail - 1;
        },
        [](void* self, std::uint64_t cookie, bool sent) {
          static_cast<single_dma_test*>(self)->outcome[cookie] = sent;
        },
        this);
    header_room = hal.dma_alloc(4096);
    payload_room = hal.dma_alloc(16384);
  }
  void fill(std::uint8_t* at, std::uint32_t n) {
    for (std::uint32_t i = 0; i < n; ++i) at[i] = static_cast<std::uint8_t>(random.below(256));
  }
  // A frame of `header` + `payload` bytes, its header to the station's address.
  std::vector<std::uint8_t> make(std::uint32_t header, std::uint32_t payload) {
    std::vector<std::uint8_t> f(header + payload);
    fill(f.data(), header + payload);
    const std::uint8_t local_experimental[] = {0x88, 0xb5};
    std::copy(peer_mac.begin(), peer_mac.end(), f.begin());
    std::copy(adapter_mac.begin(), adapter_mac.end(), f.begin() + 6);
    std::copy_n(local_experimental, 2, f.begin() + 12);
    return f;
  }
  tx_buffer& single(const std::vector<std::uint8_t>& f, std::uint32_t header, std::uint64_t cookie) {
    tx_buffer* b = pool.take();
    if (!b) throw std::logic_error("no buffer is free");
    std::copy(f.begin() + header, f.end(), b->data());
    raw->xmit(*b, static_cast<std::uint32_t>(f.size()) - header, f.data(), header, cookie);
    return *b;
  }
  void gather(const std::vector<std::uint8_t>& f, std::uint32_t header, std::uint64_t cookie) {
    std::copy_n(f.begin(), header, header_room.cpu);
    std::copy(f.begin() + header, f.end(), payload_room.cpu);
    raw->xmit_gather({header_room.iova, header},
                     {payload_room.iova, static_cast<std::uint32_t>(f.size()) - header}, cookie);
  }
  // Ring, wait until every frame is over.
  void finish(picos wait = 20_us) {
    rig.port.mmio_write(US_REG_IDT_TAIL, rig.tail);
    for (int i = 0; i < 200 && (i == 0 || raw->open()); ++i) {
      rig.run(wait);
      for (const us_record& r : rig.take_records())
        if (r.type == US_REC_RAW) {
          EXPECT_TRUE(raw->completed(r));
        }
      rig.ring_odt();
    }
    EXPECT_EQ(raw->open(), 0u);
  }
  std::vector<std::uint8_t> last_frame() {
    if (rig.wire.arrivals.empty()) return {};
    const auto b = rig.wire.arrivals.back().f.bytes();
    return {b.begin(), b.end()};
  }

  rng random{seed, "test/single_dma"};
  adapter_rig rig;
  memory_hal hal{rig.memory};
  tx_buf_pool pool;
  std::unique_ptr<raw_send> raw;
  host::dma_region header_room, payload_room;
  std::map<std::uint64_t, bool> outcome;
};

TEST_F(single_dma_test,
       SD_1_frames_are_the_same_bytes_in_one_operation_instead_of_two_and_nothing_is_mapped) {
  use({});
  constexpr int packets = 10'000;
  std::uint64_t ops[2] = {}, frames = 0;
  for (int i = 0; i < packets; ++i) {
    const auto bytes = static_cast<std::uint32_t>(64 + random.below(9000 - 64 + 1));
    const auto f = make(14 + static_cast<std::uint32_t>(random.below(41)), bytes - 54);
    const auto header = static_cast<std::uint32_t>(f.size()) - (bytes - 54);
    for (const int layout : {0, 1}) {
      const std::uint64_t before = rig.dev.counters().raw_reads;
      if (layout == 0) {
        single(f, header, 0);
      } else {
        gather(f, header, 0);
      }
      finish();
      ops[layout] += rig.dev.counters().raw_reads - before;
      std::vector<std::uint8_t> want = f;
      if (want.size() < 60) want.resize(60);
      ASSERT_EQ(last_frame(), want) << i << " " << layout;
      frames += rig.wire.arrivals.size();
      rig.wire.arrivals.clear();
      rig.events.all.clear();
    }
  }
  std::printf("operations a packet: single %.2f, gathered %.2f\n", static_cast<double>(ops[0]) / packets,
              static_cast<double>(ops[1]) / packets);
  EXPECT_EQ(ops[0], 1u * packets);
  EXPECT_EQ(ops[1], 2u * packets);
  EXPECT_EQ(frames, 2u * packets);
  EXPECT_EQ(raw->counters().single, 1u * packets);
  EXPECT_EQ(raw->counters().maps, 2u * packets) << "only gathered frames map";
  EXPECT_EQ(raw->counters().unmaps, 2u * packets);
  EXPECT_EQ(hal.maps, 2u * packets) << "as many as the machine was asked for";
  EXPECT_EQ(hal.unmaps, 2u * packets);
  EXPECT_TRUE(hal.mapped.empty());
  EXPECT_EQ(raw->counters().pool_empty, 0u);
  EXPECT_EQ(pool.mapped(), 1u);
  EXPECT_EQ(pool.free(), pool.total());
  rig.expect_no_report();
}

struct single_dma_depth_test : single_dma_test, testing::WithParamInterface<std::uint32_t> {
  static adapter_config config() {
    adapter_config c;
    c.raw_reads = GetParam();
    return c;
  }
  single_dma_depth_test() : single_dma_test(config()) {}
};
INSTANTIATE_TEST_SUITE_P(reads_outstanding, single_dma_depth_test, testing::Values(1, 2, 16));

TEST_P(single_dma_depth_test, SD_2_measured_gain_is_the_analytic_one) {
  use({});
  std::printf("%6s %10s %10s %10s %10s %8s\n", "bytes", "single ns", "gather ns", "gain ns", "analytic",
              "error");
  double before = 2;
  for (const std::uint32_t bytes : {64u, 512u, 1514u, 9000u}) {
    constexpr std::uint32_t header = 54;
    const auto f = make(header, bytes - header);
    double measured[2], expected[2];
    for (const int layout : {0, 1}) {
      rig.events.all.clear();
      const std::uint64_t entry = rig.idt.iova + std::uint64_t{rig.tail & 255} * US_ENTRY_BYTES;
      std::vector<raw_piece_at> pieces;
      if (layout == 0) {
        const tx_buffer& b = single(f, header, 0);
        pieces = {{b.iova + b.headroom - header, bytes}};
      } else {
        gather(f, header, 0);
        pieces = {{header_room.iova, header}, {payload_room.iova, bytes - header}};
      }
      finish();
      const auto door = rig.events.of(event_kind::mmio_write), out = rig.events.of(event_kind::frame_out);
      ASSERT_FALSE(door.empty());
      ASSERT_EQ(out.size(), 1u);
      measured[layout] = static_cast<double>(out[0].at - door[0].at) / 1e3;
      expected[layout] = forecast_raw({}, config(), entry, pieces).latency_ns;
    }
    const double gain = measured[1] - measured[0], analytic_gain = expected[1] - expected[0];
    std::printf("%6u %10.1f %10.1f %10.1f %10.1f %7.2f%%\n", bytes, measured[0], measured[1], gain,
                analytic_gain, 100 * (gain / analytic_gain - 1));
    EXPECT_LE(std::abs(gain / analytic_gain - 1), 0.05);
    EXPECT_LE(std::abs(measured[0] / expected[0] - 1), 0.05);
    EXPECT_GT(gain, 0);
    EXPECT_LT(gain / measured[1], before) << "the gain's share shrinks with size";
    before = gain / measured[1];
  }
}

TEST_F(single_dma_test, SD_3_header_beyond_the_headroom_is_counted_and_still_right) {
  use({});
  for (std::uint32_t header = 14; header <= 140; ++header) {
    const auto f = make(header, 200);
    const auto before = raw->counters();
    single(f, header, header);
    finish();
    EXPECT_EQ(last_frame(), f);
    EXPECT_EQ(raw->counters().no_headroom - before.no_headroom, header > 128 ? 1u : 0u) << header;
    EXPECT_EQ(raw->counters().single - before.single, header > 128 ? 0u : 1u) << header;
  }
  EXPECT_EQ(raw->counters().maps, 0u) << "the spare buffer is mapped, too";
  EXPECT_EQ(pool.free(), pool.total());
}

TEST_F(single_dma_test, SD_3_dynamic_headroom_adapts_and_configured_headroom_is_kept) {
  use({host::headroom_mode::dynamic, 64, 2048, 16});
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t header = 14; header <= 140; ++header) {
      const auto before = raw->counters().no_headroom;
      const auto f = make(header, 100);
      single(f, header, 0);
      finish();
      EXPECT_EQ(last_frame(), f);
      if (round) {
        EXPECT_EQ(raw->counters().no_headroom, before) << header;
      }
    }
  EXPECT_EQ(raw->counters().no_headroom, 2u) << "65 and 129 bytes, each once";
  EXPECT_EQ(pool.headroom(), 192u);
  tx_buf_pool configured;
  EXPECT_TRUE(configured.create(hal, 0, {host::headroom_mode::configured, 200, 2048, 2}));
  EXPECT_EQ(configured.take()->headroom, 200u);
  EXPECT_FALSE(tx_buf_pool{}.create(hal, 0, {host::headroom_mode::configured, 513, 2048, 2}));
}

TEST_F(single_dma_test, header_put_there_by_the_stack_needs_no_copy_and_other_fallbacks_are_counted) {
  use({});
  const auto f = make(54, 500);
  tx_buffer* b = pool.take();
  std::copy(f.begin(), f.end(), b->data() - 54);
  EXPECT_FALSE(raw->xmit_in_place(*b, 500, 129, 1)) << "more than the headroom";
  EXPECT_TRUE(raw->xmit_in_place(*b, 500, 54, 1));
  finish();
  EXPECT_EQ(last_frame(), f);
  EXPECT_EQ(raw->counters().copied_bytes, 0u);
  b = pool.take();
  b->interface = 1;  // mapped for another adapter
  std::copy(f.begin() + 54, f.end(), b->data());
  raw->xmit(*b, 500, f.data(), 54, 2);
  finish();
  EXPECT_EQ(last_frame(), f);
  EXPECT_EQ(raw->counters().other_interface, 1u);
  EXPECT_EQ(raw->counters().maps, 1u);
  EXPECT_EQ(hal.maps, 1u);
  EXPECT_EQ(hal.unmaps, 1u);
  b->interface = 0;
  std::vector<tx_buffer*> all;
  while (tx_buffer* t = pool.take()) all.push_back(t);
  EXPECT_EQ(all.size(), pool.total());
  EXPECT_EQ(raw->counters().pool_empty, 1u) << "an empty pool says so";
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(raw->counters().pool_empty, 2u);
  gather(f, 54, 3);  // and its caller gathers
  finish();
  EXPECT_EQ(last_frame(), f);
  EXPECT_EQ(outcome.at(3), true);
  // A header that finds neither room before its payload nor a buffer of its own.
  const auto before = rig.wire.arrivals.size();
  raw->xmit(*all[0], 500, f.data(), 129, 4);
  EXPECT_EQ(outcome.at(4), false);
  EXPECT_EQ(raw->counters().pool_empty, 3u);
  EXPECT_EQ(raw->counters().no_headroom, 1u);
  finish();
  EXPECT_EQ(rig.wire.arrivals.size(), before) << "nothing of it was sent";
  EXPECT_TRUE(all[0]->taken) << "it is the caller's";
}

TEST_F(single_dma_test, SD_4_failed_DMA_sends_nothing_returns_the_buffer_and_can_be_tried_again_bad) {
  use({});
  constexpr int injections = 1000;
  int torn = 0, failed = 0;
  for (int i = 0; i < injections; ++i) {
    constexpr std::uint32_t header = 54;
    const auto bytes = static_cast<std::uint32_t>(100 + random.below(8900));
    const auto f = make(header, bytes - header);
    const auto good_bytes = random.below(bytes);
    const bool two = i % 2;
    rig.wire.arrivals.clear();
    rig.events.all.clear();
    // From its byte `good_bytes` on the transfer lies outside of memory.
    const std::uint64_t end = rig.memory.allocate(64, 64).iova + 64;
    tx_buffer* b = pool.take();
    const std::uint64_t right = b->iova;
    if (two) {
      std::copy_n(f.begin(), header, header_room.cpu);
      raw->xmit_gather({header_room.iova, header},
                       {end - std::min<std::uint64_t>(good_bytes, bytes - header - 1), bytes - header}, 7);
    } else {
      std::copy(f.begin() + header, f.end(), b->data());
      b->iova = end - good_bytes - b->headroom + header;
      raw->xmit(*b, bytes - header, f.data(), header, 7);
    }
    finish();
    b->iova = right;
    torn += static_cast<int>(rig.wire.arrivals.size());
    failed += outcome.at(7) == false;
    ASSERT_TRUE(b->taken) << "it is the caller's again";
    std::copy(f.begin() + header, f.end(), b->data());
    raw->xmit(*b, bytes - header, f.data(), header, 8);
    finish();
    ASSERT_TRUE(outcome.at(8));
    ASSERT_EQ(last_frame(), f);
    ASSERT_FALSE(b->taken);
  }
  std::printf("%d injections: %d failed, %d torn\n", injections, failed, torn);
  EXPECT_TRUE(hal.mapped.empty()) << "what failed is unmapped, too";
  EXPECT_EQ(failed, injections);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(rig.dev.counters().raw_failed, 1u * injections);
  EXPECT_EQ(pool.free(), pool.total());
}

TEST_F(single_dma_test, SD_5_nothing_is_written_before_the_buffer_or_behind_it) {
  use({host::headroom_mode::fixed, 128, 9000, 8});
  std::vector<tx_buffer*> all;
  while (tx_buffer* b = pool.take()) all.push_back(b);
  const std::uint32_t size = all[0]->size;
  for (tx_buffer* b : all) std::fill_n(b->base, size, std::uint8_t{0xca});
  for (tx_buffer* b : all) pool.give_back(*b);
  for (int i = 0; i < 300; ++i) {
    const auto header = static_cast<std::uint32_t>(14 + random.below(i % 3 ? 115 : 200));
    const auto payload = static_cast<std::uint32_t>(46 + random.below(8800 - 46));
    const auto f = make(header, payload);
    tx_buffer* b = pool.take();
    const std::uint32_t headroom = b->headroom;
    std::fill_n(b->base, size, std::uint8_t{0xca});
    std::copy(f.begin() + header, f.end(), b->data());
    raw->xmit(*b, payload, f.data(), header, 0);
    const std::uint32_t used = header <= headroom ? header : 0;
    EXPECT_TRUE(std::all_of(b->base, b->base + headroom - used, [](auto c) { return c == 0xca; }));
    EXPECT_TRUE(std::all_of(b->base + headroom + payload, b->base + size, [](auto c) { return c == 0xca; }));
    finish();
    EXPECT_EQ(last_frame(), f);
    rig.wire.arrivals.clear();
  }
  EXPECT_GT(raw->counters().no_headroom, 10u);
}

TEST_F(single_dma_test, frame_of_a_bad_length_or_of_too_many_pieces_is_reported_and_not_sent_bad) {
  use({});
  const auto piece = [&](std::uint32_t bytes, bool more) {
    us_idt_entry e{};
    e.opcode = US_OP_SEND_RAW;
    e.cid = US_NO_CID;
    e.flags = more ? US_RAW_MORE : 0;
    e.u.send.iova_lo = static_cast<std::uint32_t>(payload_room.iova);
    e.u.send.iova_hi = static_cast<std::uint32_t>(payload_room.iova >> 32);
    e.u.send.len = bytes;
    rig.post(e);
  };
  piece(0, false);
  piece(13, false);
  piece(9019, false);
  piece(0xffffffff, false);
  piece(9000, true);
  piece(19, false);
  for (int i = 0; i < 5; ++i) piece(100, i < 4);
  piece(100, false);  // a good one behind them
  rig.ring(100_us);
  std::vector<std::uint32_t> status, index;
  for (const us_record& r : rig.take_records())
    if (r.type == US_REC_RAW) {
      status.push_back(r.u.end.status);
      index.push_back(r.u.end.index);
    }
  EXPECT_EQ(status,
            (std::vector<std::uint32_t>{US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH,
                                        US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH, US_ERR_BAD_LENGTH, US_OK}));
  EXPECT_EQ(index, (std::vector<std::uint32_t>{0, 1, 2, 3, 5, 10, 11}));
  EXPECT_EQ(rig.wire.arrivals.size(), 1u);
  EXPECT_EQ(rig.read(US_REG_DMA_ATOMIC), 64u);
}

TEST_F(single_dma_test, record_that_contradicts_what_was_posted_is_not_believed_bad) {
  use({});
  us_record r{};
  r.type = US_REC_RAW;
  EXPECT_FALSE(raw->completed(r)) << "nothing was posted";
  single(make(54, 100), 54, 0);
  r.u.end.index = 5;
  EXPECT_FALSE(raw->completed(r));
  r.u.end.index = ~0u;
  EXPECT_FALSE(raw->completed(r));
  finish();
}

}  // namespace
}  // namespace understudy::tb
