#include "tb/pcie_bench/bench.h"

#include <tlm_utils/simple_target_socket.h>

#include <algorithm>

#include "model/core/event_log.h"
#include "model/pcie/host_memory.h"
#include "tb/report/percentile.h"

namespace understudy::tb {

namespace {

constexpr std::uint64_t memory_bytes = 4ull << 30;
constexpr std::uint32_t line = 64;
constexpr std::uint32_t largest_command = 64;  // bytes that the direct command interface moves

// Registers that nobody reads: the port wants its sockets bound.
struct silent_registers : sc_core::sc_module {
  tlm_utils::simple_target_socket<silent_registers> mmio{"mmio"}, cfg{"cfg"};
  explicit silent_registers(const sc_core::sc_module_name& name) : sc_module(name) {
    mmio.register_b_transport(this, &silent_registers::answer);
    cfg.register_b_transport(this, &silent_registers::answer);
  }
  void answer(tlm::tlm_generic_payload& p, sc_core::sc_time&) {
    p.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
  }
};

latency_row summary(const std::string& test, std::uint32_t size, const std::vector<picos>& samples) {
  const auto ns = [&](std::size_t per_mille) {
    return static_cast<double>(percentile(samples, per_mille)) / 1000;
  };
  return {test, size, ns(500), ns(950), ns(999)};
}

}  // namespace

std::uint32_t place_bytes(std::uint32_t size, bool ideal) {
  const std::uint32_t unit = ideal ? 4096 : line;
  return (size + unit - 1) / unit * unit;
}

bench_plan data_set_plan() {
  bench_plan p;
  p.bandwidth_sizes = {16,   32,   63,   64,   65,   127,  128,  129,  192,  255,  256,  257, 320,  384,
                       511,  512,  513,  576,  640,  704,  767,  768,  769,  832,  896,  960, 1023, 1024,
                       1025, 1279, 1280, 1281, 1535, 1536, 1537, 1791, 1792, 1793, 2047, 2048};
  p.latency_sizes = {4, 8, 16, 24, 32, 48, 64, 128, 256, 512, 768, 1024, 1280, 1520, 2048};
  p.command_sizes = {4, 8, 16, 24, 32, 48, 64};
  return p;
}

bench_plan plan_of(const std::vector<std::uint32_t>& sizes) {
  bench_plan p;
  p.bandwidth_sizes = p.latency_sizes = sizes;
  for (const std::uint32_t s : sizes)
    if (s <= largest_command) p.command_sizes.push_back(s);
  return p;
}

pcie_config ideal_bus(const link_parameters& link) {
  pcie_config c;
  c.link = link;
  c.ideal = true;
  c.propagation = c.read_latency = c.write_latency = c.mmio_latency = 0;
  return c;
}

struct bench::step {
  std::string name;
  card_job job;
  std::uint64_t window = 0;  // as the plan has it
};

struct bench::parts {
  parts(const std::string& name, const pcie_config& bus, const card_parameters& card)
      : memory(memory_bytes),
        port((name + "_port").c_str(), bus, memory, log, 0),
        registers((name + "_registers").c_str()),
        device((name + "_card").c_str(), card, bus.link, bus.seed) {
    device.socket.bind(port.dma);
    port.mmio.bind(registers.mmio);
    port.cfg.bind(registers.cfg);
  }
  host_memory memory;
  event_log log;
  pcie_port port;
  silent_registers registers;
  bench_card device;
  agenda later;
};

bench::bench(const std::string& name, const pcie_config& bus, const card_parameters& card,
             const bench_plan& plan)
    : parts_(std::make_unique<parts>(name, bus, card)) {
  const std::pair<const char*, card_test> rates[] = {{"BW_DMA_RD", card_test::dma_read_bandwidth},
                                                     {"BW_DMA_WR", card_test::dma_write_bandwidth},
                                                     {"BW_DMA_RW", card_test::dma_both_bandwidth}};
  const std::pair<const char*, card_test> times[] = {{"LAT_DMA_RD", card_test::dma_read_latency},
                                                     {"LAT_DMA_WRRD", card_test::dma_write_read_latency},
                                                     {"LAT_CMD_RD", card_test::command_read_latency},
                                                     {"LAT_CMD_WRRD", card_test::command_write_read_latency}};
  const auto add = [&](const char* test_name, card_test test, std::uint32_t size, std::uint64_t window,
                       std::uint32_t count) {
    card_job j;
    j.test = test;
    j.size = size;
    j.stride = place_bytes(size, bus.ideal);
    j.window = std::max<std::uint64_t>(window, j.stride);
    j.count = count;
    steps_.push_back({test_name, j, window});
  };
  for (const auto& [test_name, test] : rates)
    for (const std::uint64_t window : plan.windows)
      for (const std::uint32_t size : plan.bandwidth_sizes)
        add(test_name, test, size, window, plan.transfers);
  for (const auto& [test_name, test] : times) {
    const bool dma = test <= card_test::dma_write_read_latency;
    for (const std::uint32_t size : dma ? plan.latency_sizes : plan.command_sizes)
      add(test_name, test, size, bench_plan::default_window, plan.samples);
  }
  std::uint64_t largest = 0;
  for (const step& s : steps_) largest = std::max(largest, s.job.window);
  if (largest == 0) return;
  const auto region = parts_->memory.allocate(largest, 4096);
  parts_->port.translation().map(region.iova, largest);
  for (step& s : steps_) s.job.base = region.iova;
}

bench::~bench() = default;

void bench::next() {
  if (at_ == steps_.size()) return;
  const card_job job = steps_[at_].job;
  parts_->port.cache().core_holds(job.base, job.window);
  parts_->device.run(job, [this](const card_result& r) {
    const step& s = steps_[at_++];
    if (r.latency.empty())
      results_.bandwidth.push_back({s.name, s.job.size, s.window, r.bits_per_second / 1e9});
    else
      results_.latency.push_back(summary(s.name, s.job.size, r.latency));
    parts_->later.in(1_us, [this] { next(); });
  });
}

void bench::run(const std::vector<bench*>& benches) {
  for (bench* b : benches) b->parts_->later.in(1_us, [b] { b->next(); });
  sc_core::sc_start();
}

}  // namespace understudy::tb
