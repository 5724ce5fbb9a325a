// CPUs of several hosts, on their own.
#include "tb/platform/host_machine.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace understudy::tb {
namespace {

// SystemC leaves the order of threads that it wakes at the same instant open; ours is that of their waits.
TEST(host_machine, work_that_ends_at_the_same_instant_ends_in_the_order_in_which_it_began) {
  host_memory memory;
  std::vector<std::unique_ptr<host_machine>> hosts;
  hosts.reserve(7);
  for (int i = 0; i < 7; ++i)
    hosts.push_back(std::make_unique<host_machine>(("host" + std::to_string(i)).c_str(), host_costs{}, memory,
                                                   std::vector<pcie_port*>{}, nullptr,
                                                   std::vector<unsigned>{}, nullptr));
  pass_time(1_ns);
  std::vector<unsigned> began, ended;
  for (const unsigned i : {4u, 1u, 6u, 0u, 3u, 5u, 2u}) {
    host_machine& h = *hosts[i];
    h.post([&h, &began, &ended, i] {
      began.push_back(i);
      h.spend(host::work::socket_call, 1);
      h.post([&ended, i] { ended.push_back(i); });
    });
  }
  pass_time(1_us);
  EXPECT_EQ(began.size(), hosts.size());
  EXPECT_EQ(ended, began);
}

}  // namespace
}  // namespace understudy::tb
