// The program as a user runs it: a process of its own, its JSON document read back.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tb/test/platform/packets.h"

namespace understudy::tb {

struct program_run {
  int status = -1;            // exit status; -1: it did not end by itself
  std::string output;         // standard output
  nlohmann::json result;      // of --json; discarded if standard output is no JSON document
  std::filesystem::path out;  // its --out

  std::string held() const { return result.value("status", "none"); }
  std::string reasons() const { return result.contains("reasons") ? result["reasons"].dump(1) : output; }
  std::string hash() const { return result.value("trace_hash", "none"); }
  std::uint64_t events() const { return result.value("events", std::uint64_t{0}); }
  const nlohmann::json& monitor(const std::string& id) const {
    static const nlohmann::json none{{"armed", false}, {"checked", 0}, {"violations", 0}};
    for (const auto& m : result["monitors"])
      if (m["id"] == id) return m;
    return none;
  }
  std::uint64_t violations(const std::string& id) const {
    return monitor(id)["violations"].get<std::uint64_t>();
  }
};

inline std::string scenario_file(const std::string& name) {
  return std::string(US_SOURCE_DIR) + "/traces/scenarios/" + name;
}

// A folder for this test alone, under the build tree, empty at the first call of a test.
inline std::filesystem::path test_folder() {
  const auto* t = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(t->test_suite_name()) + "." + t->name();
  for (char& c : name)
    if (c == '/') c = '_';
  std::filesystem::path folder = std::filesystem::path(US_TEST_FOLDER) / name;
  static std::string emptied;
  if (emptied != name) std::filesystem::remove_all(folder);
  emptied = name;
  return folder;
}

// A shell command: exit status and standard output. Standard error goes to `errors` if that is given, else
// nowhere.
inline program_run shell(const std::string& command, const std::filesystem::path& errors = {}) {
  program_run r;
  const std::string redirect = errors.empty() ? " 2>/dev/null" : " 2>" + quoted(errors.string());
  std::FILE* pipe = popen((command + redirect).c_str(), "r");
  if (!pipe) return r;
  char part[65536];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) r.output.append(part, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) r.status = WEXITSTATUS(status);
  r.result = nlohmann::json::parse(r.output, nullptr, false);
  return r;
}

// `understudy run SCENARIO --json` with `settings` as --set; `more`: further arguments.
inline program_run run_program(const std::string& scenario, const std::vector<std::string>& settings = {},
                               const std::string& more = "--captures off",
                               const std::filesystem::path& errors = {}) {
  const std::filesystem::path out = test_folder();
  std::filesystem::create_directories(out);
  std::string command =
      quoted(US_PROGRAM) + " run " + quoted(scenario) + " --json --out " + quoted(out.string());
  for (const std::string& s : settings) command += " --set " + quoted(s);
  program_run r = shell(command + " " + more, errors);
  r.out = out;
  return r;
}

// Lines of a text file.
inline std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

// A [[fault]] list of one for --set.
inline std::string fault_at_event(std::uint64_t k, const std::string& target = "active",
                                  const std::string& kind = "kill") {
  return "fault=[{kind=\"" + kind + "\", target=\"" + target + "\", at_event=" + std::to_string(k) + "}]";
}
inline std::string fault_at_fraction(double f, const std::string& kind = "kill") {
  return "fault=[{kind=\"" + kind + "\", at_fraction=" + std::to_string(f) + "}]";
}

}  // namespace understudy::tb
