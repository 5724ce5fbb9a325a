#include "tb/pcie_bench/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tb/scenario/quantity.h"

namespace understudy::tb {
namespace {

// Rules for every host, from the pcie-bench data set. A node is remote when a read of 8 bytes takes longer
// than `remote_above_ns`; the hop is `remote_hop_ns`.
constexpr double remote_above_ns = 610, remote_hop_ns = 106;
// Memory beyond a line of a core: 51 to 55 ns.
constexpr double miss_beyond_snoop_ns = 53;

picos to_picos(double ns) {
  return static_cast<picos>(std::llround(std::max(0.0, ns) * 10) * 100);
}

}  // namespace

std::array<double, 3> card_latencies(const card_parameters& card) {
  pcie_config bus;
  bus.read_latency = 0;
  bench_plan plan;
  plan.latency_sizes.assign(calibration_sizes.begin(), calibration_sizes.end());
  plan.samples = 1;
  bench b("calibration", bus, card, plan);
  bench::run({&b});
  std::array<double, 3> ns{};
  for (std::size_t i = 0; i < ns.size(); ++i) ns[i] = b.results().latency[i].median_ns;
  return ns;
}

scenario host_profile(const latency_table& measured, const std::string& path,
                      const std::array<double, 3>& card_ns, const snoop_rule& rule) {
  double host = 0, at64 = 0, p95 = 0, p999 = 0;
  bool remote = false;
  for (std::size_t i = 0; i < calibration_sizes.size(); ++i) {
    const auto row = measured.find({"LAT_DMA_RD", calibration_sizes[i]});
    if (row == measured.end())
      throw scenario_error(fmt::format("{}: no row LAT_DMA_RD of {} bytes, needed: those of 8, 64 and 512",
                                       path, calibration_sizes[i]));
    const measured_latency& m = row->second;
    host += (m.average_ns - card_ns[i]) / 3;
    p95 += (m.p95_ns - m.median_ns) / 3;
    p999 += (m.p999_ns - m.median_ns) / 3;
    if (calibration_sizes[i] == 8) remote = m.average_ns > remote_above_ns;
    if (calibration_sizes[i] == 64) at64 = m.average_ns;
  }
  const double hop = remote ? remote_hop_ns : 0;
  const double snoop = std::max(0.0, rule.snoop_ns + rule.share * (at64 - hop - rule.latency_ns));
  const double read_latency = host - hop - snoop;
  if (read_latency <= 0)
    throw scenario_error(fmt::format(
        "{}: LAT_DMA_RD is shorter than the card and the link alone take ({:.0f} ns for 64 bytes)", path,
        card_ns[1]));
  scenario s;
  s.pcie.cache = 20 * 1024 * 1024;
  s.pcie.read_latency = to_picos(read_latency);
  s.pcie.core_snoop = to_picos(snoop);
  s.pcie.cache_miss = to_picos(snoop + miss_beyond_snoop_ns);
  s.pcie.remote_node = to_picos(hop);
  s.pcie.read_jitter_p95 = to_picos(p95);
  s.pcie.read_jitter_p999 = to_picos(std::max(p95, p999));
  return s;
}

std::string profile_text(const scenario& host, const std::string& origin) {
  const auto row = [](const char* key, picos value) {
    return fmt::format("{} = \"{}\"\n", key, quantity_text(value, quantity::time));
  };
  return fmt::format(
             "# A host, by `understudy calibrate` from LAT_DMA_RD of 8, 64 and 512 bytes in\n# {}\n[pcie]\n"
             "cache = \"{}\"\n",
             origin, quantity_text(host.pcie.cache, quantity::size)) +
         row("read_latency", host.pcie.read_latency) + row("core_snoop", host.pcie.core_snoop) +
         row("cache_miss", host.pcie.cache_miss) + row("remote_node", host.pcie.remote_node) +
         row("read_jitter_p95", host.pcie.read_jitter_p95) +
         row("read_jitter_p999", host.pcie.read_jitter_p999);
}

}  // namespace understudy::tb
