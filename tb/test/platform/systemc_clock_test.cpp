// Whole simulations go the same way whether SystemC's clock comes up at each instant or stands still between.
#include <sys/wait.h>
#include <unistd.h>

#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

// A process of SystemC that has something to do all the time, so that its clock is never far behind.
class metronome : public sc_core::sc_module {
 public:
  explicit metronome(const sc_core::sc_module_name& name) : sc_module(name) {
    SC_HAS_PROCESS(metronome);
    SC_METHOD(tick);
  }

 private:
  void tick() { next_trigger(to_sc(200_ns)); }
};

struct course {
  std::uint64_t hash, deltas;
};

// The hash of the scenario's trace, and SystemC's delta cycles, of a process of its own.
course of(const std::vector<std::string>& settings, bool with_metronome) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    std::unique_ptr<metronome> m;
    if (with_metronome) m = std::make_unique<metronome>("metronome");
    inside i("failover.toml", settings);
    const run_result r = i.sim.run();
    const course c{r.trace_hash, sc_core::sc_delta_count()};
    const bool told = r.reasons.empty() && write(ends[1], &c, sizeof c) == sizeof c;
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  course c{};
  const bool told = read(ends[0], &c, sizeof c) == sizeof c;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(told);
  return c;
}

TEST(systemc_clock, changes_nothing_where_it_stands_still) {
  for (const std::vector<std::string>& settings : {std::vector<std::string>{},
                                                   {"seed=7", "wire.impair=\"loss 1% delay 20us 5us\""},
                                                   {"adapter.rtl=[\"dma_engine\"]"}}) {
    SCOPED_TRACE(::testing::PrintToString(settings));
    const course free = of(settings, false), held = of(settings, true);
    EXPECT_EQ(free.hash, held.hash);
    EXPECT_GT(free.deltas, 1000u) << "the CPU is a thread of SystemC";
    EXPECT_GT(held.deltas, 10 * free.deltas);
  }
}

}  // namespace
}  // namespace understudy::tb
