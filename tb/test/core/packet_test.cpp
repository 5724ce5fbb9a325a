#include "model/core/packet.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/core/checksum.h"
#include "model/core/rng.h"

namespace understudy {
namespace {

const mac_address mac_a{2, 0, 0, 0, 0, 1};
const mac_address mac_b{2, 0, 0, 0, 0, 2};
const ip_address ip_a = ip_address::v4(192, 168, 1, 10);
const ip_address ip_b = ip_address::v4(192, 168, 1, 20);

constexpr std::uint32_t ip_at = 14, tcp_at = 34;

frame_ref build(const segment& s, const std::vector<std::uint8_t>& payload = {}) {
  frame_ref f = frame_ref::make(static_cast<std::uint32_t>(payload.size()), 128);
  if (!payload.empty()) std::memcpy(f.data(), payload.data(), payload.size());
  prepend_headers(f, s, mac_a, mac_b, 77);
  return f;
}

segment sample() {
  segment s;
  s.tuple = {ip_a, ip_b, 40000, 80};
  s.seq = seq32{0x12345678};
  s.ack = seq32{0x9abcdef0};
  s.flags = tcp_ack | tcp_psh;
  s.window = 0x1234;
  return s;
}

// A frame with these option bytes, padded with zeros to four; sums are not verified.
parsed_frame with_options(std::vector<std::uint8_t> o) {
  while (o.size() % 4) o.push_back(0);
  frame_ref plain = build(sample());
  std::vector<std::uint8_t> b(plain.data(), plain.data() + plain.size());
  b.insert(b.end(), o.begin(), o.end());
  b[tcp_at + 12] = static_cast<std::uint8_t>((20 + o.size()) / 4 << 4);
  b[ip_at + 3] = static_cast<std::uint8_t>(40 + o.size());
  return parse_frame(frame_ref::copy_of(b.data(), static_cast<std::uint32_t>(b.size())), false);
}

// The sample with one byte changed.
parsed_frame with_byte(std::uint32_t at, std::uint8_t value, bool verify = false) {
  frame_ref f = build(sample(), {1, 2, 3, 4});
  f.data()[at] = value;
  return parse_frame(f, verify);
}

TEST(Packet, WhatIsBuiltIsParsedBack) {
  segment s = sample();
  s.options = {.mss = 1460, .wscale = 7, .sack_permitted = true, .has_ts = true, .tsval = 11, .tsecr = 22};
  s.urgent = 5;
  s.ecn = 2;
  const frame_ref f = build(s, {1, 2, 3, 4, 5});
  EXPECT_EQ(header_bytes(s), 14u + 20 + 20 + 20);
  EXPECT_EQ(f.size(), header_bytes(s) + 5);
  const parsed_frame p = parse_frame(f);
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.source_mac, mac_a);
  EXPECT_EQ(p.destination_mac, mac_b);
  EXPECT_EQ(p.tcp.tuple, (four_tuple{ip_b, ip_a, 80, 40000})) << "local is the receiver";
  EXPECT_EQ(p.tcp.seq, s.seq);
  EXPECT_EQ(p.tcp.ack, s.ack);
  EXPECT_EQ(p.tcp.flags, s.flags);
  EXPECT_EQ(p.tcp.window, s.window);
  EXPECT_EQ(p.tcp.urgent, 5);
  EXPECT_EQ(p.tcp.ecn, 2);
  EXPECT_EQ(p.tcp.options.mss, 1460);
  EXPECT_EQ(p.tcp.options.wscale, 7);
  EXPECT_TRUE(p.tcp.options.sack_permitted);
  EXPECT_TRUE(p.tcp.options.has_ts);
  EXPECT_EQ(p.tcp.options.tsval, 11u);
  EXPECT_EQ(p.tcp.options.tsecr, 22u);
  EXPECT_EQ(p.tcp.payload_length, 5u);
  EXPECT_EQ(f.data()[p.tcp.payload_offset + 4], 5);
}

TEST(Packet, HeadersHaveDfTtl64AndCorrectSums) {
  const frame_ref f = build(sample(), {9});
  const std::uint8_t* ip = f.data() + ip_at;
  EXPECT_EQ(ip[6], 0x40);
  EXPECT_EQ(ip[8], 64);
  EXPECT_EQ(ip[4] << 8 | ip[5], 77);
  EXPECT_EQ(checksum_finish(checksum_add({ip, 20})), 0);
  EXPECT_EQ(with_byte(tcp_at + 4, 0, true).kind, frame_class::bad_checksum);
  EXPECT_EQ(with_byte(ip_at + 8, 63, true).kind, frame_class::bad_checksum);
  EXPECT_EQ(with_byte(ip_at + 8, 63, false).kind, frame_class::tcp);
}

TEST(Packet, EverySetOfOptionsFitsAndComesBack) {
  int sets = 0;
  for (int mask = 0; mask < 16; ++mask)
    for (std::uint8_t blocks = 0; blocks <= 4; ++blocks) {
      segment s = sample();
      tcp_options& o = s.options;
      if (mask & 1) o.mss = 9000;
      if (mask & 2) o.wscale = 14;
      if (mask & 4) o.sack_permitted = true;
      if (mask & 8) o.has_ts = true;
      o.sack_count = blocks;
      for (std::uint32_t b = 0; b < blocks; ++b) o.sack[b] = {seq32{100 * b}, seq32{100 * b + 50}};
      const parsed_frame p = parse_frame(build(s, {1}));
      ASSERT_EQ(p.kind, frame_class::tcp);
      EXPECT_LE(header_bytes(s), 14u + 20 + 60);
      EXPECT_EQ(p.tcp.options.mss, o.mss);
      EXPECT_EQ(p.tcp.options.wscale, o.wscale);
      EXPECT_EQ(p.tcp.options.sack_permitted, o.sack_permitted);
      EXPECT_EQ(p.tcp.options.has_ts, o.has_ts);
      const std::uint8_t expected = mask & 7 ? 0 : std::min<std::uint8_t>(blocks, mask & 8 ? 3 : 4);
      EXPECT_EQ(p.tcp.options.sack_count, expected) << "SACK blocks belong to segments without SYN options";
      for (std::uint32_t b = 0; b < expected; ++b)
        EXPECT_EQ(p.tcp.options.sack[b].right, seq32{100 * b + 50});
      ++sets;
    }
  EXPECT_EQ(sets, 80);
}

TEST(Packet, OptionLengthsAreChecked) {
  EXPECT_EQ(with_options({2, 4, 5, 0xb4}).tcp.options.mss, 1460);
  EXPECT_EQ(with_options({2, 0, 0, 0}).kind, frame_class::bad_header);
  EXPECT_EQ(with_options({2, 1, 0, 0}).kind, frame_class::bad_header);
  EXPECT_EQ(with_options({1, 1, 2, 4}).kind, frame_class::bad_header) << "overruns the header";
  EXPECT_EQ(with_options({1, 1, 1, 2}).kind, frame_class::bad_header) << "no room for the length";
  EXPECT_EQ(with_options({99, 9, 0, 0}).kind, frame_class::bad_header);
  EXPECT_EQ(with_options({99, 3, 7, 1}).kind, frame_class::tcp) << "an unknown option is skipped";
}

TEST(Packet, AKnownOptionOfWrongLengthEndsTheList) {
  const std::vector<std::vector<std::uint8_t>> wrong = {{2, 3, 5},
                                                        {3, 4, 7, 0},
                                                        {4, 3, 0},
                                                        {5, 9, 0, 0, 0, 0, 0, 0, 0},
                                                        {5, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                                        {8, 9, 0, 0, 0, 0, 0, 0, 0}};
  for (const auto& w : wrong) {
    std::vector<std::uint8_t> o = w;
    o.insert(o.end(), {3, 3, 5});
    const parsed_frame p = with_options(o);
    EXPECT_EQ(p.kind, frame_class::tcp);
    EXPECT_EQ(p.tcp.options.wscale, -1);
    EXPECT_EQ(p.tcp.options.mss, 0);
    EXPECT_FALSE(p.tcp.options.has_ts);
    EXPECT_FALSE(p.tcp.options.sack_permitted);
    EXPECT_EQ(p.tcp.options.sack_count, 0);
  }
}

TEST(Packet, AScaleAbove14CountsAs14AndEndStopsTheList) {
  EXPECT_EQ(with_options({3, 3, 200, 1}).tcp.options.wscale, 14);
  EXPECT_EQ(with_options({0, 3, 3, 5}).tcp.options.wscale, -1);
}

TEST(Packet, LengthFieldsThatContradictTheFrameAreBad) {
  EXPECT_EQ(with_byte(ip_at + 3, 45).kind, frame_class::bad_length) << "total length beyond the frame";
  EXPECT_EQ(with_byte(ip_at + 3, 19).kind, frame_class::bad_length) << "total length below the header";
  EXPECT_EQ(with_byte(ip_at + 3, 39).kind, frame_class::bad_length) << "no room for a TCP header";
  EXPECT_EQ(with_byte(ip_at, 0x44).kind, frame_class::bad_header) << "IHL below 5";
  EXPECT_EQ(with_byte(ip_at, 0x65).kind, frame_class::bad_header) << "version";
  EXPECT_EQ(with_byte(ip_at, 0x4f).kind, frame_class::bad_length) << "IHL beyond total length";
  EXPECT_EQ(with_byte(tcp_at + 12, 0x40).kind, frame_class::bad_header) << "data offset below 5";
  EXPECT_EQ(with_byte(tcp_at + 12, 0x70).kind, frame_class::bad_header) << "data offset beyond the segment";
}

TEST(Packet, PaddingBehindTheIpPacketIsNoPayload) {
  frame_ref plain = build(sample());
  std::vector<std::uint8_t> b(plain.data(), plain.data() + plain.size());
  b.resize(60, 0xee);
  const parsed_frame p = parse_frame(frame_ref::copy_of(b.data(), 60));
  EXPECT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.tcp.payload_length, 0u);
}

TEST(Packet, FragmentsOtherProtocolsAndOtherTypesAreNotOurs) {
  EXPECT_EQ(with_byte(ip_at + 6, 0x20).kind, frame_class::other) << "more fragments";
  EXPECT_EQ(with_byte(ip_at + 7, 0x01).kind, frame_class::other) << "fragment offset";
  EXPECT_EQ(with_byte(ip_at + 9, 17).kind, frame_class::other) << "UDP";
  EXPECT_EQ(with_byte(12, 0x86).kind, frame_class::other) << "EtherType";
}

TEST(Packet, IpOptionsAreSkipped) {
  frame_ref plain = build(sample(), {7, 8});
  std::vector<std::uint8_t> b(plain.data(), plain.data() + plain.size());
  b.insert(b.begin() + tcp_at, {1, 1, 1, 0});
  b[ip_at] = 0x46;
  b[ip_at + 3] = static_cast<std::uint8_t>(b[ip_at + 3] + 4);
  const frame_ref f = frame_ref::copy_of(b.data(), static_cast<std::uint32_t>(b.size()));
  const parsed_frame p = parse_frame(f, false);
  EXPECT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.tcp.payload_length, 2u);
  EXPECT_EQ(f.data()[p.tcp.payload_offset], 7);
}

