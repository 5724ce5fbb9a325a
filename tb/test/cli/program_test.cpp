// The program itself, as a shell sees it.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tb/scenario/describe.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

struct outcome {
  int status = -1;
  std::string text;
};

// Run the program; `redirection` decides what `text` holds.
outcome shell(const std::string& arguments, const std::string& redirection) {
  outcome o;
  std::FILE* pipe =
      popen((std::string("\"") + US_PROGRAM + "\" " + arguments + " " + redirection).c_str(), "r");
  if (!pipe) return o;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) o.text.append(part, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) o.status = WEXITSTATUS(status);
  return o;
}
outcome standard_output(const std::string& arguments) {
  return shell(arguments, "2>/dev/null");
}
outcome standard_error(const std::string& arguments) {
  return shell(arguments, "2>&1 >/dev/null");
}

TEST(program, describes_parameters_on_standard_output) {
  const outcome o = standard_output("describe params");
  EXPECT_EQ(o.status, 0);
  EXPECT_EQ(o.text, describe_parameters());
  EXPECT_EQ(standard_error("describe params").text, "");
}

TEST(program, prints_json_and_nothing_else) {
  for (const char* command :
       {"version", "describe params", "describe registers", "describe faults", "describe monitors"}) {
    const outcome o = standard_output(std::string(command) + " --json");
    EXPECT_EQ(o.status, 0) << command;
    ASSERT_TRUE(nlohmann::json::accept(o.text)) << command;
    EXPECT_FALSE(nlohmann::json::parse(o.text).empty()) << command;
  }
}

// Exit status 2, one line on standard error, which begins with what was understood; no file in the folder.
void expect_refused_in_one_line(const std::string& arguments, const std::string& begins) {
  const outcome o = standard_error(arguments);
  EXPECT_EQ(o.status, 2) << arguments;
  EXPECT_EQ(std::count(o.text.begin(), o.text.end(), '\n'), 1) << arguments << "\n" << o.text;
  EXPECT_GT(o.text.size(), begins.size() + 8) << arguments;
  EXPECT_EQ(o.text.rfind(begins, 0), 0u) << arguments << "\n" << o.text;
}

TEST(program, refuses_wrong_words_of_every_command_in_one_line) {
  const fs::path out = fs::path(::testing::TempDir()) / "program_refusals";
  fs::remove_all(out);
  const struct {
    const char *command, *arguments;
  } cases[] = {
      {"", ""},
      {"", "fly"},
      {"", "--colour"},
      {"run", ""},
      {"run", "x.toml y.toml"},
      {"run", "x.toml --colour"},
      {"run", "x.toml --seed x"},
      {"run", "x.toml --seed -1"},
      {"run", "x.toml --captures maybe"},
      {"run", "x.toml --set"},
      {"describe", ""},
      {"describe", "weather"},
      {"describe", "params faults"},
      {"version", "now"},
      {"version", "--colour"},
      {"campaign", ""},
      {"campaign", "x.toml -j 0"},
      {"campaign", "x.toml -j many"},
      {"campaign", "x.toml --colour"},
      {"campaign merge", ""},
      {"campaign merge", "into.sqlite"},
      {"campaign merge", "into.sqlite from.sqlite --colour"},
      {"replay", ""},
      {"replay", "fi1-x --colour"},
      {"replay", "fi1-x --db"},
      {"explore", ""},
      {"explore", "x.toml -j 1000"},
      {"explore", "x.toml --colour"},
      {"live", ""},
      {"live", "x.toml"},
      {"live", "x.toml --tap t --slirp"},
      {"live", "x.toml --tap t --hostfwd tcp::80-:80"},
      {"live", "x.toml --slirp --factor 0"},
      {"live", "x.toml --slirp --factor nan"},
      {"live", "x.toml --slirp --captures maybe"},
      {"pcie-bench", "--colour"},
      {"pcie-bench", "--ideal --gen three"},
      {"pcie-bench", "--ideal --gen 3.5"},
      {"pcie-bench", "--ideal --lanes"},
      {"pcie-bench", "--ideal --sizes 8,x"},
      {"pcie-bench", "--device nfp6000 --host x.toml --iommu 5k"},
      {"calibrate", ""},
      {"calibrate", "--latency x.csv"},
      {"calibrate", "--latency x.csv -o y.toml --colour"},
  };
  std::set<std::string> commands;
  for (const auto& c : cases) {
    const std::string command = c.command;
    commands.insert(command);
    const std::string options = command.empty() ? "" : " --out \"" + out.string() + "\"";
    expect_refused_in_one_line(command + " " + c.arguments + options,
                               "understudy" + (command.empty() ? "" : " " + command) + ": ");
    EXPECT_FALSE(fs::exists(out)) << command << " " << c.arguments;
  }
  EXPECT_EQ(commands.size(), 11u);  // ten commands, and none
}

TEST(program, exits_2_with_one_line_on_a_wrong_scenario_and_writes_nothing) {
  const fs::path folder = fs::path(::testing::TempDir()) / "program_test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const std::string file = (folder / "s.toml").string();
  std::ofstream(file) << "[wire]\nimpair = \"rain 5%\"\n";
  const std::string out = (folder / "out").string();
  const outcome o = standard_error("run \"" + file + "\" --out \"" + out + "\"");
  EXPECT_EQ(o.status, 2);
  EXPECT_EQ(o.text.rfind(file + ":2: wire.impair: ", 0), 0u) << o.text;
  EXPECT_EQ(o.text.find('\n'), o.text.size() - 1) << o.text;
  EXPECT_FALSE(fs::exists(out));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace understudy::tb
