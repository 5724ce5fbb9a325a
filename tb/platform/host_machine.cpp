#include "tb/platform/host_machine.h"

#include <utility>

namespace understudy::tb {

host_machine::host_machine(const sc_core::sc_module_name& name, const host_costs& costs, host_memory& memory,
                           std::vector<pcie_port*> ports, l2_switch* fabric,
                           std::vector<unsigned> switch_ports, recovery_watcher* watcher)
    : sc_module(name),
      costs_(costs),
      memory_(memory),
      ports_(std::move(ports)),
      fabric_(fabric),
      switch_ports_(std::move(switch_ports)),
      watcher_(watcher),
      handlers_(ports_.size() * vectors) {
  SC_HAS_PROCESS(host_machine);
  SC_THREAD(cpu);
  for (std::size_t a = 0; a < ports_.size(); ++a) {
    ports_[a]->on_interrupt([this, a](std::uint64_t address, std::uint32_t data) {
      const std::uint64_t expected = pcie_port::msi_base + a * 0x1000;
      if (address != expected || data >= vectors) return;  // nobody is there: a stray message
      const vector_handler v = handlers_[a * vectors + data];
      if (!v.call) return;
      post([this, v] {
        used_ += costs_.irq_entry;
        v.call(v.context);
      });
    });
  }
}

void host_machine::post(task t) {
  tasks_.push_back(std::move(t));
  if (tasks_.size() == 1) in_step([this] { work_.notify(sc_core::SC_ZERO_TIME); });
}

void host_machine::post_at(picos at, task t) {
  std::uint32_t slot;
  if (free_later_.empty()) {
    slot = static_cast<std::uint32_t>(later_.size());
    later_.emplace_back();
  } else {
    slot = free_later_.back();
    free_later_.pop_back();
  }
  later_[slot] = std::move(t);
  agenda_.at(at, [this, slot] {
    free_later_.push_back(slot);
    post(std::move(later_[slot]));
  });
}

void host_machine::cpu() {
  for (;;) {
    while (tasks_.empty()) wait(work_);
    task t = tasks_.pop_front();
    t();
    settle();
  }
}

// Let the time pass that the running task has used.
void host_machine::settle() {
  if (used_ == 0) return;
  agenda_.wait_for(std::exchange(used_, 0), used_up_);
}

template <typename Start>
std::uint32_t host_machine::blocking(Start start) {
  settle();
  answer_pending_ = true;
  start([this](std::uint32_t value) {
    answer_ = value;
    answer_pending_ = false;
    in_step([this] { answered_.notify(sc_core::SC_ZERO_TIME); });
  });
  while (answer_pending_) wait(answered_);
  return answer_;
}

std::uint32_t host_machine::mmio_read32(unsigned adapter, std::uint32_t offset) {
  return blocking([&](pcie_port::host_done done) { ports_[adapter]->mmio_read(offset, std::move(done)); });
}

void host_machine::mmio_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) {
  used_ += costs_.mmio_write;
  ports_[adapter]->mmio_write(offset, value, used_);
}

std::uint32_t host_machine::cfg_read32(unsigned adapter, std::uint32_t offset) {
  return blocking([&](pcie_port::host_done done) { ports_[adapter]->cfg_read(offset, std::move(done)); });
}

void host_machine::cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) {
  blocking([&](pcie_port::host_done done) { ports_[adapter]->cfg_write(offset, value, 0, std::move(done)); });
}

std::uint32_t host_machine::port_cfg_read32(unsigned adapter, std::uint32_t offset) {
  return blocking(
      [&](pcie_port::host_done done) { ports_[adapter]->port_cfg_read(offset, std::move(done)); });
}

void host_machine::port_cfg_write32(unsigned adapter, std::uint32_t offset, std::uint32_t value) {
  blocking(
      [&](pcie_port::host_done done) { ports_[adapter]->port_cfg_write(offset, value, 0, std::move(done)); });
}