TEST(Packet, EveryTruncationIsRejected) {
  segment s = sample();
  s.options = {.mss = 1460, .has_ts = true};
  const frame_ref whole = build(s, {1, 2, 3});
  for (std::uint32_t n = 0; n < whole.size(); ++n) {
    const frame_class k = parse_frame(frame_ref::copy_of(whole.data(), n)).kind;
    EXPECT_EQ(k, frame_class::bad_length) << n;
  }
  EXPECT_EQ(parse_frame(frame_ref()).kind, frame_class::bad_length);
}

TEST(Packet, AnyBytesAreSurvived) {
  const std::uint64_t seed = 4711;
  rng draws(seed, "fuzz");
  std::uint64_t tcp = 0;
  const frame_ref whole = build(sample(), {1, 2, 3});
  for (int i = 0; i < 200'000; ++i) {
    const auto n = static_cast<std::uint32_t>(draws.below(whole.size() + 30));
    frame_ref f = frame_ref::make(n);
    for (std::uint32_t k = 0; k < n; ++k)
      f.data()[k] = k < whole.size() ? whole.data()[k] : static_cast<std::uint8_t>(draws.next());
    for (std::uint64_t k = draws.below(6); k && n; --k)
      f.data()[draws.below(n)] = static_cast<std::uint8_t>(draws.next());
    const parsed_frame p = parse_frame(f, false);
    if (p.kind != frame_class::tcp) continue;
    ++tcp;
    ASSERT_LE(p.tcp.payload_offset + p.tcp.payload_length, n) << "seed " << seed << " draw " << i;
  }
  EXPECT_GT(tcp, 1000u);
}

