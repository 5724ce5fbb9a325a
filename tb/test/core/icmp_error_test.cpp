// ICMP errors that say a packet was too big: what is taken from them, and what is none.
#include "model/core/icmp_error.h"

#include <gtest/gtest.h>

#include "model/core/vlan.h"
#include "tb/test/core/too_big.h"

namespace understudy::tb {
namespace {

constexpr mac_address ours{2, 0, 0, 0, 0, 1}, router{2, 0, 0, 0, 0, 9};

segment sample(bool v4) {
  segment s;
  s.tuple.local = v4 ? ip_address::v4(10, 0, 0, 1) : ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 1});
  s.tuple.remote = v4 ? ip_address::v4(10, 9, 0, 2) : ip_address::v6({0xfd99, 0, 0, 0, 0, 0, 0, 2});
  s.tuple.local_port = 80;
  s.tuple.remote_port = 40000;
  s.seq = seq32{0xfffffff0u};
  s.flags = tcp_ack;
  return s;
}

// A segment of ours with 1,400 bytes.
frame_ref dropped(bool v4) {
  frame_ref f = frame_ref::make(1400, 128);
  std::fill_n(f.data(), 1400, std::uint8_t{7});
  prepend_headers(f, sample(v4), ours, router, 1);
  return f;
}

std::uint32_t headers(bool v4) {
  return v4 ? 20 : 40;
}

TEST(icmp_error, both_families_name_connection_number_and_mtu) {
  for (const bool v4 : {true, false}) {
    const too_big_message m(dropped(v4), 1400);
    const parsed_frame p = m.parsed();
    ASSERT_EQ(p.kind, frame_class::packet_too_big) << v4;
    EXPECT_EQ(p.tcp.tuple, sample(v4).tuple);
    EXPECT_EQ(p.tcp.seq, sample(v4).seq);
    EXPECT_EQ(p.mtu, 1400u);
    const parsed_frame tagged = parse_frame(with_vlan_tag(m.frame(), 42));
    EXPECT_EQ(tagged.kind, frame_class::packet_too_big);
    EXPECT_EQ(tagged.vlan, 42);
  }
}

TEST(icmp_error, an_ipv6_mtu_has_32_bits_and_its_code_says_nothing) {
  too_big_message m(dropped(false), 0x12345678);
  m.icmp()[1] = 3;
  m.seal();
  EXPECT_EQ(m.parsed().kind, frame_class::packet_too_big);
  EXPECT_EQ(m.parsed().mtu, 0x12345678u);
}

TEST(icmp_error, a_quote_that_ends_before_the_sequence_number_is_a_bad_length) {
  unsigned judged = 0;
  for (const bool v4 : {true, false})
    for (std::size_t n = 0; n < headers(v4) + 12; ++n, ++judged) {
      const frame_class want = n < headers(v4) + 8 ? frame_class::bad_length : frame_class::packet_too_big;
      EXPECT_EQ(too_big_message(dropped(v4), 1400, n).parsed().kind, want) << v4 << ' ' << n;
    }
  EXPECT_EQ(judged, 84u);
}

TEST(icmp_error, a_frame_cut_anywhere_is_none) {
  for (const bool v4 : {true, false}) {
    const too_big_message m(dropped(v4), 1400);
    for (std::uint32_t n = 0; n < m.bytes.size(); ++n)
      EXPECT_NE(parse_frame(frame_ref::copy_of(m.bytes.data(), n)).kind, frame_class::packet_too_big) << n;
  }
}

