#include "tb/embed/embedded_platform.h"

#include <stdexcept>
#include <systemc>

#include "tb/platform/outside_address.h"

namespace understudy::tb {

namespace {

constexpr std::uint32_t usual_connections = 256;
constexpr picos longest_start = 1_s;
constexpr picos settling = 100_us;  // the adapter takes its addresses and announces them

// The address after the host's in its network; before it, if the host has the last one.
ip_address neighbour_of(const outside_world& w) {
  const std::uint32_t host = w.host.front().ip.v4_value();
  const std::uint32_t network = ~0u << (32 - w.host.front().prefix);
  const bool last = ((host + 1) | network) == ~0u;
  return ip_address::v4(last ? host - 1 : host + 1);
}

outside_world world_of(const scenario& s, eth_socket& ethernet) {
  outside_world w = outside_of(s);
  w.ethernet = &ethernet;
  w.peer = neighbour_of(w);
  return w;
}

// The peer beside the program is embed.peer, whoever the scenario's workload would meet.
scenario with_own_peer(scenario s) {
  s.peer = s.embed.peer == "responder" ? "responder" : "lwip";
  return s;
}

}  // namespace

void check_embedded(const scenario& s) {
  if (!s.faults.empty())
    throw scenario_error(
        "fault: an embedded platform takes none from a scenario, allowed: understudy_kill()");
  outside_of(s);
}

embedded_platform::embedded_platform(scenario s)
    : s_(with_own_peer(std::move(s))),
      failovers_(log_, [this] { return driver_->connections(); }),
      port_("outside", [](const frame_ref&) {}),
      outside_(world_of(s_, port_.ethernet())),
      platform_(
          s_, log_, usual_connections, false, s_.embed.peer != "none", false, &failovers_,
          [this](host::hal& machine, const host::driver_config& config) {
            auto d = std::make_unique<host::driver>(machine, config);
            driver_ = d.get();
            return host_software{std::move(d), nullptr};
          },
          {}, &outside_) {
  sockets_ = std::make_unique<host::sockets>(*driver_);
  sockets_->set_notifier(
      [](void* self, int, unsigned) { static_cast<embedded_platform*>(self)->socket_news_ = true; }, this);
  if (s_.monitors != "off")
    monitors_ = std::make_unique<monitor_set>(log_, *driver_, *platform_.main.memory, s_.topology.adapters,
                                              addresses_of(outside_));
  for (unsigned i = 0; i < adapters(); ++i) platform_.main.slots[i].link->set_capture(&emitted_, i);
}

void embedded_platform::start() {
  platform_.start();
  advance_until(longest_start, [this] { return platform_.started(); });
  if (!platform_.started()) throw std::runtime_error("the driver did not start within a simulated second");
  advance(now_ps() + settling);
  if (platform_.lwip) services_.listen(*platform_.lwip);
}

void embedded_platform::nothing_left() {
  throw std::runtime_error("the model stands still");
}

bool embedded_platform::tick() {
  if (!sc_core::sc_pending_activity_at_current_time()) return false;
  sc_core::sc_start(sc_core::SC_ZERO_TIME);
  return true;
}

picos embedded_platform::next_instant() {
  return sc_core::sc_pending_activity_at_future_time()
             ? now_ps() + sc_core::sc_time_to_pending_activity().value()
             : never;
}

void embedded_platform::leap(picos t) {
  if (t > now_ps()) pass_time(t - now_ps());
}

void embedded_platform::advance(picos t) {
  leap(t);
  while (tick()) {
  }
}

bool embedded_platform::step() {
  while (tick()) {
  }
  const picos next = next_instant();
  if (next == never) return false;
  advance(next);
  return true;
}

bool embedded_platform::kill(unsigned adapter) {
  if (adapter >= adapters() || platform_.main.slots[adapter].device->dead()) return false;
  log_.emit({event_kind::fault, static_cast<std::uint16_t>(adapter), now_ps()});
  failovers_.note_fault(adapter);
  platform_.kill(adapter);
  return true;
}

}  // namespace understudy::tb
