// rtl/dma_engine.sv at its pins: completions that nobody asked for or that do not fit, misuse, and what reset
// leaves undefined.
#include <Vdma_engine_32.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <vector>

#include "model/cosim/dma_pins.h"
#include "model/cosim/rtl_harness.h"

namespace understudy {
namespace {

using top = Vdma_engine_32;
constexpr std::uint32_t width = 32;

struct rig {
  explicit rig(std::uint32_t seed = 1) : rtl(seed) {
    idle_dma_pins(pins(), 256, 512, 64);
    pins().tx_ready_i = 1;
  }
  top& pins() { return rtl.pins(); }
  // Cycles, in each of which the inputs stay as they are.
  void cycles(int n) {
    for (int i = 0; i < n; ++i) {
      rtl.settle();
      if (pins().tx_valid_o && pins().tx_last_o) tags.push_back(pins().tx_tag_o);
      if (pins().done_valid_o) {
        status.push_back(pins().done_status_o);
        bytes.push_back(pins().done_bytes_o);
      }
      written += pins().ram_wr_valid_o;
      rtl.edge();
    }
  }
  void read(std::uint32_t length) {
    drive_dma_descriptor(pins(), {dma_op::read, false, 0x1000, 0x40, length, 7});
    cycles(1);
    pins().desc_valid_i = 0;
    cycles(8);
  }
  void complete(std::uint32_t tag, bool ok, std::uint32_t length) {
    const std::vector<std::uint8_t> data(length, 0x5a);
    std::uint32_t at = 0;
    do {
      drive_dma_completion(pins(), tag, ok, data.data(), length, at);
      rtl.settle();
      if (pins().cpl_ready_o) at += width;
      cycles(1);
    } while (at < length);
    pins().cpl_valid_i = 0;
    cycles(8);
  }
  rtl_harness<top> rtl;
  std::vector<std::uint32_t> tags, status, bytes;
  int written = 0;
};

TEST(dma_engine_pins_test, completion_without_a_request_is_dropped_and_counted_bad) {
  rig r;
  r.complete(5, true, 100);
  r.complete(63, false, 0);
  r.complete(200, true, 32);
  EXPECT_EQ(r.pins().unexpected_o, 3);
  EXPECT_EQ(r.written, 0);
  EXPECT_TRUE(r.status.empty());
  r.read(64);  // it goes on as if nothing had been
  ASSERT_EQ(r.tags.size(), 1u);
  r.complete(r.tags[0], true, 64);
  EXPECT_EQ(r.status, std::vector<std::uint32_t>{0});
  EXPECT_EQ(r.bytes, std::vector<std::uint32_t>{64});
  r.complete(r.tags[0], true, 64);  // answered once more
  EXPECT_EQ(r.pins().unexpected_o, 4);
  EXPECT_EQ(r.written, 2);
}

TEST(dma_engine_pins_test, completion_longer_than_what_is_missing_or_empty_fails_its_request_bad) {
  for (const std::uint32_t length : {65u, 0u, 4096u}) {
    rig r;
    r.read(64);
    r.complete(r.tags.at(0), true, length);
    EXPECT_EQ(r.status, std::vector<std::uint32_t>{3}) << length;
    EXPECT_EQ(r.bytes, std::vector<std::uint32_t>{0}) << length;
    EXPECT_EQ(r.written, 0) << length;
  }
}

TEST(dma_engine_pins_test, error_behind_some_of_the_bytes_reports_how_many_are_there) {
  rig r;
  r.read(300);
  r.complete(r.tags.at(0), true, 64);
  EXPECT_TRUE(r.status.empty());
  r.complete(r.tags.at(0), false, 0);
  EXPECT_EQ(r.status, std::vector<std::uint32_t>{3});
  EXPECT_EQ(r.bytes, std::vector<std::uint32_t>{64});
}

TEST(dma_engine_pins_test, tags_are_below_tags_i_in_the_order_in_which_they_became_free) {
  rig r;
  const auto after = [&r](std::uint32_t tags_i, int reads) {
    r.pins().tags_i = static_cast<std::uint16_t>(tags_i);
    r.tags.clear();
    for (int i = 0; i < reads; ++i) {
      r.read(32);
      r.complete(r.tags.back(), true, 32);
    }
    return r.tags;
  };
  EXPECT_EQ(after(3, 5), (std::vector<std::uint32_t>{0, 1, 2, 0, 1}));
  EXPECT_EQ(after(1, 2), (std::vector<std::uint32_t>{0, 0}));
  EXPECT_EQ(after(5, 6), (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 0})) << "and begin again with another";
  // Three outstanding, answered backwards.
  r.pins().tags_i = 3;
  r.tags.clear();
  for (int i = 0; i < 4; ++i) r.read(32);
  EXPECT_EQ(r.tags, (std::vector<std::uint32_t>{0, 1, 2})) << "the fourth waits";
  for (const std::uint32_t tag : {2u, 1u, 0u}) r.complete(tag, true, 32);
  EXPECT_EQ(r.tags, (std::vector<std::uint32_t>{0, 1, 2, 2}));
}

TEST(dma_engine_pins_test, unknown_operation_is_refused_bad) {
  rig r;
  drive_dma_descriptor(r.pins(), {static_cast<dma_op>(3), false, 0x1000, 0, 64, 9});
  r.cycles(1);
  r.pins().desc_valid_i = 0;
  r.cycles(8);
  EXPECT_TRUE(r.tags.empty());
  EXPECT_EQ(r.status, std::vector<std::uint32_t>{1});
}

TEST(dma_engine_pins_test, what_reset_leaves_undefined_is_never_seen) {
  for (std::uint32_t seed = 1; seed < 10; ++seed) {
    rig r(seed);
    r.cycles(20);
    EXPECT_TRUE(r.tags.empty());
    EXPECT_TRUE(r.status.empty());
    r.read(1);
    EXPECT_EQ(r.tags, std::vector<std::uint32_t>{0});
  }
}

// What the block's assertions say of a misuse of its pins; nothing if they let it pass.
std::string assertion_of(const std::function<void(rig&)>& misuse) {
  rig r;
  testing::internal::CaptureStdout();
  bool thrown = false;
  try {
    misuse(r);
  } catch (const std::logic_error& e) {
    thrown = std::string(e.what()).find("rtl/") == 0;
  }
  const std::string text = testing::internal::GetCapturedStdout();
  return thrown ? text : "";
}

TEST(dma_engine_pins_test, misuse_is_asserted_bad) {
  EXPECT_NE(assertion_of([](rig& r) {
              r.pins().mps_i = 100;
              r.read(64);
            }).find("out of range"),
            std::string::npos);
  EXPECT_NE(assertion_of([](rig& r) {
              r.pins().ram_rd_data_valid_i = 1;
              r.cycles(40);
            }).find("packet memory returned a beat"),
            std::string::npos);
  EXPECT_NE(assertion_of([](rig& r) {
              r.read(64);
              const std::vector<std::uint8_t> data(64);
              drive_dma_completion(r.pins(), 0, true, data.data(), 64, 0);
              r.pins().cpl_last_i = 1;
              r.cycles(1);
            }).find("more or fewer beats"),
            std::string::npos);
  EXPECT_EQ(assertion_of([](rig& r) { r.read(64); }), "");
}

}  // namespace
}  // namespace understudy
