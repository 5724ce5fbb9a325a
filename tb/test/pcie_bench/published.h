// Figures that others publish, and what counts as agreement with them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace understudy::tb::published {

struct printed {
  double value;  // as published
  double unit;   // of its last digit
};

// Within 0.1 %, or half of the last printed digit where that is more.
inline bool agrees(double measured, printed p) {
  return std::abs(measured - p.value) <= std::max(p.value * 0.001, p.unit / 2);
}

// Raw rate of one direction, and what TLPs can use of it at three payload sizes, in Gb/s.
struct link_row {
  unsigned generation, lanes;
  double raw;
  double tlps[3];  // MPS 128, 256, 512
};
inline constexpr link_row links[] = {
    {1, 8, 16.000, {12.14, 13.57, 12.98}},     {2, 8, 32.000, {27.58, 28.68, 28.18}},
    {3, 8, 63.015, {56.67, 57.88, 57.31}},     {3, 16, 126.031, {111.70, 113.70, 114.62}},
    {4, 8, 126.031, {113.33, 115.77, 114.62}}, {4, 16, 252.062, {223.40, 227.40, 229.25}},
    {5, 8, 252.062, {226.66, 231.54, 229.25}}, {5, 16, 504.123, {446.80, 454.80, 458.49}}};

inline constexpr double k = 0.001, c = 0.01, d = 0.1;

// Gb/s of writes, reads and both by transfer size, at MPS 256 and MRRS 512: a row for each link of
// `size_links`; and of the first of them millions of writes and of reads a second.
struct size_row {
  std::uint32_t size;
  printed gbps[4][3];
  printed writes_m, reads_m;
};
struct link_name {
  unsigned generation, lanes;
};
inline constexpr link_name size_links[] = {{3, 8}, {3, 16}, {4, 16}, {5, 16}};
inline constexpr const char* size_tests[] = {"BW_DMA_WR", "BW_DMA_RD", "BW_DMA_RW"};
inline constexpr size_row sizes[] = {{1,
                                      {{{2.315, k}, {2.412, k}, {1.181, k}},
                                       {{4.548, k}, {4.738, k}, {2.320, k}},
                                       {{9.096, k}, {9.475, k}, {4.641, k}},
                                       {{18.19, c}, {18.95, c}, {9.28, c}}},
                                      {289.4, d},
                                      {301.5, d}},
                                     {16,
                                      {{{23.15, c}, {25.73, c}, {14.47, c}},
                                       {{45.48, c}, {50.53, c}, {28.43, c}},
                                       {{90.96, c}, {101.07, c}, {56.85, c}},
                                       {{181.9, d}, {202.1, d}, {113.7, d}}},
                                      {180.9, d},
                                      {201.0, d}},
                                     {64,
                                      {{{42.10, c}, {44.10, c}, {33.08, c}},
                                       {{82.69, c}, {86.63, c}, {64.97, c}},
                                       {{165.4, d}, {173.3, d}, {129.9, d}},
                                       {{330.8, d}, {346.5, d}, {259.9, d}}},
                                      {82.22, c},
                                      {86.14, c}},
                                     {65,
                                      {{{42.28, c}, {44.27, c}, {33.30, c}},
                                       {{83.04, c}, {86.95, c}, {65.40, c}},
                                       {{166.1, d}, {173.9, d}, {130.8, d}},
                                       {{332.2, d}, {347.8, d}, {261.6, d}}},
                                      {81.30, c},
                                      {85.13, c}},
                                     {128,
                                      {{{48.75, c}, {50.06, c}, {42.10, c}},
                                       {{95.75, c}, {98.34, c}, {82.69, c}},
                                       {{191.5, d}, {196.7, d}, {165.4, d}},
                                       {{383.0, d}, {393.3, d}, {330.8, d}}},
                                      {47.60, c},
                                      {48.89, c}},
                                     {256,
                                      {{{52.92, c}, {53.69, c}, {48.75, c}},
                                       {{103.95, c}, {105.46, c}, {95.75, c}},
                                       {{207.9, d}, {210.9, d}, {191.5, d}},
                                       {{415.8, d}, {421.8, d}, {383.0, d}}},
                                      {25.84, c},
                                      {26.22, c}},
                                     {257,
                                      {{{48.78, c}, {50.09, c}, {45.22, c}},
                                       {{95.81, c}, {98.39, c}, {88.82, c}},
                                       {{191.6, d}, {196.8, d}, {177.6, d}},
                                       {{383.2, d}, {393.5, d}, {355.3, d}}},
                                      {23.72, c},
                                      {24.36, c}},
                                     {512,
                                      {{{52.92, c}, {53.69, c}, {50.75, c}},
                                       {{103.95, c}, {105.46, c}, {99.68, c}},
                                       {{207.9, d}, {210.9, d}, {199.4, d}},
                                       {{415.8, d}, {421.8, d}, {398.7, d}}},
                                      {12.92, c},
                                      {13.11, c}},
                                     {1500,
                                      {{{52.82, c}, {53.60, c}, {50.60, c}},
                                       {{103.74, c}, {105.28, c}, {99.39, c}},
                                       {{207.5, d}, {210.6, d}, {198.8, d}},
                                       {{415.0, d}, {421.1, d}, {397.6, d}}},
                                      {4.401, k},
                                      {4.466, k}},
                                     {4096,
                                      {{{52.92, c}, {53.69, c}, {50.75, c}},
                                       {{103.95, c}, {105.46, c}, {99.68, c}},
                                       {{207.9, d}, {210.9, d}, {199.4, d}},
                                       {{415.8, d}, {421.8, d}, {398.7, d}}},
                                      {1.615, k},
                                      {1.638, k}}};

// Reads by a completer that ends completions at every 64 bytes, generation 3 x8.
inline constexpr struct {
  std::uint32_t size;
  double gbps;
} chopped[] = {{64, 44.10}, {128, 44.10}, {256, 44.10}, {512, 44.10}, {1500, 43.85}, {4096, 44.10}};

}  // namespace understudy::tb::published
