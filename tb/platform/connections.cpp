#include "tb/platform/connections.h"

#include <set>

namespace understudy::tb {

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

// Tells every observer, and counts.
class connections::fan : public replay_observer {
 public:
  fan(std::vector<replay_observer*> all, std::size_t& finished) : all_(std::move(all)), finished_(finished) {}
  void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) override {
    for (replay_observer* o : all_) o->on_delivered(e, d, bytes, now);
  }
  void on_finished(const replay_end& e, picos now) override {
    ++finished_;
    for (replay_observer* o : all_) o->on_finished(e, now);
  }

 private:
  std::vector<replay_observer*> all_;
  std::size_t& finished_;
};

connections::connections(platform& p, const scenario& s, const replay_set& flows, std::vector<bool> is_twin,
                         std::vector<replay_observer*> observers, const std::uint32_t* phase)
    : platform_(p),
      host_serves_(s.workload.side == "server"),
      flows_(flows),
      in_round_(flows.size() / s.workload.rounds),
      is_twin_(std::move(is_twin)),
      fan_(std::make_unique<fan>(std::move(observers), finished_)),
      host_clock_(*p.main.machine),
      twin_clock_(p.twin ? std::make_unique<cpu_clock>(*p.twin->machine) : nullptr) {
  const replay_options options{s.workload.pace == "capture" ? replay_pace::capture : replay_pace::fast, 0,
                               phase};
  ends_.reserve(flows.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    clock_if& peer = is_twin_[i] ? static_cast<clock_if&>(*twin_clock_) : static_cast<clock_if&>(peer_clock_);
    clock_if& client = host_serves_ ? peer : static_cast<clock_if&>(host_clock_);
    clock_if& server = host_serves_ ? static_cast<clock_if&>(host_clock_) : peer;
    const auto n = static_cast<std::uint32_t>(i);
    ends_.push_back(
        {std::make_unique<replay_end>(flows[i], flow_role::client, n, client, options, fan_.get()),
         std::make_unique<replay_end>(flows[i], flow_role::server, n, server, options, fan_.get())});
  }
}

connections::~connections() = default;

// The host listens where the recorded server did; a peer has a port for each connection, which names it.
std::uint16_t connections::server_port(std::size_t i) const {
  if (!host_serves_) return static_cast<std::uint16_t>(first_server_port + i % in_round_);
  const std::uint16_t recorded = flows_[i].server.port;
  return recorded ? recorded : std::uint16_t{80};
}

void connections::open(picos stagger) {
  listen();
  open_round(stagger);
}

void connections::open_next_round(picos stagger) {
  ++round_;
  open_round(stagger);
}

void connections::open_round(picos stagger) {
  for (std::size_t i = round_ * in_round_; i < begun(); ++i)
    if (flows_[i].open_phase == 0) agenda_.in(20_us + i % in_round_ * stagger, [this, i] { open_one(i); });
}

void connections::open_phase(std::uint32_t p) {
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    if (flows_[i].open_phase == p) open_one(i);
    if (flows_[i].open_phase >= p) continue;
    replay_end& client = *ends_[i].client;
    replay_end& server = *ends_[i].server;
    replay_end& on_host = host_serves_ ? server : client;
    replay_end& on_peer = host_serves_ ? client : server;
    platform_.main.machine->post([&on_host] { on_host.poke(); });
    if (is_twin_[i]) {
      platform_.twin->machine->post([&on_peer] { on_peer.poke(); });
    } else {
      on_peer.poke();
    }
  }
}

stream_user* connections::accept(std::size_t i, stream& s) {
  if (i >= in_round_) return nullptr;
  replay_end& e = *ends_[round_ * in_round_ + i].server;
  e.attach(s);
  return &e;
}

void connections::listen() {
  const auto backlog = static_cast<unsigned>(in_round_ + 16);
  if (host_serves_) {
    std::set<std::uint16_t> ports;
    for (std::size_t i = 0; i < in_round_; ++i) ports.insert(server_port(i));
    for (const std::uint16_t port : ports)
      platform_.main.machine->post([this, port, backlog] {
        platform_.main.streams->listen(port, backlog, true, [this](stream& s, std::uint16_t peer) {
          return accept(static_cast<std::size_t>(peer) - first_client_port, s);
        });
      });
    return;
  }
  for (std::size_t i = 0; i < in_round_; ++i) {
    if (is_twin_[i]) {
      platform_.twin->machine->post([this, i] {
        platform_.twin->streams->listen(server_port(i), 16, true,
                                        [this, i](stream& s, std::uint16_t) { return accept(i, s); });
      });
    } else {
      platform_.lwip->listen(server_port(i), [this, i](stream& s) { return accept(i, s); });
    }
  }
}

void connections::open_one(std::size_t i) {
  replay_end& e = *ends_[i].client;
  const auto from_host = [this, i, &e](host_side& h, const ip_address& to) {
    h.machine->post([this, i, &e, &h, &to] {
      if (stream* s = h.streams->connect(to, server_port(i), client_port(i), true, e)) {
        e.attach(*s);
      } else {
        e.on_error("refused by the sockets layer");
      }
    });
  };
  if (!host_serves_) {
    from_host(platform_.main, is_twin_[i] ? twin_ip : lwip_ip);
  } else if (is_twin_[i]) {
    from_host(*platform_.twin, host_ip);
  } else {
    e.attach(platform_.lwip->connect(host_ip, server_port(i), client_port(i), e));
  }
}

}  // namespace understudy::tb
