#include "host_sw/apps/http_request.h"

#include <gtest/gtest.h>

namespace understudy::host {
namespace {

using kind = byte_range::kind;

TEST(http_request, a_target_names_a_path_below_the_root_or_nothing) {
  EXPECT_EQ(path_of_target("/"), "");
  EXPECT_EQ(path_of_target("/a/b.txt?x=1"), "a/b.txt");
  EXPECT_EQ(path_of_target("/a%20b/"), "a b/");
  EXPECT_EQ(path_of_target("http://host:80/x"), "x");
  EXPECT_EQ(path_of_target("http://host"), "");
  for (const char* wrong : {"", "x", "/..", "/a/../b", "/%2e%2e/x", "/a/%2E./b", "//etc/passwd", "/a//b",
                            "/.git/config", "/%00", "/%", "/%4", "/%zz", "*"})
    EXPECT_FALSE(path_of_target(wrong)) << wrong;
}

TEST(http_request, ranges_are_those_of_rfc_9110) {
  const auto is = [](std::string_view field, kind k, std::uint64_t first, std::uint64_t length) {
    const byte_range r = range_of(field, 1000);
    return r.what == k && (k == kind::unsatisfiable || (r.first == first && r.length == length));
  };
  EXPECT_TRUE(is("bytes=0-0", kind::part, 0, 1));
  EXPECT_TRUE(is("bytes=10-19", kind::part, 10, 10));
  EXPECT_TRUE(is("bytes=990-", kind::part, 990, 10));
  EXPECT_TRUE(is("bytes=-10", kind::part, 990, 10));
  EXPECT_TRUE(is("bytes=-5000", kind::part, 0, 1000));
  EXPECT_TRUE(is("bytes=900-5000", kind::part, 900, 100));
  EXPECT_TRUE(is("bytes=1000-", kind::unsatisfiable, 0, 0));
  EXPECT_TRUE(is("bytes=-0", kind::unsatisfiable, 0, 0));
  for (const char* ignored : {"", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=1-2,5-6", "lines=1-2",
                              "bytes=a-b", "bytes=99999999999999999999-"})
    EXPECT_TRUE(is(ignored, kind::whole, 0, 1000)) << ignored;
}

TEST(http_request, an_empty_file_has_no_range) {
  EXPECT_EQ(range_of("bytes=0-", 0).what, kind::unsatisfiable);
  EXPECT_EQ(range_of("bytes=-1", 0).what, kind::unsatisfiable);
}

TEST(http_request, names_are_escaped_for_where_they_stand) {
  EXPECT_EQ(html_escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
  EXPECT_EQ(percent_encoded("a b/%\xc3\xa4"), "a%20b%2F%25%C3%A4");
}

}  // namespace
}  // namespace understudy::host
