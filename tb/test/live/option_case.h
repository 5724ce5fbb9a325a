// Settings of the peer's kernel and of the device: what a connection's two ends agree upon, and in what
// pieces its bytes go.
#pragma once
#include <array>
#include <cstdint>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace understudy::tb {

// How the kernel gets what the adapter sends: each segment alone, joined by the kernel's GRO, or joined
// before it is written to the device.
enum class receive : std::uint8_t { alone, gro, joined };
inline const char* name_of(receive r) {
  return r == receive::alone ? "alone" : r == receive::gro ? "gro" : "joined";
}

struct option_case {
  bool timestamps;
  bool sack;
  bool scaling;
  int ecn;  // the kernel's tcp_ecn: 0 does not ask, 1 asks as RFC 3168 says, 3 asks for accurate ECN
  std::string congestion;
  bool ipv6;
  bool tso;  // the device cuts what the kernel sends
  receive how;
  bool adapter_agrees = true;  // false: the adapter has none of the options

  std::string name() const {
    const auto part = [](const char* what, bool on) { return std::string(what) + (on ? "_on_" : "_off_"); };
    return part("timestamps", timestamps) + part("sack", sack) + part("scaling", scaling) +
           (ecn == 3 ? "accurate_ecn_" : part("ecn", ecn)) + congestion + (ipv6 ? "_ipv6_" : "_ipv4_") +
           part("tso", tso) + name_of(how) + (adapter_agrees ? "" : "_adapter_refuses");
  }
  friend std::ostream& operator<<(std::ostream& out, const option_case& c) { return out << c.name(); }
};

inline const std::array<std::string, 3> congestion_controls{"cubic", "reno", "bbr"};

// Every combination that both ends may agree upon.
inline std::vector<option_case> whole_matrix() {
  std::vector<option_case> all;
  for (unsigned bits = 0; bits < 1u << 6; ++bits)
    for (const std::string& control : congestion_controls)
      for (const receive how : {receive::alone, receive::gro, receive::joined})
        all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, control,
                       (bits & 16) != 0, (bits & 32) != 0, how});
  return all;
}

// A few, in which every two settings meet in every combination: missing_pairs() is none.
inline std::vector<option_case> paired_cases() {
  using enum receive;
  return {{true, true, false, 0, "cubic", true, true, alone},
          {true, false, true, 0, "cubic", false, true, gro},
          {false, true, false, 1, "cubic", false, false, joined},
          {true, false, true, 1, "reno", false, false, alone},
          {true, true, false, 1, "reno", true, false, gro},
          {false, false, true, 0, "reno", true, true, joined},
          {false, false, false, 1, "bbr", true, true, alone},
          {false, false, false, 0, "bbr", true, false, gro},
          {true, true, true, 0, "bbr", false, false, joined}};
}

// Pairs of values of two settings that whole_matrix() has and `some` do not.
inline std::size_t missing_pairs(const std::vector<option_case>& some) {
  using setting = std::pair<int, std::string>;
  const auto pairs = [](const std::vector<option_case>& cases) {
    std::set<std::pair<setting, setting>> all;
    for (const option_case& c : cases) {
      const std::array<std::string, 8> words{
          std::to_string(c.timestamps), std::to_string(c.sack), std::to_string(c.scaling),
          std::to_string(c.ecn),        c.congestion,           std::to_string(c.ipv6),
          std::to_string(c.tso),        name_of(c.how)};
      for (int i = 0; i < 8; ++i)
        for (int k = 0; k < i; ++k) all.insert({{k, words[k]}, {i, words[i]}});
    }
    return all;
  };
  auto missing = pairs(whole_matrix());
  for (const auto& met : pairs(some)) missing.erase(met);
  return missing.size();
}

}  // namespace understudy::tb
