// What every Verilated model may rely on, whichever module it is.
#include "model/cosim/rtl_harness.h"

#include <Vsync_fifo.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <thread>

namespace understudy {
namespace {

std::size_t threads_of_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST(rtl_harness, a_model_starts_no_thread_which_could_take_a_signal_or_be_missing_after_a_fork) {
  const std::size_t before = threads_of_process();
  rtl_harness<Vsync_fifo> rtl;
  EXPECT_EQ(threads_of_process(), before);
  const std::jthread another([](const std::stop_token& end) {
    while (!end.stop_requested()) std::this_thread::yield();
  });
  EXPECT_EQ(threads_of_process(), before + 1) << "one would not be noticed";
}

}  // namespace
}  // namespace understudy
