#include "tb/platform/outside_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <string>

namespace understudy::tb {

std::optional<network_address> parse_network_address(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::string ip(text.substr(0, slash));
  const std::string_view bits = text.substr(slash + 1);
  in_addr a = {};
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix);
  if (inet_pton(AF_INET, ip.c_str(), &a) != 1 || error != std::errc() || end != bits.data() + bits.size() ||
      prefix < 1 || prefix > 30)
    return std::nullopt;
  const std::uint32_t value = ntohl(a.s_addr);
  const std::uint32_t host_part = value & (~0u >> prefix);
  const bool special = value >> 28 >= 14 || value >> 24 == 0 || value >> 24 == 127;
  if (special || host_part == 0 || host_part == ~0u >> prefix) return std::nullopt;
  return network_address{ip_address::v4(value), prefix};
}

outside_world outside_of(const scenario& s) {
  const auto a = parse_network_address(s.live.address);
  if (!a)
    throw scenario_error(
        fmt::format("live.address: \"{}\" is no host's address, allowed: an IPv4 address with prefix length "
                    "1 to 30 such as "
                    "10.77.0.2/24",
                    s.live.address));
  return {nullptr, a->ip, a->prefix, {}};
}

}  // namespace understudy::tb
