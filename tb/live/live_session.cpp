#include "tb/live/live_session.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <systemc>
#include <utility>

#include "tb/platform/configure.h"
#include "tb/platform/host_counts.h"
#include "tb/platform/outside_address.h"
#include "tb/report/sha256.h"

namespace understudy::tb {

namespace {

constexpr picos slice = 100_us;  // of simulated time between two looks at the network
constexpr picos lead = 50_us;    // simulated time may run ahead so far: sleeping shorter is not worth it
constexpr picos tolerance =
    50_ms;  // of being behind before time is slowed: a window at wire rate, or other work of the machine
constexpr wall_nanos longest_sleep = 100'000'000;
constexpr wall_nanos pace_period = 5'000'000'000;  // between two lines about being slow
constexpr double slow_share = 0.1;                 // of that period: worth a line
constexpr unsigned frames_at_once = 256;
constexpr picos farewell = 20_ms;        // nothing came or left for so long: the last resets have arrived
constexpr picos longest_farewell = 2_s;  // whatever still comes
constexpr std::uint32_t usual_connections = 256;

wall_nanos wall_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<wall_nanos>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

outside_world world_of(const scenario& s, eth_socket& ethernet) {
  outside_world w = outside_of(s);
  w.ethernet = &ethernet;
  return w;
}

double milliseconds(picos t) {
  return static_cast<double>(t) / 1e9;
}

}  // namespace

live_session::live_session(const scenario& s, const live_options& o, far_end& far)
    : s_(s),
      options_(o),
      far_(far),
      failovers_(log_, [this] { return driver_->connections(); }),
      port_("outside", [this](const frame_ref& f) { far_.write(f); }),
      outside_(world_of(s, port_.ethernet())),
      platform_(
          s, log_, usual_connections, false, false, false, &failovers_,
          [this](host::hal& machine, const host::driver_config& config) {
            auto d = std::make_unique<host::driver>(machine, config);
            driver_ = d.get();
            return host_software{std::move(d), nullptr};
          },
          {}, &outside_),
      pacer_(o.factor, tolerance),
      kills_(o.kill_after) {
  apps_ = std::make_unique<live_apps>(s, *driver_, *platform_.main.machine);
  if (o.verbosity >= 2) {
    printer_ = std::make_unique<event_printer>(std::cerr);
    log_.subscribe(printer_.get());
  }
  if (s.monitors != "off")
    monitors_ = std::make_unique<monitor_set>(log_, *driver_, *platform_.main.memory, s.topology.adapters,
                                              addresses_of(outside_));
  port_.on_frame([this](const frame_ref& f, bool inward, picos at) { stalls_.on_frame(f, inward, at); });
  std::sort(kills_.rbegin(), kills_.rend());
}

void live_session::say(const std::string& line) {
  if (options_.messages) *options_.messages << line << '\n' << std::flush;
}

void live_session::start() {
  if (options_.captures) {
    capture_ =
        std::make_unique<pcapng_writer>((std::filesystem::path(options_.out_dir) / "capture.pcapng").string(),
                                        "Understudy", "understudy live");
    for (const auto& [name, link] : platform_.links())
      link->set_capture(capture_.get(), capture_->add_interface(name, link->config().rate));
    result_.run.files.push_back("capture.pcapng");
  }
  platform_.start();
  while (!platform_.started()) {
    pass_time(1_ms);
    if (now_ps() > 1_s) throw std::runtime_error("the driver did not start within a simulated second");
  }
  platform_.main.machine->post([this] {
    refused_ = apps_->listen();
    listening_ = true;
  });
  while (!listening_ || driver_->counters().descriptors == 0) pass_time(1_ms);
  pass_time(1_ms);  // the adapter has taken the listeners
  if (!refused_.empty()) throw std::runtime_error(refused_);
}

void live_session::advance(picos t) {
  while (far_.next() <= t) take_in(far_.read(t));
  const picos now = now_ps();
  if (t > now) {
    const picos idle =
        sc_core::sc_pending_activity() ? sc_core::sc_time_to_pending_activity().value() : never;
    pass_time(std::min(t - now, std::max(slice, idle)));
  }
  far_.flush();
}

void live_session::sleep_until_needed() {
  wall_nanos until = wall_now() + longest_sleep;
  if (sc_core::sc_pending_activity())
    until = std::min(until, pacer_.wall_of(now_ps() + sc_core::sc_time_to_pending_activity().value()));
  if (!kills_.empty()) until = std::min(until, ready_at_ + kills_.back());
  if (options_.duration) until = std::min(until, ready_at_ + options_.duration);
  if (far_.next() != never) until = std::min(until, pacer_.wall_of(far_.next()));
  wall_nanos left = std::max<wall_nanos>(0, until - wall_now());
  std::vector<pollfd> orders = control_.descriptors();
  wait(orders, left);
  if (std::any_of(orders.begin(), orders.end(), [](const pollfd& p) { return p.revents != 0; }))
    for (const live_order& o : control_.take()) obey(o);
}

void live_session::wait(std::span<pollfd> others, wall_nanos longest) {
  std::vector<pollfd> all(others.begin(), others.end());
  far_.before_wait(all, longest);
  const timespec t{longest / 1'000'000'000, longest % 1'000'000'000};
  if (::ppoll(all.data(), all.size(), &t, nullptr) < 0)
    for (pollfd& p : all) p.revents = 0;  // a signal
  std::copy_n(all.begin(), others.size(), others.begin());
  far_.after_wait(std::span(all).subspan(others.size()));
}

void live_session::take_arrivals() {
  for (unsigned i = 0; i < frames_at_once; ++i) {
    far_end::arrival a = far_.read(now_ps());
    if (!a.f) return;
    take_in(std::move(a));
  }
}

void live_session::loop() {
  while (!stop_) {
    advance(pacer_.target(wall_now()));
    take_arrivals();
    advance(pacer_.target(wall_now()) + lead);
    const wall_nanos now = wall_now();
    pacer_.reached(now, now_ps());
    kill_when_due(now);
    report_recoveries();
    report_fetches();
    report_pace(now);
    if (options_.duration && now - ready_at_ >= options_.duration) break;
    if (std::string why = far_.gone(); !why.empty()) {
      say(why);
      result_.run.reasons.push_back(why);
      break;
    }
    if (!options_.duration && far_.finished(now_ps())) break;
    sleep_until_needed();
  }
}

void live_session::take_in(far_end::arrival a) {
  port_.inject(std::move(a.f), a.at);
}

void live_session::obey(const live_order& o) {
  if (o.what == live_order::kind::stop) stop_ = true;
  if (o.what == live_order::kind::kill) o.target == "active" ? kill_active() : kill(o.target);
  if (o.what == live_order::kind::unknown)
    say(fmt::format("\"{}\" is unknown, allowed: kill, kill A, stop", o.target));
}

void live_session::kill_when_due(wall_nanos now) {
  for (; !kills_.empty() && now - ready_at_ >= kills_.back(); kills_.pop_back()) kill_active();
  kill_waiting();
}

void live_session::kill_active() {
  ++waiting_kills_;
  kill_waiting();
  if (waiting_kills_) say("kill: waits until a substitute serves");
}

void live_session::kill_waiting() {
  for (; waiting_kills_ && (serves() || driver_->condition() != host::driver_error::none); --waiting_kills_)
    kill("active");
}

bool live_session::serves() const {
  const unsigned a = driver_->active_adapter();
  const host::recovery_state s = driver_->state();
  return a != host::any_driver::no_adapter && !platform_.main.slots[a].device->dead() &&
         (s == host::recovery_state::active || s == host::recovery_state::running);
}

void live_session::kill(const std::string& target) {
  unsigned index = driver_->active_adapter();
  if (target != "active") index = static_cast<unsigned>(target[0] - 'A');
  fault_result& f = note_kill(target);
  if (index < platform_.main.slots.size() && !platform_.main.slots[index].device->dead()) {
    f.target = adapter_name(index);
    f.activated = true;
    f.at = now_ps();
    log_.emit({event_kind::fault, static_cast<std::uint16_t>(index), now_ps()});
    failovers_.note_fault(index);
    stalls_.mark(now_ps());
    platform_.kill(index);
    say(fmt::format("killed {}", f.target));
  } else {
    say(fmt::format("{}: no such adapter, or it is dead already", target));
  }
}

fault_result& live_session::note_kill(const std::string& target) {
  fault_result& f = faults_.emplace_back();
  f.id = faults_.size();
  f.kind = "kill";
  f.target = target;
  return f;
}

void live_session::report_recoveries() {
  const auto& all = failovers_.results();
  for (; told_recoveries_ < all.size(); ++told_recoveries_) {
    const failover_result& r = all[told_recoveries_];
    if (r.unblock)
      say(fmt::format("{} serves, {:.1f} ms after {} died; {} connections", r.to,
                      r.fault ? milliseconds(*r.unblock - *r.fault) : 0.0, r.from, r.connections));
    else if (told_recoveries_ + 1 < all.size())  // the next one is its substitute's
      say(fmt::format("{} failed before it could serve for {}", all[told_recoveries_ + 1].from, r.from));
    else
      return;
  }
}

void live_session::report_fetches() {
  const auto& all = apps_->fetches();
  while (told_fetches_ < all.size() && all[told_fetches_].done) {
    const host::http_fetch& f = all[told_fetches_++];
    say(fmt::format("fetched {}: {}", f.url,
                    f.error.empty() ? fmt::format("status {}, {} bytes", f.status, f.bytes) : f.error));
  }
}

void live_session::report_pace(wall_nanos now) {
  if (now - pace_told_at_ < pace_period) return;
  const double passed = static_cast<double>(now - pace_told_at_);
  const double behind = static_cast<double>(pacer_.put_off() - pace_told_) / passed;
  pace_told_at_ = now;
  pace_told_ = pacer_.put_off();
  if (behind >= slow_share)
    say(fmt::format(
        "slow: simulated time ran at {:.2f} of its pace in the last {:.1f} s, {:.1f} s behind by now",
        std::max(0.0, 1 - behind), passed / 1e9, static_cast<double>(pacer_.put_off()) / 1e9));
}

live_result live_session::run() {
  result_.run.scenario = s_.path;
  result_.run.seed = s_.seed;
  result_.network = far_.describe();
  result_.address = s_.live.address6.empty() ? s_.live.address : s_.live.address + ", " + s_.live.address6;
  result_.factor = options_.factor;
  start();
  ready_at_ = pace_told_at_ = wall_now();
  const double cpu_before = cpu_seconds();
  pacer_.start(ready_at_, now_ps());
  far_.start(now_ps());
  say("ready");
  platform_.main.machine->post([this] { apps_->fetch(options_.out_dir); });
  loop();
  result_.ready_s = result_.run.wall_s = static_cast<double>(wall_now() - ready_at_) / 1e9;
  result_.cpu_s = cpu_seconds() - cpu_before;
  result_.put_off_s = static_cast<double>(pacer_.put_off()) / 1e9;
  finish();
  return std::move(result_);
}

// Reset what is still open, as a system that shuts down does, and take stock.
void live_session::finish() {
  result_.run.sim_time = now_ps();
  for (; waiting_kills_; --waiting_kills_) note_kill("active");
  result_.open_at_end = apps_->open();
  result_.driver_connections = driver_->connections();
  if (const unsigned a = driver_->active_adapter(); a != host::any_driver::no_adapter)
    result_.adapter_connections = platform_.main.slots[a].device->engine().connections();
  count();
  platform_.main.machine->post([this] { apps_->abort_all(); });
  let_resets_leave();
  if (capture_) capture_->close();
  result_.wire = far_.count();
  for (const host::http_fetch& f : apps_->fetches()) result_.fetches.push_back({f, sha256_of_file(f.file)});
  judge();
}

// A reset may name a byte that the peer does not expect next, as that waits before a slow wire. The peer asks
// then (RFC 5961 3.2), and is answered by a reset that it believes. Nobody answers a recording.
void live_session::let_resets_leave() {
  const bool answers = far_.next() == never;
  const picos quiet = farewell + 2 * s_.wire.delay, end = now_ps() + longest_farewell + quiet;
  std::uint64_t frames = 0;
  for (picos until = now_ps() + quiet; now_ps() < std::min(until, end);) {
    if (answers) take_arrivals();
    pass_time(1_ms);
    far_.flush();
    wait({}, 1'000'000);
    const std::uint64_t now = far_.count().frames_in + far_.count().frames_out;
    if (std::exchange(frames, now) != now) until = now_ps() + quiet;
  }
}

void live_session::count() {
  run_result& r = result_.run;
  r.trace_hash = log_.hash();
  r.events = log_.count();
  r.peers = {far_.peer()};
  r.connections = apps_->connections();
  result_.bytes_received = apps_->bytes_received();
  result_.bytes_sent = apps_->bytes_sent();
  result_.requests = apps_->http().requests;
  result_.http_errors = apps_->http().errors;
  r.bytes.delivered = r.bytes.expected = result_.bytes_received + result_.bytes_sent;
  count_host(r, platform_.main, s_);
  if (platform_.outside_link) add_wire(r.wire, *platform_.outside_link);
  r.frames = far_.count().frames_in + far_.count().frames_out;
  r.failovers = failovers_.results();
  for (std::size_t i = 0, mark = 0; i < faults_.size() && mark < r.failovers.size(); ++i)
    if (faults_[i].activated && faults_[i].target == r.failovers[mark].from) {
      std::size_t n = 0;
      for (std::size_t k = 0; k < i; ++k) n += faults_[k].activated;
      r.failovers[mark++].stall = stalls_.stalls(n);
    }
  r.faults = faults_;
  if (monitors_) {
    monitors_->end_of_run({0, 0, 0, 0, true});
    r.monitors = monitors_->results();
  }
}

void live_session::judge() {
  std::vector<std::string>& why = result_.run.reasons;
  const host::driver_error condition = driver_->condition();
  if (condition == host::driver_error::no_substitute)
    why.push_back("no substitute: the last adapter has failed");
  else if (condition != host::driver_error::none)
    why.push_back(std::string("the driver gave up: ") + host::name(condition));
  if (condition == host::driver_error::none && !failovers_.settled())
    why.push_back("a failover had not ended");
  for (fault_result& f : result_.run.faults) {
    f.outcome = !f.activated                            ? "not activated"
                : condition == host::driver_error::none ? "recovered"
                                                        : "fatal";
    if (!f.activated) why.push_back(fmt::format("fault {} (kill {}) struck nobody", f.id, f.target));
  }
  for (const live_fetch& f : result_.fetches)
    if (!f.what.good())
      why.push_back(
          fmt::format("{}: {}", f.what.url,
                      f.what.error.empty() ? fmt::format("status {}", f.what.status) : f.what.error));
  if (!kills_.empty()) why.push_back(fmt::format("the run ended before {} of the kills", kills_.size()));
  for (const monitor_result& m : result_.run.monitors)
    if (m.violations) why.push_back(fmt::format("{} violated {} times; {}", m.id, m.violations, m.first));
}

}  // namespace understudy::tb
