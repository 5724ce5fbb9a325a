// Putting a value into its place in a scenario, with every check that concerns one parameter alone.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tb/scenario/parameters.h"

namespace understudy::tb {

// A value as written, before it is known what it is for. `other` names what it is instead ("a table").
struct other_value {
  std::string_view name;
};
using raw_value =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>, other_value>;

// Store `v`; returns what is wrong and what is allowed, or an empty string. On an error the scenario is as
// before.
std::string assign(const parameter& p, const raw_value& v, scenario& s);

// The words of parameter::allowed.
std::vector<std::string_view> allowed_words(std::string_view allowed);

}  // namespace understudy::tb
