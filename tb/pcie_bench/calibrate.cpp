#include "tb/pcie_bench/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tb/scenario/parameters.h"
#include "tb/scenario/quantity.h"
#include "tb/scenario/value.h"

namespace understudy::tb {
namespace {

// Rules for every host, from the pcie-bench data set. A node is remote when a read of 8 bytes takes longer
// than `remote_above_ns`; the hop is `remote_hop_ns`.
constexpr double remote_above_ns = 610, remote_hop_ns = 106;
// Memory beyond a line of a core: 51 to 55 ns.
constexpr double miss_beyond_snoop_ns = 53;

// A host adds the same to a read of each size: what the latency grows by from the least to the largest size
// is time of card and link, and a link of a quarter of the lanes takes up to four times as long.
constexpr double most_growth = 4;

picos to_picos(double ns) {
  return static_cast<picos>(std::llround(std::max(0.0, ns) * 10) * 100);
}

std::string place_of(const std::string& path, const measured_latency& m) {
  return m.line == 0 ? path : fmt::format("{}:{}", path, m.line);
}

// LAT_DMA_RD by calibration_sizes, plausible beside one another.
std::array<measured_latency, 3> three_of(const latency_table& measured, const std::string& path,
                                         const std::array<double, 3>& card_ns) {
  std::array<measured_latency, 3> three;
  for (std::size_t i = 0; i < three.size(); ++i) {
    const auto row = measured.find({"LAT_DMA_RD", calibration_sizes[i]});
    if (row == measured.end())
      throw scenario_error(fmt::format("{}: no row LAT_DMA_RD of {} bytes, needed: those of 8, 64 and 512",
                                       path, calibration_sizes[i]));
    three[i] = row->second;
    if (i > 0 && three[i].average_ns < three[i - 1].average_ns)
      throw scenario_error(fmt::format("{}: Avg(ns) {} of LAT_DMA_RD of {} bytes is below {} of {} bytes",
                                       place_of(path, three[i]), three[i].average_ns, calibration_sizes[i],
                                       three[i - 1].average_ns, calibration_sizes[i - 1]));
  }
  const double growth = three[2].average_ns - three[0].average_ns, alone = card_ns[2] - card_ns[0];
  if (growth > most_growth * alone)
    throw scenario_error(fmt::format(
        "{}: Avg(ns) of LAT_DMA_RD grows by {:.0f} from {} to {} bytes, allowed: up to {:.0f}, {} "
        "times what card and link take",
        place_of(path, three[2]), growth, calibration_sizes[0], calibration_sizes[2], most_growth * alone,
        most_growth));
  return three;
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
  const std::array<measured_latency, 3> three = three_of(measured, path, card_ns);
  double host = 0, at64 = 0, p95 = 0, p999 = 0;
  bool remote = false;
  for (std::size_t i = 0; i < calibration_sizes.size(); ++i) {
    const measured_latency& m = three[i];
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
  const auto put = [&](const char* key, double ns) {
    const raw_value value = quantity_text(to_picos(ns), quantity::time);
    const std::string error = assign(*find_parameter(key), value, s);
    if (!error.empty()) throw scenario_error(fmt::format("{}: makes {}: {}", path, key, error));
  };
  put("pcie.read_latency", read_latency);
  put("pcie.core_snoop", snoop);
  put("pcie.cache_miss", snoop + miss_beyond_snoop_ns);
  put("pcie.remote_node", hop);
  put("pcie.read_jitter_p95", p95);
  put("pcie.read_jitter_p999", std::max(p95, p999));
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