TEST(Packet, ArpIsBuiltAndParsed) {
  const frame_ref q = make_arp_request(mac_a, ip_a, ip_b);
  EXPECT_EQ(q.size(), 60u);
  parsed_frame p = parse_frame(q);
  EXPECT_EQ(p.kind, frame_class::arp_request);
  EXPECT_EQ(p.destination_mac, broadcast_mac);
  EXPECT_EQ(p.source_mac, mac_a);
  EXPECT_EQ(p.sender_ip, ip_a);
  EXPECT_EQ(p.target_ip, ip_b);
  p = parse_frame(make_arp_reply(mac_b, ip_b, mac_a, ip_a));
  EXPECT_EQ(p.kind, frame_class::arp_reply);
  EXPECT_EQ(p.destination_mac, mac_a);
  EXPECT_EQ(p.sender_ip, ip_b);
  EXPECT_EQ(parse_frame(frame_ref::copy_of(q.data(), 41)).kind, frame_class::bad_length);
  for (std::uint32_t at : {14u, 16u, 18u, 19u, 20u}) {
    frame_ref f = frame_ref::copy_of(q.data(), q.size());
    f.data()[at] ^= 0x40;
    EXPECT_EQ(parse_frame(f).kind, frame_class::other) << at;
  }
}

TEST(Packet, AFrameShowsWhyItIsDropped) {
  const auto cause = [](std::uint32_t at, std::uint8_t value, bool seal_ip = true) {
    frame_ref f = build(sample(), {1, 2, 3, 4});
    f.data()[at] = value;
    if (seal_ip) {
      std::uint8_t* ip = f.data() + ip_at;
      ip[10] = ip[11] = 0;
      const std::uint16_t sum = checksum_finish(checksum_add({ip, 20}));
      ip[10] = static_cast<std::uint8_t>(sum >> 8);
      ip[11] = static_cast<std::uint8_t>(sum);
    }
    return cause_of_drop(f);
  };
  EXPECT_EQ(cause_of_drop(frame_ref()), drop_cause::length);
  EXPECT_EQ(cause_of_drop(build(sample())), drop_cause::not_ours);
  EXPECT_EQ(cause(ip_at + 3, 45), drop_cause::length);
  EXPECT_EQ(cause(ip_at, 0x65), drop_cause::header);
  EXPECT_EQ(cause(ip_at + 8, 63, false), drop_cause::ip_checksum);
  EXPECT_EQ(cause(ip_at + 8, 63), drop_cause::not_ours);
  EXPECT_EQ(cause(tcp_at + 4, 0), drop_cause::l4_checksum);
  EXPECT_EQ(cause(ip_at + 6, 0x20), drop_cause::fragment);
  EXPECT_EQ(cause(ip_at + 7, 0x01), drop_cause::fragment);
  EXPECT_EQ(cause(ip_at + 9, 132), drop_cause::unknown);
  EXPECT_EQ(cause(12, 0x88), drop_cause::unknown);
}

