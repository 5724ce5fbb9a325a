// docs/model_fidelity.md against the tests: every requirement of RFC 9293, appendix B, has its row, and what
// a row claims has a test of its name.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace understudy::tb {
namespace {

using names = std::set<std::string>;  // MUST-20, SHLD-3, MAY-1, REC-1

// "MUST-1, REC-1, SHLD-15 to 17, MUST-20 R2, 22: what it says": what the words before the colon name.
std::vector<std::string> requirements_of(const std::string& cell) {
  std::vector<std::string> r;
  const std::string head = cell.substr(0, cell.find(':'));
  const std::regex item(R"((to )?(?:(MUST|SHLD|MAY|REC)-)?(\d+)( R\d)?)");
  std::string kind;
  int last = 0;
  for (std::sregex_iterator i(head.begin(), head.end(), item), end; i != end; ++i) {
    const std::smatch& m = *i;
    if (m[2].matched) kind = m[2];
    const int n = std::stoi(m[3]);
    for (int k = m[1].matched ? last + 1 : n; k <= n; ++k)
      r.push_back(kind + '-' + std::to_string(k) + m[4].str());
    last = n;
  }
  return r;
}

// The state that a table of RFC 9293 gives to each requirement. A second row for one is an error.
std::map<std::string, std::string> states_of(std::istream& page) {
  std::map<std::string, std::string> states;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("## ", 0) == 0) inside = line.find("RFC 9293") != std::string::npos;
    if (line.rfind("| Other RFC", 0) == 0) inside = false;
    std::smatch row;
    if (!inside || !std::regex_match(line, row, std::regex(R"(\| ([^|]*) \| ([^|]*) \|.*)"))) continue;
    for (const std::string& r : requirements_of(row[1]))
      EXPECT_TRUE(states.emplace(r, row[2]).second) << r << " has two rows";
  }
  return states;
}

// MUST_20_22_what_it_says: MUST-20 and MUST-22.
void add_test(const std::string& name, names& tested) {
  static const std::regex shape(R"((MUST|SHLD|MAY)((?:_\d+)+)_[a-z].*)");
  std::smatch m;
  if (!std::regex_match(name, m, shape)) return;
  std::istringstream numbers(m[2]);
  std::string n;
  std::getline(numbers, n, '_');
  while (std::getline(numbers, n, '_')) tested.insert(m[1].str() + '-' + n);
}

// What the tests of this program, and those of the driver, are named after.
names tested_here() {
  names tested;
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const auto& suite = *all.GetTestSuite(s);
    if (std::string(suite.name()) != "rfc9293") continue;
    for (int t = 0; t < suite.total_test_count(); ++t) add_test(suite.GetTestInfo(t)->name(), tested);
  }
  return tested;
}
names tested_by_the_driver() {
  names tested;
  const std::regex test(R"(^TEST(?:_F)?\(\w+, (MUST_\w+)\))");
  for (const auto& file : std::filesystem::directory_iterator(US_SOURCE_DIR "/tb/test/host_sw")) {
    std::ifstream in(file.path());
    std::smatch m;
    for (std::string line; std::getline(in, line);)
      if (std::regex_search(line, m, test)) add_test(m[1], tested);
  }
  return tested;
}

std::string without_r(const std::string& requirement) {
  return requirement.substr(0, requirement.find(' '));
}

// MUSTs that are claimed and not tested.
names untested(const std::map<std::string, std::string>& states, const names& tested) {
  names r;
  for (const auto& [requirement, state] : states)
    if (requirement.rfind("MUST", 0) == 0 && state == "yes" && !tested.contains(without_r(requirement)))
      r.insert(requirement);
  return r;
}

std::map<std::string, std::string> page_states() {
  std::ifstream page(US_SOURCE_DIR "/docs/model_fidelity.md");
  return states_of(page);
}

TEST(rfc9293_table, every_requirement_of_the_appendix_has_its_row) {
  const auto states = page_states();
  names listed;
  for (const auto& [requirement, state] : states) {
    EXPECT_TRUE(state == "yes" || state == "no" || state == "partly") << requirement << ": " << state;
    listed.insert(without_r(requirement));
  }
  names wanted{"REC-1"};
  for (int n = 1; n <= 69; ++n) wanted.insert("MUST-" + std::to_string(n));
  for (int n = 1; n <= 31; ++n) wanted.insert("SHLD-" + std::to_string(n));
  for (int n = 1; n <= 18; ++n) wanted.insert("MAY-" + std::to_string(n));
  EXPECT_EQ(listed, wanted);
}

TEST(rfc9293_table, every_must_that_is_claimed_is_a_test_of_its_name) {
  const auto states = page_states();
  names tested = tested_here();
  EXPECT_GE(tested.size(), 50u);
  tested.merge(tested_by_the_driver());
  EXPECT_EQ(untested(states, tested), names{});
  int claimed = 0;
  for (const auto& [requirement, state] : states)
    claimed += requirement.rfind("MUST", 0) == 0 && state == "yes";
  EXPECT_GE(claimed, 50);
  for (const std::string& t : tested) EXPECT_TRUE(!states.contains(t) || states.at(t) != "no") << t;
}

TEST(rfc9293_table, a_claim_without_a_test_is_seen) {
  std::istringstream page(
      "## TCP, by the requirements of RFC 9293\n"
      "| Requirement | | |\n|---|---|---|\n"
      "| MUST-1, REC-1, MUST-4 to 6, SHLD-2: x | yes | y |\n"
      "| MUST-7 R2, 8: x: MUST-9 | yes | |\n| MUST-10: x | no | |\n"
      "| Other RFC | |\n| MUST-11: x | yes | |\n");
  const auto states = states_of(page);
  EXPECT_EQ(states.size(), 9u);
  names tested;
  add_test("MUST_1_4_something", tested);
  add_test("MUST_5_6_7_else_MUST_8", tested);
  EXPECT_EQ(untested(states, tested), (names{"MUST-8"}));
}

}  // namespace
}  // namespace understudy::tb
