// A host: memory, one CPU, and the in-process HAL over which the driver reaches its adapters.
#pragma once
#include <cstdint>
#include <systemc>
#include <vector>

#include "host_sw/hal/hal.h"
#include "model/core/fifo.h"
#include "model/core/inplace_function.h"
#include "model/core/units.h"
#include "model/net/l2_switch.h"
#include "model/pcie/host_memory.h"
#include "model/pcie/pcie_port.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

// What host CPU work costs in simulated time. Sources: `understudy describe params`, group host.
struct host_costs {
  picos mmio_write = 100_ns;  // posted store to a device, until the CPU goes on
  picos cold_record = 90_ns;  // a 64-byte line that a device has written
  picos copy_per_byte = 100_ps;
  picos irq_entry = 1_us;    // from the message to the handler's first instruction
  picos descriptor = 30_ns;  // 64 bytes composed and stored
  picos socket_call = 150_ns;
  picos restore_connection = 500_ns;
};

// Hears of the recovery's steps.
class recovery_watcher {
 public:
  virtual ~recovery_watcher() = default;
  virtual void on_recovery(unsigned from, unsigned to, unsigned state, picos at) = 0;
};

// The CPU runs tasks one after the other; each takes the time that its spend() calls and register accesses
// add up to. Its effects on memory are instantaneous at its start, its doorbells leave when the CPU has got
// that far.
class host_machine : public sc_core::sc_module, public host::hal {
 public:
  using task = inplace_function<void(), 48>;

  // `ports[i]` is the port above adapter i; `fabric` the switch on whose port `switch_ports[i]` adapter i
  // hangs (null: none).
  host_machine(const sc_core::sc_module_name& name, const host_costs& costs, host_memory& memory,
               std::vector<pcie_port*> ports, l2_switch* fabric, std::vector<unsigned> switch_ports,
               recovery_watcher* watcher);

  // Have the CPU run `t`, after what waits already.
  void post(task t);
  // The same at instant `at`.
  void post_at(picos at, task t);
  // Instant that the CPU has reached: time now plus what the running task has used.
  picos cpu_now() const { return now_ps() + used_; }

  // ---- hal
  unsigned adapters() const override { return static_cast<unsigned>(ports_.size()); }
  std::uint32_t mmio_read32(unsigned adapter, std::uint32_t offset) override;
  void mmio_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) override;
  std::uint32_t cfg_read32(unsigned adapter, std::uint32_t offset) override;
  void cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) override;
  std::uint32_t port_cfg_read32(unsigned adapter, std::uint32_t offset) override;
  void port_cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) override;
  host::dma_region dma_alloc(std::size_t bytes) override;
  void dma_free(const host::dma_region& region) override;
  void dma_map(unsigned adapter, std::uint64_t iova, std::size_t bytes) override;
  void dma_unmap(unsigned adapter, std::uint64_t iova, std::size_t bytes) override;
  void cpu_wrote(std::uint64_t iova, std::size_t bytes) override;
  bool dma_revoke(unsigned adapter) override;
  msi_target irq_attach(unsigned adapter, unsigned vector, handler h, void* context) override;
  std::uint64_t now_ns() override { return cpu_now() / 1_ns; }
  std::uint64_t timer_start(std::uint64_t ns, handler h, void* context) override;
  void timer_stop(std::uint64_t timer) override;
  void spend(host::work kind, std::uint64_t amount) override;
  void port_down_and_hold(unsigned adapter) override;
  void port_release(unsigned from_adapter, unsigned to_adapter) override;
  void note_recovery(unsigned from_adapter, unsigned to_adapter, unsigned state) override;

 private:
  struct vector_handler {
    handler call = nullptr;
    void* context = nullptr;
  };
  struct timer {
    handler call = nullptr;
    void* context = nullptr;
    std::uint32_t generation = 0;
  };
  static constexpr unsigned vectors = 8;

  void cpu();
  void settle();
  // Issue a read by `start(done)` and block the CPU until it is answered.
  template <typename Start>
  std::uint32_t blocking(Start start);
  void fire(std::uint64_t name);

  const host_costs costs_;
  host_memory& memory_;
  std::vector<pcie_port*> ports_;
  l2_switch* fabric_;
  std::vector<unsigned> switch_ports_;
  recovery_watcher* watcher_;
  std::vector<vector_handler> handlers_;
  fifo<task> tasks_;
  std::vector<task> later_;  // of post_at
  std::vector<std::uint32_t> free_later_;
  std::vector<timer> timers_;
  std::vector<std::uint32_t> free_timers_;
  agenda agenda_;
  sc_core::sc_event work_{"work"};
  sc_core::sc_event answered_{"answered"};
  sc_core::sc_event used_up_{"used_up"};
  bool answer_pending_ = false;
  std::uint32_t answer_ = 0;
  picos used_ = 0;
};

}  // namespace understudy::tb
