// Error messages (PCIe 2.2.8.3, 6.2.5): which errors of the adapter are signalled to the root port, and how.
#include "tb/test/adapter/dma_under_way.h"
#include "tb/test/pcie/port_word.h"

namespace understudy::tb {
namespace {

// Messages that the root port has received: ERR_COR, ERR_NONFATAL, ERR_FATAL.
struct received {
  std::uint64_t cor, nonfatal, fatal;
  bool operator==(const received&) const = default;
};
received of(const adapter_rig& g) {
  const pcie_counters& c = g.port.counters();
  return {c.err_cor, c.err_nonfatal, c.err_fatal};
}
constexpr received nothing{0, 0, 0};

// The one posted Unsupported Request: nobody hears of it by a completion.
void write_outside(adapter_rig& g) {
  g.write(US_BAR0_SIZE, 1);
}
void write_poisoned(adapter_rig& g) {
  g.port.poison_next_mmio_write();
  g.write(US_REG_HEARTBEAT_US, 9);
}
void clear_bits(adapter_rig& g, std::uint32_t offset, std::uint32_t bits) {
  g.cfg_write(offset, g.cfg_read(offset) & 0xffff & ~bits);
}
void set_bits(adapter_rig& g, std::uint32_t offset, std::uint32_t bits) {
  g.cfg_write(offset, g.cfg_read(offset) | bits);
}
std::uint32_t device_status(adapter_rig& g) {
  return g.cfg_read(config_space::device_control) & 0xffff0000;
}

TEST(error_message, is_sent_for_an_unsupported_write_and_the_root_port_logs_whose_it_is) {
  adapter_rig g;
  g.run(1_us);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), 0u);
  write_outside(g);
  EXPECT_EQ(of(g), (received{0, 1, 0}));
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_uncor | root_nonfatal);
  EXPECT_EQ(port_word(g.port, port_aer_source), std::uint32_t{adapter_requester_id} << 16);
  EXPECT_EQ(device_status(g), config_space::non_fatal_detected | config_space::unsupported_detected);
  EXPECT_EQ(g.port.counters().contained, 0u);
  g.expect_no_report();
}

TEST(error_message, of_an_error_that_is_masked_is_not_sent) {
  adapter_rig g;
  g.cfg_write(config_space::aer_uncorrectable_mask, config_space::aer_unsupported_request);
  write_outside(g);
  EXPECT_EQ(of(g), nothing);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), 0u);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_unsupported_request)
      << "status registers say so all the same";
  write_poisoned(g);
  EXPECT_EQ(of(g), (received{0, 1, 0})) << "another error is not masked";
}

TEST(error_message, that_device_control_does_not_enable_is_not_sent) {
  adapter_rig g;
  for (const std::uint32_t off : {config_space::signal_non_fatal, config_space::signal_unsupported}) {
    const received before = of(g);
    const std::uint32_t control = g.cfg_read(config_space::device_control);
    clear_bits(g, config_space::device_control, off);
    write_outside(g);
    EXPECT_EQ(of(g), before) << off;
    // Unsupported Requests have an enable of their own; a poisoned write needs the first alone.
    write_poisoned(g);
    EXPECT_EQ(of(g) == before, off == config_space::signal_non_fatal);
    g.cfg_write(config_space::device_control, control);
    const std::uint64_t enabled = g.port.counters().err_nonfatal;
    write_outside(g);
    EXPECT_EQ(g.port.counters().err_nonfatal, enabled + 1) << "enabled again";
  }
}

// PCIe 7.8.4.4: severity decides what an error is; without Downstream Port Containment it is logged.
TEST(error_message, says_fatal_where_severity_does) {
  pcie_config bus;
  bus.dpc = false;
  adapter_rig g({}, 64, 64, bus);
  set_bits(g, config_space::aer_severity, config_space::aer_unsupported_request);
  write_outside(g);
  EXPECT_EQ(of(g), (received{0, 0, 1}));
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_uncor | root_first_fatal | root_fatal);
  EXPECT_EQ(device_status(g), config_space::fatal_detected | config_space::unsupported_detected);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC) << "the link is up";
  clear_bits(g, config_space::device_control, config_space::signal_fatal);
  write_outside(g);
  EXPECT_EQ(of(g), (received{0, 0, 1}));
}

