#include "tb/report/percentile.h"

#include <gtest/gtest.h>

#include <numeric>

namespace understudy::tb {
namespace {

TEST(percentile, is_the_sample_of_the_nearest_rank) {
  const std::vector<int> five{50, 15, 40, 20, 35};
  EXPECT_EQ(percentile(five, 50), 15);
  EXPECT_EQ(percentile(five, 300), 20);
  EXPECT_EQ(percentile(five, 400), 20);
  EXPECT_EQ(percentile(five, 401), 35);
  EXPECT_EQ(percentile(five, 500), 35);
  EXPECT_EQ(percentile(five, 1000), 50);
}

TEST(percentile, of_an_even_number_is_the_lower_of_the_middle_two) {
  EXPECT_EQ(percentile(std::vector<int>{4, 1, 3, 2}, 500), 2);
}

TEST(percentile, of_a_hundred_and_of_a_thousand_leaves_one_above_it) {
  std::vector<int> v(1000);
  std::iota(v.begin(), v.end(), 1);
  EXPECT_EQ(percentile(v, 999), 999);
  v.resize(100);
  EXPECT_EQ(percentile(v, 990), 99);
}

TEST(percentile, of_one_is_that_one_and_of_none_is_zero) {
  EXPECT_EQ(percentile(std::vector<double>{7.5}, 1), 7.5);
  EXPECT_EQ(percentile(std::vector<double>{7.5}, 990), 7.5);
  EXPECT_EQ(percentile(std::vector<double>{}, 500), 0.0);
}

}  // namespace
}  // namespace understudy::tb
