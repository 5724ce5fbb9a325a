#include "tb/scenario/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "tb/scenario/parameters.h"
#include "tb/scenario/quantity.h"

namespace understudy::tb {
namespace {

std::string_view group_of(std::string_view key) {
  const std::size_t dot = key.find('.');
  return dot == key.npos ? std::string_view("general") : key.substr(0, dot);
}

std::string when_text(const fault_spec& f) {
  switch (f.when) {
    case fault_spec::trigger::at_time:
      return "at " + quantity_text(f.at, quantity::time);
    case fault_spec::trigger::at_fraction:
      return fmt::format("at {:g} % of the bytes", f.at_fraction * 100);
    case fault_spec::trigger::at_event:
      return fmt::format("at event {}", f.at_event);
  }
  return {};
}

constexpr std::string_view fault_keys = R"(
## [[fault]]

Each `[[fault]]` table is one injected fault; `--set 'fault=[]'` removes those of the file. It has `kind`, `target`, and exactly
one of `at`, `at_fraction` and `at_event`.

* `fault.kind` (word; no default): {}.
  What happens.
* `fault.target` (word; default `"active"`): `"active"` or an adapter, `"A"` to `"P"`.
  To whom: the adapter that serves when the fault strikes, or a named one.
* `fault.at` (time): a time in ps, ns, us, ms or s.
  When: an instant of simulated time.
* `fault.at_fraction` (number): 0 to 1.
  When: that share of the workload's bytes has been delivered, both directions together.
* `fault.at_event` (integer): from 1.
  When: the event with this number has happened; numbers are those of the run's event log.
)";

constexpr std::string_view group_keys = R"(
## [[memory.group]]

Each `[[memory.group]]` table is a group of receive buffers for the connections that match; up to 15 of them, beside the default
group, which serves all others. The most specific group wins: of two that can match one connection, one must contain the other.

* `memory.group.match` (string or table; no default): `port N`, `local PREFIX`, `remote PREFIX`, `vlan N`, `dscp N`, `process N`,
  `set N`, `priority N`, `size_class N`, all of which must hold.
  `"port 80 remote 10.0.0.0/8"`: the local port is 80 and the peer is in 10.0.0.0/8.
* `memory.group.buffers` (integer; default `64`): 1 to 65536.
  Buffers of the group.
* `memory.group.size` (size; default `"16 KiB"`): 1 KiB to 1 MiB, at least `adapter.mtu`.
  Bytes of one.
* `memory.group.borrow` (true or false; default `false`).
  Take buffers of the default group when there are none left; otherwise windows close until some come back.
* `memory.group.limit` (size; default 0): 0 B to 1 GiB.
  Bytes that one connection is granted ahead of its reader; 0: `memory.receive_buffer`.
* `memory.group.low`, `memory.group.high` (integers; default 0): low to high to buffers.
  With fewer free buffers than `low`, until there are `high` again, only connections without a window get one.
* `memory.group.quota` (integer; default 0): 0 to 65535.
  Connections not yet announced to the host that may hold one of its buffers; 0: no limit.
* `memory.group.window` (integer; default 0): 0 to 1048576.
  Adaptive limit: after so many buffers have come back the driver looks at how many of them were at least half full. 0: `buffers` is the
  limit.
* `memory.group.least`, `memory.group.most` (integers; default a quarter and twice of `buffers`): least to buffers to most.
  Buffers that may be out when few come back full, and when many do; between, `buffers`.
* `memory.group.fill_low`, `memory.group.fill_high` (integers; default 25 and 75): 0 to 100.
  Percent of full ones below which the limit goes down, and from which on it goes up, a step a window.
)";

}  // namespace

std::string describe_parameters() {
  const scenario defaults;
  std::string out =
      "# Parameters\n\n"
      "Printed by `understudy describe params`. A scenario file gives them in TOML, `--set KEY=VALUE` on the "
      "command line.\n"
      "Numbers with a unit are strings: `\"5 us\"`, `\"10 Gb/s\"`, `\"64 KiB\"`.\n";
  std::string_view group;
  for (const parameter& p : parameters()) {
    if (group_of(p.key) != group) {
      group = group_of(p.key);
      out += fmt::format("\n## {}\n\n", group);
    }
    out += fmt::format("* `{}` ({}; default `{}`): {}.\n  {}\n", p.key, type_name(p.type),
                       value_text(p, defaults), allowed_text(p), p.sentence);
  }
  std::vector<std::string> kinds;
  for (const auto& k : fault_kinds()) kinds.push_back(fmt::format("`\"{}\"`", k.name));
  return out + std::string(group_keys) + fmt::format(fmt::runtime(fault_keys), fmt::join(kinds, ", "));
}

std::string describe_topology(const scenario& s) {
  std::string twins;
  if (s.topology.twin_connections && s.peer != "twin")
    twins = fmt::format(" + {} to twin", s.topology.twin_connections);
  return fmt::format("{} adapter{}, PCIe gen {} x{}, wire {} {}{}{}; peer {}{}", s.topology.adapters,
                     s.topology.adapters == 1 ? "" : "s", s.pcie.generation, s.pcie.lanes,
                     quantity_text(s.wire.rate, quantity::rate), quantity_text(s.wire.delay, quantity::time),
                     s.wire.impair.empty() ? "" : ", ", s.wire.impair, s.peer, twins);
}

std::string describe_workload(const scenario& s) {
  if (s.workload.capture.empty())
    return fmt::format("{} connection{}, {} each {}", s.workload.connections ? s.workload.connections : 1,
                       s.workload.connections > 1 ? "s" : "", quantity_text(s.workload.bytes, quantity::size),
                       s.workload.direction == "both" ? "way" : s.workload.direction);
  std::vector<std::string> names;
  for (const auto& c : s.workload.capture) names.push_back(std::filesystem::path(c).filename().string());
  return fmt::format(
      "{} from {}, adapter is {}, pace {}",
      s.workload.connections ? fmt::format("{} connections", s.workload.connections) : "all connections",
      fmt::join(names, ", "), s.workload.side, s.workload.pace);
}

std::string describe_faults(const scenario& s) {
  std::string out;
  for (const auto& f : s.faults)
    out += fmt::format("{}{} {} {}", out.empty() ? "" : "; ", f.kind, f.target, when_text(f));
  return out;
}

std::vector<std::string> marks_of(const scenario& s) {
  std::vector<std::string> marks;
  if (s.monitors == "off") marks.push_back("monitors are off: invariants were not checked");
  if (!s.mutants.empty()) marks.push_back(fmt::format("deliberate defects: {}", fmt::join(s.mutants, ", ")));
  if (!s.commit.rule) marks.push_back("commit.rule is false: ACKs do not wait for the host");
  if (s.commit.proof == "trusted_delay")
    marks.push_back("commit.proof is trusted_delay: a stated bound stands for proof");
  return marks;
}

}  // namespace understudy::tb
