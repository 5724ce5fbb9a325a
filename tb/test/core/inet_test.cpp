#include "model/core/inet.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(inet, addresses_are_written_as_people_write_them) {
  EXPECT_EQ(text_of(ip_address::v4(10, 77, 0, 2)), "10.77.0.2");
  EXPECT_EQ(text_of(ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 2})), "fd77::2");
  EXPECT_EQ(text_of(ip_address{}), "::");
}

TEST(inet, an_address_is_one_of_ipv4_or_not) {
  EXPECT_TRUE(ip_address::v4(1, 2, 3, 4).is_v4());
  EXPECT_EQ(ip_address::v4(1, 2, 3, 4).v4_value(), 0x01020304u);
  EXPECT_FALSE(ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 2}).is_v4());
  EXPECT_FALSE(ip_address{}.is_v4());
}

TEST(inet, networks_are_compared_to_the_bit) {
  const ip_address a = ip_address::v6({0xfd77, 0, 0, 0x8000, 0, 0, 0, 1});
  const ip_address b = ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 1});
  EXPECT_TRUE(same_network(a, b, 48));
  EXPECT_FALSE(same_network(a, b, 49));
  EXPECT_TRUE(same_network(ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 200), 96 + 24));
  EXPECT_FALSE(same_network(ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 200), 96 + 25));
}

}  // namespace
}  // namespace understudy
