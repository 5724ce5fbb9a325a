// SR-2, end by end: when the adapter dies every unprotected connection ends with a reset at both of its ends,
// every protected one goes on at both; and who asks for no protection pays for none.
#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

std::vector<std::string> sixty_four(const std::string& side, unsigned unprotected) {
  return {"topology.adapters=2",        "workload.connections=64",
          R"(workload.bytes="64 KiB")", R"(workload.peer_keepalive="5 s")",
          "workload.side=" + side,      "workload.unprotected=" + std::to_string(unprotected)};
}

class unprotected : public ::testing::TestWithParam<std::string> {};

TEST_P(unprotected, SR_2_connections_are_reset_at_both_ends_and_protected_ones_at_none) {
  auto settings = sixty_four(GetParam(), 32);
  settings.push_back("fault=[{kind=\"kill\", at_fraction=0.2}]");
  inside i("hello.toml", settings);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  unsigned lost = 0, saved = 0;
  const connections& all = i.sim.workload();
  for (std::size_t c = 0; c < all.size(); ++c) {
    SCOPED_TRACE(c);
    ASSERT_EQ(all.ends(c).size(), 2u);
    (all.is_protected(c) ? saved : lost) += 1;
    for (const auto& end : all.ends(c)) {
      // The host's sockets say "reset" for ECONNRESET and nothing else, lwIP for a valid RST.
      EXPECT_STREQ(end->why(), all.is_protected(c) ? "" : "reset") << end->describe();
      EXPECT_EQ(end->complete(), all.is_protected(c));
    }
  }
  EXPECT_EQ(lost, 32u);
  EXPECT_EQ(saved, 32u);
}

class commit_writes : public ::testing::TestWithParam<std::pair<std::string, unsigned>> {};

TEST_P(commit_writes, SR_2_are_one_for_each_protected_connection_and_none_for_the_others) {
  const auto [side, without] = GetParam();
  inside i("hello.toml", sixty_four(side, without));
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  EXPECT_EQ(r.connections.completed, 64u);
  EXPECT_EQ(r.announce.connections, 64u);
  EXPECT_EQ(r.announce.commit_writes, 64u - without);
}

INSTANTIATE_TEST_SUITE_P(side, unprotected, ::testing::Values("server", "client"),
                         [](const auto& i) { return i.param; });
INSTANTIATE_TEST_SUITE_P(
    of, commit_writes,
    ::testing::Values(std::pair(std::string("server"), 0u), std::pair(std::string("server"), 32u),
                      std::pair(std::string("server"), 64u), std::pair(std::string("client"), 0u),
                      std::pair(std::string("client"), 32u), std::pair(std::string("client"), 64u)),
    [](const auto& i) { return i.param.first + "_" + std::to_string(i.param.second) + "_without"; });

}  // namespace
}  // namespace understudy::tb
