#include "tb/scenario/group_match.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <sstream>

namespace understudy::tb {
namespace {

constexpr const char* words_text =
    "allowed: port N, local PREFIX, remote PREFIX, vlan N, dscp N, process N, set N, priority N, size_class "
    "N";

struct number_word {
  std::string_view word;
  std::uint16_t term;
  std::uint32_t most;
  void (*store)(group_rule&, std::uint32_t);
};
constexpr number_word number_words[] = {
    {"port", US_TERM_LOCAL_PORT, 65535,
     [](group_rule& r, std::uint32_t v) { r.local_port = static_cast<std::uint16_t>(v); }},
    {"vlan", US_TERM_VLAN, US_VLAN_MOST,
     [](group_rule& r, std::uint32_t v) { r.vlan = static_cast<std::uint16_t>(v); }},
    {"dscp", US_TERM_DSCP, 63, [](group_rule& r, std::uint32_t v) { r.dscp = static_cast<std::uint8_t>(v); }},
    {"process", US_TERM_PROCESS, 0xffffffff, [](group_rule& r, std::uint32_t v) { r.process = v; }},
    {"set", US_TERM_SET, 65535,
     [](group_rule& r, std::uint32_t v) { r.set = static_cast<std::uint16_t>(v); }},
    {"priority", US_TERM_PRIORITY, 15,
     [](group_rule& r, std::uint32_t v) { r.priority = static_cast<std::uint8_t>(v); }},
    {"size_class", US_TERM_SIZE_CLASS, 15,
     [](group_rule& r, std::uint32_t v) { r.size_class = static_cast<std::uint8_t>(v); }},
};

bool parse_number(std::string_view text, std::uint32_t most, std::uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out <= most;
}

bool parse_prefix(const std::string& text, ip_address& ip, std::uint8_t& bits) {
  const std::size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  const bool v6 = address.find(':') != address.npos;
  std::uint32_t n = v6 ? 128 : 32;
  if (slash != text.npos && !parse_number(std::string_view(text).substr(slash + 1), n, n)) return false;
  in6_addr six{};
  in_addr four{};
  if (v6) {
    if (inet_pton(AF_INET6, address.c_str(), &six) != 1) return false;
    std::copy(std::begin(six.s6_addr), std::end(six.s6_addr), ip.bytes.begin());
  } else {
    if (inet_pton(AF_INET, address.c_str(), &four) != 1) return false;
    ip = ip_address::v4(ntohl(four.s_addr));
  }
  bits = static_cast<std::uint8_t>(v6 ? n : 96 + n);
  return bits != 0;
}

}  // namespace

group_match parse_group_match(std::string_view text) {
  group_match m;
  const auto wrong = [&m](std::string what) {
    m.error = fmt::format("{}, {}", what, words_text);
    return m;
  };
  std::istringstream in{std::string(text)};
  std::string word, value;
  while (in >> word) {
    if (!(in >> value)) return wrong(fmt::format("\"{}\" has no value", word));
    std::uint16_t term = 0;
    bool good = false;
    for (const number_word& w : number_words) {
      if (w.word != word) continue;
      std::uint32_t v = 0;
      term = w.term;
      good = parse_number(value, w.most, v);
      if (good) w.store(m.rule, v);
    }
    if (word == "local") {
      term = US_TERM_LOCAL_PREFIX;
      good = parse_prefix(value, m.rule.local, m.rule.local_prefix);
    } else if (word == "remote") {
      term = US_TERM_REMOTE_PREFIX;
      good = parse_prefix(value, m.rule.remote, m.rule.remote_prefix);
    }
    if (term == 0) return wrong(fmt::format("\"{}\" is unknown", word));
    if (!good) return wrong(fmt::format("\"{}\" is no value of {}", value, word));
    if (m.rule.terms & term) return wrong(fmt::format("{} is given twice", word));
    m.rule.terms |= term;
  }
  if (m.rule.terms == 0) return wrong("nothing is named");
  return m;
}

}  // namespace understudy::tb
