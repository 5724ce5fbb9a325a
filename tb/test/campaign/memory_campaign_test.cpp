// Death at every 97th event, with each way of using memory, with the longest holds, and with the RTL of the
// blocks.
#include "tb/test/campaign/campaign_program.h"

namespace understudy::tb {
namespace {

std::string sets(const std::string& send, const std::string& receive, const std::string& more) {
  return "stride = 97\ncontrol_share = 0.01\ntail_share = 0.02\nset = [\"memory.send=" + send +
         "\", \"memory.receive=" + receive + "\", \"memory.expedite=false\"" + more + "]\n";
}

void hurts_nobody(const std::string& send, const std::string& receive, const std::string& more) {
  const program_run r = campaign(plan("crash_points", sets(send, receive, more)), "out");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GT(r.result["points"], 1000);
  for (const auto& block : r.result["rtl"])
    EXPECT_GT(block["cycles"].get<std::uint64_t>(), 0u) << r.result["rtl"];
  EXPECT_EQ(r.result["not_allowed"], 0);
  EXPECT_EQ(r.result["inconclusive"], 0);
}

TEST(memory_campaign, death_hurts_nobody_who_receives_without_a_copy) {
  hurts_nobody("buffered", "zero_copy", "");
}
TEST(memory_campaign, death_hurts_nobody_who_sends_without_a_copy) {
  hurts_nobody("zero_copy", "buffered", "");
}
TEST(memory_campaign, death_hurts_nobody_who_does_both) {
  hurts_nobody("zero_copy", "zero_copy", "");
}
TEST(memory_campaign, death_hurts_nobody_with_the_longest_holds) {
  hurts_nobody("buffered", "buffered", ", \"memory.hold_us=20000\"");
}
TEST(memory_campaign, death_hurts_nobody_who_receives_without_a_copy_with_the_longest_holds) {
  hurts_nobody("buffered", "zero_copy", ", \"memory.hold_us=20000\"");
}
TEST(memory_campaign, death_hurts_nobody_who_sends_without_a_copy_with_the_longest_holds) {
  hurts_nobody("zero_copy", "buffered", ", \"memory.hold_us=20000\"");
}
TEST(memory_campaign, death_hurts_nobody_who_does_both_with_the_longest_holds) {
  hurts_nobody("zero_copy", "zero_copy", ", \"memory.hold_us=20000\"");
}
TEST(memory_campaign, death_hurts_nobody_whose_bytes_go_with_their_descriptor) {
  hurts_nobody("buffered", "buffered", ", \"memory.inline_bytes=192\"");
}
TEST(memory_campaign, death_hurts_nobody_with_the_blocks_in_RTL) {
  hurts_nobody("buffered", "buffered",
               ", \"memory.hold_us=200\", 'adapter.rtl=[\"buffer_allocator\", \"record_coalescer\", "
               "\"connection_table\"]'");
}

}  // namespace
}  // namespace understudy::tb
