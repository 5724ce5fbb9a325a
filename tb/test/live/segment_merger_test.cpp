// Segments that are joined for a TAP device are, cut again, the same; and what is not to be joined is not.
#include "tb/live/segment_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "tb/monitors/wire_segment.h"

namespace understudy::tb {
namespace {

using bytes = std::vector<std::uint8_t>;
constexpr std::uint8_t ack = 0x10, psh = 0x08;

unsigned get16(const bytes& b, std::size_t at) {
  return static_cast<unsigned>(b[at] << 8 | b[at + 1]);
}
void put16(bytes& b, std::size_t at, unsigned v) {
  b[at] = static_cast<std::uint8_t>(v >> 8);
  b[at + 1] = static_cast<std::uint8_t>(v);
}
void put32(bytes& b, std::size_t at, std::uint32_t v) {
  put16(b, at, v >> 16);
  put16(b, at + 2, v & 0xffff);
}
std::uint32_t get32(const bytes& b, std::size_t at) {
  return std::uint32_t{get16(b, at)} << 16 | get16(b, at + 2);
}

std::uint32_t sum(const bytes& b, std::size_t from, std::size_t to) {
  std::uint32_t s = 0;
  for (std::size_t i = from; i < to; ++i) s += (i - from) & 1 ? b[i] : std::uint32_t{b[i]} << 8;
  return s;
}
unsigned fold(std::uint32_t s) {
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return s;
}

struct shape {
  bool six = false, tagged = false;
  std::uint32_t seq = 0xfffff000;  // wraps soon
  std::uint8_t flags = ack;
  std::size_t payload = 1000;
  std::size_t ip() const { return tagged ? 18 : 14; }
  std::size_t tcp() const { return ip() + (six ? 40 : 20); }
};

std::size_t pseudo_sum(const bytes& f, const shape& s) {
  return s.six ? sum(f, s.ip() + 8, s.ip() + 40) : sum(f, s.ip() + 12, s.ip() + 20);
}
// Lengths, and checksums that hold.
void complete(bytes& f, const shape& s) {
  const std::size_t ip = s.ip(), tcp = s.tcp();
  if (s.six) {
    put16(f, ip + 4, static_cast<unsigned>(f.size() - tcp));
  } else {
    put16(f, ip + 2, static_cast<unsigned>(f.size() - ip));
    put16(f, ip + 10, 0);
    put16(f, ip + 10, ~fold(sum(f, ip, tcp)) & 0xffff);
  }
  put16(f, tcp + 16, 0);
  const auto length = static_cast<std::uint32_t>(f.size() - tcp);
  const auto pseudo = static_cast<std::uint32_t>(pseudo_sum(f, s));
  put16(f, tcp + 16, ~fold(pseudo + 6 + length + sum(f, tcp, f.size())) & 0xffff);
}

// With timestamps. The payload tells which byte of the stream it is.
bytes segment(const shape& s) {
  bytes f(s.tcp() + 32 + s.payload);
  for (std::size_t i = 0; i < 12; ++i) f[i] = static_cast<std::uint8_t>(2 + i);
  if (s.tagged) {
    put16(f, 12, 0x8100);
    put16(f, 14, 10);
  }
  const std::size_t ip = s.ip(), tcp = s.tcp();
  put16(f, ip - 2, s.six ? 0x86dd : 0x0800);
  if (s.six) {
    put32(f, ip, 0x60000001);
    f[ip + 6] = 6;
    f[ip + 7] = 64;
    for (std::size_t i = 8; i < 40; ++i) f[ip + i] = static_cast<std::uint8_t>(i);
  } else {
    put16(f, ip, 0x4500);
    put16(f, ip + 4, s.seq >> 4 & 0xffff);
    put16(f, ip + 6, 0x4000);
    f[ip + 8] = 64;
    f[ip + 9] = 6;
    put32(f, ip + 12, 0x0a4d0002);
    put32(f, ip + 16, 0x0a4d0001);
  }
  put16(f, tcp, 8080);
  put16(f, tcp + 2, 40000);
  put32(f, tcp + 4, s.seq);
  put32(f, tcp + 8, 77);
  f[tcp + 12] = 8 << 4;
  f[tcp + 13] = s.flags;
  put16(f, tcp + 14, 500);
  put32(f, tcp + 20, 0x0101080a);
  put32(f, tcp + 24, 1234);
  put32(f, tcp + 28, 5678);
  for (std::size_t i = 0; i < s.payload; ++i)
    f[tcp + 32 + i] = static_cast<std::uint8_t>((s.seq + i) * 2654435761U >> 24);
  complete(f, s);
  return f;
}

struct unit {
  vnet_header header;
  bytes frame;
  unsigned frames;
};

// All that comes of the frames, as tap_device asks for it, flushed at the end.
std::vector<unit> merged(const std::vector<bytes>& all) {
  segment_merger m;
  std::vector<unit> out;
  const auto flush = [&] {
    const unsigned n = m.frames();
    if (n == 0) return;
    unit u;
    const auto whole = m.take();
    std::memcpy(&u.header, whole.data(), sizeof u.header);
    u.frame.assign(whole.begin() + sizeof u.header, whole.end());
    u.frames = n;
    out.push_back(std::move(u));
    EXPECT_EQ(m.frames(), 0u);
    EXPECT_EQ(m.frame_bytes(), 0u);
  };
  for (const bytes& f : all) {
    if (!m.add(f)) {
      flush();
      EXPECT_TRUE(m.add(f));
    }
    if (m.complete()) flush();
  }
  flush();
  return out;
}

// Cuts a unit into segments as its header says, which it takes at its word.
std::vector<bytes> cut(const unit& u) {
  static const vnet_header plain = {};
  if (std::memcmp(&u.header, &plain, sizeof plain) == 0) return {u.frame};
  EXPECT_EQ(u.header.flags, vnet_header::needs_csum);
  EXPECT_EQ(u.header.csum_offset, 16);
  shape s;
  s.six = u.header.gso_type == vnet_header::gso_tcpv6;
  EXPECT_EQ(u.header.gso_type, s.six ? vnet_header::gso_tcpv6 : vnet_header::gso_tcpv4);
  s.tagged = u.header.csum_start == (s.six ? 58 : 38);
  EXPECT_EQ(u.header.csum_start, s.tcp());
  const std::size_t head = u.header.hdr_len;
  EXPECT_EQ(head, s.tcp() + 4u * (u.frame[s.tcp() + 12] >> 4));
  const auto length = static_cast<std::uint32_t>(u.frame.size() - s.tcp());
  EXPECT_EQ(get16(u.frame, s.ip() + (s.six ? 4 : 2)), s.six ? length : u.frame.size() - s.ip());
  EXPECT_TRUE(s.six || fold(sum(u.frame, s.ip(), s.tcp())) == 0xffff);
  EXPECT_EQ(get16(u.frame, s.tcp() + 16),
            fold(static_cast<std::uint32_t>(pseudo_sum(u.frame, s)) + 6 + length));
  std::vector<bytes> out;
  for (std::size_t at = head; at < u.frame.size(); at += u.header.gso_size) {
    const std::size_t end = std::min(u.frame.size(), at + u.header.gso_size);
    bytes f(u.frame.begin(), u.frame.begin() + static_cast<std::ptrdiff_t>(head));
    f.insert(f.end(), u.frame.begin() + static_cast<std::ptrdiff_t>(at),
             u.frame.begin() + static_cast<std::ptrdiff_t>(end));
    put32(f, s.tcp() + 4, get32(u.frame, s.tcp() + 4) + static_cast<std::uint32_t>(at - head));
    if (end < u.frame.size()) f[s.tcp() + 13] &= static_cast<std::uint8_t>(~psh);
    complete(f, s);
    out.push_back(std::move(f));
  }
  EXPECT_EQ(out.size(), u.frames);
  return out;
}

// Without IPv4 identification, and the checksum that covers it.
bytes unnumbered(bytes f) {
  const std::size_t ip = get16(f, 12) == 0x8100 ? 18 : 14;
  if (get16(f, ip - 2) != 0x0800) return f;
  put16(f, ip + 4, 0);
  put16(f, ip + 10, 0);
  return f;
}
void expect_same_again(const std::vector<unit>& units, const std::vector<bytes>& all) {
  std::vector<bytes> again;
  for (const unit& u : units)
    for (bytes& f : cut(u)) {
      EXPECT_TRUE(u.frames == 1 || checksums_hold(f.data()));
      again.push_back(std::move(f));
    }
  ASSERT_EQ(again.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(unnumbered(again[i]), unnumbered(all[i])) << "segment " << i;
}

std::vector<bytes> stream(shape s, std::size_t segments, std::size_t last, std::uint8_t last_flags = ack) {
  std::vector<bytes> all;
  for (std::size_t i = 0; i < segments; ++i) {
    if (i + 1 == segments) {
      s.payload = last;
      s.flags = last_flags;
    }
    all.push_back(segment(s));
    s.seq += static_cast<std::uint32_t>(s.payload);
  }
  return all;
}

TEST(segment_merger, a_stream_becomes_one_unit_and_cut_again_the_same_segments) {
  for (const bool six : {false, true})
    for (const bool tagged : {false, true})
      for (const std::size_t n : {2, 3, 17, 64})
        for (const std::size_t last : {1, 2, 999, 1000})
          for (const std::uint8_t flags : {ack, static_cast<std::uint8_t>(ack | psh)}) {
            SCOPED_TRACE(testing::Message() << six << tagged << ' ' << n << ' ' << last);
            shape s;
            s.six = six;
            s.tagged = tagged;
            const auto all = stream(s, n, last, flags);
            const auto units = merged(all);
            ASSERT_EQ(units.size(), 1u);
            EXPECT_EQ(units[0].frames, n);
            expect_same_again(units, all);
          }
}

TEST(segment_merger, units_end_at_64_segments_and_below_65535_bytes) {
  shape s;
  const auto many = stream(s, 130, 1000);
  auto units = merged(many);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].frames, 64u);
  EXPECT_EQ(units[1].frames, 64u);
  expect_same_again(units, many);
  for (const bool six : {false, true}) {
    s.six = six;
    s.payload = 8948;
    const auto large = stream(s, 15, 8948);
    units = merged(large);
    ASSERT_EQ(units.size(), 3u);
    EXPECT_EQ(units[0].frames, 7u);
    expect_same_again(units, large);
    // One byte of the last payload decides. 52 or 72 bytes of headers.
    s.payload = 6000;
    const std::size_t headers = six ? 72 : 52, fits = 65534 - headers - 60000;
    EXPECT_EQ(merged(stream(s, 11, fits)).size(), 1u);
    EXPECT_EQ(merged(stream(s, 11, fits + 1)).size(), 2u);
  }
}

TEST(segment_merger, a_shorter_payload_or_psh_is_the_last_and_waits_for_nothing) {
  shape s;
  segment_merger m;
  m.add(segment(s));
  EXPECT_FALSE(m.complete());
  s.seq += 1000;
  s.flags = ack | psh;
  EXPECT_TRUE(m.add(segment(s)));
  EXPECT_TRUE(m.complete());
  s.seq += 1000;
  s.flags = ack;
  EXPECT_FALSE(m.add(segment(s))) << "after PSH";
  m.take();
  m.add(segment(s));
  s.seq += 1000;
  s.payload = 999;
  EXPECT_TRUE(m.add(segment(s)));
  EXPECT_TRUE(m.complete());
  s.seq += 999;
  EXPECT_FALSE(m.add(segment(s))) << "after a shorter one";
}

// What the second of two segments is to be different in.
struct difference {
  const char* name;
  std::function<void(bytes&, const shape&)> make;
  bool four = true, six = true;
  bool sound = true;  // lengths and checksums are completed afterwards
};
void raise(bytes& f, std::size_t at) {
  f[at] ^= 1;
}
const difference differences[] = {
    {"destination MAC", [](bytes& f, const shape&) { raise(f, 0); }},
    {"source MAC", [](bytes& f, const shape&) { raise(f, 11); }},
    {"TOS", [](bytes& f, const shape& s) { f[s.ip() + 1] ^= 0x20; }},
    {"ECN",
     [](bytes& f, const shape& s) { f[s.ip() + 1] ^= static_cast<std::uint8_t>(s.six ? 0x30 : 0x03); }},
    {"flow label", [](bytes& f, const shape& s) { raise(f, s.ip() + 3); }, false},
    {"TTL", [](bytes& f, const shape& s) { raise(f, s.ip() + (s.six ? 7 : 8)); }},
    {"DF", [](bytes& f, const shape& s) { f[s.ip() + 6] ^= 0x40; }, true, false},
    {"more fragments", [](bytes& f, const shape& s) { f[s.ip() + 6] |= 0x20; }, true, false},
    {"other protocol", [](bytes& f, const shape& s) { f[s.ip() + (s.six ? 6 : 9)] = 17; }},
    {"source address", [](bytes& f, const shape& s) { raise(f, s.ip() + (s.six ? 23 : 15)); }},
    {"destination address", [](bytes& f, const shape& s) { raise(f, s.ip() + (s.six ? 39 : 19)); }},
    {"source port", [](bytes& f, const shape& s) { raise(f, s.tcp() + 1); }},
    {"destination port", [](bytes& f, const shape& s) { raise(f, s.tcp() + 3); }},
    {"sequence number before", [](bytes& f, const shape& s) { put32(f, s.tcp() + 4, s.seq - 1); }},
    {"sequence number behind", [](bytes& f, const shape& s) { put32(f, s.tcp() + 4, s.seq + 1); }},
    {"ACK number", [](bytes& f, const shape& s) { raise(f, s.tcp() + 11); }},
    {"reserved bits", [](bytes& f, const shape& s) { f[s.tcp() + 12] |= 8; }},
    {"AE", [](bytes& f, const shape& s) { f[s.tcp() + 12] |= 1; }},
    {"FIN", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 1; }},
    {"SYN", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 2; }},
    {"RST", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 4; }},
    {"no ACK", [](bytes& f, const shape& s) { f[s.tcp() + 13] = 0; }},
    {"URG", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 0x20; }},
    {"ECE", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 0x40; }},
    {"CWR", [](bytes& f, const shape& s) { f[s.tcp() + 13] |= 0x80; }},
    {"window", [](bytes& f, const shape& s) { raise(f, s.tcp() + 15); }},
    {"urgent pointer", [](bytes& f, const shape& s) { raise(f, s.tcp() + 19); }},
    {"timestamp", [](bytes& f, const shape& s) { raise(f, s.tcp() + 27); }},
    {"echoed timestamp", [](bytes& f, const shape& s) { raise(f, s.tcp() + 31); }},
    {"longer options",
     [](bytes& f, const shape& s) {
       f[s.tcp() + 12] += 1 << 4;
       f.insert(f.begin() + static_cast<std::ptrdiff_t>(s.tcp() + 32), 4, 1);
     }},
    {"no payload", [](bytes& f, const shape& s) { f.resize(s.tcp() + 32); }},
    {"longer payload", [](bytes& f, const shape&) { f.push_back(0); }},
    {"bytes behind the packet", [](bytes& f, const shape&) { f.push_back(0); }, true, true, false},
    {"cut short", [](bytes& f, const shape&) { f.pop_back(); }, true, true, false},
    {"corrupted payload", [](bytes& f, const shape&) { raise(f, f.size() - 1); }, true, true, false},
    {"corrupted TCP header", [](bytes& f, const shape& s) { raise(f, s.tcp() + 17); }, true, true, false},
    {"corrupted IP header", [](bytes& f, const shape& s) { raise(f, s.ip() + 5); }, true, false, false},
};

