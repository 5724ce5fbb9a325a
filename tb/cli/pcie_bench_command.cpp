#include "tb/cli/pcie_bench_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string_view>
#include <utility>

#include "model/pcie/tlp.h"
#include "tb/pcie_bench/bench.h"
#include "tb/pcie_bench/calibrate.h"
#include "tb/pcie_bench/card_file.h"
#include "tb/pcie_bench/tables.h"
#include "tb/platform/configure.h"
#include "tb/report/files.h"
#include "tb/scenario/load.h"
#include "tb/scenario/value.h"

namespace understudy::tb {
namespace {

using json = nlohmann::ordered_json;

constexpr std::int64_t largest_size = 64 * 1024, largest_window = 1 << 30;

// Each value once, in the order of first mention.
void add_new(std::vector<std::uint64_t>& to, std::uint64_t v) {
  if (std::find(to.begin(), to.end(), v) == to.end()) to.push_back(v);
}

[[noreturn]] void refuse_option(const char* option, std::string_view what) {
  throw scenario_error(fmt::format("understudy pcie-bench: {}: {}", option, what));
}

// `text` as a number, digits and nothing else. Throws scenario_error.
std::int64_t number_of(std::string_view text, const char* option, std::string_view allowed) {
  std::int64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument)
    refuse_option(option, fmt::format("\"{}\" is no whole number, allowed: {}", text, allowed));
  if (error != std::errc{} || v < 0)
    refuse_option(option, fmt::format("{} is out of range, allowed: {}", text, allowed));
  return v;
}

// The numbers in `lists`, "64,128" each, from 1 to `most`. Throws scenario_error.
std::vector<std::uint64_t> numbers_of(const std::vector<std::string>& lists, const char* option,
                                      std::int64_t most) {
  const std::string allowed = fmt::format("1 to {}, with commas between", most);
  std::vector<std::uint64_t> numbers;
  for (const std::string& list : lists)
    for (std::size_t from = 0, to = 0; to != list.npos; from = to + 1) {
      to = list.find(',', from);
      const std::string_view text = std::string_view(list).substr(from, to == list.npos ? to : to - from);
      const std::int64_t v = number_of(text, option, allowed);
      if (v < 1 || v > most)
        refuse_option(option, fmt::format("{} is out of range, allowed: {}", text, allowed));
      add_new(numbers, static_cast<std::uint64_t>(v));
    }
  return numbers;
}

void set(scenario& s, const char* option, const char* key, const std::optional<std::string>& text) {
  if (!text) return;
  const parameter& p = *find_parameter(key);
  const std::string error = assign(p, raw_value(number_of(*text, option, allowed_text(p))), s);
  if (!error.empty()) refuse_option(option, error);
}

// What to measure, and on what.
struct setting {
  pcie_config bus;
  card_parameters card;
  bench_plan plan;
  std::vector<std::uint64_t> windows;  // that were asked for
};

// The host, with --iommu in place of what its file says of it.
scenario host_of(const pcie_bench_arguments& a, const cli_environment& env) {
  // What the file says of the IOMMU's parts is no mistake where --iommu decides whether there is one.
  const std::vector<std::string> sets(a.iommu.empty() ? 0 : 1, "pcie.iommu=true");
  value_origins origins;
  scenario s = load_scenario(a.host, sets, env.checks, &origins);
  const std::pair<const char*, std::uint32_t> failing[] = {{"pcie.poisoned_reads", s.pcie.poisoned_reads},
                                                           {"pcie.aborted_reads", s.pcie.aborted_reads}};
  for (const auto& [key, count] : failing)
    if (count != 0)
      throw scenario_error(fmt::format(
          "{}: {}: {} is refused, allowed: 0, for pcie-bench measures reads that bring their data",
          origins[key], key, count));
  if (!a.iommu.empty()) {
    s.pcie.iommu = a.iommu != "off";
    s.pcie.iommu_page = a.iommu == "2m" ? 2 * 1024 * 1024 : 4096;
  }
  return s;
}

setting setting_of(const pcie_bench_arguments& a, const cli_environment& env) {
  if (a.ideal == !a.device.empty())
    throw scenario_error("understudy pcie-bench: one of --ideal and --device NAME is needed");
  if (a.ideal && (!a.host.empty() || !(a.iommu.empty() || a.iommu == "off")))
    throw scenario_error("understudy pcie-bench: --ideal has neither --host nor --iommu");
  if (!a.ideal && a.host.empty())
    throw scenario_error("understudy pcie-bench: --device needs --host HOST.toml");
  scenario s;
  if (!a.ideal) s = host_of(a, env);
  set(s, "--gen", "pcie.generation", a.generation);
  set(s, "--lanes", "pcie.lanes", a.lanes);
  set(s, "--mps", "pcie.mps", a.mps);
  set(s, "--mrrs", "pcie.mrrs", a.mrrs);
  set(s, "--rcb", "pcie.rcb", a.rcb);
  if (a.chop) s.pcie.completer_chops = true;

  setting r;
  r.bus = a.ideal ? ideal_bus(pcie_of(s).link) : pcie_of(s);
  if (!a.ideal) r.card = load_card(a.device);
  std::vector<std::uint32_t> sizes;
  for (const std::uint64_t v : numbers_of(a.sizes, "--sizes", largest_size))
    sizes.push_back(static_cast<std::uint32_t>(v));
  r.plan = sizes.empty() ? data_set_plan() : plan_of(sizes);
  if (a.ideal) r.plan.samples = 1;
  r.plan.windows = {bench_plan::default_window};
  r.windows = numbers_of(a.windows, "--window", largest_window);
  for (const std::uint64_t w : r.windows) {
    for (const std::uint32_t size : r.plan.bandwidth_sizes)
      if (const std::uint32_t place = place_bytes(size, a.ideal); w < place)
        refuse_option("--window",
                      fmt::format("{} is smaller than the {} bytes that a transfer of {} bytes takes{}", w,
                                  place, size, a.ideal ? " with --ideal, whole pages" : ", whole lines"));
    add_new(r.plan.windows, w);
  }
  return r;
}

json rows_of(const std::vector<bandwidth_row>& rows) {
  json out = json::array();
  for (const auto& r : rows)
    out.push_back({{"test", r.test}, {"size", r.size}, {"window", r.window}, {"gbps", r.gbps}});
  return out;
}

}  // namespace

