#include "tb/scenario/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <utility>

#include "model/core/dma_block.h"
#include "tb/scenario/group_match.h"
#include "tb/scenario/parameters.h"
#include "tb/scenario/quantity.h"
#include "tb/scenario/value.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& where, std::string_view key, std::string_view what) {
  std::string line = fmt::format("{}: {}{}{}", where, key, key.empty() ? "" : ": ", what);
  std::replace(line.begin(), line.end(), '\n', ' ');
  throw scenario_error(line);
}

constexpr const char* set_where = "--set";

// What one reading fills: a scenario and where its values come from.
struct reading {
  scenario values;
  value_origins from;
  std::vector<std::string> fault_from;  // by fault
  std::vector<std::string> group_from;  // by memory group
};

struct place {
  std::string file;  // empty: a --set
  fs::path folder;   // relative paths start here
  std::string of(const toml::node& n) const {
    return file.empty() ? set_where : fmt::format("{}:{}", file, n.source().begin.line);
  }
};

std::string read_text(const std::string& path) {
  std::error_code e;
  if (fs::is_directory(path, e)) fail(path, "", "cannot read: Is a directory");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) fail(path, "", fmt::format("cannot read: {}", std::strerror(errno ? errno : EIO)));
  return text.str();
}

raw_value raw(const toml::node& n) {
  if (const auto* b = n.as_boolean()) return b->get();
  if (const auto* i = n.as_integer()) return i->get();
  if (const auto* f = n.as_floating_point()) return f->get();
  if (const auto* s = n.as_string()) return s->get();
  if (const auto* a = n.as_array()) {
    std::vector<std::string> list;
    for (const auto& item : *a) {
      if (!item.is_string()) return other_value{"a list of other things than strings"};
      list.push_back(item.as_string()->get());
    }
    return list;
  }
  return other_value{n.is_table() ? "a table" : "a date or time"};
}

void make_paths_absolute_from(const fs::path& folder, std::vector<std::string>& paths) {
  for (auto& p : paths) p = (folder / p).lexically_normal().string();
}

void read_parameter(const std::string& key, const toml::node& n, const place& at, reading& r) {
  const parameter* p = find_parameter(key);
  if (!p) {
    std::vector<std::string_view> known{"fault", "memory.group"};
    for (const auto& k : parameters()) known.push_back(k.key);
    const std::string near = nearest(key, known);
    fail(at.of(n), key,
         near.empty() ? "unknown key, allowed: what `understudy describe params` lists"
                      : fmt::format("unknown key, nearest allowed: {}", near));
  }
  const std::string error = assign(*p, raw(n), r.values);
  if (!error.empty()) fail(at.of(n), key, error);
  if (p->type == parameter_type::path_list)
    make_paths_absolute_from(at.folder, *std::get<std::vector<std::string>*>(p->where(r.values)));
  r.from[key] = at.of(n);
}

std::string fault_string(const toml::node& n, const std::string& where, std::string_view key) {
  if (const auto* s = n.as_string()) return s->get();
  fail(where, key, "has the wrong type, allowed: a string");
}

std::string kinds_text() {
  std::string t;
  for (const auto& k : fault_kinds()) t += fmt::format("{}\"{}\"", t.empty() ? "" : ", ", k.name);
  return t;
}

constexpr const char* target_text = "\"active\" or an adapter, \"A\" to \"P\"";

bool is_target(std::string_view t) {
  return t == "active" || (t.size() == 1 && t[0] >= 'A' && t[0] <= 'P');
}

