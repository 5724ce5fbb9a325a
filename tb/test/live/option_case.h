// Settings of the peer's kernel that decide what a connection's two ends agree upon.
#pragma once
#include <array>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace understudy::tb {

struct option_case {
  bool timestamps;
  bool sack;
  bool scaling;
  int ecn;  // the kernel's tcp_ecn: 0 does not ask, 1 asks as RFC 3168 says, 3 asks for accurate ECN
  std::string congestion;
  bool ipv6;
  bool offloads;               // segmentation and receive offloads of the device
  bool adapter_agrees = true;  // false: the adapter has none of the options

  std::string name() const {
    const auto part = [](const char* what, bool on) { return std::string(what) + (on ? "_on_" : "_off_"); };
    return part("timestamps", timestamps) + part("sack", sack) + part("scaling", scaling) +
           (ecn == 3 ? "accurate_ecn_" : part("ecn", ecn)) + congestion + (ipv6 ? "_ipv6_" : "_ipv4_") +
           (offloads ? "offloads_on" : "offloads_off") + (adapter_agrees ? "" : "_adapter_refuses");
  }
  friend std::ostream& operator<<(std::ostream& out, const option_case& c) { return out << c.name(); }
};

inline const std::array<std::string, 3> congestion_controls{"cubic", "reno", "bbr"};

// Every combination that both ends may agree upon.
inline std::vector<option_case> whole_matrix() {
  std::vector<option_case> all;
  for (unsigned bits = 0; bits < 1u << 6; ++bits)
    for (const std::string& control : congestion_controls)
      all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, control,
                     (bits & 16) != 0, (bits & 32) != 0});
  return all;
}

// A few, in which every two settings meet in every combination: missing_pairs() is none.
inline std::vector<option_case> paired_cases() {
  return {{true, true, true, 1, "cubic", false, true},  {true, false, true, 1, "bbr", true, true},
          {true, false, true, 1, "bbr", true, false},   {true, false, false, 0, "reno", false, true},
          {false, true, true, 1, "reno", true, false},  {false, true, true, 0, "cubic", true, true},
          {false, true, false, 0, "bbr", false, false}, {false, false, false, 1, "cubic", true, false}};
}

// Pairs of values of two settings that whole_matrix() has and `some` do not.
inline std::size_t missing_pairs(const std::vector<option_case>& some) {
  using setting = std::pair<int, std::string>;
  const auto pairs = [](const std::vector<option_case>& cases) {
    std::set<std::pair<setting, setting>> all;
    for (const option_case& c : cases) {
      const std::array<std::string, 7> words{
          std::to_string(c.timestamps), std::to_string(c.sack), std::to_string(c.scaling),
          std::to_string(c.ecn),        c.congestion,           std::to_string(c.ipv6),
          std::to_string(c.offloads)};
      for (int i = 0; i < 7; ++i)
        for (int k = 0; k < i; ++k) all.insert({{k, words[k]}, {i, words[i]}});
    }
    return all;
  };
  auto missing = pairs(whole_matrix());
  for (const auto& met : pairs(some)) missing.erase(met);
  return missing.size();
}

}  // namespace understudy::tb
