// What a link does beyond carrying TLPs: credits, replay, retraining, order, poison, refusal, error reports.
#include <gtest/gtest.h>

#include <cmath>

#include "tb/test/pcie/card.h"
#include "tb/test/pcie/port_word.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

pcie_config with_iommu() {
  pcie_config c;
  c.translation.on = true;
  return c;
}

// The host writes one register at a time.
pcie_config with_one_posted_credit() {
  pcie_config c;
  c.credits.adapter_posted_headers = 1;
  return c;
}

// What the adapter's end has found of errors of the link, and when. It asks for no message.
struct adapter_end {
  explicit adapter_end(pcie_port& port) {
    port.on_link_error([this](std::uint32_t bit) {
      bits |= bit;
      found.emplace_back(bit, now_ps());
      return error_message::none;
    });
  }
  std::uint32_t bits = 0;
  std::vector<std::pair<std::uint32_t, picos>> found;
};

TEST(link, a_posted_write_waits_for_credits_that_come_back_when_the_root_complex_has_taken_another) {
  pcie_config c;
  c.credits.posted_headers = 2;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (int i = 0; i < 3; ++i) b.device.fill(m.iova + 64 * i, 1, 64);
  b.run(5_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[1].at - sent[0].at, b.wire(88));
  EXPECT_EQ(sent[2].at, sent[0].at + b.wire(88) + 2 * c.propagation);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 3u);
}

TEST(link, data_credits_count_sixteen_bytes_each) {
  pcie_config c;
  c.credits.posted_data = 256;  // 4 KiB
  c.propagation = 5_us;         // nothing comes back meanwhile
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (int i = 0; i < 16; ++i) b.device.fill(m.iova + 256 * i, 1, 256);
  EXPECT_EQ(b.port.counters().credit_stalls, 0u);
  b.device.fill(m.iova + 256 * 16, 1, 4);  // one credit, and there is none
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
  b.run(30_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 17u);
  for (int i = 1; i < 16; ++i) EXPECT_EQ(sent[i].at, i * b.wire(280)) << i;
  EXPECT_EQ(sent[16].at, b.wire(280) + 2 * c.propagation) << "the first one's UpdateFC has come";
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 17u);
}

TEST(link, data_credits_are_counted_by_the_bytes_and_not_by_the_tlp) {
  pcie_config c;
  c.credits.posted_data = 256;
  c.propagation = 5_us;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (int i = 0; i < 64; ++i) b.device.fill(m.iova + 64 * i, 1, 64);  // as many bytes in 64 TLPs
  EXPECT_EQ(b.port.counters().credit_stalls, 0u);
  b.device.fill(m.iova, 1, 64);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
}

// 64 bytes from the middle of a DW on lie in 17 DWs: 68 bytes of 92, and five data credits (PCIe 2.6.1).
TEST(link, bytes_at_an_odd_address_take_whole_words_on_the_wire_and_of_the_credits) {
  pcie_config c;
  c.credits.posted_data = 16 * 4;
  c.propagation = 5_us;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (int i = 0; i < 12; ++i) b.device.fill(m.iova + 128 * i + 2, 1, 64);
  EXPECT_EQ(b.port.counters().credit_stalls, 0u);
  b.device.fill(m.iova + 128 * 12 + 2, 1, 64);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u) << "64 credits are 12 times 5, and 4";
  b.run(30_us);
  EXPECT_EQ(b.port.counters().bytes_up, 13u * 92);
  b.device.read(m.iova + 2, 64);
  b.run(60_us);
  EXPECT_EQ(b.device.answers, 1u);
  EXPECT_EQ(b.port.counters().bytes_down, 88u) << "a completion of 17 DWs";
}

TEST(link, reads_wait_for_header_credits_of_their_own) {
  pcie_config c;
  c.credits.nonposted_headers = 1;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.read(m.iova, 64);
  b.device.read(m.iova, 64);
  b.device.fill(m.iova, 1, 64);
  b.run(5_us);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
  EXPECT_EQ(b.device.answers, 2u);
  EXPECT_TRUE(b.port.quiet());
}

// PCIe 2.4.1: posted requests and completions must be able to pass a read that cannot go.
TEST(link, writes_and_completions_pass_reads_that_wait_for_credits) {
  pcie_config c;
  c.credits.nonposted_headers = 1;
  c.propagation = 1_us;  // the credit is back behind the register read
  c.write_latency = 0;
  c.mmio_latency = 0;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.bar.access = 0;
  b.run(0);
  b.device.fill(m.iova, 1, 64);
  b.device.read(m.iova, 64);
  b.device.read(m.iova + 64, 64);
  auto& last = b.device.read(m.iova + 128, 64);
  b.device.fill(m.iova + 256, 1, 64);
  b.port.mmio_read(0, [](std::uint32_t) {});
  b.run(20_us);
  const std::vector<event> sent = b.record.of(event_kind::tlp_up);
  std::vector<tlp_type> types;
  types.reserve(sent.size());
  for (const event& e : sent) types.push_back(static_cast<tlp_type>(e.b >> 32));
  using enum tlp_type;
  EXPECT_EQ(types, (std::vector<tlp_type>{memory_write, memory_read, memory_write, completion_data,
                                          memory_read, memory_read}));
  ASSERT_EQ(sent.size(), 6u);
  EXPECT_EQ(sent[2].at, b.wire(88) + b.wire(24)) << "the link is free at once";
  // Their credits come one after the other: each by the way there and the UpdateFC's back, and they go first
  // come, first served.
  const picos turn = b.wire(24) + 2 * c.propagation;
  EXPECT_EQ(sent[4].at, sent[1].at + turn);
  EXPECT_EQ(sent[4].a, m.iova + 64);
  EXPECT_NEAR(static_cast<double>(sent[5].at), static_cast<double>(sent[4].at + turn), 10'000.0);
  EXPECT_EQ(sent[5].a, m.iova + 128);
  EXPECT_EQ(b.port.counters().credit_stalls, 2u);
  EXPECT_EQ(b.port.counters().credit_stall_time, sent[4].at + sent[5].at - 2 * sent[2].at);
  EXPECT_EQ(b.device.answers, 3u);
  EXPECT_EQ(last.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  EXPECT_TRUE(b.port.quiet());
}

// A read is still served behind the writes that were before it, however long it has waited.
TEST(link, a_read_that_has_waited_for_a_credit_sees_the_writes_before_it) {
  pcie_config c;
  c.credits.nonposted_headers = 1;
  c.write_latency = 20_us;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.read(m.iova, 64);
  b.device.fill(m.iova, 7, 64);
  auto& r = b.device.read(m.iova, 64);
  b.run(1_us);
  EXPECT_EQ(b.record.of(event_kind::tlp_up).size(), 3u) << "it has gone";
  b.run(40_us);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
  EXPECT_EQ(r.data[63], 7);
}

TEST(link, reads_that_wait_for_credits_are_lost_with_the_link) {
  pcie_config c;
  c.credits.nonposted_headers = 1;
  c.propagation = 1_us;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < 4; ++i) reads.push_back(&b.device.read(m.iova, 64));
  b.run(500_ns);
  EXPECT_FALSE(b.port.quiet());
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  for (card::operation* r : reads) EXPECT_EQ(r->payload.get_ref_count(), 1) << "the port holds none";
  EXPECT_EQ(b.port.counters().dropped, 3u) << "the first one had left";
  b.run(c.retrain_time + 1);
  b.device.read(m.iova, 64);
  b.run(20_us);
  EXPECT_EQ(b.device.answers, 1u) << "all credits are there again";
  EXPECT_TRUE(b.port.quiet());
}

TEST(link, a_broken_tlp_is_replayed_behind_a_nak_and_everything_arrives_once_and_in_order) {
  pcie_config c;
  c.lcrc_errors = 200'000;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  constexpr unsigned n = 200;
  for (unsigned i = 0; i < n; ++i) b.device.fill(m.iova + 64 * i, static_cast<std::uint8_t>(i), 64);
  const picos busy = b.device.link_free;
  b.run(1_ms);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(seen.size(), n);
  for (unsigned i = 0; i < n; ++i) {
    EXPECT_EQ(seen[i].a, m.iova + 64 * i);
    EXPECT_EQ(m.cpu[64 * i], static_cast<std::uint8_t>(i));
  }
  const pcie_counters& k = b.port.counters();
  EXPECT_GT(k.lcrc_errors, n / 10);
  EXPECT_EQ(k.replayed_bytes, 88 * k.lcrc_errors);
  EXPECT_GE(busy, n * b.wire(88) + k.lcrc_errors * 2 * c.propagation);
  EXPECT_TRUE(port_word(b.port, port_aer_correctable) & aer_bad_tlp);
}

// Downwards the completions of reads are replayed: they arrive late, whole, and in order. 24 bytes of a
// request and 276 of a completion tell which direction a replay had.
TEST(link, a_broken_completion_is_replayed_and_its_data_arrive_once) {
  pcie_config c;
  c.lcrc_errors = 200'000;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  for (unsigned i = 0; i < 1 << 16; ++i) m.cpu[i] = static_cast<std::uint8_t>(i / 256 + i);
  b.run(0);
  constexpr unsigned n = 200;
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < n; ++i) reads.push_back(&b.device.read(m.iova + 256 * i, 256));
  b.run(1_ms);
  ASSERT_EQ(b.device.answers, n);
  for (unsigned i = 0; i < n; ++i) {
    EXPECT_EQ(reads[i]->payload.get_response_status(), tlm::TLM_OK_RESPONSE);
    ASSERT_EQ(std::memcmp(reads[i]->data, m.cpu + 256 * std::size_t{i}, 256), 0) << i;
    if (i > 0) {
      EXPECT_GT(reads[i]->answered, reads[i - 1]->answered);
    }
  }
  const pcie_counters& k = b.port.counters();
  ASSERT_EQ((k.replayed_bytes - 24 * k.lcrc_errors) % 252, 0u);
  const std::uint64_t down = (k.replayed_bytes - 24 * k.lcrc_errors) / 252;
  EXPECT_GT(down, n / 10);
  EXPECT_LT(down, k.lcrc_errors) << "requests were broken too";
  EXPECT_EQ(k.tlps_down, n) << "a replay is no new TLP";
  EXPECT_GE(reads[n - 1]->answered, n * b.wire(276) + down * (2 * c.propagation + b.wire(276)));
  EXPECT_TRUE(port_word(b.port, port_aer_correctable) & aer_bad_tlp);
}