// PCIe 6.2.10: the message goes no further than the port, which takes the link down.
TEST(error_message, that_is_fatal_is_contained) {
  adapter_rig g;
  set_bits(g, config_space::aer_severity, config_space::aer_poisoned);
  write_outside(g);
  EXPECT_EQ(g.port.counters().contained, 0u) << "not the one that is fatal";
  write_poisoned(g);
  EXPECT_EQ(of(g), (received{0, 1, 1}));
  EXPECT_EQ(g.port.counters().contained, 1u);
  EXPECT_EQ(port_word(g.port, port_dpc_status),
            port_dpc_triggered | port_dpc_by_fatal | std::uint32_t{adapter_requester_id} << 16);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_uncor | root_nonfatal);
  EXPECT_EQ(g.read(US_REG_ID), 0xffffffffu);
  bool done = false;
  g.port.port_cfg_write(port_dpc_status, port_dpc_triggered, 0, [&](std::uint32_t) { done = true; });
  g.run(20_us);
  EXPECT_TRUE(done);
  EXPECT_EQ(g.read(US_REG_ID), US_MAGIC);
}

// PCIe 6.2.3.2.4.1: whoever asked is told by the completion; the function reports a correctable error, and
// that only if advisory errors are not masked, as they are after power-on.
TEST(error_message, of_an_unsupported_read_is_advisory) {
  adapter_rig g;
  EXPECT_EQ(g.read(US_BAR0_SIZE), 0xffffffffu);
  EXPECT_EQ(of(g), nothing);
  EXPECT_EQ(device_status(g), config_space::correctable_detected | config_space::unsupported_detected);
  g.cfg_write(config_space::aer_correctable_mask, 0);
  EXPECT_EQ(g.read(US_BAR0_SIZE), 0xffffffffu);
  EXPECT_EQ(of(g), (received{1, 0, 0}));
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_unsupported_request);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_cor);
  EXPECT_EQ(port_word(g.port, port_aer_source), std::uint32_t{adapter_requester_id});
  clear_bits(g, config_space::device_control, config_space::signal_correctable);
  g.read(US_BAR0_SIZE);
  EXPECT_EQ(of(g), (received{1, 0, 0})) << "not enabled";
  set_bits(g, config_space::device_control, config_space::signal_correctable);
  set_bits(g, config_space::aer_severity, config_space::aer_unsupported_request);
  g.read(US_BAR0_SIZE);
  EXPECT_EQ(of(g), (received{1, 0, 1})) << "a fatal one is none";
}

// PCIe 7.8.4.10: who was first, and that there were more, until software clears it.
TEST(root_error_status, tells_the_first_error_from_more_and_is_cleared_by_ones) {
  pcie_config bus;
  bus.dpc = false;
  adapter_rig g({}, 64, 64, bus);
  g.cfg_write(config_space::aer_correctable_mask, 0);
  set_bits(g, config_space::aer_severity, config_space::aer_poisoned);
  g.read(US_BAR0_SIZE);
  g.read(US_BAR0_SIZE);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_cor | root_more_cor);
  write_outside(g);
  write_poisoned(g);
  EXPECT_EQ(of(g), (received{2, 1, 1}));
  constexpr std::uint32_t all =
      root_cor | root_more_cor | root_uncor | root_more_uncor | root_nonfatal | root_fatal;
  EXPECT_EQ(port_word(g.port, port_aer_root_status), all) << "the first was not the fatal one";
  g.port.port_cfg_write(port_aer_root_status, root_more_cor | root_uncor | root_more_uncor | root_fatal);
  g.run(2_us);
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_cor | root_nonfatal);
  write_poisoned(g);
  EXPECT_EQ(port_word(g.port, port_aer_root_status),
            root_cor | root_nonfatal | root_uncor | root_first_fatal | root_fatal);
}

