#include "tb/platform/simulation.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <systemc>

#include "model/core/rng.h"
#include "tb/platform/configure.h"
#include "tb/platform/host_counts.h"
#include "tb/report/files.h"
#include "tb/report/percentile.h"
#include "tb/workload/capture.h"

namespace understudy::tb {

namespace {

constexpr picos slice = 1_ms;           // of simulated time between two looks at the stop flag
constexpr picos last_look = 10_ms;      // at what is left when every TIME_WAIT is over; a failover fits in
constexpr picos closing_step = 100_us;  // between two looks at what is still open
constexpr std::uint64_t mirror_turn = 512;  // bytes: one segment, whatever the MTU

std::string plural(std::uint64_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// Made-up connections that carry bytes.
std::uint32_t active_of(const scenario& s) {
  const std::uint32_t n = std::max(1u, s.workload.connections);
  return s.workload.active ? std::min(s.workload.active, n) : n;
}

// The conversations: from the captures, or made up.
std::vector<flow> flows_of(const scenario& s) {
  std::vector<flow> all;
  for (const std::string& file : s.workload.capture) {
    try {
      capture c = read_capture(file);
      std::move(c.flows.begin(), c.flows.end(), std::back_inserter(all));
    } catch (const capture_error& e) {
      throw scenario_error(e.what());
    }
  }
  if (!all.empty()) return all;
  const auto pattern = make_pattern(s.seed);
  if (s.workload.phases) {
    const std::uint32_t n = s.workload.connections ? s.workload.connections : 8;
    for (std::uint32_t i = 0; i < n; ++i) all.push_back(make_reference_flow(s.workload.phases, pattern, i));
    return all;
  }
  const bool host_is_server = s.workload.side == "server";
  const auto host_speaks =
      host_is_server ? flow_direction::server_to_client : flow_direction::client_to_server;
  // Idle connections: the peer closes, so that no TIME_WAIT stays in the table; a responder cannot.
  if (!s.workload.bytes)
    return {in_three_phases(make_idle_flow(s.peer == "responder" ? host_speaks : opposite(host_speaks)))};
  for (std::uint32_t i = 0; i < active_of(s); ++i) {
    const std::uint64_t up =
        s.workload.direction == "down" ? 0 : s.workload.bytes;  // from the host behind the adapter
    const std::uint64_t down = s.workload.direction == "up" ? 0 : s.workload.bytes;
    all.push_back(
        s.peer == "responder"
            ? make_mirror_flow(host_speaks, s.workload.bytes, mirror_turn, pattern, i)
            : make_bulk_flow(host_is_server ? down : up, host_is_server ? up : down, 65536, pattern, i));
    if (s.workload.active) all.back() = in_three_phases(std::move(all.back()));
  }
  if (s.workload.active) all.push_back(in_three_phases(make_idle_flow(host_speaks)));
  return all;
}

// Phases in which the workload is run; 0: it is not.
std::uint32_t phases_of(const scenario& s) {
  const bool waits = s.workload.capture.empty() && (s.workload.active || !s.workload.bytes);
  return s.workload.phases ? s.workload.phases : waits ? 3 : 0;
}

// Payload that ends of connections get to see: all of it, or what the responders echo.
std::uint64_t judged_bytes(const scenario& s, const replay_set& flows, const std::vector<bool>& twin) {
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < flows.size(); ++i)
    n += s.peer == "responder" && !twin[i] ? flows[i].bytes() / 2 : flows[i].bytes();
  return n;
}

// `k` of a round's `n` connections, spread evenly, and so in every round.
std::vector<bool> spread(std::size_t n, std::uint32_t rounds, std::size_t k) {
  std::vector<bool> chosen(n);
  const std::size_t in_round = n / rounds;
  k = std::min(k, in_round);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t place = i % in_round;
    chosen[i] = (place + 1) * k / in_round != place * k / in_round;
  }
  return chosen;
}

bool any_ipv6(const scenario& s, const replay_set& flows) {
  bool any = false;
  for (std::size_t i = 0; i < flows.size(); ++i) any = any || over_ipv6(s.workload.family, flows[i]);
  if (any && s.peer == "responder")
    throw scenario_error("workload.family: the responder knows no IPv6; allowed with it: ipv4");
  return any;
}

// Names of links in the capture file, in order.
std::unique_ptr<pcapng_writer> open_capture(const run_options& options, platform& p, run_result& r) {
  if (!options.captures || options.out_dir.empty()) return nullptr;
  auto writer = std::make_unique<pcapng_writer>(
      (std::filesystem::path(options.out_dir) / "capture.pcapng").string(), "Understudy", "understudy run");
  for (const auto& [name, link] : p.links())
    link->set_capture(writer.get(), writer->add_interface(name, link->config().rate));
  r.files.push_back("capture.pcapng");
  return writer;
}

// What is left at a host when every connection has ended: nothing, or reasons why not.
void judge_rest(const host_side& h, const std::string& adapter, const std::string& driver,
                std::vector<std::string>& why) {
  for (const slot& p : h.slots)
    if (!p.device->dead() && !p.device->muted() && p.port->link_up() && p.device->engine().connections())
      why.push_back(adapter + " still holds " + plural(p.device->engine().connections(), "connection"));
  if (const std::size_t n = h.driver->shadows().size())
    why.push_back(driver + " still holds " + plural(n, "connection"));
}

}  // namespace

