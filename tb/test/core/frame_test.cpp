#include "model/core/frame.h"

#include <gtest/gtest.h>

#include <vector>

namespace understudy {
namespace {

TEST(Frame, CopiesShareTheBytes) {
  frame_ref a = frame_ref::copy_of("hello", 5);
  frame_ref b = a;
  EXPECT_EQ(a.data(), b.data());
  a = frame_ref();
  EXPECT_FALSE(a);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b.data()), b.size()), "hello");
  frame_ref c = std::move(b);
  EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): moved-from frames are empty
  EXPECT_TRUE(c);
}

TEST(Frame, HeadroomBecomesPartOfTheFrame) {
  frame_ref f = frame_ref::make(4, 10);
  std::memcpy(f.data(), "data", 4);
  f.extend_front(3);
  EXPECT_EQ(f.size(), 7u);
  EXPECT_EQ(f.data()[3], 'd');
  EXPECT_EQ(f.bytes().size(), 7u);
}

TEST(Frame, BuffersAreUsedAgain) {
  for (std::uint32_t size : {1u, 256u, 257u, 2048u, 2049u, 9600u}) {
    { const frame_ref warm = frame_ref::make(size); }
    const std::uint64_t before = detail::frame_pool::instance().allocated();
    for (int i = 0; i < 1000; ++i) {
      frame_ref f = frame_ref::make(size);
      f.data()[size - 1] = 1;
      frame_ref g = f;
      EXPECT_EQ(g.mark(), 0u);
      g.mark() = 7;
      EXPECT_EQ(f.mark(), 7u);
    }
    EXPECT_EQ(detail::frame_pool::instance().allocated(), before);
  }
}

TEST(Frame, ManyLiveFramesDoNotOverlap) {
  std::vector<frame_ref> v;
  for (std::uint32_t i = 0; i < 300; ++i) {
    v.push_back(frame_ref::make(200 + i));
    std::memset(v.back().data(), static_cast<int>(i & 0xff), v.back().size());
  }
  for (std::uint32_t i = 0; i < 300; ++i)
    for (std::uint8_t b : v[i].bytes()) ASSERT_EQ(b, i & 0xff);
}

}  // namespace
}  // namespace understudy