// Of the host's requests too: each is carried out once.
TEST(link, a_broken_register_access_is_replayed_and_carried_out_once) {
  pcie_config c;
  c.lcrc_errors = 200'000;
  bench b(c);
  b.run(0);
  constexpr std::uint32_t n = 100;
  std::vector<std::uint32_t> values;
  for (std::uint32_t i = 0; i < n; ++i) {
    b.port.mmio_write(4 * i, i);
    b.port.mmio_read(4 * i, [&](std::uint32_t v) { values.push_back(v); });
    b.run(20_us);
  }
  b.run(1_ms);
  EXPECT_EQ(b.bar.visits.size(), 2 * n);
  ASSERT_EQ(values.size(), n);
  for (std::uint32_t i = 0; i < n; ++i) EXPECT_EQ(values[i], i);
  EXPECT_GT(b.port.counters().lcrc_errors, n / 10);
  EXPECT_EQ(b.port.counters().timeouts, 0u);
}

TEST(link, the_fourth_replay_in_a_row_retrains_the_link) {
  pcie_config c;
  c.lcrc_errors = 500'000;
  bench b(c);
  const adapter_end found(b.port);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (unsigned i = 0; i < 200; ++i) b.device.fill(m.iova, 1, 64);
  b.run(5_ms);
  EXPECT_GT(b.port.counters().retrains, 0u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 200u);
  EXPECT_EQ(found.bits, aer_replay_rollover);
  EXPECT_EQ(port_word(b.port, port_aer_correctable), aer_bad_tlp);
}

TEST(link, a_sound_link_replays_nothing) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 64);
  b.run(1_us);
  EXPECT_EQ(b.port.counters().lcrc_errors, 0u);
  EXPECT_EQ(port_word(b.port, port_aer_correctable), 0u);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), 0u);
}

TEST(link, a_downgrade_is_slower_loses_nothing_and_shows_in_link_status) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  EXPECT_EQ(port_word(b.port, port_link_control) >> 16 & 0x3ff, 3u | 8u << 4);
  b.device.fill(m.iova, 1, 64);
  b.port.retrain(1, 1);
  b.device.fill(m.iova, 2, 64);
  b.run(50_us);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(seen.size(), 2u);
  const bits_per_second slow = static_cast<bits_per_second>(std::llround(2e9 * skp_share()));
  const auto sent = b.record.of(event_kind::tlp_up);
  EXPECT_GE(sent[1].at - sent[0].at, pcie_config{}.retrain_time);
  EXPECT_NEAR(static_cast<double>(seen[1].at - sent[1].at), static_cast<double>(wire_time(88, slow) + 180_ns),
              2000.0);
  EXPECT_EQ(port_word(b.port, port_link_control) >> 16 & 0x3ff, 1u | 1u << 4);
}

TEST(link, poisoned_data_are_not_used) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.poison_next_read();
  auto& bad = b.device.read(m.iova, 64);
  b.run(2_us);
  EXPECT_EQ(bad.payload.get_response_status(), tlm::TLM_GENERIC_ERROR_RESPONSE);
  auto& good = b.device.read(m.iova, 64);
  b.run(2_us);
  EXPECT_EQ(good.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  EXPECT_EQ(b.port.counters().poisoned, 1u);
}

// PCIe 2.7.2.2, upwards: the root complex discards the data and reports them.
TEST(link, a_poisoned_write_is_discarded_reported_and_counted_and_its_neighbours_land) {
  pcie_config c;
  c.dpc = false;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  unsigned interrupts = 0;
  b.port.on_interrupt([&](std::uint64_t, std::uint32_t) { ++interrupts; });
  b.device.fill(m.iova, 1, 64);
  b.port.poison_next_write();
  b.device.fill(m.iova + 64, 2, 64);
  b.device.fill(m.iova + 128, 3, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 1);
  EXPECT_EQ(m.cpu[64], 0);
  EXPECT_EQ(m.cpu[127], 0);
  EXPECT_EQ(m.cpu[128], 3);
  EXPECT_EQ(b.port.counters().poisoned_writes, 1u);
  EXPECT_EQ(b.port.counters().writes, 2u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 2u);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_poisoned);
  b.port.poison_next_write();
  const std::uint32_t vector = 1;
  b.device.write(0xfee00000, &vector, 4);
  b.device.write(0xfee00000, &vector, 4);
  b.run(5_us);
  EXPECT_EQ(interrupts, 1u) << "the poisoned message interrupts nobody";
  EXPECT_EQ(b.port.counters().poisoned_writes, 2u);
  EXPECT_EQ(b.port.counters().poisoned, 0u) << "no completion was";
  EXPECT_TRUE(b.port.quiet());
}

// PCIe 6.2.10: an uncorrectable error that is fatal, which the port itself has found.
TEST(link, a_poisoned_write_is_contained_before_anything_behind_it) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  EXPECT_EQ(port_word(b.port, port_aer_severity), aer_poisoned | aer_surprise_down);
  EXPECT_EQ(port_word(b.port, port_dpc_status), 0u);
  b.device.fill(m.iova, 1, 64);
  b.port.poison_next_write();
  b.device.fill(m.iova + 64, 2, 64);
  for (std::uint64_t i = 2; i < 10; ++i) b.device.fill(m.iova + 64 * i, 3, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 1) << "what was in front of it lands";
  EXPECT_TRUE(std::all_of(m.cpu + 64, m.cpu + 640, [](std::uint8_t v) { return v == 0; }));
  EXPECT_EQ(b.port.counters().writes, 1u);
  EXPECT_EQ(b.port.counters().poisoned_writes, 1u);
  EXPECT_EQ(b.port.counters().contained, 1u);
  EXPECT_EQ(b.port.counters().dropped, 8u);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_poisoned) << "no surprise";
  EXPECT_EQ(port_word(b.port, port_dpc_status), port_dpc_triggered);
  EXPECT_EQ(port_word(b.port, port_link_control) & port_link_active, 0u);
  EXPECT_TRUE(b.port.quiet());
  b.device.fill(m.iova, 4, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 1);
  // Software lets the link train again.
  b.port.port_cfg_write(port_dpc_status, port_dpc_triggered);
  b.run(20_us);
  EXPECT_EQ(port_word(b.port, port_dpc_status), 0u);
  EXPECT_NE(port_word(b.port, port_link_control) & port_link_active, 0u);
  b.device.fill(m.iova, 5, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 5);
  // Switched off, nothing is contained.
  b.port.port_cfg_write(port_dpc_control, 0);
  b.run(5_us);
  b.port.poison_next_write();
  b.device.fill(m.iova, 6, 64);
  b.device.fill(m.iova + 64, 7, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 5);
  EXPECT_EQ(m.cpu[64], 7);
  EXPECT_EQ(b.port.counters().contained, 1u);
}

