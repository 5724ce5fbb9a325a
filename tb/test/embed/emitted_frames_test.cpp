#include "tb/embed/emitted_frames.h"

#include <gtest/gtest.h>

namespace understudy::tb {
namespace {

TEST(emitted_frames, come_in_order_with_time_and_adapter) {
  emitted_frames all;
  const frame_ref f = frame_ref::make(60);
  all.frame(5_us, 1, true, f, nullptr);
  all.frame(6_us, 1, false, f, nullptr);  // towards the adapter
  all.frame(7_us, 2, true, f, nullptr);
  EXPECT_EQ(all.front().at, 5_us);
  EXPECT_EQ(all.front().adapter, 1u);
  EXPECT_EQ(all.front().missed, 0u);
  all.pop();
  EXPECT_EQ(all.front().at, 7_us);
  all.pop();
  EXPECT_TRUE(all.empty());
}

TEST(emitted_frames, those_that_nobody_takes_are_given_up_and_counted) {
  emitted_frames all;
  const frame_ref f = frame_ref::make(60);
  for (std::size_t i = 0; i < emitted_frames::capacity + 3; ++i) all.frame(i, 0, true, f, nullptr);
  EXPECT_EQ(all.front().at, 3u);
  EXPECT_EQ(all.front().missed, 3u);
  all.pop();
  EXPECT_EQ(all.front().missed, 0u);
}

}  // namespace
}  // namespace understudy::tb
