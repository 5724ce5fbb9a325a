// The workload on the platform: each connection's two ends, one behind the adapter, one at its peer.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tb/platform/platform.h"
#include "tb/scenario/scenario.h"
#include "tb/workload/replay.h"

namespace understudy::tb {

// Instants on a host's CPU, or free ones (lwIP's work costs nothing).
class cpu_clock : public clock_if {
 public:
  explicit cpu_clock(host_machine& m) : machine_(m) {}
  picos now() const override { return machine_.cpu_now(); }
  void call_at(picos t, callback f) override;

 private:
  host_machine& machine_;
  std::vector<callback> waiting_;
  std::vector<std::size_t> free_;
};

class free_clock : public clock_if {
 public:
  free_clock() = default;
  picos now() const override { return now_ps(); }
  void call_at(picos t, callback f) override { agenda_.at(t, std::move(f)); }

 private:
  agenda agenda_;
};

// Whether a flow is replayed over IPv6; `family`: workload.family.
inline bool over_ipv6(const std::string& family, const flow& f) {
  return family == "ipv6" || (family == "recorded" && f.was_ipv6);
}

class connections {
 public:
  // `flows` outlives this. Connection i's peer is the twin if is_twin(i), else the platform's lwIP or
  // responder; a responder has no end of its own that could be looked at. Connection i asks for failover if
  // is_protected(i). `phase`: see replay_options. Throws scenario_error if the ports do not suffice.
  connections(platform& p, const scenario& s, const replay_set& flows, std::vector<bool> is_twin,
              std::vector<bool> is_unprotected, std::vector<replay_observer*> observers,
              const std::uint32_t* phase);

  ~connections();

  // Listen; once the adapters do, open every connection of the first round and of phase 0, one each
  // `stagger`. Call when the platform has started.
  void open(picos stagger);
  // Open the connections of the next round, between the same addresses and ports as before. Call when nothing
  // is left of this one.
  void open_next_round(picos stagger);
  // Phase `p` of the round is open now: open its connections, let all others that have a part in it go on,
  // one each `stagger`.
  void open_phase(std::uint32_t p, picos stagger);

  std::size_t size() const { return ends_.size(); }
  // The ends of connection i, client first.
  std::span<const std::unique_ptr<replay_end>> ends(std::size_t i) const {
    const two& t = ends_[i];
    return {t.data() + (t[0] ? 0 : 1), t[0] && t[1] ? 2u : 1u};
  }
  // The connections of the round: from round_begin(), below round_end().
  std::size_t round_begin() const { return round_ * in_round_; }
  std::size_t round_end() const { return round_begin() + in_round_; }
  const flow& flow_of(std::size_t i) const { return flows_[i]; }
  bool is_twin(std::size_t i) const { return is_twin_[i]; }
  bool is_ipv6(std::size_t i) const { return over_ipv6(family_, flows_[i]); }
  bool is_protected(std::size_t i) const { return !is_unprotected_[i]; }
  // Its adapter has died under an unprotected connection, and one of its ends knows.
  bool lost_by_choice(std::size_t i) const;
  // Ends of all connections opened so far, those that wait for their turn included.
  std::size_t ends_begun() const { return ends_in_round_ * (round_ + 1); }
  std::size_t ends_in_all() const { return ends_in_round_ * (ends_.size() / in_round_); }
  // Ends that reached complete or broken.
  std::size_t finished() const { return finished_; }
  // Times that a connection was opened again because its peer had given the handshake up.
  std::uint64_t reopened() const { return reopened_; }

 private:
  using two = std::array<std::unique_ptr<replay_end>, 2>;  // client, server; a responder's is null
  class fan;
  static constexpr std::uint16_t first_client_port = 10000;
  static constexpr std::uint16_t first_server_port = 20000;
  static constexpr std::size_t most_client_ports = 50000;
  static constexpr std::uint16_t unprotected_ports = 30000;  // above the protected ones

  std::unique_ptr<replay_end>& end(std::size_t i, flow_role r) {
    return ends_[i][r == flow_role::client ? 0 : 1];
  }
  void listen();
  void open_when_heard(picos stagger, unsigned looks);
  std::size_t listening() const;
  bool reopens(const replay_end& e);
  void open_one(std::size_t i);
  void poke(std::size_t i);
  void open_round(picos stagger);
  // Attach `s` to the server of the connection that has place `i` in its round.
  stream_user* accept(std::size_t i, stream& s);
  std::uint16_t server_port(std::size_t i) const;
  std::uint16_t client_port(std::size_t i) const {
    return static_cast<std::uint16_t>(first_client_port + i % in_round_ % most_client_ports);
  }

  platform& platform_;
  bool host_serves_;
  std::string family_;
  bool twin_is_apart_;  // in a VLAN and networks of its own
  const replay_set& flows_;
  std::size_t in_round_;  // connections of a round
  std::size_t round_ = 0;
  std::vector<bool> is_twin_;
  std::vector<bool> is_unprotected_;
  std::unique_ptr<fan> fan_;
  cpu_clock host_clock_;
  std::unique_ptr<cpu_clock> twin_clock_;
  free_clock peer_clock_;
  agenda agenda_;
  std::vector<two> ends_;
  std::vector<std::uint8_t> reopened_of_;  // by connection
  std::size_t ends_in_round_ = 0;
  std::size_t finished_ = 0;
  std::size_t listeners_wanted_ = 0;
  std::uint64_t reopened_ = 0;
};

}  // namespace understudy::tb
