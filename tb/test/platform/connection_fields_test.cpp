// Every hard field of a connection reaches the substitute with the error that its declaration allows.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "model/core/tcp_connection.h"
#include "tb/platform/simulation.h"
#include "tb/scenario/load.h"

namespace understudy::tb {
namespace {

// What a substitute may not start with, for a field declared `safe`: exact, low, high.
template <class T>
bool allowed(const std::string& safe, const T& old, const T& now) {
  if (safe == "exact") return now == old;
  if constexpr (std::is_same_v<T, seq32>) {
    return safe == "low" ? now.before_eq(old) : old.before_eq(now);
  } else if constexpr (std::is_integral_v<T>) {
    return safe == "low" ? now <= old : old <= now;
  } else {
    return false;  // neither low nor high means anything
  }
}

// Takes the dying adapter's connections as they were at its death, and holds them against the substitute's
// when the host says that it serves, before it has heard anybody.
class heir : public event_observer {
 public:
  explicit heir(simulation& s) : s_(s) { s.log().subscribe(this); }
  void on_event(const event& e) override {
    constexpr auto running = static_cast<std::uint64_t>(host::recovery_state::running);
    if (e.kind == event_kind::fault && e.a == lost_fault) take(e.unit);
    if (e.kind == event_kind::recovery_step && e.a == running) compare();
  }
  const std::vector<std::string>& breaches() const { return breaches_; }
  int compared(const std::string& field) const { return compared_.count(field) ? compared_.at(field) : 0; }
  int differ(const std::string& field) const { return differ_.count(field) ? differ_.at(field) : 0; }

 private:
  const tcp_engine& engine(unsigned slot) { return s_.parts().main.slots[slot].device->engine(); }
  void take(unsigned slot) {
    dead_ = slot;
    for (const host::shadow_facts& f : s_.parts().main.driver->shadows())
      if (const cid c = f.facts.id; c.valid() && engine(slot).known(c))
        old_.emplace(c.raw, engine(slot).fields(c));
  }
  void compare() {
    for (const auto& [raw, old] : old_)
      if (engine(dead_ + 1).known(cid{raw})) compare(old, engine(dead_ + 1).fields(cid{raw}));
  }
  template <class C>  // so that soft fields, which cannot be compared, are not
  void compare(const C& old, const C& now) {
#define UNDERSTUDY_X(name, type, hardness, holder, safe, source, way, sentence) \
  if constexpr (std::string_view(#hardness) == "hard")                          \
    field<type>(#name, #safe, old.name, now.name, judged(#name, old, now));
    UNDERSTUDY_CONNECTION_FIELDS(UNDERSTUDY_X)
#undef UNDERSTUDY_X
  }
  // A FIN's number means nothing before there is one, a grant nothing after the peer's. A state says what is
  // common knowledge: where the host had not heard of all that the adapter had, or the adapter not of all
  // that the host wants, it may differ.
  static bool judged(std::string_view field, const tcp_connection& old, const tcp_connection& now) {
    if (field == "fin_seq") return old.fin_posted;
    if (field == "rcv_grant") return !now.fin_accepted;
    if (field == "state")
      return old.rcv_nxt == now.rcv_nxt && old.snd_una == now.snd_una && old.fin_posted == now.fin_posted;
    return true;
  }
  template <class T>
  void field(const std::string& name, const std::string& safe, const T& old, const T& now, bool judged) {
    if (!judged) return;
    ++compared_[name];
    if (!(old == now)) ++differ_[name];
    if (!allowed<T>(safe, old, now)) breaches_.push_back(name + ", declared " + safe);
  }

  simulation& s_;
  unsigned dead_ = 0;
  std::map<std::uint32_t, tcp_connection> old_;
  std::vector<std::string> breaches_;
  std::map<std::string, int> compared_, differ_;
};

// A run whose first adapter dies at `instant`. How many connections were compared.
int expect_inheritance(const std::string& instant) {
  const scenario s = load_scenario(US_SOURCE_DIR "/traces/scenarios/failover.toml",
                                   {"fault=[{kind=\"kill\", " + instant + "}]"});
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  heir h(sim);
  EXPECT_TRUE(sim.run().held());
  std::map<std::string, int> kinds;
  for (const std::string& b : h.breaches()) ++kinds[b];
  for (const auto& [what, n] : kinds) ADD_FAILURE() << what << ": " << n << " connections";
  for (const connection_field& f : connection_fields())
    if (std::string(f.hardness) == "hard")
      std::printf("%-20s %-5s  %2d of %2d differ\n", f.name, f.safe, h.differ(f.name), h.compared(f.name));
  return h.compared("tuple");
}

TEST(connection_fields, that_are_hard_are_inherited_when_connections_begin) {
  EXPECT_GE(expect_inheritance("at_fraction=0.01"), 1);
}
TEST(connection_fields, that_are_hard_are_inherited_when_connections_carry_bytes) {
  EXPECT_GE(expect_inheritance("at_fraction=0.5"), 60);
}
TEST(connection_fields, that_are_hard_are_inherited_when_connections_end) {
  EXPECT_GE(expect_inheritance("at_fraction=0.97"), 10);
}

// The control: a driver that restores from the beginning of the stream is caught by this alone.
TEST(connection_fields, that_a_driver_restores_stale_are_found) {
  const scenario s = load_scenario(US_SOURCE_DIR "/traces/scenarios/failover.toml",
                                   {"mutants=[\"stale_rcv_nxt\"]", "run.deadline=\"10 ms\""});
  run_options options;
  options.captures = false;
  simulation sim(s, options);
  heir h(sim);
  sim.run();
  EXPECT_GT(std::count(h.breaches().begin(), h.breaches().end(), "rcv_committed, declared high"), 30);
}

TEST(connection_fields, of_another_value_are_told_from_the_same) {
  EXPECT_TRUE(allowed<seq32>("exact", seq32{5}, seq32{5}));
  EXPECT_FALSE(allowed<seq32>("exact", seq32{5}, seq32{6}));
  EXPECT_TRUE(allowed<seq32>("high", seq32{0xffffffff}, seq32{1}));
  EXPECT_FALSE(allowed<seq32>("low", seq32{0xffffffff}, seq32{1}));
  EXPECT_FALSE(allowed<std::uint16_t>("high", 2, 1));
  EXPECT_FALSE(allowed<four_tuple>("low", {}, {}));
}

}  // namespace
}  // namespace understudy::tb
