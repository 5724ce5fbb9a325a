#include "host_sw/apps/http_request.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace understudy::host {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '%') {
      out += s[i];
      continue;
    }
    if (i + 2 >= s.size()) return std::nullopt;
    const int high = hex_digit(s[i + 1]);
    const int low = hex_digit(s[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// The whole of `s` as a number.
std::optional<std::uint64_t> number(std::string_view s) {
  std::uint64_t v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (error != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return v;
}

}  // namespace

std::optional<std::string> path_of_target(std::string_view target) {
  if (const auto scheme = target.find("://"); scheme != target.npos && target[0] != '/') {  // absolute form
    const auto slash = target.find('/', scheme + 3);
    target = slash == target.npos ? "/" : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (target.empty() || target[0] != '/') return std::nullopt;
  const auto path = percent_decoded(target.substr(1));
  if (!path || path->find('\0') != path->npos) return std::nullopt;
  for (std::size_t at = 0; at <= path->size();) {
    const std::size_t slash = std::min(path->find('/', at), path->size());
    if (slash > at && (*path)[at] == '.') return std::nullopt;
    if (slash == at && slash != path->size()) return std::nullopt;
    at = slash + 1;
  }
  return path;
}

byte_range range_of(std::string_view field, std::uint64_t size) {
  const byte_range whole{byte_range::kind::whole, 0, size};
  constexpr std::string_view unit = "bytes=";
  if (field.substr(0, unit.size()) != unit) return whole;
  field.remove_prefix(unit.size());
  const std::size_t dash = field.find('-');
  if (dash == field.npos) return whole;
  const auto first = number(field.substr(0, dash));
  const auto last = number(field.substr(dash + 1));
  if (dash == 0) {  // the last so many bytes
    if (!last) return whole;
    if (*last == 0 || size == 0) return {byte_range::kind::unsatisfiable, 0, 0};
    const std::uint64_t n = std::min(*last, size);
    return {byte_range::kind::part, size - n, n};
  }
  const bool open = dash + 1 == field.size();
  if (!first || (!last && !open) || (last && *last < *first)) return whole;
  if (*first >= size) return {byte_range::kind::unsatisfiable, 0, 0};
  const std::uint64_t end = open ? size - 1 : std::min(*last, size - 1);
  return {byte_range::kind::part, *first, end - *first + 1};
}

std::string_view media_type(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> known[] = {
      {".html", "text/html; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".toml", "text/plain; charset=utf-8"},
      {".css", "text/css"},
      {".js", "text/javascript"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".gif", "image/gif"},
      {".pdf", "application/pdf"},
  };
  for (const auto& [suffix, type] : known)
    if (name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix) return type;
  return "application/octet-stream";
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    const auto u = static_cast<unsigned char>(c);
    out += {'%', digits[u >> 4], digits[u & 15]};
  }
  return out;
}

}  // namespace understudy::host