int pcie_bench_command(const pcie_bench_arguments& a, const cli_environment& env) {
  const setting s = setting_of(a, env);
  const std::string folder = a.common.out.empty() ? "results" : a.common.out;
  prepare_folder(folder);
  bench b("pcie_bench", s.bus, s.card, s.plan);
  bench::run({&b});

  std::vector<bandwidth_row> by_size, by_window;
  for (const auto& r : b.results().bandwidth) {
    if (r.window == bench_plan::default_window) by_size.push_back(r);
    if (std::find(s.windows.begin(), s.windows.end(), r.window) != s.windows.end()) by_window.push_back(r);
  }
  std::vector<file_text> files = {{folder + "/bandwidth.csv", bandwidth_csv(by_size)},
                                  {folder + "/latency.csv", latency_csv(b.results().latency)}};
  if (!s.windows.empty()) files.push_back({folder + "/window.csv", window_csv(by_window)});
  write_set(files);

  const link_parameters& link = s.bus.link;
  if (a.common.json) {
    json latency = json::array();
    for (const auto& r : b.results().latency)
      latency.push_back({{"test", r.test},
                         {"size", r.size},
                         {"median_ns", r.median_ns},
                         {"p95_ns", r.p95_ns},
                         {"p999_ns", r.p999_ns}});
    *env.out << json{{"raw_gbps", raw_rate(link) / 1e9},
                     {"tlp_gbps", tlp_bandwidth(link) / 1e9},
                     {"bandwidth", rows_of(by_size)},
                     {"latency", latency},
                     {"window", rows_of(by_window)}}
                    .dump(2)
             << '\n';
    return exit_held;
  }
  *env.out << fmt::format(
      "link         PCIe gen {} x{}, MPS {}, MRRS {}: raw {:.3f} Gb/s, TLPs {:.2f} Gb/s\n", link.generation,
      link.lanes, link.mps, link.mrrs, raw_rate(link) / 1e9, tlp_bandwidth(link) / 1e9);
  *env.out << "  bytes    BW_DMA_RD  BW_DMA_WR  BW_DMA_RW   Gb/s\n";
  const std::size_t n = s.plan.bandwidth_sizes.size();
  for (std::size_t i = 0; i < n; ++i)
    *env.out << fmt::format("{:7}   {:10.2f} {:10.2f} {:10.2f}\n", by_size[i].size, by_size[i].gbps,
                            by_size[n + i].gbps, by_size[2 * n + i].gbps);
  *env.out << fmt::format("files        {}: bandwidth.csv latency.csv{}\n", folder,
                          s.windows.empty() ? "" : " window.csv");
  return exit_held;
}

int calibrate_command(const calibrate_arguments& a, const cli_environment& env) {
  const latency_table measured = read_latencies(a.latency);
  const scenario host = host_profile(measured, a.latency, card_latencies(load_card(a.device)));
  const std::string text = profile_text(host, std::filesystem::path(a.latency).filename().string());
  write_whole(a.output, text);
  if (a.common.json)
    *env.out << json{{"read_latency_ps", host.pcie.read_latency},
                     {"core_snoop_ps", host.pcie.core_snoop},
                     {"cache_miss_ps", host.pcie.cache_miss},
                     {"remote_node_ps", host.pcie.remote_node},
                     {"file", a.output}}
                    .dump(2)
             << '\n';
  else
    *env.out << text;
  return exit_held;
}

}  // namespace understudy::tb
