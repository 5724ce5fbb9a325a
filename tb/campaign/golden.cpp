#include "tb/campaign/golden.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "tb/platform/simulation.h"

namespace understudy::tb {

namespace {

// Finds the boundaries inside writes that take more than one TLP: consecutive addresses, outside the record
// ring.
class torn_finder : public event_observer {
 public:
  torn_finder(simulation& s, std::vector<std::uint64_t>& torn) : simulation_(s), torn_(torn) {}
  void on_event(const event& e) override {
    if (e.kind != event_kind::tlp_up || e.unit != 0 ||
        e.b >> 32 != static_cast<std::uint64_t>(tlp_type::memory_write))
      return;
    const host::ring_facts rings = simulation_.parts().main.driver->rings(0);
    const bool is_record =
        e.a >= rings.odt_iova && e.a < rings.odt_iova + std::uint64_t{rings.odt_entries} * US_ENTRY_BYTES;
    if (!is_record && e.a == next_) torn_.push_back(e.number);
    next_ = is_record ? 0 : e.a + static_cast<std::uint32_t>(e.b);
  }

 private:
  simulation& simulation_;
  std::vector<std::uint64_t>& torn_;
  std::uint64_t next_ = 0;
};

golden_run simulate(const scenario& s) {
  golden_run g;
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  torn_finder torn(sim, g.torn);
  sim.log().subscribe(&torn);
  sim.on_rest([&](std::uint32_t) { g.rests.push_back(sim.state_at_rest()); });
  sim.on_started([&] { g.first_event = sim.log().count() + 1; });
  const run_result r = sim.run();
  g.events = r.events;
  g.hash = r.trace_hash;
  g.sim_ps = r.sim_time;
  g.wall_us = static_cast<std::uint64_t>(r.wall_s * 1e6);
  if (!r.held()) g.failed = r.reasons.empty() ? "was stopped" : r.reasons.front();
  return g;
}

void put(std::FILE* f, const std::vector<std::uint64_t>& v) {
  const std::uint64_t n = v.size();
  std::fwrite(&n, sizeof n, 1, f);
  std::fwrite(v.data(), sizeof v[0], v.size(), f);
}

std::vector<std::uint64_t> get(std::FILE* f) {
  std::uint64_t n = 0;
  if (std::fread(&n, sizeof n, 1, f) != 1) throw std::runtime_error("the golden run died");
  std::vector<std::uint64_t> v(n);
  if (n && std::fread(v.data(), sizeof v[0], n, f) != n) throw std::runtime_error("the golden run died");
  return v;
}

}  // namespace

golden_run run_golden(const scenario& s) {
  std::FILE* f = std::tmpfile();
  if (!f) throw std::runtime_error("temporary file: cannot be made");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    int status = 0;
    try {
      const golden_run g = simulate(s);
      put(f, {g.first_event, g.events, g.hash, g.sim_ps, g.wall_us, g.rests.size()});
      for (const auto& r : g.rests) put(f, r);
      put(f, g.torn);
      put(f, std::vector<std::uint64_t>(g.failed.begin(), g.failed.end()));
    } catch (const std::exception& e) {
      std::fprintf(stderr, "understudy: %s\n", e.what());
      status = 2;
    }
    std::fflush(f);
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fclose(f);
    throw std::runtime_error("the golden run died");
  }
  std::rewind(f);
  golden_run g;
  const auto head = get(f);
  g.first_event = head.at(0);
  g.events = head.at(1);
  g.hash = head.at(2);
  g.sim_ps = head.at(3);
  g.wall_us = head.at(4);
  for (std::uint64_t i = 0; i < head.at(5); ++i) g.rests.push_back(get(f));
  g.torn = get(f);
  for (const std::uint64_t c : get(f)) g.failed.push_back(static_cast<char>(c));
  std::fclose(f);
  return g;
}

}  // namespace understudy::tb
