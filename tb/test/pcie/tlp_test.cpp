#include "model/pcie/tlp.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace understudy;

namespace {

link_parameters link_of(unsigned generation, unsigned lanes, std::uint32_t mps = 256) {
  link_parameters p;
  p.generation = generation;
  p.lanes = lanes;
  p.mps = mps;
  return p;
}

// Within 0.1 %, or within the rounding of the printed figure where that is coarser.
void expect_figure(double bits_per_s, double gigabits, double last_digit) {
  EXPECT_NEAR(bits_per_s / 1e9, gigabits, std::max(gigabits * 0.001, last_digit / 2));
}

}  // namespace

// Figures of the published pcie-model (Neugebauer et al., SIGCOMM 2018), Gb/s.
TEST(tlp, link_rates_equal_the_published_table) {
  struct row {
    unsigned generation, lanes;
    double raw, mps128, mps256, mps512;
  };
  constexpr row rows[] = {{1, 8, 16.000, 12.14, 13.57, 12.98},     {2, 8, 32.000, 27.58, 28.68, 28.18},
                          {3, 8, 63.015, 56.67, 57.88, 57.31},     {3, 16, 126.031, 111.70, 113.70, 114.62},
                          {4, 8, 126.031, 113.33, 115.77, 114.62}, {4, 16, 252.062, 223.40, 227.40, 229.25},
                          {5, 8, 252.062, 226.66, 231.54, 229.25}, {5, 16, 504.123, 446.80, 454.80, 458.49}};
  for (const row& r : rows) {
    SCOPED_TRACE(testing::Message() << "generation " << r.generation << " x" << r.lanes);
    expect_figure(raw_rate(link_of(r.generation, r.lanes)), r.raw, 0.001);
    expect_figure(tlp_bandwidth(link_of(r.generation, r.lanes, 128)), r.mps128, 0.01);
    expect_figure(tlp_bandwidth(link_of(r.generation, r.lanes, 256)), r.mps256, 0.01);
    expect_figure(tlp_bandwidth(link_of(r.generation, r.lanes, 512)), r.mps512, 0.01);
  }
}

