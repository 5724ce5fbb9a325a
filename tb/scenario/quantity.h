// Numbers with a unit: text to integer and back, exactly.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::tb {

// What the integer counts.
enum class quantity : std::uint8_t {
  time,   // picoseconds: ps, ns, us, ms, s
  rate,   // bits per second: b/s, kb/s, Mb/s, Gb/s, Tb/s
  size,   // bytes: B, KiB, MiB, GiB, and kB, MB, GB for powers of ten
  clock,  // picoseconds of one cycle: Hz, kHz, MHz, GHz, or a time
};

struct quantity_value {
  std::uint64_t value = 0;
  std::string error;  // empty: `value` is good
};

// "1.5 ms", "10Gb/s", "64 KiB"; a bare number counts bytes in a size and is refused elsewhere, but for 0. A
// fraction below the integer's unit is rounded to the nearest.
quantity_value parse_quantity(std::string_view text, quantity q);
// The shortest exact form, which parse_quantity() reads back as `value`.
std::string quantity_text(std::uint64_t value, quantity q);
// "ps, ns, us, ms, s"
std::string_view quantity_units(quantity q);

}  // namespace understudy::tb