// Downwards: the credits come back, and what is behind it is served.
TEST(link, a_poisoned_register_write_has_no_effect) {
  bench b(with_one_posted_credit());
  b.run(0);
  b.port.mmio_write(0, 1);
  b.port.poison_next_mmio_write();
  b.port.mmio_write(4, 2);
  b.port.mmio_write(8, 3);
  b.run(10_us);
  ASSERT_EQ(b.bar.visits.size(), 2u);
  EXPECT_EQ(b.bar.visits[0].offset, 0u);
  EXPECT_EQ(b.bar.visits[1].offset, 8u);
  EXPECT_EQ(b.bar.poisoned, 1u);
  EXPECT_EQ(b.port.counters().poisoned_writes, 1u);
  EXPECT_EQ(b.port.counters().mmio_writes, 2u);
  EXPECT_EQ(b.record.of(event_kind::mmio_write).size(), 2u);
  EXPECT_TRUE(b.port.quiet());
}

class unsupported_request : public testing::TestWithParam<tlm::tlm_response_status> {};

TEST_P(unsupported_request, of_the_host_is_answered_at_once_with_all_ones) {
  bench b;
  b.run(0);
  b.bar.refuses = b.space.refuses = GetParam();
  std::vector<std::uint32_t> values;
  picos answered = 0;
  const auto done = [&](std::uint32_t v) {
    values.push_back(v);
    answered = now_ps();
  };
  b.port.mmio_read(0x1000, done);
  b.port.cfg_read(0x1000, done);
  b.port.cfg_write(0x1000, 1, 0, done);
  b.port.mmio_write(0x1000, 1);
  b.run(5_us);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{0xffffffff, 0xffffffff, 0xffffffff}));
  EXPECT_LT(answered, 1_us);
  EXPECT_EQ(b.port.counters().host_unsupported, 4u);
  EXPECT_EQ(b.port.counters().timeouts, 0u);
  EXPECT_EQ(b.port.counters().mmio_reads, 0u);
  EXPECT_EQ(b.port.counters().bytes_up, 3 * 20u) << "completions without data";
  EXPECT_TRUE(b.record.of(event_kind::mmio_read).empty());
  EXPECT_TRUE(b.record.of(event_kind::mmio_write).empty());
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), 0u) << "its completer reports it";
  EXPECT_TRUE(b.port.quiet());
}
INSTANTIATE_TEST_SUITE_P(link, unsupported_request,
                         testing::Values(tlm::TLM_ADDRESS_ERROR_RESPONSE, tlm::TLM_BURST_ERROR_RESPONSE,
                                         tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE));

TEST(link, dma_outside_of_every_window_is_refused_reported_and_changes_nothing) {
  bench b(with_iommu());
  const auto m = b.memory.allocate(8192, 4096);
  b.port.translation().map(m.iova, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 64);
  b.device.fill(m.iova + 4096, 2, 64);
  auto& inside = b.device.read(m.iova, 64);
  auto& outside = b.device.read(m.iova + 4096, 64);
  b.run(5_us);
  EXPECT_EQ(m.cpu[0], 1);
  EXPECT_EQ(m.cpu[4096], 0);
  EXPECT_EQ(inside.payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  EXPECT_EQ(outside.payload.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
  EXPECT_EQ(b.port.translation().counters().refused, 2u);
  EXPECT_EQ(b.port.translation().counters().last_refused, m.iova + 4096);
  EXPECT_EQ(b.port.counters().unsupported, 2u);
  EXPECT_TRUE(port_word(b.port, port_aer_uncorrectable) & aer_unsupported_request);
  b.port.port_cfg_write(port_aer_uncorrectable, aer_unsupported_request);
  b.run(5_us);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), 0u) << "write 1 to clear";
}

TEST(link, a_walk_delays_a_read_but_not_one_behind_it_that_hits) {
  pcie_config c = with_iommu();
  bench b(c);
  const auto m = b.memory.allocate(8192, 4096);
  b.port.translation().map(m.iova, 8192);
  b.run(0);
  auto& first = b.device.read(m.iova, 64);
  b.run(5_us);
  const picos start = now_ps();
  auto& miss = b.device.read(m.iova + 4096, 64);
  auto& hit = b.device.read(m.iova, 64);
  b.run(5_us);
  EXPECT_GT(first.answered, 0u);
  EXPECT_LT(hit.answered, miss.answered);
  EXPECT_GE(miss.answered - start, c.translation.walk + c.read_latency);
}

TEST(link, after_a_revocation_has_drained_nothing_lands_any_more) {
  bench b(with_iommu());
  const auto m = b.memory.allocate(4096, 4096);
  b.port.translation().map(m.iova, 4096);
  b.run(0);
  for (int i = 0; i < 20; ++i) b.device.fill(m.iova, static_cast<std::uint8_t>(1 + i), 256);
  b.run(300_ns);
  picos drained = never;
  std::uint32_t answer = 1;
  b.port.revoke_dma(0, [&](std::uint32_t v) {
    answer = v;
    drained = now_ps();
  });
  for (int i = 0; i < 200; ++i) {
    b.device.fill(m.iova, 0xff, 256);
    b.run(20_ns);
  }
  b.run(20_us);
  EXPECT_EQ(answer, 0u);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_FALSE(seen.empty());
  EXPECT_LE(seen.back().at, drained);
  EXPECT_GT(b.port.translation().counters().refused, 50u);
}

TEST(link, without_an_iommu_there_is_nothing_to_revoke) {
  bench b;
  std::uint32_t answer = 0;
  b.run(0);
  b.port.revoke_dma(0, [&](std::uint32_t v) { answer = v; });
  b.run(5_us);
  EXPECT_EQ(answer, 0xffffffffu);
}

TEST(link, an_unfenceable_adapter_answers_nothing_and_its_port_ignores_link_disable) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.make_unfenceable();
  std::uint32_t value = 0;
  b.port.cfg_read(0, [&](std::uint32_t v) { value = v; });
  b.port.port_cfg_write(port_link_control, port_link_disable);
  b.run(100_us);
  EXPECT_EQ(value, 0xffffffffu);
  EXPECT_EQ(b.port.counters().timeouts, 1u);
  EXPECT_EQ(port_word(b.port, port_link_control) & port_link_disable, 0u);
  b.device.fill(m.iova, 7, 64);
  b.run(2_us);
  EXPECT_EQ(m.cpu[0], 7) << "and its bus master goes on";
  EXPECT_TRUE(port_word(b.port, port_aer_uncorrectable) & aer_completion_timeout);
}

// PCIe 2.3.2: nobody waits for it any more.
TEST(link, an_answer_that_comes_after_the_completion_timeout_is_unexpected) {
  const pcie_config c;
  bench b(c);
  b.run(0);
  std::vector<std::uint32_t> values;
  const auto done = [&](std::uint32_t v) { values.push_back(v); };
  b.bar.access = c.completion_timeout - 2_us;
  b.port.mmio_read(0, done);
  b.run(2 * c.completion_timeout);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), 0u);
  b.bar.access = c.completion_timeout + 5_us;
  b.port.mmio_read(0, done);
  b.run(c.completion_timeout);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_completion_timeout);
  b.run(5_us);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_completion_timeout | aer_unexpected_completion);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{0, 0xffffffff}));
  EXPECT_TRUE(b.port.quiet());
}

// ---------------------------------------------------------------- relaxed ordering

// Two writes of which the first waits for a walk of the IOMMU's tables and the second does not. The instants
// at which each became visible; the second has the attribute or not.
std::pair<picos, picos> slow_then_fast(bench& b, const host_memory::region& m, bool relaxed) {
  b.port.translation().map(m.iova, 8192);
  b.run(0);
  b.device.fill(m.iova, 1, 64);  // its page is known from here on
  b.run(5_us);
  b.record.events.clear();
  b.device.fill(m.iova + 4096, 2, 64);
  frame_extension e;
  e.relaxed = relaxed;
  auto& o = b.device.take();
  o.payload.set_extension(&e);
  b.device.begin(o, tlm::TLM_WRITE_COMMAND, m.iova + 64, 64);
  o.payload.clear_extension(&e);
  b.device.fill(m.iova + 128, 3, 64);
  auto& read = b.device.read(m.iova, 64);
  b.run(5_us);
  const auto seen = b.record.of(event_kind::write_visible);
  EXPECT_EQ(seen.size(), 3u);
  picos at[3] = {};
  for (const event& w : seen) at[w.a == m.iova + 4096 ? 0 : w.a == m.iova + 64 ? 1 : 2] = w.at;
  EXPECT_GE(at[2], at[0]) << "one without the attribute passes nothing";
  EXPECT_GE(at[2], at[1]) << "not even a relaxed one";
  EXPECT_GE(read.answered, at[0]) << "a read pushes every write";
  return {at[0], at[1]};
}