void read_fault_key(std::string_view name, const toml::node& n, const std::string& where, fault_spec& f,
                    int& triggers) {
  const std::string key = fmt::format("fault.{}", name);
  if (name == "kind") {
    f.kind = fault_string(n, where, key);
    for (const auto& k : fault_kinds())
      if (k.name == f.kind) return;
    fail(where, key, fmt::format("\"{}\" is unknown, allowed: {}", f.kind, kinds_text()));
  } else if (name == "target") {
    f.target = fault_string(n, where, key);
    if (!is_target(f.target))
      fail(where, key, fmt::format("\"{}\" is unknown, allowed: {}", f.target, target_text));
  } else if (name == "at") {
    ++triggers;
    f.when = fault_spec::trigger::at_time;
    constexpr const char* allowed = "allowed: a time such as \"5 ms\" (units ps, ns, us, ms, s)";
    if (!n.is_string() && !n.is_integer()) fail(where, key, fmt::format("has the wrong type, {}", allowed));
    const std::string text = n.is_string() ? n.as_string()->get() : fmt::format("{}", n.as_integer()->get());
    const quantity_value v = parse_quantity(text, quantity::time);
    if (!v.error.empty()) fail(where, key, fmt::format("{}, {}", v.error, allowed));
    f.at = v.value;
  } else if (name == "at_fraction") {
    ++triggers;
    f.when = fault_spec::trigger::at_fraction;
    const auto v = n.value<double>();
    if (!n.is_number() || !v) fail(where, key, "has the wrong type, allowed: a number from 0 to 1");
    if (!(*v >= 0 && *v <= 1))
      fail(where, key, fmt::format("{} is out of range, allowed: a number from 0 to 1", *v));
    f.at_fraction = *v;
  } else if (name == "at_event") {
    ++triggers;
    f.when = fault_spec::trigger::at_event;
    if (!n.is_integer()) fail(where, key, "has the wrong type, allowed: an integer from 1");
    const std::int64_t v = n.as_integer()->get();
    if (v < 1) fail(where, key, fmt::format("{} is out of range, allowed: an integer from 1", v));
    f.at_event = static_cast<std::uint64_t>(v);
  } else {
    constexpr std::string_view known[] = {"kind", "target", "at", "at_fraction", "at_event"};
    const std::string near = nearest(name, known);
    fail(where, key,
         near.empty() ? "unknown key, allowed: kind, target, at, at_fraction, at_event"
                      : fmt::format("unknown key, nearest allowed: fault.{}", near));
  }
}

// Entries of a table in the order in which they were written.
std::vector<std::pair<std::string, const toml::node*>> in_order(const toml::table& t) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [k, n] : t) entries.emplace_back(std::string(k.str()), &n);
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const auto& x = a.second->source().begin;
    const auto& y = b.second->source().begin;
    return std::pair(x.line, x.column) < std::pair(y.line, y.column);
  });
  return entries;
}

// Replaces all faults read before.
void read_faults(const toml::node& n, const place& at, reading& r) {
  const toml::array* list = n.as_array();
  if (!list) fail(at.of(n), "fault", "has the wrong type, allowed: [[fault]] tables");
  r.values.faults.clear();
  r.fault_from.clear();
  for (const auto& item : *list) {
    const std::string where = at.of(item);
    const toml::table* t = item.as_table();
    if (!t) fail(where, "fault", "has the wrong type, allowed: [[fault]] tables");
    fault_spec f;
    int triggers = 0;
    for (const auto& [k, v] : in_order(*t)) read_fault_key(k, *v, at.of(*v), f, triggers);
    if (f.kind.empty()) fail(where, "fault.kind", fmt::format("is missing, allowed: {}", kinds_text()));
    if (triggers != 1)
      fail(where, "fault",
           fmt::format("{} given, allowed: exactly one of at, at_fraction, at_event",
                       triggers ? "more than one instant is" : "no instant is"));
    r.values.faults.push_back(std::move(f));
    r.fault_from.push_back(where);
  }
}

// ---- [[memory.group]]

std::uint64_t group_number(const toml::node& n, const std::string& where, const std::string& key,
                           std::optional<quantity> unit, std::uint64_t least, std::uint64_t most) {
  const bool counted = !unit;
  const auto text = [&](std::uint64_t v) { return unit ? quantity_text(v, *unit) : fmt::format("{}", v); };
  const std::string allowed =
      fmt::format("allowed: {}{} to {}", counted ? "an integer from " : "", text(least), text(most));
  std::uint64_t value = 0;
  if (n.is_integer() && n.as_integer()->get() >= 0) {
    value = static_cast<std::uint64_t>(n.as_integer()->get());
  } else if (n.is_string() && unit) {
    const quantity_value v = parse_quantity(n.as_string()->get(), *unit);
    if (!v.error.empty()) fail(where, key, fmt::format("{}, {}", v.error, allowed));
    value = v.value;
  } else {
    fail(where, key, fmt::format("has the wrong type, {}", allowed));
  }
  if (value < least || value > most)
    fail(where, key, fmt::format("{} is out of range, {}", text(value), allowed));
  return value;
}

