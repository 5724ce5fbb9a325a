#include "tb/campaign/golden.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "tb/platform/simulation.h"

namespace understudy::tb {

namespace {

// Finds the boundaries inside writes that take more than one TLP: consecutive addresses, outside the record
// ring.
class torn_finder : public event_observer {
 public:
  torn_finder(simulation& s, std::vector<torn_point>& torn) : simulation_(s), torn_(torn) {}
  void on_event(const event& e) override {
    if (e.kind != event_kind::tlp_up || e.unit != 0 ||
        e.b >> 32 != static_cast<std::uint64_t>(tlp_type::memory_write))
      return;
    const host::ring_facts rings = simulation_.parts().main.driver->rings(0);
    const bool is_record =
        e.a >= rings.odt_iova && e.a < rings.odt_iova + std::uint64_t{rings.odt_entries} * US_ENTRY_BYTES;
    landed_ = !is_record && e.a == next_ ? landed_ + 1 : 0;
    if (landed_) torn_.push_back({e.number, landed_});
    next_ = is_record ? 0 : e.a + static_cast<std::uint32_t>(e.b);
  }

 private:
  simulation& simulation_;
  std::vector<torn_point>& torn_;
  std::uint64_t next_ = 0;
  std::uint64_t landed_ = 0;
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
  g.rtl = r.rtl;
  if (!r.held()) g.failed = r.reasons.empty() ? "was stopped" : r.reasons.front();
  return g;
}

// Of a pipe: nothing but the reader limits how much it takes.
void put(std::FILE* f, const std::vector<std::uint64_t>& v) {
  const std::uint64_t n = v.size();
  std::fwrite(&n, sizeof n, 1, f);
  std::fwrite(v.data(), sizeof(std::uint64_t), v.size(), f);
}

std::vector<std::uint64_t> get(std::FILE* f) {
  std::uint64_t n = 0;
  if (std::fread(&n, sizeof n, 1, f) != 1) throw std::runtime_error("the golden run died");
  std::vector<std::uint64_t> v(n);
  if (n && std::fread(v.data(), sizeof(std::uint64_t), n, f) != n)
    throw std::runtime_error("the golden run died");
  return v;
}

std::vector<std::uint64_t> letters(const std::string& s) {
  return {s.begin(), s.end()};
}
std::string text(const std::vector<std::uint64_t>& letters) {
  std::string s;
  for (const std::uint64_t c : letters) s.push_back(static_cast<char>(c));
  return s;
}

}  // namespace

std::string why_unfit(const golden_run& first, const golden_run& second) {
  if (!first.failed.empty()) return "the golden run does not hold: " + first.failed;
  if (first.hash != second.hash || first.events != second.events || first.rests != second.rests)
    return fmt::format(
        "the golden run is not deterministic: {} events and hash {:016x}, then {} and {:016x}; a campaign on "
        "it would prove nothing",
        first.events, first.hash, second.events, second.hash);
  return {};
}

golden_run run_golden(const scenario& s) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    close(ends[0]);
    golden_run g;
    try {
      g = simulate(s);
    } catch (const std::exception& e) {
      g.failed = e.what();
    }
    std::FILE* f = fdopen(ends[1], "w");
    put(f, {g.first_event, g.events, g.hash, g.sim_ps, g.wall_us, g.rests.size()});
    for (const auto& r : g.rests) put(f, r);
    std::vector<std::uint64_t> torn;
    for (const torn_point& t : g.torn) torn.insert(torn.end(), {t.event, t.landed});
    put(f, torn);
    put(f, {g.rtl.size()});
    for (const rtl_block& b : g.rtl) {
      put(f, {b.cycles});
      put(f, letters(b.name));
    }
    put(f, letters(g.failed));
    std::fflush(f);
    _exit(0);
  }
  close(ends[1]);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> f(fdopen(ends[0], "r"), std::fclose);
  const auto reap = [child] {
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  };
  try {
    golden_run g;
    const auto head = get(f.get());
    g.first_event = head.at(0);
    g.events = head.at(1);
    g.hash = head.at(2);
    g.sim_ps = head.at(3);
    g.wall_us = head.at(4);
    for (std::uint64_t i = 0; i < head.at(5); ++i) g.rests.push_back(get(f.get()));
    const auto torn = get(f.get());
    for (std::size_t i = 0; i + 1 < torn.size(); i += 2) g.torn.push_back({torn[i], torn[i + 1]});
    g.rtl.resize(get(f.get()).at(0));
    for (rtl_block& b : g.rtl) {
      b.cycles = get(f.get()).at(0);
      b.name = text(get(f.get()));
    }
    g.failed = text(get(f.get()));
    reap();
    return g;
  } catch (...) {
    reap();
    throw;
  }
}

}  // namespace understudy::tb
