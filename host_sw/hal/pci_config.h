// Configuration space words that a driver touches (PCI Express Base, chapter 7).
#pragma once
#include <cstdint>

namespace understudy::host {

inline constexpr std::uint32_t all_ones = 0xffffffffu;  // what a read gives that nobody answers

enum pci_register : std::uint32_t {
  pci_id = 0x00,            // vendor in bits 15:0, device in 31:16
  pci_command = 0x04,       // command in bits 15:0, status in 31:16
  pci_capabilities = 0x34,  // offset of the first capability in bits 7:0
};
inline constexpr std::uint32_t pci_command_memory = 1u << 1;
inline constexpr std::uint32_t pci_command_bus_master = 1u << 2;
inline constexpr std::uint32_t pci_status_capability_list = 1u << 20;

inline constexpr std::uint8_t pci_cap_express = 0x10;
inline constexpr std::uint8_t pci_cap_msix = 0x11;
inline constexpr std::uint32_t pci_express_link_control =
    0x10;  // from the capability; Link Status in bits 31:16
inline constexpr std::uint32_t pci_link_control_disable = 1u << 4;  // Link Disable
inline constexpr std::uint32_t pci_msix_enable = 1u << 31;  // Message Control, in the capability's first word

// Offset of the capability `id`, or 0. `read` is a function from a configuration offset to its word. The
// chain is followed for at most 48 links, whatever it says.
template <typename Read>
std::uint32_t pci_find_capability(Read read, std::uint8_t id) {
  if (read(pci_command) == all_ones) return 0;
  std::uint32_t at = read(pci_capabilities) & 0xfc;
  for (int i = 0; i < 48 && at >= 0x40; ++i) {
    const std::uint32_t word = read(at);
    if (word == all_ones) return 0;
    if ((word & 0xff) == id) return at;
    at = word >> 8 & 0xfc;
  }
  return 0;
}

}  // namespace understudy::host
