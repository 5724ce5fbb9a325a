#include "tb/monitors/node_resource.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <unordered_map>

namespace understudy::tb {
namespace {

TEST(NodeResource, WhatComesBackIsTheNextOfItsSizeAndNothingElse) {
  node_resource r;
  void* const a = r.allocate(40, 8);
  void* const b = r.allocate(40, 8);
  EXPECT_NE(a, b);
  r.deallocate(a, 40, 8);
  EXPECT_NE(r.allocate(60, 8), a);  // 64 bytes, not 48
  EXPECT_EQ(r.allocate(33, 8), a);
}

TEST(NodeResource, PiecesDoNotOverlapAndAreAligned) {
  node_resource r;
  std::map<std::uintptr_t, std::size_t> pieces;
  for (std::size_t i = 0; i < 4000; ++i) {
    const std::size_t bytes = i * 7 % 200 + 1;  // some of them for the global heap
    const auto at = reinterpret_cast<std::uintptr_t>(r.allocate(bytes, 16));
    EXPECT_EQ(at % 16, 0u);
    pieces[at] = bytes;
  }
  EXPECT_EQ(pieces.size(), 4000u);
  std::uintptr_t end = 0;
  for (const auto& [at, bytes] : pieces) {
    EXPECT_GE(at, end);
    end = at + bytes;
  }
  for (const auto& [at, bytes] : pieces) r.deallocate(reinterpret_cast<void*>(at), bytes, 16);
}

TEST(NodeResource, ContainersOnItSayTheSameAsThoseOnTheHeap) {
  node_resource r;
  std::pmr::map<int, int> ordered{&r};
  std::pmr::unordered_map<int, int> hashed{&r};
  std::map<int, int> expected;
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const int key = static_cast<int>(random() % 500);
    if (random() % 2) {
      ordered[key] = hashed[key] = expected[key] = i;
    } else {
      EXPECT_EQ(ordered.erase(key), expected.count(key));
      hashed.erase(key);
      expected.erase(key);
    }
  }
  EXPECT_TRUE(std::equal(ordered.begin(), ordered.end(), expected.begin(), expected.end()));
  EXPECT_EQ(hashed.size(), expected.size());
}

}  // namespace
}  // namespace understudy::tb