// A string of words, or a table of the same words.
std::string match_text(const toml::node& n, const std::string& where, const std::string& key) {
  if (const auto* s = n.as_string()) return s->get();
  const toml::table* t = n.as_table();
  if (!t)
    fail(where, key,
         "has the wrong type, allowed: a string such as \"port 80 remote 10.0.0.0/8\" or a table");
  std::string text;
  for (const auto& [word, v] : in_order(*t)) {
    if (!v->is_string() && !v->is_integer())
      fail(where, fmt::format("{}.{}", key, word), "has the wrong type, allowed: a string or an integer");
    text += fmt::format("{}{} {}", text.empty() ? "" : " ", word,
                        v->is_string() ? v->as_string()->get() : fmt::format("{}", v->as_integer()->get()));
  }
  return text;
}

void read_group_key(std::string_view name, const toml::node& n, const std::string& where, memory_group& g) {
  const std::string key = fmt::format("memory.group.{}", name);
  const auto number = [&](std::optional<quantity> unit, std::uint64_t least, std::uint64_t most) {
    return static_cast<std::uint32_t>(group_number(n, where, key, unit, least, most));
  };
  if (name == "match") {
    g.match = match_text(n, where, key);
    if (const group_match m = parse_group_match(g.match); !m.error.empty()) fail(where, key, m.error);
  } else if (name == "buffers") {
    g.buffers = number(std::nullopt, 1, 65536);
  } else if (name == "size") {
    g.bytes = number(quantity::size, 1024, 1024 * 1024);
    if (g.bytes % 1024)
      fail(where, key, fmt::format("{} is no multiple of 1 KiB, allowed: whole KiB", g.bytes));
  } else if (name == "borrow") {
    if (!n.is_boolean()) fail(where, key, "has the wrong type, allowed: true or false");
    g.borrow = n.as_boolean()->get();
  } else if (name == "limit") {
    g.limit = number(quantity::size, 0, 1u << 30);
  } else if (name == "low") {
    g.low = number(std::nullopt, 0, 65536);
  } else if (name == "high") {
    g.high = number(std::nullopt, 0, 65536);
  } else if (name == "quota") {
    g.quota = number(std::nullopt, 0, 65535);
  } else if (name == "window") {
    g.window = number(std::nullopt, 0, 1u << 20);
  } else if (name == "least") {
    g.least = number(std::nullopt, 1, 65536);
  } else if (name == "most") {
    g.most = number(std::nullopt, 1, 65536);
  } else if (name == "fill_low") {
    g.fill_low = number(std::nullopt, 0, 100);
  } else if (name == "fill_high") {
    g.fill_high = number(std::nullopt, 1, 100);
  } else {
    constexpr std::string_view known[] = {"match", "buffers",  "size",     "borrow", "limit",
                                          "low",   "high",     "quota",    "window", "least",
                                          "most",  "fill_low", "fill_high"};
    const std::string near = nearest(name, known);
    fail(where, key,
         near.empty() ? fmt::format("unknown key, allowed: {}", fmt::join(known, ", "))
                      : fmt::format("unknown key, nearest allowed: memory.group.{}", near));
  }
}

// Replaces all groups read before.
void read_groups(const toml::node& n, const place& at, reading& r) {
  const toml::array* list = n.as_array();
  if (!list) fail(at.of(n), "memory.group", "has the wrong type, allowed: [[memory.group]] tables");
  r.values.memory.groups.clear();
  r.group_from.clear();
  for (const auto& item : *list) {
    const std::string where = at.of(item);
    const toml::table* t = item.as_table();
    if (!t) fail(where, "memory.group", "has the wrong type, allowed: [[memory.group]] tables");
    memory_group g;
    for (const auto& [k, v] : in_order(*t)) read_group_key(k, *v, at.of(*v), g);
    if (g.match.empty())
      fail(where, "memory.group.match",
           "is missing, allowed: a string such as \"port 80 remote 10.0.0.0/8\"");
    if (g.low > g.high || g.high > g.buffers)
      fail(where, "memory.group.low",
           fmt::format("{} and high {} are out of order, allowed: low to high to buffers = {}", g.low, g.high,
                       g.buffers));
    if (g.least == 0) g.least = std::max(1u, g.buffers / 4);
    if (g.most == 0) g.most = std::min(65536u, 2 * g.buffers);
    if (g.least > g.buffers || g.buffers > g.most)
      fail(where, "memory.group.least",
           fmt::format("{} and most {} do not enclose buffers = {}, allowed: least to buffers to most",
                       g.least, g.most, g.buffers));
    if (g.fill_low >= g.fill_high)
      fail(where, "memory.group.fill_low",
           fmt::format("{} is not below fill_high = {}, allowed: below it", g.fill_low, g.fill_high));
    r.values.memory.groups.push_back(std::move(g));
    r.group_from.push_back(where);
  }
}

