#include "tb/platform/raw_forecast.h"

#include <algorithm>

#include "model/net/eth_link.h"

namespace understudy::tb {

namespace {

struct fetch {
  double arrived_ns = 0;
  double down_ns = 0;  // that the completions take of the link
  std::uint64_t tlps = 0, link_bytes = 0;
};

fetch forecast_reads(const pcie_config& bus, const adapter_config& card, double start,
                     const std::vector<raw_piece_at>& pieces, std::size_t depth) {
  const double ns_a_byte = 8e9 / (raw_rate(bus.link) * skp_share());
  const auto ns = [](picos t) { return static_cast<double>(t) / 1e3; };
  fetch f;
  double issue = start, down = 0;
  std::vector<double> over;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    if (p >= depth) issue = std::max(issue, over[p - depth]);
    double arrival = 0;
    std::uint64_t at = pieces[p].at;
    for (std::uint32_t left = pieces[p].bytes; left;) {
      const std::uint32_t n = first_read(bus.link, at, left);
      const std::uint32_t request = tlp_wire_bytes(bus.link, tlp_type::memory_read, 0, true);
      std::uint32_t wire = 0;
      for (std::uint32_t done = 0; done < n; ++f.tlps) {
        const std::uint32_t c = first_completion(bus.link, at + done, n - done);
        wire += tlp_wire_bytes(bus.link, tlp_type::completion_data, padded_bytes(at + done, c), true);
        done += c;
      }
      down = std::max(down, issue + request * ns_a_byte + ns(bus.propagation + bus.read_latency)) +
             wire * ns_a_byte;
      arrival = down + ns(bus.propagation);
      f.down_ns += wire * ns_a_byte;
      issue += std::max(ns(card.dma.issue_time), request * ns_a_byte);
      f.link_bytes += request + wire;
      ++f.tlps;
      at += n;
      left -= n;
    }
    over.push_back(arrival);
  }
  f.arrived_ns = *std::max_element(over.begin(), over.end());
  return f;
}

}  // namespace

raw_forecast forecast_raw(const pcie_config& bus, const adapter_config& card, std::uint64_t table,
                          const std::vector<raw_piece_at>& pieces) {
  const auto n = static_cast<std::uint32_t>(pieces.size());
  const fetch descriptors = forecast_reads(bus, card, 0, {{table, n * US_ENTRY_BYTES}}, 1);
  const fetch bytes =
      forecast_reads(bus, card, descriptors.arrived_ns + n * static_cast<double>(card.descriptor_time) / 1e3,
                     pieces, card.raw_reads);
  return {bytes.arrived_ns + static_cast<double>(card.tx_latency) / 1e3, descriptors.tlps + bytes.tlps,
          descriptors.link_bytes + bytes.link_bytes};
}

double forecast_raw_rate(const pcie_config& bus, const adapter_config& card, bits_per_second wire,
                         std::uint64_t table, const std::vector<raw_piece_at>& pieces) {
  const auto n = static_cast<double>(pieces.size());
  const std::uint32_t batch = card.descriptors_a_fetch;
  const fetch descriptors = forecast_reads(bus, card, 0, {{table, batch * US_ENTRY_BYTES}}, 1);
  const double descriptor_ns =
      descriptors.arrived_ns / batch + static_cast<double>(card.descriptor_time) / 1e3;
  double reads_ns = 0, down_ns = n * descriptors.down_ns / batch;
  std::uint32_t bytes = 0;
  for (const raw_piece_at& p : pieces) {
    const fetch f = forecast_reads(bus, card, 0, {p}, 1);
    reads_ns += f.arrived_ns / card.raw_reads;
    down_ns += f.down_ns;
    bytes += p.bytes;
  }
  const double wire_ns = 8e9 * wire_bytes(bytes) / static_cast<double>(wire);
  return 1e9 / std::max({reads_ns, down_ns, n * descriptor_ns, wire_ns});
}

}  // namespace understudy::tb