TEST(tlp, payload_rates_equal_the_published_table) {
  struct rates {
    double write, read, both;
  };
  struct row {
    std::uint32_t bytes;
    rates gen3x8, gen3x16, gen4x16, gen5x16;
    double million_writes, million_reads;
  };
  constexpr row rows[] = {{1,
                           {2.315, 2.412, 1.181},
                           {4.548, 4.738, 2.320},
                           {9.096, 9.475, 4.641},
                           {18.19, 18.95, 9.28},
                           289.4,
                           301.5},
                          {16,
                           {23.15, 25.73, 14.47},
                           {45.48, 50.53, 28.43},
                           {90.96, 101.07, 56.85},
                           {181.9, 202.1, 113.7},
                           180.9,
                           201.0},
                          {64,
                           {42.10, 44.10, 33.08},
                           {82.69, 86.63, 64.97},
                           {165.4, 173.3, 129.9},
                           {330.8, 346.5, 259.9},
                           82.22,
                           86.14},
                          {65,
                           {42.28, 44.27, 33.30},
                           {83.04, 86.95, 65.40},
                           {166.1, 173.9, 130.8},
                           {332.2, 347.8, 261.6},
                           81.30,
                           85.13},
                          {128,
                           {48.75, 50.06, 42.10},
                           {95.75, 98.34, 82.69},
                           {191.5, 196.7, 165.4},
                           {383.0, 393.3, 330.8},
                           47.60,
                           48.89},
                          {256,
                           {52.92, 53.69, 48.75},
                           {103.95, 105.46, 95.75},
                           {207.9, 210.9, 191.5},
                           {415.8, 421.8, 383.0},
                           25.84,
                           26.22},
                          {257,
                           {48.78, 50.09, 45.22},
                           {95.81, 98.39, 88.82},
                           {191.6, 196.8, 177.6},
                           {383.2, 393.5, 355.3},
                           23.72,
                           24.36},
                          {512,
                           {52.92, 53.69, 50.75},
                           {103.95, 105.46, 99.68},
                           {207.9, 210.9, 199.4},
                           {415.8, 421.8, 398.7},
                           12.92,
                           13.11},
                          {1500,
                           {52.82, 53.60, 50.60},
                           {103.74, 105.28, 99.39},
                           {207.5, 210.6, 198.8},
                           {415.0, 421.1, 397.6},
                           4.401,
                           4.466},
                          {4096,
                           {52.92, 53.69, 50.75},
                           {103.95, 105.46, 99.68},
                           {207.9, 210.9, 199.4},
                           {415.8, 421.8, 398.7},
                           1.615,
                           1.638}};
  int checked = 0;
  const auto check = [&](const link_parameters& p, std::uint32_t bytes, const rates& r) {
    expect_figure(ideal_write(p, bytes), r.write, 0.001);
    expect_figure(ideal_read(p, bytes), r.read, 0.001);
    expect_figure(ideal_both(p, bytes), r.both, 0.001);
    checked += 3;
  };
  for (const row& r : rows) {
    SCOPED_TRACE(testing::Message() << r.bytes << " bytes");
    check(link_of(3, 8), r.bytes, r.gen3x8);
    check(link_of(3, 16), r.bytes, r.gen3x16);
    check(link_of(4, 16), r.bytes, r.gen4x16);
    check(link_of(5, 16), r.bytes, r.gen5x16);
    const double bits = 8.0 * r.bytes;
    EXPECT_NEAR(ideal_write(link_of(3, 8), r.bytes) / bits / 1e6, r.million_writes, r.million_writes * 0.001);
    EXPECT_NEAR(ideal_read(link_of(3, 8), r.bytes) / bits / 1e6, r.million_reads, r.million_reads * 0.001);
  }
  EXPECT_EQ(checked, 120);
}

TEST(tlp, a_chopping_completer_costs_what_the_published_figures_say) {
  link_parameters p = link_of(3, 8);
  p.completer_chops = true;
  for (std::uint32_t n : {64u, 256u, 1024u, 4096u}) expect_figure(ideal_read(p, n), 44.10, 0.01);
  expect_figure(ideal_read(p, 1500), 43.85, 0.01);
}

TEST(tlp, the_hand_check_of_the_ack_limit) {
  EXPECT_EQ(ack_limit(link_of(3, 8)), 203u);  // floor(284 * 2.5 / 8) + 115
  EXPECT_EQ(ack_limit(link_of(1, 32, 2048)), 148u);
  EXPECT_EQ(ack_limit(link_of(2, 32, 4096)), 327u);
  EXPECT_NEAR(tlp_bandwidth(link_of(3, 8)) / 1e9, 63.01538 * (1 - 16.0 / 203 - 4.0 / 1538), 1e-3);
}

TEST(tlp, wire_bytes_are_framing_header_and_payload) {
  const link_parameters p;
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::memory_write, 256, true), 280u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::memory_write, 256, false), 276u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::memory_read, 0, true), 24u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::memory_read, 0, false), 20u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::message, 0, false), 24u) << "its header always has 4 DW";
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::completion_data, 64, true), 84u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::completion, 0, true), 20u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::config_write, 4, false), 24u);
  EXPECT_EQ(tlp_wire_bytes(p, tlp_type::memory_write, 65, true), 89u);  // analytic convention
  link_parameters e;
  e.ecrc = true;
  EXPECT_EQ(tlp_wire_bytes(e, tlp_type::memory_read, 0, true), 28u);
}

