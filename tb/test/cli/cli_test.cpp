#include "tb/cli/cli.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/abi/understudy_abi.h"
#include "tb/scenario/describe.h"
#include "tb/scenario/parameters.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string content(const fs::path& path) {
  std::ifstream f(path);
  std::ostringstream t;
  t << f.rdbuf();
  return t.str();
}

// The command line with a run that only notes what it was asked for, in an empty folder.
class cli : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / ("cli_" + std::string(info->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::current_path(folder_);
    std::ofstream("s.toml") << "seed = 3\n[wire]\ndelay = \"7 us\"\n";
    env.run = [this](const scenario& s, const run_options& o) {
      ++runs;
      seen = s;
      options = o;
      if (o.progress) o.progress(0.5, 12_ms);
      if (!throws.empty()) throw std::runtime_error(throws);
      return answer;
    };
    env.out = &out_;
    env.err = &err_;
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  int run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    return run_cli(args, env);
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  // Nothing but the scenario lies in the folder.
  bool nothing_written() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()) == 1;
  }

  cli_environment env;
  int runs = 0;
  scenario seen;
  run_options options;
  run_result answer;
  std::string throws;

 private:
  fs::path before_, folder_;
  std::ostringstream out_, err_;
};

TEST_F(cli, run_writes_result_and_summary_and_prints_the_summary) {
  answer.files = {"link.pcapng"};
  EXPECT_EQ(run({"run", "s.toml"}), exit_held);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(err(), "");
  EXPECT_EQ(content("results/summary.txt"), out());
  EXPECT_NE(out().find("HELD"), std::string::npos);
  EXPECT_NE(out().find("results: result.json summary.txt link.pcapng"), std::string::npos) << out();
  const json j = json::parse(content("results/result.json"));
  EXPECT_EQ(j["scenario"], "s.toml");
  EXPECT_EQ(j["seed"], 3);
  EXPECT_EQ(j["parameters"]["wire.delay"], "\"7 us\"");
}

TEST_F(cli, run_hands_every_option_on) {
  EXPECT_EQ(run({"run", "s.toml", "--set", "peer=twin", "--set", "mutants=[\"no_fence\", \"no_block\"]",
                 "--seed", "11", "--out", "o/p", "--captures", "off", "--waves", "--timeline", "-v", "-v"}),
            exit_held);
  EXPECT_EQ(seen.seed, 11u);
  EXPECT_EQ(seen.peer, "twin");
  EXPECT_EQ(seen.mutants.size(), 2u);
  EXPECT_EQ(seen.wire.delay, 7_us);
  EXPECT_EQ(options.out_dir, "o/p");
  EXPECT_FALSE(options.captures);
  EXPECT_TRUE(options.waves);
  EXPECT_TRUE(options.timeline);
  EXPECT_EQ(options.verbosity, 2);
  EXPECT_TRUE(fs::exists("o/p/result.json"));
  EXPECT_NE(err().find("wire.delay = \"7 us\"\n"), std::string::npos);
  EXPECT_EQ(run({"run", "s.toml"}), exit_held);
  EXPECT_TRUE(options.captures);
  EXPECT_FALSE(options.waves);
}

TEST_F(cli, a_run_that_does_not_hold_exits_1) {
  answer.reasons = {"7 bytes lost"};
  EXPECT_EQ(run({"run", "s.toml"}), exit_failed);
  EXPECT_NE(out().find("FAILED: 7 bytes lost"), std::string::npos);
  answer.reasons.clear();
  answer.stopped = true;
  EXPECT_EQ(run({"run", "s.toml"}), exit_failed);
  EXPECT_TRUE(fs::exists("results/result.json"));
}

TEST_F(cli, json_is_one_document_and_nothing_else) {
  env.err_is_terminal = true;
  EXPECT_EQ(run({"run", "s.toml", "--json"}), exit_held);
  EXPECT_EQ(out(), content("results/result.json"));
  EXPECT_EQ(json::parse(out())["status"], "held");
}

