// Same binary, same scenario, same seed: the same trace, whoever looks on.
#include <set>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

TEST(determinism, one_seed_is_one_trace_whoever_looks_on) {
  for (const std::string impair : {"", "loss 1% duplicate 1% delay 20us 5us"}) {
    SCOPED_TRACE(impair);
    std::set<std::string> hashes;
    std::set<std::uint64_t> events;
    unsigned runs = 0;
    for (const char* more :
         {"--captures off", "--captures off", "--captures on", "--captures off -v", "--captures off -v -v"})
      for (const char* monitors : {"all", "off"}) {
        const program_run r =
            run_program(scenario_file("failover.toml"),
                        {"wire.impair=" + impair, std::string("monitors=") + monitors}, more);
        ASSERT_EQ(r.status, 0) << r.reasons();
        hashes.insert(r.hash());
        events.insert(r.events());
        ++runs;
      }
    EXPECT_EQ(runs, 10u);
    EXPECT_EQ(hashes.size(), 1u) << ::testing::PrintToString(hashes);
    EXPECT_EQ(events.size(), 1u);
  }
}

TEST(determinism, another_seed_is_another_trace) {
  std::set<std::string> hashes;
  for (const char* seed : {"1", "2", "3"})
    hashes.insert(
        run_program(scenario_file("failover.toml"), {}, std::string("--captures off --seed ") + seed).hash());
  EXPECT_EQ(hashes.size(), 3u);
}

TEST(determinism, monitors_that_are_off_say_so) {
  const program_run r = run_program(scenario_file("failover.toml"), {"monitors=off"});
  EXPECT_EQ(r.result["monitors"].size(), 0u);
  EXPECT_NE(r.result["marks"].dump().find("monitors are off"), std::string::npos);
}

}  // namespace
}  // namespace understudy::tb