// Reads of the adapter's own that failed.
TEST(error_message, is_sent_for_a_read_that_came_poisoned_and_for_one_that_nobody_answered) {
  adapter_config config;
  config.dma.completion_timeout = 100_us;
  adapter_rig g(config);
  g.bring_up();
  EXPECT_EQ(of(g), nothing) << "no error, no message";
  g.post_address();
  g.port.poison_next_read();
  g.ring();
  EXPECT_EQ(of(g), (received{0, 1, 0}));
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), config_space::aer_poisoned);
  const auto again = [&] {
    g.write(US_REG_CONTROL, US_CONTROL_RESET);
    g.start_over();
    g.post_address();
  };
  again();
  g.port.abort_next_read();
  g.ring();
  EXPECT_EQ(g.port.counters().aborted, 1u);
  EXPECT_EQ(of(g), (received{0, 1, 0})) << "a Completer Abort is its completer's error";
  again();
  g.port.on_link_down({});  // an adapter that does not reset with its link waits in vain
  const std::uint64_t before = g.dev.dma.counters().requests;
  g.ring(0);
  ASSERT_TRUE(g.run_until([&] { return g.dev.dma.counters().requests != before; }, 10_ns));
  g.port.set_link_up(false);
  g.port.set_link_up(true);
  g.run(50_us);
  EXPECT_EQ(of(g), (received{0, 1, 0}));
  g.run(60_us);
  EXPECT_EQ(of(g), (received{0, 2, 0}));
  EXPECT_TRUE(g.cfg_read(config_space::aer_uncorrectable) & config_space::aer_completion_timeout);
}

// PCIe 2.3.2, 6.2.3.2.4.5: an answer to a read that has timed out, or that a reset has forgotten. Advisory:
// masked after power-on.
class unexpected_completion : public testing::TestWithParam<bool> {
 protected:
  // A read that nobody waits for when its answer comes, after a reset or the time-out: 10 us before that.
  void begin() {
    g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
    frame_ref in = frame_ref::make(64);
    g.dev.dma.read(iova{g.heartbeat.iova}, 64, in.data(), in, [](bool) {});
    g.run(5_us);
    if (GetParam()) g.write(US_REG_CONTROL, US_CONTROL_RESET);
    g.run(105_us);
  }
  void read() {
    const std::uint64_t before = g.dev.dma.counters().unexpected;
    begin();
    EXPECT_EQ(g.dev.dma.counters().unexpected, before);
    g.run(30_us);
    EXPECT_EQ(g.dev.dma.counters().unexpected, before + 1);
  }
  // What the reads that timed out have reported.
  const std::uint32_t timeouts = GetParam() ? 0 : config_space::aer_completion_timeout;
  const std::uint64_t nonfatal = GetParam() ? 0 : 1;
  adapter_rig g{times_out_after(100_us), 64, 64, answers_after(120_us)};
};

TEST_P(unexpected_completion, is_advisory) {
  read();
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable), config_space::aer_advisory);
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), timeouts);
  EXPECT_EQ(of(g), (received{0, nonfatal, 0}));
  g.cfg_write(config_space::aer_correctable_mask, 0);
  read();
  EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), timeouts | config_space::aer_unexpected_completion);
  EXPECT_EQ(of(g), (received{1, 2 * nonfatal, 0}));
  EXPECT_TRUE(device_status(g) & config_space::correctable_detected);
  EXPECT_FALSE(device_status(g) & config_space::unsupported_detected);
}

TEST_P(unexpected_completion, is_fatal_where_severity_says_so) {
  set_bits(g, config_space::aer_severity, config_space::aer_unexpected_completion);
  read();
  EXPECT_EQ(of(g), (received{0, nonfatal, 1}));
}

TEST_P(unexpected_completion, is_nothing_to_an_adapter_that_is_dead) {
  g.cfg_write(config_space::aer_correctable_mask, 0);
  begin();
  g.dev.kill();
  g.run(30_us);
  EXPECT_EQ(g.dev.dma.counters().unexpected, 1u);
  EXPECT_EQ(of(g), (received{0, nonfatal, 0}));
}
INSTANTIATE_TEST_SUITE_P(after, unexpected_completion, testing::Bool(),
                         [](const auto& p) { return p.param ? "a_reset" : "a_timeout"; });

// ---------------------------------------------------------------- errors of the link

