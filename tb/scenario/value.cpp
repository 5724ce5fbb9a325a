#include "tb/scenario/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "tb/scenario/quantity.h"

namespace understudy::tb {
namespace {

using enum parameter_type;

std::optional<quantity> quantity_of(parameter_type t) {
  switch (t) {
    case time:
      return quantity::time;
    case rate:
      return quantity::rate;
    case size:
      return quantity::size;
    case clock:
      return quantity::clock;
    default:
      return {};
  }
}

std::uint64_t plain_number(std::string_view t) {
  std::uint64_t v = 0;
  std::from_chars(t.data(), t.data() + t.size(), v);
  return v;
}

// A limit of the table, which is well-formed.
std::uint64_t limit(const parameter& p, std::string_view t) {
  if (const auto q = quantity_of(p.type)) return parse_quantity(t, *q).value;
  return plain_number(t);
}

std::string quoted(std::string_view t) {
  std::string out = "\"";
  for (char c : t) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : ", ") + quoted(w);
  return "[" + out + "]";
}

std::string value_name(const raw_value& v) {
  struct {
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(std::int64_t i) const { return fmt::format("{}", i); }
    std::string operator()(double d) const { return fmt::format("{}", d); }
    std::string operator()(const std::string& s) const { return quoted(s); }
    std::string operator()(const std::vector<std::string>& l) const { return quoted_list(l); }
    std::string operator()(const other_value& o) const { return std::string(o.name); }
  } name;
  return std::visit(name, v);
}

std::string wrong(const parameter& p, const std::string& what) {
  return fmt::format("{}, allowed: {}", what, allowed_text(p));
}

std::string wrong_type(const parameter& p, const raw_value& v) {
  return wrong(p, value_name(v) + " has the wrong type");
}

std::string unknown_word(const parameter& p, const std::string& w) {
  const auto words = allowed_words(p.allowed);
  const std::string near = nearest(w, words);
  return wrong(p, fmt::format("{} is unknown{}", quoted(w),
                              near.empty() ? "" : fmt::format(" (nearest: {})", quoted(near))));
}

bool is_word(const parameter& p, const std::string& w) {
  const auto words = allowed_words(p.allowed);
  return std::find(words.begin(), words.end(), w) != words.end();
}

// Store an integer into whichever width the member has; the table's limits keep it inside (a test checks that
// they do).
void store(const value_ref& where, std::uint64_t v) {
  std::visit(
      [v](auto* m) {
        using T = std::remove_pointer_t<decltype(m)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) *m = static_cast<T>(v);
      },
      where);
}

std::uint64_t load(const value_ref& where) {
  return std::visit(
      [](auto* m) -> std::uint64_t {
        using T = std::remove_pointer_t<decltype(m)>;
        if constexpr (std::is_integral_v<T>)
          return *m;
        else
          return 0;
      },
      where);
}

std::string assign_number(const parameter& p, const value_ref& where, std::uint64_t v,
                          const std::string& as_written) {
  if (!p.allowed.empty()) {
    if (!is_word(p, fmt::format("{}", v))) return wrong(p, as_written + " is out of range");
  } else if (p.type == clock
                 ? v > limit(p, p.least) || v < limit(p, p.most)  // a cycle: the least clock is the longest
                 : v < limit(p, p.least) || v > limit(p, p.most)) {
    return wrong(p, as_written + " is out of range");
  }
  store(where, v);
  return {};
}

std::string assign_quantity(const parameter& p, const value_ref& where, const raw_value& v, quantity q) {
  std::string written;
  if (const auto* s = std::get_if<std::string>(&v))
    written = *s;
  else if (const auto* i = std::get_if<std::int64_t>(&v))
    written = fmt::format("{}", *i);
  else
    return wrong_type(p, v);
  const quantity_value parsed = parse_quantity(written, q);
  if (!parsed.error.empty()) return wrong(p, parsed.error);
  return assign_number(p, where, parsed.value, value_name(v));
}

}  // namespace

std::vector<std::string_view> allowed_words(std::string_view allowed) {
  std::vector<std::string_view> words;
  while (!allowed.empty()) {
    const std::size_t bar = std::min(allowed.find('|'), allowed.size());
    words.push_back(allowed.substr(0, bar));
    allowed.remove_prefix(std::min(bar + 1, allowed.size()));
  }
  return words;
}

std::string allowed_text(const parameter& p) {
  const auto words = allowed_words(p.allowed);
  switch (p.type) {
    case boolean:
      return "true, false";
    case integer:
      if (!words.empty()) return fmt::format("{}", fmt::join(words, ", "));
      return fmt::format("an integer from {} to {}", p.least, p.most);
    case word:
      return fmt::format("\"{}\"", fmt::join(words, "\", \""));
    case text:
      return "a string";
    case word_list:
      return fmt::format("a list of \"{}\"", fmt::join(words, "\", \""));
    case path_list:
      return "a path or a list of paths";
    case time:
    case rate:
    case size:
    case clock:
      return fmt::format("\"{}\" to \"{}\" (units {})", p.least, p.most,
                         quantity_units(*quantity_of(p.type)));
  }
  return {};
}

std::string value_text(const parameter& p, const scenario& s) {
  // value_ref reaches members of a mutable scenario; the copy keeps `s` untouched.
  scenario copy = s;
  const value_ref where = p.where(copy);
  if (const auto q = quantity_of(p.type)) return quoted(quantity_text(load(where), *q));
  switch (p.type) {
    case boolean:
      return load(where) ? "true" : "false";
    case integer:
      return fmt::format("{}", load(where));
    case word:
    case text:
      return quoted(*std::get<std::string*>(where));
    default:
      return quoted_list(*std::get<std::vector<std::string>*>(where));
  }
}

std::string assign(const parameter& p, const raw_value& v, scenario& s) {
  const value_ref where = p.where(s);
  if (const auto q = quantity_of(p.type)) return assign_quantity(p, where, v, *q);
  switch (p.type) {
    case boolean:
      if (const auto* b = std::get_if<bool>(&v)) {
        *std::get<bool*>(where) = *b;
        return {};
      }
      return wrong_type(p, v);
    case integer:
      if (const auto* i = std::get_if<std::int64_t>(&v)) {
        if (*i < 0) return wrong(p, value_name(v) + " is out of range");
        return assign_number(p, where, static_cast<std::uint64_t>(*i), value_name(v));
      }
      return wrong_type(p, v);
    case word:
      if (const auto* w = std::get_if<std::string>(&v)) {
        if (!is_word(p, *w)) return unknown_word(p, *w);
        *std::get<std::string*>(where) = *w;
        return {};
      }
      return wrong_type(p, v);
    case text:
      if (const auto* w = std::get_if<std::string>(&v)) {
        *std::get<std::string*>(where) = *w;
        return {};
      }
      return wrong_type(p, v);
    case word_list:
      if (const auto* l = std::get_if<std::vector<std::string>>(&v)) {
        for (const auto& w : *l)
          if (!is_word(p, w)) return unknown_word(p, w);
        *std::get<std::vector<std::string>*>(where) = *l;
        return {};
      }
      return wrong_type(p, v);
    case path_list: {
      auto& paths = *std::get<std::vector<std::string>*>(where);
      if (const auto* l = std::get_if<std::vector<std::string>>(&v)) {
        paths = *l;
        return {};
      }
      if (const auto* w = std::get_if<std::string>(&v)) {
        paths.clear();
        if (!w->empty()) paths.push_back(*w);
        return {};
      }
      return wrong_type(p, v);
    }
    default:
      return wrong_type(p, v);
  }
}

}  // namespace understudy::tb
