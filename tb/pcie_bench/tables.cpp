#include "tb/pcie_bench/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>

#include "tb/scenario/scenario.h"

namespace understudy::tb {
namespace {

using fields = std::vector<std::string>;

// What a file may hold: nothing beyond it was ever measured on a PCI Express link.
constexpr double largest_transfer = 1 << 20;  // bytes
constexpr double largest_span = 1ull << 40;   // bytes of a window
constexpr double longest_ns = 1e9;
constexpr double fastest_gbps = 1e4;
constexpr double rounding = 1e-6;  // of an average of equal times

fields split(const std::string& line) {
  fields f;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, ',');) f.push_back(part);
  return f;
}

// A CSV file with a heading: `row` gets a look-up by column name for each line below it.
class table_reader {
 public:
  explicit table_reader(const std::string& path) : path_(path) {}

  // Columns `optional` may be missing.
  void read(const std::vector<std::string>& columns, const std::function<void()>& row,
            const std::vector<std::string>& optional = {}) {
    std::error_code e;
    if (std::filesystem::is_directory(path_, e))
      throw scenario_error(path_ + ": cannot read: Is a directory");
    std::ifstream in(path_, std::ios::binary);
    if (!in) throw scenario_error(path_ + ": cannot read");
    std::string text;
    if (!next(in, text)) fail("is empty, allowed: a CSV file of the pcie-bench data set");
    if (constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF"; text.starts_with(byte_order_mark))
      text.erase(0, byte_order_mark.size());
    const fields heading = split(text);
    for (std::size_t i = heading.size(); i-- > 0;)
      if (contains(columns, heading[i]) || contains(optional, heading[i])) place_[heading[i]] = i;
    for (const std::string& c : columns)
      if (!has(c)) fail(fmt::format("has no column \"{}\"", c));
    while (next(in, text)) {
      if (text.empty()) continue;
      current_ = split(text);
      if (current_.size() != heading.size())
        fail(fmt::format("has {} fields, allowed: {} as the heading", current_.size(), heading.size()));
      row();
    }
  }
  bool has(const std::string& column) const { return place_.contains(column); }
  const std::string& word(const std::string& column) const { return current_[place_.at(column)]; }
  // A number above 0, at most `most`.
  double number(const std::string& column, double most) const {
    const std::string& text = word(column);
    double v = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    const bool huge = error == std::errc::result_out_of_range;  // or as good as 0
    if (end != text.data() + text.size() || (error != std::errc{} && !huge) || std::isnan(v) ||
        (!huge && v <= 0))
      fail(fmt::format("{}: \"{}\" is not a number above 0", column, text));
    if (huge || v > most) fail(fmt::format("{}: {} is out of range, allowed: up to {}", column, text, most));
    return v;
  }
  // The same, a whole one. Some files of the data set write 1572864 as "1572864.0".
  std::uint64_t whole(const std::string& column, double most) const {
    const double v = number(column, most);
    if (v != std::floor(v)) fail(fmt::format("{}: {} is no whole number of bytes", column, word(column)));
    return static_cast<std::uint64_t>(v);
  }
  std::size_t line() const { return line_; }
  [[noreturn]] void fail(const std::string& what) const {
    throw scenario_error(fmt::format("{}:{}: {}", path_, line_, what));
  }

 private:
  static bool contains(const std::vector<std::string>& words, const std::string& w) {
    return std::find(words.begin(), words.end(), w) != words.end();
  }
  bool next(std::istream& in, std::string& text) {
    ++line_;
    if (!std::getline(in, text)) return false;
    while (!text.empty() && text.back() == '\r') text.pop_back();
    return true;
  }
  std::string path_;
  std::size_t line_ = 0;
  std::map<std::string, std::size_t> place_;
  fields current_;
};

}  // namespace

std::string bandwidth_csv(const std::vector<bandwidth_row>& rows) {
  std::string s = "test,size,gbps\n";
  for (const auto& r : rows) s += fmt::format("{},{},{:#.6g}\n", r.test, r.size, r.gbps);
  return s;
}

std::string window_csv(const std::vector<bandwidth_row>& rows) {
  std::string s = "test,size,window,gbps\n";
  for (const auto& r : rows) s += fmt::format("{},{},{},{:#.6g}\n", r.test, r.size, r.window, r.gbps);
  return s;
}

std::string latency_csv(const std::vector<latency_row>& rows) {
  std::string s = "test,size,median_ns,p95_ns,p999_ns\n";
  for (const auto& r : rows)
    s += fmt::format("{},{},{:.3f},{:.3f},{:.3f}\n", r.test, r.size, r.median_ns, r.p95_ns, r.p999_ns);
  return s;
}

latency_table read_latencies(const std::string& path) {
  latency_table t;
  std::map<latency_table::key_type, std::size_t> lines;
  table_reader r(path);
  r.read(
      {"Test", "SZ", "Avg(ns)", "Med(ns)", "95%(ns)", "99.9%(ns)"},
      [&] {
        const auto ns = [&r](const char* column) { return r.number(column, longest_ns); };
        const latency_table::key_type key{r.word("Test"),
                                          static_cast<std::uint32_t>(r.whole("SZ", largest_transfer))};
        const auto [first, is_new] = lines.emplace(key, r.line());
        if (!is_new)
          r.fail(fmt::format("is a second row {} of {} bytes, the first is line {}", key.first, key.second,
                             first->second));
        const measured_latency m = {ns("Avg(ns)"), ns("Med(ns)"), ns("95%(ns)"), ns("99.9%(ns)"), r.line()};
        if (m.p95_ns < m.median_ns || m.p999_ns < m.p95_ns)
          r.fail(
              fmt::format("Med(ns), 95%(ns), 99.9%(ns) fall: {}, {}, {}", m.median_ns, m.p95_ns, m.p999_ns));
        const auto above = [&r](const char* low, double low_ns, const char* high, double high_ns) {
          if (low_ns > high_ns * (1 + rounding))
            r.fail(fmt::format("{} {} is above {} {}", low, low_ns, high, high_ns));
        };
        above("Avg(ns)", m.average_ns, "99.9%(ns)", m.p999_ns);
        above("half of Med(ns)", m.median_ns / 2, "Avg(ns)", m.average_ns);
        if (r.has("Min(ns)")) {
          above("Min(ns)", ns("Min(ns)"), "Med(ns)", m.median_ns);
          above("Min(ns)", ns("Min(ns)"), "Avg(ns)", m.average_ns);
        }
        if (r.has("Max(ns)")) above("99.9%(ns)", m.p999_ns, "Max(ns)", ns("Max(ns)"));
        t[key] = m;
      },
      {"Min(ns)", "Max(ns)"});
  return t;
}

std::vector<measured_bandwidth> read_bandwidths(const std::string& path) {
  std::vector<measured_bandwidth> t;
  table_reader r(path);
  r.read({"Test", "Cache", "SZ", "WinSZ", "BW (GB/s)"}, [&] {
    t.push_back({r.word("Test"), r.word("Cache"), static_cast<std::uint32_t>(r.whole("SZ", largest_transfer)),
                 r.whole("WinSZ", largest_span), r.number("BW (GB/s)", fastest_gbps)});
  });
  return t;
}

}  // namespace understudy::tb
