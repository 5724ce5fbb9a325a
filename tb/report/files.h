// Files that are either whole or not there.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "tb/report/result.h"

namespace understudy::tb {

// Make the folder `path` with its parents, or take it as it is; it must be writable. Throws
// std::runtime_error: path, cause.
void prepare_folder(const std::string& path);

struct file_text {
  std::string path, text;
};

// Write all of `files`, or none: each by way of a temporary file beside it (its name and ".partial"), and by
// a rename when all of those are written, so that a path holds the old or the new text, never a part. A path
// that is a symbolic link stays one: what it leads to is written. What is there and is no regular file, such
// as a FIFO or a device, is written where it is. Throws std::runtime_error: path, cause.
void write_set(std::span<const file_text> files);

// One file by write_set().
void write_whole(const std::string& path, std::string_view text);

// `out_dir`/result.json and `out_dir`/summary.txt.
void write_result(const std::string& out_dir, const run_result& r, std::string_view summary);

}  // namespace understudy::tb
