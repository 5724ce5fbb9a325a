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

TEST(inet, a_station_is_neither_a_group_nor_everybody_nor_nobody) {
  for (const ip_address& a :
       {ip_address::v4(224, 0, 0, 0), ip_address::v4(239, 255, 255, 255), ip_address::v4(255, 255, 255, 255),
        ip_address::v4(0, 0, 0, 0), ip_address{}, ip_address::v6({0xff02, 0, 0, 0, 0, 0, 0, 1})})
    EXPECT_FALSE(a.is_station()) << text_of(a);
  for (const ip_address& a :
       {ip_address::v4(223, 255, 255, 255), ip_address::v4(240, 0, 0, 1), ip_address::v4(10, 0, 0, 255),
        ip_address::v6({0xfe80, 0, 0, 0, 0, 0, 0, 1}), ip_address::v6({0, 0, 0, 0, 0, 0, 0, 1})})
    EXPECT_TRUE(a.is_station()) << text_of(a);
}

TEST(inet, the_broadcast_address_of_a_network_has_all_ones_behind_its_prefix) {
  const ip_address us = ip_address::v4(10, 1, 2, 3);
  EXPECT_TRUE(is_broadcast_of(ip_address::v4(10, 1, 2, 255), us, 96 + 24));
  EXPECT_FALSE(is_broadcast_of(ip_address::v4(10, 1, 3, 255), us, 96 + 24));
  EXPECT_TRUE(is_broadcast_of(ip_address::v4(10, 1, 3, 255), us, 96 + 23));
  EXPECT_FALSE(is_broadcast_of(ip_address::v4(10, 1, 2, 255), us, 96 + 23));
  EXPECT_TRUE(is_broadcast_of(ip_address::v4(10, 1, 2, 3), us, 96 + 30));
  EXPECT_FALSE(is_broadcast_of(ip_address::v4(10, 1, 2, 3), us, 96 + 31)) << "RFC 3021";
  EXPECT_FALSE(is_broadcast_of(us, us, 128));
  EXPECT_TRUE(is_broadcast_of(ip_address::v4(255, 255, 255, 255), us, 96));
  EXPECT_FALSE(is_broadcast_of(ip_address::v6({0xfd00, 0, 0, 0, 0xffff, 0xffff, 0xffff, 0xffff}),
                               ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1}), 64));
}

}  // namespace
}  // namespace understudy
