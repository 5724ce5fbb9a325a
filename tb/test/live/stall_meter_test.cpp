// What counts as a stall: a direction that waits for an adapter, not one that waits for an application.
#include "tb/live/stall_meter.h"

#include <gtest/gtest.h>

#include "model/core/packet.h"

namespace understudy::tb {
namespace {

constexpr mac_address host_mac{2, 0, 0, 0, 0, 1}, peer_mac{2, 0, 0, 0, 0, 2};

// A conversation on the wire: the host's bytes go outward from number 1000, the peer's inward from 5000.
struct wire {
  stall_meter meter;

  void segment_from(bool host, std::uint32_t seq, std::uint32_t ack, std::uint32_t bytes, picos at) {
    segment s;
    const ip_address here = ip_address::v4(10, 0, 0, 1), there = ip_address::v4(10, 0, 0, 2);
    s.tuple = host ? four_tuple{here, there, 80, 4000} : four_tuple{there, here, 4000, 80};
    s.seq = seq32{seq};
    s.ack = seq32{ack};
    s.flags = tcp_ack;
    s.window = 1000;
    s.payload_length = bytes;
    frame_ref f = frame_ref::make(bytes, 128);
    if (bytes) std::fill_n(f.data(), bytes, std::uint8_t{7});
    prepend_headers(f, s, host ? host_mac : peer_mac, host ? peer_mac : host_mac, 1);
    meter.on_frame(f, !host, at);
  }
  void host(std::uint32_t seq, std::uint32_t ack, std::uint32_t bytes, picos at) {
    segment_from(true, seq, ack, bytes, at);
  }
  void peer(std::uint32_t seq, std::uint32_t ack, std::uint32_t bytes, picos at) {
    segment_from(false, seq, ack, bytes, at);
  }
};

TEST(stall_meter, counts_from_the_last_progress_before_a_fault_to_the_first_after_it) {
  wire w;
  w.host(1000, 5000, 100, 1_ms);
  w.host(1100, 5000, 100, 2_ms);  // not acknowledged when the adapter dies
  w.meter.mark(3_ms);
  w.host(1100, 5000, 100, 20_ms);  // again: no progress
  w.host(1200, 5000, 100, 32_ms);
  ASSERT_EQ(w.meter.resumed(0), 1u);
  EXPECT_EQ(w.meter.stalls(0).max, 30_ms);
}

TEST(stall_meter, does_not_take_what_queued_before_the_wire_for_the_substitute_s) {
  wire w;
  w.host(1000, 5000, 100, 1_ms);
  w.host(1100, 5000, 100, 2_ms);
  w.meter.mark(3_ms);
  w.host(1200, 5000, 100, 4_ms);  // had left the dead adapter
  w.peer(5000, 1300, 0, 5_ms);
  w.host(1299, 5000, 0, 9_ms);    // a kick that is not answered
  w.host(1300, 5000, 1, 509_ms);  // the next
  ASSERT_EQ(w.meter.resumed(0), 1u);
  EXPECT_EQ(w.meter.stalls(0).max, 505_ms);
}

TEST(stall_meter, counts_what_the_peer_has_sent_and_nobody_acknowledged) {
  wire w;
  w.host(1000, 5000, 0, 1_ms);
  w.peer(5000, 1000, 500, 2_ms);
  w.host(1000, 5500, 0, 3_ms);
  w.peer(5500, 1000, 500, 4_ms);
  w.meter.mark(5_ms);
  w.host(1000, 6000, 0, 43_ms);
  ASSERT_EQ(w.meter.resumed(0), 1u);
  EXPECT_EQ(w.meter.stalls(0).max, 40_ms);
}

TEST(stall_meter, is_not_content_with_an_acknowledgment_of_less_than_was_outstanding) {
  wire w;
  w.host(1000, 5000, 0, 1_ms);
  w.peer(5000, 1000, 1500, 2_ms);
  w.host(1000, 5500, 0, 3_ms);
  w.meter.mark(4_ms);
  w.host(1000, 6000, 0, 30_ms);  // committed before the death, acknowledged by the substitute
  EXPECT_EQ(w.meter.resumed(0), 0u);
  w.peer(6000, 1000, 500, 238_ms);  // a time-out later
  w.host(1000, 6500, 0, 240_ms);
  ASSERT_EQ(w.meter.resumed(0), 1u);
  EXPECT_EQ(w.meter.stalls(0).max, 210_ms);
  w.peer(6500, 1000, 500, 241_ms);
  w.host(1000, 7000, 0, 999_ms);
  EXPECT_EQ(w.meter.stalls(0).max, 210_ms) << "what comes later is another matter";
}

TEST(stall_meter, leaves_out_a_direction_in_which_nothing_was_outstanding) {
  wire w;
  w.host(1000, 5000, 0, 1_ms);
  w.peer(5000, 1000, 100, 2_ms);  // a request, ...
  w.host(1000, 5100, 0, 3_ms);    // ... acknowledged
  w.host(1000, 5100, 700, 4_ms);  // the whole answer, ...
  w.peer(5100, 1700, 0, 5_ms);    // ... acknowledged
  w.meter.mark(6_ms);
  w.peer(5100, 1700, 100, 5_s);  // seconds later the next request
  w.host(1700, 5200, 700, 5001_ms);
  EXPECT_EQ(w.meter.resumed(0), 0u);
  w.meter.mark(5002_ms);  // this time before the answer is acknowledged
  w.host(1699, 5200, 0, 5006_ms);
  w.peer(5200, 2400, 0, 5007_ms);
  w.peer(5200, 2400, 100, 5400_ms);
  w.host(2400, 5300, 700, 5401_ms);
  EXPECT_EQ(w.meter.resumed(1), 0u);
}

TEST(stall_meter, judges_each_fault_by_itself) {
  wire w;
  w.host(1000, 5000, 100, 1_ms);
  w.host(1100, 5000, 100, 2_ms);
  w.meter.mark(3_ms);
  w.meter.mark(8_ms);  // the next one before anything has moved
  w.host(999, 5000, 0, 20_ms);
  w.host(1200, 5000, 100, 22_ms);
  EXPECT_EQ(w.meter.stalls(0).max, 20_ms);
  EXPECT_EQ(w.meter.stalls(1).max, 20_ms);
  w.peer(5000, 1300, 0, 23_ms);
  w.meter.mark(30_ms);
  w.host(1300, 5000, 100, 40_ms);
  EXPECT_EQ(w.meter.resumed(2), 0u) << "all was acknowledged before the third";
}

}  // namespace
}  // namespace understudy::tb
