// Which connections of scale.toml carry bytes: as many as workload.active says, all if there are fewer, and
// the seed chooses them.
#include <gtest/gtest.h>

#include <set>

#include "tb/platform/configure.h"
#include "tb/platform/simulation.h"
#include "tb/scenario/load.h"

namespace understudy::tb {
namespace {

// Connections that carry bytes.
std::set<std::size_t> chosen(unsigned seed, unsigned active, unsigned connections) {
  const scenario s =
      load_scenario(std::string(US_SOURCE_DIR) + "/traces/scenarios/scale.toml",
                    {"seed=" + std::to_string(seed), "workload.active=" + std::to_string(active),
                     "adapter.connections=" + std::to_string(connections)},
                    checks_of_parts());
  const replay_set all = workload_of(s);
  EXPECT_EQ(all.size(), connections);
  std::set<std::size_t> busy;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].bytes() == 0) continue;
    EXPECT_EQ(all[i].bytes(), 2u * 16 * 1024) << "16 KiB in each direction";
    busy.insert(i);
  }
  return busy;
}

TEST(active_choice, has_the_size_that_was_asked_for) {
  for (const unsigned active : {1u, 999u, 1000u, 5000u}) EXPECT_EQ(chosen(1, active, 5000).size(), active);
}

TEST(active_choice, is_all_of_them_where_there_are_fewer) {
  EXPECT_EQ(chosen(1, 10000, 1000).size(), 1000u);
}

TEST(active_choice, depends_on_the_seed_and_on_nothing_else) {
  const auto one = chosen(1, 500, 5000);
  EXPECT_EQ(one, chosen(1, 500, 5000));
  for (const unsigned seed : {2u, 3u, 4u}) {
    const auto other = chosen(seed, 500, 5000);
    std::size_t both = 0;
    for (const std::size_t i : other) both += one.count(i);
    EXPECT_LT(both, 100u) << "a tenth of 500 is 50, by chance";
  }
}

// A binomial count of mean 250 and deviation 15 in each tenth of the connections: five deviations.
TEST(active_choice, is_spread_over_all_of_them) {
  unsigned in[10] = {};
  for (const std::size_t i : chosen(1, 2500, 10000)) ++in[i / 1000];
  for (const unsigned n : in) EXPECT_NEAR(n, 250, 75);
}

}  // namespace
}  // namespace understudy::tb
