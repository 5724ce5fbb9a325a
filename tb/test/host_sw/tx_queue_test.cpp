// The driver's side of transmit queues: rings, reports, stops, lost doorbells, the death of an adapter.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "host_sw/driver/raw_send.h"
#include "tb/test/host_sw/driver_rig.h"

namespace understudy::tb {
namespace {

using host::driver;
using host::raw_send;

host::driver_config small_rings() {
  host::driver_config c = small_config();
  c.tx_entries = 16;
  return c;
}

struct queue_rig : driver_rig {
  explicit queue_rig(unsigned adapters = 1, std::uint32_t queues = 2) : driver_rig(adapters, small_rings()) {
    for (unsigned a = 0; a < adapters; ++a) m.a[a].give_queues(queues);
    start();
  }
  raw_send* open(unsigned queue) {
    return d.open_raw(
        {},
        [](void* self, std::uint64_t cookie, bool sent) {
          auto& r = *static_cast<queue_rig*>(self);
          EXPECT_TRUE(r.outcome.emplace(cookie, sent).second) << "told twice: " << cookie;
          if (!sent && r.again) r.post(*r.again, 0, r.next_cookie++);
        },
        this, queue);
  }
  void post(raw_send& to, unsigned queue, std::uint64_t cookie) {
    host::tx_buffer* b = d.raw_buffers(queue).take();
    ASSERT_TRUE(b);
    const std::uint8_t header[14] = {};
    to.xmit(*b, 100, header, sizeof header, cookie);
  }
  void post_many(raw_send& to, unsigned queue, std::uint64_t first, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) post(to, queue, first + i);
    m.run_us(1);
  }
  std::size_t told(bool sent) const {
    std::size_t n = 0;
    for (const auto& [cookie, was_sent] : outcome) n += was_sent == sent;
    return n;
  }
  std::map<std::uint64_t, bool> outcome;
  raw_send* again = nullptr;  // of queue 0: a stack that tries what was not sent again, at once
  std::uint64_t next_cookie = 1000;
};

TEST(tx_queue, is_opened_only_where_the_adapter_has_it) {
  driver_rig none(1, small_rings());
  none.m.a[0].features |= US_FEATURE_SEND_RAW;
  none.start();
  EXPECT_EQ(none.d.tx_queues(), 0u);
  EXPECT_FALSE(none.d.open_raw({}, nullptr, nullptr, 0));
  EXPECT_TRUE(none.d.open_raw({}, nullptr, nullptr)) << "the shared table is there";
  queue_rig g;
  EXPECT_EQ(g.d.tx_queues(), 2u);
  EXPECT_TRUE(g.open(0));
  EXPECT_TRUE(g.open(1));
  EXPECT_FALSE(g.open(2));
}

TEST(tx_queue, that_the_adapter_refuses_is_not_opened) {
  queue_rig g;
  g.m.a[0].tx_status = US_ERR_BAD_LENGTH;
  EXPECT_FALSE(g.open(0));
}

TEST(tx_queue, has_its_own_ring_doorbell_and_reports) {
  queue_rig g;
  raw_send *a = g.open(0), *b = g.open(1);
  ASSERT_TRUE(a && b);
  const std::size_t input = g.m.a[0].seen.size();
  g.post_many(*a, 0, 0, 3);
  g.post_many(*b, 1, 10, 2);
  EXPECT_EQ(g.m.a[0].tx_seen[0].size(), 3u);
  EXPECT_EQ(g.m.a[0].tx_seen[1].size(), 2u);
  EXPECT_EQ(g.m.a[0].seen.size(), input) << "nothing goes by the input table";
  EXPECT_EQ(g.m.a[0].bad_descriptors, 0u);
  const host::ring_facts f = g.d.rings(0);
  EXPECT_EQ(f.tx[0].entries, 16u);
  EXPECT_NE(f.tx[0].iova, f.tx[1].iova);
  EXPECT_EQ(f.tx[2].entries, 0u);
  g.m.a[0].report_raw(1, 1);
  g.m.run_us(1);
  EXPECT_EQ(g.outcome, (std::map<std::uint64_t, bool>{{10, true}, {11, true}}));
  g.m.a[0].report_raw(0, 1, US_ERR_DMA);
  g.m.run_us(1);
  EXPECT_EQ(g.outcome.at(0), true);
  EXPECT_EQ(g.outcome.at(1), false);
  EXPECT_EQ(a->open(), 1u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(tx_queue, that_is_full_keeps_frames_until_a_report_frees_their_slots) {
  queue_rig g;
  raw_send* a = g.open(0);
  g.post_many(*a, 0, 0, 20);
  EXPECT_EQ(g.m.a[0].tx_seen[0].size(), 16u);
  g.m.a[0].report_raw(0, 1);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].tx_seen[0].size(), 18u);
  g.m.a[0].report_raw(0, 9);
  g.m.run_us(1);
  EXPECT_EQ(g.m.a[0].tx_seen[0].size(), 20u);
  g.m.a[0].report_raw(0, 19);
  g.m.run_us(1);
  EXPECT_EQ(g.told(true), 20u);
  EXPECT_EQ(a->open(), 0u);
}

TEST(tx_queue, report_that_contradicts_what_was_posted_is_not_believed) {
  queue_rig g;
  raw_send* a = g.open(0);
  g.post_many(*a, 0, 0, 3);
  std::uint64_t bad = 0;
  const auto refused = [&](unsigned queue, std::uint32_t index, const char* what) {
    g.m.a[0].report_raw(queue, index);
    g.m.run_us(1);
    EXPECT_EQ(g.d.counters().bad_records, ++bad) << what;
    EXPECT_TRUE(g.outcome.empty()) << what;
  };
  refused(1, 0, "queue that is not open");
  refused(8, 0, "queue that cannot be");
  refused(~0u - 1, 0, "no queue at all");
  refused(0, 3, "beyond what was posted");
  refused(0, ~0u, "before what was posted");
  us_record r = g.m.a[0].blank(US_REC_TX_STOPPED, US_NO_CID);
  r.u.end.ring = 1;
  r.u.end.index = 4;
  g.m.a[0].emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().bad_records, ++bad) << "stopped behind what was posted";
  EXPECT_EQ(g.d.counters().tx_stops, 0u);
  g.m.a[0].report_raw(0, 2);
  g.m.run_us(1);
  EXPECT_EQ(g.told(true), 3u);
}

