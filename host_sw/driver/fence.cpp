#include "host_sw/driver/fence.h"

#include "host_sw/hal/pci_config.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {
namespace {

// Status bits of the command word are write-one-to-clear: they are written as 0.
constexpr std::uint32_t command_bits = 0xffff;

// An adapter that does not answer the first read is not asked again: each question costs a completion
// time-out.
bool clear_bus_master(hal& h, unsigned adapter) {
  const std::uint32_t command = h.cfg_read32(adapter, pci_command);
  if (command == all_ones) return false;
  h.cfg_write32(adapter, pci_command, command & command_bits & ~pci_command_bus_master);
  // It may still send frames, into a port that is down; a reset ends that too. The read behind cannot pass
  // the write.
  h.mmio_write32(adapter, US_REG_CONTROL, US_CONTROL_RESET);
  const std::uint32_t after = h.cfg_read32(adapter, pci_command);
  return after != all_ones && !(after & pci_command_bus_master);
}

bool disable_link(hal& h, unsigned adapter) {
  const auto read = [&](std::uint32_t offset) { return h.port_cfg_read32(adapter, offset); };
  const std::uint32_t express = pci_find_capability(read, pci_cap_express);
  if (!express) return false;
  const std::uint32_t at = express + pci_express_link_control;
  const std::uint32_t control = read(at);
  if (control == all_ones) return false;
  h.port_cfg_write32(adapter, at, (control & command_bits) | pci_link_control_disable);
  const std::uint32_t after = read(at);
  return after != all_ones && (after & pci_link_control_disable);
}

}  // namespace

fence_result fence(hal& h, unsigned adapter) {
  if (clear_bus_master(h, adapter)) return fence_result::bus_master;
  if (disable_link(h, adapter)) return fence_result::link;
  if (h.dma_revoke(adapter)) return fence_result::mappings;
  return fence_result::failed;
}

}  // namespace understudy::host
