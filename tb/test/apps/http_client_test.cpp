#include "host_sw/apps/http_client.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace understudy::host {
namespace {

TEST(http_client, urls_are_taken_apart) {
  const auto u = parse_http_url("http://10.77.0.1:8000/a/b?c=d#e");
  ASSERT_TRUE(u);
  const socket_address wanted = ipv4_address(10u << 24 | 77u << 16 | 1, 8000);
  EXPECT_TRUE(std::equal(std::begin(u->server.ip), std::end(u->server.ip), std::begin(wanted.ip)));
  EXPECT_EQ(u->server.port, 8000);
  EXPECT_EQ(u->authority, "10.77.0.1:8000");
  EXPECT_EQ(u->target, "/a/b?c=d");
  EXPECT_EQ(parse_http_url("http://10.77.0.1")->target, "/");
  EXPECT_EQ(parse_http_url("http://10.77.0.1")->server.port, 80);
  EXPECT_EQ(parse_http_url("http://10.77.0.1?x")->target, "/?x");
  const auto six = parse_http_url("http://[fd77::1]:8000/a");
  ASSERT_TRUE(six);
  const std::uint8_t wanted6[16] = {0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_TRUE(std::equal(std::begin(wanted6), std::end(wanted6), six->server.ip));
  EXPECT_EQ(six->server.port, 8000);
  EXPECT_EQ(six->authority, "[fd77::1]:8000");
  EXPECT_EQ(parse_http_url("http://[fd77::1]")->server.port, 80);
}

TEST(http_client, what_is_no_url_of_a_server_by_address_is_refused) {
  for (const char* wrong : {"",
                            "http://",
                            "http:///x",
                            "https://10.0.0.1/",
                            "http://host/",
                            "http://10.0.0/",
                            "http://10.0.0.1.2/",
                            "http://10.0.0.256/",
                            "http://10.0.0.1:/",
                            "http://10.0.0.1:0/",
                            "http://10.0.0.1:65536/",
                            "http://10.0.0.1/ x",
                            "http://10.0.0.1/\r\nHost: x",
                            "http://u@10.0.0.1/",
                            "http://[::1/",
                            "http://::1/",
                            "http://[10.0.0.1]/",
                            "http://[::1]x/",
                            "http://[]/",
                            "http://x]:80/"})
    EXPECT_FALSE(parse_http_url(wrong)) << wrong;
}

}  // namespace
}  // namespace understudy::host