// PCIe 2.2.8.3: a header of 4 DW without data, posted.
TEST(link, an_error_message_takes_its_time_on_the_link_and_arrives_behind_earlier_writes) {
  const pcie_config c;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(1_us);
  const picos begin = now_ps();
  const pcie_counters& n = b.port.counters();
  b.device.fill(m.iova, 1, 256);
  b.port.send_error_message(error_message::correctable);
  b.device.fill(m.iova + 256, 1, 256);
  b.port.send_error_message(error_message::non_fatal);
  const auto arrives = [&](const std::uint64_t& count) {
    while (count == 0 && now_ps() < begin + 10_us) b.run(1_ns);
    return now_ps() - begin;
  };
  // The write on the wire, its way, and what memory takes to show it.
  const picos first = b.wire(280) + c.propagation + c.write_latency;
  EXPECT_NEAR(static_cast<double>(arrives(n.err_cor)), static_cast<double>(first), 2000);
  EXPECT_NEAR(static_cast<double>(arrives(n.err_nonfatal)),
              static_cast<double>(first + b.wire(24) + b.wire(280)), 2000);
  const auto up = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(up.size(), 4u);
  EXPECT_EQ(up[1].b >> 32, static_cast<std::uint64_t>(tlp_type::message));
  EXPECT_EQ(up[1].at - begin, b.wire(280));
  EXPECT_EQ(up[2].at - up[1].at, b.wire(24));
  EXPECT_EQ(n.bytes_up, 2 * 280 + 2 * 24);
  EXPECT_EQ(n.writes, 2u) << "a message is no write";
  EXPECT_TRUE(b.port.quiet());
}

TEST(link, an_error_message_waits_for_a_posted_header_credit) {
  pcie_config c;
  c.credits.posted_headers = 1;
  bench b(c);
  b.run(0);
  b.port.send_error_message(error_message::non_fatal);
  EXPECT_EQ(b.port.counters().credit_stalls, 0u);
  b.port.send_error_message(error_message::non_fatal);
  EXPECT_EQ(b.port.counters().credit_stalls, 1u);
  b.run(10_us);
  EXPECT_EQ(b.port.counters().err_nonfatal, 2u);
  const auto up = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(up.size(), 2u);
  EXPECT_EQ(up[1].at - up[0].at, b.wire(24) + 2 * c.propagation);
}

TEST(link, an_error_message_shows_to_whoever_watches) {
  tlp_watcher seen;
  bench b;
  b.port.watch(&seen);
  b.run(0);
  b.port.send_error_message(error_message::correctable);
  b.run(1_us);
  ASSERT_EQ(seen.all.size(), 1u);
  EXPECT_EQ(seen.all[0].type, tlp_type::message);
  EXPECT_EQ(seen.all[0].message, error_message::correctable);
  EXPECT_TRUE(seen.all[0].up);
  EXPECT_EQ(seen.all[0].length, 0u);
}

TEST(link, a_relaxed_write_passes_an_earlier_one_that_waits) {
  pcie_config c = with_iommu();
  bench b(c);
  const auto m = b.memory.allocate(8192, 4096);
  const auto [slow, fast] = slow_then_fast(b, m, true);
  EXPECT_LT(fast, slow);
  EXPECT_EQ(b.port.counters().overtakings, 1u);
}

TEST(link, without_relaxed_ordering_a_write_passes_nothing) {
  pcie_config c = with_iommu();
  bench b(c);
  const auto m = b.memory.allocate(8192, 4096);
  const auto [slow, fast] = slow_then_fast(b, m, false);
  EXPECT_GE(fast, slow);
  EXPECT_EQ(b.port.counters().overtakings, 0u);
}

TEST(link, a_relaxed_write_that_has_not_left_when_the_link_goes_down_is_lost_with_the_rest) {
  bench b(with_iommu());
  const auto m = b.memory.allocate(8192, 4096);
  b.port.translation().map(m.iova, 8192);
  b.run(0);
  frame_extension e;
  e.relaxed = true;
  for (int i = 0; i < 8; ++i) {
    auto& o = b.device.take();
    std::memset(o.data, 7, 256);
    o.payload.set_extension(&e);
    b.device.begin(o, tlm::TLM_WRITE_COMMAND, m.iova + (i % 2) * 4096u, 256);
    o.payload.clear_extension(&e);
  }
  b.run(3 * b.wire(280));
  b.port.set_link_up(false);
  b.run(5_us);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 3u);
  EXPECT_EQ(b.port.counters().dropped, 5u);
  EXPECT_TRUE(b.port.quiet());
}

// ---------------------------------------------------------------- lost DLLPs, replay buffer

// A write whose ACK is lost, so many times.
struct lost_acks {
  explicit lost_acks(std::uint32_t times) {
    b.run(0);
    b.port.lose_dllps(pcie_port::dllp::ack, times);
    b.device.fill(m.iova, 1, 64);
  }
  bench b;
  const adapter_end found{b.port};
  const host_memory::region m = b.memory.allocate(4096, 4096);
};

TEST(link, a_lost_ack_is_made_good_by_the_next_one) {
  bench b;
  const adapter_end found(b.port);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  b.port.lose_dllps(pcie_port::dllp::ack, 1);
  for (unsigned i = 0; i < 60; ++i) b.device.fill(m.iova + 64 * i, 1, 64);
  b.run(1_ms);
  const pcie_counters& k = b.port.counters();
  EXPECT_EQ(k.bad_dllps, 1u);
  EXPECT_EQ(k.replay_timeouts, 0u);
  EXPECT_EQ(k.replayed_bytes, 0u);
  EXPECT_EQ(found.bits, aer_bad_dllp);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 60u);
}

TEST(link, without_another_ack_REPLAY_TIMER_expires_and_what_arrives_twice_is_written_once) {
  lost_acks l(1);
  auto& [b, found, m] = l;
  b.run(100_us);
  const pcie_counters& k = b.port.counters();
  EXPECT_EQ(k.replay_timeouts, 1u);
  EXPECT_EQ(k.replayed_bytes, 88u);
  EXPECT_EQ(k.retrains, 0u);
  EXPECT_EQ(found.bits, aer_bad_dllp | aer_replay_timeout);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 1u);
}

TEST(link, a_lost_nak_costs_a_REPLAY_TIMER) {
  pcie_config c;
  c.lcrc_errors = 400'000;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  b.port.lose_dllps(pcie_port::dllp::nak, 1);
  for (unsigned i = 0; i < 20; ++i) b.device.fill(m.iova + 64 * i, 1, 64);
  const picos busy = b.device.link_free;
  b.run(1_ms);
  const pcie_counters& k = b.port.counters();
  ASSERT_GT(k.lcrc_errors, 1u);
  ASSERT_EQ(k.retrains, 0u);
  EXPECT_EQ(k.bad_dllps, 1u);
  EXPECT_EQ(k.replay_timeouts, 1u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 20u);
  const picos timer = 3 * b.wire(ack_limit(c.link) * c.link.lanes) + 2 * c.propagation;
  const picos all = 20 * b.wire(88), by_nak = 2 * c.propagation + b.wire(8) + b.wire(88);
  EXPECT_NEAR(static_cast<double>(busy),
              static_cast<double>(all + timer + b.wire(88) + (k.lcrc_errors - 1) * by_nak),
              static_cast<double>(b.wire(100)));  // rounding, and the DLLPs of the other direction
}

TEST(link, four_expiries_in_a_row_retrain_the_link) {
  lost_acks l(4);
  auto& [b, found, m] = l;
  b.run(100_us);
  const pcie_counters& k = b.port.counters();
  EXPECT_EQ(k.replay_timeouts, 4u);
  EXPECT_EQ(k.retrains, 1u);
  EXPECT_TRUE(found.bits & aer_replay_rollover);
  const picos before = now_ps();
  b.device.fill(m.iova, 2, 64);
  b.run(5_us);
  EXPECT_EQ(b.record.of(event_kind::write_visible).back().at - before, b.wire(88) + 180_ns)
      << "as ever after";
}

