#include "tb/platform/connections.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace understudy::tb {

namespace {

// The client waits for bytes or the FIN of the server before it says anything.
bool server_acts_first(const flow& f) {
  if (!f.turns.empty()) return f.turns.front().from == flow_direction::server_to_client;
  return f.closing.has_first && f.closing.first == flow_direction::server_to_client;
}

constexpr picos listen_time = 20_us;  // between two looks at what the adapters listen to
constexpr unsigned most_looks = 50'000;
constexpr picos reopening_pause = 1_ms;
constexpr std::uint8_t most_reopenings = 10;  // of one connection

}  // namespace

void cpu_clock::call_at(picos t, callback f) {
  std::size_t slot;
  if (free_.empty()) {
    slot = waiting_.size();
    waiting_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  waiting_[slot] = std::move(f);
  machine_.post_at(t, [this, slot] {
    callback f = std::move(waiting_[slot]);
    free_.push_back(slot);
    f();
  });
}

// Tells every observer, and counts. An end whose connection is going to be opened again has not finished.
class connections::fan : public replay_observer {
 public:
  fan(std::vector<replay_observer*> all, connections& of) : all_(std::move(all)), of_(of) {}
  void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) override {
    for (replay_observer* o : all_) o->on_delivered(e, d, bytes, now);
  }
  void on_finished(const replay_end& e, picos now) override {
    if (of_.reopens(e)) return;
    ++of_.finished_;
    for (replay_observer* o : all_) o->on_finished(e, now);
  }

 private:
  std::vector<replay_observer*> all_;
  connections& of_;
};

connections::connections(platform& p, const scenario& s, const replay_set& flows, std::vector<bool> is_twin,
                         std::vector<bool> is_unprotected, std::vector<replay_observer*> observers,
                         const std::uint32_t* phase)
    : platform_(p),
      host_serves_(s.workload.side == "server"),
      family_(s.workload.family),
      twin_is_apart_(tb::twin_is_apart(s)),
      flows_(flows),
      in_round_(flows.size() / s.workload.rounds),
      is_twin_(std::move(is_twin)),
      is_unprotected_(std::move(is_unprotected)),
      fan_(std::make_unique<fan>(std::move(observers), *this)),
      host_clock_(*p.main.machine),
      twin_clock_(p.twin ? std::make_unique<cpu_clock>(*p.twin->machine) : nullptr) {
  const replay_options options{s.workload.pace == "capture" ? replay_pace::capture : replay_pace::fast, 0,
                               s.workload.message, s.workload.message_interval, phase};
  ends_.resize(flows.size());
  reopened_of_.resize(flows.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    clock_if& peer = is_twin_[i] ? static_cast<clock_if&>(*twin_clock_) : static_cast<clock_if&>(peer_clock_);
    for (const flow_role role : {flow_role::client, flow_role::server}) {
      const bool on_host = (role == flow_role::server) == host_serves_;
      if (!on_host && !is_twin_[i] && p.responder) continue;
      clock_if& clock = on_host ? static_cast<clock_if&>(host_clock_) : peer;
      end(i, role) = std::make_unique<replay_end>(flows[i], role, static_cast<std::uint32_t>(i), clock,
                                                  options, fan_.get());
    }
    if (i < in_round_) ends_in_round_ += ends(i).size();
  }
}

connections::~connections() = default;

// The host listens where the recorded server did; a peer that listens has a port for each connection, which
// names it.
std::uint16_t connections::server_port(std::size_t i) const {
  const std::size_t place = i % in_round_;
  const std::size_t beyond = place / most_client_ports;
  if (!host_serves_)
    return static_cast<std::uint16_t>(first_server_port + (platform_.responder ? beyond : place));
  const std::uint16_t recorded = flows_[i].server.port ? flows_[i].server.port : std::uint16_t{80};
  return static_cast<std::uint16_t>(recorded + beyond + (is_protected(i) ? 0 : unprotected_ports));
}

bool connections::lost_by_choice(std::size_t i) const {
  const auto broken = [](const auto& e) { return e->now_in() == replay_end::state::broken; };
  return !is_protected(i) && std::ranges::any_of(ends(i), broken);
}

void connections::open(picos stagger) {
  listen();
  agenda_.in(listen_time, [this, stagger] { open_when_heard(stagger, most_looks); });
}

// A SYN that comes before its LISTEN is executed would be refused.
void connections::open_when_heard(picos stagger, unsigned looks) {
  if (listening() >= listeners_wanted_ || looks == 0) return open_round(stagger);
  agenda_.in(listen_time, [this, stagger, looks] { open_when_heard(stagger, looks - 1); });
}

std::size_t connections::listening() const {
  std::size_t n = 0;
  for (const host_side* h : {&platform_.main, platform_.twin ? &*platform_.twin : nullptr})
    if (h)
      for (const slot& s : h->slots) n += s.device->engine().listeners();
  return n;
}