replay_set workload_of(const scenario& s) {
  if (!s.workload.active || !s.workload.bytes)
    return {flows_of(s), s.workload.connections, s.workload.rounds};
  const std::uint32_t n = std::max(1u, s.workload.connections);
  const std::uint32_t active = active_of(s);
  std::vector<std::size_t> chosen(n, active);  // the idle flow
  rng draw(s.seed, "workload/active");
  std::uint32_t left = active;
  for (std::uint32_t i = 0; i < n; ++i)
    if (draw.below(n - i) < left) {
      chosen[i] = active - left;
      --left;
    }
  return {flows_of(s), chosen, s.workload.rounds};
}

simulation::simulation(const scenario& s, const run_options& options)
    : s_(s),
      options_(options),
      flows_(workload_of(s)),
      twin_(s.peer == "twin" ? std::vector<bool>(flows_.size(), true)
                             : spread(flows_.size(), s.workload.rounds, s.topology.twin_connections)),
      failovers_(log_, [this] { return platform_.main.driver->connections(); }),
      platform_(s, log_, static_cast<std::uint32_t>(flows_.size() / s.workload.rounds), any_ipv6(s, flows_),
                std::find(twin_.begin(), twin_.end(), false) != twin_.end(),
                std::find(twin_.begin(), twin_.end(), true) != twin_.end(), &failovers_, options.software,
                options.waves && !s.adapter.rtl.empty() ? options.out_dir : std::string()),
      stalls_(flows_.size()),
      faults_(s, judged_bytes(s, flows_, twin_), [this](const fault_spec& f) { return strike(f); }),
      connections_(platform_, s, flows_, twin_,
                   spread(flows_.size(), s.workload.rounds, s.workload.unprotected),
                   {&stalls_, &wrong_bytes_, &faults_}, phases_of(s) ? &open_phase_ : nullptr) {
  if (options.verbosity >= 2) {
    printer_ = std::make_unique<event_printer>(std::cerr);
    log_.subscribe(printer_.get());
  }
  if (options.timeline && !options.out_dir.empty()) {
    timeline_ = std::make_unique<timeline>(static_cast<unsigned>(platform_.main.slots.size()));
    log_.subscribe(timeline_.get());
  }
  if (s.monitors != "off") {
    monitors_ = std::make_unique<monitor_set>(log_, *platform_.main.driver, *platform_.main.memory,
                                              static_cast<unsigned>(platform_.main.slots.size()),
                                              std::vector(std::begin(host_ips), std::end(host_ips)),
                                              s.adapter.tcp.persist_max + 1_s,
                                              10_ms + (s.memory.hold_us + s.memory.wait_us) * 1_us);
    timeouts_ = std::make_unique<timeout_log>(platform_, monitors_->segments());
    announce_latency_ =
        std::make_unique<announce_latency>(log_, *platform_.main.driver, *platform_.main.machine,
                                           static_cast<unsigned>(platform_.main.slots.size()));
    delivery_latency_ = std::make_unique<delivery_latency>(
        log_, *platform_.main.driver, static_cast<unsigned>(platform_.main.slots.size()));
    ack_latency_ = std::make_unique<ack_latency>(log_, monitors_->segments(),
                                                 static_cast<unsigned>(platform_.main.slots.size()));
  }
  // Behind the monitors and what measures: they have seen an event before a fault strikes behind it.
  if (faults_.at_events()) log_.subscribe(&faults_);
  if (phases_of(s))
    phases_ = std::make_unique<phases>(platform_, connections_, phases_of(s), open_phase_,
                                       s.workload.phases ? 0 : s.workload.interval, [this](std::uint32_t p) {
                                         if (on_rest_) on_rest_(p);
                                       });
}

