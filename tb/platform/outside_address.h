// Addresses as a scenario writes them.
#pragma once
#include <optional>
#include <string_view>

#include "model/core/inet.h"
#include "tb/platform/platform.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

struct network_address {
  ip_address ip;
  unsigned prefix = 0;
};

// "10.77.0.2/24": an address that a host of that network may have. Empty: it is not.
std::optional<network_address> parse_network_address(std::string_view text);

// The host of `s` as seen from outside, without a connector. Throws scenario_error for live.address.
outside_world outside_of(const scenario& s);

}  // namespace understudy::tb
