// Liveness and safety campaigns, each with what makes it fail.
#include "tb/test/campaign/campaign_program.h"

namespace understudy::tb {
namespace {

std::string committed(const std::string& name) {
  return std::string(US_SOURCE_DIR) + "/traces/campaigns/" + name;
}

TEST(liveness, with_an_adapter_left_everything_goes_on_within_the_deadline) {
  const program_run r = campaign(committed("liveness.toml"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GE(r.result["points"], 50);
  EXPECT_EQ(r.result["outcomes"]["R2"], r.result["points"]);
  EXPECT_EQ(query("out", "SELECT DISTINCT n_faults FROM injection"), "2");
}

TEST(liveness, a_poisoned_write_never_leads_to_a_wrong_byte) {
  const program_run r = campaign(committed("poisoned-writes.toml"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GE(r.result["points"], 50);
  EXPECT_EQ(r.result["outcomes"]["R2"], r.result["points"]);
}

TEST(liveness, whatever_way_a_link_is_lost_its_adapter_resets_and_everything_goes_on) {
  const program_run r = campaign(committed("link-faults.toml"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GE(r.result["points"], 50);
  EXPECT_EQ(r.result["outcomes"]["R2"], r.result["points"]);
}

TEST(liveness, a_poisoned_write_that_nobody_contains_does) {
  const program_run r = campaign(
      plan("liveness",
           "stride = 9973\nkinds = [\"poisoned_write\"]\ndeadline = \"1 s\"\nset = [\"pcie.dpc=false\"]\n"),
      "out");
  EXPECT_EQ(r.status, 1) << r.output;
  EXPECT_GT(r.result["outcomes"].value("S1", 0), 0) << r.output;
}

TEST(liveness, a_deadline_shorter_than_the_recovery_makes_it_hang) {
  const program_run r = campaign(plan("liveness", "stride = 20011\ndeadline = \"1 ms\"\n"), "out");
  EXPECT_EQ(r.status, 1) << r.output;
  EXPECT_EQ(r.result["outcomes"]["H1"], r.result["points"]);
  EXPECT_NE(r.result["failures"][0].get<std::string>().find("no rest within 1 ms"), std::string::npos);
}

TEST(safety, whatever_dies_nothing_wrong_is_done) {
  const program_run r = campaign(committed("safety.toml"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GE(r.result["points"], 100);
  EXPECT_EQ(r.result["not_allowed"], 0);
  EXPECT_EQ(query("out", "SELECT DISTINCT n_faults FROM injection"), "3");
}

TEST(safety, connections_may_end_but_a_broken_rule_is_found) {
  const program_run r = campaign(plan("safety",
                                      "stride = 4001\ngap = \"20 ms\"\ndeadline = \"20 ms\"\n"
                                      "set = ['mutants=[\"snd_max_reset\"]']\n"),
                                 "out");
  EXPECT_EQ(r.status, 1) << r.output;
  EXPECT_GT(r.result["outcomes"].value("P1", 0), 0) << r.output;
  EXPECT_NE(query("out", "SELECT group_concat(DISTINCT invariant) FROM result").find("I-TX-3"),
            std::string::npos);
}

TEST(modes, keys_of_a_train_of_faults_are_checked) {
  const std::string out = " --out " + quoted((test_folder() / "out").string());
  const auto refuse = [&out](const std::string& mode, const std::string& more, const std::string& why) {
    refused("campaign " + quoted(plan(mode, more)) + out, why);
  };
  refuse("liveness", "kinds = [\"flood\"]\n", "\"flood\" is no fault; allowed are");
  refuse("liveness", "faults = 3\n", "would leave no adapter");
  refuse("liveness", "deadline = 5\n", "deadline: is not a string");
  refuse("liveness", "gap = \"5 parsecs\"\n", "gap: ");
  refuse("safety", "faults = 2\n", "has no limit");
  refuse("crash_points", "gap = \"1 ms\"\n", "is for modes liveness and safety only");
}

}  // namespace
}  // namespace understudy::tb
