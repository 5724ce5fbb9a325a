// Addresses as a scenario writes them.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "model/core/inet.h"
#include "tb/platform/platform.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// "10.77.0.2/24", "fd77::2/64": an address that a host of that network may have. Empty: it is not.
std::optional<station_address> parse_network_address(std::string_view text);

// The host of `s` as seen from outside, without a connector. Throws scenario_error for live.address and
// live.address6.
outside_world outside_of(const scenario& s);

// Of the host.
std::vector<ip_address> addresses_of(const outside_world& w);

}  // namespace understudy::tb
