// From the values of a scenario to the configurations of the parts.
#pragma once
#include <string>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/adapter/adapter_config.h"
#include "model/net/eth_link.h"
#include "model/net/l2_switch.h"
#include "model/pcie/pcie_port.h"
#include "tb/platform/host_machine.h"
#include "tb/scenario/load.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

adapter_config adapter_of(const scenario& s);
pcie_config pcie_of(const scenario& s);
host_costs costs_of(const scenario& s);
l2_switch_config switch_of(const scenario& s, unsigned ports);
// The link of a peer: rate, delay and impairment; of an adapter: rate alone, on a short cable.
eth_link_config peer_link_of(const scenario& s);
eth_link_config adapter_link_of(const scenario& s);
// An address of a station, with the length of its network's prefix in bits.
struct station_address {
  ip_address ip;
  unsigned prefix;
  std::uint16_t vlan = 0;  // IEEE 802.1Q; 0: untagged
};
// The driver of a host with these addresses, all of them at `mac`. `connections` is how many it will have,
// for sizes.
host::driver_config driver_of(const scenario& s, const mac_address& mac,
                              const std::vector<station_address>& addresses, std::uint32_t connections);

// What the parts have to say to a scenario while it is read.
load_checks checks_of_parts();

// "A", "B", ... for adapter 0, 1, ...
std::string adapter_name(unsigned index);

}  // namespace understudy::tb
