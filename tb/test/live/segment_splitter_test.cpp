// What a kernel leaves to a NIC to cut and to sum, comes out as that kernel would have sent it without one;
// and what is malformed does not come out.
#include "tb/live/segment_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/core/checksum.h"
#include "model/core/rng.h"
#include "model/core/wire_bytes.h"

namespace understudy::tb {
namespace {

using bytes = std::vector<std::uint8_t>;
constexpr std::uint8_t fin = 1, psh = 8, ack = 16, cwr = 128;

// A packet to cut, in parts: Ethernet with tags, IP with options or extension headers, TCP with timestamps.
struct whole {
  bool six = false;
  unsigned tags = 0;
  bytes between = {};              // IPv4 options, or extension headers, the first of which is `first`
  std::uint8_t first = 6;          // IPv6: next header of the fixed one
  std::uint32_t seq = 0xfffff000;  // wraps soon
  std::uint16_t id = 0xfffe;       // as well
  std::uint8_t flags = ack;
  std::uint16_t segment = 1000;
  std::size_t payload = 3500;

  std::size_t ip() const { return 14 + 4 * tags; }
  std::size_t tcp() const { return ip() + (six ? 40 : 20) + between.size(); }
  std::size_t data() const { return tcp() + 32; }
};

std::uint64_t addresses(const bytes& f, const whole& w) {
  const std::span<const std::uint8_t> all(f);
  return w.six ? checksum_add(all.subspan(w.ip() + 8, 32)) : checksum_add(all.subspan(w.ip() + 12, 8));
}
// Lengths and IP checksum; of TCP's checksum what a kernel writes who leaves the rest to a NIC, or all of it.
void complete(bytes& f, const whole& w, bool rest) {
  std::uint8_t* ip = f.data() + w.ip();
  std::uint8_t* tcp = f.data() + w.tcp();
  const std::size_t length = f.size() - w.tcp();
  if (w.six) {
    put16(ip + 4, static_cast<std::uint32_t>(f.size() - w.ip() - 40));
  } else {
    put16(ip + 2, static_cast<std::uint32_t>(f.size() - w.ip()));
    put16(ip + 10, 0);
    put16(ip + 10, checksum_finish(checksum_add({ip, w.tcp() - w.ip()})));
  }
  put16(tcp + 16, 0);
  const std::uint64_t pseudo = addresses(f, w) + 6 + length;
  if (rest)
    put16(tcp + 16, checksum_finish(checksum_add({tcp, length}, pseudo)));
  else
    put16(tcp + 16, 0xffffu ^ checksum_finish(pseudo));
}
// The frame that carries `payload` of the stream, and the number of bytes before it.
bytes frame_of(const whole& w, std::size_t before, std::size_t payload, std::uint8_t flags,
               std::uint16_t id) {
  bytes f(w.data() + payload);
  for (std::size_t i = 0; i < 12; ++i) f[i] = static_cast<std::uint8_t>(2 + i);
  for (unsigned t = 0; t < w.tags; ++t) put32(&f[12 + 4 * t], t + 1 < w.tags ? 0x88a80007 : 0x8100000a);
  std::uint8_t* ip = f.data() + w.ip();
  put16(ip - 2, w.six ? 0x86dd : 0x0800);
  if (w.six) {
    put32(ip, 0x60200001);
    ip[6] = w.first;
    ip[7] = 64;
    for (std::uint8_t i = 8; i < 40; ++i) ip[i] = i;
  } else {
    ip[0] = static_cast<std::uint8_t>(0x45 + w.between.size() / 4);
    ip[1] = 2;
    put16(ip + 4, id);
    put16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, 0x0a4d0001);
    put32(ip + 16, 0x0a4d0002);
  }
  std::ranges::copy(w.between, ip + (w.six ? 40 : 20));
  std::uint8_t* tcp = f.data() + w.tcp();
  put16(tcp, 40000);
  put16(tcp + 2, 8080);
  put32(tcp + 4, w.seq + static_cast<std::uint32_t>(before));
  put32(tcp + 8, 77);
  tcp[12] = 8 << 4;
  tcp[13] = flags;
  put16(tcp + 14, 500);
  put32(tcp + 20, 0x0101080a);
  put32(tcp + 24, 1234);
  put32(tcp + 28, 5678);
  for (std::size_t i = 0; i < payload; ++i)
    f[w.data() + i] = static_cast<std::uint8_t>((before + i) * 2654435761U >> 24);
  return f;
}
// All of it in one, and the header that belongs to it.
bytes large(const whole& w) {
  bytes f = frame_of(w, 0, w.payload, w.flags, w.id);
  complete(f, w, false);
  return f;
}
vnet_header header_of(const whole& w) {
  vnet_header h;
  h.flags = vnet_header::needs_csum;
  h.gso_type = w.six ? vnet_header::gso_tcpv6 : vnet_header::gso_tcpv4;
  if (w.flags & cwr) h.gso_type |= 0x80;
  h.hdr_len = static_cast<std::uint16_t>(w.data());
  h.gso_size = w.segment;
  h.csum_start = static_cast<std::uint16_t>(w.tcp());
  h.csum_offset = 16;
  return h;
}
// The same as it is sent without offload.
std::vector<bytes> segments(const whole& w) {
  std::vector<bytes> all;
  for (std::size_t at = 0; at < w.payload; at += w.segment) {
    const std::size_t n = std::min<std::size_t>(w.segment, w.payload - at);
    std::uint8_t flags = w.flags;
    if (at != 0) flags &= static_cast<std::uint8_t>(~cwr);
    if (at + n < w.payload) flags &= static_cast<std::uint8_t>(~(fin | psh));
    bytes f = frame_of(w, at, n, flags, static_cast<std::uint16_t>(w.id + all.size()));
    complete(f, w, true);
    all.push_back(std::move(f));
  }
  return all;
}

std::vector<bytes> rest_of(segment_splitter& s) {
  std::vector<bytes> all;
  while (s.more()) {
    const frame_ref f = s.next();
    all.emplace_back(f.bytes().begin(), f.bytes().end());
  }
  return all;
}

std::vector<std::pair<std::string, whole>> shapes() {
  std::vector<std::pair<std::string, whole>> all;
  const bytes hop_by_hop{6, 0, 1, 4, 0, 0, 0, 0};
  bytes both{60, 0, 1, 4, 0, 0, 0, 0};
  both.insert(both.end(), hop_by_hop.begin(), hop_by_hop.end());
  for (const bool six : {false, true})
    for (unsigned tags = 0; tags <= 2; ++tags) {
      const std::string name = std::string(six ? "IPv6, " : "IPv4, ") + std::to_string(tags) + " tags";
      all.push_back({name, {.six = six, .tags = tags}});
      all.push_back({name + ", whole segments", {.six = six, .tags = tags, .payload = 4000}});
      all.push_back({name + ", one segment", {.six = six, .tags = tags, .flags = ack | psh, .payload = 999}});
      all.push_back({name + ", PSH", {.six = six, .tags = tags, .flags = ack | psh}});
      all.push_back({name + ", FIN", {.six = six, .tags = tags, .flags = ack | psh | fin}});
      all.push_back({name + ", CWR", {.six = six, .tags = tags, .flags = ack | cwr}});
      all.push_back({name + ", odd", {.six = six, .tags = tags, .segment = 333, .payload = 1777}});
    }
  all.push_back({"IPv4 options", {.between = {1, 1, 1, 0, 148, 4, 0, 0}}});
  all.push_back({"IPv6 hop by hop", {.six = true, .between = hop_by_hop, .first = 0}});
  all.push_back({"IPv6 hop by hop, for the destination", {.six = true, .between = both, .first = 0}});
  all.push_back({"64 KiB", {.segment = 1448, .payload = 65000}});
  all.push_back({"byte by byte", {.segment = 1, .payload = 50}});
  all.push_back({"jumbo", {.six = true, .segment = 8948, .payload = 60000}});
  return all;
}

TEST(segment_splitter, what_is_cut_is_what_is_sent_without_offload) {
  segment_splitter s;
  for (const auto& [name, w] : shapes()) {
    SCOPED_TRACE(name);
    const bytes all = large(w);
    ASSERT_TRUE(s.take(header_of(w), all));
    EXPECT_EQ(rest_of(s), segments(w));
  }
}

TEST(segment_splitter, what_was_merged_comes_apart_again) {
  for (const bool six : {false, true}) {
    const whole w{.six = six, .flags = ack | psh};
    segment_merger m;
    for (const bytes& f : segments(w)) ASSERT_TRUE(m.add(f));
    const auto unit = m.take();
    vnet_header h;
    std::memcpy(&h, unit.data(), sizeof h);
    segment_splitter s;
    ASSERT_TRUE(s.take(h, unit.subspan(sizeof h)));
    EXPECT_EQ(rest_of(s), segments(w));
  }
}

TEST(segment_splitter, a_frame_without_offload_stays_as_it_is) {
  segment_splitter s;
  EXPECT_FALSE(s.more());
  for (const std::size_t size : {std::size_t{14}, std::size_t{60}, std::size_t{frame_ref::max_bytes}}) {
    bytes f(size);
    for (std::size_t i = 0; i < size; ++i) f[i] = static_cast<std::uint8_t>(i);
    ASSERT_TRUE(s.take({}, f));
    EXPECT_EQ(rest_of(s), std::vector<bytes>{f});
  }
}

TEST(segment_splitter, an_incomplete_checksum_is_completed) {
  segment_splitter s;
  for (auto& [name, w] : shapes()) {
    SCOPED_TRACE(name);
    if (w.payload > 9000) continue;
    bytes f = large(w), right = f;
    complete(right, w, true);
    vnet_header h = header_of(w);
    h.gso_type = 0;
    h.gso_size = h.hdr_len = 0;
    ASSERT_TRUE(s.take(h, f));
    EXPECT_EQ(rest_of(s), std::vector<bytes>{right});
  }
}

// RFC 768: a UDP checksum of 0 means that there is none.
TEST(segment_splitter, a_checksum_that_comes_out_as_0_is_written_as_ffff) {
  bytes f(14 + 20 + 8);
  put16(f.data() + 34 + 6, 0xffff);
  vnet_header h;
  h.flags = vnet_header::needs_csum;
  h.csum_start = 34;
  h.csum_offset = 6;
  segment_splitter s;
  ASSERT_TRUE(s.take(h, f));
  EXPECT_EQ(rest_of(s), std::vector<bytes>{f});
}

TEST(segment_splitter, what_is_malformed_is_refused_and_leaves_nothing) {
  const whole v4, v6{.six = true};
  using change = std::function<void(vnet_header&, bytes&)>;
  const std::vector<std::pair<std::string, change>> wrong{
      {"no checksum to complete", [](auto& h, auto&) { h.flags = 0; }},
      {"segments of nothing", [](auto& h, auto&) { h.gso_size = 0; }},
      {"longer than a frame", [](auto& h, auto&) { h.gso_size = frame_ref::max_bytes - 60; }},
      {"UDP to cut", [](auto& h, auto&) { h.gso_type = 3; }},
      {"unknown to cut", [](auto& h, auto&) { h.gso_type = 0x41; }},
      {"the other family", [](auto& h, auto&) { h.gso_type ^= 1 ^ 4; }},
      {"no TCP there", [](auto& h, auto&) { h.csum_start += 4; }},
      {"TCP beyond the end", [](auto& h, auto&) { h.csum_start = 0xffff; }},
      {"TCP before the beginning", [](auto& h, auto&) { h.csum_start = 0; }},
      {"a checksum elsewhere", [](auto& h, auto&) { h.csum_offset = 6; }},
      {"no IP", [](auto&, bytes& f) { f[12] = 9; }},
      {"a tag that ends the frame", [](auto&, bytes& f) { put16(f.data() + 12, 0x8100), f.resize(16); }},
      {"another version", [](auto&, bytes& f) { f[14] ^= 0x10; }},
      {"no TCP", [](auto&, bytes& f) { f[f[14] >> 4 == 4 ? 23 : 20] = 17; }},
      {"longer than it says", [](auto&, bytes& f) { f.push_back(0); }},
      {"shorter than it says", [](auto&, bytes& f) { f.pop_back(); }},
      {"a short TCP header", [](auto& h, bytes& f) { f[h.csum_start + 12] = 0x40; }},
      {"a TCP header beyond the end", [](auto& h, bytes& f) { f.resize(h.csum_start + 20); }},
      {"no TCP header", [](auto& h, bytes& f) { f.resize(h.csum_start); }},
      {"an Ethernet header cut short", [](auto&, bytes& f) { f.resize(13); }},
      {"nothing", [](auto&, bytes& f) { f.clear(); }},
  };
  segment_splitter s;
  for (const whole& w : {v4, v6})
    for (const auto& [name, make_wrong] : wrong) {
      SCOPED_TRACE(name + (w.six ? " (IPv6)" : " (IPv4)"));
      vnet_header h = header_of(w);
      bytes f = large(w);
      ASSERT_TRUE(s.take(h, f));
      make_wrong(h, f);
      EXPECT_FALSE(s.take(h, f));
      EXPECT_FALSE(s.more());
    }
  vnet_header h = header_of(v4);
  bytes f = large(v4);
  f[14 + 6] = 0x20;  // more fragments
  EXPECT_FALSE(s.take(h, f));
  f = large({.payload = 0});
  EXPECT_FALSE(s.take(h, f)) << "no payload";
  f = large({.six = true, .between = {6, 0, 0, 0, 0, 0, 0, 1}, .first = 44});
  h = header_of({.six = true, .between = bytes(8)});
  EXPECT_FALSE(s.take(h, f)) << "a fragment";
  f = large({.six = true, .between = {6, 9, 0, 0, 0, 0, 0, 1}, .first = 0});
  EXPECT_FALSE(s.take(h, f)) << "an extension header that ends elsewhere";
}

TEST(segment_splitter, a_whole_frame_that_does_not_fit_or_whose_checksum_lies_outside_is_refused) {
  segment_splitter s;
  EXPECT_FALSE(s.take({}, bytes(frame_ref::max_bytes + 1)));
  EXPECT_FALSE(s.take({}, bytes(13)));
  vnet_header h;
  h.flags = vnet_header::needs_csum;
  for (const auto& [start, offset] : {std::pair{34, 25}, {34, 0xffff}, {0xffff, 0}, {13, 6}}) {
    h.csum_start = static_cast<std::uint16_t>(start);
    h.csum_offset = static_cast<std::uint16_t>(offset);
    EXPECT_FALSE(s.take(h, bytes(60))) << start << '+' << offset;
  }
}

// Whatever comes, comes out in frames that the wire takes, as many bytes of payload as went in, or not at
// all.
TEST(segment_splitter, bytes_at_random_do_no_harm) {
  rng random(1, "segment_splitter_test");
  const auto all = shapes();
  segment_splitter s;
  unsigned taken = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const whole& w = all[random.below(all.size())].second;
    vnet_header h = header_of(w);
    bytes f = large(w);
    auto* raw = reinterpret_cast<std::uint8_t*>(&h);
    for (std::uint64_t n = random.below(3); n > 0; --n)
      raw[random.below(sizeof h)] = static_cast<std::uint8_t>(random.below(256));
    for (std::uint64_t n = random.below(3); n > 0; --n)
      f[random.below(std::min<std::size_t>(f.size(), 100))] = static_cast<std::uint8_t>(random.below(256));
    if (random.chance(0.2)) f.resize(random.below(f.size() + 1));
    if (!s.take(h, f)) {
      ++refused;
      EXPECT_FALSE(s.more());
      continue;
    }
    ++taken;
    std::size_t out = 0, frames = 0;
    for (; s.more(); ++frames) {
      const frame_ref x = s.next();
      ASSERT_LE(x.size(), frame_ref::max_bytes);
      ASSERT_GE(x.size(), 14u);
      out += x.size();
    }
    ASSERT_GE(out, f.size());
    ASSERT_LE(frames, f.size());
  }
  EXPECT_GT(taken, 1000u);
  EXPECT_GT(refused, 1000u);
}

TEST(segment_splitter, cutting_takes_no_memory_once_it_runs) {
  const whole w{.segment = 1448, .payload = 60000};
  const bytes f = large(w);
  segment_splitter s;
  std::uint64_t before = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(s.take(header_of(w), f));
    while (s.more()) s.next();
    if (i == 0) before = detail::frame_pool::instance().allocated();
  }
  EXPECT_EQ(detail::frame_pool::instance().allocated(), before);
}

}  // namespace
}  // namespace understudy::tb
