// The link of an adapter goes down: it resets as by a hot reset (PCIe 2.9.1, 6.6.1), and whoever meets it
// when the link is back finds it as after power-on.
#include <algorithm>
#include <map>
#include <tuple>

#include "tb/test/adapter/dma_under_way.h"
#include "tb/test/pcie/port_word.h"

namespace understudy::tb {
namespace {

// Down for `outage`, and up and trained again.
void lose_link(adapter_rig& g, picos outage = 10_us) {
  g.port.set_link_up(false);
  g.run(outage);
  g.port.set_link_up(true);
  g.run(pcie_config{}.retrain_time + 1);
}

// An adapter that is as after power-on, and brought up, accepts a connection on port 80: its ISS.
seq32 serve_one(adapter_rig& g, std::uint16_t peer_port) {
  g.post_address();
  g.post_listen(80);
  g.post_pool();
  g.ring();
  g.introduce_peer();
  seq32 iss;
  EXPECT_TRUE(g.establish(80, peer_port, seq32{1000}, &iss));
  return iss;
}

// Whatever the host can read of the adapter: registers, and configuration space behind them.
std::vector<std::uint32_t> whole_state(adapter_rig& g) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t at = 0; at < US_BAR0_SIZE; at += 4) all.push_back(g.read(at));
  for (std::uint32_t at = 0; at < config_space::bytes; at += 4) all.push_back(g.cfg_read(at));
  return all;
}

std::uint32_t of_configuration(const std::vector<std::uint32_t>& all, std::uint32_t offset) {
  return all[(US_BAR0_SIZE + offset) / 4];
}

// The sticky registers of AER are not among them.
void expect_same(const std::vector<std::uint32_t>& after, const std::vector<std::uint32_t>& before) {
  ASSERT_EQ(after.size(), before.size());
  const std::size_t sticky = (US_BAR0_SIZE + config_space::aer_uncorrectable) / 4,
                    end = (US_BAR0_SIZE + config_space::aer_correctable_mask) / 4 + 1;
  for (std::size_t i = 0; i < after.size(); ++i)
    EXPECT_TRUE(after[i] == before[i] || (i >= sticky && i < end)) << "at dword " << i;
}

TEST(link_down, leaves_the_adapter_as_after_power_on_but_for_what_is_sticky) {
  adapter_config config;
  config.tx_queues = 2;
  adapter_rig g(config);
  const std::vector<std::uint32_t> at_power_on = whole_state(g);
  // All kinds of traces of a past.
  g.bring_up();
  g.post_address();
  g.post_listen(80);
  g.post_pool();
  post_refused(g);
  g.ring();
  g.introduce_peer();
  seq32 iss;
  ASSERT_TRUE(g.establish(80, 1000, seq32{1000}, &iss));
  frame_ref broken = g.segment_from_peer(80, 1000, seq32{1001}, iss + 1, tcp_ack, 100);
  broken.data()[60] ^= 1;
  g.wire.send(broken);
  g.write(US_REG_IDT_TAIL, 5000);
  g.write(US_REG_HEARTBEAT_US, 100);
  g.write(US_TX_QUEUE(1) + US_TX_SIZE, 64);
  g.write(US_REG_CONTROL, US_CONTROL_ENABLE);
  g.wire.send(g.segment_from_peer(80, 1000, seq32{1001}, iss + 1, tcp_ack, 100));
  g.run(10_us);
  for (const std::uint32_t counts :
       {US_REG_DROPPED_BLOCKED, US_REG_DROPPED_BAD, US_REG_REFUSED_COMMANDS, US_REG_BAD_DOORBELLS})
    EXPECT_EQ(g.read(counts), 1u) << counts;
  g.cfg_write(config_space::bar0, 0xf0000000);
  g.cfg_write(config_space::device_control, 0);  // MPS and MRRS 128, nothing is signalled
  g.cfg_write(config_space::link_control, 0xc8);
  g.cfg_write(config_space::aer_uncorrectable_mask, config_space::aer_completion_timeout);
  g.cfg_write(config_space::aer_severity, config_space::aer_poisoned);
  g.cfg_write(config_space::aer_correctable_mask, 0);
  g.write(US_BAR0_SIZE, 1);
  g.port.retrain(1, 1);
  g.run(20_us);
  lose_link(g);
  constexpr std::uint32_t mrrs_512 = 2u << config_space::mrrs_bit;
  EXPECT_EQ(g.cfg_read(config_space::device_control) & 0x7fff,
            config_space::enable_relaxed_ordering | mrrs_512)
      << "the defaults of hardware";
  // As firmware does.
  g.cfg_write(config_space::device_control, of_configuration(at_power_on, config_space::device_control));
  g.cfg_write(config_space::device_control_2, of_configuration(at_power_on, config_space::device_control_2));
  expect_same(whole_state(g), at_power_on);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_unsupported_request);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable_mask), config_space::aer_completion_timeout);
  EXPECT_EQ(g.cfg_read(config_space::aer_severity), config_space::aer_poisoned);
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable_mask), 0u);
  EXPECT_EQ(g.dev.counters().bad_doorbells, 1u) << "what the result counts goes on";
  g.expect_no_report();
}

