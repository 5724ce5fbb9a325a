#include "model/core/ipv6.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "model/core/checksum.h"
#include "model/core/packet.h"

namespace understudy {
namespace {

const mac_address mac_a{2, 0, 0, 0, 0, 1};
const mac_address mac_b{2, 0, 0, 0, 0, 2};
const ip_address six_a = ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 0x10});
const ip_address six_b = ip_address::v6({0xfd77, 0, 0, 0, 0, 0xaabb, 0xccdd, 0xeeff});

frame_ref build(const segment& s, const std::vector<std::uint8_t>& payload = {}) {
  frame_ref f = frame_ref::make(static_cast<std::uint32_t>(payload.size()), 128);
  if (!payload.empty()) std::memcpy(f.data(), payload.data(), payload.size());
  prepend_headers(f, s, mac_a, mac_b, 77);
  return f;
}

segment sample6() {
  segment s;
  s.tuple = {six_a, six_b, 40000, 80};
  s.seq = seq32{0x12345678};
  s.ack = seq32{0x9abcdef0};
  s.flags = tcp_ack | tcp_psh;
  s.window = 0x1234;
  return s;
}

frame_ref copy_of(const std::vector<std::uint8_t>& b) {
  return frame_ref::copy_of(b.data(), static_cast<std::uint32_t>(b.size()));
}

TEST(ipv6, what_is_built_is_parsed_back) {
  segment s = sample6();
  s.options = {.mss = 1440, .wscale = 7, .sack_permitted = true, .has_ts = true, .tsval = 11, .tsecr = 22};
  s.ecn = 2;
  const frame_ref f = build(s, {1, 2, 3, 4, 5});
  EXPECT_EQ(f.size(), header_bytes(s) + 5);
  EXPECT_EQ(f.size(), 14u + 40 + 40 + 5);
  const parsed_frame p = parse_frame(f);
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.tcp.tuple.local, six_b);
  EXPECT_EQ(p.tcp.tuple.remote, six_a);
  EXPECT_EQ(p.tcp.tuple.local_port, 80);
  EXPECT_EQ(p.tcp.seq, s.seq);
  EXPECT_EQ(p.tcp.ecn, 2);
  EXPECT_EQ(p.tcp.options.mss, 1440);
  EXPECT_EQ(p.tcp.payload_length, 5u);
  EXPECT_EQ(f.data()[p.tcp.payload_offset], 1);
}

TEST(ipv6, each_flipped_bit_under_the_checksum_is_found) {
  const frame_ref f = build(sample6(), {1, 2, 3});
  for (std::uint32_t bit = (14 + 8) * 8; bit < f.size() * 8; ++bit) {
    frame_ref g = frame_ref::copy_of(f.data(), f.size());
    g.data()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    EXPECT_NE(parse_frame(g).kind, frame_class::tcp) << bit;
  }
}

TEST(ipv6, extension_headers_are_skipped_and_fragments_are_not_for_us) {
  const frame_ref plain = build(sample6(), {1, 2, 3});
  for (const std::uint8_t kind : {0, 43, 60, 44, 59, 50}) {
    std::vector<std::uint8_t> b(plain.data(), plain.data() + plain.size());
    const std::vector<std::uint8_t> header{6, 0, 0, 0, 0, 0, 0, 0};
    b.insert(b.begin() + 54, header.begin(), header.end());
    b[14 + 6] = kind;
    b[14 + 5] = static_cast<std::uint8_t>(b[14 + 5] + 8);
    const bool skipped = kind == 0 || kind == 43 || kind == 60;
    EXPECT_EQ(parse_frame(copy_of(b)).kind, skipped ? frame_class::tcp : frame_class::other) << int{kind};
    EXPECT_EQ(cause_of_drop(copy_of(b)), skipped      ? drop_cause::not_ours
                                         : kind == 44 ? drop_cause::fragment
                                                      : drop_cause::unknown);
    b[54 + 1] = 20;  // longer than the packet
    if (skipped) {
      EXPECT_EQ(parse_frame(copy_of(b)).kind, frame_class::bad_length) << int{kind};
    }
  }
  std::vector<std::uint8_t> routed(plain.data(), plain.data() + plain.size());
  const std::vector<std::uint8_t> segments_left{6, 0, 0, 1, 0, 0, 0, 0};
  routed.insert(routed.begin() + 54, segments_left.begin(), segments_left.end());
  routed[14 + 6] = 43;
  routed[14 + 5] = static_cast<std::uint8_t>(routed[14 + 5] + 8);
  EXPECT_EQ(parse_frame(copy_of(routed)).kind, frame_class::other);
}

TEST(ipv6, lengths_that_lie_are_refused) {
  const frame_ref f = build(sample6(), {1, 2, 3});
  for (std::uint32_t n = 14; n < f.size(); ++n)
    EXPECT_EQ(parse_frame(frame_ref::copy_of(f.data(), n)).kind, frame_class::bad_length) << n;
  frame_ref g = frame_ref::copy_of(f.data(), f.size());
  g.data()[14] = 0x45;
  EXPECT_EQ(parse_frame(g).kind, frame_class::bad_header);
}

