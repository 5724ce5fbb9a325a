// Where a result comes from: the source's revision, the versions of other people's parts, the scenario.
#pragma once
#include <string_view>

#include "tb/report/result.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

std::string_view understudy_version();
// Of the source tree at build time, with "-dirty" for uncommitted changes; "unknown" outside a git
// repository.
std::string_view source_revision();
library_versions built_with();

// Fill in scenario, seed, parameters, marks, revision and versions.
void add_origin(run_result& r, const scenario& s);

}  // namespace understudy::tb
