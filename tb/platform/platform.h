// The whole arrangement of one simulation: a host with its adapters, a switch, and the peers.
//
//   driver - host_machine - pcie_port - adapter - eth_link - l2_switch - eth_link - lwip_peer
//                         (one of each an adapter)                     \ eth_link - adapter of the twin's
//                         host                                       or the real network (tb/live)
#pragma once
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/adapter/adapter.h"
#include "model/core/event_log.h"
#include "model/net/eth_link.h"
#include "model/net/l2_switch.h"
#include "model/pcie/host_memory.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/protocol_checker.h"
#include "tb/peers/lwip_peer.h"
#include "tb/peers/responder/responder_peer.h"
#include "tb/platform/configure.h"
#include "tb/platform/host_machine.h"
#include "tb/platform/host_streams.h"
#include "tb/scenario/scenario.h"

namespace understudy::tb {

// Numbers of ports and adapters in the event log.
inline constexpr std::uint16_t twin_unit = 100;
inline constexpr std::uint16_t lwip_unit = 200;  // or the responder

inline constexpr ip_address host_ip = ip_address::v4(10, 0, 0, 1);
inline constexpr ip_address lwip_ip = ip_address::v4(10, 0, 0, 2);
inline constexpr ip_address twin_ip = ip_address::v4(10, 0, 0, 3);
inline constexpr ip_address responder_ip = ip_address::v4(10, 0, 0, 4);
// Of those that talk over IPv6 as well; /64.
inline constexpr ip_address host_ip6 = ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1});
inline constexpr ip_address lwip_ip6 = ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2});
inline constexpr ip_address twin_ip6 = ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 3});
// Of the host's second address and of the twin, where the twin has a VLAN of its own.
inline constexpr ip_address host_twin_ip = ip_address::v4(10, 0, 1, 1);
inline constexpr ip_address apart_twin_ip = ip_address::v4(10, 0, 1, 3);
inline constexpr ip_address host_twin_ip6 = ip_address::v6({0xfd00, 0, 0, 1, 0, 0, 0, 1});
inline constexpr ip_address apart_twin_ip6 = ip_address::v6({0xfd00, 0, 0, 1, 0, 0, 0, 3});
inline constexpr ip_address host_ips[] = {host_ip, host_ip6, host_twin_ip, host_twin_ip6};
inline bool is_hosts(const ip_address& ip) {
  return std::find(std::begin(host_ips), std::end(host_ips), ip) != std::end(host_ips);
}
inline bool twin_is_apart(const scenario& s) {
  return s.topology.twin_vlan != s.topology.peer_vlan;
}

inline constexpr mac_address host_mac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr mac_address lwip_mac{0x02, 0, 0, 0, 0, 0x02};
inline constexpr mac_address responder_mac{0x02, 0, 0, 0, 0, 0x04};

// An adapter in its slot: the bus above it and the cable behind it.
struct slot {
  std::unique_ptr<pcie_port> port;
  std::unique_ptr<adapter> device;
  std::unique_ptr<protocol_checker> checker;  // none with monitors = "off"
  std::unique_ptr<eth_link> link;             // side a: the adapter
  unsigned switch_port = 0;
};

// A host: memory, CPU, slots, driver, sockets.
struct host_side {
  std::unique_ptr<host_memory> memory;
  std::vector<slot> slots;
  std::unique_ptr<host_machine> machine;
  std::unique_ptr<host::any_driver> driver;
  std::unique_ptr<host_streams> streams;
};

// What lies beyond the simulation: frames cross `ethernet`, and the main host is known there as `host`.
struct outside_world {
  eth_socket* ethernet = nullptr;
  std::vector<station_address> host;  // IPv4 first
  ip_address peer;                    // of the lwIP beside, if there is one; IPv4
};

class platform {
 public:
  // `ipv6`: hosts and lwIP have IPv6 addresses too. `with_peer`: the lwIP or the responder that `s` names is
  // there. `watcher` hears of recoveries on the main host. `software` runs on it; empty: our driver and
  // sockets. `waves_dir`: where blocks in RTL write waveforms; empty: none. `outside`: none if null, beside
  // the peers. Throws scenario_error.
  platform(const scenario& s, event_log& log, std::uint32_t connections, bool ipv6, bool with_peer,
           bool with_twin, recovery_watcher* watcher, const host_software_factory& software = {},
           const std::string& waves_dir = {}, const outside_world* outside = nullptr);

  // Have the drivers start, as the first thing their CPUs do. Throws std::runtime_error later, from
  // done_starting(), if an adapter was refused.
  void start();
  // True once every driver has started; throws std::runtime_error with the driver's words if one was refused.
  bool started() const;

  // Adapter `index` of the main host dies now, with its end of bus and cable.
  void kill(unsigned index);

  host_side main;
  std::optional<host_side> twin;
  std::unique_ptr<lwip_peer> lwip;
  std::unique_ptr<responder_peer> responder;  // at most one of both
  std::unique_ptr<eth_link> peer_link;        // of the one that there is; side a: the switch
  std::unique_ptr<eth_link> outside_link;     // side a: the switch
  std::unique_ptr<l2_switch> fabric;
  event_log& log;

  // Every link with the name a capture gives it.
  std::vector<std::pair<std::string, eth_link*>> links() const;

 private:
  std::string waves_dir_;
  void add_slots(host_side& h, const scenario& s, const std::string& prefix, unsigned count,
                 std::uint16_t first_unit, unsigned first_switch_port);
  void add_host(host_side& h, const scenario& s, const std::string& name, const mac_address& mac,
                const std::vector<station_address>& addresses, std::uint32_t connections,
                recovery_watcher* watcher, const host_software_factory& software);
  std::vector<host::start_result> started_;
  std::size_t expected_starts_ = 1;
};

}  // namespace understudy::tb
