#include "model/pcie/host_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

using understudy::host_memory;

TEST(host_memory, bus_addresses_do_not_depend_on_the_operating_system) {
  host_memory a, b;
  for (std::size_t n : {64u, 4096u, 100u}) EXPECT_EQ(a.allocate(n, 64).iova, b.allocate(n, 64).iova);
  EXPECT_EQ(host_memory().allocate(1).iova, host_memory::base_address);
}

TEST(host_memory, allocations_are_aligned_zeroed_and_apart) {
  host_memory m;
  const auto a = m.allocate(100, 64);
  const auto b = m.allocate(5000, 4096);
  EXPECT_EQ(a.iova % 64, 0u);
  EXPECT_EQ(b.iova % 4096, 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.cpu) % 4096, 0u);
  EXPECT_GE(b.iova, a.iova + 100);
  EXPECT_TRUE(std::all_of(b.cpu, b.cpu + 5000, [](std::uint8_t v) { return v == 0; }));
}

TEST(host_memory, a_released_range_is_used_again_and_zeroed) {
  host_memory m;
  const auto a = m.allocate(4096, 4096);
  a.cpu[17] = 1;
  EXPECT_TRUE(m.release(a.iova));
  EXPECT_FALSE(m.release(a.iova));
  const auto b = m.allocate(4096, 4096);
  EXPECT_EQ(b.iova, a.iova);
  EXPECT_EQ(b.cpu[17], 0);
  EXPECT_FALSE(m.release(12345));
}

TEST(host_memory, a_released_range_of_wrong_alignment_is_not_used) {
  host_memory m;
  m.allocate(64, 64);
  const auto a = m.allocate(128, 64);
  ASSERT_NE(a.iova % 128, 0u);
  m.release(a.iova);
  EXPECT_EQ(m.allocate(128, 128).iova % 128, 0u);
  EXPECT_EQ(m.allocate(128, 64).iova, a.iova);
}

TEST(host_memory, only_what_allocations_reached_is_addressable) {
  host_memory m;
  const auto a = m.allocate(128, 64);
  EXPECT_EQ(m.at(a.iova, 128), a.cpu);
  EXPECT_EQ(m.at(a.iova + 128, 0), a.cpu + 128);
  EXPECT_EQ(m.at(a.iova, 129), nullptr);
  EXPECT_EQ(m.at(a.iova - 1, 1), nullptr);
  EXPECT_EQ(m.at(~0ull, 2), nullptr);
  EXPECT_EQ(m.at(a.iova, ~0ull), nullptr);
}

TEST(host_memory, reads_return_what_writes_put) {
  host_memory m;
  const auto a = m.allocate(64);
  const std::uint32_t v = 0x12345678;
  std::uint32_t w = 0;
  EXPECT_TRUE(m.write(a.iova + 8, &v, 4));
  EXPECT_TRUE(m.read(a.iova + 8, &w, 4));
  EXPECT_EQ(w, v);
  EXPECT_FALSE(m.write(a.iova + 62, &v, 4));
}

TEST(host_memory, a_full_memory_gives_null) {
  host_memory m(1 << 20);
  EXPECT_NE(m.allocate(1 << 20).cpu, nullptr);
  EXPECT_EQ(m.allocate(1).cpu, nullptr);
}

TEST(host_memory, a_refusal_of_the_operating_system_names_the_cause) {
  try {
    host_memory m(1ull << 62);
    FAIL() << "4 EiB were granted";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), ENOMEM);
    EXPECT_NE(std::string(e.what()).find("host memory"), std::string::npos);
  }
}

// As under `ulimit -v` and valgrind.
TEST(host_memory, takes_what_address_space_there_is) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  for (const auto& [limit, given] :
       {std::pair{40ull << 30, 32ull << 30}, std::pair{3ull << 30, 2ull << 30}}) {
    const rlimit less{limit, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &less), 0);
    host_memory m;
    EXPECT_NE(m.allocate(given).cpu, nullptr) << limit;
    EXPECT_EQ(m.allocate(1).cpu, nullptr) << limit;
    ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  }
  const rlimit too_little{host_memory::least_bytes, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &too_little), 0);
  EXPECT_THROW(host_memory(), std::system_error);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
}
