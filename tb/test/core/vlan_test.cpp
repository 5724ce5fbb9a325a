// Tags of IEEE 802.1Q, and packets behind them.
#include "model/core/vlan.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/core/packet.h"

namespace understudy {
namespace {

constexpr mac_address a{0x02, 0, 0, 0, 0, 0x0a}, b{0x02, 0, 0, 0, 0, 0x0b};

frame_ref tcp_frame(std::uint32_t payload, const ip_address& from, const ip_address& to,
                    std::uint32_t headroom = 128) {
  frame_ref f = frame_ref::make(payload, headroom);
  for (std::uint32_t i = 0; i < payload; ++i) f.data()[i] = static_cast<std::uint8_t>(i);
  segment s;
  s.tuple = {from, to, 1000, 80};
  s.seq = seq32{7};
  s.flags = tcp_ack;
  s.payload_length = payload;
  prepend_headers(f, s, a, b, 1);
  return f;
}
std::vector<std::uint8_t> bytes_of(const frame_ref& f) {
  return {f.bytes().begin(), f.bytes().end()};
}

TEST(vlan, a_tag_goes_in_behind_the_addresses_and_comes_out_again) {
  const frame_ref plain = tcp_frame(10, ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2));
  const auto before = bytes_of(plain);
  EXPECT_EQ(vlan_of(plain), 0);
  const frame_ref tagged = with_vlan_tag(plain, 0x123);
  EXPECT_EQ(bytes_of(plain), before) << "it is shared: a copy gets the tag";
  ASSERT_EQ(tagged.size(), plain.size() + 4);
  EXPECT_EQ(vlan_of(tagged), 0x123);
  const std::uint8_t tag[] = {0x81, 0x00, 0x01, 0x23};
  EXPECT_EQ(std::memcmp(tagged.data() + 12, tag, 4), 0);
  EXPECT_EQ(std::memcmp(tagged.data(), plain.data(), 12), 0);
  EXPECT_EQ(bytes_of(without_vlan_tag(tagged)), before);
  EXPECT_EQ(without_vlan_tag(plain).data(), plain.data()) << "nothing to take off";
  EXPECT_EQ(with_vlan_tag(plain, 0).data(), plain.data()) << "no VLAN, no tag";
}

TEST(vlan, a_frame_that_nobody_else_holds_is_tagged_in_its_headroom) {
  frame_ref f = tcp_frame(10, ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2));
  const std::uint8_t* const payload = f.data() + f.size() - 10;
  const frame_ref tagged = with_vlan_tag(std::move(f), 5);
  EXPECT_EQ(tagged.data() + tagged.size() - 10, payload);
  frame_ref tight = frame_ref::copy_of(tagged.data(), tagged.size());
  const std::uint8_t* const old = tight.data();
  EXPECT_NE(with_vlan_tag(std::move(tight), 6).data(), old - 4) << "no headroom: a copy";
}

TEST(vlan, what_an_impairment_noted_on_a_frame_stays_with_it) {
  frame_ref f = tcp_frame(1, ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2));
  f.mark() = 3;
  const frame_ref shared = f;
  const frame_ref tagged = with_vlan_tag(f, 9);
  EXPECT_EQ(tagged.mark(), 3u);
  EXPECT_EQ(without_vlan_tag(tagged).mark(), 3u);
}

TEST(vlan, packets_behind_a_tag_are_read_and_their_payload_found) {
  const ip_address pairs[][2] = {
      {ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2)},
      {ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1}), ip_address::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2})}};
  for (const auto& [from, to] : pairs) {
    const frame_ref f = with_vlan_tag(tcp_frame(100, from, to), 4094);
    const parsed_frame p = parse_frame(f);
    ASSERT_EQ(p.kind, frame_class::tcp);
    EXPECT_EQ(p.vlan, 4094);
    EXPECT_EQ(p.tcp.tuple.remote, from);
    ASSERT_EQ(p.tcp.payload_length, 100u);
    for (std::uint32_t i = 0; i < 100; ++i) ASSERT_EQ(f.data()[p.tcp.payload_offset + i], i);
  }
  EXPECT_EQ(parse_frame(with_vlan_tag(make_arp_request(a, pairs[0][0], pairs[0][1]), 3)).kind,
            frame_class::arp_request);
}

TEST(vlan, a_priority_tag_names_no_vlan_and_two_tags_are_not_for_us) {
  frame_ref f = with_vlan_tag(tcp_frame(1, ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2)), 7);
  f.data()[14] = 0xa0;  // priority 5, VID 0
  f.data()[15] = 0;
  EXPECT_EQ(parse_frame(f).kind, frame_class::tcp);
  EXPECT_EQ(parse_frame(f).vlan, 0);
  EXPECT_EQ(parse_frame(with_vlan_tag(f, 8)).kind, frame_class::other);
}

TEST(vlan, a_frame_that_ends_in_its_tag_is_read_to_its_end_and_no_further) {
  const frame_ref whole =
      with_vlan_tag(tcp_frame(0, ip_address::v4(10, 0, 0, 1), ip_address::v4(10, 0, 0, 2)), 7);
  for (std::uint32_t n = 0; n < whole.size(); ++n) {
    const frame_ref cut = frame_ref::copy_of(whole.data(), n);
    EXPECT_NE(parse_frame(cut).kind, frame_class::tcp) << n;
    EXPECT_EQ(vlan_of(cut), n >= 18 ? 7 : 0) << n;
  }
}

}  // namespace
}  // namespace understudy
