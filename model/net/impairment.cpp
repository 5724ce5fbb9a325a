#include "model/net/impairment.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "model/core/wire_bytes.h"

namespace understudy {
namespace {

constexpr const char* clauses =
    "loss P, loss gemodel P [R [1-H [1-K]]], duplicate P, corrupt P, corrupt_all P, delay T [JITTER], "
    "reorder P";

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t from = text.find_first_not_of(" \t\n", i);
    if (from == text.npos) break;
    const std::size_t to = std::min(text.find_first_of(" \t\n", from), text.size());
    words.push_back(text.substr(from, to - from));
    i = to;
  }
  return words;
}

std::optional<double> unit_picos(std::string_view unit) {
  if (unit == "s" || unit == "sec" || unit == "secs") return 1e12;
  if (unit == "ms" || unit == "msec" || unit == "msecs") return 1e9;
  if (unit == "us" || unit == "usec" || unit == "usecs") return 1e6;
  if (unit == "ns") return 1e3;
  if (unit == "ps") return 1;
  return std::nullopt;
}

std::string quoted(std::string_view word) {
  return std::string(1, '\'').append(word).append("'");
}

class parser {
 public:
  explicit parser(std::string_view text) : words_(words_of(text)) {}

  std::variant<impairment_config, impairment_error> run() {
    while (error_.empty() && next_ < words_.size()) clause();
    if (!error_.empty()) return impairment_error{error_};
    return config_;
  }

 private:
  void clause() {
    const std::string word{words_[next_++]};
    if (std::find(seen_.begin(), seen_.end(), word) != seen_.end()) {
      error_ = quoted(word) + " stands twice; each impairment is allowed once";
      return;
    }
    seen_.push_back(word);
    if (word == "loss") {
      loss();
    } else if (word == "duplicate") {
      config_.duplicate = share(word);
    } else if (word == "corrupt") {
      config_.corrupt = share(word);
    } else if (word == "corrupt_all") {
      config_.corrupt_all = share(word);
    } else if (word == "reorder") {
      config_.reorder = share(word);
    } else if (word == "delay") {
      config_.delay = time(word);
      if (number_follows()) config_.jitter = time(word);
    } else if (word == "seed") {
      error_ = "'seed' is not allowed: random streams come from the run's one seed";
    } else {
      error_ = quoted(word) + " is not an impairment; allowed: " + clauses;
    }
  }

  void loss() {
    if (next_ < words_.size() && words_[next_] == "gemodel") {
      ++next_;
      config_.gemodel = true;
      config_.ge_p = share("loss gemodel");
      config_.ge_r = number_follows() ? share("loss gemodel") : 1 - config_.ge_p;
      if (number_follows()) config_.ge_loss_bad = share("loss gemodel");
      if (number_follows()) config_.ge_loss_good = share("loss gemodel");
    } else {
      config_.loss = share("loss");
    }
  }

  static std::string wrong(std::string_view word, std::string_view clause, const char* allowed) {
    return quoted(word) + " after " + quoted(clause) + " is wrong; allowed: " + allowed;
  }
  bool number_follows() const {
    return error_.empty() && next_ < words_.size() && words_[next_].find_first_of("0123456789.") == 0;
  }

  // The number at the head of the next word and what is written behind it, in the same word or as a word of
  // its own that `is_unit` knows.
  template <typename Is_unit>
  bool number(const std::string& clause, const char* allowed, Is_unit is_unit, double& value,
              std::string_view& unit) {
    if (!error_.empty()) return false;
    if (next_ == words_.size()) {
      error_ = quoted(clause) + " lacks its value; allowed: " + allowed;
      return false;
    }
    const std::string_view word = words_[next_++];
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    unit = word.substr(static_cast<std::size_t>(end - word.data()));
    if (code == std::errc{} && unit.empty() && next_ < words_.size() && is_unit(words_[next_]))
      unit = words_[next_++];
    if (code != std::errc{} || !std::isfinite(value) || value < 0 || !(unit.empty() || is_unit(unit))) {
      error_ = wrong(word, clause, allowed);
      return false;
    }
    return true;
  }

