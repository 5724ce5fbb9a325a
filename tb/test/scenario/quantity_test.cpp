#include "tb/scenario/quantity.h"

#include <gtest/gtest.h>

#include "model/core/rng.h"
#include "model/core/units.h"

namespace understudy::tb {
namespace {

struct good {
  const char* text;
  quantity q;
  std::uint64_t value;
};

TEST(quantity, reads_every_unit) {
  const good cases[] = {
      {"7 ps", quantity::time, 7},
      {"7ns", quantity::time, 7_ns},
      {" 1.5 us ", quantity::time, 1500_ns},
      {"0.25 ms", quantity::time, 250_us},
      {"600 s", quantity::time, 600_s},
      {"0", quantity::time, 0},
      {"0.4 ps", quantity::time, 0},
      {"0.5 ps", quantity::time, 1},
      {"1 b/s", quantity::rate, 1},
      {"9.6 kb/s", quantity::rate, 9600},
      {"100 Mb/s", quantity::rate, 100'000'000},
      {"10Gb/s", quantity::rate, 10'000'000'000},
      {"1.6 Tb/s", quantity::rate, 1'600'000'000'000},
      {"0", quantity::size, 0},
      {"1500", quantity::size, 1500},
      {"64 KiB", quantity::size, 65536},
      {"16 MiB", quantity::size, 16u << 20},
      {"1 GiB", quantity::size, 1u << 30},
      {"1 kB", quantity::size, 1000},
      {"2 MB", quantity::size, 2'000'000},
      {"3 GB", quantity::size, 3'000'000'000},
      {"12 B", quantity::size, 12},
      {"400 MHz", quantity::clock, 2500},
      {"1 GHz", quantity::clock, 1000},
      {"0.5 kHz", quantity::clock, 2_ms},
      {"2.5 ns", quantity::clock, 2500},
      {"322.265625 MHz", quantity::clock, 3103},
  };
  for (const auto& c : cases) {
    const quantity_value v = parse_quantity(c.text, c.q);
    EXPECT_EQ(v.error, "") << c.text;
    EXPECT_EQ(v.value, c.value) << c.text;
  }
}

struct bad {
  const char* text;
  quantity q;
  const char* error;
};

TEST(quantity, says_what_is_wrong) {
  const bad cases[] = {
      {"", quantity::time, "\"\" is no number with a unit"},
      {"fast", quantity::time, "\"fast\" is no number with a unit"},
      {"-1 us", quantity::time, "\"-1 us\" is no number with a unit"},
      {".", quantity::time, "\".\" is no number with a unit"},
      {"1234567890123456789 ps", quantity::time, "\"1234567890123456789 ps\" is no number with a unit"},
      {"5", quantity::time, "\"5\" has no unit"},
      {"5", quantity::rate, "\"5\" has no unit"},
      {"0", quantity::clock, "\"0\" has no unit"},
      {"5 parsec", quantity::time, "\"5 parsec\" has an unknown unit"},
      {"5 Us", quantity::time, "\"5 Us\" has an unknown unit"},
      {"1.2.3 us", quantity::time, "\"1.2.3 us\" has an unknown unit"},
      {"10 Gbps", quantity::rate, "\"10 Gbps\" has an unknown unit"},
      {"64 KB", quantity::size, "\"64 KB\" has an unknown unit"},
      {"0 MHz", quantity::clock, "\"0 MHz\" is out of range"},
      {"999999999999 s", quantity::time, "\"999999999999 s\" is out of range"},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_quantity(c.text, c.q).error, c.error);
}

TEST(quantity, is_written_in_the_shortest_exact_form) {
  EXPECT_EQ(quantity_text(5_us, quantity::time), "5 us");
  EXPECT_EQ(quantity_text(1500_us, quantity::time), "1.5 ms");
  EXPECT_EQ(quantity_text(1'234'567, quantity::time), "1234.567 ns");
  EXPECT_EQ(quantity_text(0, quantity::time), "0 ps");
  EXPECT_EQ(quantity_text(10'000'000'000, quantity::rate), "10 Gb/s");
  EXPECT_EQ(quantity_text(65536, quantity::size), "64 KiB");
  EXPECT_EQ(quantity_text(1500, quantity::size), "1500 B");
  EXPECT_EQ(quantity_text(2500, quantity::clock), "400 MHz");
  EXPECT_EQ(quantity_text(3103, quantity::clock), "3.103 ns");
}

TEST(quantity, survives_writing_and_reading) {
  rng random(1, "quantity_test");
  int checked = 0;
  for (const quantity q : {quantity::time, quantity::rate, quantity::size, quantity::clock})
    for (int i = 0; i < 2000; ++i, ++checked) {
      const std::uint64_t v = random.next() >> (8 + random.below(50)) | 1;
      const std::string text = quantity_text(v, q);
      const quantity_value back = parse_quantity(text, q);
      ASSERT_EQ(back.error, "") << text;
      ASSERT_EQ(back.value, v) << text;
    }
  EXPECT_EQ(checked, 8000);
}

}  // namespace
}  // namespace understudy::tb
