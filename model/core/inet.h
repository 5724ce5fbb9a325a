// Addresses and the 4-tuple.
#pragma once
#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>

namespace understudy {

using mac_address = std::array<std::uint8_t, 6>;
inline constexpr mac_address broadcast_mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

// An IP address in 16 bytes, network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).
struct ip_address {
  std::array<std::uint8_t, 16> bytes{};
  static constexpr ip_address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    ip_address r;
    r.bytes[10] = r.bytes[11] = 0xff;
    r.bytes[12] = a;
    r.bytes[13] = b;
    r.bytes[14] = c;
    r.bytes[15] = d;
    return r;
  }
  // From eight groups of 16 bits.
  static constexpr ip_address v6(const std::array<std::uint16_t, 8>& groups) {
    ip_address r;
    for (std::size_t i = 0; i < 8; ++i) {
      r.bytes[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
      r.bytes[2 * i + 1] = static_cast<std::uint8_t>(groups[i]);
    }
    return r;
  }
  // From 16 bytes in network order.
  static ip_address at(const std::uint8_t* p) {
    ip_address r;
    std::memcpy(r.bytes.data(), p, sizeof r.bytes);
    return r;
  }
  // `host_order` as a.b.c.d with a in the top byte.
  static constexpr ip_address v4(std::uint32_t host_order) {
    return v4(static_cast<std::uint8_t>(host_order >> 24), static_cast<std::uint8_t>(host_order >> 16),
              static_cast<std::uint8_t>(host_order >> 8), static_cast<std::uint8_t>(host_order));
  }
  constexpr bool is_v4() const {
    const auto word = std::bit_cast<std::array<std::uint32_t, 4>>(bytes);
    return (word[0] | word[1]) == 0 &&
           word[2] == std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{0, 0, 0xff, 0xff});
  }
  // The IPv4 address in host order; meaningful if is_v4().
  constexpr std::uint32_t v4_value() const {
    return static_cast<std::uint32_t>(bytes[12]) << 24 | static_cast<std::uint32_t>(bytes[13]) << 16 |
           static_cast<std::uint32_t>(bytes[14]) << 8 | bytes[15];
  }
  constexpr bool is_zero() const { return *this == ip_address{}; }
  // Of many stations: multicast (RFC 1112, RFC 4291 2.7) or the limited broadcast address (RFC 919). That of
  // one network only who knows its length can tell: is_broadcast_of().
  constexpr bool is_group() const {
    return is_v4() ? bytes[12] >> 4 == 14 || v4_value() == 0xffffffff : bytes[0] == 0xff;
  }
  // No station at all: 0.0.0.0 or ::.
  constexpr bool is_unspecified() const { return is_v4() ? v4_value() == 0 : is_zero(); }
  // One station may have it, so that it can be the other end of a connection (RFC 9293 MUST-46, 63).
  constexpr bool is_station() const { return !is_group() && !is_unspecified(); }
  constexpr bool operator==(const ip_address& o) const {  // without a call of memcmp
    using halves = std::array<std::uint64_t, 2>;
    const auto a = std::bit_cast<halves>(bytes), b = std::bit_cast<halves>(o.bytes);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
  }
  constexpr auto operator<=>(const ip_address&) const = default;  // NOLINT(modernize-use-nullptr)
};

// True if the first `bits` bits of both addresses are the same.
inline bool same_network(const ip_address& a, const ip_address& b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(a.bytes.data(), b.bytes.data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest)) == 0;
}

// True if `a` is the broadcast address (RFC 919) of the IPv4 network of `station`, whose first `bits` of 128
// name it. Networks of one or two addresses have none (RFC 3021).
inline bool is_broadcast_of(const ip_address& a, const ip_address& station, unsigned bits) {
  if (!a.is_v4() || !station.is_v4() || bits < 96 || bits > 126) return false;
  const std::uint32_t host_part = 0xffffffffu >> (bits - 96);
  return same_network(a, station, bits) && (a.v4_value() & host_part) == host_part;
}

// As people write it: 10.0.0.1, fd00::1.
std::string text_of(const ip_address& a);

// One end's view of a connection.
struct four_tuple {
  ip_address local;
  ip_address remote;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  constexpr auto operator<=>(const four_tuple&) const = default;  // NOLINT(modernize-use-nullptr)
};

}  // namespace understudy