TEST(segment_merger, each_difference_by_itself_keeps_two_segments_apart_and_in_order) {
  for (const difference& d : differences)
    for (const bool six : {false, true}) {
      if (six ? !d.six : !d.four) continue;
      SCOPED_TRACE(testing::Message() << d.name << (six ? ", IPv6" : ", IPv4"));
      shape s;
      s.six = six;
      const bytes first = segment(s);
      s.seq += 1000;
      bytes second = segment(s);
      ASSERT_EQ(merged({first, second}).size(), 1u);
      d.make(second, s);
      if (d.sound) complete(second, s);
      for (const auto& all : {std::vector{first, second}, std::vector{second, first}}) {
        const auto units = merged(all);
        ASSERT_EQ(units.size(), 2u);
        for (std::size_t i = 0; i < 2; ++i) {
          EXPECT_EQ(units[i].frames, 1u);
          EXPECT_EQ(units[i].frame, all[i]) << "untouched";
        }
      }
    }
}

// Headers that neither of the two may have, though they agree in them.
TEST(segment_merger, segments_that_agree_in_what_is_not_plain_stay_apart) {
  const std::pair<const char*, std::function<void(bytes&, const shape&)>> all[] = {
      {"IPv4 options",
       [](bytes& f, const shape& s) {
         f[s.ip()] = 0x46;
         f.insert(f.begin() + static_cast<std::ptrdiff_t>(s.tcp()), 4, 1);
         put16(f, s.ip() + 2, static_cast<unsigned>(f.size() - s.ip()));
         put16(f, s.ip() + 10, 0);
         put16(f, s.ip() + 10, ~fold(sum(f, s.ip(), s.tcp() + 4)) & 0xffff);
       }},
      {"two tags",
       [](bytes& f, const shape&) {
         const std::uint8_t tag[] = {0x81, 0, 0, 10, 0x81, 0, 0, 11};
         f.insert(f.begin() + 12, std::begin(tag), std::end(tag));
       }},
      {"CWR",
       [](bytes& f, const shape& s) {
         f[s.tcp() + 13] |= 0x80;
         complete(f, s);
       }},
      {"AE",
       [](bytes& f, const shape& s) {
         f[s.tcp() + 12] |= 1;
         complete(f, s);
       }},
      {"corrupted by the same bit", [](bytes& f, const shape& s) { raise(f, s.tcp() + 40); }},
  };
  for (const auto& [name, make] : all) {
    SCOPED_TRACE(name);
    shape s;
    bytes first = segment(s);
    make(first, s);
    s.seq += 1000;
    bytes second = segment(s);
    make(second, s);
    const auto units = merged({first, second});
    ASSERT_EQ(units.size(), 2u);
    EXPECT_EQ(units[0].frame, first);
    EXPECT_EQ(units[1].frame, second);
  }
  shape s;
  s.tagged = true;
  const bytes first = segment(s);
  s.seq += 1000;
  bytes second = segment(s);
  second[15] ^= 1;
  EXPECT_EQ(merged({first, second}).size(), 2u) << "another VLAN";
  // Padding would become data.
  shape shorter;
  const bytes whole = segment(shorter);
  shorter.seq += 1000;
  shorter.payload = 900;
  bytes padded = segment(shorter);
  ASSERT_EQ(merged({whole, padded}).size(), 1u);
  padded.resize(padded.size() + 6);
  EXPECT_EQ(merged({whole, padded}).size(), 2u);
  // IPv6, hop-by-hop options before TCP.
  s = {};
  s.six = true;
  std::vector<bytes> hops;
  for (int i = 0; i < 2; ++i) {
    bytes f = segment(s);
    const std::uint8_t padding[] = {6, 0, 1, 4, 0, 0, 0, 0};
    f.insert(f.begin() + static_cast<std::ptrdiff_t>(s.tcp()), std::begin(padding), std::end(padding));
    f[s.ip() + 6] = 0;
    put16(f, s.ip() + 4, static_cast<unsigned>(f.size() - s.tcp()));
    hops.push_back(f);
    s.seq += 1000;
  }
  EXPECT_EQ(merged(hops).size(), 2u);
}

