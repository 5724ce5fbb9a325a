// The program itself, as a shell sees it.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
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

TEST(program, exits_2_on_usage_errors) {
  for (const char* arguments : {"", "fly", "run", "describe weather", "run --colour x.toml"}) {
    const outcome o = standard_error(arguments);
    EXPECT_EQ(o.status, 2) << arguments;
    EXPECT_NE(o.text, "") << arguments;
  }
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