std::string simulation::strike(const fault_spec& f) {
  unsigned target = platform_.main.driver->active_adapter();
  if (f.target != "active") target = static_cast<unsigned>(f.target[0] - 'A');
  if (target >= platform_.main.slots.size() || platform_.main.slots[target].device->dead()) return "none";
  if (f.kind == "zombie") {
    note_fault(target);
    platform_.main.slots[target].device->mute_heartbeat();
  } else if (f.kind == "wild_record") {
    log_.emit({event_kind::fault, static_cast<std::uint16_t>(target), now_ps(), harmless_fault});
    platform_.main.slots[target].device->write_wild_records();
  } else if (f.kind == "bit_flip" || f.kind == "double_bit_flip") {
    rng which(s_.seed, "fault/" + f.kind);
    if (!platform_.main.slots[target].device->upset_store(which.next(), f.kind == "bit_flip" ? 1 : 2))
      return "none";
    log_.emit({event_kind::fault, static_cast<std::uint16_t>(target), now_ps(), harmless_fault});
  } else if (f.kind == "link_downgrade") {
    log_.emit({event_kind::fault, static_cast<std::uint16_t>(target), now_ps(), harmless_fault});
    platform_.main.slots[target].port->retrain(1, 1);
  } else if (f.kind == "poisoned_doorbell") {
    log_.emit({event_kind::fault, static_cast<std::uint16_t>(target), now_ps(), harmless_fault});
    platform_.main.slots[target].port->poison_next_mmio_write();
  } else if (f.kind == "poisoned_write") {
    if (s_.pcie.dpc)
      note_fault(target);
    else
      log_.emit({event_kind::fault, static_cast<std::uint16_t>(target), now_ps(), harmless_fault});
    platform_.main.slots[target].port->poison_next_write();
  } else if (f.kind == "link_down") {
    note_fault(target);
    platform_.main.slots[target].port->set_link_up(false);
  } else if (f.kind == "link_flap") {
    note_fault(target);
    platform_.main.slots[target].port->set_link_up(false);
    platform_.main.slots[target].port->set_link_up(true);
  } else if (f.kind == "unfenceable") {
    note_fault(target, unsilenced_fault);
    platform_.main.slots[target].device->mute_heartbeat();
    platform_.main.slots[target].port->make_unfenceable();
  } else {
    kill(target);
  }
  return adapter_name(target);
}

