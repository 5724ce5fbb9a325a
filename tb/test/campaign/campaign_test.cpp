// Campaigns as a user runs them: exhaustive where asked, resumable, in shards, and able to fail.
#include <map>

#include "tb/test/campaign/campaign_program.h"

namespace understudy::tb {
namespace {

TEST(campaign, every_selected_crash_point_recovers_and_controls_equal_the_golden_run) {
  const program_run r =
      campaign(plan("crash_points", "stride = 997\ncontrol_share = 0.1\ntail_share = 0.1\n"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GE(r.result["golden_events"], 10'000);
  EXPECT_GE(r.result["points"], 100);
  EXPECT_EQ(r.result["injections"], r.result["points"]);
  EXPECT_EQ(r.result["outcomes"]["R2"], r.result["points"]);
  EXPECT_GT(r.result["control_forks"], 0);
  EXPECT_EQ(r.result["control_mismatches"], 0);
  EXPECT_GT(r.result["tail_checks"], 0);
  EXPECT_EQ(r.result["tail_mismatches"], 0);
  EXPECT_EQ(r.result["not_allowed"], 0);
  EXPECT_TRUE(std::filesystem::exists(test_folder() / "out" / "junit.xml"));
}

TEST(campaign, a_second_call_resumes_and_injects_nothing_twice) {
  const std::string p = plan("crash_points", "stride = 4001\n");
  const program_run first = campaign(p, "out");
  const program_run second = campaign(p, "out");
  ASSERT_EQ(second.status, 0) << second.output;
  EXPECT_EQ(first.result["resumed"], 0);
  EXPECT_EQ(second.result["resumed"], first.result["injections"]);
  EXPECT_EQ(second.result["injections"], first.result["injections"]);
}

TEST(campaign, the_same_plan_at_another_place_chooses_the_same_control_forks) {
  const std::string p = plan("crash_points", "stride = 9973\ncontrol_share = 0.5\n");
  const std::filesystem::path elsewhere = test_folder() / "elsewhere" / "plan.toml";
  std::filesystem::create_directories(elsewhere.parent_path());
  std::filesystem::copy_file(p, elsewhere, std::filesystem::copy_options::overwrite_existing);
  ASSERT_EQ(campaign(p, "here").status, 0);
  ASSERT_EQ(campaign(elsewhere.string(), "there").status, 0);
  const auto controls = [](const char* out) {
    return query(out, "SELECT group_concat(trigger_event) FROM control");
  };
  EXPECT_NE(controls("here"), "");
  EXPECT_EQ(controls("here"), controls("there"));
}

TEST(campaign, shards_split_without_overlap_and_merge_idempotently) {
  const std::string p = plan("crash_points", "stride = 4001\n");
  const program_run whole = campaign(p, "whole");
  const program_run one = campaign(p, "one", "--shard 1/2");
  const program_run two = campaign(p, "two", "--shard 2/2");
  ASSERT_EQ(one.status + two.status, 0);
  EXPECT_EQ(one.result["injections"].get<int>() + two.result["injections"].get<int>(),
            whole.result["injections"].get<int>());
  const auto at = [](const char* n) { return quoted((test_folder() / n / "results.sqlite").string()); };
  const std::string merge = quoted(US_PROGRAM) + " campaign merge " +
                            quoted((test_folder() / "all.sqlite").string()) + " " + at("one") + " " +
                            at("two") + " --json";
  const auto fresh = [](const program_run& r) { return nlohmann::json::parse(r.output)["new"].get<int>(); };
  EXPECT_EQ(fresh(shell(merge)), whole.result["injections"].get<int>());
  EXPECT_EQ(fresh(shell(merge)), 0);
}

// Negative control: a defect that only a failover shows. The golden run holds, injections do not, and replay
// says so again.
TEST(campaign, a_defect_of_the_recovery_is_found_and_replayed_by_its_id) {
  const program_run r = campaign(
      plan("crash_points", "stride = 4001\nset = ['mutants=[\"snd_max_reset\"]', 'run.deadline=\"20 s\"']\n"),
      "out");
  ASSERT_EQ(r.status, 1) << r.output;
  ASSERT_GT(r.result["not_allowed"], 0);
  const std::string id = r.result["failures"][0].get<std::string>().substr(0, 20);
  const program_run again = shell(quoted(US_PROGRAM) + " replay " + id + " --db " +
                                  quoted((test_folder() / "out" / "results.sqlite").string()) + " --out " +
                                  quoted((test_folder() / "replay").string()));
  EXPECT_EQ(again.status, 1) << again.output;
  EXPECT_NE(again.output.find("I-TX-3"), std::string::npos) << again.output;
  EXPECT_TRUE(std::filesystem::exists(test_folder() / "replay" / "timeline.json"));
  EXPECT_TRUE(std::filesystem::exists(test_folder() / "replay" / "capture.pcapng"));
}

// A plan of one mutant in hello.toml.
std::string mutant_plan(const std::string& name, const std::string& monitor, const std::string& more = {}) {
  const std::string path = (fresh_folder() / "mutant.toml").string();
  std::ofstream(path) << "mode = \"mutants\"\n[[mutant]]\nname = \"" << name << "\"\nmonitor = \"" << monitor
                      << "\"\nscenario = \"" << scenario_file("hello.toml") << "\"\n"
                      << more;
  return path;
}

TEST(campaign, every_monitor_has_a_mutant_that_it_kills) {
  const program_run r = campaign(std::string(US_SOURCE_DIR) + "/traces/campaigns/mutants.toml", "mutants");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_EQ(r.result["killed"], r.result["mutants"]);
  std::map<std::string, unsigned> rows;
  for (const auto& row : r.result["rows"]) ++rows[row["monitor"].get<std::string>()];
  const auto described =
      nlohmann::json::parse(shell(quoted(US_PROGRAM) + " describe monitors --json").output);
  ASSERT_GE(described.size(), 25u);
  for (const auto& m : described)
    EXPECT_GT(rows[m["id"].get<std::string>()], 0u) << m["id"] << " has no mutant";
}

TEST(campaign, a_mutant_is_killed_by_the_monitor_of_its_row_and_no_other) {
  const program_run right = campaign(mutant_plan("leak_buffer", "I-DMA-4"), "out");
  EXPECT_EQ(right.status, 0) << right.output;
  const program_run wrong = campaign(mutant_plan("leak_buffer", "I-DMA-1"), "out");
  EXPECT_EQ(wrong.status, 1) << wrong.output;
  EXPECT_EQ(wrong.result["killed"], 0);
  EXPECT_FALSE(wrong.result["rows"][0]["caught"]);
}

TEST(campaign, a_row_that_fails_without_its_mutant_kills_nothing) {
  const program_run r = campaign(
      mutant_plan("leak_buffer", "I-DMA-4", "set = ['fault=[{kind=\"kill\",at_fraction=0.5}]']\n"), "out");
  EXPECT_EQ(r.status, 1) << r.output;
  EXPECT_FALSE(r.result["rows"][0]["clean_without"]);
  EXPECT_EQ(r.result["killed"], 0);
}

TEST(campaign, a_golden_run_that_fails_is_refused) {
  refused("campaign " + quoted(plan("crash_points", "set = ['mutants=[\"ack_before_commit\"]']\n")) +
              " --out " + quoted((test_folder() / "out").string()),
          "the golden run does not hold");
}

TEST(campaign, bad_plans_get_one_line_and_status_2) {
  const std::string out = " --out " + quoted((test_folder() / "out").string());
  refused("campaign " + quoted(plan("crash", "")) + out, "is no mode");
  refused("campaign " + quoted(plan("crash_points", "site = 3\n")) + out, "site: is unknown");
  refused("campaign " + quoted(plan("crash_points", "stride = 0\n")) + out, "stride: is not a whole number");
  refused("campaign " + quoted(plan("mutants", "")) + out, "the fault space is empty");
  refused("campaign " + quoted(mutant_plan("leak_bufer", "I-DMA-4")) + out, "leak_bufer");
  refused("campaign " + quoted(mutant_plan("leak_buffer", "I-DMA-44")) + out, "I-DMA-44");
  refused("campaign " + quoted(plan("crash_points", "set = [\"topology.adapters=1\"]\n")) + out,
          "nobody could take over");
  refused("campaign " + quoted(plan("crash_points", "stride = 4001\n")) + " --shard 3/2" + out, "--shard");
  refused("campaign /nowhere/plan.toml" + out, "cannot be opened");
  refused("replay fi1-0000000000000000 --db /nowhere.sqlite", "no such file");
}

TEST(campaign, a_database_of_something_else_is_refused) {
  std::filesystem::create_directories(fresh_folder() / "out");
  std::ofstream(test_folder() / "out" / "results.sqlite")
      << "not a database, only text that is long enough to be looked at";
  refused("campaign " + quoted(plan("crash_points", "stride = 40001\n")) + " --out " +
              quoted((test_folder() / "out").string()),
          "results.sqlite");
}

}  // namespace
}  // namespace understudy::tb
