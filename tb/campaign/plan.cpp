#include "tb/campaign/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tb/monitors/monitor_set.h"
#include "tb/scenario/parameters.h"
#include "tb/scenario/quantity.h"
#include "tb/scenario/refuse.h"

namespace understudy::tb {

namespace {

constexpr const char* modes[] = {"crash_points", "double_failure", "torn_writes",
                                 "liveness",     "safety",         "mutants"};
constexpr const char* keys =
    "mode, scenario, set, stride, second_stride, control_share, tail_share, guard_seconds, faults, kinds, "
    "gap, "
    "deadline, [[mutant]]";
constexpr const char* train_keys[] = {"faults", "kinds", "gap", "deadline"};
constexpr double shortest_guard = 0.001;

std::string text_of(const std::string& file, const toml::node& n, const std::string& key) {
  if (const auto v = n.value<std::string>()) return *v;
  refuse(file, n, key, "is not a string");
}

std::uint64_t count_of(const std::string& file, const toml::node& n, const std::string& key) {
  const auto v = n.value<std::int64_t>();
  if (!v || !n.is_integer() || *v < 1) refuse(file, n, key, "is not a whole number of at least 1");
  return static_cast<std::uint64_t>(*v);
}

double share_of(const std::string& file, const toml::node& n, const std::string& key) {
  const auto v = n.value<double>();
  if (!v || *v < 0 || *v > 1) refuse(file, n, key, "is not a share between 0 and 1");
  return *v;
}

std::vector<std::string> words_of(const std::string& file, const toml::node& n, const std::string& key) {
  const toml::array* a = n.as_array();
  if (!a) refuse(file, n, key, "is not a list of KEY=VALUE strings");
  std::vector<std::string> all;
  for (const toml::node& e : *a) all.push_back(text_of(file, e, key));
  return all;
}

double guard_of(const std::string& file, const toml::node& n, const std::string& key) {
  const auto v = n.value<double>();
  if (!v || !(*v >= shortest_guard && *v <= 86400))
    refuse(file, n, key, "is not a number of seconds between 0.001 and 86400");
  return *v;
}

picos time_of(const std::string& file, const toml::node& n, const std::string& key) {
  const quantity_value v = parse_quantity(text_of(file, n, key), quantity::time);
  if (!v.error.empty()) refuse(file, n, key, v.error);
  if (v.value == 0) refuse(file, n, key, "is not above 0");
  return v.value;
}

void check_kind(const std::string& file, const toml::node& n, const std::string& kind) {
  std::vector<std::string_view> known;
  for (const fault_kind& k : fault_kinds()) {
    if (k.name == kind) return;
    known.push_back(k.name);
  }
  refuse(file, n, "kinds", fmt::format("\"{}\" is no fault; allowed are {}", kind, fmt::join(known, ", ")));
}

// The keys of a train of faults belong to two modes, and must fit what there is to strike.
void check_train(const toml::table& t, campaign_plan& p) {
  const bool bounded = p.mode == campaign_mode::liveness;
  if (!bounded && p.mode != campaign_mode::safety) {
    for (const char* key : train_keys)
      if (const toml::node* n = t.get(key)) refuse(p.path, *n, key, "is for modes liveness and safety only");
    return;
  }
  const toml::node* faults = t.get("faults");
  if (!bounded) {
    if (faults) refuse(p.path, *faults, "faults", "has no limit in mode safety");
    p.train.faults = 0;
  } else if (p.train.faults >= p.base.topology.adapters) {
    if (faults) refuse(p.path, *faults, "faults", "would leave no adapter of topology.adapters");
    p.train.faults = p.base.topology.adapters - 1;
  }
  if (p.train.kinds.empty()) p.train.kinds = {"kill"};
}

std::string beside(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

}  // namespace

const char* name(campaign_mode m) {
  return modes[static_cast<int>(m)];
}

fault_class class_of(campaign_mode m) {
  switch (m) {
    case campaign_mode::double_failure:
      return {"crash of the substitute in its recovery", "substitute adapter", "adapter"};
    case campaign_mode::torn_writes:
      return {"torn write", "DMA write of the active adapter", "tlp"};
    case campaign_mode::liveness:
      return {"bounded faults", "adapters", "adapter"};
    case campaign_mode::safety:
      return {"faults until no adapter is left", "adapters", "adapter"};
    default:
      return {"crash", "active adapter", "adapter"};
  }
}

campaign_plan load_plan(const std::string& path, const load_checks& checks) {
  campaign_plan p;
  p.path = path;
  std::ifstream in(path);
  if (!in) throw scenario_error(path + ": cannot be opened");
  std::stringstream all;
  all << in.rdbuf();
  p.text = all.str();
  toml::table t;
  try {
    t = toml::parse(p.text, path);
  } catch (const toml::parse_error& e) {
    throw scenario_error(fmt::format("{}:{}: {}", path, e.source().begin.line, e.description()));
  }
  bool has_mode = false;
  for (const auto& [k, node] : t) {
    const std::string key{k.str()};
    if (key == "mode") {
      const std::string m = text_of(path, node, key);
      for (std::size_t i = 0; i < std::size(modes); ++i)
        if (m == modes[i]) {
          p.mode = static_cast<campaign_mode>(i);
          has_mode = true;
        }
      if (!has_mode)
        refuse(path, node, key, fmt::format("\"{}\" is no mode; allowed are {}", m, fmt::join(modes, ", ")));
    } else if (key == "scenario") {
      p.scenario_path = beside(path, text_of(path, node, key));
    } else if (key == "set") {
      p.sets = words_of(path, node, key);
    } else if (key == "stride") {
      p.stride = count_of(path, node, key);
    } else if (key == "second_stride") {
      p.second_stride = count_of(path, node, key);
    } else if (key == "control_share") {
      p.control_share = share_of(path, node, key);
    } else if (key == "tail_share") {
      p.tail_share = share_of(path, node, key);
    } else if (key == "guard_seconds") {
      p.guard_seconds = guard_of(path, node, key);
    } else if (key == "faults") {
      p.train.faults = count_of(path, node, key);
    } else if (key == "kinds") {
      p.train.kinds = words_of(path, node, key);
      for (const std::string& kind : p.train.kinds) check_kind(path, node, kind);
    } else if (key == "gap") {
      p.train.gap = time_of(path, node, key);
    } else if (key == "deadline") {
      p.train.deadline = time_of(path, node, key);
    } else if (key == "mutant") {
      const toml::array* rows = node.as_array();
      if (!rows) refuse(path, node, key, "is not a list of [[mutant]] tables");
      for (const toml::node& row : *rows) {
        const toml::table* r = row.as_table();
        if (!r) refuse(path, row, key, "is not a [[mutant]] table");
        mutant_row m;
        for (const auto& [rk, value] : *r) {
          const std::string inner = "mutant." + std::string{rk.str()};
          if (rk == "name")
            m.mutant = text_of(path, value, inner);
          else if (rk == "monitor")
            m.monitor = text_of(path, value, inner);
          else if (rk == "scenario")
            m.scenario = beside(path, text_of(path, value, inner));
          else if (rk == "set")
            m.sets = words_of(path, value, inner);
          else
            refuse(path, value, inner, "is unknown; allowed are name, monitor, scenario, set");
        }
        if (m.mutant.empty() || m.monitor.empty() || m.scenario.empty())
          refuse(path, row, key, "needs name, monitor and scenario");
        p.mutants.push_back(m);
      }
    } else {
      refuse(path, node, key, fmt::format("is unknown; allowed are {}", keys));
    }
  }
  if (!has_mode)
    throw scenario_error(fmt::format("{}: mode: is missing; allowed are {}", path, fmt::join(modes, ", ")));
  if (p.mode == campaign_mode::mutants) {
    if (p.mutants.empty())
      throw scenario_error(path + ": mutant: the fault space is empty: no [[mutant]] table");
    for (const mutant_row& m : p.mutants) {
      std::vector<std::string> sets = m.sets;
      sets.push_back("mutants=[\"" + m.mutant + "\"]");
      load_scenario(m.scenario, sets, checks);
      const auto known = monitor_sentences();
      if (std::none_of(known.begin(), known.end(), [&m](const auto& s) { return s.id == m.monitor; }))
        throw scenario_error(
            fmt::format("{}: mutant.monitor: \"{}\" is no monitor; understudy describe monitors "
                        "lists them",
                        path, m.monitor));
    }
    return p;
  }
  if (p.scenario_path.empty()) throw scenario_error(path + ": scenario: is missing");
  p.base = load_scenario(p.scenario_path, p.sets, checks);
  if (!p.base.faults.empty())
    throw scenario_error(path + ": scenario: has faults of its own; the campaign injects them");
  if (p.base.topology.adapters < (p.mode == campaign_mode::double_failure ? 3u : 2u))
    throw scenario_error(path +
                         ": scenario: topology.adapters is too small for the mode: nobody could take over");
  check_train(t, p);
  return p;
}

}  // namespace understudy::tb