// ---------------------------------------------------------------- who logs which error of the link

// PCIe 3.6, 7.8.4.5: the receiver of a TLP finds Bad TLP; its sender, who receives the DLLPs that answer it,
// Bad DLLP, REPLAY_TIMER Timeout and REPLAY_NUM Rollover. A TLP goes up or down (the parameter).
class link_error : public testing::TestWithParam<bool> {
 protected:
  link_error() : m(b.memory.allocate(4096, 4096)) { b.run(1_us); }
  bool up() const { return GetParam(); }
  const std::uint32_t bytes = up() ? 88 : 24;
  picos replayed() const { return b.wire(bytes); }
  // A TLP goes; when its last byte is sent.
  picos send() {
    if (up()) {
      b.device.fill(m.iova, 1, 64);
      return now_ps() + replayed();
    }
    b.port.mmio_write(0, 1);
    return now_ps() + c.mmio_latency + replayed();
  }
  picos timer() const { return 3 * ack_latency() + 2 * c.propagation; }
  picos ack_latency() const { return b.wire(ack_limit(c.link) * c.link.lanes); }
  picos nak() const { return 2 * c.propagation + b.wire(8); }
  // The port has logged `bit` at `t`, and nothing yet before. It looks while nothing is on its way up.
  void expect_at_port(std::uint32_t bits, std::uint32_t bit, picos t) {
    const auto expect = [&](picos at, std::uint32_t value) {
      b.port.port_cfg_read(
          port_aer_correctable, [value, at](std::uint32_t v) { EXPECT_EQ(v, value) << at; },
          at - c.mmio_latency - now_ps());
    };
    expect(t - 1, bits);
    expect(t + 1, bits | bit);
  }
  using findings = std::vector<std::pair<std::uint32_t, picos>>;
  // What the sender finds, in order.
  void expect_at_sender(const findings& all) {
    if (up()) {
      b.run(300_us);
      EXPECT_EQ(found.found, all);
      EXPECT_EQ(port_word(b.port, port_aer_correctable) & ~aer_bad_tlp, 0u);
      return;
    }
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool together = i + 1 < all.size() && all[i + 1].second == all[i].second;
      const std::uint32_t bit = all[i].first | (together ? all[i + 1].first : 0);
      expect_at_port(bits, bit, all[i].second);
      bits |= bit;
      i += together;
    }
    b.run(300_us);
    EXPECT_EQ(port_word(b.port, port_aer_correctable), bits);
    EXPECT_EQ(found.bits & ~aer_bad_tlp, 0u);
  }

  const pcie_config c;
  bench b;
  host_memory::region m;
  adapter_end found{b.port};
};

TEST_P(link_error, bad_tlp_is_found_by_its_receiver_when_it_arrives) {
  if (!up()) {
    b.port.break_tlps(up(), 1);
    const picos sent = send();
    b.run(10_us);
    EXPECT_EQ(found.found, (findings{{aer_bad_tlp, sent + c.propagation}}));
    EXPECT_EQ(port_word(b.port, port_aer_correctable), 0u);
    EXPECT_EQ(b.bar.visits.size(), 1u);
    return;
  }
  // The port's registers are read behind what is on its way: the link goes down first.
  for (const picos too_late : {0, 1}) {
    b.port.break_tlps(up(), 1);
    b.run(send() + c.propagation - now_ps() - 1 + 2 * too_late);
    b.port.set_link_up(false);
    b.port.set_link_up(true);
    EXPECT_EQ(port_word(b.port, port_aer_correctable), too_late ? aer_bad_tlp : 0u);
    b.run(c.retrain_time);
  }
  EXPECT_EQ(found.bits, 0u);
}

TEST_P(link_error, of_a_lost_nak_and_the_timer_after_it_are_found_by_the_sender) {
  b.port.break_tlps(up(), 1);
  b.port.lose_dllps(pcie_port::dllp::nak, 1);
  const picos sent = send();
  expect_at_sender({{aer_bad_dllp, sent + nak()}, {aer_replay_timeout, sent + timer()}});
}

TEST_P(link_error, of_the_fourth_nak_in_a_row_is_found_by_the_sender) {
  b.port.break_tlps(up(), 4);
  const picos sent = send();
  expect_at_sender({{aer_replay_rollover, sent + 4 * nak() + 3 * replayed()}});
  EXPECT_EQ(b.port.counters().retrains, 1u);
}

TEST_P(link_error, of_lost_acks_and_their_timers_are_found_by_the_sender) {
  b.port.lose_dllps(pcie_port::dllp::ack, 4);
  const picos sent = send(), ack = sent + 2 * c.propagation + ack_latency();
  findings all{{aer_bad_dllp, ack}};
  for (unsigned n = 1; n <= 4; ++n) {
    const picos expired = sent + n * timer();
    all.emplace_back(aer_replay_timeout, expired);
    if (n == 4) {
      all.emplace_back(aer_replay_rollover, expired);
    } else if (up()) {
      all.emplace_back(aer_bad_dllp, expired + ack_latency() + 2 * c.propagation);
    }
  }
  // At the port bits are set once.
  if (!up()) all = {all[0], all[1], all[all.size() - 2], all.back()};
  expect_at_sender(all);
}

TEST_P(link_error, of_a_lost_UpdateFC_is_found_by_whoever_waits_for_the_credits) {
  b.port.lose_dllps(pcie_port::dllp::update_fc, 2);
  const picos arrived = send() + c.propagation;
  const picos update = arrived + c.propagation + (up() ? 0 : b.bar.access);
  findings all{{aer_bad_dllp, update}};
  if (up()) all.emplace_back(aer_bad_dllp, update + 30_us);
  expect_at_sender(all);
}

TEST_P(link_error, that_the_link_does_not_live_to_see_is_found_by_nobody) {
  b.port.break_tlps(up(), 1);
  b.port.lose_dllps(pcie_port::dllp::nak, 1);
  b.run(send() - now_ps());
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(300_us);
  EXPECT_EQ(found.bits, 0u);
  EXPECT_EQ(port_word(b.port, port_aer_correctable), 0u);
}
INSTANTIATE_TEST_SUITE_P(of, link_error, testing::Values(true, false),
                         [](const auto& p) { return p.param ? "up" : "down"; });

// Messages for errors of the link, one at a time: what one of them meets on its way causes none.
TEST(link_errors, do_not_feed_on_the_messages_for_them) {
  pcie_config c;
  c.dllp_errors = c.lcrc_errors = 500'000;
  bench b(c);
  unsigned found = 0;
  b.port.on_link_error([&](std::uint32_t) {
    ++found;
    return error_message::correctable;
  });
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (unsigned i = 0; i < 10; ++i) b.device.fill(m.iova, 1, 64);
  b.run(20_ms);
  const std::uint64_t sent = b.port.counters().err_cor;
  EXPECT_GT(sent, 0u);
  EXPECT_GT(found, sent) << "some caused none";
  b.run(100_ms);
  EXPECT_EQ(b.port.counters().err_cor, sent);
  EXPECT_TRUE(b.port.quiet());
}

// A repeated ACK is not sent, and so cannot break, when a later one has come in time.
TEST(link_errors, of_an_ack_that_is_never_sent_are_not_found) {
  const pcie_config c;
  lost_acks l(4);
  auto& [b, found, m] = l;
  b.run(b.wire(ack_limit(c.link) * c.link.lanes) + b.wire(88) + c.propagation);
  b.device.fill(m.iova, 1, 64);
  b.run(300_us);
  EXPECT_EQ(b.port.counters().bad_dllps, 4u);
  EXPECT_EQ(b.port.counters().replay_timeouts, 0u);
  EXPECT_EQ(found.found.size(), 1u);
}

TEST(link_errors, that_are_apart_cause_a_message_each) {
  bench b;
  b.port.on_link_error([&](std::uint32_t) { return error_message::correctable; });
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (unsigned i = 1; i <= 5; ++i) {
    b.port.lose_dllps(pcie_port::dllp::update_fc, 1);
    b.device.fill(m.iova, 1, 64);
    b.run(50_us);
    EXPECT_EQ(b.port.counters().err_cor, i);
  }
}

