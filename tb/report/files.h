// Files that are either whole or not there.
#pragma once
#include <string>
#include <string_view>

#include "tb/report/result.h"

namespace understudy::tb {

// Make the folder `path` with its parents, or take it as it is; it must be writable. Throws
// std::runtime_error: path, cause.
void prepare_folder(const std::string& path);

// Write `text` to `path` by way of a temporary file beside it and a rename: `path` holds the old or the new
// text, never a part. Throws std::runtime_error: path, cause.
void write_whole(const std::string& path, std::string_view text);

// `out_dir`/result.json and `out_dir`/summary.txt.
void write_result(const std::string& out_dir, const run_result& r, std::string_view summary);

}  // namespace understudy::tb
