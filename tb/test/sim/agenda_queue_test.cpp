// Time that passes without SystemC's clock, as if it had passed with it.
#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "model/core/rng.h"
#include "model/sim/agenda.h"

namespace understudy {
namespace {

using sightings = std::vector<std::pair<picos, std::string>>;

// Blocks whose actions beget actions at random instants, many of them equal, of their own and each other's;
// and threads which they wake, and which wait.
class bustle : public sc_core::sc_module {
 public:
  explicit bustle(const sc_core::sc_module_name& name) : sc_module(name) {
    for (unsigned t = 0; t < threads; ++t)
      sc_core::sc_spawn([this, t] { wait_and_work(t); }, sc_core::sc_gen_unique_name("worker"));
  }
  // The same course each time, from now on.
  void begin() {
    random_ = rng(7, "bustle");
    seen_.clear();
    began_ = now_ps();
    left_ = 20000;
    for (unsigned b = 0; b < blocks; ++b) {
      blocks_[b].clear();
      enter(b);
    }
  }
  // What happened since, by instants from there.
  const sightings& seen() const { return seen_; }
  unsigned woken = 0, out_of_step = 0;

 private:
  static constexpr unsigned blocks = 5, threads = 3;

  void note(const std::string& what) { seen_.emplace_back(now_ps() - began_, what); }
  void enter(unsigned b) {
    if (!left_) return;
    --left_;
    blocks_[b].in(random_.below(30) * 10, [this, b] { act(b); });
  }
  void act(unsigned b) {
    note("block " + std::to_string(b));
    enter(static_cast<unsigned>(random_.below(blocks)));
    if (random_.below(20) == 0)
      for (unsigned t = 0; t < threads; ++t) in_step([this, t] { work_[t].notify(); });
  }
  void wait_and_work(unsigned t) {
    for (;;) {
      sc_core::wait(work_[t]);
      ++woken;
      out_of_step += sc_core::sc_time_stamp().value() != now_ps();
      note("thread " + std::to_string(t));
      blocks_[t].wait_for(random_.below(30) * 10, slept_[t]);
      note("thread " + std::to_string(t) + " again");
    }
  }

  rng random_;
  picos began_ = 0;
  unsigned left_ = 0;
  sightings seen_;
  agenda blocks_[blocks];
  sc_core::sc_event work_[threads], slept_[threads];
};

// As pass_time(), by SystemC's clock alone.
void pass_in_step(picos d) {
  sc_core::sc_start(to_sc(d));
}

TEST(pass_time, has_everything_happen_at_its_instant_and_in_its_order) {
  bustle b("bustle");
  pass_in_step(1_ns);
  b.begin();
  pass_in_step(1_us);
  const sightings in_step = b.seen();
  const unsigned woken = std::exchange(b.woken, 0);
  b.begin();
  for (picos t = 0; t < 1_us; t += 777) pass_time(777);
  EXPECT_GT(in_step.size(), 22000u);
  EXPECT_GT(woken, 1000u);
  EXPECT_EQ(b.woken, woken);
  EXPECT_TRUE(b.seen() == in_step);
  EXPECT_EQ(b.out_of_step, 0u) << "a thread finds SystemC's clock where now_ps() is";
}

TEST(pass_time, leaves_systemc_out_of_it_while_it_has_nothing_to_do) {
  agenda a;
  unsigned acted = 0;
  const auto act_often = [&] {
    for (picos t = 1; t <= 1000; ++t) a.in(t * 10, [&] { ++acted; });
  };
  act_often();
  pass_time(20_ns);
  EXPECT_EQ(acted, 1000u);
  EXPECT_LT(sc_core::sc_delta_count(), 10u);
  EXPECT_EQ(now_ps(), 20_ns);
  EXPECT_EQ(sc_core::sc_time_stamp(), to_sc(20_ns));
  const auto before = sc_core::sc_delta_count();
  act_often();
  pass_in_step(20_ns);
  EXPECT_EQ(acted, 2000u);
  EXPECT_GE(sc_core::sc_delta_count(), before + 1000);
}

TEST(pass_time, ends_where_it_was_to_end) {
  agenda a;
  std::vector<picos> acted;
  for (const picos t : {99u, 100u, 101u}) a.at(t, [&] { acted.push_back(now_ps()); });
  pass_time(100);
  EXPECT_EQ(now_ps(), 100u);
  EXPECT_EQ(acted, std::vector<picos>{99});
  pass_time(1);
  EXPECT_EQ(acted, (std::vector<picos>{99, 100}));
  pass_time(1);
  EXPECT_EQ(acted, (std::vector<picos>{99, 100, 101}));
  EXPECT_EQ(now_ps(), 102u);
}

// A process of SystemC that nobody has told of agendas.
TEST(pass_time, never_runs_past_what_systemc_has_to_do) {
  agenda a;
  sightings seen;
  sc_core::sc_spawn([&] {
    for (int i = 0; i < 3; ++i) {
      sc_core::wait(to_sc(25));
      seen.emplace_back(now_ps(), "thread");
    }
  });
  for (picos t = 10; t <= 80; t += 10) a.at(t, [&] { seen.emplace_back(now_ps(), "block"); });
  pass_time(100);
  EXPECT_EQ(seen, (sightings{{10, "block"},
                             {20, "block"},
                             {25, "thread"},
                             {30, "block"},
                             {40, "block"},
                             {50, "block"},
                             {50, "thread"},
                             {60, "block"},
                             {70, "block"},
                             {75, "thread"},
                             {80, "block"}}));
}

TEST(pass_time, refuses_a_notification_behind_its_back) {
  agenda a;
  sc_core::sc_event e;
  unsigned heard = 0;
  sc_core::sc_spawn_options method;  // no thread: AddressSanitizer knows one stack when something is thrown
  method.spawn_method();
  method.set_sensitivity(&e);
  method.dont_initialize();
  sc_core::sc_spawn([&] { ++heard; }, "listener", &method);
  a.at(5, [] {});
  a.at(10, [&] { in_step([&] { e.notify(); }); });
  EXPECT_NO_THROW(pass_time(20));
  EXPECT_EQ(heard, 1u);
  a.at(25, [] {});
  a.at(30, [&] { e.notify(); });
  sc_core::sc_report_handler::set_actions(sc_core::SC_FATAL, sc_core::SC_THROW);
  try {
    pass_time(20);
    FAIL() << "nothing was said";
  } catch (const sc_core::sc_report& r) {
    EXPECT_STREQ(r.get_msg_type(), "pass_time");
  }
}

}  // namespace
}  // namespace understudy
