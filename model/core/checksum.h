// The Internet checksum (RFC 1071).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace understudy {

// One's complement sum of the bytes as big-endian 16-bit words (an odd last byte is padded with zero), added to `sum`.
// Partial sums of pieces may be chained when every piece but the last has even length.
std::uint64_t checksum_add(std::span<const std::uint8_t> bytes, std::uint64_t sum = 0);

// Fold a sum to 16 bits and complement it: the value of a checksum field in host order. Over data that already holds a correct
// checksum the result is 0.
std::uint16_t checksum_finish(std::uint64_t sum);

}  // namespace understudy
