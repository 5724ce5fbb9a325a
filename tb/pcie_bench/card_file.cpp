#include "tb/pcie_bench/card_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "devices.h"
#include "tb/scenario/quantity.h"
#include "tb/scenario/refuse.h"

namespace understudy::tb {
namespace {

constexpr picos longest = 1'000'000'000;  // 1 ms

std::string text_of(const std::string& name) {
  if (name == "nfp6000") return nfp6000_toml;
  if (!name.ends_with(".toml"))
    throw scenario_error(
        fmt::format("--device: \"{}\" is unknown, allowed: nfp6000 or a file that ends in .toml", name));
  std::ifstream in(name, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) throw scenario_error(fmt::format("{}: cannot read", name));
  return text.str();
}

}  // namespace

card_parameters load_card(const std::string& name_or_path) {
  toml::table file;
  try {
    file = toml::parse(text_of(name_or_path), name_or_path);
  } catch (const toml::parse_error& e) {
    throw scenario_error(fmt::format("{}:{}: {}", name_or_path, e.source().begin.line, e.description()));
  }
  card_parameters c;
  const std::map<std::string_view, picos*> times = {{"read_overhead", &c.read_overhead},
                                                    {"write_overhead", &c.write_overhead},
                                                    {"command_overhead", &c.command_overhead},
                                                    {"memory_byte", &c.memory_byte},
                                                    {"write_issue", &c.write_issue},
                                                    {"write_chunk", &c.write_chunk},
                                                    {"tlp_gap", &c.tlp_gap},
                                                    {"short_gap", &c.short_gap},
                                                    {"partial_read", &c.partial_read},
                                                    {"shared_byte", &c.shared_byte}};
  const std::map<std::string_view, std::uint32_t*> numbers = {{"chunk", &c.chunk},
                                                              {"read_slots", &c.read_slots}};
  const auto fail = [&](const toml::node& n, std::string_view key, std::string_view what) {
    refuse(name_or_path, n, fmt::format("card.{}", key), what);
  };
  for (const auto& [key, node] : file)
    if (key != "card" || !node.is_table())
      refuse(name_or_path, node, key.str(), "unknown key, allowed: a table [card]");
  std::size_t given = 0;
  if (const toml::table* card = file["card"].as_table()) {
    for (const auto& [key, node] : *card) {
      ++given;
      if (const auto t = times.find(key.str()); t != times.end()) {
        const quantity_value v = parse_quantity(node.value_or(std::string()), quantity::time);
        if (!v.error.empty() || v.value > longest)
          fail(node, key.str(), "allowed: a time from 0 to 1 ms, such as \"4.14 ns\"");
        *t->second = v.value;
      } else if (const auto i = numbers.find(key.str()); i != numbers.end()) {
        const std::int64_t v = node.value_or(std::int64_t{0});
        if (!node.is_integer() || v < 2 || v > 65536)
          fail(node, key.str(), "allowed: an integer from 2 to 65536");
        *i->second = static_cast<std::uint32_t>(v);
      } else {
        fail(node, key.str(), "unknown key, allowed: the twelve of traces/devices/nfp6000.toml");
      }
    }
  }
  if (given != times.size() + numbers.size())
    throw scenario_error(fmt::format("{}: {} of {} parameters of [card] are missing", name_or_path,
                                     times.size() + numbers.size() - given, times.size() + numbers.size()));
  return c;
}

}  // namespace understudy::tb