TEST(tlp, a_payload_is_padded_to_the_whole_words_that_it_lies_in) {
  EXPECT_EQ(padded_bytes(0, 64), 64u);
  EXPECT_EQ(padded_bytes(0, 65), 68u);
  EXPECT_EQ(padded_bytes(2, 64), 68u);
  EXPECT_EQ(padded_bytes(3, 1), 4u);
  EXPECT_EQ(padded_bytes(3, 2), 8u);
  EXPECT_EQ(padded_bytes(0, 0), 0u);
  EXPECT_EQ(padded_bytes(2, 0), 0u);
}

// PCIe 2.2.7: the Length of a request, which counts DWs, is what MPS and MRRS bound.
TEST(tlp, a_request_at_an_odd_address_has_no_more_words_than_one_at_an_even_one) {
  link_parameters p;
  p.mps = 256;
  p.mrrs = 512;
  for (std::uint64_t at = 0x1000; at < 0x1004; ++at) {
    SCOPED_TRACE(at);
    EXPECT_EQ(padded_bytes(at, first_write(p, at, 1000)), p.mps);
    EXPECT_EQ(padded_bytes(at, first_read(p, at, 1000)), p.mrrs);
    EXPECT_EQ(first_write(p, at, 1000), p.mps - at % 4) << "and no fewer";
    EXPECT_EQ(first_read(p, at, 1000), p.mrrs - at % 4);
    EXPECT_EQ(write_count(p, at, 2 * p.mps), at % 4 ? 3u : 2u);
    EXPECT_EQ(read_count(p, at, 2 * p.mrrs), at % 4 ? 3u : 2u);
  }
  EXPECT_EQ(first_write(p, 0x1ffe, 1000), 2u) << "4 KiB come first";
  EXPECT_EQ(first_write(p, 0x1003, 2), 2u);
}

TEST(tlp, completions_split_at_the_read_completion_boundary) {
  link_parameters p = link_of(3, 8);
  EXPECT_EQ(completion_count(p, 0x20, 256), 2u);
  EXPECT_EQ(first_completion(p, 0x20, 256), 224u);
  EXPECT_EQ(first_completion(p, 0x20 + 224, 32), 32u);
  EXPECT_EQ(completion_count(p, 0, 256), 1u);
  EXPECT_EQ(completion_count(p, 0x3f, 1), 1u);
  p.completer_chops = true;
  EXPECT_EQ(completion_count(p, 0x20, 256), 5u);
  EXPECT_EQ(first_completion(p, 0x20, 256), 32u);
}

TEST(tlp, requests_split_at_four_kibibytes_then_at_the_size_limits) {
  const link_parameters p = link_of(3, 8);
  EXPECT_EQ(read_count(p, 0xfc0, 128), 2u);
  EXPECT_EQ(first_read(p, 0xfc0, 128), 64u);
  EXPECT_EQ(write_count(p, 0xfc0, 128), 2u);
  EXPECT_EQ(read_count(p, 0, 4096), 8u);
  EXPECT_EQ(write_count(p, 0, 4096), 16u);
  EXPECT_EQ(read_count(p, 0xf00, 1024), 3u);  // 256 to the page, then 512 and 256
  EXPECT_EQ(write_count(p, 0, 0), 0u);
}

TEST(tlp, split_counts_agree_with_the_closed_formulas_at_every_offset) {
  std::uint64_t checked = 0;
  for (std::uint32_t mps : {128u, 256u, 512u})
    for (std::uint32_t rcb : {64u, 128u})
      for (std::uint64_t a = 0; a < 256; a += 3)
        for (std::uint64_t n = 1; n < 2200; n += 37) {
          link_parameters p = link_of(3, 8, mps);
          p.rcb = rcb;
          const std::uint64_t f = std::min<std::uint64_t>(n, mps - a % rcb);
          ASSERT_EQ(completion_count(p, a, n), 1 + (n - f + mps - 1) / mps) << a << ' ' << n;
          p.completer_chops = true;
          ASSERT_EQ(completion_count(p, a, n), (a % rcb + n + rcb - 1) / rcb) << a << ' ' << n;
          ++checked;
        }
  EXPECT_GT(checked, 30000u);
}
