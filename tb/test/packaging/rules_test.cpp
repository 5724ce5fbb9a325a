// Rules that keep the house liveable, judged on the text of the source.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path source = US_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

std::vector<fs::path> files_under(const fs::path& folder, const std::vector<std::string>& endings) {
  std::vector<fs::path> all;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file() &&
        std::find(endings.begin(), endings.end(), e.path().extension()) != endings.end())
      all.push_back(e.path());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<std::string> includes_of(const fs::path& file) {
  static const std::regex include("^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", std::regex::multiline);
  const std::string text = text_of(file);
  std::vector<std::string> all;
  for (std::sregex_iterator i(text.begin(), text.end(), include), end; i != end; ++i) all.push_back((*i)[1]);
  return all;
}

struct verdict {
  std::size_t looked_at = 0;       // includes
  std::vector<std::string> wrong;  // file: include
};

// Every include of the sources under `folder` for which `forbidden` holds.
verdict judge(const fs::path& folder, const std::function<bool(const std::string&)>& forbidden) {
  verdict v;
  for (const fs::path& f : files_under(folder, {".h", ".cpp", ".c"})) {
    for (const std::string& i : includes_of(f)) {
      ++v.looked_at;
      if (forbidden(i)) v.wrong.push_back(f.string() + ": " + i);
    }
  }
  return v;
}

bool starts_with(const std::string& s, const char* head) {
  return s.rfind(head, 0) == 0;
}

bool is_systemc(const std::string& i) {
  return i == "systemc" || i == "systemc.h" || i == "tlm" || i == "tlm.h" || starts_with(i, "sysc/") ||
         starts_with(i, "tlm_utils/") || starts_with(i, "tlm_core/");
}
bool is_model_but_abi(const std::string& i) {
  return starts_with(i, "model/") && !starts_with(i, "model/abi/");
}
bool is_tb(const std::string& i) {
  return starts_with(i, "tb/");
}
bool is_above_core(const std::string& i) {
  return (starts_with(i, "model/") && !starts_with(i, "model/core/") && !starts_with(i, "model/abi/")) ||
         starts_with(i, "host_sw/") || is_tb(i);
}
bool is_above_model(const std::string& i) {
  return starts_with(i, "host_sw/") || is_tb(i);
}
bool is_project(const std::string& i) {
  return starts_with(i, "model/") || starts_with(i, "host_sw/") || is_tb(i);
}

void expect_clean(const verdict& v, std::size_t at_least) {
  EXPECT_GE(v.looked_at, at_least);
  for (const std::string& w : v.wrong) ADD_FAILURE() << w;
}

