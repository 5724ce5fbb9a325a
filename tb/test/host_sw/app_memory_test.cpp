// Memory that applications lend: every rule has its answer, and a refusal changes nothing.
#include "host_sw/driver/app_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "tb/test/host_sw/fake_machine.h"

namespace understudy::tb {
namespace {

using host::app_memory;
using host::buffer_status;

TEST(app_memory, each_rule_that_a_buffer_breaks_is_named_and_nothing_is_lent) {
  fake_machine m(1);
  app_memory a(m);
  const host::dma_region r = a.allocate(8192, 7);
  ASSERT_NE(r.cpu, nullptr);
  std::vector<std::uint8_t> elsewhere(4096);
  std::uint64_t at = 0;
  EXPECT_EQ(a.lend_to_write(r.cpu, 0, 7, &at), buffer_status::zero_length);
  EXPECT_EQ(a.lend_to_write(r.cpu, app_memory::longest + 64, 7, &at), buffer_status::too_long);
  EXPECT_EQ(a.lend_to_write(r.cpu + 8, 64, 7, &at), buffer_status::misaligned);
  EXPECT_EQ(a.lend_to_write(r.cpu, 100, 7, &at), buffer_status::misaligned);
  EXPECT_EQ(a.lend_to_write(elsewhere.data(), 64, 7, &at), buffer_status::unmapped);
  EXPECT_EQ(a.lend_to_write(r.cpu + 4096, 8192, 7, &at), buffer_status::unmapped) << "beyond its end";
  EXPECT_EQ(a.lend_to_write(r.cpu, 64, 8, &at), buffer_status::foreign);
  EXPECT_EQ(a.lend_to_read(r.cpu, 0, 7, &at), buffer_status::zero_length);
  EXPECT_EQ(a.lend_to_read(r.cpu, 64, 8, &at), buffer_status::foreign);
  EXPECT_EQ(a.lent_bytes(), 0u);
  ASSERT_EQ(a.lend_to_write(r.cpu + 64, 128, 7, &at), buffer_status::ok);
  EXPECT_EQ(at, r.iova + 64);
  EXPECT_EQ(a.lend_to_write(r.cpu + 64, 128, 7, &at), buffer_status::double_posted);
  EXPECT_EQ(a.lend_to_write(r.cpu, 128, 7, &at), buffer_status::overlapping);
  EXPECT_EQ(a.lend_to_read(r.cpu + 100, 10, 7, &at), buffer_status::overlapping);
  EXPECT_EQ(a.free(r.cpu), buffer_status::adapter_owns);
  EXPECT_EQ(a.lent_bytes(), 128u);
  a.return_written(r.cpu + 64, 128);
  EXPECT_EQ(a.lent_bytes(), 0u);
  EXPECT_EQ(a.free(r.cpu), buffer_status::ok);
  EXPECT_EQ(a.free(r.cpu), buffer_status::unmapped);
}

TEST(app_memory, bytes_may_be_sent_many_times_at_once_and_come_back_with_the_last) {
  fake_machine m(1);
  app_memory a(m);
  const host::dma_region r = a.allocate(4096, 0);
  std::uint64_t at = 0;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(a.lend_to_read(r.cpu + 10, 100, 0, &at), buffer_status::ok);
  EXPECT_EQ(at, r.iova + 10) << "at any byte";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a.lend_to_write(r.cpu, 64, 0, &at), buffer_status::overlapping);
    EXPECT_EQ(a.free(r.cpu), buffer_status::adapter_owns);
    a.return_read(r.cpu + 10, 100);
  }
  EXPECT_EQ(a.lend_to_write(r.cpu, 64, 0, &at), buffer_status::ok);
}

TEST(app_memory, every_status_has_a_name) {
  std::set<std::string> names;
  for (int s = 0; s <= static_cast<int>(buffer_status::no_room); ++s)
    names.insert(name(static_cast<buffer_status>(s)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(buffer_status::no_room) + 1);
}

}  // namespace
}  // namespace understudy::tb
