#include "tb/workload/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tb/test/workload/capture_builder.h"

namespace understudy::tb::test {
namespace {

constexpr auto to_server = flow_direction::client_to_server;
constexpr auto to_client = flow_direction::server_to_client;

capture read(const capture_file& f) {
  const scratch_file file(f.bytes());
  return read_capture(file.path());
}

std::string text(const flow& f, flow_direction d) {
  const auto bytes = f.stream_of(d).from(0);
  return {bytes.begin(), bytes.end()};
}

// The message of the capture_error; empty if none was thrown.
std::string error_of(const octets& bytes) {
  const scratch_file file(bytes);
  try {
    read_capture(file.path());
  } catch (const capture_error& e) {
    const std::string message = e.what();
    EXPECT_EQ(message.find(file.path() + ": "), 0u) << "the message names the file first: " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message.substr(file.path().size() + 2);
  }
  return "";
}

// Handshake of a connection whose first data bytes are client 101 and server 501.
capture_file opened() {
  capture_file f;
  f.add({true, 100, syn}).add({false, 500, syn | ack, "", 101}).add({true, 101, ack, "", 501});
  return f;
}

TEST(capture, a_whole_conversation_is_read_with_its_turns_and_its_end) {
  auto f = opened();
  f.add({true, 101, ack, "hello"}).add({true, 106, ack, "!"}).add({false, 501, ack, "world"});
  f.add({false, 506, ack | fin}).add({true, 107, ack | fin}).add({false, 507, ack});
  const capture c = read(f);
  ASSERT_EQ(c.flows.size(), 1u);
  const flow& w = c.flows[0];
  EXPECT_EQ(text(w, to_server), "hello!");
  EXPECT_EQ(text(w, to_client), "world");
  EXPECT_EQ(w.client.address, "10.0.0.1");
  EXPECT_EQ(w.client.port, 40000);
  EXPECT_EQ(w.server.address, "10.0.0.2");
  EXPECT_EQ(w.server.port, 80);
  EXPECT_TRUE(w.had_syn && w.had_fin);
  EXPECT_FALSE(w.had_rst || w.was_ipv6 || w.had_vlan || w.was_cut);
  ASSERT_EQ(w.turns.size(), 2u);
  EXPECT_EQ(w.turns[0].from, to_server);
  EXPECT_EQ(w.turns[0].length, 6u);
  EXPECT_EQ(w.turns[0].at, 3_us);
  EXPECT_EQ(w.turns[0].gap, 3_us);
  EXPECT_EQ(w.turns[1].from, to_client);
  EXPECT_EQ(w.turns[1].offset, 0u);
  EXPECT_EQ(w.turns[1].at, 5_us);
  EXPECT_EQ(w.turns[1].gap, 1_us);
  EXPECT_TRUE(w.closing.has_first);
  EXPECT_EQ(w.closing.first, to_client);
  EXPECT_EQ(w.closing.after_turns, 2u);
  EXPECT_EQ(c.summary.packets, 9u);
  EXPECT_EQ(c.summary.bytes_to_server, 6u);
  EXPECT_EQ(c.summary.bytes_to_client, 5u);
}

TEST(capture, pipelined_turns_alternate_as_captured) {
  auto f = opened();
  f.add({true, 101, ack, "a"})
      .add({false, 501, ack, "1"})
      .add({true, 102, ack, "b"})
      .add({false, 502, ack, "2"});
  const flow w = read(f).flows.at(0);
  ASSERT_EQ(w.turns.size(), 4u);
  EXPECT_EQ(w.turns[2].from, to_server);
  EXPECT_EQ(w.turns[2].offset, 1u);
}

TEST(capture, a_pause_starts_a_new_turn_of_the_same_speaker) {
  auto f = opened();
  f.add({true, 101, ack, "a"}).wait(2'000'000).add({true, 102, ack, "b"});
  const flow w = read(f).flows.at(0);
  ASSERT_EQ(w.turns.size(), 2u);
  EXPECT_EQ(w.turns[1].from, to_server);
  EXPECT_EQ(w.turns[1].gap, 2_ms + 1_us);
}

TEST(capture, retransmitted_bytes_count_once) {
  auto f = opened();
  f.add({true, 101, ack, "abc"})
      .add({true, 101, ack, "abc"})
      .add({true, 101, ack, "abcdef"})
      .add({true, 104, ack, "def"});
  EXPECT_EQ(text(read(f).flows.at(0), to_server), "abcdef");
}

TEST(capture, reordered_segments_are_put_in_order) {
  auto f = opened();
  f.add({true, 107, ack, "ghi"})
      .add({true, 104, ack, "def"})
      .add({true, 101, ack, "abc"})
      .add({false, 501, ack, "ok"});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(text(w, to_server), "abcdefghi");
  EXPECT_FALSE(w.was_cut);
  ASSERT_EQ(w.turns.size(), 2u);
  EXPECT_EQ(w.turns[0].at, 5_us) << "a turn begins when its first byte is there";
}

TEST(capture, overlaps_keep_the_first_copy_of_a_byte) {
  auto f = opened();
  f.add({true, 101, ack, "ab"})
      .add({true, 105, ack, "EF"})
      .add({true, 102, ack, "xcdxxg"})
      .add({true, 103, ack, "zzzzzzz"});
  EXPECT_EQ(text(read(f).flows.at(0), to_server), "abcdEFgzz");
}

TEST(capture, a_shorter_copy_beyond_a_hole_is_completed_by_a_longer_one) {
  auto f = opened();
  f.add({true, 103, ack, "c"}).add({true, 103, ack, "cde"}).add({true, 101, ack, "ab"});
  EXPECT_EQ(text(read(f).flows.at(0), to_server), "abcde");
}

TEST(capture, keep_alive_probes_are_ignored) {
  auto f = opened();
  f.add({true, 100, ack, "?"}).add({true, 101, ack, "a"}).add({true, 101, ack}).add({true, 101, ack, "?"});
  f.add({false, 500, ack, "?"}).add({true, 102, ack, "b"});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(text(w, to_server), "ab");
  EXPECT_EQ(text(w, to_client), "");
  EXPECT_EQ(w.turns.size(), 1u);
}

TEST(capture, sequence_numbers_wrap) {
  capture_file f;
  f.add({true, 0xfffffffd, syn}).add({false, 0xffffffff, syn | ack, "", 0xfffffffe});
  f.add({true, 1, ack, "de"}).add({true, 0xfffffffe, ack, "abc"}).add({false, 0, ack, "xyz"});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(text(w, to_server), "abcde");
  EXPECT_EQ(text(w, to_client), "xyz");
}

TEST(capture, without_syn_the_higher_port_is_the_client_and_the_first_byte_seen_starts) {
  capture_file f;
  f.add({false, 7000, ack, "answer"}).add({true, 300, ack, "again"}).add({true, 290, ack, "older"});
  const capture c = read(f);
  const flow& w = c.flows.at(0);
  EXPECT_EQ(w.client.port, 40000);
  EXPECT_FALSE(w.had_syn);
  EXPECT_EQ(text(w, to_server), "again");
  EXPECT_EQ(text(w, to_client), "answer");
  EXPECT_EQ(c.summary.without_syn, 1u);
}

TEST(capture, the_side_that_sent_the_syn_is_the_client_even_with_the_lower_port) {
  capture_file f;
  f.add({true, 1, syn, "", 0, 20, 50000}).add({true, 2, ack, "data", 0, 20, 50000});
  EXPECT_EQ(read(f).flows.at(0).client.port, 20);
}

TEST(capture, a_syn_ack_alone_shows_who_is_the_server) {
  capture_file f;
  f.add({false, 1, syn | ack, "", 9, 20, 50000}).add({true, 9, ack, "data", 0, 20, 50000});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(w.server.port, 50000);
  EXPECT_TRUE(w.had_syn);
}

TEST(capture, data_on_the_syn_belongs_to_the_stream) {
  capture_file f;
  f.add({true, 100, syn, "fast"}).add({false, 500, syn | ack, "", 105}).add({true, 105, ack, "open"});
  EXPECT_EQ(text(read(f).flows.at(0), to_server), "fastopen");
}

TEST(capture, without_fin_no_side_closes_first) {
  auto f = opened();
  f.add({true, 101, ack, "abc"}).add({false, 501, rst | ack, "why"});
  const capture c = read(f);
  EXPECT_FALSE(c.flows.at(0).closing.has_first);
  EXPECT_TRUE(c.flows.at(0).had_rst);
  EXPECT_EQ(text(c.flows.at(0), to_client), "") << "a reset carries no stream bytes";
  EXPECT_EQ(c.summary.without_fin, 1u);
}

TEST(capture, a_half_close_is_kept_where_it_happened) {
  auto f = opened();
  f.add({true, 101, ack, "q"})
      .add({false, 501, ack, "12"})
      .add({true, 102, ack | fin})
      .add({false, 503, ack, "34"});
  f.add({false, 505, ack | fin});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(w.closing.first, to_server);
  EXPECT_EQ(w.closing.after_turns, 2u);
  ASSERT_EQ(w.turns.size(), 3u) << "what is said after the FIN is a turn of its own";
  EXPECT_EQ(w.turns[2].offset, 2u);
}

TEST(capture, a_fin_that_overtakes_data_counts_when_the_data_is_there) {
  auto f = opened();
  f.add({true, 103, ack | fin, "c"})
      .add({false, 501, ack, "x"})
      .add({true, 101, ack, "ab"})
      .add({false, 502, ack, "y"});
  const flow w = read(f).flows.at(0);
  EXPECT_EQ(text(w, to_server), "abc");
  EXPECT_EQ(w.closing.after_turns, 2u);
  EXPECT_EQ(w.turns.size(), 3u);
}

TEST(capture, port_reuse_makes_flows_of_their_own) {
  auto f = opened();
  f.add({true, 101, ack, "first"}).add({true, 106, ack | fin}).add({false, 501, ack | fin});
  f.add({true, 90000, syn})
      .add({true, 90000, syn})
      .add({false, 70000, syn | ack, "", 90001})
      .add({true, 90001, ack, "second"});
  const capture c = read(f);
  ASSERT_EQ(c.flows.size(), 2u);
  EXPECT_EQ(text(c.flows[0], to_server), "first");
  EXPECT_EQ(text(c.flows[1], to_server), "second");
  EXPECT_EQ(c.flows[1].start, 6_us);
}

TEST(capture, ports_used_again_after_a_flow_without_syn_make_a_new_flow) {
  capture_file f;
  f.add({false, 7000, ack, "old"})
      .add({true, 100, syn})
      .add({false, 500, syn | ack, "", 101})
      .add({true, 101, ack, "new"});
  const capture c = read(f);
  ASSERT_EQ(c.flows.size(), 2u);
  EXPECT_EQ(text(c.flows[1], to_server), "new");
}

TEST(capture, a_syn_that_follows_its_syn_ack_is_of_the_same_flow) {
  capture_file f;
  f.add({false, 500, syn | ack, "", 101})
      .add({true, 100, syn})
      .add({true, 101, ack, "data"})
      .add({true, 100, syn});
  EXPECT_EQ(read(f).flows.size(), 1u);
}

TEST(capture, a_flow_ends_at_its_last_contiguous_byte) {
  auto f = opened();
  f.add({true, 101, ack, "abc"}).add({true, 110, ack, "lost before me"}).add({false, 501, ack, "answer"});
  const capture c = read(f);
  EXPECT_EQ(text(c.flows.at(0), to_server), "abc");
  EXPECT_EQ(text(c.flows.at(0), to_client), "answer");
  EXPECT_TRUE(c.flows.at(0).was_cut);
  EXPECT_EQ(c.summary.cut_flows, 1u);
}

TEST(capture, a_packet_cut_by_the_snapshot_length_ends_its_stream) {
  auto f = opened();
  const auto whole = ethernet(ipv4_bytes({true, 101, ack, "abcdefghijklmnop"}));
  f.add_packet(whole, whole.size() - 4).add({true, 117, ack, "qrs"});
  const capture c = read(f);
  EXPECT_EQ(text(c.flows.at(0), to_server), "abcdefghijkl");
  EXPECT_EQ(c.summary.cut_flows, 1u);
}

TEST(capture, ethernet_padding_is_no_payload) {
  auto f = opened();
  f.add({true, 101, ack, "a"}).add({true, 102, ack, "b"});
  EXPECT_EQ(text(read(f).flows.at(0), to_server), "ab");
}

TEST(capture, an_ip_length_of_zero_means_the_whole_frame) {
  auto f = opened();
  const std::string large(3000, 'L');
  f.add_packet(ethernet(ipv4_bytes({true, 101, ack, large}, true)));
  EXPECT_EQ(text(read(f).flows.at(0), to_server), large);
}

TEST(capture, vlan_tags_are_read_and_counted) {
  for (const std::vector<std::uint16_t>& tags :
       {std::vector<std::uint16_t>{0x8100}, {0x88a8, 0x8100}, {0x9100, 0x8100}}) {
    capture_file f;
    f.add_packet(ethernet(ipv4_bytes({true, 100, syn}), tags))
        .add_packet(ethernet(ipv4_bytes({true, 101, ack, "data"}), tags));
    const capture c = read(f);
    EXPECT_EQ(text(c.flows.at(0), to_server), "data");
    EXPECT_EQ(c.summary.vlan_flows, 1u);
    EXPECT_THAT(describe(c.summary), testing::HasSubstr("1 flows lose their VLAN tags\n"));
  }
}

TEST(capture, ipv6_is_read_and_counted_with_extension_headers_too) {
  for (const bool extension : {false, true}) {
    capture_file f;
    f.add_packet(ethernet(ipv6_bytes({true, 100, syn}, extension)))
        .add_packet(ethernet(ipv6_bytes({true, 101, ack, "data"}, extension)));
    const capture c = read(f);
    EXPECT_EQ(text(c.flows.at(0), to_server), "data");
    EXPECT_EQ(c.flows.at(0).client.address, "fd00::1");
    EXPECT_EQ(c.summary.ipv6_flows, 1u);
    EXPECT_THAT(describe(c.summary), testing::HasSubstr("1 flows are IPv6\n"));
  }
}

TEST(capture, other_link_types_are_read) {
  const auto with_header = [](octets header, const octets& ip) {
    append(header, ip);
    return header;
  };
  octets cooked(14, 0);
  put16(cooked, 0x0800);
  octets cooked2;
  put16(cooked2, 0x0800);
  cooked2.resize(20);
  // Link types of the file format: raw IP 101, null 0, loop 108, IPv4 228, Linux cooked 113 and 276.
  const std::pair<std::uint32_t, octets> kinds[] = {{101, {}},           {0, {2, 0, 0, 0}}, {0, {0, 0, 0, 2}},
                                                    {108, {0, 0, 0, 2}}, {228, {}},         {113, cooked},
                                                    {276, cooked2}};
  for (const auto& [type, header] : kinds) {
    capture_file f(type);
    f.add_packet(with_header(header, ipv4_bytes({true, 100, syn})));
    f.add_packet(with_header(header, ipv4_bytes({true, 101, ack, "data"})));
    const capture c = read(f);
    ASSERT_EQ(c.flows.size(), 1u) << "link type " << type;
    EXPECT_EQ(text(c.flows[0], to_server), "data") << "link type " << type;
  }
}

TEST(capture, what_is_no_tcp_is_counted) {
  auto f = opened();
  f.add({true, 101, ack, "data"});
  octets udp = ipv4_bytes({true, 1, ack, "x"});
  udp[9] = 17;
  octets arp(60, 0);
  arp[12] = 8;
  arp[13] = 6;
  octets bad_offset = ipv4_bytes({true, 1, ack, "x"});
  bad_offset[32] = 0x10;
  f.add_packet(ethernet(udp))
      .add_packet(arp)
      .add_packet(ethernet(ipv4_bytes({true, 1, ack, "x"}, false, 0x2000)));
  f.add_packet(ethernet(bad_offset)).add_packet(octets(5, 0)).add_packet(ethernet(ipv4_bytes({true, 1})), 40);
  const capture_summary s = read(f).summary;
  EXPECT_EQ(s.packets, 10u);
  EXPECT_EQ(s.tcp_packets, 4u);
  EXPECT_EQ(s.not_tcp, 1u);
  EXPECT_EQ(s.not_ip, 1u);
  EXPECT_EQ(s.fragments, 1u);
  EXPECT_EQ(s.malformed, 3u);
}

TEST(capture, flows_without_payload_are_skipped_and_counted) {
  auto f = opened();
  f.add({true, 101, ack, "data"});
  f.add({true, 1, syn, "", 0, 40001}).add({false, 0, rst | ack, "", 2, 40001});
  f.add({true, 1, syn, "", 0, 40002}).add({true, 5, ack, "first bytes missing", 0, 40002});
  const capture c = read(f);
  EXPECT_EQ(c.flows.size(), 1u);
  EXPECT_EQ(c.summary.skipped_no_payload, 1u);
  EXPECT_EQ(c.summary.skipped_cut, 1u);
  EXPECT_THAT(describe(c.summary), testing::HasSubstr("1 connections skipped: no payload\n"));
}

TEST(capture, any_cut_of_any_packet_is_survived) {
  const octets packets[] = {ethernet(ipv4_bytes({true, 101, ack, "data"}), {0x8100}),
                            ethernet(ipv6_bytes({true, 101, ack, "data"}, true))};
  for (const octets& p : packets) {
    for (std::size_t n = 0; n < p.size(); ++n) {
      auto f = opened();
      f.add({true, 101, ack, "data"})
          .add_packet(octets(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(n)))
          .add_packet(p, n);
      EXPECT_GE(read(f).flows.size(), 1u);
    }
  }
}

TEST(capture, unusable_files_are_refused_in_one_line) {
  auto good = opened();
  good.add({true, 101, ack, "data"});
  const octets& whole = good.bytes();
  ASSERT_EQ(error_of(whole), "") << "the file that the others derive from is sound";

  EXPECT_EQ(error_of({}), "the file is empty");
  EXPECT_EQ(error_of({1, 2}), "not a packet capture (pcap or pcapng)");
  EXPECT_THAT(error_of(octets(100, 'x')), testing::StartsWith("not a packet capture (pcap or pcapng): "));
  EXPECT_THAT(error_of(octets(whole.begin(), whole.begin() + 10)),
              testing::StartsWith("the capture is truncated: "));
  EXPECT_EQ(error_of(capture_file().bytes()), "the capture holds no packet");
  for (std::size_t cut = 1; cut < 16 + 60; ++cut)
    EXPECT_THAT(error_of(octets(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(cut))),
                testing::StartsWith("the capture is truncated after packet 3: "));
  octets damaged = whole;
  damaged[24 + 8] = 0x7f;  // a captured length of 2 GB
  EXPECT_THAT(error_of(damaged), testing::StartsWith("the capture is "));
  EXPECT_THAT(error_of(capture_file(105).add_packet(octets(60, 0)).bytes()),
              testing::HasSubstr("is not supported"));
  EXPECT_EQ(error_of(capture_file().add_packet(octets(60, 0)).bytes()), "no TCP among its 1 packets");
  EXPECT_EQ(error_of(opened().bytes()), "no TCP payload in its 3 TCP packets");
}

TEST(capture, a_missing_file_is_named_with_its_cause) {
  EXPECT_THAT([] { read_capture("/nonexistent/x.pcap"); },
              testing::ThrowsMessage<capture_error>(
                  "/nonexistent/x.pcap: cannot be opened: No such file or directory"));
}

}  // namespace
}  // namespace understudy::tb::test