TEST(icmp_error, a_wrong_bit_anywhere_in_the_message_is_a_bad_checksum) {
  for (const bool v4 : {true, false}) {
    const too_big_message m(dropped(v4), 1400);
    const std::size_t from = too_big_message::ip_at + headers(v4);
    for (std::size_t bit = 8 * from; bit < 8 * m.bytes.size(); ++bit) {
      too_big_message wrong = m;
      wrong.bytes[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
      ASSERT_EQ(wrong.parsed().kind, frame_class::bad_checksum) << v4 << ' ' << bit;
    }
  }
}

// The message with a byte of the quote changed and the checksum right again.
frame_class with_quoted(bool v4, std::size_t at, std::uint8_t value) {
  too_big_message m(dropped(v4), 1400);
  m.quote()[at] = value;
  m.seal();
  return m.parsed().kind;
}

TEST(icmp_error, what_is_quoted_must_be_a_segment_in_one_piece_from_whom_it_is_sent_to) {
  EXPECT_EQ(with_quoted(true, 8, 3), frame_class::packet_too_big) << "routers lower the TTL";
  EXPECT_EQ(with_quoted(true, 0, 0x65), frame_class::other) << "version";
  EXPECT_EQ(with_quoted(true, 0, 0x44), frame_class::other) << "header length";
  EXPECT_EQ(with_quoted(true, 9, 17), frame_class::other) << "UDP";
  EXPECT_EQ(with_quoted(true, 7, 1), frame_class::other) << "a fragment's offset";
  EXPECT_EQ(with_quoted(true, 6, 0x20), frame_class::other) << "more fragments";
  EXPECT_EQ(with_quoted(true, 15, 2), frame_class::other) << "another source";
  EXPECT_EQ(with_quoted(false, 7, 3), frame_class::packet_too_big) << "routers lower the hop limit";
  EXPECT_EQ(with_quoted(false, 0, 0x45), frame_class::other) << "version";
  EXPECT_EQ(with_quoted(false, 6, 17), frame_class::other) << "UDP";
  EXPECT_EQ(with_quoted(false, 6, 44), frame_class::other) << "a fragment";
  EXPECT_EQ(with_quoted(false, 6, 0), frame_class::other) << "an extension header";
  EXPECT_EQ(with_quoted(false, 23, 2), frame_class::other) << "another source";
}

TEST(icmp_error, options_of_the_quoted_header_are_skipped) {
  too_big_message m(dropped(true), 1400);
  std::copy_backward(m.quote() + 20, m.bytes.data() + m.bytes.size() - 4, m.bytes.data() + m.bytes.size());
  m.quote()[0] = 0x46;
  m.seal();
  const parsed_frame p = m.parsed();
  ASSERT_EQ(p.kind, frame_class::packet_too_big);
  EXPECT_EQ(p.tcp.seq, sample(true).seq);
  too_big_message longer(dropped(true), 1400, 20 + 8);
  longer.quote()[0] = 0x4f;
  longer.seal();
  EXPECT_EQ(longer.parsed().kind, frame_class::bad_length) << "options beyond the quote";
}

TEST(icmp_error, other_types_and_codes_are_not_for_us) {
  too_big_message m(dropped(true), 1400);
  for (int code = 0; code < 256; ++code) {
    m.icmp()[1] = static_cast<std::uint8_t>(code);
    m.seal();
    EXPECT_EQ(m.parsed().kind, code == 4 ? frame_class::packet_too_big : frame_class::other) << code;
  }
  m.icmp()[1] = 4;
  for (int type = 0; type < 256; ++type) {
    m.icmp()[0] = static_cast<std::uint8_t>(type);
    m.seal();
    EXPECT_EQ(m.parsed().kind, type == 3 ? frame_class::packet_too_big : frame_class::other) << type;
  }
  too_big_message six(dropped(false), 1400);
  for (const std::uint8_t type : {1, 3, 4, 127, 129, 200}) {
    six.icmp()[0] = type;
    six.seal();
    EXPECT_EQ(six.parsed().kind, frame_class::other) << +type;
  }
}

TEST(icmp_error, an_old_router_means_the_plateau_below_the_quoted_length) {
  EXPECT_EQ(too_big_message(dropped(true), 0).parsed().mtu, 1006u) << "of 1440 bytes";
  const std::pair<std::uint32_t, std::uint32_t> steps[] = {
      {65535, 32000}, {1501, 1492}, {1493, 1492}, {1492, 1006}, {508, 296}, {296, 68}, {68, 68}, {0, 68}};
  for (const auto& [length, mtu] : steps) EXPECT_EQ(plateau_below(length), mtu) << length;
  EXPECT_EQ(too_big_message(dropped(false), 0).parsed().mtu, 0u) << "IPv6 has no such routers";
}

}  // namespace
}  // namespace understudy::tb