// What is on its way is so until its ACK and its credit are back.
class link_error_message : public testing::TestWithParam<pcie_port::dllp> {
 protected:
  link_error_message() : m(b.memory.allocate(4096, 4096)) {
    b.port.on_link_error([](std::uint32_t) { return error_message::correctable; });
    b.run(0);
  }
  // An error, and so a message, of whose DLLPs so many of that kind are lost: one ACK is the message's and
  // that of the write whose UpdateFC is the error.
  void one_that_loses(std::uint32_t count) {
    const bool acks = GetParam() == pcie_port::dllp::ack;
    b.port.lose_dllps(pcie_port::dllp::update_fc, 1);
    if (acks) b.port.lose_dllps(pcie_port::dllp::ack, count);
    b.device.fill(m.iova, 1, 64);
    if (!acks) b.port.lose_dllps(pcie_port::dllp::update_fc, count);
  }
  bench b;
  const host_memory::region m;
};
INSTANTIATE_TEST_SUITE_P(of, link_error_message,
                         testing::Values(pcie_port::dllp::ack, pcie_port::dllp::update_fc),
                         [](const auto& p) {
                           return p.param == pcie_port::dllp::ack ? "an_ack" : "an_UpdateFC";
                         });

TEST_P(link_error_message, that_meets_the_loss_causes_no_other) {
  one_that_loses(2);
  b.run(1_ms);
  EXPECT_EQ(b.port.counters().bad_dllps, 3u);
  EXPECT_EQ(b.port.counters().err_cor, 1u);
}

TEST_P(link_error_message, that_its_link_has_lost_keeps_no_other_back) {
  one_that_loses(6);
  b.run(3_us);
  EXPECT_EQ(b.port.counters().err_cor, 1u);
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(b.port.config().retrain_time + 1);
  b.port.lose_dllps(pcie_port::dllp::update_fc, 1);
  b.device.fill(m.iova, 1, 64);
  b.run(10_us);
  EXPECT_EQ(b.port.counters().err_cor, 2u);
}

// ---------------------------------------------------------------- retrains

TEST(link, that_retrains_after_four_expiries_is_silent_in_the_other_direction_too) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.lose_dllps(pcie_port::dllp::ack, 4);
  b.device.fill(m.iova, 1, 64);
  while (b.port.counters().retrains == 0) b.run(10_ns);
  const picos from = now_ps();
  b.port.mmio_write(8, 1);
  EXPECT_TRUE(port_word(b.port, port_link_control) & port_link_training);
  EXPECT_TRUE(b.bar.visits.empty());
  EXPECT_FALSE(port_word(b.port, port_link_control) & port_link_training);
  ASSERT_EQ(b.bar.visits.size(), 1u);
  EXPECT_GT(b.bar.visits[0].at, from - 10_ns + pcie_config{}.retrain_time);
  EXPECT_LT(b.bar.visits[0].at, from + 1_us + pcie_config{}.retrain_time);
}

// The fourth NAK for a register write has yet to come when its sender is known to retrain the link.
TEST(link, that_retrains_after_four_replays_is_silent_in_the_other_direction_too) {
  pcie_config c;
  c.lcrc_errors = 500'000;
  c.seed = 2;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  for (std::uint32_t i = 0; i < 100 && b.port.counters().retrains == 0; ++i) {
    b.run(100_us);
    b.port.mmio_write(0, i);
    b.run(c.mmio_latency + 1_ns);
  }
  ASSERT_EQ(b.port.counters().retrains, 1u);
  std::vector<bool> training;
  picos first = 0;
  for (picos t = 0; t < 1500_ns; t += 100_ns)
    b.port.port_cfg_read(
        port_link_control,
        [&](std::uint32_t v) {
          training.push_back(v & port_link_training);
          if (training.back() && first == 0) first = now_ps() - c.mmio_latency;
        },
        t);
  b.run(2500_ns);
  ASSERT_EQ(training.size(), 15u);
  EXPECT_FALSE(training.front()) << "not before the NAK has come";
  ASSERT_TRUE(training.back());
  b.device.fill(m.iova, 1, 64);
  b.run(100_us);
  const picos sent = b.record.of(event_kind::tlp_up).back().at;
  EXPECT_GT(sent, first - 100_ns + c.retrain_time);
  EXPECT_LE(sent, first + c.retrain_time);
}

pcie_config few_credits(std::uint32_t posted_headers) {
  pcie_config c;
  c.credits.posted_headers = posted_headers;
  return c;
}

// The next UpdateFCs get lost, so many. Memory to write to.
host_memory::region losing_updates(bench& b, std::uint32_t lost) {
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.lose_dllps(pcie_port::dllp::update_fc, lost);
  return m;
}

TEST(link, that_retrains_for_want_of_an_UpdateFC_is_silent_in_both_directions) {
  const pcie_config c = few_credits(1);
  bench b(c);
  const auto m = losing_updates(b, 7);
  b.device.fill(m.iova, 1, 64);
  const picos from = b.wire(88) + 2 * c.propagation + 210_us, until = from + c.retrain_time;
  b.port.mmio_write(0, 1, from - 1_us - c.mmio_latency);
  b.port.mmio_write(4, 2, from + 1_us - c.mmio_latency);
  b.run(from + 2_us);
  ASSERT_EQ(b.bar.visits.size(), 1u);
  EXPECT_LT(b.bar.visits[0].at, from);
  b.device.read(m.iova, 64);
  b.run(100_us);
  ASSERT_EQ(b.bar.visits.size(), 2u);
  EXPECT_GT(b.bar.visits[1].at, until);
  EXPECT_LT(b.bar.visits[1].at, until + 1_us);
  EXPECT_EQ(b.record.of(event_kind::tlp_up).back().at, until);
  EXPECT_EQ(b.port.counters().retrains, 1u);
}

TEST(link, that_goes_down_while_it_trains_has_no_training_left) {
  bench b;
  b.run(0);
  b.port.retrain(3, 8);
  b.port.set_link_up(false);
  b.run(1_us);
  EXPECT_FALSE(port_word(b.port, port_link_control) & port_link_training);
}

// ---------------------------------------------------------------- a link that comes back

// What keeps a link down, and its end.
struct outage {
  const char* name;
  void (*begin)(bench&);
  void (*end)(bench&);
};
void disable(bench& b) {
  b.port.port_cfg_write(port_link_control, port_link_disable);
  b.run(1_us);
}
void enable(bench& b) {
  b.port.port_cfg_write(port_link_control, 0);
  b.run(pcie_config{}.mmio_latency);
}
void unplug(bench& b) {
  b.port.set_link_up(false);
}
void plug(bench& b) {
  b.port.set_link_up(true);
}
void poison(bench& b) {
  b.port.poison_next_write();
  b.device.fill(b.memory.allocate(64, 64).iova, 1, 64);
  b.run(1_us);
}
void release(bench& b) {
  b.port.port_cfg_write(port_dpc_status, port_dpc_triggered);
  b.run(pcie_config{}.mmio_latency);
}
constexpr outage outages[] = {
    {"disabled", disable, enable}, {"unplugged", unplug, plug}, {"contained", poison, release}};

pcie_config slow_to_train() {
  pcie_config c;
  c.retrain_time = 40_us;
  return c;
}

constexpr std::uint32_t both = port_link_active | port_link_training;

class link_back : public testing::TestWithParam<outage> {};
INSTANTIATE_TEST_SUITE_P(from, link_back, testing::ValuesIn(outages),
                         [](const auto& p) { return std::string(p.param.name); });

// PCIe 7.5.3.8: Data Link Layer Link Active is DL_Active, which a first training comes before.
TEST_P(link_back, trains_and_is_not_active_until_it_is_through) {
  const pcie_config c = slow_to_train();
  bench b(c);
  b.run(0);
  std::vector<picos> trained;
  b.port.on_link([&](unsigned, unsigned) { trained.push_back(now_ps()); });
  GetParam().begin(b);
  EXPECT_FALSE(b.port.link_up());
  EXPECT_EQ(port_word(b.port, port_link_control) & both, 0u);
  GetParam().end(b);
  const picos begun = now_ps();
  while (now_ps() + 5_us < begun + c.retrain_time) {
    EXPECT_FALSE(b.port.link_up());
    EXPECT_EQ(port_word(b.port, port_link_control) & both, port_link_training) << now_ps() - begun;
  }
  GetParam().end(b);  // again: no training of its own
  b.run(begun + c.retrain_time + 1 - now_ps());
  EXPECT_TRUE(b.port.link_up());
  EXPECT_EQ(port_word(b.port, port_link_control) & both, port_link_active);
  EXPECT_EQ(trained, std::vector<picos>{begun + c.retrain_time});
  EXPECT_EQ(b.port.counters().retrains, 1u);
  b.port.retrain(3, 8);
  EXPECT_EQ(port_word(b.port, port_link_control) & both, both) << "a link that retrains stays active";
}

