// The commands and links of README.md, CONTRIBUTING.md, CHANGELOG.md and docs/*.md.
//
// A fenced block of shell commands says in its info string what becomes of it:
//   sh run            every line runs from the repository's root, in order, and the block ends with status 0
//   sh run exit=N     the same, and it ends with status N
//   sh skip: REASON   not run, and why
// build/release/bin stands for the folder of the program under test.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct block {
  int line = 0;      // of its first fence
  std::string info;  // after the fence
  std::string text;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string l; std::getline(in, l);) lines.push_back(l);
  return lines;
}

// Fenced blocks, and what is outside of them.
struct page {
  std::vector<block> blocks;
  std::string prose;
};

page parse(const std::string& text) {
  page p;
  bool inside = false;
  int number = 0;
  for (const std::string& l : lines_of(text)) {
    ++number;
    if (l.rfind("```", 0) == 0) {
      if (!inside) p.blocks.push_back({number, l.substr(3), ""});
      inside = !inside;
    } else if (inside) {
      p.blocks.back().text += l + "\n";
    } else {
      p.prose += l + "\n";
    }
  }
  return p;
}

bool is_shell(const block& b) {
  return b.info == "sh" || b.info.rfind("sh ", 0) == 0 || b.info == "bash" || b.info == "shell";
}

struct outcome {
  bool marked = false;  // the info string is one of those above
  bool ran = false;
  int expected = 0;
  int status = -1;
  std::string output;
};

// Run a block in `folder` if it is to be run.
outcome carry_out(const block& b, const fs::path& folder) {
  static const std::regex marks("sh (?:run(?: exit=([0-9]+))?|skip: .+)");
  outcome o;
  std::smatch m;
  o.marked = std::regex_match(b.info, m, marks);
  if (!o.marked || b.info.rfind("sh run", 0) != 0) return o;
  o.ran = true;
  if (m[1].matched) o.expected = std::stoi(m[1]);
  const fs::path script = folder / "block.sh";
  std::ofstream(script) << "set -e\n" << b.text;
  std::FILE* pipe = popen(("cd '" + folder.string() + "' && bash block.sh 2>&1").c_str(), "r");
  if (!pipe) return o;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) o.output.append(part, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) o.status = WEXITSTATUS(status);
  return o;
}

// The name that a heading gets as the target of a link.
std::string anchor_of(const std::string& heading) {
  std::string a;
  for (const char c : heading) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) || c == '_' || c == '-') a += static_cast<char>(std::tolower(u));
    if (c == ' ') a += '-';
  }
  return a;
}

std::string content(const fs::path& file) {
  std::ifstream f(file);
  std::ostringstream t;
  t << f.rdbuf();
  return t.str();
}

bool has_anchor(const fs::path& file, const std::string& anchor) {
  for (const std::string& l : lines_of(parse(content(file)).prose)) {
    const std::size_t text = l.find_first_not_of('#');
    if (text > 0 && text < l.size() && l[text] == ' ' && anchor_of(l.substr(text + 1)) == anchor) return true;
  }
  return false;
}

// Links of a page in `folder` that lead nowhere; `seen` counts those that were followed.
std::vector<std::string> dead_links(const std::string& text, const fs::path& file, int* seen) {
  static const std::regex link("\\]\\(([^)\\s]+)\\)");
  std::vector<std::string> dead;
  const std::string prose = parse(text).prose;
  for (std::sregex_iterator i(prose.begin(), prose.end(), link), end; i != end; ++i) {
    const std::string target = (*i)[1];
    if (target.rfind("http", 0) == 0) continue;
    ++*seen;
    const std::size_t hash = target.find('#');
    const std::string path = target.substr(0, hash);
    const fs::path to = path.empty() ? file : file.parent_path() / path;
    if (!fs::exists(to) || (hash != target.npos && !has_anchor(to, target.substr(hash + 1))))
      dead.push_back(target);
  }
  return dead;
}

// Commands outside of fenced blocks, which nobody would run.
std::vector<std::string> loose_commands(const std::string& text) {
  static const std::regex command(
      "(    +|\\t)(\\$ )?(ctest|cmake|ninja|build/|understudy |\\./|sh |sudo |mkdir ).*");
  std::vector<std::string> loose;
  for (const std::string& l : lines_of(parse(text).prose))
    if (std::regex_match(l, command)) loose.push_back(l);
  return loose;
}

