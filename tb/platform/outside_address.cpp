#include "tb/platform/outside_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace understudy::tb {

namespace {

std::optional<station_address> ipv4_host(std::uint32_t value, unsigned prefix) {
  if (prefix > 30) return std::nullopt;
  const std::uint32_t host_part = value & (~0u >> prefix);
  const bool special = value >> 28 >= 14 || value >> 24 == 0 || value >> 24 == 127;
  if (special || host_part == 0 || host_part == ~0u >> prefix) return std::nullopt;
  return station_address{ip_address::v4(value), prefix};
}

// Global and unique local unicast (RFC 4291 2.4, RFC 4193).
std::optional<station_address> ipv6_host(const in6_addr& a, unsigned prefix) {
  ip_address ip;
  std::copy_n(a.s6_addr, 16, ip.bytes.begin());
  const bool unicast = (ip.bytes[0] & 0xe0) == 0x20 || (ip.bytes[0] & 0xfe) == 0xfc;
  if (prefix > 126 || !unicast) return std::nullopt;
  return station_address{ip, prefix};
}

}  // namespace

std::optional<station_address> parse_network_address(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::string ip(text.substr(0, slash));
  const std::string_view bits = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix);
  if (error != std::errc() || end != bits.data() + bits.size() || prefix < 1) return std::nullopt;
  if (in_addr a = {}; inet_pton(AF_INET, ip.c_str(), &a) == 1) return ipv4_host(ntohl(a.s_addr), prefix);
  if (in6_addr a = {}; inet_pton(AF_INET6, ip.c_str(), &a) == 1) return ipv6_host(a, prefix);
  return std::nullopt;
}

std::vector<ip_address> addresses_of(const outside_world& w) {
  std::vector<ip_address> all;
  for (const station_address& a : w.host) all.push_back(a.ip);
  return all;
}

outside_world outside_of(const scenario& s) {
  const auto a = parse_network_address(s.live.address);
  if (!a || !a->ip.is_v4())
    throw scenario_error(
        fmt::format("live.address: \"{}\" is no host's address, allowed: an IPv4 address with prefix length "
                    "1 to 30 such as "
                    "10.77.0.2/24",
                    s.live.address));
  outside_world w{nullptr, {*a}, {}};
  w.host.front().vlan = s.live.vlan;
  if (s.live.address6.empty()) return w;
  const auto b = parse_network_address(s.live.address6);
  if (!b || b->ip.is_v4())
    throw scenario_error(
        fmt::format("live.address6: \"{}\" is no host's address, allowed: an IPv6 address with prefix length "
                    "1 to 126 such as fd77::2/64, or nothing",
                    s.live.address6));
  w.host.push_back(*b);
  w.host.back().vlan = s.live.vlan;
  return w;
}

}  // namespace understudy::tb
