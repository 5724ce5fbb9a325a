// The one table of all named parameters: `understudy describe params`, docs/parameters.md and the scenario
// reader read it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

enum class parameter_type : std::uint8_t {
  boolean,
  integer,
  word,       // one of the allowed words
  text,       // any string
  word_list,  // a list of allowed words
  path_list,  // a path or a list of paths
  time,       // "5 us"; picos
  rate,       // "10 Gb/s"; bits per second
  size,       // "64 KiB" or a plain number of bytes
  clock,      // "400 MHz" or "2.5 ns"; the picos of one cycle
};
const char* type_name(parameter_type t);

// Where a value lies in a scenario.
using value_ref = std::variant<bool*, std::uint8_t*, std::uint16_t*, std::uint32_t*, std::uint64_t*,
                               std::string*, std::vector<std::string>*>;

struct parameter {
  std::string_view key;
  parameter_type type;
  value_ref (*where)(scenario&);
  // Integer, time, rate, size, clock: the smallest and the largest value, written as a scenario would write
  // them.
  std::string_view least;
  std::string_view most;
  // Word and word_list: what is allowed, separated by '|'. Integer: if not empty, the only values allowed.
  std::string_view allowed;
  // What it is and where the number comes from.
  std::string_view sentence;
};

std::span<const parameter> parameters();
// Null: no such key.
const parameter* find_parameter(std::string_view key);
// The known word that is nearest to `word` in edits, if it is near enough to be what was meant; else empty.
std::string nearest(std::string_view word, std::span<const std::string_view> known);

// The value of `p` in `s` as a scenario file would write it: `"5 us"`, `true`, `["checksum"]`.
std::string value_text(const parameter& p, const scenario& s);
// "5 us" to "10 s"; lwip or twin; true or false.
std::string allowed_text(const parameter& p);
// Key and value of every parameter of `s` that differs from the default.
std::vector<std::pair<std::string, std::string>> changed_parameters(const scenario& s);

// A fault that a [[fault]] can name.
struct fault_kind {
  std::string_view name;
  std::string_view sentence;
};
std::span<const fault_kind> fault_kinds();

// A deliberate defect, which proves that a monitor sees it.
struct mutant {
  std::string_view name;
  std::string_view sentence;
};
std::span<const mutant> mutants();

}  // namespace understudy::tb
