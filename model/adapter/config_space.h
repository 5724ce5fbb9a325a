// PCI configuration space of the adapter: a type 0 header with PCI Express, MSI-X and Advanced Error
// Reporting capabilities (PCI Local Bus 6.1, PCI Express Base 7.5, 7.7, 7.8.4).
#pragma once
#include <array>
#include <cstdint>

#include "model/pcie/tlp.h"

namespace understudy {

// What a function is in its slot, as the firmware of the host has set it up.
struct function_limits {
  unsigned generation = 3, lanes = 8;   // of the link, at most
  std::uint32_t mps = 256, mrrs = 512;  // bytes: powers of two, 128 to 4096
  std::uint32_t tags = 64;              // reads outstanding, at most
};

class config_space {
 public:
  static constexpr std::uint32_t bytes = 4096;
  static constexpr std::uint32_t command = 0x04;  // bit 1 memory space, bit 2 bus master
  static constexpr std::uint32_t bus_master_bit = 1u << 2;
  static constexpr std::uint32_t bar0 = 0x10;
  static constexpr std::uint32_t pcie_capability = 0x40;
  static constexpr std::uint32_t device_capabilities = pcie_capability + 0x04;
  static constexpr std::uint32_t device_control = pcie_capability + 0x08;
  static constexpr std::uint32_t link_capabilities = pcie_capability + 0x0c;
  static constexpr std::uint32_t link_control = pcie_capability + 0x10;  // Link Status in bits 31:16
  static constexpr std::uint32_t device_capabilities_2 = pcie_capability + 0x24;
  static constexpr std::uint32_t device_control_2 = pcie_capability + 0x28;
  static constexpr std::uint32_t link_capabilities_2 = pcie_capability + 0x2c;
  static constexpr std::uint32_t initiate_flr = 1u << 15;  // of Device Control; reads as 0 (PCIe 6.6.2)
  static constexpr std::uint32_t enable_relaxed_ordering = 1u << 4;     // of Device Control
  static constexpr unsigned mps_bit = 5, mrrs_bit = 12;                 // fields of Device Control: 128 << n
  static constexpr std::uint32_t enable_extended_tag = 1u << 8;         // of Device Control
  static constexpr std::uint32_t enable_10_bit_tag = 1u << 12;          // of Device Control 2
  static constexpr std::uint32_t disable_completion_timeout = 1u << 4;  // of Device Control 2 (PCIe 7.5.3.16)
  // Of Device Control: which errors are signalled to the root port.
  static constexpr std::uint32_t signal_correctable = 1u << 0, signal_non_fatal = 1u << 1,
                                 signal_fatal = 1u << 2, signal_unsupported = 1u << 3;
  // Of Device Status, the upper half of the dword `device_control`; write 1 to clear.
  static constexpr std::uint32_t correctable_detected = 1u << 16, non_fatal_detected = 1u << 17,
                                 fatal_detected = 1u << 18, unsupported_detected = 1u << 19;
  static constexpr std::uint32_t transactions_pending = 1u << 21;  // of Device Status: read only
  static constexpr std::uint32_t msix_capability = 0x80;
  static constexpr std::uint32_t aer_capability = 0x100;
  static constexpr std::uint32_t aer_uncorrectable = aer_capability + 0x04;  // write 1 to clear
  static constexpr std::uint32_t aer_uncorrectable_mask = aer_capability + 0x08;
  static constexpr std::uint32_t aer_severity = aer_capability + 0x0c;     // 1: fatal
  static constexpr std::uint32_t aer_correctable = aer_capability + 0x10;  // write 1 to clear
  static constexpr std::uint32_t aer_correctable_mask = aer_capability + 0x14;
  static constexpr std::uint32_t aer_advisory = 1u << 13;  // of the correctable ones
  static constexpr std::uint32_t aer_poisoned = 1u << 12, aer_completion_timeout = 1u << 14,
                                 aer_unexpected_completion = 1u << 16, aer_unsupported_request = 1u << 20;
  // Of Status, the upper half of the dword `command`; write 1 to clear.
  static constexpr std::uint32_t received_target_abort = 1u << 28;  // a completion with Completer Abort
  static constexpr std::uint32_t received_master_abort = 1u << 29;  // one with Unsupported Request

  explicit config_space(const function_limits& limits);
  // A function-level reset: the defaults of hardware, which firmware and drivers have changed, but for
  // Max_Payload_Size, Link Control and Status, and AER (PCIe 6.6.2). Whoever resets restores what he had in
  // Device Control and Device Control 2.
  void reset();
  // A hot reset, or the link went down: the defaults of hardware, but for what is sticky: what AER has
  // reported, its masks and its severities (PCIe 2.9.1, 6.6.1, 7.8.4).
  void hot_reset();
  // The link has trained: Link Status (PCIe 7.5.3.8).
  void trained(unsigned generation, unsigned lanes);
  // What Device Control allows now, within the limits: bytes of a write and of a read request, and reads
  // outstanding by the width of a tag, 5, 8 or 10 bits (PCIe 2.2.6.2, 7.5.3.4).
  std::uint32_t mps() const { return 128u << (read(device_control) >> mps_bit & 7); }
  std::uint32_t mrrs() const { return 128u << (read(device_control) >> mrrs_bit & 7); }
  std::uint32_t tags() const;
  bool completion_timeout() const { return !(read(device_control_2) & disable_completion_timeout); }
  // A dword at `offset` (rounded down to 4); 0 beyond the space.
  std::uint32_t read(std::uint32_t offset) const;
  // Writable bits only; the rest keeps its value, and bits of status registers are cleared by a 1.
  void write(std::uint32_t offset, std::uint32_t value);
  bool bus_master() const { return read(command) & bus_master_bit; }
  bool relaxed_ordering() const { return read(device_control) & enable_relaxed_ordering; }
  // An uncorrectable error of AER, one bit: status registers say so, and the message is to be sent that
  // masks, severity and Device Control ask for (PCIe 6.2.5). `advisory`: somebody else deals with it
  // (of an unsupported read, the requester, who is told by a completion), so that the error is a correctable
  // one unless its severity is fatal (PCIe 6.2.3.2.4).
  error_message report_error(std::uint32_t bit, bool advisory);
  // The same of a correctable error, one bit.
  error_message report_correctable(std::uint32_t bit);
  // Bits of a status register become 1.
  void report(std::uint32_t offset, std::uint32_t bits) { value_[offset / 4] |= bits; }
  bool msix_enabled() const { return read(msix_capability) & (1u << 31); }
  bool msix_function_masked() const { return read(msix_capability) & (1u << 30); }

 private:
  void power_on();
  void set_up();
  void keep(const std::array<std::uint32_t, bytes / 4>& before, std::uint32_t offset, std::uint32_t bits);
  void set(std::uint32_t offset, std::uint32_t value, std::uint32_t writable);
  function_limits limits_;
  std::array<std::uint32_t, bytes / 4> value_{};
  std::array<std::uint32_t, bytes / 4> writable_{};
};

}  // namespace understudy
