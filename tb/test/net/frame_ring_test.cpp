#include "model/net/frame_ring.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(frame_ring, keeps_the_order_while_it_grows_and_wraps) {
  frame_ring<int> r;
  int in = 0, out = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 5; ++i) r.push_back(in++);
    EXPECT_EQ(r[0], out);
    EXPECT_EQ(r[r.size() - 1], in - 1);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(r.pop_front(), out++);
  }
  EXPECT_EQ(r.size(), 400u);
  while (!r.empty()) EXPECT_EQ(r.pop_front(), out++);
  EXPECT_EQ(out, in);
}

}  // namespace
}  // namespace understudy
