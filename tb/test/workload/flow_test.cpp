#include "tb/workload/flow.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace understudy::tb {
namespace {

std::vector<std::uint8_t> all_of(const byte_stream& s) {
  std::vector<std::uint8_t> r;
  while (r.size() < s.size()) {
    const auto run = s.from(r.size());
    if (run.empty()) break;
    r.insert(r.end(), run.begin(), run.end());
  }
  return r;
}

TEST(flow, a_stream_of_bytes_is_given_from_any_place) {
  const byte_stream s({1, 2, 3});
  EXPECT_EQ(s.size(), 3u);
  EXPECT_EQ(s.from(1).size(), 2u);
  EXPECT_EQ(s.from(1)[0], 2);
  EXPECT_TRUE(s.from(3).empty());
  EXPECT_TRUE(byte_stream().from(0).empty());
}

TEST(flow, a_pattern_repeats_to_any_length) {
  const auto pattern = std::make_shared<const std::vector<std::uint8_t>>(std::vector<std::uint8_t>{1, 2, 3});
  EXPECT_EQ(all_of(byte_stream(pattern, 4, 7)), (std::vector<std::uint8_t>{2, 3, 1, 2, 3, 1, 2}));
}

TEST(flow, patterns_follow_their_seed) {
  EXPECT_EQ(*make_pattern(1), *make_pattern(1));
  EXPECT_NE(*make_pattern(1), *make_pattern(2));
}

TEST(flow, turns_of_made_up_flows_cover_their_streams_exactly) {
  const auto pattern = make_pattern(1);
  const flow made[] = {make_bulk_flow(200'000, 0, 1000, pattern, 0),
                       make_bulk_flow(0, 200'000, 1000, pattern, 1),
                       make_bulk_flow(100'001, 3000, 1000, pattern, 2),
                       make_mirror_flow(flow_direction::client_to_server, 320, 64, pattern, 3)};
  const std::size_t turns[] = {1, 1, 104, 10};
  for (std::size_t i = 0; i < std::size(made); ++i) {
    const flow& f = made[i];
    std::array<std::uint64_t, 2> said{};
    for (const turn& t : f.turns) {
      EXPECT_GT(t.length, 0u);
      EXPECT_EQ(t.offset, said[index_of(t.from)]);
      said[index_of(t.from)] += t.length;
    }
    EXPECT_EQ(said[0], f.streams[0].size());
    EXPECT_EQ(said[1], f.streams[1].size());
    EXPECT_EQ(f.turns.size(), turns[i]);
    EXPECT_EQ(f.closing.after_turns, f.turns.size());
  }
}

TEST(flow, connections_and_directions_carry_different_bytes) {
  const auto pattern = make_pattern(1);
  const flow a = make_bulk_flow(64, 64, 64, pattern, 0);
  const flow b = make_bulk_flow(64, 64, 64, pattern, 1);
  EXPECT_NE(all_of(a.streams[0]), all_of(b.streams[0]));
  EXPECT_NE(all_of(a.streams[0]), all_of(a.streams[1]));
}

}  // namespace
}  // namespace understudy::tb
