// SHA-256 (FIPS 180-4): names what a campaign ran with and the files that a replay wrote.
#pragma once
#include <string>
#include <string_view>

namespace understudy::tb {

// 64 hex digits.
std::string sha256(std::string_view bytes);
// Of a file; empty if it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace understudy::tb
