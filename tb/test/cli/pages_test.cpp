// The pages in docs/ that the program prints are those that it prints now.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace {

// What `understudy describe topic` prints; empty if it failed.
std::string described(const std::string& topic) {
  std::FILE* pipe = popen((std::string("\"") + US_PROGRAM + "\" describe " + topic).c_str(), "r");
  if (!pipe) return {};
  std::string text;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, n);
  return pclose(pipe) == 0 ? text : std::string();
}

class page_in_docs : public ::testing::TestWithParam<const char*> {};

TEST_P(page_in_docs, is_current) {
  const std::string topic = GetParam();
  std::ifstream f(US_SOURCE_DIR "/docs/" + topic + ".md");
  std::ostringstream page;
  page << f.rdbuf();
  const std::string now = described(topic);
  ASSERT_FALSE(now.empty());
  EXPECT_TRUE(page.str() == now) << "make it new: understudy describe " << topic << " --out docs";
}

INSTANTIATE_TEST_SUITE_P(generated, page_in_docs,
                         ::testing::Values("registers", "faults", "monitors", "connection_state"));

}  // namespace