// PCIe 2.9.1: as long as it is not active, whatever is to cross it is lost.
TEST_P(link_back, loses_what_is_to_cross_it_while_it_trains_and_carries_what_comes_later) {
  pcie_config c = slow_to_train();
  c.completion_timeout = 60_us;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  GetParam().begin(b);
  GetParam().end(b);
  b.run(10_us);
  const std::uint64_t dropped = b.port.counters().dropped;
  std::uint32_t value = 0;
  picos answered = never;
  const picos asked = now_ps();
  b.port.mmio_read(4, [&](std::uint32_t v) {
    value = v;
    answered = now_ps();
  });
  b.port.mmio_write(8, 1);
  b.device.fill(m.iova, 1, 64);
  auto& lost = b.device.read(m.iova, 64);
  b.run(70_us);
  EXPECT_EQ(b.port.counters().dropped, dropped + 4);
  EXPECT_EQ(value, 0xffffffffu);
  EXPECT_EQ(answered, asked + c.completion_timeout);
  EXPECT_TRUE(b.bar.visits.empty());
  EXPECT_EQ(m.cpu[0], 0);
  EXPECT_EQ(lost.answered, never);
  EXPECT_TRUE(b.port.quiet());
  b.port.mmio_write(8, 2);
  b.device.fill(m.iova, 2, 64);
  auto& read = b.device.read(m.iova, 64);
  b.run(5_us);
  EXPECT_EQ(b.bar.visits.size(), 1u);
  EXPECT_EQ(m.cpu[0], 2);
  EXPECT_NE(read.answered, never);
  EXPECT_EQ(b.port.counters().dropped, dropped + 4);
}

// PCIe 7.8.4.2: a link that was active and that nobody has taken down on purpose.
TEST_P(link_back, that_goes_down_unasked_is_a_surprise_once) {
  bench b;
  b.run(0);
  const auto surprised = [&] {
    const bool was = port_word(b.port, port_aer_uncorrectable) & aer_surprise_down;
    b.port.port_cfg_write(port_aer_uncorrectable, ~0u);
    b.run(1_us);
    return was;
  };
  GetParam().begin(b);
  EXPECT_EQ(surprised(), GetParam().begin == unplug);
  b.port.set_link_up(false);
  EXPECT_FALSE(surprised()) << "it was down already";
  b.port.set_link_up(true);
  b.port.set_link_up(false);
  EXPECT_FALSE(surprised()) << "it has not been active";
}

// Whoever is at the other end resets (PCIe 2.9.1): once each time, when nobody is in the middle of a call.
TEST_P(link_back, tells_the_other_end_that_it_went_down_once_and_in_no_call) {
  bench b;
  b.run(0);
  std::vector<picos> down;
  bool calling = false;
  b.port.on_link_down([&] {
    EXPECT_FALSE(calling);
    EXPECT_FALSE(b.port.link_up());
    down.push_back(now_ps());
  });
  for (std::size_t n = 1; n <= 2; ++n) {
    calling = GetParam().begin == unplug;
    GetParam().begin(b);
    calling = false;
    b.run(1_us);
    EXPECT_EQ(down.size(), n);
    b.port.set_link_up(false);  // it is down already, and may go on being so
    b.port.set_link_up(true);
    GetParam().end(b);
    b.port.set_link_up(false);  // it has not been active meanwhile
    b.port.set_link_up(true);
    b.run(10_us);
    EXPECT_EQ(down.size(), n);
    EXPECT_TRUE(b.port.link_up());
  }
  b.port.power_off_device();
  b.port.set_link_up(false);
  b.run(10_us);
  EXPECT_EQ(down.size(), 2u) << "nobody is there who could hear";
}

TEST(link, that_comes_back_has_its_target_speed_and_all_its_lanes_and_a_downgrade_is_forgotten) {
  bench b;
  b.run(0);
  std::vector<std::pair<unsigned, unsigned>> trained;
  b.port.on_link([&](unsigned generation, unsigned lanes) { trained.emplace_back(generation, lanes); });
  b.port.retrain(1, 1);
  b.run(10_us);
  b.port.port_cfg_write(port_link_control_2, 2);
  b.run(1_us);
  unplug(b);
  b.port.retrain(3, 4);
  EXPECT_EQ(b.port.counters().retrains, 1u) << "nothing that is down retrains";
  plug(b);
  b.run(10_us);
  EXPECT_EQ(port_word(b.port, port_link_control) >> 16 & 0x3ff, 2u | 8u << 4);
  EXPECT_EQ(trained, (std::vector<std::pair<unsigned, unsigned>>{{1, 1}, {2, 8}}));
}

// Each of them must be over.
TEST(link, that_two_causes_keep_down_trains_behind_the_second) {
  bench b;
  b.run(0);
  disable(b);
  unplug(b);
  enable(b);
  b.run(20_us);
  EXPECT_FALSE(b.port.link_up());
  EXPECT_EQ(b.port.counters().retrains, 0u);
  plug(b);
  b.run(10_us);
  EXPECT_TRUE(b.port.link_up());
}

TEST(link, that_goes_down_in_its_first_training_begins_again) {
  const pcie_config c = slow_to_train();
  bench b(c);
  b.run(0);
  unplug(b);
  plug(b);
  b.run(30_us);
  unplug(b);
  b.run(5_us);
  plug(b);
  const picos again = now_ps();
  b.run(c.retrain_time - 1);
  EXPECT_FALSE(b.port.link_up());
  b.run(2);
  EXPECT_TRUE(b.port.link_up()) << now_ps() - again;
}

// ---------------------------------------------------------------- lost UpdateFCs

TEST(link, a_lost_UpdateFC_is_repeated_after_30_us) {
  const pcie_config c = few_credits(1);
  bench b(c);
  const auto m = losing_updates(b, 1);
  b.device.fill(m.iova, 1, 64);
  b.device.fill(m.iova + 64, 2, 64);
  b.run(100_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].at - sent[0].at, b.wire(88) + 2 * c.propagation + 30_us);
  EXPECT_EQ(b.port.counters().bad_dllps, 1u);
}

TEST(link, a_lost_UpdateFC_is_made_good_by_that_of_the_next_tlp) {
  const pcie_config c = few_credits(2);
  bench b(c);
  const auto m = losing_updates(b, 1);
  for (unsigned i = 0; i < 3; ++i) b.device.fill(m.iova + 64 * i, 1, 64);
  b.run(100_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[2].at - sent[1].at, b.wire(88) + 2 * c.propagation);
}

TEST(link, without_an_UpdateFC_for_200_us_the_link_retrains) {
  const pcie_config c = few_credits(1);
  bench b(c);
  const auto m = losing_updates(b, 7);
  b.device.fill(m.iova, 1, 64);
  b.device.fill(m.iova + 64, 2, 64);
  b.run(1_ms);
  EXPECT_EQ(b.port.counters().retrains, 1u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 2u);
}

TEST(link, a_full_replay_buffer_stops_its_end_until_an_ACK) {
  pcie_config c;
  c.replay_buffer = 2 * 280;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (unsigned i = 0; i < 3; ++i) b.device.fill(m.iova + 256 * i, 1, 256);
  b.run(10_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[1].at - sent[0].at, b.wire(280));
  const picos latency = b.wire(ack_limit(c.link) * c.link.lanes);
  EXPECT_EQ(sent[2].at, sent[0].at + b.wire(280) + 2 * c.propagation + latency);
  EXPECT_EQ(b.port.counters().replay_stalls, 1u);
}

TEST(link, an_ample_replay_buffer_stops_nobody) {
  bench b;
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (unsigned i = 0; i < 200; ++i) b.device.fill(m.iova + 256 * i, 1, 256);
  b.run(50_us);
  EXPECT_EQ(b.port.counters().replay_stalls, 0u);
}

TEST(link, that_loses_DLLPs_all_the_time_delivers_everything_once_and_in_order) {
  pcie_config c;
  c.dllp_errors = 200'000;
  c.lcrc_errors = 50'000;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  constexpr unsigned n = 500;
  for (unsigned i = 0; i < n; ++i) {
    b.device.fill(m.iova + 64 * i, static_cast<std::uint8_t>(i), 64);
    if (i % 7 == 0) b.run(2_us);
  }
  b.run(10_ms);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(seen.size(), n);
  for (unsigned i = 0; i < n; ++i) EXPECT_EQ(seen[i].a, m.iova + 64 * i);
  EXPECT_GT(b.port.counters().bad_dllps, 20u);
  EXPECT_GT(b.port.counters().replay_timeouts, 0u);
}