// What was armed and has found no write to poison did not take place.
std::vector<fault_result> simulation::faults() const {
  std::vector<fault_result> all = faults_.results();
  for (fault_result& f : all) {
    if (!f.activated) continue;
    const pcie_port& port = *platform_.main.slots[static_cast<std::size_t>(f.target[0] - 'A')].port;
    if (f.kind == "poisoned_write") f.activated = !port.will_poison_write();
    if (f.kind == "poisoned_doorbell") f.activated = !port.will_poison_mmio_write();
  }
  return all;
}

void simulation::wrong_bytes::on_delivered(const replay_end& e, flow_direction, std::uint64_t bytes, picos) {
  if (told_ || !monitors_) return;
  const replay_end::counts t = e.tally();
  if (t.corrupted + t.duplicated == 0) return;
  told_ = true;
  monitors_->on_wrong_byte(t.corrupted ? "the byte at offset " + std::to_string(t.first_wrong) +
                                             " is wrong; " + e.describe()
                                       : std::to_string(t.duplicated) + " of " + std::to_string(bytes) +
                                             " bytes came twice; " + e.describe());
}

void simulation::kill(unsigned index) {
  note_fault(index);
  platform_.kill(index);
}

void simulation::note_fault(unsigned index, std::uint64_t kind) {
  log_.emit({event_kind::fault, static_cast<std::uint16_t>(index), now_ps(), kind});
  failovers_.note_fault(index);
  stalls_.mark();
  if (timeouts_) timeouts_->note_fault(index);
  marks_.push_back({platform_.lwip ? platform_.lwip->count().retransmitted_bytes : 0,
                    timeouts_ ? timeouts_->counts() : timeout_counts{}});
}

std::vector<std::uint64_t> simulation::state_at_rest() const {
  std::vector<std::uint64_t> v;
  for (std::size_t i = 0; i < connections_.size(); ++i)
    for (const auto& e : connections_.ends(i)) {
      const replay_end::counts t = e->tally();
      v.insert(v.end(),
               {static_cast<std::uint64_t>(e->now_in()), e->written(), t.correct, t.corrupted, t.duplicated});
    }
  for (const host_side* h : {&platform_.main, platform_.twin ? &*platform_.twin : nullptr}) {
    if (!h) continue;
    std::vector<std::array<std::uint64_t, 6>> all;
    for (const host::shadow_facts& f : h->driver->shadows()) {
      const std::uint64_t ports = static_cast<std::uint64_t>(f.facts.local.port) << 16 | f.facts.peer.port;
      all.push_back({ports, static_cast<std::uint64_t>(f.state), f.h_rcv.minus(f.facts.rcv_nxt),
                     f.h_una.minus(f.facts.iss), f.h_post_end.minus(f.facts.iss),
                     static_cast<std::uint64_t>(f.fin_tx) << 1 | f.fin_rx});
    }
    std::sort(all.begin(), all.end());
    for (const auto& a : all) v.insert(v.end(), a.begin(), a.end());
    v.push_back(h->driver->connections());
  }
  if (platform_.lwip) v.push_back(platform_.lwip->connections_alive());
  v.push_back(violations());
  return v;
}

std::uint64_t simulation::violations() const {
  std::uint64_t n = 0;
  if (monitors_)
    for (const monitor_result& m : monitors_->results()) n += m.violations;
  return n;
}

void simulation::start() {
  platform_.start();
  while (!platform_.started()) {
    pass_time(slice);
    if (now_ps() > 1_s) throw std::runtime_error("the driver did not start within a simulated second");
  }
  if (on_started_) on_started_();
  if (s_.workload.raw_packets) {
    single_dma_ = std::make_unique<single_dma>(platform_, log_, s_);
    result_.single_dma = single_dma_->run();
    single_dma_->add_to(result_.raw_frames);
  }
  if (s_.workload.raw_queues) {
    queue_waits_ = std::make_unique<queue_waits>(platform_, log_, s_);
    result_.queue_waits = queue_waits_->run();
    queue_waits_->add_to(result_.raw_frames);
  }
  connections_.open(s_.workload.interval);
  if (phases_) phases_->start();
}