bool is_group(std::string_view prefix) {
  for (const auto& p : parameters())
    if (p.key.size() > prefix.size() && p.key.substr(0, prefix.size()) == prefix &&
        p.key[prefix.size()] == '.')
      return true;
  return false;
}

void read_table(const toml::table& t, const std::string& prefix, const place& at, reading& r) {
  for (const auto& [k, n] : in_order(t)) {
    const std::string key = prefix.empty() ? k : fmt::format("{}.{}", prefix, k);
    if (key == "fault")
      read_faults(*n, at, r);
    else if (key == "memory.group")
      read_groups(*n, at, r);
    else if (n->is_table() && is_group(key))
      read_table(*n->as_table(), key, at, r);
    else
      read_parameter(key, *n, at, r);
  }
}

void read_file(const std::string& path, reading& r) {
  const std::string text = read_text(path);
  try {
    const toml::table t = toml::parse(text, path);
    read_table(t, "", {path, fs::path(path).parent_path()}, r);
  } catch (const toml::parse_error& e) {
    fail(fmt::format("{}:{}", path, e.source().begin.line), "", fmt::format("not TOML: {}", e.description()));
  }
}

// The value of one --set as TOML; `key` and `wanted` are for the message.
toml::table parse_set_value(const std::string& key, const std::string& value, const std::string& wanted) {
  const std::string error =
      fmt::format("{} is not TOML, allowed: {}", value.empty() ? "an empty value" : value, wanted);
  try {
    toml::table t = toml::parse("v = " + value);
    if (t.size() != 1 || !t.contains("v")) fail(set_where, key, error);
    return t;
  } catch (const toml::parse_error&) {
    fail(set_where, key, error);
  }
}

// Whether --set takes a value for `p` as it stands.
bool taken_as_string(const parameter& p, const std::string& value) {
  const char first = value.empty() ? ' ' : value[0];
  if (first == '"' || first == '\'') return false;
  if (p.type == parameter_type::path_list) return first != '[';
  return p.type == parameter_type::word || p.type == parameter_type::text;
}

void apply_set(const std::string& set, reading& r) {
  const std::size_t equals = set.find('=');
  if (equals == set.npos) fail(set_where, set, "no value, allowed: KEY=VALUE");
  const std::string key = set.substr(0, equals);
  const std::string value = set.substr(equals + 1);
  if (key.empty()) fail(set_where, "", fmt::format("\"{}\" has no key, allowed: KEY=VALUE", set));
  const place at{"", ""};
  if (key == "fault") {
    read_faults(
        *parse_set_value(key, value, "a list such as [{kind = \"kill\", at_fraction = 0.5}]").get("v"), at,
        r);
    return;
  }
  if (key == "memory.group") {
    read_groups(*parse_set_value(key, value, "a list such as [{match = \"port 80\", buffers = 64}]").get("v"),
                at, r);
    return;
  }
  const parameter* p = find_parameter(key);
  if (p && taken_as_string(*p, value)) {
    const toml::value<std::string> as_it_stands(value);
    read_parameter(key, as_it_stands, at, r);
    return;
  }
  if (!p) {
    read_parameter(key, toml::value<bool>(false), at, r);
    return;
  }
  read_parameter(key, *parse_set_value(key, value, allowed_text(*p)).get("v"), at, r);
}

// ---- checks of several parameters together. Each names the key that was set, the last one given if both
// were.

struct checker {
  const reading& r;
  std::string where(std::string_view key) const {
    const auto i = r.from.find(key);
    return i == r.from.end() ? r.values.path : i->second;
  }
  bool given(std::string_view key) const { return r.from.contains(key); }
  // Blames `key`, or `other` if only that was given.
  [[noreturn]] void blame(std::string_view key, std::string_view other, const std::string& what) const {
    if (!given(key) && given(other)) fail(where(other), other, what);
    fail(where(key), key, what);
  }
};

