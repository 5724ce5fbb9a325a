// The cases in network namespaces skip themselves where they are not permitted. That is said once, here, and
// fails where they ought to have run.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdio>

#include "tb/test/live/own_network.h"

namespace understudy::tb {
namespace {

TEST(live_permission, root_can_make_the_networks_that_tests_need) {
  if (!is_network_root())
    GTEST_SKIP() << "not root, or without CAP_NET_ADMIN: the cases in network namespaces are skipped; those "
                    "named live_slirp run what needs no kernel at the far end (docs/live.md)";
  EXPECT_EQ(enter_own_network(), "") << "every case in a network namespace was skipped";
}

TEST(live_permission, who_has_no_rights_can_make_no_network_and_is_not_asked_to) {
  const pid_t child = fork();
  if (child == 0) {
    __user_cap_header_struct version = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    if (syscall(SYS_capset, &version, none) != 0) _exit(2);
    if (is_network_root()) _exit(3);
    _exit(enter_own_network().empty() ? 4 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace understudy::tb