void simulation::run_round() {
  const std::size_t ends = connections_.ends_begun();
  const double expected = static_cast<double>(judged_bytes(s_, flows_, twin_));
  while (connections_.finished() < ends && now_ps() < s_.run.deadline && !stopped()) {
    pass_time(std::min(slice, s_.run.deadline - now_ps()));
    if (options_.progress) options_.progress(static_cast<double>(faults_.delivered()) / expected, now_ps());
  }
  // close_down() lets time pass, in which they may finish: too late.
  if (connections_.finished() < ends && !stopped()) overdue_ = unfinished();
}

bool simulation::only_time_wait() const {
  const auto quiet = [](const host_side& h) {
    for (const host::shadow_facts& f : h.driver->shadows())
      if (f.state != US_TCP_TIME_WAIT) return false;
    return true;
  };
  return quiet(platform_.main) && (!platform_.twin || quiet(*platform_.twin)) &&
         (!platform_.lwip || platform_.lwip->connections_alive() == 0);
}

// Wait for the last FINs, then let every TIME_WAIT end at once: afterwards nothing may be left anywhere. An
// adapter that dies just then leaves its TIME_WAITs to the next one: as many rounds as there are adapters.
void simulation::close_down() {
  while (!only_time_wait() && now_ps() < s_.run.deadline && !stopped()) pass_time(closing_step);
  result_.sim_time = now_ps();
  for (std::size_t n = 0; n == 0 || (n <= platform_.main.slots.size() && !nothing_left()); ++n) {
    for (slot& p : platform_.main.slots) p.device->expire_time_wait();
    if (platform_.twin)
      for (slot& p : platform_.twin->slots) p.device->expire_time_wait();
    if (platform_.lwip) platform_.lwip->expire_time_wait();
    pass_time(last_look);
    // A host with very many reads their ends for longer.
    const auto left_at_hosts = [this] {
      return platform_.main.driver->connections() +
             (platform_.twin ? platform_.twin->driver->connections() : 0);
    };
    for (std::size_t left = left_at_hosts() + 1; left_at_hosts() && left_at_hosts() < left;) {
      left = left_at_hosts();
      pass_time(last_look);
    }
  }
}

bool simulation::nothing_left() const {
  for (const slot& p : platform_.main.slots)
    if (!p.device->dead() && p.port->link_up() && p.device->engine().connections()) return false;
  return platform_.main.driver->shadows().empty();
}

simulation::unfinished_ends simulation::unfinished() const {
  unfinished_ends u;
  u.at = now_ps();
  for (std::size_t i = 0; i < connections_.size(); ++i)
    for (const auto& e : connections_.ends(i))
      if (!e->finished() && u.count++ == 0) u.first = e->describe();
  return u;
}

