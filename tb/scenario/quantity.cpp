#include "tb/scenario/quantity.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>
#include <span>

#include "model/core/units.h"

namespace understudy::tb {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr unit time_units[] = {{"ps", 1}, {"ns", 1_ns}, {"us", 1_us}, {"ms", 1_ms}, {"s", 1_s}};
constexpr unit rate_units[] = {
    {"b/s", 1}, {"kb/s", 1'000}, {"Mb/s", 1'000'000}, {"Gb/s", 1'000'000'000}, {"Tb/s", 1'000'000'000'000}};
constexpr unit size_units[] = {{"B", 1},      {"KiB", 1u << 10}, {"MiB", 1u << 20},    {"GiB", 1u << 30},
                               {"kB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}};
constexpr unit clock_units[] = {{"Hz", 1}, {"kHz", 1'000}, {"MHz", 1'000'000}, {"GHz", 1'000'000'000}};
constexpr std::size_t binary_size_units = 4;
constexpr int most_digits = 18;

std::span<const unit> units_of(quantity q) {
  switch (q) {
    case quantity::time:
      return time_units;
    case quantity::rate:
      return rate_units;
    case quantity::size:
      return size_units;
    case quantity::clock:
      return clock_units;
  }
  return {};
}

// A decimal number as digits and a power of ten below them.
struct decimal {
  std::uint64_t digits = 0;
  std::uint64_t scale = 1;
};

// Takes the number off the front of `text`.
std::optional<decimal> take_decimal(std::string_view& text) {
  decimal d;
  int count = 0;
  bool point = false;
  while (!text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || (text[0] == '.' && !point))) {
    if (text[0] == '.') {
      point = true;
    } else {
      if (++count > most_digits) return {};
      d.digits = d.digits * 10 + static_cast<std::uint64_t>(text[0] - '0');
      if (point) d.scale *= 10;
    }
    text.remove_prefix(1);
  }
  if (count == 0) return {};
  return d;
}

std::string_view trim(std::string_view t) {
  while (!t.empty() && t.front() == ' ') t.remove_prefix(1);
  while (!t.empty() && t.back() == ' ') t.remove_suffix(1);
  return t;
}

const unit* find_unit(std::span<const unit> units, std::string_view name) {
  for (const unit& u : units)
    if (u.name == name) return &u;
  return nullptr;
}

quantity_value bad(std::string_view text, const char* what) {
  return {0, fmt::format("\"{}\" {}", text, what)};
}

// `numerator / denominator` to the nearest integer.
quantity_value ratio(std::string_view text, uint128 numerator, uint128 denominator) {
  const uint128 v = (numerator + denominator / 2) / denominator;
  if (v > ~std::uint64_t{0}) return bad(text, "is out of range");
  return {static_cast<std::uint64_t>(v), {}};
}

}  // namespace

quantity_value parse_quantity(std::string_view text, quantity q) {
  std::string_view rest = trim(text);
  const auto d = take_decimal(rest);
  if (!d) return bad(text, "is no number with a unit");
  rest = trim(rest);
  if (rest.empty()) {
    if (q == quantity::clock || (q != quantity::size && d->digits != 0)) return bad(text, "has no unit");
    return ratio(text, d->digits, d->scale);
  }
  if (q == quantity::clock) {
    if (const unit* u = find_unit(clock_units, rest)) {
      if (d->digits == 0) return bad(text, "is out of range");
      return ratio(text, static_cast<uint128>(1_s) * d->scale, static_cast<uint128>(d->digits) * u->factor);
    }
    q = quantity::time;
  }
  const unit* u = find_unit(units_of(q), rest);
  if (!u) return {0, fmt::format("\"{}\" has an unknown unit", text)};
  return ratio(text, static_cast<uint128>(d->digits) * u->factor, d->scale);
}

std::string quantity_text(std::uint64_t value, quantity q) {
  if (q == quantity::clock) {
    if (value == 0 || 1_s % value != 0) return quantity_text(value, quantity::time);
    value = 1_s / value;
  }
  auto units = units_of(q);
  if (q == quantity::size) {
    units = units.first(binary_size_units);
    for (std::size_t i = units.size(); i-- > 1;)
      if (value != 0 && value % units[i].factor == 0)
        return fmt::format("{} {}", value / units[i].factor, units[i].name);
    return fmt::format("{} B", value);
  }
  for (std::size_t i = units.size(); i-- > 1;) {
    const std::uint64_t f = units[i].factor;
    if (value < f || value % (f / 1000) != 0) continue;
    std::string number = fmt::format("{}.{:03}", value / f, value % f / (f / 1000));
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') number.pop_back();
    return fmt::format("{} {}", number, units[i].name);
  }
  return fmt::format("{} {}", value, units[0].name);
}

std::string_view quantity_units(quantity q) {
  switch (q) {
    case quantity::time:
      return "ps, ns, us, ms, s";
    case quantity::rate:
      return "b/s, kb/s, Mb/s, Gb/s, Tb/s";
    case quantity::size:
      return "B, KiB, MiB, GiB";
    case quantity::clock:
      return "Hz, kHz, MHz, GHz, ps, ns, us";
  }
  return {};
}

}  // namespace understudy::tb