TEST(tx_queue, that_stops_tells_what_is_open_unsent_and_begins_anew) {
  queue_rig g;
  raw_send *a = g.open(0), *b = g.open(1);
  g.post_many(*a, 0, 0, 20);
  g.post_many(*b, 1, 100, 1);
  g.m.a[0].report_raw(0, 2);
  g.m.run_us(1);
  us_record r = g.m.a[0].blank(US_REC_TX_STOPPED, US_NO_CID);
  r.u.end.ring = 1;
  r.u.end.status = US_ERR_BAD_CRC;
  r.u.end.index = 3;
  g.again = a;
  g.m.a[0].emit(r);
  g.m.run_us(1);
  EXPECT_EQ(g.d.counters().tx_stops, 1u);
  EXPECT_EQ(g.told(true), 3u);
  EXPECT_EQ(g.told(false), 17u);
  EXPECT_FALSE(g.outcome.contains(100)) << "the other queue goes on";
  EXPECT_EQ(a->open(), 17u) << "tried again, each once";
  ASSERT_EQ(g.m.a[0].tx_seen[0].size(), 16u) << "in a ring that begins anew";
  EXPECT_EQ(g.m.a[0].tx_seen[0][0].index16, 0u);
  g.m.a[0].report_raw(0, 15);
  g.m.run_us(1);
  g.m.a[0].report_raw(0, 16);
  g.m.run_us(1);
  EXPECT_EQ(g.told(true), 20u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(tx_queue, whose_doorbell_got_lost_is_rung_again) {
  queue_rig g;
  raw_send* a = g.open(0);
  g.m.a[0].lost[US_TX_QUEUE(0) + US_TX_TAIL] = 1;
  g.post_many(*a, 0, 0, 1);
  EXPECT_TRUE(g.m.a[0].tx_seen[0].empty());
  g.m.run_us(1000);
  EXPECT_EQ(g.m.a[0].tx_seen[0].size(), 1u);
  EXPECT_EQ(g.d.counters().lost_doorbells, 1u);
}

TEST(tx_queue, of_an_adapter_that_dies_tells_what_it_reported_and_then_the_rest_unsent) {
  queue_rig g(2);
  raw_send *a = g.open(0), *b = g.open(1);
  g.post_many(*a, 0, 0, 20);
  g.post_many(*b, 1, 100, 5);
  g.m.a[0].report_raw(0, 7, US_OK, false);  // written, and nobody is called any more
  g.m.a[0].answers = g.m.a[0].beating = false;
  g.m.run_us(2000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  ASSERT_EQ(g.outcome.size(), 25u) << "each frame has one outcome";
  EXPECT_EQ(g.told(true), 8u);
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(g.outcome.at(i)) << i;
  EXPECT_EQ(g.d.counters().bad_records, 0u);
  // The old path is closed: what is given to it is told at once.
  g.post(*a, 0, 200);
  EXPECT_EQ(g.outcome.at(200), false);
  EXPECT_EQ(a->open(), 0u);
  raw_send* again = g.open(0);
  ASSERT_TRUE(again);
  g.post_many(*again, 0, 300, 3);
  EXPECT_EQ(g.m.a[1].tx_seen[0].size(), 3u);
  g.m.a[1].report_raw(0, 2);
  g.m.run_us(1);
  EXPECT_EQ(g.told(true), 11u);
}

TEST(raw_frames_of_the_shared_table, are_told_as_those_of_a_queue_when_the_adapter_dies) {
  queue_rig g(2);
  raw_send* a = g.open(driver::shared_table);
  const std::uint32_t first = g.m.a[0].consumed;
  g.post_many(*a, driver::shared_table, 0, 6);
  g.m.a[0].report_raw(~0u, first + 3, US_OK, false);
  g.m.a[0].answers = g.m.a[0].beating = false;
  g.m.run_us(2000);
  ASSERT_EQ(g.d.active_adapter(), 1u);
  EXPECT_EQ(g.told(true), 4u);
  EXPECT_EQ(g.told(false), 2u);
  EXPECT_EQ(g.d.counters().bad_records, 0u);
}

TEST(raw_frames, are_told_unsent_when_nobody_takes_over) {
  queue_rig g(1);
  raw_send* a = g.open(1);
  g.post_many(*a, 1, 0, 6);
  g.m.a[0].answers = g.m.a[0].beating = false;
  g.m.run_us(2000);
  EXPECT_EQ(g.told(false), 6u);
  EXPECT_FALSE(g.open(1));
}

}  // namespace
}  // namespace understudy::tb
