// Names for things that must not be mixed: a connection, a bus address, a buffer.
#pragma once
#include <compare>
#include <cstdint>
#include <functional>

namespace understudy {

// Connection id as records and descriptors carry it: index into the adapter's table (low 20 bits) and a
// generation (high 12 bits) that changes every time the index is used again, so that a late command or record
// is recognised.
struct cid {
  std::uint32_t raw = 0xffffffff;
  static constexpr std::uint32_t index_bits = 20;
  static constexpr std::uint32_t none_raw = 0xffffffff;
  constexpr cid() = default;
  constexpr explicit cid(std::uint32_t v) : raw(v) {}
  constexpr cid(std::uint32_t index, std::uint32_t generation)
      : raw((index & ((1u << index_bits) - 1)) | (generation << index_bits)) {}
  constexpr std::uint32_t index() const { return raw & ((1u << index_bits) - 1); }
  constexpr std::uint32_t generation() const { return raw >> index_bits; }
  constexpr bool valid() const { return raw != none_raw; }
  constexpr auto operator<=>(const cid&) const = default;  // NOLINT(modernize-use-nullptr)
};

// An address on the I/O bus of the host, as the adapter uses it for DMA.
struct iova {
  std::uint64_t raw = 0;
  constexpr iova() = default;
  constexpr explicit iova(std::uint64_t v) : raw(v) {}
  constexpr iova operator+(std::uint64_t n) const { return iova{raw + n}; }
  constexpr auto operator<=>(const iova&) const = default;
};

// A receive buffer, named by the host when it posts it.
struct buf_id {
  std::uint32_t raw = 0xffffffff;
  constexpr buf_id() = default;
  constexpr explicit buf_id(std::uint32_t v) : raw(v) {}
  constexpr bool valid() const { return raw != 0xffffffff; }
  constexpr auto operator<=>(const buf_id&) const = default;
};

}  // namespace understudy

template <>
struct std::hash<understudy::cid> {
  std::size_t operator()(understudy::cid c) const noexcept { return std::hash<std::uint32_t>{}(c.raw); }
};
