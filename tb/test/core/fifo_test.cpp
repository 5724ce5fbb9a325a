#include "model/core/fifo.h"

#include <gtest/gtest.h>

#include <memory>

namespace understudy {
namespace {

TEST(fifo, keeps_the_order_while_it_grows_and_wraps) {
  fifo<int> r;
  int in = 0, out = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 5; ++i) r.push_back(in++);
    EXPECT_EQ(r[0], out);
    EXPECT_EQ(r[r.size() - 1], in - 1);
    EXPECT_EQ(r.front(), out);
    EXPECT_EQ(r.back(), in - 1);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(r.pop_front(), out++);
  }
  EXPECT_EQ(r.size(), 400u);
  while (!r.empty()) EXPECT_EQ(r.pop_front(), out++);
  EXPECT_EQ(out, in);
}

TEST(fifo, keeps_nothing_of_what_has_been_taken) {
  const auto counted = std::make_shared<int>(1);
  fifo<std::shared_ptr<int>> r(2);
  for (int i = 0; i < 5; ++i) r.push_back(counted);
  EXPECT_EQ(counted.use_count(), 6);
  r.pop_front();
  r.pop_back();
  EXPECT_EQ(counted.use_count(), 4);
  r.clear();
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
}  // namespace understudy
