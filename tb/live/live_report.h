// The result of `understudy live` as text and as JSON.
#pragma once
#include <string>

#include "tb/live/live.h"

namespace understudy::tb {

// result.json of schema 1 with a further object "live".
std::string live_json(const live_result& r);
// A screen of text; `out_dir` is what the reader is told about files.
std::string live_summary(const live_result& r, const scenario& s, const std::string& out_dir);

}  // namespace understudy::tb
