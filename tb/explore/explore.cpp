#include "tb/explore/explore.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "tb/campaign/processes.h"

namespace understudy::tb {

namespace {

using nlohmann::json;

std::optional<double> entry(const json& result, const std::string& path) {
  const json* at = &result;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const auto next = at->find(path.substr(begin, end - begin));
    if (!at->is_object() || next == at->end()) return {};
    at = &*next;
    begin = end + 1;
  }
  if (!at->is_number()) return {};
  return at->get<double>();
}

std::optional<double> number_of(const json& result, const sweep_column& c) {
  double sum = 0;
  for (const std::string& path : c.sum) {
    const auto n = entry(result, path);
    if (!n) return {};
    sum += *n;
  }
  double per = 1;
  if (!c.per.empty()) {
    const auto n = entry(result, c.per);
    if (!n || *n == 0) return {};
    per = *n;
  }
  return sum / per * c.scale;
}

// What a run gave: its result, or what went wrong.
struct outcome {
  json result = json::object();
  std::string status = "not run";
  std::string reason;
};

outcome outcome_of(const std::string& answer) {
  outcome o;
  if (answer.empty()) return o;
  o.status = "failed";
  const json j = json::parse(answer, nullptr, false);
  if (!j.is_object()) {
    o.reason = answer.rfind("error ", 0) == 0 ? answer.substr(6) : answer;
    return o;
  }
  o.result = j;
  o.status = j.value("status", "failed");
  if (o.status != "held" && j.contains("reasons") && !j["reasons"].empty()) o.reason = j["reasons"][0];
  return o;
}

std::string text_of(const std::optional<double>& n) {
  if (!n) return "-";
  const double size = std::abs(*n);
  if (*n == static_cast<double>(static_cast<long long>(*n))) return fmt::format("{:.0f}", *n);
  return size >= 1000 ? fmt::format("{:.0f}", *n)
         : size >= 10 ? fmt::format("{:.2f}", *n)
                      : fmt::format("{:.4f}", *n);
}

std::vector<std::string> header(const sweep_plan& p) {
  std::vector<std::string> h;
  for (const sweep_axis& a : p.axes) h.push_back(a.key);
  for (const sweep_column& c : p.columns) {
    h.push_back(c.name);
    if (c.less) h.push_back(c.name + ", % less");
  }
  h.push_back("status");
  return h;
}

std::vector<std::string> line(const sweep_plan& p, const explored_cell& c) {
  std::vector<std::string> l = c.values;
  for (std::size_t i = 0; i < p.columns.size(); ++i) {
    l.push_back(text_of(c.numbers[i]));
    if (p.columns[i].less) l.push_back(c.less[i] ? fmt::format("{:.1f}", *c.less[i]) : "-");
  }
  l.push_back(c.status);
  return l;
}

std::string quoted(const std::string& s) {
  if (s.find_first_of(",\"\n") == s.npos) return s;
  std::string q = "\"";
  for (const char c : s) q.append(c == '"' ? 2 : 1, c);
  q += '"';
  return q;
}

}  // namespace

bool explored::held() const {
  return !stopped && std::ranges::all_of(cells, [](const explored_cell& c) { return c.status == "held"; });
}

explored run_sweep(const sweep_plan& p, const explore_options& o) {
  // Runs that several cells share (a reference, above all) run once.
  std::vector<std::vector<std::string>> runs;
  std::map<std::string, std::size_t> known;
  const auto number = [&](std::vector<std::string> sets) {
    std::map<std::string, std::string> last;  // what a key is set to in the end
    for (const std::string& s : sets) last[s.substr(0, s.find('='))] = s;
    std::string name;
    for (const auto& [key, set] : last) name.append(set).append(1, '\n');
    const auto [at, fresh] = known.try_emplace(name, runs.size());
    if (fresh) runs.push_back(std::move(sets));
    return at->second;
  };
  const bool compares = !p.against.empty();
  std::vector<std::size_t> own, reference;
  for (std::size_t i = 0; i < p.cells(); ++i) {
    own.push_back(number(p.sets_of(i)));
    reference.push_back(compares ? number(p.sets_of(i, true)) : own.back());
  }
  std::size_t begun = 0;
  const std::vector<std::string> answers = in_processes(
      runs.size(), o.jobs, 0,
      [&](std::size_t i) { return o.run(load_scenario(p.scenario_path, runs[i], o.checks)); }, o.stop,
      [&] {
        if (o.progress) o.progress(begun++, runs.size());
      });
  std::vector<outcome> outcomes;
  for (const std::string& a : answers) outcomes.push_back(outcome_of(a));
  explored r;
  r.stopped = o.stop && o.stop->load();
  for (std::size_t i = 0; i < p.cells(); ++i) {
    const outcome& mine = outcomes[own[i]];
    explored_cell c{p.values_of(i), {}, {}, mine.status, mine.reason};
    for (const sweep_column& column : p.columns) {
      const auto n = number_of(mine.result, column);
      const auto base = number_of(outcomes[reference[i]].result, column);
      c.numbers.push_back(n);
      c.less.push_back(compares && n && base && *base != 0 ? std::optional(100 * (1 - *n / *base))
                                                           : std::nullopt);
    }
    r.cells.push_back(std::move(c));
  }
  return r;
}

std::string explored_table(const sweep_plan& p, const explored& r) {
  std::vector<std::vector<std::string>> rows{header(p)};
  for (const explored_cell& c : r.cells) rows.push_back(line(p, c));
  std::vector<std::size_t> width(rows[0].size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      text += fmt::format("{}{:>{}}", i ? "  " : "", row[i], width[i]);
    text += '\n';
  }
  if (!p.against.empty()) text += fmt::format("less than with {}\n", fmt::join(p.against, ", "));
  for (std::size_t i = 0; i < r.cells.size(); ++i)
    if (!r.cells[i].reason.empty()) text += fmt::format("cell {}: {}\n", i + 1, r.cells[i].reason);
  if (r.stopped) text += "stopped: cells are missing\n";
  return text;
}

std::string explored_csv(const sweep_plan& p, const explored& r) {
  std::string text;
  const auto add = [&text](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i) text += ',';
      text += quoted(row[i]);
    }
    text += '\n';
  };
  add(header(p));
  for (const explored_cell& c : r.cells) add(line(p, c));
  return text;
}

std::string explored_json(const sweep_plan& p, const explored& r) {
  json cells = json::array();
  for (const explored_cell& c : r.cells) {
    json values = json::object(), numbers = json::object(), less = json::object();
    for (std::size_t i = 0; i < p.axes.size(); ++i) values[p.axes[i].key] = c.values[i];
    for (std::size_t i = 0; i < p.columns.size(); ++i) {
      numbers[p.columns[i].name] = c.numbers[i] ? json(*c.numbers[i]) : json();
      if (p.columns[i].less) less[p.columns[i].name] = c.less[i] ? json(*c.less[i]) : json();
    }
    cells.push_back({{"values", values},
                     {"numbers", numbers},
                     {"percent_less", less},
                     {"status", c.status},
                     {"reason", c.reason}});
  }
  const json j = {{"schema", 1},
                  {"status", r.held() ? "held" : "failed"},
                  {"stopped", r.stopped},
                  {"sweep", p.path},
                  {"scenario", p.scenario_path},
                  {"set", p.sets},
                  {"against", p.against},
                  {"cells", cells}};
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace understudy::tb