// A folder with one source that holds `text`.
class scratch {
 public:
  explicit scratch(const std::string& text) {
    std::string name = (fs::temp_directory_path() / "rules_XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error(name);
    path = name;
    std::ofstream(path / "x.cpp") << text;
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

std::set<std::string> test_stems() {
  std::set<std::string> all;
  for (const fs::path& f : files_under(source / "tb/test", {".cpp"})) all.insert(f.stem().string());
  return all;
}

// x_test.cpp or x_<what>_test.cpp.
bool has_test(const std::set<std::string>& tests, const std::string& stem) {
  return std::any_of(tests.begin(), tests.end(), [&](const std::string& t) {
    return starts_with(t, (stem + "_").c_str()) && t.size() >= 5 && t.ends_with("_test");
  });
}

TEST(rules, abi_includes_nothing_of_the_project_but_itself) {
  expect_clean(judge(source / "model/abi",
                     [](const std::string& i) { return is_project(i) && !starts_with(i, "model/abi/"); }),
               3);
}

TEST(rules, core_never_includes_systemc) {
  expect_clean(judge(source / "model/core", is_systemc), 60);
}

TEST(rules, core_includes_nothing_above_it) {
  expect_clean(judge(source / "model/core", is_above_core), 60);
}

TEST(rules, model_includes_neither_host_software_nor_test_bench) {
  expect_clean(judge(source / "model", is_above_model), 150);
}

TEST(rules, host_software_sees_only_the_abi_of_the_model) {
  expect_clean(judge(source / "host_sw", is_model_but_abi), 60);
}

TEST(rules, host_software_is_free_of_systemc) {
  expect_clean(judge(source / "host_sw", is_systemc), 60);
}

TEST(rules, nothing_outside_the_test_bench_includes_it) {
  expect_clean(judge(source / "host_sw", is_tb), 60);
  expect_clean(judge(source / "model", is_tb), 150);
}

TEST(rules, a_forbidden_include_is_found) {
  EXPECT_EQ(judge(scratch("#include <systemc>\n").path, is_systemc).wrong.size(), 1u);
  EXPECT_EQ(
      judge(scratch("  # include \"tlm_utils/simple_target_socket.h\"\n").path, is_systemc).wrong.size(), 1u);
  EXPECT_EQ(
      judge(scratch("#include \"model/core/fifo.h\"\n#include \"model/abi/ids.h\"\n").path, is_model_but_abi)
          .wrong.size(),
      1u);
  EXPECT_EQ(judge(scratch("#include \"tb/platform/run.h\"\n").path, is_tb).wrong.size(), 1u);
  EXPECT_EQ(judge(scratch("// #include <systemc>\n").path, is_systemc).wrong.size(), 0u);
}

// A source without a header of its own is a part of the block whose private header it includes.
TEST(rules, every_core_source_and_every_rtl_module_has_a_test_of_its_stem) {
  const std::set<std::string> tests = test_stems();
  std::size_t sources = 0, parts = 0;
  for (const fs::path& f : files_under(source / "model/core", {".cpp"})) {
    ++sources;
    EXPECT_TRUE(has_test(tests, f.stem().string())) << f << " has no test";
    if (fs::exists(fs::path(f).replace_extension(".h"))) continue;
    ++parts;
    const auto includes = includes_of(f);
    EXPECT_TRUE(std::any_of(includes.begin(), includes.end(),
                            [](const std::string& i) { return i.ends_with("_impl.h"); }))
        << f << " has neither a header nor a block that it is part of";
  }
  EXPECT_GE(sources, 25u);
  EXPECT_GE(parts, 9u);
  std::size_t modules = 0;
  for (const fs::path& f : files_under(source / "rtl", {".sv"})) {
    ++modules;
    EXPECT_TRUE(has_test(tests, f.stem().string())) << f << " has no test";
  }
  EXPECT_GE(modules, 1u);
  EXPECT_FALSE(has_test(tests, "no_such_block"));
}

struct package_list {
  std::set<std::string> run;
  std::set<std::string> check;
};

package_list packages() {
  package_list p;
  std::istringstream lines(text_of(source / "cmake/packages.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string who, name;
    words >> who >> name;
    EXPECT_TRUE(who == "run" || who == "check") << line;
    (who == "run" ? p.run : p.check).insert(name);
  }
  return p;
}

// Names in the first columns of the tables under the heading `heading`.
std::set<std::string> names_under(const std::string& page, const std::string& heading) {
  const std::size_t begin = page.find(heading);
  if (begin == std::string::npos) return {};
  const std::string part = page.substr(begin + heading.size(),
                                       page.find("\n## ", begin + heading.size()) - begin - heading.size());
  std::set<std::string> names;
  std::istringstream lines(part);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] != '|') continue;
    const std::string cell = line.substr(1, line.find('|', 1) - 1);
    static const std::regex name("`([^`]+)`");
    for (std::sregex_iterator i(cell.begin(), cell.end(), name), end; i != end; ++i) names.insert((*i)[1]);
  }
  return names;
}

TEST(rules, the_list_of_packages_and_its_page_agree) {
  const package_list p = packages();
  const std::string page = text_of(source / "docs/dependencies.md");
  EXPECT_GE(p.run.size(), 10u);
  EXPECT_GE(p.check.size(), 3u);
  EXPECT_EQ(names_under(page, "## To build and run"), p.run);
  EXPECT_EQ(names_under(page, "## To check"), p.check);
}

TEST(rules, demo_and_check_install_from_the_list) {
  EXPECT_NE(text_of(source / "demo").find("install_packages run"), std::string::npos);
  EXPECT_NE(text_of(source / "check").find("install_packages check"), std::string::npos);
  for (const char* script : {"demo", "check", "cmake/stages.sh", ".ci/run"})
    for (const char* name : {"libsystemc-dev", "verilator"})
      EXPECT_EQ(text_of(source / script).find(name), std::string::npos)
          << script << " names a package itself";
}

}  // namespace