void check_workload(const checker& c) {
  const scenario& s = c.r.values;
  for (const auto& path : s.workload.capture) {
    std::error_code e;
    if (!fs::is_regular_file(path, e))
      fail(c.where("workload.capture"), "workload.capture",
           fmt::format("{} cannot be read, allowed: a pcap or pcapng file", path));
  }
  if (s.workload.capture.empty() && s.workload.pace == "capture")
    c.blame("workload.pace", "workload.capture",
            "\"capture\" has no meaning here, allowed: with a workload.capture");
  const std::uint32_t connections = s.workload.connections;
  const std::uint32_t most = connections || !s.workload.capture.empty() ? connections : 1;
  if (most && s.topology.twin_connections > most)
    c.blame(
        "topology.twin_connections", "workload.connections",
        fmt::format("{} of {} connections to a twin is out of range, allowed: at most workload.connections",
                    s.topology.twin_connections, most));
  if (s.workload.active && (!s.workload.capture.empty() || s.workload.phases))
    c.blame("workload.active", s.workload.phases ? "workload.phases" : "workload.capture",
            fmt::format("{} has no meaning here, allowed: without workload.capture and workload.phases",
                        s.workload.active));
  if (s.peer == "responder" && (!s.workload.capture.empty() || s.workload.phases))
    c.blame("peer", s.workload.phases ? "workload.phases" : "workload.capture",
            "\"responder\" only echoes, allowed: without workload.capture and workload.phases");
  if (s.peer == "responder" && s.workload.direction != "both")
    c.blame("workload.direction", "peer",
            fmt::format("\"{}\" is impossible, allowed: \"both\" with peer = \"responder\", which echoes",
                        s.workload.direction));
  if (s.peer == "responder" && s.workload.side == "server" && !s.wire.impair.empty())
    c.blame("wire.impair", "peer",
            "a responder sends its SYN only once, allowed: empty, or workload.side = \"client\"");
  if (s.workload.raw_queues == 1 || s.workload.raw_queues > s.adapter.tx_queues)
    c.blame("workload.raw_queues", "adapter.tx_queues",
            fmt::format("{} queues are impossible, allowed: 0, or 2 to adapter.tx_queues = {}",
                        s.workload.raw_queues, s.adapter.tx_queues));
  if (connections > s.adapter.tcp.max_connections)
    c.blame("workload.connections", "adapter.connections",
            fmt::format("{} connections do not fit, allowed: at most adapter.connections = {}", connections,
                        s.adapter.tcp.max_connections));
}

void check_groups(const reading& r) {
  const scenario& s = r.values;
  if (s.memory.groups.size() >= US_GROUPS)
    fail(r.group_from[US_GROUPS - 1], "memory.group",
         fmt::format("{} groups are too many, allowed: at most {}", s.memory.groups.size(), US_GROUPS - 1));
  group_rules rules;
  for (std::size_t i = 0; i < s.memory.groups.size(); ++i) {
    const memory_group& g = s.memory.groups[i];
    const std::uint32_t segment = s.adapter.tcp.mtu;
    if (g.bytes < segment)
      fail(r.group_from[i], "memory.group.size",
           fmt::format("{} holds less than a segment, allowed: at least adapter.mtu = {}", g.bytes, segment));
    const us_status status = rules.set(static_cast<unsigned>(i + 1), parse_group_match(g.match).rule);
    if (status == US_ERR_BAD_ADDRESS)
      fail(r.group_from[i], "memory.group.match",
           fmt::format("\"{}\" matches nothing, allowed: prefixes of one family", g.match));
    if (status != US_OK)
      fail(r.group_from[i], "memory.group.match",
           fmt::format(
               "\"{}\" is ambiguous beside a group before it, allowed: groups of which one contains the "
               "other, or that have no connection in common",
               g.match));
  }
}

