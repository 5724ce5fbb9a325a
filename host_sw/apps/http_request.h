// What a file server needs to understand of a request, as plain functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::host {

// The path below the root that a request target names ("" for "/"), percent-decoded, without query. Empty
// optional: not a path, or one that leaves the root or names a hidden file.
std::optional<std::string> path_of_target(std::string_view target);

struct byte_range {
  enum class kind : std::uint8_t { whole, part, unsatisfiable };
  kind what = kind::whole;
  std::uint64_t first = 0;
  std::uint64_t length = 0;
};
// What a Range field asks of `size` bytes (RFC 9110 14.2). Absent, malformed, of another unit or of several
// ranges: the whole.
byte_range range_of(std::string_view field, std::uint64_t size);

// Media type by the name's suffix; application/octet-stream if it says nothing.
std::string_view media_type(std::string_view name);

// `text` for use inside HTML.
std::string html_escaped(std::string_view text);
// `text` as a path segment of a URI.
std::string percent_encoded(std::string_view text);

}  // namespace understudy::host
