#include "model/net/l2_switch.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <string>
#include <utility>

#include "model/core/fifo.h"
#include "model/core/vlan.h"
#include "model/core/wire_bytes.h"

namespace understudy {
namespace {

mac_address mac_at(const std::uint8_t* p) {
  mac_address m;
  std::copy_n(p, m.size(), m.begin());
  return m;
}
std::uint64_t station_of(std::uint16_t vlan, const mac_address& mac) {
  return std::uint64_t{vlan} << 48 | std::uint64_t{get16(mac.data())} << 32 | get32(mac.data() + 2);
}
bool is_group(const mac_address& m) {
  return m[0] & 1;
}
// IEEE 802.1Q table 8-1: never relayed.
bool is_link_local(const mac_address& m) {
  return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] < 0x10;
}

}  // namespace

struct l2_switch::port_state : eth_if {
  port_state(l2_switch& s, unsigned n)
      : owner(s),
        number(n),
        socket(("out" + std::to_string(n)).c_str(), ("in" + std::to_string(n)).c_str(), *this) {}
  picos take(frame_ref f) override {
    owner.arrived(number, std::move(f));
    return now_ps();
  }
  l2_switch& owner;
  unsigned number;
  eth_socket socket;
  fifo<queued_frame> queue;
  std::uint64_t queued_bytes = 0;
  picos free_at = 0;
  bool waiting = false;  // pump() is on the agenda
  bool up = true;
  bool holding = false;
  std::deque<held_frame> hold;
};

l2_switch::l2_switch(const sc_core::sc_module_name& name, const l2_switch_config& config)
    : sc_module(name), config_(config) {
  for (unsigned p = 0; p < config.ports; ++p) ports_.push_back(std::make_unique<port_state>(*this, p));
}
l2_switch::~l2_switch() = default;

eth_socket& l2_switch::port(unsigned p) {
  return ports_[p]->socket;
}
bool l2_switch::is_up(unsigned p) const {
  return ports_[p]->up;
}
std::uint64_t l2_switch::held_frames() const {
  std::uint64_t n = 0;
  for (const auto& s : ports_) n += s->hold.size();
  return n;
}

int l2_switch::port_of(const mac_address& mac, std::uint16_t vlan) const {
  const auto it = table_.find(station_of(vlan, mac));
  return it == table_.end() ? -1 : static_cast<int>(it->second);
}

void l2_switch::arrived(unsigned p, frame_ref f) {
  ++count_.received;
  if (!ports_[p]->up) return lose(count_.down_dropped, f, frame_loss::carrier);
  if (f.size() < 14) return;
  std::uint16_t vlan = vlan_of(f);
  if (const std::uint16_t own = access_vlan(p)) {
    if (vlan != 0 && vlan != own) {
      ++count_.vlan_dropped;
      return;
    }
    f = with_vlan_tag(without_vlan_tag(f), own);
    vlan = own;
  }
  const mac_address source = mac_at(f.data() + 6);
  if (!is_group(source)) {
    const auto [it, is_new] = table_.try_emplace(station_of(vlan, source), p);
    if (!is_new && it->second != p) {
      ++count_.moved;
      if (!ports_[it->second]->holding) it->second = p;
    }
  }
  agenda_.in(config_.latency, [this, p, vlan, f = std::move(f)] { relay(p, vlan, f); });
}

void l2_switch::relay(unsigned from, std::uint16_t vlan, const frame_ref& f) {
  const mac_address destination = mac_at(f.data());
  if (is_link_local(destination)) return;
  const int to = is_group(destination) ? -1 : port_of(destination, vlan);
  if (to >= 0) {
    if (static_cast<unsigned>(to) == from) return;
    ++count_.forwarded;
    send_to(static_cast<unsigned>(to), from, f);
    return;
  }
  ++count_.flooded;
  for (unsigned q = 0; q < config_.ports; ++q)
    if (q != from && (access_vlan(q) == 0 || access_vlan(q) == vlan)) send_to(q, from, f);
}

