// What a campaign demands of its golden run.
#include "tb/campaign/golden.h"

#include <gtest/gtest.h>

namespace understudy::tb {
namespace {

TEST(golden, two_runs_that_differ_are_unfit_and_so_is_one_that_fails) {
  golden_run a;
  a.events = 10;
  a.hash = 7;
  golden_run b = a;
  EXPECT_EQ(why_unfit(a, b), "");
  b.hash = 8;
  EXPECT_NE(why_unfit(a, b).find("not deterministic"), std::string::npos);
  b = a;
  b.rests.push_back({1});
  EXPECT_NE(why_unfit(a, b).find("not deterministic"), std::string::npos);
  a.failed = "1 byte lost";
  EXPECT_NE(why_unfit(a, a).find("does not hold: 1 byte lost"), std::string::npos);
}

}  // namespace
}  // namespace understudy::tb
