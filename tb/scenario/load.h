// Scenario files (TOML) and --set.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Checks that need parts which this library does not see. Empty members check nothing.
struct load_checks {
  // What is wrong with the words of wire.impair; empty: nothing.
  std::function<std::string(const std::string&)> impair;
};

// Where each key that was given got its value: "file:line" or "--set".
using value_origins = std::map<std::string, std::string, std::less<>>;

// The scenario in file `path` with each of `sets` ("KEY=VALUE") applied in order, then checked as a whole.
// Paths in a file are relative to the file's folder, paths in a --set to the working directory. Throws
// scenario_error; touches nothing. `origins` gets where the values come from, unless it is null.
scenario load_scenario(const std::string& path, const std::vector<std::string>& sets = {},
                       const load_checks& checks = {}, value_origins* origins = nullptr);

}  // namespace understudy::tb