// What the preset says goes for whatever the scenario does not say.
void apply_preset(reading& r) {
  struct limits {
    std::string_view name;
    std::uint32_t connections;
    std::uint32_t buffer;  // bytes of one direction; 0: not limited
  };
  constexpr limits known[] = {
      {"tonic", 1024, 0}, {"eth_toe", 10'000, 64 * 1024}, {"flextoe", 16'384, 0}, {"f4t", 65'536, 0}};
  for (const limits& l : known) {
    if (l.name != r.values.adapter.preset) continue;
    const auto set = [&r](const char* key, std::uint32_t& value, std::uint32_t to) {
      if (!r.from.contains(key)) value = to;
    };
    set("adapter.connections", r.values.adapter.tcp.max_connections, l.connections);
    if (!l.buffer) continue;
    set("memory.receive_buffer", r.values.memory.receive_buffer, l.buffer);
    set("memory.send_buffer", r.values.memory.send_buffer, l.buffer);
  }
}

void check_order(const checker& c, const char* low, picos low_value, const char* high, picos high_value) {
  if (low_value > high_value)
    c.blame(low, high,
            fmt::format("{} = {} is above {} = {}, allowed: not above it", low,
                        quantity_text(low_value, quantity::time), high,
                        quantity_text(high_value, quantity::time)));
}

// Parameters that only count beside another one, and differ from what they are without.
void check_company(const checker& c) {
  const scenario& s = c.r.values;
  const scenario defaults;
  const auto check = [&](bool counts, std::string_view with, std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
      if (counts || !c.given(key)) continue;
      const parameter& p = *find_parameter(key);
      const std::string value = value_text(p, s);
      if (value != value_text(p, defaults))
        fail(c.where(key), key, fmt::format("{} has no meaning here, allowed: with {}", value, with));
    }
  };
  check(s.pcie.cache != 0, "a pcie.cache above 0 B",
        {"pcie.device_cache", "pcie.untouched_lines", "pcie.core_snoop", "pcie.cache_miss",
         "pcie.remote_node"});
  check(s.pcie.iommu, "pcie.iommu = true",
        {"pcie.iommu_page", "pcie.iommu_entries", "pcie.iommu_walk", "pcie.iommu_walkers"});
  check_order(c, "pcie.read_jitter_p95", s.pcie.read_jitter_p95, "pcie.read_jitter_p999",
              s.pcie.read_jitter_p999);
}

void check_together(const reading& r, const load_checks& checks) {
  const checker c{r};
  const scenario& s = r.values;
  check_workload(c);
  check_groups(r);
  const tcp_config& t = s.adapter.tcp;
  check_order(c, "adapter.rto_min", t.rto_min, "adapter.rto_max", t.rto_max);
  check_order(c, "adapter.rto_initial", t.rto_initial, "adapter.rto_max", t.rto_max);
  check_order(c, "adapter.persist_min", t.persist_min, "adapter.persist_max", t.persist_max);
  if (s.memory.buffer_bytes % 1024 != 0)
    c.blame("memory.buffer_bytes", "",
            fmt::format("{} is no multiple of 1 KiB, allowed: whole KiB", s.memory.buffer_bytes));
  if (s.memory.receive_buffer < s.memory.buffer_bytes)
    c.blame("memory.receive_buffer", "memory.buffer_bytes",
            fmt::format("{} is smaller than one buffer, allowed: at least memory.buffer_bytes = {}",
                        quantity_text(s.memory.receive_buffer, quantity::size),
                        quantity_text(s.memory.buffer_bytes, quantity::size)));
  if (s.failover.heartbeat % 1_us != 0)
    c.blame("failover.heartbeat", "",
            fmt::format("{} is no whole number of microseconds, allowed: whole us",
                        quantity_text(s.failover.heartbeat, quantity::time)));
  const auto& rtl = s.adapter.rtl;
  if (s.adapter.dma_tags > dma_block_tags && std::find(rtl.begin(), rtl.end(), "dma_engine") != rtl.end())
    c.blame("adapter.dma_tags", "adapter.rtl",
            fmt::format("{} are more than rtl/dma_engine.sv has, allowed with dma_engine in adapter.rtl: at "
                        "most {}",
                        s.adapter.dma_tags, dma_block_tags));
  if (!std::has_single_bit(s.pcie.iommu_page))
    c.blame("pcie.iommu_page", "",
            fmt::format("{} is no power of two, allowed: 4 KiB, 8 KiB, 16 KiB, ... 1 GiB",
                        quantity_text(s.pcie.iommu_page, quantity::size)));
  check_company(c);
  if (checks.impair && !s.wire.impair.empty()) {
    const std::string error = checks.impair(s.wire.impair);
    if (!error.empty()) c.blame("wire.impair", "", error);
  }
  for (std::size_t i = 0; i < s.faults.size(); ++i) {
    const std::string& target = s.faults[i].target;
    if (target != "active" && static_cast<std::uint32_t>(target[0] - 'A') >= s.topology.adapters)
      fail(r.fault_from[i], "fault.target",
           fmt::format("\"{}\" does not exist, allowed: \"active\" or one of the {} of topology.adapters",
                       target, s.topology.adapters));
  }
}

}  // namespace

scenario load_scenario(const std::string& path, const std::vector<std::string>& sets,
                       const load_checks& checks, value_origins* origins) {
  reading r;
  r.values.path = path;
  if (!path.empty()) read_file(path, r);
  for (const auto& set : sets) apply_set(set, r);
  apply_preset(r);
  workload_parameters& w = r.values.workload;
  if (w.active && w.connections == 0 && w.capture.empty())
    w.connections = r.values.adapter.tcp.max_connections;
  check_together(r, checks);
  if (origins) *origins = std::move(r.from);
  return r.values;
}

}  // namespace understudy::tb
