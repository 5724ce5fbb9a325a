#include "tb/explore/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tb/scenario/parameters.h"
#include "tb/scenario/refuse.h"

namespace understudy::tb {

namespace {

constexpr std::size_t most_cells = 100'000;
constexpr const char* keys = "scenario, set, against, [[axis]], [[column]]";

std::string text_of(const std::string& file, const toml::node& n, const std::string& key) {
  if (const auto* v = n.as_string()) return v->get();
  refuse(file, n, key, "has the wrong type, allowed: a string");
}

std::vector<std::string> words_of(const std::string& file, const toml::node& n, const std::string& key) {
  const toml::array* a = n.as_array();
  if (!a) refuse(file, n, key, "has the wrong type, allowed: a list of strings");
  std::vector<std::string> all;
  for (const toml::node& e : *a) all.push_back(text_of(file, e, key));
  return all;
}

std::string value_of(const std::string& file, const toml::node& n, const std::string& key) {
  if (const auto* v = n.as_string()) return v->get();
  if (const auto* v = n.as_integer()) return fmt::format("{}", v->get());
  if (const auto* v = n.as_floating_point()) return fmt::format("{}", v->get());
  if (const auto* v = n.as_boolean()) return v->get() ? "true" : "false";
  refuse(file, n, key, "has the wrong type, allowed: strings, numbers, true, false");
}

const toml::table& row_of(const std::string& file, const toml::node& n, const std::string& key) {
  const toml::table* t = n.as_table();
  if (!t) refuse(file, n, key, fmt::format("has the wrong type, allowed: [[{}]] tables", key));
  return *t;
}

sweep_axis axis_of(const std::string& file, const toml::node& n) {
  sweep_axis a;
  std::vector<bool> quote;  // by value: a string
  for (const auto& [k, v] : row_of(file, n, "axis")) {
    const std::string key = "axis." + std::string(k.str());
    if (key == "axis.key") {
      a.key = text_of(file, v, key);
      if (!find_parameter(a.key))
        refuse(file, v, key,
               fmt::format("\"{}\" is unknown, allowed: what `understudy describe params` lists", a.key));
    } else if (key == "axis.values") {
      const toml::array* list = v.as_array();
      if (!list || list->empty())
        refuse(file, v, key, "has the wrong type, allowed: a list of one value or more");
      for (const toml::node& e : *list) {
        a.values.push_back(value_of(file, e, key));
        quote.push_back(e.is_string());
      }
    } else {
      refuse(file, v, key, "unknown key, allowed: key, values");
    }
  }
  const parameter* p = find_parameter(a.key);
  const bool stands = p && (p->type == parameter_type::word || p->type == parameter_type::text);
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const bool is_text = quote[i] && !stands;
    a.sets.push_back(is_text ? fmt::format("{}=\"{}\"", a.key, a.values[i])
                             : fmt::format("{}={}", a.key, a.values[i]));
  }
  if (a.key.empty() || a.values.empty()) refuse(file, n, "axis", "is incomplete, allowed: key and values");
  return a;
}

sweep_column column_of(const std::string& file, const toml::node& n) {
  sweep_column c;
  for (const auto& [k, v] : row_of(file, n, "column")) {
    const std::string key = "column." + std::string(k.str());
    if (key == "column.name") {
      c.name = text_of(file, v, key);
    } else if (key == "column.sum") {
      c.sum = words_of(file, v, key);
    } else if (key == "column.per") {
      c.per = text_of(file, v, key);
    } else if (key == "column.scale") {
      const auto scale = v.value<double>();
      if (!scale || !v.is_number()) refuse(file, v, key, "has the wrong type, allowed: a number");
      c.scale = *scale;
    } else if (key == "column.less") {
      if (!v.is_boolean()) refuse(file, v, key, "has the wrong type, allowed: true, false");
      c.less = v.as_boolean()->get();
    } else {
      refuse(file, v, key, "unknown key, allowed: name, sum, per, scale, less");
    }
  }
  if (c.name.empty() || c.sum.empty())
    refuse(file, n, "column", "is incomplete, allowed: name and sum at least");
  return c;
}

}  // namespace

std::size_t sweep_plan::cells() const {
  std::size_t n = 1;
  for (const sweep_axis& a : axes) n *= a.values.size();
  return n;
}

std::vector<std::string> sweep_plan::values_of(std::size_t i) const {
  std::vector<std::string> all(axes.size());
  for (std::size_t a = axes.size(); a-- > 0; i /= axes[a].values.size())
    all[a] = axes[a].values[i % axes[a].values.size()];
  return all;
}

std::vector<std::string> sweep_plan::sets_of(std::size_t i, bool reference) const {
  std::vector<std::string> all = sets;
  for (std::size_t a = axes.size(); a-- > 0; i /= axes[a].values.size())
    all.push_back(axes[a].sets[i % axes[a].values.size()]);
  if (reference) all.insert(all.end(), against.begin(), against.end());
  return all;
}

sweep_plan load_sweep(const std::string& path, const load_checks& checks) {
  sweep_plan p;
  p.path = path;
  std::error_code e;
  std::ifstream in(path, std::ios::binary);
  if (std::filesystem::is_directory(path, e) || !in)
    throw scenario_error(
        fmt::format("{}: cannot read: {}", path, in ? "Is a directory" : std::strerror(errno)));
  std::stringstream text;
  text << in.rdbuf();
  toml::table t;
  try {
    t = toml::parse(text.str(), path);
  } catch (const toml::parse_error& bad) {
    std::string what = fmt::format("{}:{}: not TOML: {}", path, bad.source().begin.line, bad.description());
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw scenario_error(what);
  }
  for (const auto& [k, node] : t) {
    const std::string key{k.str()};
    if (key == "scenario") {
      p.scenario_path =
          (std::filesystem::path(path).parent_path() / text_of(path, node, key)).lexically_normal().string();
    } else if (key == "set") {
      p.sets = words_of(path, node, key);
    } else if (key == "against") {
      p.against = words_of(path, node, key);
    } else if (key == "axis" || key == "column") {
      const toml::array* rows = node.as_array();
      if (!rows) refuse(path, node, key, fmt::format("has the wrong type, allowed: [[{}]] tables", key));
      for (const toml::node& row : *rows) {
        if (key == "axis")
          p.axes.push_back(axis_of(path, row));
        else
          p.columns.push_back(column_of(path, row));
      }
    } else {
      refuse(path, node, key, fmt::format("unknown key, allowed: {}", keys));
    }
  }
  if (p.scenario_path.empty())
    throw scenario_error(path + ": scenario: is missing, allowed: a scenario file");
  if (p.axes.empty()) throw scenario_error(path + ": axis: is missing, allowed: one [[axis]] or more");
  if (p.columns.empty()) throw scenario_error(path + ": column: is missing, allowed: one [[column]] or more");
  if (p.cells() > most_cells)
    throw scenario_error(
        fmt::format("{}: axis: {} cells are too many, allowed: {}", path, p.cells(), most_cells));
  for (std::size_t i = 0; i < p.cells(); ++i) {
    try {
      load_scenario(p.scenario_path, p.sets_of(i), checks);
      if (!p.against.empty()) load_scenario(p.scenario_path, p.sets_of(i, true), checks);
    } catch (const scenario_error& bad) {
      throw scenario_error(fmt::format("{}: cell {}: {}", path, i + 1, bad.what()));
    }
  }
  return p;
}

}  // namespace understudy::tb