// After the first write, and with the Verilated blocks of adapter.rtl = ["checksum", "dma_engine"].
class link_down_in : public testing::TestWithParam<std::tuple<picos, bool>> {};
INSTANTIATE_TEST_SUITE_P(after, link_down_in,
                         testing::Combine(testing::Values(500_ns, 1_us, 3_us), testing::Bool()),
                         [](const auto& p) {
                           return std::to_string(std::get<0>(p.param) / 1_ns) +
                                  (std::get<1>(p.param) ? "_ns_rtl" : "_ns_twin");
                         });

TEST_P(link_down_in,
       the_middle_of_dma_lets_nothing_land_or_leave_and_the_next_driver_starts_from_the_beginning) {
  const auto [after, rtl] = GetParam();
  adapter_config config;
  config.dma.rtl = config.checksum_rtl = rtl;
  adapter_rig g(config, 64, 64, slow_link());
  g.bring_up(0);
  const auto m = dma_under_way(g, after);
  const dma_counters& c = g.dev.dma.counters();
  EXPECT_GT(g.dev.dma.outstanding_reads(), 0u);
  const picos down_at = now_ps();
  lose_link(g);
  EXPECT_EQ(g.dev.dma.outstanding_reads(), 0u) << "they are not waited for";
  EXPECT_EQ(g.cfg_read(config_space::device_control) & config_space::transactions_pending, 0u);
  EXPECT_EQ(g.cfg_read(config_space::command) & config_space::bus_master_bit, 0u);
  const std::vector<std::uint8_t> ring(g.odt.cpu, g.odt.cpu + 64 * US_ENTRY_BYTES);
  g.run(20_ms);  // longer than the completion time-out
  const picos landed = down_at + 2 * pcie_config{}.propagation + pcie_config{}.write_latency;
  for (const event& e : g.events.of(event_kind::write_visible)) EXPECT_LE(e.at, landed) << "it had left";
  for (const event& e : g.events.of(event_kind::interrupt)) EXPECT_LE(e.at, landed);
  for (const event& e : g.events.of(event_kind::frame_out)) EXPECT_LE(e.at, down_at);
  EXPECT_TRUE(std::equal(ring.begin(), ring.end(), g.odt.cpu));
  EXPECT_GT(c.read_bytes_aborted, 0u) << "the end came in the middle of reads";
  EXPECT_EQ(c.unexpected, 0u) << "no late completion";
  EXPECT_EQ(c.timeouts, 0u);
  EXPECT_EQ(c.read_bytes, c.read_bytes_done + c.read_bytes_failed + c.read_bytes_aborted);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
  EXPECT_TRUE(g.port.quiet());
  const std::size_t frames = g.wire.arrivals.size();
  g.start_over(0);
  for (int i = 0; i < 4; ++i) post_raw(g, m.iova + static_cast<std::uint64_t>(i) * 9216, 9000);
  for (int k = 0; k < 3; ++k) post_refused(g);
  g.ring(1_ms);
  const auto again = g.take_records();
  ASSERT_FALSE(again.empty());
  for (std::uint32_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].number, i);
  EXPECT_EQ(
      std::count_if(again.begin(), again.end(), [](const us_record& r) { return r.type == US_REC_REFUSED; }),
      3);
  ASSERT_EQ(g.wire.arrivals.size(), frames + 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const frame_ref& sent = g.wire.arrivals[frames + i].f;
    ASSERT_EQ(sent.size(), 9000u);
    EXPECT_TRUE(std::equal(sent.data(), sent.data() + 9000, m.cpu + i * 9216));
  }
  EXPECT_EQ(c.read_bytes, c.read_bytes_done + c.read_bytes_failed + c.read_bytes_aborted);
  g.expect_no_report();
}

// All of them are asked for when the link ends. The next life has each at once, from the first one on, and
// not when the completion time-out is over.
class link_down_tags : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(data_path, link_down_tags, testing::Bool(),
                         [](const auto& p) { return p.param ? "rtl" : "twin"; });