TEST(segment_merger, other_frames_between_keep_their_place) {
  shape s, other;
  other.six = true;
  std::vector<bytes> all;
  for (int i = 0; i < 40; ++i) {
    if (i % 7 == 3) all.emplace_back(60, static_cast<std::uint8_t>(i));  // no IP
    if (i % 5 == 4) {
      all.push_back(segment(other));
      other.seq += 1000;
    }
    all.push_back(segment(s));
    if (i == 20) all.back()[100] ^= 4;  // on the wire
    s.seq += 1000;
  }
  const auto units = merged(all);
  EXPECT_LT(units.size(), all.size());
  expect_same_again(units, all);
}

TEST(segment_merger, single_frames_are_untouched_down_to_the_shortest) {
  shape s;
  std::vector<bytes> all;
  for (const std::size_t n : {14, 15, 17, 18, 19, 42, 53, 54, 58, 60, 9600}) {
    bytes f = segment(s);
    f.resize(n);
    all.push_back(f);
    put16(f, 12, n < 16 ? 0x0800 : 0x8100);
    all.push_back(f);
  }
  const auto units = merged(all);
  ASSERT_EQ(units.size(), all.size());
  const vnet_header plain = {};
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(units[i].frame, all[i]);
    EXPECT_EQ(std::memcmp(&units[i].header, &plain, sizeof plain), 0);
  }
}

}  // namespace
}  // namespace understudy::tb
