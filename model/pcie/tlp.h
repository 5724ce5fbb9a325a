// PCI Express transaction layer packets as numbers: bytes on the wire, address-exact splitting, analytic
// bandwidth.
#pragma once
#include <bit>
#include <cstdint>

#include "model/core/units.h"

namespace understudy {

// What a link is. Symbols as in the PCI Express Base Specification.
struct link_parameters {
  unsigned generation = 3;       // 1 to 5: 2.5, 5, 8, 16, 32 GT/s a lane
  unsigned lanes = 8;            // 1, 2, 4, 8, 12, 16 or 32
  std::uint32_t mps = 256;       // Max_Payload_Size in bytes: power of two, 128 to 4096
  std::uint32_t mrrs = 512;      // Max_Read_Request_Size in bytes: power of two, 128 to 4096
  std::uint32_t rcb = 64;        // Read Completion Boundary in bytes: 64 or 128
  bool completer_chops = false;  // completions end at every RCB rather than at MPS (older root complexes)
  bool address64 =
      true;  // 4-DW headers in the analytic figures; a timed link decides by the address (PCIe 2.2.4.1)
  bool ecrc = false;  // 4-byte end-to-end CRC on every TLP
};

// n for 128 << n bytes: Max_Payload_Size and Max_Read_Request_Size as Device Capabilities and Device Control
// say them (PCIe 7.5.3.3, 7.5.3.4).
constexpr std::uint32_t size_code(std::uint32_t bytes) {
  return static_cast<std::uint32_t>(std::countr_zero(bytes)) - 7;
}

// Tags of a requester without Extended Tag, and with it (PCIe 2.2.6.2).
inline constexpr std::uint32_t tags_of_5_bits = 32, tags_of_8_bits = 256;

enum class tlp_type : std::uint8_t {
  memory_read,
  memory_write,
  config_read,
  config_write,
  completion,  // without data
  completion_data,
  message,  // without data, routed to the root complex
};

// What a function signals to the root complex (PCIe 2.2.8.3); values are message codes.
enum class error_message : std::uint8_t { none = 0, correctable = 0x30, non_fatal = 0x31, fatal = 0x33 };

// Raw rate of one direction after line coding: 8b/10b for generations 1 and 2, 128b/130b from 3 on. Bit/s.
double raw_rate(const link_parameters& p);

// Longest time between two ACK (or UpdateFC) DLLPs that the specification allows, in symbol times
// (PCIe 3.5.3.1 and 2.6.1.2: the same formula for both).
std::uint32_t ack_limit(const link_parameters& p);

// Share of a direction that the ordered sets for clock compensation leave: 4 symbols of every 1538 go.
double skp_share();

// What TLPs can use of a direction when ACKs and UpdateFCs go at their longest interval the whole time,
// whatever the traffic: the worst-case convention of published analytic models. Bit/s.
double tlp_bandwidth(const link_parameters& p);

// Bytes of the whole DWs that `bytes` at `address` lie in: what a TLP carries of them (PCIe 2.2.5).
constexpr std::uint32_t padded_bytes(std::uint64_t address, std::uint32_t bytes) {
  return bytes ? (static_cast<std::uint32_t>(address % 4) + bytes + 3) / 4 * 4 : 0;
}

// Bytes of a TLP on the wire: framing, sequence number and LCRC 8, header 12 or 16 (a message: 16), ECRC 4 if
// the link has it, and `data`: on a link padded_bytes(), in analytic figures the payload alone; 0 for reads,
// messages, and completions without data.
std::uint32_t tlp_wire_bytes(const link_parameters& p, tlp_type type, std::uint32_t data, bool address64);

// Length of the first TLP of a transfer of `bytes` > 0 at `address`; the rest is split by asking again at the
// following address. Its Length, in whole DWs, is at most MPS of a write and MRRS of a read; neither crosses
// 4 KiB (PCIe 2.2.7).
std::uint32_t first_write(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);
std::uint32_t first_read(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);
// Completions end at naturally aligned RCB boundaries or at the end of the read, and carry at most MPS
// (PCIe 2.3.1.1).
std::uint32_t first_completion(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);

// How many TLPs such a split makes; 0 for 0 bytes.
std::uint64_t write_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);
std::uint64_t read_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);
std::uint64_t completion_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes);

// Payload rates of transfers of `bytes` at aligned addresses under tlp_bandwidth(): no padding, no latency,
// no limit of tags or credits. Bit/s. `ideal_both` is the rate of each direction when as many bytes are read
// as written (requests share a direction with the writes).
double ideal_write(const link_parameters& p, std::uint32_t bytes);
double ideal_read(const link_parameters& p, std::uint32_t bytes);
double ideal_both(const link_parameters& p, std::uint32_t bytes);

}  // namespace understudy