TEST(Packet, AnEchoRequestIsAnswered) {
  std::vector<std::uint8_t> b(14 + 20 + 8 + 5, 0);
  std::copy(mac_b.begin(), mac_b.end(), b.begin());
  std::copy(mac_a.begin(), mac_a.end(), b.begin() + 6);
  b[12] = 8;
  b[ip_at] = 0x45;
  b[ip_at + 3] = 33;
  b[ip_at + 8] = 3;
  b[ip_at + 9] = 1;
  std::copy(ip_a.bytes.begin() + 12, ip_a.bytes.end(), b.begin() + ip_at + 12);
  std::copy(ip_b.bytes.begin() + 12, ip_b.bytes.end(), b.begin() + ip_at + 16);
  const auto seal = [&b](std::size_t from, std::size_t n, std::size_t field) {
    b[field] = b[field + 1] = 0;
    const std::uint16_t sum = checksum_finish(checksum_add({b.data() + from, n}));
    b[field] = static_cast<std::uint8_t>(sum >> 8);
    b[field + 1] = static_cast<std::uint8_t>(sum);
  };
  b[tcp_at] = 8;
  b[tcp_at + 5] = 42;
  b[tcp_at + 12] = 99;
  seal(ip_at, 20, ip_at + 10);
  seal(tcp_at, 13, tcp_at + 2);
  const frame_ref request = frame_ref::copy_of(b.data(), static_cast<std::uint32_t>(b.size()));
  const parsed_frame p = parse_frame(request);
  ASSERT_EQ(p.kind, frame_class::icmp_echo_request);
  EXPECT_EQ(p.sender_ip, ip_a);
  EXPECT_EQ(p.target_ip, ip_b);
  const frame_ref r = make_echo_reply(request, mac_b, ip_b);
  EXPECT_EQ(r.size(), request.size());
  EXPECT_EQ(r.data()[tcp_at], 0);
  EXPECT_EQ(r.data()[tcp_at + 12], 99);
  EXPECT_EQ(checksum_finish(checksum_add({r.data() + ip_at, 20})), 0);
  EXPECT_EQ(checksum_finish(checksum_add({r.data() + tcp_at, 13})), 0);
  EXPECT_TRUE(std::equal(mac_a.begin(), mac_a.end(), r.data()));
  EXPECT_TRUE(std::equal(ip_a.bytes.begin() + 12, ip_a.bytes.end(), r.data() + ip_at + 16));
  b[tcp_at + 12] = 98;
  EXPECT_EQ(parse_frame(frame_ref::copy_of(b.data(), static_cast<std::uint32_t>(b.size()))).kind,
            frame_class::bad_checksum);
  EXPECT_EQ(parse_frame(r).kind, frame_class::other) << "a reply is not for us";
}

}  // namespace
}  // namespace understudy