void simulation::judge() {
  std::vector<std::string>& why = result_.reasons;
  const connection_counts& c = result_.connections;
  const byte_counts& b = result_.bytes;
  if (b.lost) why.push_back(plural(b.lost, "byte") + " lost");
  if (b.duplicated) why.push_back(plural(b.duplicated, "byte") + " duplicated");
  if (b.corrupted) why.push_back(plural(b.corrupted, "byte") + " corrupted");
  if (c.reset) why.push_back(plural(c.reset, "connection") + " reset");
  if (c.aborted) why.push_back(plural(c.aborted, "connection") + " aborted");
  if (c.refused) why.push_back(plural(c.refused, "connection") + " refused");
  std::size_t broken = 0;
  std::string first_broken;
  for (std::size_t i = 0; i < connections_.size(); ++i)
    for (const auto& e : connections_.ends(i)) {
      if (e->now_in() == replay_end::state::broken) {
        if (lost_by_choice(i)) continue;
        if (broken++ == 0) first_broken = e->describe();
      }
    }
  if (broken) why.push_back(plural(broken, "end") + " of connections broken; the first: " + first_broken);
  const unfinished_ends stuck = overdue_.count ? overdue_ : unfinished();
  if (stuck.count)
    why.push_back(plural(stuck.count, "end") + " of connections not finished at " +
                  std::to_string(stuck.at / 1_ms) + " ms; the first: " + stuck.first);
  const host::driver_error condition = platform_.main.driver->condition();
  if (condition == host::driver_error::no_substitute)
    why.push_back("no substitute: the last adapter has failed");
  else if (condition != host::driver_error::none)
    why.push_back(std::string("the driver gave up: ") + host::name(condition));
  if (!failovers_.settled()) why.push_back("a failover did not end");
  // On a path so slow that peers time out for nothing before any fault, they may do so behind it.
  if (!marks_.empty() && !marks_[0].timeouts.unexplained && timeouts_ && timeouts_->counts().unexplained)
    why.push_back(plural(timeouts_->counts().unexplained, "time-out") +
                  " of peers whose connections had lost nothing; the first: " + timeouts_->unexplained());
  for (const fault_result& f : faults())
    if (!f.activated)
      why.push_back("fault " + std::to_string(f.id) + " (" + f.kind + ") was never activated");
  if (monitors_)
    for (const monitor_result& m : monitors_->results())
      if (m.violations)
        why.push_back(m.id + " violated " + std::to_string(m.violations) +
                      (m.violations == 1 ? " time" : " times") + "; " + m.first);
  if (!broken && !stuck.count && condition == host::driver_error::none && !stopped()) {
    judge_rest(platform_.main, "an adapter", "the driver", why);
    if (platform_.twin) judge_rest(*platform_.twin, "the twin", "the twin's driver", why);
    if (platform_.lwip)
      if (const unsigned n = platform_.lwip->connections_alive() + platform_.lwip->time_wait())
        why.push_back("lwIP still holds " + plural(n, "connection"));
  }
}

byte_counts simulation::bytes() const {
  byte_counts b;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const bool given_up = lost_by_choice(i);
    for (const auto& e : connections_.ends(i)) {
      const replay_end::counts t = e->tally();
      b.expected += given_up ? t.correct : t.expected;
      b.delivered += t.correct;
      b.lost += given_up ? 0 : t.lost;
      b.duplicated += t.duplicated;
      b.corrupted += t.corrupted;
    }
  }
  return b;
}

run_result simulation::so_far() const {
  run_result r;
  r.bytes = bytes();
  if (monitors_) r.monitors = monitors_->results();
  return r;
}

