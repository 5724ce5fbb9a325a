#include "model/pcie/tlp.h"

#include <algorithm>

#include "model/core/dma_block.h"

namespace understudy {

namespace {

constexpr std::uint32_t dllp_bytes = 8;      // framing 2, content 4, CRC 2
constexpr std::uint32_t tlp_link_bytes = 8;  // framing, sequence number, LCRC

template <typename First>
std::uint64_t count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes, First first) {
  std::uint64_t n = 0;
  for (; bytes > 0; ++n) {
    const std::uint32_t taken = first(p, address, bytes);
    address += taken;
    bytes -= taken;
  }
  return n;
}

// Wire bytes of an aligned transfer that `pieces` TLPs of one type make.
double wire_total(const link_parameters& p, tlp_type type, double payload, std::uint64_t pieces) {
  return payload + static_cast<double>(pieces) * tlp_wire_bytes(p, type, 0, p.address64);
}

struct directions {
  double requests;     // bytes towards the memory
  double completions;  // bytes from it
};
directions read_wire(const link_parameters& p, std::uint32_t bytes) {
  return {wire_total(p, tlp_type::memory_read, 0, read_count(p, 0, bytes)),
          wire_total(p, tlp_type::completion_data, bytes, completion_count(p, 0, bytes))};
}

}  // namespace

double raw_rate(const link_parameters& p) {
  constexpr double transfers[] = {2.5e9, 5e9, 8e9, 16e9, 32e9};
  const double coding = p.generation <= 2 ? 8.0 / 10.0 : 128.0 / 130.0;
  return transfers[p.generation - 1] * p.lanes * coding;
}

std::uint32_t ack_limit(const link_parameters& p) {
  const std::uint32_t internal_delay = p.generation == 1 ? 19 : p.generation == 2 ? 70 : 115;
  std::uint32_t factor_tenths;
  if (p.mps <= 256)
    factor_tenths = p.lanes <= 4 ? 14 : p.lanes <= 8 ? 25 : 30;
  else
    factor_tenths = p.lanes <= 8 ? 10 : 20;
  return (p.mps + 28) * factor_tenths / (10 * p.lanes) + internal_delay;
}

double skp_share() {
  return 1.0 - 4.0 / 1538.0;
}

double tlp_bandwidth(const link_parameters& p) {
  return raw_rate(p) * (skp_share() - 2.0 * dllp_bytes / ack_limit(p));
}

std::uint32_t tlp_wire_bytes(const link_parameters& p, tlp_type type, std::uint32_t data, bool address64) {
  const bool memory = type == tlp_type::memory_read || type == tlp_type::memory_write;
  const std::uint32_t header = (memory && address64) || type == tlp_type::message ? 16 : 12;
  return tlp_link_bytes + header + data + (p.ecrc ? 4 : 0);
}

std::uint32_t first_write(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  return dma_first_request(address, bytes, p.mps);
}

std::uint32_t first_read(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  return dma_first_request(address, bytes, p.mrrs);
}

std::uint32_t first_completion(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  const std::uint64_t longest = (p.completer_chops ? p.rcb : p.mps) - address % p.rcb;
  return static_cast<std::uint32_t>(std::min(bytes, longest));
}

std::uint64_t write_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  return count(p, address, bytes, first_write);
}

std::uint64_t read_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  return count(p, address, bytes, first_read);
}

std::uint64_t completion_count(const link_parameters& p, std::uint64_t address, std::uint64_t bytes) {
  return count(p, address, bytes, first_completion);
}

double ideal_write(const link_parameters& p, std::uint32_t bytes) {
  return tlp_bandwidth(p) * bytes / wire_total(p, tlp_type::memory_write, bytes, write_count(p, 0, bytes));
}

double ideal_read(const link_parameters& p, std::uint32_t bytes) {
  const auto [requests, completions] = read_wire(p, bytes);
  return tlp_bandwidth(p) * bytes / std::max(requests, completions);
}

double ideal_both(const link_parameters& p, std::uint32_t bytes) {
  const auto [requests, completions] = read_wire(p, bytes);
  const double writes = wire_total(p, tlp_type::memory_write, bytes, write_count(p, 0, bytes));
  return tlp_bandwidth(p) * bytes / std::max(requests + writes, completions);
}

}  // namespace understudy
