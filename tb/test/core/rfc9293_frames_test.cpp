// The numbered requirements of RFC 9293 that concern frames: checksums, options, padding, what IP brings
// along.
#include "model/core/checksum.h"
#include "tb/test/core/engine_solo.h"

namespace understudy::tb {
namespace {

// A frame with `options` as raw bytes, padded to whole words, and a correct checksum.
frame_ref raw_frame(std::uint8_t flags, const std::vector<std::uint8_t>& options, std::uint32_t payload = 0) {
  segment s;
  s.tuple = {ip_a, ip_b, port_a, port_b};  // as its sender sees it
  s.seq = seq32{5000};
  s.flags = flags;
  s.window = 1000;
  const std::uint32_t words = static_cast<std::uint32_t>((options.size() + 3) / 4);
  frame_ref f = frame_ref::make(payload + 4 * words, 128);
  std::memset(f.data(), 0, f.size());
  std::copy(options.begin(), options.end(), f.data());
  prepend_headers(f, s, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 1);
  std::uint8_t* tcp = f.data() + 34;
  tcp[12] = static_cast<std::uint8_t>((5 + words) << 4);
  tcp[16] = tcp[17] = 0;
  const std::uint32_t n = f.size() - 34;
  const std::uint64_t pseudo = checksum_add({f.data() + 26, 8}, 6 + n);
  const std::uint16_t sum = checksum_finish(checksum_add({tcp, n}, pseudo));
  tcp[16] = static_cast<std::uint8_t>(sum >> 8);
  tcp[17] = static_cast<std::uint8_t>(sum);
  return f;
}

// The Internet checksum of RFC 1071, word by word: nothing of model/core/checksum.
std::uint16_t plain_sum(std::vector<std::uint8_t> bytes) {
  if (bytes.size() % 2) bytes.push_back(0);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

// A frame as the adapter builds it, untouched.
frame_ref built_frame(bool v6, std::uint32_t payload) {
  segment s;
  s.tuple =
      v6 ? four_tuple{ip6_a, ip6_b, port_a, port_b} : four_tuple{ip_a, ip_b, port_a, port_b};  // the sender's
  s.seq = seq32{0xfffffff0u};
  s.ack = seq32{77};
  s.flags = tcp_ack | tcp_psh;
  s.window = 1000;
  s.payload_length = payload;
  s.options.has_ts = true;
  s.options.tsval = 0x01020304;
  frame_ref f = frame_ref::make(payload, 128);
  for (std::uint32_t i = 0; i < payload; ++i) f.data()[i] = stream_byte(0, i);
  prepend_headers(f, s, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 1);
  return f;
}

TEST(rfc9293, MUST_2_what_is_sent_carries_its_checksum) {
  int judged = 0;
  for (const bool v6 : {false, true}) {
    for (const std::uint32_t payload : {0u, 1u, 2u, 3u, 536u, 1447u, 1448u}) {
      const frame_ref f = built_frame(v6, payload);
      const std::uint8_t* ip = f.data() + 14;
      const std::uint32_t ip_bytes = v6 ? 40 : 20;
      const std::uint32_t n = f.size() - 14 - ip_bytes;
      std::vector<std::uint8_t> covered(ip + (v6 ? 8 : 12), ip + ip_bytes);  // the addresses
      for (const std::uint32_t b : {n >> 24, n >> 16, n >> 8, n, 0u, 0u, 0u, 6u})
        covered.push_back(static_cast<std::uint8_t>(b));
      covered.insert(covered.end(), ip + ip_bytes, f.data() + f.size());
      EXPECT_EQ(plain_sum(covered), 0xffffu) << v6 << ' ' << payload;
      EXPECT_EQ(parse_frame(f).kind, frame_class::tcp);
      ++judged;
    }
  }
  EXPECT_EQ(judged, 14);
}

TEST(rfc9293, MUST_3_a_wrong_checksum_drops_the_segment) {
  for (const bool v6 : {false, true}) {
    // Addresses, TCP header, payload.
    for (std::uint32_t at = v6 ? 22 : 26; at < built_frame(v6, 9).size(); ++at) {
      frame_ref f = built_frame(v6, 9);
      f.data()[at] ^= 0x10;
      EXPECT_NE(parse_frame(f).kind, frame_class::tcp) << at;
    }
  }
}

TEST(rfc9293, MUST_4_5_options_are_received_in_any_segment) {
  const frame_ref f = raw_frame(tcp_ack | tcp_psh, {1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9}, 20);
  const parsed_frame p = parse_frame(f);
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_TRUE(p.tcp.options.has_ts);
  EXPECT_EQ(p.tcp.options.tsval, 7u);
  EXPECT_EQ(p.tcp.payload_length, 20u);
}

TEST(rfc9293, MUST_6_68_unknown_options_are_skipped_by_their_length) {
  const parsed_frame p = parse_frame(raw_frame(tcp_syn, {253, 6, 1, 2, 3, 4, 2, 4, 5, 0xb4}));
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.tcp.options.mss, 1460u);
}

TEST(rfc9293, MUST_7_illegal_option_lengths_are_survived) {
  for (const std::uint8_t length : {0, 1, 5, 40, 255}) {
    EXPECT_EQ(parse_frame(raw_frame(tcp_syn, {253, length, 1, 2})).kind, frame_class::bad_header) << +length;
    EXPECT_EQ(parse_frame(raw_frame(tcp_syn, {2, length, 1, 2})).kind, frame_class::bad_header) << +length;
  }
}

TEST(rfc9293, MUST_64_options_may_begin_anywhere) {
  for (std::size_t nops = 0; nops < 4; ++nops) {
    std::vector<std::uint8_t> o;
    o.reserve(8);
    while (o.size() < nops) o.push_back(1);
    for (const std::uint8_t b : {2, 4, 5, 0xb4}) o.push_back(b);
    EXPECT_EQ(parse_frame(raw_frame(tcp_syn, o)).tcp.options.mss, 1460u);
  }
}

// Header length counts words: where no option set leaves a gap, there is nothing to pad.
TEST(rfc9293, MUST_69_no_header_has_padding_that_is_not_zero) {
  int judged = 0;
  for (unsigned bits = 0; bits < 128; ++bits) {
    segment s;
    s.tuple = {ip_a, ip_b, port_a, port_b};
    s.flags = tcp_ack;
    if (bits & 1) s.options.mss = 1460;
    if (bits & 2) s.options.wscale = 7;
    s.options.sack_permitted = bits & 4;
    s.options.has_ts = bits & 8;
    s.options.sack_count = static_cast<std::uint8_t>(bits >> 4 & 7) % 5;
    frame_ref f = frame_ref::make(0, 128);
    prepend_headers(f, s, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, 1);
    const std::uint8_t* tcp = f.data() + 34;
    const std::uint32_t header = (tcp[12] >> 4) * 4u;
    ASSERT_EQ(header, f.size() - 34);
    std::uint32_t at = 20;
    while (at < header && tcp[at] != 0) at += tcp[at] == 1 ? 1u : tcp[at + 1];
    ASSERT_LE(at, header) << "an option reaches beyond the header";
    for (; at < header; ++at) EXPECT_EQ(tcp[at], 0) << bits;
    ++judged;
  }
  EXPECT_EQ(judged, 128);
  // And what a peer pads with is not looked at.
  const parsed_frame p = parse_frame(raw_frame(tcp_syn, {2, 4, 5, 0xb4, 0, 0xff, 2, 0}));
  ASSERT_EQ(p.kind, frame_class::tcp);
  EXPECT_EQ(p.tcp.options.mss, 1460u);
}

// ------------------------------------------------------------------------------------------------ from IP

void put_sum(std::uint8_t* at, std::uint16_t sum) {
  at[0] = static_cast<std::uint8_t>(sum >> 8);
  at[1] = static_cast<std::uint8_t>(sum);
}

TEST(rfc9293, MUST_50_ip_options_are_ignored) {
  const std::vector<std::vector<std::uint8_t>> options = {
      {7, 7, 4, 0, 0, 0, 0, 0},                  // record route
      {68, 8, 5, 0, 0, 0, 0, 0},                 // timestamp
      {131, 7, 4, 10, 0, 0, 9, 0},               // loose source route
      {137, 7, 4, 10, 0, 0, 9, 0},               // strict source route
      {1, 1, 1, 0},                              // nothing at all
      {30, 4, 1, 2},                             // nobody knows
      {30, 0, 1, 2},                             // of no length
      std::vector<std::uint8_t>(40, 0xff),       // as many as there can be
      {148, 4, 0, 0, 1, 1, 1, 1, 130, 4, 0, 0},  // router alert, security
  };
  for (const auto& o : options) {
    const frame_ref plain = built_frame(false, 100);
    const auto more = static_cast<std::uint32_t>(o.size());
    frame_ref f = frame_ref::make(plain.size() + more, 0);
    std::copy(plain.data(), plain.data() + 34, f.data());
    std::copy(o.begin(), o.end(), f.data() + 34);
    std::copy(plain.data() + 34, plain.data() + plain.size(), f.data() + 34 + more);
    std::uint8_t* ip = f.data() + 14;
    ip[0] = static_cast<std::uint8_t>(0x40 | (5 + more / 4));
    put_sum(ip + 2, static_cast<std::uint16_t>(f.size() - 14));
    put_sum(ip + 10, 0);
    put_sum(ip + 10, checksum_finish(checksum_add({ip, 20 + more})));
    const parsed_frame with = parse_frame(f), without = parse_frame(plain);
    ASSERT_EQ(with.kind, frame_class::tcp) << +o[0];
    EXPECT_EQ(with.tcp.tuple, without.tcp.tuple);
    EXPECT_EQ(with.tcp.seq, without.tcp.seq);
    EXPECT_EQ(with.tcp.options.tsval, without.tcp.options.tsval);
    ASSERT_EQ(with.tcp.payload_length, 100u);
    EXPECT_TRUE(std::equal(f.data() + with.tcp.payload_offset, f.data() + f.size(),
                           plain.data() + without.tcp.payload_offset));
  }
}

// An ICMP error about a segment of `t`, whole and with a right checksum.
frame_ref icmp_error(const solo& t, std::uint8_t type, std::uint8_t code) {
  segment quoted;
  quoted.tuple = t.tuple;
  quoted.seq = t.ack;
  quoted.flags = tcp_ack;
  frame_ref q = frame_ref::make(0, 128);
  prepend_headers(q, quoted, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, 1);
  const std::uint32_t quote = q.size() - 14;
  frame_ref f = frame_ref::make(14 + 20 + 8 + quote, 0);
  std::memset(f.data(), 0, f.size());
  std::memcpy(f.data(), q.data(), 34);  // as if from the peer to the adapter
  std::uint8_t* ip = f.data() + 14;
  put_sum(ip + 2, static_cast<std::uint16_t>(f.size() - 14));
  ip[9] = 1;
  std::swap_ranges(ip + 12, ip + 16, ip + 16);
  put_sum(ip + 10, 0);
  put_sum(ip + 10, checksum_finish(checksum_add({ip, 20})));
  std::uint8_t* icmp = ip + 20;
  icmp[0] = type;
  icmp[1] = code;
  std::memcpy(icmp + 8, q.data() + 14, quote);
  put_sum(icmp + 2, checksum_finish(checksum_add({icmp, 8 + quote})));
  return f;
}

// What an adapter does with it: no segment, so the engine never hears of it.
void hear(solo& t, std::uint8_t type, std::uint8_t code) {
  const frame_ref f = icmp_error(t, type, code);
  const parsed_frame p = parse_frame(f);
  EXPECT_EQ(p.kind, frame_class::other) << +type << ' ' << +code;
  if (p.kind == frame_class::tcp) t.e.take(f);
  t.time.run_for(t.step);
}

TEST(rfc9293, MUST_55_a_source_quench_is_dropped_in_silence) {
  solo t;
  t.establish();
  t.e.post(t.id(), 1000);
  t.time.run_for(t.step);
  t.fresh();
  const std::uint32_t cwnd = t.view().cwnd;
  hear(t, 4, 0);
  EXPECT_EQ(t.view().cwnd, cwnd);
  EXPECT_TRUE(t.fresh().empty());
}

TEST(rfc9293, MUST_56_no_soft_error_of_icmp_aborts_a_connection) {
  const std::pair<std::uint8_t, std::uint8_t> soft[] = {{3, 0},  {3, 1},  {3, 5},  {11, 0},
                                                        {11, 1}, {12, 0}, {12, 1}, {12, 2}};
  solo t;
  t.establish();
  t.e.post(t.id(), 1000);
  t.time.run_for(t.step);
  for (const auto& [type, code] : soft) hear(t, type, code);
  EXPECT_EQ(t.state(), US_TCP_ESTABLISHED);
  t.ack += 1000;
  t.ack_only();
  EXPECT_EQ(t.view().hard.snd_una, t.ack) << "and it goes on";
  solo opening;  // nor while it opens
  opening.e.open({ip_b, ip_a, 81, port_a}, 700);
  opening.time.run_for(opening.step);
  for (const auto& [type, code] : soft) hear(opening, type, code);
  EXPECT_EQ(opening.state(), US_TCP_SYN_SENT);
}

}  // namespace
}  // namespace understudy::tb
