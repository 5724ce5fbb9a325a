// The whole grid of traces/sweeps/establish.toml, as docs/establishment.md prints it: every cell holds, and
// what bulk announcement saves and costs follows N and T.
#include <map>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

TEST(establish_sweep, saves_nine_tenths_of_the_transactions_at_32_without_age_limit) {
  const std::string sweep = std::string(US_SOURCE_DIR) + "/traces/sweeps/establish.toml";
  const program_run r = shell(quoted(US_PROGRAM) + " explore " + quoted(sweep) + " -j 2 --json --out " +
                              quoted(test_folder().string()));
  ASSERT_EQ(r.status, 0) << r.output;
  const int ages[] = {20, 100, 1000, 0}, counts[] = {1, 2, 8, 32, 128};
  ASSERT_EQ(r.result["cells"].size(), std::size(ages) * std::size(counts));
  struct cell {
    double transactions, less, interrupts, bursts, commit_writes, p99;
  };
  std::map<std::pair<int, int>, cell> cells;
  std::size_t row = 0;
  for (const int age : ages)
    for (const int count : counts) {
      SCOPED_TRACE("T " + std::to_string(age) + ", N " + std::to_string(count));
      const auto& c = r.result["cells"][row++];
      EXPECT_EQ(c["status"], "held");
      const auto& n = c["numbers"];
      const cell now{n["transactions a connection"],
                     c["percent_less"]["transactions a connection"],
                     n["interrupts a connection"],
                     n["bursts"],
                     n["commit writes"],
                     n["p99 us"]};
      cells[{age, count}] = now;
      EXPECT_EQ(now.commit_writes, 1024);
      EXPECT_GE(now.bursts, 1024 / count);
      EXPECT_LE(now.interrupts * 1024, now.bursts + 1)
          << "one when unread records fill a quarter of the table";
      EXPECT_TRUE(age == 0 || now.p99 <= age + 25) << now.p99 << " us: T, and the time until the host looks";
      if (count == 1) {
        EXPECT_EQ(now.less, 0);
        EXPECT_EQ(now.bursts, 1024);
        continue;
      }
      EXPECT_GT(now.less, 49);
    }
  for (const int age : ages)
    for (std::size_t i = 1; i < std::size(counts); ++i) {
      const cell &fewer = cells[{age, counts[i - 1]}], &more = cells[{age, counts[i]}];
      EXPECT_LE(more.transactions, fewer.transactions) << "T " << age << ", N " << counts[i];
      EXPECT_GE(more.p99, fewer.p99) << "T " << age << ", N " << counts[i];
    }
  EXPECT_EQ((cells[{0, 32}].bursts), 32);
  EXPECT_GE((cells[{0, 32}].less), 90);
}

}  // namespace
}  // namespace understudy::tb
