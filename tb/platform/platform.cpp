#include "tb/platform/platform.h"

#include <algorithm>
#include <stdexcept>

#include "tb/platform/configure.h"

namespace understudy::tb {

namespace {
constexpr mac_address twin_mac{0x02, 0, 0, 0, 0, 0x03};
}  // namespace

platform::platform(const scenario& s, event_log& l, std::uint32_t connections, bool ipv6, bool with_peer,
                   bool with_twin, recovery_watcher* watcher, const host_software_factory& software,
                   const std::string& waves_dir, const outside_world* outside)
    : log(l), waves_dir_(waves_dir) {
  const unsigned adapters = s.topology.adapters;
  const std::uint16_t peer_vlan = outside ? s.live.vlan : s.topology.peer_vlan;
  const bool apart = with_twin && twin_is_apart(s);
  l2_switch_config ports = switch_of(s, adapters + with_peer + with_twin + (outside != nullptr));
  ports.access_vlan.resize(ports.ports);  // adapters and the outside are on trunks
  if (with_twin) ports.access_vlan[adapters] = s.topology.twin_vlan;
  if (with_peer) ports.access_vlan[adapters + with_twin] = peer_vlan;
  fabric = std::make_unique<l2_switch>("switch", ports);
  fabric->on_port([this](unsigned n, bool up) {  // a port that is down gives no carrier
    for (slot& x : main.slots)
      if (x.switch_port == n) x.link->set_up(eth_link::side_b, up);
  });
  unsigned port = adapters;
  add_slots(main, s, "", adapters, 0, 0);
  const auto station = [ipv6](const ip_address& v4, const ip_address& v6, std::uint16_t vlan) {
    std::vector<station_address> a{{v4, 24, vlan}};
    if (ipv6) a.push_back({v6, 64, vlan});
    return a;
  };
  std::vector<station_address> own = outside ? outside->host : station(host_ip, host_ip6, peer_vlan);
  if (apart)
    for (const station_address& a : station(host_twin_ip, host_twin_ip6, s.topology.twin_vlan))
      own.push_back(a);
  add_host(main, s, "host", host_mac, own, connections, watcher, software);
  if (with_twin) {
    twin.emplace();
    add_slots(*twin, s, "twin_", 1, twin_unit, port++);
    add_host(*twin, s, "twin_host", twin_mac,
             apart ? station(apart_twin_ip, apart_twin_ip6, 0) : station(twin_ip, twin_ip6, 0), connections,
             nullptr, {});
    expected_starts_ = 2;
  }
  if (with_peer) {
    const bool is_lwip = s.peer != "responder";
    eth_link_config link = peer_link_of(s);
    link.unit_b = lwip_unit;
    peer_link = std::make_unique<eth_link>(is_lwip ? "wire_lwip" : "wire_responder", link, log, s.seed);
    fabric->port(port++).bind(peer_link->a);
    if (is_lwip) {
      lwip_peer_config c;
      c.mac = lwip_mac;
      c.ip = outside ? outside->peer : lwip_ip;
      c.prefix = outside ? outside->host.front().prefix : 24;
      if (ipv6 && !outside) c.ip6 = lwip_ip6;
      c.keepalive = s.workload.peer_keepalive;
      if (s.workload.iss != workload_parameters::any_iss) c.iss = static_cast<std::uint32_t>(s.workload.iss);
      lwip = std::make_unique<lwip_peer>("lwip", c, s.seed);
      lwip->eth().bind(peer_link->b);
    } else {
      responder_config c;
      c.mac = responder_mac;
      c.ip = outside ? outside->peer : responder_ip;
      c.mss = static_cast<std::uint16_t>(s.adapter.tcp.mtu - 40);
      responder = std::make_unique<responder_peer>("responder", c, s.seed);
      responder->eth().bind(peer_link->b);
    }
  }
  if (outside) {
    outside_link = std::make_unique<eth_link>("wire_outside", peer_link_of(s), log, s.seed);
    fabric->port(port).bind(outside_link->a);
    outside->ethernet->bind(outside_link->b);
  }
}

void platform::add_slots(host_side& h, const scenario& s, const std::string& prefix, unsigned count,
                         std::uint16_t first_unit, unsigned first_switch_port) {
  h.memory = std::make_unique<host_memory>();
  adapter_config config = adapter_of(s);
  pcie_config bus = pcie_of(s);
  if (!prefix.empty()) {  // the far end is not under test: the twin is always sound
    config.tcp.mutants = {};
    config.mutants = {};
    bus.mutant_interrupt_overtakes = false;
  }
  for (unsigned i = 0; i < count; ++i) {
    slot p;
    const auto unit = static_cast<std::uint16_t>(first_unit + i);
    const std::string name = prefix + adapter_name(i);
    p.port = std::make_unique<pcie_port>((name + "_port").c_str(), bus, *h.memory, log, unit);
    if (!waves_dir_.empty() && prefix.empty()) config.checksum_vcd = waves_dir_ + "/waves_" + name + ".vcd";
    p.device = std::make_unique<adapter>((name + "_adapter").c_str(), config, log, unit);
    eth_link_config link = prefix.empty() ? adapter_link_of(s) : peer_link_of(s);
    link.unit_a = unit;
    p.link = std::make_unique<eth_link>((prefix.empty() ? "wire_" + name : "wire_twin").c_str(), link, log,
                                        s.seed);
    p.switch_port = first_switch_port + i;
    if (s.monitors == "off") {
      p.device->dma.socket.bind(p.port->dma);
    } else {
      p.checker = std::make_unique<protocol_checker>((name + "_tlm").c_str());
      p.device->dma.socket.bind(p.checker->target);
      p.checker->initiator.bind(p.port->dma);
    }
    p.port->mmio.bind(p.device->mmio);
    p.port->cfg.bind(p.device->cfg);
    p.port->on_link([device = p.device.get()](unsigned generation, unsigned lanes) {
      device->link_trained(generation, lanes);
    });
    p.port->on_link_error([device = p.device.get()](std::uint32_t bit) { return device->link_error(bit); });
    p.port->on_link_down([device = p.device.get()] { device->link_went_down(); });
    p.device->on_error([port = p.port.get()](error_message m) { port->send_error_message(m); });
    p.device->ethernet.bind(p.link->a);
    fabric->port(p.switch_port).bind(p.link->b);
    h.slots.push_back(std::move(p));
  }
}

void platform::add_host(host_side& h, const scenario& s, const std::string& name, const mac_address& mac,
                        const std::vector<station_address>& addresses, std::uint32_t connections,
                        recovery_watcher* watcher, const host_software_factory& software) {
  std::vector<pcie_port*> ports;
  std::vector<unsigned> switch_ports;
  for (const slot& p : h.slots) {
    ports.push_back(p.port.get());
    switch_ports.push_back(p.switch_port);
  }
  h.machine = std::make_unique<host_machine>(name.c_str(), costs_of(s), *h.memory, std::move(ports),
                                             fabric.get(), std::move(switch_ports), watcher);
  host::driver_config config = driver_of(s, mac, addresses, connections);
  if (&h != &main) {  // the far end is not under test: it never fails and is always sound
    config.heartbeat_us = 0;
    config.failover = false;
    config.mutants = {};
    config.groups.clear();
    config.hold_us = 0;
  }
  const stream_memory use{s.memory.send == "zero_copy", s.memory.receive == "zero_copy",
                          s.memory.receive_buffer, s.memory.send_buffer,
                          &h == &main && s.has_mutant("touch_lent_memory")};
  if (software) {
    host_software own = software(*h.machine, config);
    h.driver = std::move(own.driver);
    h.streams = std::move(own.streams);
  } else {
    auto driver = std::make_unique<host::driver>(*h.machine, config);
    h.streams = make_socket_streams(*h.machine, *driver, use);
    h.driver = std::move(driver);
  }
}

void platform::start() {
  started_.reserve(2);
  main.machine->post([this] { started_.push_back(main.driver->start()); });
  if (twin) twin->machine->post([this] { started_.push_back(twin->driver->start()); });
}

bool platform::started() const {
  for (const host::start_result& r : started_)
    if (r.error != host::driver_error::none)
      throw std::runtime_error(std::string("the driver refuses an adapter: ") + host::name(r.error) + ": " +
                               r.text);
  return started_.size() == expected_starts_;
}

void platform::kill(unsigned index) {
  slot& p = main.slots.at(index);
  if (p.device->dead()) return;
  p.device->kill();
  p.port->power_off_device();
  p.link->set_up(eth_link::side_a, false);
}

std::vector<std::pair<std::string, eth_link*>> platform::links() const {
  std::vector<std::pair<std::string, eth_link*>> all;
  for (std::size_t i = 0; i < main.slots.size(); ++i)
    all.emplace_back("adapter_" + adapter_name(static_cast<unsigned>(i)), main.slots[i].link.get());
  if (twin) all.emplace_back("twin", twin->slots[0].link.get());
  if (peer_link) all.emplace_back(lwip ? "lwip" : "responder", peer_link.get());
  if (outside_link) all.emplace_back("outside", outside_link.get());
  return all;
}

}  // namespace understudy::tb