host::dma_region host_machine::dma_alloc(std::size_t bytes) {
  const auto r = memory_.allocate(bytes, bytes >= 4096 ? 4096 : 64);
  if (r.cpu)
    for (pcie_port* p : ports_) p->translation().map(r.iova, bytes);
  return {r.cpu, r.iova, bytes};
}

void host_machine::dma_free(const host::dma_region& region) {
  if (!memory_.release(region.iova)) return;
  for (pcie_port* p : ports_) p->translation().unmap(region.iova, region.bytes);
}

void host_machine::dma_map(unsigned adapter, std::uint64_t iova, std::size_t bytes) {
  ports_[adapter]->translation().map(iova, bytes);
}

void host_machine::dma_unmap(unsigned adapter, std::uint64_t iova, std::size_t bytes) {
  ports_[adapter]->translation().unmap(iova, bytes);
}

void host_machine::cpu_wrote(std::uint64_t iova, std::size_t bytes) {
  for (pcie_port* p : ports_) p->cache().core_holds(iova, bytes);
}

bool host_machine::dma_revoke(unsigned adapter) {
  return blocking([&](pcie_port::host_done done) { ports_[adapter]->revoke_dma(0, std::move(done)); }) == 0;
}

host::hal::msi_target host_machine::irq_attach(unsigned adapter, unsigned vector, handler h, void* context) {
  handlers_.at(adapter * vectors + vector) = {h, context};
  return {pcie_port::msi_base + adapter * 0x1000, vector};
}

std::uint64_t host_machine::timer_start(std::uint64_t ns, handler h, void* context) {
  std::uint32_t slot;
  if (free_timers_.empty()) {
    slot = static_cast<std::uint32_t>(timers_.size());
    timers_.emplace_back();
  } else {
    slot = free_timers_.back();
    free_timers_.pop_back();
  }
  timer& t = timers_[slot];
  t.call = h;
  t.context = context;
  const std::uint64_t name = static_cast<std::uint64_t>(++t.generation) << 32 | slot;
  post_at(cpu_now() + ns * 1_ns, [this, name] { fire(name); });
  return name;
}

void host_machine::timer_stop(std::uint64_t name) {
  const auto slot = static_cast<std::uint32_t>(name);
  if (slot >= timers_.size() || timers_[slot].generation != name >> 32 || !timers_[slot].call) return;
  timers_[slot].call = nullptr;
  free_timers_.push_back(slot);
}

void host_machine::fire(std::uint64_t name) {
  const auto slot = static_cast<std::uint32_t>(name);
  timer& t = timers_[slot];
  if (t.generation != name >> 32 || !t.call) return;
  const handler h = std::exchange(t.call, nullptr);
  void* context = t.context;
  free_timers_.push_back(slot);
  h(context);
}

void host_machine::spend(host::work kind, std::uint64_t amount) {
  switch (kind) {
    case host::work::copy_bytes:
      used_ += amount * costs_.copy_per_byte;
      break;
    case host::work::read_cold_record:
      used_ += amount * costs_.cold_record;
      break;
    case host::work::write_descriptor:
      used_ += amount * costs_.descriptor;
      break;
    case host::work::socket_call:
      used_ += amount * costs_.socket_call;
      break;
    case host::work::restore_connection:
      used_ += amount * costs_.restore_connection;
      break;
  }
}

void host_machine::port_down_and_hold(unsigned adapter) {
  settle();
  if (fabric_) fabric_->port_down_and_hold(switch_ports_[adapter]);
}

void host_machine::port_release(unsigned from_adapter, unsigned to_adapter) {
  settle();
  if (fabric_) fabric_->release(switch_ports_[from_adapter], switch_ports_[to_adapter]);
}

void host_machine::note_recovery(unsigned from_adapter, unsigned to_adapter, unsigned state) {
  if (watcher_) watcher_->on_recovery(from_adapter, to_adapter, state, cpu_now());
}

}  // namespace understudy::tb