  double share(const std::string& clause) {
    constexpr const char* allowed = "0 to 100, in percent";
    double value = 0;
    std::string_view unit;
    if (!number(
            clause, allowed, [](std::string_view w) { return w == "%"; }, value, unit))
      return 0;
    if (value > 100) error_ = wrong(words_[next_ - 1], clause, allowed);
    return value / 100;
  }

  picos time(const std::string& clause) {
    constexpr const char* allowed = "a time of at most 60 s, in s, ms, us (the default), ns or ps";
    double value = 0;
    std::string_view unit;
    if (!number(
            clause, allowed, [](std::string_view w) { return unit_picos(w).has_value(); }, value, unit))
      return 0;
    const double ps = value * unit_picos(unit.empty() ? "us" : unit).value_or(0);
    if (ps > 60e12) error_ = wrong(words_[next_ - 1], clause, allowed);
    return error_.empty() ? static_cast<picos>(std::llround(ps)) : 0;
  }

  std::vector<std::string_view> words_;
  std::size_t next_ = 0;
  std::vector<std::string> seen_;
  impairment_config config_;
  std::string error_;
};

}  // namespace

std::variant<impairment_config, impairment_error> parse_impairment(std::string_view text) {
  return parser(text).run();
}

byte_range corruptible(const frame_ref& f) {
  const std::uint8_t* d = f.data();
  std::uint32_t at = 14;
  if (f.size() < at) return {};
  std::uint32_t type = get16(d + 12);
  if (type == 0x8100 && f.size() >= 18) {
    type = get16(d + 16);
    at = 18;
  }
  const std::uint32_t room = f.size() - at;
  if (type == 0x0800 && room >= 20)
    return {at, std::min(room, std::max<std::uint32_t>(get16(d + at + 2), 20))};
  if (type != 0x86dd || room < 40) return {};
  const bool discovery =
      d[at + 6] == 58 && room > 40 && d[at + 40] >= 133 && d[at + 40] <= 137;  // RFC 4861 4
  if (discovery) return {};
  return {at, std::min(room, 40u + get16(d + at + 4))};
}

frame_ref flip_bit(const frame_ref& f, std::int32_t bit) {
  frame_ref copy = frame_ref::copy_of(f.data(), f.size());
  copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  return copy;
}

impairment::impairment(const impairment_config& config, std::uint64_t seed, const std::string& path)
    : config_(config),
      loss_(seed, path + "/loss"),
      duplicate_(seed, path + "/duplicate"),
      corrupt_(seed, path + "/corrupt"),
      corrupt_all_(seed, path + "/corrupt_all"),
      delay_(seed, path + "/delay"),
      reorder_(seed, path + "/reorder") {}

bool impairment::draw_loss() {
  if (!config_.gemodel) return loss_.chance(config_.loss);
  const bool was_bad = bad_;
  if (loss_.chance(was_bad ? config_.ge_r : config_.ge_p)) bad_ = !bad_;
  return loss_.chance(was_bad ? config_.ge_loss_bad : config_.ge_loss_good);
}

picos impairment::draw_delay(bool& held) {
  const bool chosen = reorder_.chance(config_.reorder);
  held = chosen && config_.delay == 0;
  if (chosen) return 0;
  if (config_.jitter == 0) return config_.delay;
  const picos d = config_.delay + delay_.below(2 * config_.jitter);
  return d < config_.jitter ? 0 : d - config_.jitter;
}

impairment_verdict impairment::judge(const frame_ref& f) {
  impairment_verdict v;
  v.duplicated = duplicate_.chance(config_.duplicate);
  v.lost = draw_loss();
  if (v.lost && v.duplicated) v.lost = v.duplicated = false;  // one copy of two is lost
  if (v.lost) return v;
  if (corrupt_.chance(config_.corrupt)) {
    const byte_range r = corruptible(f);
    if (r.length) v.flipped = static_cast<std::int32_t>(r.offset * 8 + corrupt_.below(r.length * 8));
  }
  if (v.flipped < 0 && corrupt_all_.chance(config_.corrupt_all) && f.size())
    v.flipped = static_cast<std::int32_t>(corrupt_all_.below(f.size() * 8));
  v.delay = draw_delay(v.held);
  return v;
}

}  // namespace understudy