TEST_F(cli, progress_is_shown_on_a_terminal_only) {
  EXPECT_EQ(run({"run", "s.toml"}), exit_held);
  EXPECT_EQ(err(), "");
  EXPECT_FALSE(options.progress);
  env.err_is_terminal = true;
  EXPECT_EQ(run({"run", "s.toml"}), exit_held);
  EXPECT_NE(err().find(" 50 % of the bytes, 12 ms simulated"), std::string::npos) << err();
}

TEST_F(cli, a_wrong_scenario_exits_2_with_one_line_and_writes_nothing) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"run", "gone.toml"}, "gone.toml: cannot read: No such file or directory\n"},
      {{"run", "s.toml", "--set", "wire.rat=1"},
       "--set: wire.rat: unknown key, nearest allowed: wire.rate\n"},
      {{"run", "s.toml", "--set", "seed=true"},
       "--set: seed: true has the wrong type, allowed: an integer from 0 to 9223372036854775807\n"},
      {{"run", "s.toml", "--set", "peer"}, "--set: peer: no value, allowed: KEY=VALUE\n"},
  };
  for (const auto& [args, line] : cases) {
    EXPECT_EQ(run(args), exit_bad_input);
    EXPECT_EQ(err(), line);
    EXPECT_EQ(out(), "");
    EXPECT_TRUE(nothing_written());
  }
  std::ofstream("s.toml") << "\nsede = 4\n";
  EXPECT_EQ(run({"run", "s.toml", "--json"}), exit_bad_input);
  EXPECT_EQ(err(), "s.toml:2: sede: unknown key, nearest allowed: seed\n");
  EXPECT_EQ(out(), "");
  EXPECT_TRUE(nothing_written());
  EXPECT_EQ(runs, 0);
}

TEST_F(cli, every_usage_error_exits_2_with_one_line_and_writes_nothing) {
  const std::vector<std::string> cases[] = {
      {},
      {"fly"},
      {"run"},
      {"run", "s.toml", "other.toml"},
      {"run", "s.toml", "--colour"},
      {"run", "s.toml", "--captures", "maybe"},
      {"run", "s.toml", "--seed", "x"},
      {"run", "s.toml", "--seed", "-1"},
      {"run", "s.toml", "--set"},
      {"run", "s.toml", "--set", "seed=1", "peer=twin"},
      {"run", "s.toml", "--out"},
      {"run", "s.toml", "--col\nour"},
      {"run", "s.toml", "--captures", "may\nbe"},
      {"describe"},
      {"describe", "weather"},
      {"version", "now"},
  };
  for (const auto& args : cases) {
    EXPECT_EQ(run(args), exit_bad_input) << ::testing::PrintToString(args);
    EXPECT_EQ(out(), "") << ::testing::PrintToString(args);
    const std::string said = err();
    const std::string command =
        args.empty() || args[0] == "fly" ? "understudy: " : "understudy " + args[0] + ": ";
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
    EXPECT_EQ(said.rfind(command, 0), 0u) << said;
    EXPECT_TRUE(nothing_written()) << ::testing::PrintToString(args);
  }
  EXPECT_EQ(runs, 0);
}

TEST_F(cli, words_of_several_lines_are_refused_in_one) {
  EXPECT_EQ(run({"run", "no\nsuch.toml"}), exit_bad_input);
  EXPECT_EQ(err(), "no such.toml: cannot read: No such file or directory\n");
  throws = "first\nsecond";
  EXPECT_EQ(run({"run", "s.toml"}), exit_bad_input);
  EXPECT_EQ(err(), "understudy: first second\n");
}

TEST_F(cli, what_the_machine_refuses_exits_2_with_path_and_cause) {
  std::ofstream("file") << "x";
  EXPECT_EQ(run({"run", "s.toml", "--out", "file"}), exit_bad_input);
  EXPECT_EQ(err(), "understudy: file: cannot make the folder: Not a directory\n");
  EXPECT_EQ(runs, 0);
  throws = "link.pcapng: cannot write: No space left on device";
  EXPECT_EQ(run({"run", "s.toml"}), exit_bad_input);
  EXPECT_EQ(err(), "understudy: link.pcapng: cannot write: No space left on device\n");
  EXPECT_FALSE(fs::exists("results/result.json"));
}