void l2_switch::send_to(unsigned p, unsigned from, const frame_ref& as_it_came) {
  port_state& s = *ports_[p];
  const frame_ref f = access_vlan(p) ? without_vlan_tag(as_it_came) : as_it_came;
  if (s.holding) {
    hold(p, from, f);
  } else if (!s.up) {
    lose(count_.down_dropped, f, frame_loss::carrier);
  } else if (s.queued_bytes + f.size() > config_.queue_bytes) {
    lose(count_.queue_dropped, f, frame_loss::queue);
  } else {
    s.queued_bytes += f.size();
    s.queue.push_back({f, from});
    pump(p);
  }
}

void l2_switch::hold(unsigned p, unsigned from, const frame_ref& f) {
  if (held_bytes_ + f.size() > config_.hold_bytes) return lose(count_.hold_dropped, f, frame_loss::hold);
  ++count_.held;
  held_bytes_ += f.size();
  ports_[p]->hold.push_back({f, from, ++order_});
}

void l2_switch::pump(unsigned p) {
  port_state& s = *ports_[p];
  while (!s.waiting && !s.queue.empty()) {
    if (now_ps() < s.free_at) {
      s.waiting = true;
      agenda_.at(s.free_at, [this, p] {
        ports_[p]->waiting = false;
        pump(p);
      });
      return;
    }
    const frame_ref f = s.queue.pop_front().f;
    s.queued_bytes -= f.size();
    ++count_.sent;
    s.free_at = s.socket.out->take(f);
  }
}

void l2_switch::port_down_and_hold(unsigned p) {
  port_state& s = *ports_[p];
  if (s.holding) return;
  set_up(p, false);
  s.holding = true;
  for (std::size_t i = 0; i < s.queue.size(); ++i) hold(p, s.queue[i].from, s.queue[i].f);
  s.queue.clear();
  s.queued_bytes = 0;
}

void l2_switch::release(unsigned from_port, unsigned to_port) {
  port_state& from = *ports_[from_port];
  port_state& to = *ports_[to_port];
  if (!from.holding) return;
  from.holding = false;
  if (from_port == to_port) set_up(to_port, true);
  for (auto& [station, port] : table_)
    if (port == from_port) port = to_port;
  std::deque<held_frame> frames = std::exchange(from.hold, {});
  if (to.holding) {
    std::deque<held_frame> merged;
    std::merge(frames.begin(), frames.end(), to.hold.begin(), to.hold.end(), std::back_inserter(merged),
               [](const held_frame& x, const held_frame& y) { return x.order < y.order; });
    to.hold = std::move(merged);
    return;
  }
  for (held_frame& h : frames) {
    held_bytes_ -= h.f.size();
    if (h.from == to_port) continue;
    if (!to.up) {
      lose(count_.down_dropped, h.f, frame_loss::carrier);
      continue;
    }
    ++count_.released;
    to.queued_bytes += h.f.size();
    to.queue.push_back({std::move(h.f), h.from});
  }
  pump(to_port);
}

void l2_switch::lose(std::uint64_t& counter, const frame_ref& f, frame_loss why) {
  ++counter;
  if (on_loss_) on_loss_(f, why);
}

void l2_switch::set_up(unsigned p, bool up) {
  if (ports_[p]->up == up) return;
  ports_[p]->up = up;
  if (on_port_) on_port_(p, up);
}

void l2_switch::stop_holding(port_state& s) {
  s.holding = false;
  for (const held_frame& h : s.hold) {
    held_bytes_ -= h.f.size();
    lose(count_.hold_dropped, h.f, frame_loss::hold);
  }
  s.hold.clear();
}

void l2_switch::port_up(unsigned p) {
  stop_holding(*ports_[p]);
  set_up(p, true);
}

void l2_switch::port_down(unsigned p) {
  port_state& s = *ports_[p];
  stop_holding(s);
  set_up(p, false);
  for (std::size_t i = 0; i < s.queue.size(); ++i)
    lose(count_.down_dropped, s.queue[i].f, frame_loss::carrier);
  s.queue.clear();
  s.queued_bytes = 0;
}

}  // namespace understudy
