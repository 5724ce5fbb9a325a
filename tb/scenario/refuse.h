// How a file in TOML is refused.
#pragma once
#include <fmt/format.h>
#include <toml++/toml.h>

#include <string>
#include <string_view>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Throws scenario_error "file:line: key: what"; the line is where `at` begins.
[[noreturn]] inline void refuse(const std::string& file, const toml::node& at, std::string_view key,
                                std::string_view what) {
  throw scenario_error(fmt::format("{}:{}: {}: {}", file, at.source().begin.line, key, what));
}

}  // namespace understudy::tb