// ---------------------------------------------------------------- credits towards the adapter

TEST(link, host_writes_wait_for_the_credits_of_the_adapter) {
  pcie_config c;
  c.credits.adapter_posted_headers = 2;
  bench b(c);
  b.run(0);
  for (std::uint32_t i = 0; i < 5; ++i) b.port.mmio_write(4 * i, i);
  b.run(5_us);
  ASSERT_EQ(b.bar.visits.size(), 5u);
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(b.bar.visits[i].offset, 4 * i);
  EXPECT_EQ(b.port.counters().host_stalls, 3u);
  // The third leaves when the first has been carried out and its UpdateFC has arrived.
  const auto sent = b.record.of(event_kind::tlp_down);
  EXPECT_EQ(sent[2].at, b.bar.visits[0].at + b.bar.access + 2 * c.propagation + b.wire(24));
}

TEST(link, a_posted_request_of_the_host_passes_reads_without_credits_and_no_read_passes_a_write) {
  pcie_config c;
  c.credits.adapter_nonposted_headers = 1;
  bench b(c);
  b.bar.access = 1_us;
  b.run(0);
  int answered = 0;
  b.port.mmio_read(0x10, [&](std::uint32_t) { ++answered; });
  b.port.mmio_read(0x14, [&](std::uint32_t) { ++answered; });
  b.port.mmio_write(0x18, 1);
  b.port.mmio_read(0x1c, [&](std::uint32_t) { ++answered; });
  b.run(20_us);
  ASSERT_EQ(b.bar.visits.size(), 4u);
  EXPECT_EQ(b.bar.visits[0].offset, 0x10u);
  EXPECT_EQ(b.bar.visits[1].offset, 0x18u);
  EXPECT_EQ(b.bar.visits[2].offset, 0x14u);
  EXPECT_EQ(b.bar.visits[3].offset, 0x1cu);
  EXPECT_EQ(answered, 3);
}

TEST(link, requests_that_wait_for_credits_are_lost_with_the_link_and_the_credits_are_new) {
  bench b(with_one_posted_credit());
  b.bar.access = 1_us;
  b.run(0);
  for (std::uint32_t i = 0; i < 4; ++i) b.port.mmio_write(4 * i, i);
  b.run(500_ns);
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(5_us);
  EXPECT_EQ(b.bar.visits.size(), 1u);
  b.port.mmio_write(0x20, 1);
  b.port.mmio_write(0x24, 1);
  b.run(10_us);
  EXPECT_EQ(b.bar.visits.size(), 3u);
  EXPECT_TRUE(b.port.quiet());
}

// One write at a time, each for 10 us: the second one waits for its credit.
void write_twice(bench& b) {
  b.bar.access = 10_us;
  b.run(0);
  b.port.mmio_write(0, 1);
  b.port.mmio_write(0, 2);
}

// Non-posted requests that wait do not stop them.
TEST(link, completions_for_the_adapter_need_no_credits) {
  pcie_config c = with_one_posted_credit();
  c.credits.adapter_nonposted_headers = 1;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.bar.access = 10_us;
  b.run(0);
  b.port.mmio_write(0, 1);
  for (unsigned i = 0; i < 2; ++i) b.port.mmio_read(0, [](std::uint32_t) {});
  for (unsigned i = 0; i < 16; ++i) b.device.read(m.iova + 512 * i, 512);
  b.run(4_us);
  EXPECT_EQ(b.port.counters().host_stalls, 1u) << "the second read";
  EXPECT_EQ(b.device.answers, 16u);
}

// PCIe 2.4.1, row of completions: a posted request in front of them goes first; one that came behind them
// does not stop them.
TEST(link, a_completion_does_not_pass_a_posted_request_that_waits_for_credits) {
  bench b(with_one_posted_credit());
  const auto m = b.memory.allocate(1 << 16, 4096);
  write_twice(b);
  for (unsigned i = 0; i < 16; ++i) b.device.read(m.iova + 512 * i, 512);
  b.run(4_us);
  EXPECT_EQ(b.port.counters().host_stalls, 1u);
  EXPECT_EQ(b.device.answers, 0u) << "the second write is in front of them";
  EXPECT_FALSE(b.port.quiet());
  b.port.mmio_write(0, 3);
  b.run(10_us);
  EXPECT_EQ(b.device.answers, 16u);
  ASSERT_EQ(b.bar.visits.size(), 2u) << "the third write waits for the second";
  std::vector<std::uint64_t> down;
  for (const event& e : b.record.of(event_kind::tlp_down)) down.push_back(e.b >> 32);
  constexpr auto write = static_cast<std::uint64_t>(tlp_type::memory_write);
  ASSERT_EQ(down.size(), 18u);
  EXPECT_EQ(down[0], write);
  EXPECT_EQ(down[1], write);
  EXPECT_EQ(std::count(down.begin(), down.end(), write), 2);
  b.run(20_us);
  EXPECT_EQ(b.bar.visits.size(), 3u);
  EXPECT_TRUE(b.port.quiet());
}

// They are lost with the link, as all that is under way.
TEST(link, completions_that_wait_behind_a_posted_request_are_lost_with_the_link) {
  bench b(with_one_posted_credit());
  const auto m = b.memory.allocate(4096, 4096);
  write_twice(b);
  std::vector<card::operation*> reads;
  for (unsigned i = 0; i < 4; ++i) reads.push_back(&b.device.read(m.iova, 64));
  b.run(4_us);
  b.port.set_link_up(false);
  b.port.set_link_up(true);
  b.run(40_us);
  EXPECT_EQ(b.device.answers, 0u);
  for (card::operation* r : reads) EXPECT_EQ(r->payload.get_ref_count(), 1) << "the port holds none";
  EXPECT_EQ(b.port.counters().dropped, 5u);
  EXPECT_TRUE(b.port.quiet());
}

// ---------------------------------------------------------------- errors of reads, speed, width

TEST(link, a_completer_abort_is_told_from_an_unsupported_request) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.port.abort_next_read();
  auto& aborted = b.device.read(m.iova, 64);
  b.run(2_us);
  EXPECT_EQ(aborted.payload.get_response_status(), tlm::TLM_COMMAND_ERROR_RESPONSE);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_completer_abort);
  auto& unsupported = b.device.read(0x10, 64);
  b.run(2_us);
  EXPECT_EQ(unsupported.payload.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
  EXPECT_EQ(port_word(b.port, port_aer_uncorrectable), aer_completer_abort | aer_unsupported_request);
  EXPECT_EQ(b.port.counters().aborted, 1u);
}

TEST(link, poison_and_abort_come_at_their_rates) {
  pcie_config c;
  c.poisoned_reads = 100'000;
  c.aborted_reads = 100'000;
  bench b(c);
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  for (int i = 0; i < 1000; ++i) {
    b.device.read(m.iova, 64);
    if (i % 50 == 0) b.run(5_us);
  }
  b.run(100_us);
  EXPECT_EQ(b.device.answers, 1000u);
  EXPECT_NEAR(static_cast<double>(b.port.counters().poisoned), 100.0, 40.0);
  EXPECT_NEAR(static_cast<double>(b.port.counters().aborted), 90.0, 40.0);
}

class downgrade : public testing::TestWithParam<std::pair<unsigned, unsigned>> {};

// Speed alone, and width alone.
TEST_P(downgrade, of_a_link_slows_its_tlps_by_its_factor) {
  const auto [generation, lanes] = GetParam();
  bench b;
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  b.port.retrain(generation, lanes);
  b.run(10_us);
  for (unsigned i = 0; i < 2; ++i) b.device.fill(m.iova + 256 * i, 1, 256);
  b.run(50_us);
  const auto sent = b.record.of(event_kind::tlp_up);
  ASSERT_EQ(sent.size(), 2u);
  link_parameters to;
  to.generation = generation;
  to.lanes = lanes;
  const auto rate = static_cast<bits_per_second>(std::llround(raw_rate(to) * skp_share()));
  EXPECT_NEAR(static_cast<double>(sent[1].at - sent[0].at), static_cast<double>(wire_time(280, rate)), 2.0);
  EXPECT_EQ(port_word(b.port, port_link_control) >> 16 & 0x3ff, generation | lanes << 4);
}
INSTANTIATE_TEST_SUITE_P(link, downgrade,
                         testing::Values(std::pair{2u, 8u}, std::pair{1u, 8u}, std::pair{3u, 4u},
                                         std::pair{3u, 1u}));

}  // namespace