TEST(ipv6, a_question_after_a_neighbour_goes_to_its_group_and_is_answered) {
  const frame_ref q = make_neighbor_solicitation(mac_a, six_a, six_b);
  const parsed_frame asked = parse_frame(q);
  ASSERT_EQ(asked.kind, frame_class::neighbor_solicitation);
  EXPECT_EQ(asked.destination_mac, (mac_address{0x33, 0x33, 0xff, 0xdd, 0xee, 0xff}));
  EXPECT_EQ(asked.sender_ip, six_a);
  EXPECT_EQ(asked.target_ip, six_b);
  EXPECT_EQ(asked.station, mac_a);
  const parsed_frame answer = parse_frame(make_neighbor_advertisement(mac_b, six_b, mac_a, six_a));
  ASSERT_EQ(answer.kind, frame_class::neighbor_advertisement);
  EXPECT_EQ(answer.sender_ip, six_b);
  EXPECT_EQ(answer.target_ip, six_a);
  EXPECT_EQ(answer.station, mac_b);
  const parsed_frame told = parse_frame(make_neighbor_advertisement(mac_b, six_b, {}, {}));
  ASSERT_EQ(told.kind, frame_class::neighbor_advertisement);
  EXPECT_EQ(told.target_ip, all_nodes);
  EXPECT_EQ(told.destination_mac, (mac_address{0x33, 0x33, 0, 0, 0, 1}));
}

// RFC 4861 7.1.1, 7.1.2: what came through a router, or lies about itself, is no neighbour's.
TEST(ipv6, neighbour_discovery_from_afar_or_broken_is_ignored) {
  const frame_ref q = make_neighbor_solicitation(mac_a, six_a, six_b);
  std::vector<std::uint8_t> b(q.data(), q.data() + q.size());
  b[14 + 7] = 254;
  EXPECT_EQ(parse_frame(copy_of(b)).kind, frame_class::other);
  b[14 + 7] = 255;
  b[54 + 8] ^= 1;
  EXPECT_EQ(parse_frame(copy_of(b)).kind, frame_class::bad_checksum);
  EXPECT_EQ(cause_of_drop(copy_of(b)), drop_cause::l4_checksum);
  b[54 + 8] ^= 1;
  const auto sealed_with = [&b](std::size_t at, std::uint8_t value) {
    std::vector<std::uint8_t> c = b;
    c[at] = value;
    c[54 + 2] = c[54 + 3] = 0;
    const std::uint16_t sum =
        checksum_finish(checksum_add({c.data() + 54, 32}, pseudo_header6_sum(c.data() + 14, 58, 32)));
    c[54 + 2] = static_cast<std::uint8_t>(sum >> 8);
    c[54 + 3] = static_cast<std::uint8_t>(sum);
    return parse_frame(copy_of(c)).kind;
  };
  EXPECT_EQ(sealed_with(54 + 25, 1), frame_class::neighbor_solicitation);
  EXPECT_EQ(sealed_with(54 + 25, 0), frame_class::other) << "an option without length";
  EXPECT_EQ(sealed_with(54 + 25, 2), frame_class::other) << "an option beyond the message";
  EXPECT_EQ(sealed_with(54 + 8, 0xff), frame_class::other) << "a group's address as target";
  EXPECT_EQ(sealed_with(54 + 1, 1), frame_class::other) << "a code that is none";
}

// RFC 4291 2.5.5.2: else a frame over IPv6 could speak for a connection over IPv4.
TEST(ipv6, an_ipv4_address_written_as_ipv6_is_nobodys_on_the_wire) {
  for (const bool source : {true, false}) {
    const frame_ref f = build(sample6());
    std::vector<std::uint8_t> b(f.data(), f.data() + f.size());
    EXPECT_EQ(parse_frame(copy_of(b), false).kind, frame_class::tcp);
    const ip_address mapped = ip_address::v4(10, 0, 0, 1);
    std::copy(mapped.bytes.begin(), mapped.bytes.end(), b.begin() + (source ? 22 : 38));
    EXPECT_EQ(parse_frame(copy_of(b), false).kind, frame_class::other) << source;
  }
}

TEST(ipv6, an_echo_request_is_answered) {
  std::vector<std::uint8_t> b(14 + 40 + 8 + 5, 0);
  std::copy(mac_b.begin(), mac_b.end(), b.begin());
  std::copy(mac_a.begin(), mac_a.end(), b.begin() + 6);
  b[12] = 0x86;
  b[13] = 0xdd;
  b[14] = 0x60;
  b[14 + 5] = 13;
  b[14 + 6] = 58;
  b[14 + 7] = 3;
  std::copy(six_a.bytes.begin(), six_a.bytes.end(), b.begin() + 14 + 8);
  std::copy(six_b.bytes.begin(), six_b.bytes.end(), b.begin() + 14 + 24);
  b[54] = 128;
  b[54 + 12] = 99;
  const std::uint16_t sum =
      checksum_finish(checksum_add({b.data() + 54, 13}, pseudo_header6_sum(b.data() + 14, 58, 13)));
  b[54 + 2] = static_cast<std::uint8_t>(sum >> 8);
  b[54 + 3] = static_cast<std::uint8_t>(sum);
  const frame_ref request = copy_of(b);
  const parsed_frame p = parse_frame(request);
  ASSERT_EQ(p.kind, frame_class::icmp_echo_request);
  EXPECT_EQ(p.target_ip, six_b);
  const frame_ref r = make_echo_reply(request, mac_b, six_b);
  EXPECT_EQ(r.data()[54], 129);
  EXPECT_EQ(r.data()[54 + 12], 99);
  EXPECT_EQ(r.data()[14 + 7], 64);
  EXPECT_TRUE(std::equal(six_a.bytes.begin(), six_a.bytes.end(), r.data() + 14 + 24));
  EXPECT_EQ(checksum_finish(checksum_add({r.data() + 54, 13}, pseudo_header6_sum(r.data() + 14, 58, 13))), 0);
}

}  // namespace
}  // namespace understudy
