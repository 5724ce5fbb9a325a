// A loosely timed initiator: b_transport from a thread, transfers of any length.
#include <gtest/gtest.h>

#include <functional>

#include "tb/test/pcie/card.h"

using namespace understudy;
using namespace understudy::tb;

namespace {

class loosely_timed : public sc_core::sc_module {
 public:
  explicit loosely_timed(const sc_core::sc_module_name& name) : sc_module(name) { SC_THREAD(thread); }
  SC_HAS_PROCESS(loosely_timed);
  tlm_utils::simple_initiator_socket<loosely_timed> socket{"socket"};
  std::function<void()> script;
  bool done = false;

  tlm::tlm_response_status transfer(tlm::tlm_command c, std::uint64_t address, std::uint8_t* data,
                                    std::uint32_t length, sc_core::sc_time& t) {
    tlm::tlm_generic_payload p;
    p.set_command(c);
    p.set_address(address);
    p.set_data_ptr(data);
    p.set_data_length(length);
    p.set_streaming_width(length);
    socket->b_transport(p, t);
    return p.get_response_status();
  }

 private:
  void thread() {
    script();
    done = true;
  }
};

struct blocking_bench {
  host_memory memory;
  event_log log;
  recorder record;
  loosely_timed cpu{"cpu"};
  registers bar{"bar"}, space{"space"};
  protocol_checker check{"check"};
  pcie_port port{"port", {}, memory, log, 0};
  host_memory::region m = memory.allocate(16384, 4096);
  blocking_bench() {
    log.subscribe(&record);
    cpu.socket.bind(check.target);
    check.initiator.bind(port.dma);
    port.mmio.bind(bar.socket);
    port.cfg.bind(space.socket);
  }
  void run() {
    pass_time(200_us);
    EXPECT_TRUE(cpu.done);
    EXPECT_TRUE(port.quiet());
  }
};

}  // namespace

TEST(pcie_blocking, transfers_of_any_length_are_split_as_the_link_demands) {
  blocking_bench b;
  b.cpu.script = [&] {
    std::uint8_t data[2000];
    for (unsigned i = 0; i < sizeof data; ++i) data[i] = static_cast<std::uint8_t>(i);
    sc_core::sc_time t = to_sc(5_ns);
    EXPECT_EQ(b.cpu.transfer(tlm::TLM_WRITE_COMMAND, b.m.iova + 4000, data, 2000, t), tlm::TLM_OK_RESPONSE);
    EXPECT_GT(t, to_sc(200_ns));  // posted, and the time on the link is annotated
    EXPECT_EQ(now_ps(), 0u);
    EXPECT_EQ(b.m.cpu[4000 + 1999], 0);
    std::uint8_t back[2000] = {};
    EXPECT_EQ(b.cpu.transfer(tlm::TLM_READ_COMMAND, b.m.iova + 4000, back, 2000, t), tlm::TLM_OK_RESPONSE);
    EXPECT_EQ(t, sc_core::SC_ZERO_TIME);
    EXPECT_GT(now_ps(), 600_ns);
    EXPECT_EQ(std::memcmp(data, back, 2000), 0);
  };
  b.run();
  EXPECT_EQ(b.port.counters().writes, 1u + 8u);  // 96 to the page, then 1904 by 256
  EXPECT_EQ(b.port.counters().reads, 1u + 4u);   // 96, then 1904 by 512
  EXPECT_EQ(b.port.counters().read_bytes, 2000u);
}

TEST(pcie_blocking, a_read_that_reaches_out_of_memory_fails) {
  blocking_bench b;
  b.cpu.script = [&] {
    std::uint8_t data[64];
    sc_core::sc_time t;
    EXPECT_EQ(b.cpu.transfer(tlm::TLM_READ_COMMAND, b.m.iova + 16384, data, 64, t),
              tlm::TLM_ADDRESS_ERROR_RESPONSE);
  };
  b.run();
}

TEST(pcie_blocking, a_read_over_a_lost_link_fails_after_the_time_out) {
  blocking_bench b;
  b.cpu.script = [&] {
    std::uint8_t data[2048];
    sc_core::sc_time t;
    b.port.set_link_up(false);
    EXPECT_EQ(b.cpu.transfer(tlm::TLM_READ_COMMAND, b.m.iova, data, 64, t), tlm::TLM_GENERIC_ERROR_RESPONSE);
    EXPECT_EQ(now_ps(), 50_us);
    b.port.set_link_up(true);
    sc_core::wait(to_sc(pcie_config{}.retrain_time + 1));
    t = sc_core::SC_ZERO_TIME;
    EXPECT_EQ(b.cpu.transfer(tlm::TLM_READ_COMMAND, b.m.iova, data, 2048, t), tlm::TLM_OK_RESPONSE);
  };
  b.run();
}

TEST(pcie_blocking, debug_transport_reaches_memory_at_once) {
  blocking_bench b;
  b.cpu.script = [&] {
    tlm::tlm_generic_payload p;
    std::uint8_t data[4] = {1, 2, 3, 4};
    p.set_command(tlm::TLM_WRITE_COMMAND);
    p.set_address(b.m.iova);
    p.set_data_ptr(data);
    p.set_data_length(4);
    EXPECT_EQ(b.cpu.socket->transport_dbg(p), 4u);
    EXPECT_EQ(b.m.cpu[3], 4);
    p.set_address(0);
    EXPECT_EQ(b.cpu.socket->transport_dbg(p), 0u);
  };
  b.run();
}
