// What a campaign does when something is wrong with its golden run, its database, its disk or its time.
#include <signal.h>

#include <chrono>
#include <thread>

#include "tb/test/campaign/campaign_program.h"

namespace understudy::tb {
namespace {

// Line of a shell that runs a campaign in this test's folder; standard output goes to `log`.
std::string call(const std::string& plan, const std::string& out, const std::string& more = {}) {
  return quoted(US_PROGRAM) + " campaign " + quoted(plan) + " -j 2 --json --out " +
         quoted((test_folder() / out).string()) + " " + more;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(trouble, a_fault_space_without_a_point_is_refused) {
  const std::string p = (fresh_folder() / "plan.toml").string();
  // The host only sends: no write but records, and those are one TLP each.
  std::ofstream(p) << "mode = \"torn_writes\"\nscenario = \"" << scenario_file("bulk.toml")
                   << "\"\nset = [\"topology.adapters=2\", \"workload.connections=1\", "
                      "\"workload.bytes=10000\", 'workload.direction=\"up\"', \"pcie.mps=4096\"]\n";
  refused("campaign " + quoted(p) + " --out " + quoted((test_folder() / "out").string()),
          "the fault space is empty");
}

TEST(trouble, an_injection_beyond_the_guard_is_inconclusive_and_tried_again) {
  const program_run r = campaign(plan("crash_points", "stride = 9001\nguard_seconds = 0.001\n"), "out");
  EXPECT_EQ(r.status, 1) << r.output;
  const int inconclusive = r.result["inconclusive"];
  EXPECT_GT(inconclusive, 0);
  EXPECT_EQ(r.result["outcomes"]["N2"], inconclusive);
  EXPECT_EQ(r.result["not_allowed"], 0);
  EXPECT_EQ(query("out", "SELECT count(*) FROM result WHERE outcome = 'N2' AND allowed"), "0");
  // The same again: what has a verdict keeps it, the rest is tried once more and still does not pass.
  const program_run again = campaign((test_folder() / "plan.toml").string(), "out");
  EXPECT_EQ(again.result["injections"], r.result["points"]);
  EXPECT_EQ(again.result["resumed"], r.result["points"].get<int>() - inconclusive);
  EXPECT_EQ(again.status, again.result["inconclusive"] > 0 ? 1 : 0);
}

TEST(trouble, a_database_of_another_schema_or_commit_is_refused) {
  const std::string p = plan("crash_points", "stride = 40001\n");
  ASSERT_EQ(campaign(p, "out").status, 0);
  const std::string arguments =
      "campaign " + quoted(p) + " --out " + quoted((test_folder() / "out").string());
  query("out", "UPDATE campaign SET git_commit = '0123456789ab'");
  refused(arguments, "was begun with revision 0123456789ab");
  query("out", "PRAGMA user_version = 99");
  refused(arguments, "schema 99, expected");
}

TEST(trouble, a_full_disk_stops_it_and_nothing_is_lost_or_counted_twice) {
  const std::string p = plan("crash_points", "stride = 401\n");
  const std::filesystem::path errors = test_folder() / "errors";
  const program_run full = shell("ulimit -f 200; " + call(p, "out"), errors);  // 100 KiB a file
  EXPECT_EQ(full.status, 2) << full.output;
  const std::string line = text_of(errors);
  EXPECT_NE(line.find("results.sqlite: "), std::string::npos) << line;
  EXPECT_NE(line.find("run the same command again"), std::string::npos) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
  const int kept = std::stoi(query("out", "SELECT count(*) FROM result"));
  const program_run rest = campaign(p, "out");
  ASSERT_EQ(rest.status, 0) << rest.output;
  EXPECT_EQ(rest.result["resumed"], kept);
  EXPECT_EQ(rest.result["injections"], rest.result["points"]);
  EXPECT_EQ(query("out", "SELECT count(DISTINCT trigger_event) FROM injection"),
            std::to_string(rest.result["points"].get<int>()));
}

TEST(trouble, ctrl_c_stops_it_soon_and_the_next_call_goes_on) {
  const std::string p = plan("crash_points", "stride = 97\n");
  const std::filesystem::path log = test_folder() / "log";
  const std::filesystem::path process = test_folder() / "pid";
  std::thread user([&] {
    const std::filesystem::path database = test_folder() / "out" / "results.sqlite";
    for (int i = 0; i < 600; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (!std::filesystem::exists(database)) continue;
      const std::string n = query("out", "SELECT count(*) FROM result");
      if (!n.empty() && n != "0") break;
    }
    kill(std::stoi(text_of(process)), SIGINT);
  });
  const program_run stopped = shell("echo $$ > " + quoted(process.string()) + "; exec " + call(p, "out"));
  user.join();
  EXPECT_EQ(stopped.status, 1);
  EXPECT_TRUE(stopped.result["stopped"]) << stopped.output;
  const int before = stopped.result["injections"];
  EXPECT_GT(before, 0);
  EXPECT_LT(before, stopped.result["points"]);
  EXPECT_EQ(query("out", "SELECT count(*) FROM result"), std::to_string(before));
  const program_run rest = campaign(p, "out");
  EXPECT_EQ(rest.status, 0);
  EXPECT_EQ(rest.result["resumed"], before);
  EXPECT_EQ(rest.result["injections"], rest.result["points"]);
}

TEST(trouble, progress_is_for_terminals) {
  const std::string p = plan("crash_points", "stride = 401\n");
  const std::filesystem::path errors = test_folder() / "errors";
  ASSERT_EQ(shell(call(p, "piped"), errors).status, 0);
  EXPECT_EQ(text_of(errors), "");
  const program_run seen = shell("script -qec " + quoted(call(p, "terminal")) + " /dev/null");
  EXPECT_NE(seen.output.find(" a second, "), std::string::npos) << seen.output;
  EXPECT_NE(seen.output.find(" s left"), std::string::npos) << seen.output;
}

TEST(junit, has_a_case_for_the_scenario_and_fault_class_and_says_why_it_failed) {
  ASSERT_EQ(campaign(plan("crash_points", "stride = 40001\n"), "out").status, 0);
  const std::string good = text_of(test_folder() / "out" / "junit.xml");
  EXPECT_NE(good.find("reference.toml: crash\""), std::string::npos) << good;
  EXPECT_NE(good.find("failures=\"0\""), std::string::npos) << good;
  const program_run bad =
      campaign(plan("crash_points",
                    "stride = 20001\nset = ['mutants=[\"snd_max_reset\"]', 'run.deadline=\"20 s\"']\n"),
               "bad");
  ASSERT_EQ(bad.status, 1);
  const std::string text = text_of(test_folder() / "bad" / "junit.xml");
  EXPECT_NE(text.find("tests=\"1\" failures=\"1\""), std::string::npos) << text;
  EXPECT_NE(text.find("understudy replay fi1-"), std::string::npos) << text;
}

TEST(schema, has_the_tables_and_columns_of_the_page_and_they_are_filled) {
  const program_run r = campaign(plan("torn_writes", "stride = 1009\ncontrol_share = 0.5\n"), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  const std::string n = std::to_string(r.result["points"].get<int>());
  EXPECT_EQ(query("out",
                  "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type = 'table' "
                  "ORDER BY name)"),
            "artifact,campaign,control,golden,injection,result,site");
  EXPECT_EQ(query("out",
                  "SELECT count(*) FROM campaign JOIN golden ON golden.campaign = campaign.id WHERE "
                  "length(config_sha256) = 64 AND git_commit != '' AND toolchain LIKE '%SystemC%' AND "
                  "host != '' AND started LIKE '20%Z' AND mode = 'torn_writes' AND n_events > 0 AND "
                  "sim_ps > 0 AND wall_s > 0 AND length(trace_hash) = 16 AND length(state_hash) = 16"),
            "1");
  EXPECT_EQ(query("out",
                  "SELECT count(*) FROM injection JOIN site ON site.id = site JOIN result ON injection "
                  "= injection.id WHERE kind = 'tlp' AND model = 'torn write' AND bit_or_param >= 1 AND "
                  "trigger_ps > 0 AND n_faults = 1 AND detected_by = 'driver' AND detect_ps > 0 AND "
                  "recovered_ps > detect_ps AND bytes_lost = 0 AND bytes_dup = 0 AND invariant = '' AND "
                  "length(end_hash) = 16 AND (converged_at > trigger_event OR to_end) AND wall_us > 0 "
                  "AND worker < 2 AND rc = 0"),
            n);
  EXPECT_EQ(query("out", "SELECT count(*) FROM control WHERE equal"),
            std::to_string(r.result["control_forks"].get<int>()));
}

}  // namespace
}  // namespace understudy::tb
