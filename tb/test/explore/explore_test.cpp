// `understudy explore` as a user runs it: the grid, its table and files, and what is wrong with a sweep file.
#include <fstream>
#include <sstream>

#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& p) {
  std::ifstream in(p);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

program_run explore(const fs::path& sweep, const std::string& more = "", const fs::path& errors = {}) {
  program_run r = shell(quoted(US_PROGRAM) + " explore " + quoted(sweep.string()) + " --out " +
                            quoted((test_folder() / "out").string()) + " " + more,
                        errors);
  r.out = test_folder() / "out";
  return r;
}

fs::path written(const std::string& text) {
  fs::create_directories(test_folder());
  const fs::path p = test_folder() / "sweep.toml";
  std::ofstream(p) << text;
  return p;
}

// Two small runs.
std::string small(const std::string& more) {
  return "scenario = " + std::string("\"") + scenario_file("hello.toml") + "\"\n" +
         "set = ['workload.bytes=\"4 KiB\"']\n" + more;
}
const std::string axis = "[[axis]]\nkey = \"workload.connections\"\nvalues = [1, 3]\n";
const std::string column = "[[column]]\nname = \"bytes\"\nsum = [\"bytes.delivered\"]\nless = true\n";

TEST(explore, runs_a_cell_a_process_and_writes_table_csv_and_json) {
  const program_run r =
      explore(written(small("against = ['workload.connections=3']\n" + axis + column)), "-j 2 --json");
  ASSERT_EQ(r.status, 0) << r.output;
  ASSERT_EQ(r.result["cells"].size(), 2u);
  EXPECT_EQ(r.result["cells"][0]["numbers"]["bytes"], 2 * 4096);
  EXPECT_EQ(r.result["cells"][1]["numbers"]["bytes"], 6 * 4096);
  EXPECT_NEAR(r.result["cells"][0]["percent_less"]["bytes"].get<double>(), 66.7, 0.1);
  EXPECT_EQ(text_of(r.out / "explore.csv"),
            "workload.connections,bytes,\"bytes, % less\",status\n1,8192,66.7,held\n3,24576,0.0,held\n");
  EXPECT_NE(text_of(r.out / "explore.txt").find("8192"), std::string::npos);
}

TEST(explore, gives_the_same_whatever_runs_beside_it) {
  const fs::path sweep = written(small(axis + column));
  const std::string one = explore(sweep, "-j 1").output;
  EXPECT_EQ(one, explore(sweep, "-j 2").output);
}

TEST(explore, a_cell_that_fails_is_told_and_the_others_stand) {
  const program_run r = explore(
      written(small("[[axis]]\nkey = \"wire.impair\"\nvalues = [\"loss 100%\", \"\"]\n" + column)), "--json");
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.result["cells"][0]["status"], "failed");
  EXPECT_FALSE(r.result["cells"][0]["reason"].get<std::string>().empty());
  EXPECT_EQ(r.result["cells"][1]["status"], "held");
}

TEST(explore, a_bad_sweep_is_one_line_and_leaves_nothing) {
  const std::pair<const char*, std::string> bad[] = {
      {"not TOML", "scenario = "},
      {"scenario: is missing", axis + column},
      {"axis: is missing", small(column)},
      {"column: is missing", small(axis)},
      {"is unknown", small("[[axis]]\nkey = \"no.such\"\nvalues = [1]\n" + column)},
      {"cell 2", small("[[axis]]\nkey = \"workload.connections\"\nvalues = [1, -1]\n" + column)},
      {"unknown key", small("colour = 1\n" + axis + column)},
      {"unknown key", small(axis + "[[column]]\nname = \"x\"\nsum = [\"y\"]\nshape = 1\n")},
      {"is incomplete", small(axis + "[[column]]\nname = \"x\"\n")},
      {"wrong type", small("[[axis]]\nkey = \"workload.connections\"\nvalues = []\n" + column)},
  };
  for (const auto& [what, text] : bad) {
    const fs::path sweep = written(text);
    const fs::path errors = test_folder() / "errors";
    const program_run r = explore(sweep, "", errors);
    EXPECT_EQ(r.status, 2) << what;
    const std::string line = text_of(errors);
    EXPECT_NE(line.find(what), std::string::npos) << line;
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_FALSE(fs::exists(r.out)) << what;
  }
  EXPECT_EQ(explore(test_folder() / "none.toml").status, 2);
  EXPECT_EQ(explore(test_folder()).status, 2);
}

}  // namespace
}  // namespace understudy::tb
