// What a link does beyond carrying TLPs: credits, replay, retraining, poison, refusal, error reports.
#include <gtest/gtest.h>

#include "tb/test/pcie/card.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

pcie_config with_iommu() {
  pcie_config c;
  c.translation.on = true;
  return c;
}

std::uint32_t port_word(bench& b, std::uint32_t offset) {
  std::uint32_t value = 1;
  b.port.port_cfg_read(offset, [&](std::uint32_t v) { value = v; });
  b.run(5_us);
  return value;
}

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
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (int i = 0; i < 16; ++i) b.device.fill(m.iova + 256 * i, 1, 256);
  EXPECT_EQ(b.port.counters().credit_stalls, 0u);
  bench* p = &b;
  p->run(10_us);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 16u);
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
  EXPECT_TRUE(port_word(b, port_aer_correctable) & aer_bad_tlp);
}

TEST(link, the_fourth_replay_in_a_row_retrains_the_link) {
  pcie_config c;
  c.lcrc_errors = 500'000;
  bench b(c);
  const auto m = b.memory.allocate(1 << 16, 4096);
  b.run(0);
  for (unsigned i = 0; i < 200; ++i) b.device.fill(m.iova, 1, 64);
  b.run(5_ms);
  EXPECT_GT(b.port.counters().retrains, 0u);
  EXPECT_EQ(b.record.of(event_kind::write_visible).size(), 200u);
  EXPECT_TRUE(port_word(b, port_aer_correctable) & aer_replay_rollover);
}

TEST(link, a_sound_link_replays_nothing) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  b.device.fill(m.iova, 1, 64);
  b.run(1_us);
  EXPECT_EQ(b.port.counters().lcrc_errors, 0u);
  EXPECT_EQ(port_word(b, port_aer_correctable), 0u);
  EXPECT_EQ(port_word(b, port_aer_uncorrectable), 0u);
}

TEST(link, a_downgrade_is_slower_loses_nothing_and_shows_in_link_status) {
  bench b;
  const auto m = b.memory.allocate(4096, 4096);
  b.run(0);
  EXPECT_EQ(port_word(b, port_link_control) >> 16 & 0x3ff, 3u | 8u << 4);
  b.device.fill(m.iova, 1, 64);
  b.port.retrain(1, 1);
  b.device.fill(m.iova, 2, 64);
  b.run(50_us);
  const auto seen = b.record.of(event_kind::write_visible);
  ASSERT_EQ(seen.size(), 2u);
  const bits_per_second slow = static_cast<bits_per_second>(2e9 * skp_share() + 0.5);
  const auto sent = b.record.of(event_kind::tlp_up);
  EXPECT_GE(sent[1].at - sent[0].at, pcie_config{}.retrain_time);
  EXPECT_NEAR(static_cast<double>(seen[1].at - sent[1].at), static_cast<double>(wire_time(88, slow) + 180_ns),
              2000.0);
  EXPECT_EQ(port_word(b, port_link_control) >> 16 & 0x3ff, 1u | 1u << 4);
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
  EXPECT_TRUE(port_word(b, port_aer_uncorrectable) & aer_unsupported_request);
  b.port.port_cfg_write(port_aer_uncorrectable, aer_unsupported_request);
  b.run(5_us);
  EXPECT_EQ(port_word(b, port_aer_uncorrectable), 0u) << "write 1 to clear";
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
  EXPECT_EQ(port_word(b, port_link_control) & port_link_disable, 0u);
  b.device.fill(m.iova, 7, 64);
  b.run(2_us);
  EXPECT_EQ(m.cpu[0], 7) << "and its bus master goes on";
  EXPECT_TRUE(port_word(b, port_aer_uncorrectable) & aer_completion_timeout);
}

}  // namespace