TEST_P(link_down_tags, are_free_at_once) {
  adapter_config config;
  config.dma.rtl = GetParam();
  adapter_rig g(config);
  const auto m = g.memory.allocate(65536, 4096);
  std::vector<std::uint8_t> in(32768);
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  int told = 0;
  const auto read_all = [&] {
    g.dev.dma.read(iova{m.iova}, 16384, in.data(), {}, [&](bool ok) { told += ok; });
    g.dev.dma.read(
        iova{m.iova}, 16384, in.data() + 16384, {}, [&](bool ok) { told += ok; }, 1);
    g.dev.dma.flush(iova{m.iova}, [&](bool ok) { told += ok; });
  };
  g.cfg_write(config_space::device_control, 0);  // smaller requests, and fewer at a time
  g.dev.dma.read(iova{m.iova}, 2560, in.data(), {}, [](bool) {});
  g.run(5_us);  // the numbers are not in order any more
  read_all();
  g.run(400_ns);
  EXPECT_GT(g.dev.dma.outstanding_reads(), 10u);
  lose_link(g);
  EXPECT_EQ(told, 0);
  struct : tlp_observer {
    std::vector<unsigned> tags;
    void on_tlp(std::uint16_t, const tlp_on_link& t) override {
      if (t.up && t.type == tlp_type::memory_read) tags.push_back(t.tag);
    }
  } seen;
  g.port.watch(&seen);
  read_all();
  g.run(5_us);
  EXPECT_TRUE(seen.tags.empty()) << "it is no bus master";
  g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
  g.run(50_us);
  EXPECT_EQ(told, 3);
  ASSERT_EQ(seen.tags.size(), 65u) << "512 bytes each, and a flush";
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(seen.tags[i], i);
  EXPECT_EQ(g.dev.dma.counters().timeouts, 0u);
  g.port.watch(nullptr);
  g.run(20_ms);
  EXPECT_EQ(told, 3);
  EXPECT_EQ(g.dev.dma.counters().timeouts, 0u);
  EXPECT_EQ(g.dev.dma.counters().unexpected, 0u);
  g.expect_no_report();
}

// What is on its way to the wire, what would be sent again, and what would be answered.
TEST(link_down, silences_the_adapter_on_the_wire_for_whoever_asks) {
  adapter_rig g;
  g.bring_up();
  const seq32 iss = serve_one(g, 1000);
  std::uint32_t cid = US_NO_CID;
  for (const us_record& r : g.take_records())
    if (r.type == US_REC_ESTABLISHED || r.type == US_REC_EMBRYO) cid = r.cid;
  ASSERT_NE(cid, US_NO_CID);
  const auto m = g.memory.allocate(16384, 4096);
  us_idt_entry e{};
  e.opcode = US_OP_SEND;
  e.cid = cid;
  e.u.send.iova_lo = static_cast<std::uint32_t>(m.iova);
  e.u.send.iova_hi = static_cast<std::uint32_t>(m.iova >> 32);
  e.u.send.len = 10000;
  e.u.send.seq_end = (iss + 10001).raw;
  g.post(e);
  g.ring(2_us);
  const std::size_t before = g.events.of(event_kind::frame_out).size();
  ASSERT_TRUE(g.run_until([&] { return g.events.of(event_kind::frame_out).size() > before; }, 10_ns));
  const auto ask = [&] {
    g.wire.send(g.segment_from_peer(80, 1000, seq32{1001}, iss + 1, tcp_ack | tcp_psh, 100));
    g.wire.send(g.segment_from_peer(80, 1001, seq32{5000}, seq32{0}, tcp_syn));
    g.wire.send(make_arp_request(peer_mac, peer_ip, adapter_ip));
  };
  g.port.set_link_up(false);
  g.run(1);
  const std::size_t sent = g.events.of(event_kind::frame_out).size();
  ask();
  g.run(2_s);  // longer than any retransmission time-out
  EXPECT_EQ(g.events.of(event_kind::frame_out).size(), sent);
  EXPECT_LT(sent, before + 6) << "there was more to be sent";
  g.port.set_link_up(true);
  g.run(10_us);
  ask();
  g.run(2_s);
  EXPECT_EQ(g.events.of(event_kind::frame_out).size(), sent);
  EXPECT_EQ(g.read(US_REG_DROPPED_BLOCKED), 6u);
  g.start_over();
  serve_one(g, 2000);
  g.expect_no_report();
}

TEST(link_down, by_containment_and_by_link_disable_resets_it_too) {
  adapter_rig g;
  const auto armed = [&] { g.write(US_REG_HEARTBEAT_US, 7); };
  armed();
  g.port.port_cfg_write(port_link_control, port_link_disable);
  g.run(1_us);
  g.port.port_cfg_write(port_link_control, 0);
  g.run(10_us);
  EXPECT_EQ(g.read(US_REG_HEARTBEAT_US), 0u);
  armed();
  g.cfg_write(config_space::device_control, config_space::signal_fatal | config_space::signal_unsupported);
  g.cfg_write(config_space::aer_severity, config_space::aer_unsupported_request);
  g.write(US_BAR0_SIZE, 1);
  EXPECT_EQ(g.port.counters().contained, 1u);
  g.port.port_cfg_write(port_dpc_status, port_dpc_triggered);
  g.run(10_us);
  EXPECT_EQ(g.read(US_REG_HEARTBEAT_US), 0u);
  armed();
  g.port.port_cfg_write(port_link_control, port_retrain_link);
  g.run(10_us);
  EXPECT_EQ(g.read(US_REG_HEARTBEAT_US), 7u) << "a link that retrains has not been down";
  g.port.set_link_up(false);
  g.dev.kill();
  g.port.power_off_device();
  g.run(10_us);
  EXPECT_TRUE(g.dev.dead());
  g.expect_no_report();
}

}  // namespace
}  // namespace understudy::tb
