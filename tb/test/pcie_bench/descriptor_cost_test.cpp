// What descriptors, doorbells, interrupts and head pointers cost a NIC on the link: published bytes and
// bandwidths of two NICs, made of the model's own splitting and packet sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/net/eth_link.h"
#include "model/pcie/tlp.h"
#include "tb/test/pcie_bench/published.h"

namespace understudy::tb {
namespace {

using published::agrees;

const link_parameters x8;

// Bytes of one frame's share on either direction of the link.
struct traffic {
  double up = 0;    // from the device
  double down = 0;  // to the device
  traffic& operator+=(const traffic& o) {
    up += o.up;
    down += o.down;
    return *this;
  }
};
traffic operator+(traffic a, const traffic& b) {
  return a += b;
}
traffic operator/(traffic a, double frames) {
  return {a.up / frames, a.down / frames};
}

double wire(tlp_type type, std::uint32_t bytes, std::uint64_t tlps) {
  return bytes + static_cast<double>(tlps) * tlp_wire_bytes(x8, type, 0, true);
}
double written(std::uint32_t bytes) {
  return wire(tlp_type::memory_write, bytes, write_count(x8, 0, bytes));
}
double requested(std::uint32_t bytes) {
  return wire(tlp_type::memory_read, 0, read_count(x8, 0, bytes));
}
double answered(std::uint32_t bytes) {
  double sum = 0;
  for (std::uint32_t at = 0; at < bytes;) {
    const std::uint32_t n = first_read(x8, at, bytes - at);
    sum += wire(tlp_type::completion_data, n, completion_count(x8, at, n));
    at += n;
  }
  return sum;
}
traffic device_writes(std::uint32_t bytes) {
  return {written(bytes), 0};
}
traffic device_reads(std::uint32_t bytes) {
  return {requested(bytes), answered(bytes)};
}
traffic host_writes(std::uint32_t bytes) {
  return {0, written(bytes)};
}
traffic host_reads(std::uint32_t bytes) {
  return {answered(bytes), requested(bytes)};
}

constexpr std::uint32_t descriptor = 16, pointer = 4, interrupt = 4;

// The published code of both NICs forgets the read requests for receive descriptors.
traffic descriptors_unasked(traffic t, std::uint32_t bytes, double frames = 1) {
  t.up -= requested(bytes) / frames;
  return t;
}

// One doorbell, descriptor, interrupt and read of the head pointer for each frame; a received one has its
// descriptor written back.
traffic simple_send(std::uint32_t n) {
  return host_writes(pointer) + device_reads(descriptor) + device_reads(n) + device_writes(interrupt) +
         host_reads(pointer);
}
traffic simple_receive(std::uint32_t n) {
  return host_writes(pointer) + device_reads(descriptor) + device_writes(n) + device_writes(descriptor) +
         device_writes(interrupt) + host_reads(pointer);
}

// The same in batches: 40 descriptors a fetch; 8 a write-back of sent frames, received ones one by one;
// doorbell for every frame sent (kernel) or 32 (DPDK), for 32 received; the kernel takes an interrupt for 32
// frames and reads the head pointer for every frame sent and for 8 received.
traffic batched_send(std::uint32_t n, bool kernel) {
  traffic t = device_reads(40 * descriptor) / 40 + device_reads(n) + device_writes(8 * descriptor) / 8;
  t += host_writes(pointer) / (kernel ? 1 : 32);
  if (kernel) t += device_writes(interrupt) / 32 + host_reads(pointer);
  return t;
}
traffic batched_receive(std::uint32_t n, bool kernel) {
  traffic t = device_reads(40 * descriptor) / 40 + device_writes(n) + device_writes(descriptor) +
              host_writes(pointer) / 32;
  if (kernel) t += device_writes(interrupt) / 32 + host_reads(pointer) / 8;
  return descriptors_unasked(t, 40 * descriptor, 40);
}

double gbps(std::uint32_t n, const traffic& t) {
  return tlp_bandwidth(x8) / 1e9 * n / std::max(t.up, t.down);
}

TEST(descriptor_cost, of_a_simple_NIC_and_of_one_with_batches_is_as_published) {
  struct row {
    std::uint32_t frame;
    double send_down, send_up, receive_up, receive_up_fixed;  // bytes; 0: not published
    double send, receive, receive_fixed, both, both_fixed;    // Gb/s, from here on
    double kernel[3], dpdk[3];                                // both, send, receive
    double need_of_40g;
  };
  constexpr row table[] = {{64,
                            168,
                            100,
                            176,
                            200,
                            20.67,
                            19.73,
                            17.37,
                            12.58,
                            11.58,
                            {17.63, 23.23, 27.16},
                            {20.65, 35.30, 28.01},
                            28.57},
                           {128,
                            232,
                            100,
                            0,
                            0,
                            30.94,
                            29.91,
                            27.19,
                            21.11,
                            19.72,
                            {27.51, 33.62, 37.41},
                            {30.91, 44.20, 38.18},
                            34.44},
                           {256,
                            360,
                            100,
                            0,
                            0,
                            40.52,
                            39.64,
                            37.21,
                            31.17,
                            29.65,
                            {37.50, 42.71, 45.60},
                            {40.50, 50.23, 46.16},
                            37.06},
                           {512,
                            636,
                            100,
                            0,
                            0,
                            46.24,
                            45.38,
                            43.76,
                            39.31,
                            38.09,
                            {43.96, 47.62, 49.02},
                            {45.93, 51.92, 49.34},
                            38.48},
                           {1500,
                            1704,
                            148,
                            0,
                            0,
                            50.82,
                            50.00,
                            49.31,
                            46.06,
                            45.48,
                            {48.08, 51.38, 51.43},
                            {48.86, 52.98, 51.55},
                            39.47}};
  unsigned judged = 0;
  for (const row& r : table) {
    const std::uint32_t n = r.frame - 4;  // without FCS
    const traffic send = simple_send(n), receive = simple_receive(n);
    const traffic receive_published = descriptors_unasked(receive, descriptor);
    const struct {
      const char* what;
      double is, published;
    } bytes[] = {{"send, to the device", send.down, r.send_down},
                 {"send, from the device", send.up, r.send_up},
                 {"receive, as published", receive_published.up, r.receive_up},
                 {"receive, with the request", receive.up, r.receive_up_fixed}};
    for (const auto& b : bytes)
      if (b.published > 0) {
        EXPECT_EQ(b.is, b.published) << r.frame << " bytes, " << b.what;
        ++judged;
      }
    const traffic kernel_send = batched_send(n, true), kernel_receive = batched_receive(n, true);
    const traffic dpdk_send = batched_send(n, false), dpdk_receive = batched_receive(n, false);
    // The publication takes the frame without FCS for all that Ethernet carries.
    const double need = 40.0 * n / wire_bytes(n - 4);
    const struct {
      const char* what;
      double is, published;
    } rates[] = {{"simple, send", gbps(n, send), r.send},
                 {"simple, receive as published", gbps(n, receive_published), r.receive},
                 {"simple, receive", gbps(n, receive), r.receive_fixed},
                 {"simple, both as published", gbps(n, send + receive_published), r.both},
                 {"simple, both", gbps(n, send + receive), r.both_fixed},
                 {"kernel, both", gbps(n, kernel_send + kernel_receive), r.kernel[0]},
                 {"kernel, send", gbps(n, kernel_send), r.kernel[1]},
                 {"kernel, receive", gbps(n, kernel_receive), r.kernel[2]},
                 {"DPDK, both", gbps(n, dpdk_send + dpdk_receive), r.dpdk[0]},
                 {"DPDK, send", gbps(n, dpdk_send), r.dpdk[1]},
                 {"DPDK, receive", gbps(n, dpdk_receive), r.dpdk[2]},
                 {"40 Gb/s Ethernet", need, r.need_of_40g}};
    for (const auto& g : rates) {
      EXPECT_TRUE(agrees(g.is, {g.published, 0.01}))
          << r.frame << " bytes, " << g.what << ": " << g.is << ", published " << g.published;
      ++judged;
    }
  }
  EXPECT_EQ(judged, 12u + 60u);
}

TEST(descriptor_cost, payload_is_the_published_share_of_a_packet) {
  const struct {
    tlp_type type;
    std::uint32_t bytes;
    double percent;
  } table[] = {{tlp_type::memory_write, 64, 72.7},    {tlp_type::memory_write, 128, 84.2},
               {tlp_type::memory_write, 256, 91.4},   {tlp_type::memory_write, 512, 95.5},
               {tlp_type::completion_data, 64, 76.2}, {tlp_type::completion_data, 128, 86.5},
               {tlp_type::completion_data, 256, 92.8}};
  for (const auto& r : table)
    EXPECT_TRUE(agrees(100.0 * r.bytes / tlp_wire_bytes(x8, r.type, r.bytes, true), {r.percent, 0.1}))
        << r.bytes;
  EXPECT_NEAR(100.0 * 256 / tlp_wire_bytes(x8, tlp_type::memory_write, 256, false), 92, 1) << "3 DW header";
}

// Bytes that must be in flight for reads of 512 bytes to fill the link, and how many reads that is.
TEST(descriptor_cost, reads_in_flight_that_fill_a_link_are_as_published) {
  const struct {
    unsigned generation, lanes;
    double round_trip_ns, bytes, unit;
    unsigned of64, of512;  // 0: not published
  } table[] = {{3, 8, 547, 3671, 1, 0, 0},
               {3, 8, 1000, 6700, 100, 105, 14},
               {3, 16, 1000, 13200, 100, 0, 0},
               {4, 16, 1000, 26400, 100, 412, 52},
               {5, 16, 1000, 52700, 100, 824, 103}};
  for (const auto& r : table) {
    link_parameters l;
    l.generation = r.generation;
    l.lanes = r.lanes;
    const double bytes = ideal_read(l, 512) / 8e9 * r.round_trip_ns;
    EXPECT_TRUE(agrees(bytes, {r.bytes, r.unit})) << bytes << ", published " << r.bytes;
    if (!r.of64) continue;
    EXPECT_EQ(std::ceil(bytes / 64), r.of64);
    EXPECT_EQ(std::ceil(bytes / 512), r.of512);
  }
}

}  // namespace
}  // namespace understudy::tb
