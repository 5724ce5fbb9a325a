#include "tb/pcie_bench/tables.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "tb/scenario/scenario.h"

namespace understudy::tb {
namespace {

using fields = std::vector<std::string>;

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

  void read(const std::vector<std::string>& columns, const std::function<void()>& row) {
    std::ifstream in(path_, std::ios::binary);
    if (!in) throw scenario_error(path_ + ": cannot read");
    std::string text;
    if (!next(in, text)) fail("is empty, allowed: a CSV file of the pcie-bench data set");
    const fields heading = split(text);
    for (const std::string& c : columns) {
      std::size_t i = 0;
      while (i < heading.size() && heading[i] != c) ++i;
      if (i == heading.size()) fail(fmt::format("has no column \"{}\"", c));
      place_[c] = i;
    }
    while (next(in, text)) {
      if (text.empty()) continue;
      current_ = split(text);
      if (current_.size() != heading.size())
        fail(fmt::format("has {} fields, allowed: {} as the heading", current_.size(), heading.size()));
      row();
    }
  }
  const std::string& word(const std::string& column) const { return current_[place_.at(column)]; }
  // A finite number, above 0.
  double number(const std::string& column) const {
    const std::string& text = word(column);
    char* end = nullptr;
    const double v = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != 0 || !std::isfinite(v) || v <= 0)
      fail(fmt::format("{}: \"{}\" is not a number above 0", column, text));
    return v;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw scenario_error(fmt::format("{}:{}: {}", path_, line_, what));
  }

 private:
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
  for (const auto& r : rows) s += fmt::format("{},{},{:.4f}\n", r.test, r.size, r.gbps);
  return s;
}

std::string window_csv(const std::vector<bandwidth_row>& rows) {
  std::string s = "test,size,window,gbps\n";
  for (const auto& r : rows) s += fmt::format("{},{},{},{:.4f}\n", r.test, r.size, r.window, r.gbps);
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
  table_reader r(path);
  r.read({"Test", "SZ", "Avg(ns)", "Med(ns)", "95%(ns)", "99.9%(ns)"}, [&] {
    t[{r.word("Test"), static_cast<std::uint32_t>(r.number("SZ"))}] = {
        r.number("Avg(ns)"), r.number("Med(ns)"), r.number("95%(ns)"), r.number("99.9%(ns)")};
  });
  return t;
}

std::vector<measured_bandwidth> read_bandwidths(const std::string& path) {
  std::vector<measured_bandwidth> t;
  table_reader r(path);
  r.read({"Test", "Cache", "SZ", "WinSZ", "BW (GB/s)"}, [&] {
    t.push_back({r.word("Test"), r.word("Cache"), static_cast<std::uint32_t>(r.number("SZ")),
                 static_cast<std::uint64_t>(r.number("WinSZ")), r.number("BW (GB/s)")});
  });
  return t;
}

}  // namespace understudy::tb
