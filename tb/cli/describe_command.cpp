#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "model/abi/understudy_abi.h"
#include "model/core/tcp_connection.h"
#include "tb/cli/commands.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"
#include "tb/scenario/describe.h"
#include "tb/scenario/parameters.h"

namespace understudy::tb {
namespace {

using json = nlohmann::ordered_json;

struct register_row {
  std::string_view name;
  std::uint32_t offset;
  std::string_view access;
  std::uint32_t reset;
  std::string_view sentence;
};

constexpr register_row registers[] = {
#define US_X(name, offset, access, reset, sentence) {#name, offset, #access, reset, sentence},
    US_REGISTERS(US_X)
#undef US_X
};

// Of each transmit queue, at US_TX_QUEUE(n).
constexpr register_row tx_registers[] = {
#define US_X(name, offset, access, reset, sentence) {#name, offset, #access, reset, sentence},
    US_TX_REGISTERS(US_X)
#undef US_X
};

// A page: its file's name, the text of it and the same as JSON.
struct page {
  std::string file;
  std::string text;
  json rows;
};

page parameter_page() {
  json rows = json::array();
  const scenario defaults;
  for (const parameter& p : parameters())
    rows.push_back({{"key", p.key},
                    {"type", type_name(p.type)},
                    {"default", value_text(p, defaults)},
                    {"least", p.least},
                    {"most", p.most},
                    {"allowed", allowed_text(p)},
                    {"sentence", p.sentence}});
  return {"parameters.md", describe_parameters(), rows};
}

page register_page() {
  json rows = json::array();
  std::string text =
      "# Registers\n\nPrinted by `understudy describe registers`. BAR 0, 32 bits wide; ro: read only, rw: "
      "read and write, wo: "
      "write only, reads as 0.\n\n";
  const auto add = [&](const register_row& r, const std::string& prefix, std::uint32_t base) {
    rows.push_back({{"name", prefix + std::string(r.name)},
                    {"offset", base + r.offset},
                    {"access", r.access},
                    {"reset", r.reset},
                    {"sentence", r.sentence}});
    text += fmt::format("* `{}{}` (0x{:03x}, {}; after reset 0x{:08x}): {}\n", prefix, r.name,
                        base + r.offset, r.access, r.reset, r.sentence);
  };
  for (const register_row& r : registers) add(r, "", 0);
  text += fmt::format(
      "\n## Transmit queues\n\nOf queue 0; those of queue n lie {} n bytes further on, and are there if n is "
      "below `TX_QUEUES`.\n\n",
      US_TX_BLOCK_BYTES);
  for (const register_row& r : tx_registers) add(r, "TX_", US_TX_QUEUE(0));
  return {"registers.md", text, rows};
}

page fault_page() {
  json rows = json::array();
  std::string text =
      "# Faults\n\nPrinted by `understudy describe faults`. Kinds of `[[fault]]`, then the deliberate "
      "defects of `mutants`.\n\n";
  for (const auto& f : fault_kinds()) {
    rows.push_back({{"kind", f.name}, {"mutant", false}, {"sentence", f.sentence}});
    text += fmt::format("* `{}`: {}\n", f.name, f.sentence);
  }
  text += "\n## mutants\n\n";
  for (const auto& m : mutants()) {
    rows.push_back({{"kind", m.name}, {"mutant", true}, {"sentence", m.sentence}});
    text += fmt::format("* `{}`: {}\n", m.name, m.sentence);
  }
  return {"faults.md", text, rows};
}

page monitor_page(std::span<const monitor_row> monitors) {
  json rows = json::array();
  std::string text =
      "# Monitors\n\nPrinted by `understudy describe monitors`. Each is checked in every run.\n\n";
  for (const auto& m : monitors) {
    rows.push_back({{"id", m.id}, {"sentence", m.sentence}});
    text += fmt::format("* `{}`: {}\n", m.id, m.sentence);
  }
  return {"monitors.md", text, rows};
}

page connection_state_page() {
  json rows = json::array();
  std::string text =
      "# State of a connection\n\nPrinted by `understudy describe connection_state`, from "
      "`model/core/connection_fields.h`. Hard: "
      "losing it breaks the protocol; soft: it is learnt again. Constant: chosen once; cached: the host owns "
      "it; delegated: the "
      "adapter does. The error that a substitute may start with: exact (none), low, high, any. Source: of "
      "the "
      "rule. Substitute: how it gets the field.\n\n"
      "| Field | Bytes | Loss | Holder | Error | Source | Substitute | "
      "|\n|---|---|---|---|---|---|---|---|\n";
  for (const connection_field& f : connection_fields()) {
    rows.push_back({{"field", f.name},
                    {"type", f.type},
                    {"bytes", f.bytes},
                    {"loss", f.hardness},
                    {"holder", f.holder},
                    {"error", f.safe},
                    {"source", f.source},
                    {"substitute", f.way},
                    {"sentence", f.sentence}});
    text += fmt::format("| `{}` | {} | {} | {} | {} | {} | {} | {} |\n", f.name, f.bytes, f.hardness,
                        f.holder, f.safe, f.source, f.way, f.sentence);
  }
  return {"connection_state.md", text, rows};
}

page page_of(const std::string& topic, const cli_environment& env) {
  if (topic == "params") return parameter_page();
  if (topic == "registers") return register_page();
  if (topic == "faults") return fault_page();
  if (topic == "connection_state") return connection_state_page();
  return monitor_page(env.monitors);
}

}  // namespace

int describe_command(const std::string& topic, const common_arguments& a, const cli_environment& env) {
  const page p = page_of(topic, env);
  if (!a.out.empty()) {
    prepare_folder(a.out);
    write_whole(a.out + "/" + p.file, p.text);
  }
  if (a.json)
    *env.out << p.rows.dump(2) << '\n';
  else if (a.out.empty())
    *env.out << p.text;
  return exit_held;
}

int version_command(const common_arguments& a, const cli_environment& env) {
  const library_versions v = built_with();
  if (a.json) {
    *env.out << json{{"version", understudy_version()},
                     {"revision", source_revision()},
                     {"versions", {{"systemc", v.systemc}, {"verilator", v.verilator}, {"lwip", v.lwip}}}}
                    .dump(2)
             << '\n';
  } else {
    *env.out << fmt::format("understudy {} ({}); SystemC {}, Verilator {}, lwIP {}\n", understudy_version(),
                            source_revision(), v.systemc, v.verilator, v.lwip);
  }
  return exit_held;
}

}  // namespace understudy::tb