// What the adapter's end finds of TLPs in both directions (PCIe 3.6): one error each, of a TLP that goes when
// the link is idle.
struct link_error_case {
  const char* name;
  std::uint32_t bit;
  void (*cause)(adapter_rig& g);
};
void PrintTo(const link_error_case& c, std::ostream* out) {
  *out << c.name;
}
void write_to_host(adapter_rig& g) {
  const std::uint8_t bytes[8] = {};
  g.dev.dma.write_small(iova{g.heartbeat.iova}, bytes);
  g.run(100_us);
}
const link_error_case found_by_the_adapter[] = {
    {"bad_tlp", aer_bad_tlp,
     [](adapter_rig& g) {
       g.port.break_tlps(false, 1);
       g.write(US_REG_EPOCH, 1);
     }},
    {"bad_nak", aer_bad_dllp | aer_replay_timeout,
     [](adapter_rig& g) {
       g.port.break_tlps(true, 1);
       g.port.lose_dllps(pcie_port::dllp::nak, 1);
       write_to_host(g);
     }},
    {"bad_update", aer_bad_dllp,
     [](adapter_rig& g) {
       g.port.lose_dllps(pcie_port::dllp::update_fc, 1);
       write_to_host(g);
     }},
    {"rollover", aer_replay_rollover,
     [](adapter_rig& g) {
       g.port.break_tlps(true, 4);
       write_to_host(g);
     }},
};
class link_error_of : public testing::TestWithParam<link_error_case> {
 protected:
  link_error_of() { g.cfg_write(config_space::command, 0x2 | config_space::bus_master_bit); }
  void expect_logged() {
    EXPECT_EQ(g.cfg_read(config_space::aer_correctable), GetParam().bit);
    EXPECT_EQ(g.cfg_read(config_space::aer_uncorrectable), 0u);
    EXPECT_EQ(device_status(g), config_space::correctable_detected);
  }
  adapter_rig g;
};

TEST_P(link_error_of, the_adapter_is_logged_there_and_signalled) {
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable), 0u);
  GetParam().cause(g);
  expect_logged();
  EXPECT_EQ(of(g), (received{1, 0, 0})) << "REPLAY_TIMER expires while the first one is on its way";
  EXPECT_EQ(port_word(g.port, port_aer_root_status), root_cor);
  EXPECT_EQ(port_word(g.port, port_aer_correctable) & ~aer_bad_tlp, 0u);
  g.cfg_write(config_space::aer_correctable, GetParam().bit);
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable), 0u) << "write 1 to clear";
}

TEST_P(link_error_of, the_adapter_that_is_masked_is_logged_alone) {
  g.cfg_write(config_space::aer_correctable_mask, GetParam().bit);
  GetParam().cause(g);
  expect_logged();
  EXPECT_EQ(of(g), nothing);
}

TEST_P(link_error_of, the_adapter_that_device_control_does_not_enable_is_logged_alone) {
  clear_bits(g, config_space::device_control, config_space::signal_correctable);
  GetParam().cause(g);
  expect_logged();
  EXPECT_EQ(of(g), nothing);
}
INSTANTIATE_TEST_SUITE_P(of, link_error_of, testing::ValuesIn(found_by_the_adapter),
                         [](const auto& p) { return std::string(p.param.name); });

// The port's own are no business of the adapter's.
TEST(error_message, is_not_sent_for_what_the_port_has_found) {
  adapter_rig g;
  g.cfg_write(config_space::aer_correctable_mask, aer_bad_tlp);
  g.port.break_tlps(false, 4);
  g.port.lose_dllps(pcie_port::dllp::nak, 1);
  g.write(US_REG_EPOCH, 1);
  g.run(100_us);
  EXPECT_EQ(port_word(g.port, port_aer_correctable), aer_bad_dllp | aer_replay_timeout | aer_replay_rollover);
  EXPECT_EQ(g.cfg_read(config_space::aer_correctable), aer_bad_tlp);
  EXPECT_EQ(of(g), nothing);
}

TEST(error_message, of_an_adapter_that_is_dead_is_not_sent) {
  adapter_rig g;
  g.run(1_us);
  g.dev.kill();
  g.port.break_tlps(false, 1);
  g.write(US_REG_EPOCH, 1);
  g.run(100_us);
  EXPECT_EQ(g.port.counters().lcrc_errors, 1u);
  EXPECT_EQ(of(g), nothing);
}

TEST(error_message, is_lost_with_the_link) {
  adapter_rig g;
  g.run(1_us);
  const std::uint64_t lost = g.port.counters().dropped;
  g.port.set_link_up(false);
  g.port.send_error_message(error_message::non_fatal);
  g.run(5_us);
  EXPECT_EQ(of(g), nothing);
  EXPECT_EQ(g.port.counters().dropped, lost + 1);
}

}  // namespace
}  // namespace understudy::tb
