// Campaigns as a user starts them, for their tests.
#pragma once
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "tb/test/platform/program.h"

namespace understudy::tb {

// The test's folder, made; empty at the first call of a test.
inline std::filesystem::path fresh_folder() {
  std::filesystem::path folder = test_folder();
  std::filesystem::create_directories(folder);
  return folder;
}

// A plan in the test's folder over the reference scenario; `more` are further lines.
inline std::string plan(const std::string& mode, const std::string& more) {
  std::string path = (fresh_folder() / "plan.toml").string();
  std::ofstream(path) << "mode = \"" << mode << "\"\nscenario = \"" << scenario_file("reference.toml")
                      << "\"\n"
                      << more;
  return path;
}

inline program_run campaign(const std::string& plan, const std::string& out, const std::string& more = {}) {
  fresh_folder();
  program_run r = shell(quoted(US_PROGRAM) + " campaign " + quoted(plan) + " -j 2 --json --out " +
                        quoted((test_folder() / out).string()) + " " + more);
  r.result = nlohmann::json::parse(r.output, nullptr, false);
  return r;
}

// Exit status and the one line on standard error of a call that must be refused.
inline void refused(const std::string& arguments, const std::string& because) {
  const std::filesystem::path errors = fresh_folder() / "errors";
  const program_run r = shell(quoted(US_PROGRAM) + " " + arguments, errors);
  std::ifstream in(errors);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(r.status, 2) << text;
  EXPECT_NE(text.find(because), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

// What sqlite3 answers to `sql` over the database of `out`.
inline std::string query(const std::string& out, const std::string& sql) {
  std::string answer =
      shell("sqlite3 " + quoted((test_folder() / out / "results.sqlite").string()) + " " + quoted(sql))
          .output;
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  return answer;
}

}  // namespace understudy::tb