// The handshake of the connection of `e`, which has just broken, was given up by the peer: by a client whose
// SYNs nobody answered in time, or by a server that forgot it before it heard the client's ACK. Then it is
// opened again, between the same ports.
bool connections::reopens(const replay_end& e) {
  const std::size_t i = e.connection();
  const flow_role other_role = e.role() == flow_role::client ? flow_role::server : flow_role::client;
  replay_end* const other = end(i, other_role).get();
  const bool on_host = (e.role() == flow_role::server) == host_serves_;
  const std::string_view why = e.why();
  if (e.now_in() != replay_end::state::broken || e.role() != flow_role::client || !other || !is_protected(i))
    return false;
  if (other->now_in() != replay_end::state::unopened) return false;
  const bool gave_up =
      on_host ? why == "reset" || why == "timed out" : e.opened() == never && why == "timed out";
  if (!gave_up || reopened_of_[i] == most_reopenings) return false;
  ++reopened_of_[i];
  ++reopened_;
  agenda_.in(reopening_pause, [this, i] {
    end(i, flow_role::client)->begin_again();
    open_one(i);
  });
  return true;
}

void connections::open_next_round(picos stagger) {
  ++round_;
  open_round(stagger);
}

void connections::open_round(picos stagger) {
  for (std::size_t i = round_begin(); i < round_end(); ++i)
    if (flows_[i].open_phase == 0) agenda_.in(i % in_round_ * stagger, [this, i] { open_one(i); });
}

void connections::open_phase(std::uint32_t p, picos stagger) {
  picos after = 0;
  for (std::size_t i = round_begin(); i < round_end(); ++i) {
    if (flows_[i].open_phase == p) open_one(i);
    if (flows_[i].open_phase >= p || !flows_[i].has_part_in(p)) continue;
    if (stagger == 0) {
      poke(i);
    } else {
      agenda_.in(after += stagger, [this, i] { poke(i); });
    }
  }
}

// Have both ends go on.
void connections::poke(std::size_t i) {
  replay_end* on_host = end(i, host_serves_ ? flow_role::server : flow_role::client).get();
  replay_end* on_peer = end(i, host_serves_ ? flow_role::client : flow_role::server).get();
  platform_.main.machine->post([on_host] { on_host->poke(); });
  if (is_twin_[i]) {
    platform_.twin->machine->post([on_peer] { on_peer->poke(); });
  } else if (on_peer) {
    on_peer->poke();
  }
}

stream_user* connections::accept(std::size_t i, stream& s) {
  if (i >= in_round_) return nullptr;
  replay_end& e = *end(round_begin() + i, flow_role::server);
  e.attach(s);
  return &e;
}

void connections::listen() {
  const auto backlog = static_cast<unsigned>(in_round_ + 16);
  listeners_wanted_ = 0;
  if (host_serves_) {
    // A port's connections come from one run of most_client_ports, or it is shared by captured ones.
    struct served {
      std::size_t first;
      bool protect;
      bool speaks_first;
    };
    std::map<std::uint16_t, served> ports;
    for (std::size_t i = 0; i < in_round_; ++i) {
      served& port = ports
                         .try_emplace(server_port(i), served{i / most_client_ports * most_client_ports,
                                                             is_protected(i), false})
                         .first->second;
      port.speaks_first = port.speaks_first || server_acts_first(flows_[i]);
    }
    listeners_wanted_ = ports.size();
    for (const auto& [number, how] : ports)
      platform_.main.machine->post([this, port = number, here = how, backlog] {
        host_streams& streams = *platform_.main.streams;
        const auto name = [this, here](stream& s, std::uint16_t peer) {
          return accept(here.first + peer - first_client_port, s);
        };
        if (here.speaks_first)
          streams.listen_speaking(port, backlog, here.protect, name);
        else
          streams.listen(port, backlog, here.protect, name);
      });
    return;
  }
  for (std::size_t i = 0; i < in_round_; ++i) {
    if (is_twin_[i]) {
      ++listeners_wanted_;
      platform_.twin->machine->post([this, i] {
        platform_.twin->streams->listen(server_port(i), 16, true,
                                        [this, i](stream& s, std::uint16_t) { return accept(i, s); });
      });
    } else if (platform_.lwip) {
      platform_.lwip->listen(server_port(i), [this, i](stream& s) { return accept(i, s); });
    }
  }
}

void connections::open_one(std::size_t i) {
  replay_end* const client = end(i, flow_role::client).get();
  const auto from_host = [this, i, client](host_side& h, const ip_address& to) {
    h.machine->post([this, i, client, &h, to] {
      if (stream* s = h.streams->connect(to, server_port(i), client_port(i), is_protected(i), *client)) {
        client->attach(*s);
      } else {
        client->on_error("refused by the sockets layer");
      }
    });
  };
  const bool v6 = is_ipv6(i), apart = is_twin_[i] && twin_is_apart_;
  const ip_address host = apart ? (v6 ? host_twin_ip6 : host_twin_ip) : v6 ? host_ip6 : host_ip;
  if (!host_serves_) {
    const ip_address lwip = v6 ? lwip_ip6 : lwip_ip;
    const ip_address twin = apart ? (v6 ? apart_twin_ip6 : apart_twin_ip) : v6 ? twin_ip6 : twin_ip;
    from_host(platform_.main, is_twin_[i] ? twin : platform_.lwip ? lwip : responder_ip);
  } else if (is_twin_[i]) {
    from_host(*platform_.twin, host);
  } else if (platform_.responder) {
    platform_.responder->connect(host_ip, server_port(i), client_port(i));
  } else {
    client->attach(platform_.lwip->connect(host, server_port(i), client_port(i), *client));
  }
}

}  // namespace understudy::tb
