#include "model/adapter/config_space.h"

#include "model/abi/understudy_abi.h"

namespace understudy {

config_space::config_space() {
  set(0x00, US_PCI_DEVICE << 16 | US_PCI_VENDOR, 0);
  set(command, 0x0010'0000, 0x0000'0406);       // capabilities list; memory space, bus master, INTx disable
  set(0x08, 0x0200'0001, 0);                    // class: Ethernet controller; revision 1
  set(bar0, 0x0000'0004, ~(US_BAR0_SIZE - 1));  // 64-bit memory BAR; sizing works by writing all-ones
  set(bar0 + 4, 0, ~0u);
  set(0x2c, US_PCI_DEVICE << 16 | US_PCI_VENDOR, 0);
  set(0x34, pcie_capability, 0);
  set(pcie_capability, 0x0002'0010 | msix_capability << 8, 0);  // PCI Express endpoint, version 2
  set(pcie_capability + 0x04, 0x1000'0001, 0);                  // device: MPS 256, function-level reset
  set(pcie_capability + 0x08, 0x0000'2030, 0x0000'70ff);  // control: MPS 256, MRRS 512, relaxed ordering
  set(msix_capability, 0x0000'0011 | (US_MSIX_VECTORS - 1) << 16, 0xc000'0000);  // enable and function mask
  set(msix_capability + 4, US_MSIX_TABLE, 0);
  set(aer_capability, 0x0001 | 2u << 16, 0);  // Advanced Error Reporting, version 2, end of the list
  set(aer_capability + 0x08, 0, 0x0010'0000 | 0x003f'f030);  // uncorrectable mask
  set(aer_capability + 0x0c, 0x0006'2030, 0x003f'f030);      // severity: the defaults of PCIe 7.8.4.4
  set(aer_capability + 0x14, 0x0000'2000, 0x0000'f1c1);      // correctable mask: advisory errors
  set(msix_capability + 8, US_MSIX_TABLE + US_MSIX_VECTORS * 16, 0);
}

std::uint32_t config_space::read(std::uint32_t offset) const {
  return offset / 4 < value_.size() ? value_[offset / 4] : 0;
}

void config_space::write(std::uint32_t offset, std::uint32_t value) {
  if (offset / 4 >= value_.size()) return;
  offset &= ~3u;
  if (offset == command) value_[offset / 4] &= ~(value & (received_target_abort | received_master_abort));
  if (offset == device_control) value_[offset / 4] &= ~(value & (non_fatal_detected | unsupported_detected));
  if (offset == aer_uncorrectable) value_[offset / 4] &= ~value;
  const std::uint32_t mask = writable_[offset / 4];
  value_[offset / 4] = (value_[offset / 4] & ~mask) | (value & mask);
}

void config_space::set(std::uint32_t offset, std::uint32_t value, std::uint32_t writable) {
  value_[offset / 4] = value;
  writable_[offset / 4] = writable;
}

}  // namespace understudy