void simulation::count() {
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const auto ends = connections_.ends(i);
    const bool opened = ends[0]->opened() != never;
    result_.connections.opened += opened;
    bool complete = true;
    std::string why;
    for (const auto& e : ends) {
      complete = complete && e->complete();
      why += e->why();
    }
    result_.connections.completed += complete;
    const bool given_up = lost_by_choice(i);
    if (given_up)
      ++result_.connections.unprotected_lost;
    else if (why.find("refused") != std::string::npos)
      ++result_.connections.refused;
    else if (why.find("reset") != std::string::npos && opened)
      ++result_.connections.reset;
    else if (!why.empty())
      ++result_.connections.aborted;
  }
  result_.connections.reopened = connections_.reopened();
  result_.bytes = bytes();
  const bool lwip = platform_.lwip != nullptr;
  if (lwip) result_.peers.push_back("lwip");
  if (platform_.responder) result_.peers.push_back("responder");
  if (platform_.twin) result_.peers.push_back("twin");

  count_host(result_, platform_.main, s_);
  for (const slot& p : platform_.main.slots) result_.frames += p.link->counters(eth_link::side_a).sent;
  if (platform_.twin) result_.frames += platform_.twin->slots[0].link->counters(eth_link::side_a).sent;
  if (platform_.peer_link) result_.frames += platform_.peer_link->counters(eth_link::side_b).sent;
  if (platform_.peer_link) add_wire(result_.wire, *platform_.peer_link);
  if (platform_.twin) add_wire(result_.wire, *platform_.twin->slots[0].link);

  for (std::size_t i = 0; i < connections_.size(); ++i)
    for (const auto& e : connections_.ends(i)) {
      if (e->first_delivery() == never) continue;
      result_.first_delivery = std::min(result_.first_delivery.value_or(never), e->first_delivery());
      result_.last_delivery = std::max(result_.last_delivery.value_or(0), e->last_delivery());
    }
  if (delivery_latency_) {
    result_.memory.delivery = delivery_latency_->times();
    result_.memory.commit = delivery_latency_->commit_times();
  }
  if (announce_latency_) result_.announce.latency = announce_latency_->times();
  if (ack_latency_) result_.ack_latency = ack_latency_->times();
  result_.failovers = failovers_.results();
  result_.faults = faults();
  const bool intact = result_.bytes.lost + result_.bytes.duplicated + result_.bytes.corrupted +
                          result_.connections.reset + result_.connections.aborted ==
                      0;
  for (fault_result& f : result_.faults)
    f.outcome = !f.activated ? "not activated" : intact ? "recovered" : "fatal";
  for (std::size_t m = 0; m < stalls_.marks() && m < result_.failovers.size(); ++m) {
    failover_result& f = result_.failovers[m];
    const std::vector<picos> pauses = stalls_.stalls(m);
    f.stall = {percentile(pauses, 500), percentile(pauses, 990), percentile(pauses, 1000)};
    if (lwip)
      f.retransmitted_bytes = platform_.lwip->count().retransmitted_bytes - marks_[m].retransmitted_bytes;
    if (timeouts_) f.peer_timeouts = timeouts_->counts() - marks_[m].timeouts;
  }
}

run_result simulation::run() {
  result_.scenario = s_.path;
  result_.seed = s_.seed;
  capture_ = open_capture(options_, platform_, result_);
  if (capture_ && options_.bus_captures) {
    bus_tap_ =
        std::make_unique<bus_tap>(*capture_, *platform_.main.memory, *platform_.main.driver,
                                  static_cast<unsigned>(platform_.main.slots.size()), s_.adapter.tx_queues);
    log_.subscribe(bus_tap_.get());
    for (const slot& p : platform_.main.slots) p.port->watch(bus_tap_.get());
  }
  const auto begin = std::chrono::steady_clock::now();
  start();
  for (std::uint32_t round = 1;; ++round) {
    run_round();
    close_down();
    if (round == s_.workload.rounds || connections_.finished() < connections_.ends_begun() || stopped())
      break;
    connections_.open_next_round(s_.workload.interval);
    if (phases_) phases_->start();
  }
  result_.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result_.stopped = stopped();
  if (bus_tap_) bus_tap_->finish();
  if (capture_) capture_->close();
  if (timeline_) {
    write_whole((std::filesystem::path(options_.out_dir) / "timeline.json").string(), timeline_->finish());
    result_.files.push_back("timeline.json");
  }
  if (options_.waves && !s_.adapter.rtl.empty()) {
    for (std::size_t i = 0; i < platform_.main.slots.size(); ++i)
      result_.files.push_back("waves_" + adapter_name(static_cast<unsigned>(i)) + ".vcd");
  }
  result_.trace_hash = log_.hash();
  result_.events = log_.count();
  count();
  if (monitors_) {
    const byte_counts& b = result_.bytes;
    monitors_->end_of_run({b.delivered, b.duplicated + b.corrupted, connections_.ends_in_all(),
                           unfinished().count, result_.stopped});
    result_.monitors = monitors_->results();
  }
  judge();
  return std::move(result_);
}

}  // namespace understudy::tb