TEST_F(cli, an_existing_output_folder_is_reused) {
  fs::create_directories("o");
  std::ofstream("o/other.txt") << "mine";
  std::ofstream("o/result.json") << "old";
  EXPECT_EQ(run({"run", "s.toml", "--out", "o"}), exit_held);
  EXPECT_EQ(content("o/other.txt"), "mine");
  EXPECT_EQ(json::parse(content("o/result.json"))["schema"], 1);
}

TEST_F(cli, help_exits_0) {
  EXPECT_EQ(run({"--help"}), exit_held);
  EXPECT_NE(out().find("describe"), std::string::npos);
  EXPECT_EQ(run({"run", "--help"}), exit_held);
  EXPECT_NE(out().find("--set"), std::string::npos);
}

TEST_F(cli, describe_params_lists_all_as_text_and_json) {
  EXPECT_EQ(run({"describe", "params"}), exit_held);
  EXPECT_EQ(out(), describe_parameters());
  EXPECT_EQ(run({"describe", "params", "--json"}), exit_held);
  const json j = json::parse(out());
  ASSERT_EQ(j.size(), parameters().size());
  for (const auto& row : j)
    for (const char* k : {"key", "type", "default", "allowed", "sentence"})
      EXPECT_FALSE(row[k].get<std::string>().empty()) << row;
  EXPECT_EQ(run({"describe", "params", "--out", "d"}), exit_held);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(content("d/parameters.md"), describe_parameters());
}

TEST_F(cli, describe_registers_lists_the_abi) {
  EXPECT_EQ(run({"describe", "registers", "--json"}), exit_held);
  const json j = json::parse(out());
  std::size_t expected = 0;
#define US_X(name, offset, access, reset, text) ++expected;
  US_REGISTERS(US_X)
  const std::size_t own = expected;
  US_TX_REGISTERS(US_X)
#undef US_X
  ASSERT_EQ(j.size(), expected);
  EXPECT_EQ(j[own]["name"], "TX_BASE_LO");
  EXPECT_EQ(j[own]["offset"], US_TX_QUEUE(0) + US_TX_BASE_LO);
  EXPECT_EQ(j[0]["name"], "ID");
  EXPECT_EQ(j[0]["reset"], US_MAGIC);
  EXPECT_EQ(run({"describe", "registers"}), exit_held);
  EXPECT_NE(out().find("* `ID` (0x000, ro; after reset 0x59445355): "), std::string::npos) << out();
}

TEST_F(cli, describe_faults_and_monitors_list_their_tables) {
  EXPECT_EQ(run({"describe", "faults"}), exit_held);
  for (const auto& f : fault_kinds())
    EXPECT_NE(out().find("* `" + std::string(f.name) + "`: "), std::string::npos);
  for (const auto& m : mutants())
    EXPECT_NE(out().find("* `" + std::string(m.name) + "`: "), std::string::npos);
  const monitor_row rows[] = {{"I-RX-1", "No ACK before its commit."}};
  env.monitors = rows;
  EXPECT_EQ(run({"describe", "monitors"}), exit_held);
  EXPECT_NE(out().find("* `I-RX-1`: No ACK before its commit.\n"), std::string::npos);
  EXPECT_EQ(run({"describe", "monitors", "--json"}), exit_held);
  EXPECT_EQ(json::parse(out())[0]["id"], "I-RX-1");
}

TEST_F(cli, version_names_the_parts) {
  EXPECT_EQ(run({"version"}), exit_held);
  EXPECT_NE(out().find("understudy 0."), std::string::npos);
  EXPECT_EQ(run({"version", "--json"}), exit_held);
  EXPECT_EQ(json::parse(out())["versions"].size(), 3u);
}

}  // namespace
}  // namespace understudy::tb
