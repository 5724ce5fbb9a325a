// What a driver needs of the machine it runs on. The driver reaches the adapter through this alone; whoever
// ports the driver (another simulator, a guest kernel) implements these functions.
//
// Driver code runs to completion in one context (no locks): interrupt handlers, timer handlers and calls from
// applications never overlap. mmio_read32 and cfg_read32 block that context for a bus round trip. Handlers
// never run inside another call.
#pragma once
#include <cstddef>
#include <cstdint>

namespace understudy::host {

// Memory that host and adapter both reach. `cpu` is where the CPU sees it, `iova` where the adapter does.
struct dma_region {
  std::uint8_t* cpu = nullptr;
  std::uint64_t iova = 0;
  std::size_t bytes = 0;
};

// Work of the host CPU that costs simulated time (nothing on a real machine).
enum class work : std::uint8_t {
  copy_bytes,         // amount: bytes copied between application and DMA memory
  read_cold_record,   // amount: 64-byte lines read that a device has written
  write_descriptor,   // amount: 64-byte descriptors written
  socket_call,        // amount: calls into the sockets layer
  restore_connection  // amount: connections whose state is rebuilt during a failover
};

class hal {
 public:
  using handler = void (*)(void* context);
  virtual ~hal() = default;

  // Adapters are numbered 0 to adapters() - 1.
  virtual unsigned adapters() const = 0;

  // Registers in BAR 0. A read that nobody answers gives all-ones after the bus's time-out; a write is
  // posted.
  virtual std::uint32_t mmio_read32(unsigned adapter, std::uint32_t offset) = 0;
  virtual void mmio_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) = 0;
  // Configuration space of the adapter / of the bridge port above it (PCI Express Base, chapter 7).
  virtual std::uint32_t cfg_read32(unsigned adapter, std::uint32_t offset) = 0;
  virtual void cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) = 0;
  virtual std::uint32_t port_cfg_read32(unsigned adapter, std::uint32_t offset) = 0;
  virtual void port_cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) = 0;

  // Zeroed memory, aligned to at least 64 bytes (page-aligned from 4096 bytes on); cpu is null if there is
  // none left. Every adapter may reach it until it is freed: with an IOMMU it is mapped for each, and what is
  // not mapped no adapter reaches.
  virtual dma_region dma_alloc(std::size_t bytes) = 0;
  virtual void dma_free(const dma_region& region) = 0;
  // Let `adapter` reach bytes that dma_alloc() has not given, wherever they lie, until dma_unmap() with the
  // same numbers. Without an IOMMU neither has an effect.
  virtual void dma_map(unsigned adapter, std::uint64_t iova, std::size_t bytes) = 0;
  virtual void dma_unmap(unsigned adapter, std::uint64_t iova, std::size_t bytes) = 0;
  // The CPU has just written these bytes of DMA memory, for an adapter to read. For models of where the lines
  // lie and what a DMA read of them takes; nothing on a real machine.
  virtual void cpu_wrote(std::uint64_t iova, std::size_t bytes) {
    (void)iova;
    (void)bytes;
  }
  // Take every mapping from `adapter`, for good, and wait for an invalidation with drain: afterwards nothing
  // of it lands any more, whatever the adapter does. False: there is no IOMMU to do that.
  virtual bool dma_revoke(unsigned adapter) = 0;

  // Where a message-signalled interrupt for `vector` of `adapter` must be written (address, data), and what
  // to call then (null: nothing any more).
  struct msi_target {
    std::uint64_t address;
    std::uint32_t data;
  };
  virtual msi_target irq_attach(unsigned adapter, unsigned vector, handler h, void* context) = 0;

  // Monotonic clock, nanoseconds.
  virtual std::uint64_t now_ns() = 0;
  // Call `h` once, `ns` from now. Returns a name for timer_stop (which is harmless when it has fired).
  virtual std::uint64_t timer_start(std::uint64_t ns, handler h, void* context) = 0;
  virtual void timer_stop(std::uint64_t timer) = 0;

  // Account for CPU work.
  virtual void spend(work kind, std::uint64_t amount) = 0;

  // The switch that the adapters' ports hang on. port_down_and_hold: one act; frames for what was behind the
  // port are held. port_release: held frames go, in order and before new ones, to `to_adapter`'s port.
  virtual void port_down_and_hold(unsigned adapter) = 0;
  virtual void port_release(unsigned from_adapter, unsigned to_adapter) = 0;

  // Progress of a recovery, for whoever watches: state per design (0 ACTIVE, 1 FENCING, 2 BLOCKED, 3
  // DRAINING, 4 REBUILDING, 5 LOADING, 6 IDENTITY, 7 RUNNING). No effect on the machine.
  virtual void note_recovery(unsigned from_adapter, unsigned to_adapter, unsigned state) = 0;
};

}  // namespace understudy::host