std::vector<fs::path> pages() {
  const fs::path root = US_SOURCE_DIR;
  std::vector<fs::path> all{root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md"};
  for (const auto& e : fs::directory_iterator(root / "docs"))
    if (e.path().extension() == ".md") all.push_back(e.path());
  std::sort(all.begin(), all.end());
  return all;
}

// A folder that looks like the repository's root and is not: what commands write stays out of the sources.
class docs : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("docs_commands_" + std::to_string(getpid()));
    fs::create_directories(folder_ / "build" / "release");
    for (const auto& e : fs::directory_iterator(US_SOURCE_DIR)) {
      const std::string name = e.path().filename().string();
      if (name != "build" && name != "results" && name != ".git")
        fs::create_symlink(e.path(), folder_ / name);
    }
    fs::create_directory_symlink(fs::path(US_PROGRAM).parent_path(), folder_ / "build" / "release" / "bin");
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(docs, every_command_that_is_shown_does_what_is_said) {
  int ran = 0;
  for (const fs::path& file : pages())
    for (const block& b : parse(content(file)).blocks) {
      if (!is_shell(b)) continue;
      const std::string where = fs::relative(file, US_SOURCE_DIR).string() + ":" + std::to_string(b.line);
      const outcome o = carry_out(b, folder_);
      EXPECT_TRUE(o.marked) << where
                            << ": shell commands are marked `sh run`, `sh run exit=N` or `sh skip: reason`";
      if (!o.ran) continue;
      ++ran;
      EXPECT_EQ(o.status, o.expected) << where << "\n" << b.text << o.output;
    }
  EXPECT_GE(ran, 8);
}

TEST_F(docs, every_command_is_in_a_fenced_block) {
  for (const fs::path& file : pages())
    for (const std::string& l : loose_commands(content(file))) ADD_FAILURE() << file << ": " << l;
}

TEST_F(docs, every_link_leads_somewhere) {
  int seen = 0;
  for (const fs::path& file : pages()) {
    const std::string text = content(file);
    EXPECT_FALSE(text.empty()) << file;
    for (const std::string& d : dead_links(text, file, &seen)) ADD_FAILURE() << file << " links to " << d;
  }
  EXPECT_GE(seen, 20);
}

// Negative controls.
TEST_F(docs, a_command_that_fails_is_noticed) {
  const page p = parse(
      "# x\n```sh run\nbuild/release/bin/understudy fly\n```\n```sh run exit=2\nbuild/release/bin/understudy "
      "fly\n```\n```sh run\nfalse\ntrue\n```\n```sh\nls\n```\n```sh skip: slow\nfalse\n```\n");
  ASSERT_EQ(p.blocks.size(), 5u);
  EXPECT_EQ(carry_out(p.blocks[0], folder_).status, 2);
  const outcome expected = carry_out(p.blocks[1], folder_);
  EXPECT_EQ(expected.status, expected.expected);
  EXPECT_NE(carry_out(p.blocks[2], folder_).status, 0);
  EXPECT_TRUE(is_shell(p.blocks[3]));
  EXPECT_FALSE(carry_out(p.blocks[3], folder_).marked);
  EXPECT_TRUE(carry_out(p.blocks[4], folder_).marked);
  EXPECT_FALSE(carry_out(p.blocks[4], folder_).ran);
}

TEST_F(docs, a_command_without_a_fence_is_noticed) {
  EXPECT_EQ(loose_commands("Run\n\n    ctest -R x\n\n```sh run\n    cmake .\n```\n    a formula + 4\n"),
            std::vector<std::string>{"    ctest -R x"});
}

TEST_F(docs, a_dead_link_is_noticed) {
  std::ofstream(folder_ / "b.md") << "# A heading: of `b`\n```\n# none\n```\n";
  int seen = 0;
  const auto dead =
      dead_links("[1](b.md) [2](b.md#a-heading-of-b) [3](b.md#none) [4](c.md) [5](https://x.org)\n",
                 folder_ / "a.md", &seen);
  EXPECT_EQ(dead, (std::vector<std::string>{"b.md#none", "c.md"}));
  EXPECT_EQ(seen, 4);
}

}  // namespace
