#include "tb/peers/responder/responder_peer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tb/test/net/station.h"

namespace understudy::tb {
namespace {

constexpr ip_address host_ip = ip_address::v4(10, 0, 0, 1);
constexpr ip_address peer_ip = ip_address::v4(10, 0, 0, 4);
const mac_address host_mac = mac_of(1);
const mac_address peer_mac = mac_of(2);

struct responder_test : ::testing::Test {
  test_station host{"host"};
  responder_peer peer{"peer", {peer_mac, peer_ip, 1460}, 1};
  std::size_t heard = 0;

  responder_test() { host.eth.bind(peer.eth()); }

  static segment of(std::uint32_t seq, std::uint32_t ack, std::uint8_t flags) {
    segment s;
    s.tuple = {host_ip, peer_ip, 80, 10000};
    s.seq = seq32{seq};
    s.ack = seq32{ack};
    s.flags = flags;
    s.window = 100;
    s.options.has_ts = true;
    s.options.tsval = 77;
    return s;
  }
  void say(segment s, const std::string& payload = "") {
    frame_ref f = frame_ref::make(static_cast<std::uint32_t>(payload.size()), 94);
    std::memcpy(f.data(), payload.data(), payload.size());
    s.payload_length = static_cast<std::uint32_t>(payload.size());
    prepend_headers(f, s, host_mac, peer_mac, 1);
    host.send(std::move(f));
    sc_core::sc_start(1, sc_core::SC_US);
  }
  // The one answer to what was said last; sound by its checksums.
  parsed_frame answer() {
    EXPECT_EQ(host.arrivals.size(), heard + 1);
    if (host.arrivals.size() <= heard) return {};
    return parse_frame(host.arrivals[heard++].f, true);
  }
  void expect_silence() { EXPECT_EQ(host.arrivals.size(), heard); }
  std::string payload(const segment& s) const {
    const std::uint8_t* p = host.arrivals[heard - 1].f.data() + s.payload_offset;
    return {p, p + s.payload_length};
  }
};

TEST_F(responder_test, answers_a_syn_with_the_peers_own_number_and_agrees_to_its_options) {
  segment syn = of(5000, 0, tcp_syn);
  syn.options.wscale = 3;
  say(syn);
  const segment a = answer().tcp;
  EXPECT_EQ(a.flags, tcp_syn | tcp_ack);
  EXPECT_EQ(a.seq.raw, 5000u);
  EXPECT_EQ(a.ack.raw, 5001u);
  EXPECT_EQ(a.options.mss, 1460);
  EXPECT_GE(a.options.wscale, 0);
  EXPECT_TRUE(a.options.has_ts);
  EXPECT_EQ(a.options.tsecr, 77u);
  EXPECT_NE(a.options.tsval, 0u);
}

TEST_F(responder_test, sends_every_byte_back_with_its_acknowledgment) {
  say(of(6001, 6001, tcp_ack | tcp_psh), "some bytes");
  const segment a = answer().tcp;
  EXPECT_EQ(a.seq.raw, 6001u);
  EXPECT_EQ(a.ack.raw, 6011u);
  EXPECT_EQ(payload(a), "some bytes");
  say(of(6011, 6001, tcp_ack), "more");  // before the host has seen the first answer
  const segment b = answer().tcp;
  EXPECT_EQ(b.seq.raw, 6011u);
  EXPECT_EQ(b.ack.raw, 6015u);
}

TEST_F(responder_test, answers_a_fin_with_a_fin_however_often_it_comes) {
  for (int i = 0; i < 2; ++i) {
    say(of(7000, 7000, tcp_ack | tcp_fin), "end");
    const segment a = answer().tcp;
    EXPECT_EQ(a.flags, tcp_ack | tcp_fin);
    EXPECT_EQ(a.seq.raw, 7000u);
    EXPECT_EQ(a.ack.raw, 7004u);
    EXPECT_EQ(payload(a), "end");
  }
  say(of(7004, 7004, tcp_ack));
  expect_silence();
}

TEST_F(responder_test, answers_a_kick_and_no_other_empty_ack) {
  say(of(8000, 8000, tcp_ack));
  say(of(8010, 8000, tcp_ack));
  expect_silence();
  say(of(7999, 8000, tcp_ack));
  const segment a = answer().tcp;
  EXPECT_EQ(a.flags, tcp_ack);
  EXPECT_EQ(a.seq.raw, 8000u);
  EXPECT_EQ(a.ack.raw, 8000u) << "its RCV.NXT";
  EXPECT_EQ(a.window, 0xffff);
  EXPECT_EQ(peer.count().kicks, 1u);
}

TEST_F(responder_test, is_silent_to_a_reset_and_to_what_is_for_another_station) {
  say(of(1, 1, tcp_rst | tcp_ack));
  segment other = of(1, 0, tcp_syn);
  other.tuple.remote = ip_address::v4(10, 0, 0, 9);
  say(other);
  expect_silence();
  EXPECT_EQ(peer.count().rst_received, 1u);
  EXPECT_EQ(peer.count().frames_in, 1u);
}

TEST_F(responder_test, answers_arp_for_its_address) {
  host.send(make_arp_request(host_mac, host_ip, peer_ip));
  sc_core::sc_start(1, sc_core::SC_US);
  const parsed_frame a = answer();
  EXPECT_EQ(a.kind, frame_class::arp_reply);
  EXPECT_EQ(a.sender_ip, peer_ip);
  EXPECT_EQ(a.source_mac, peer_mac);
}

TEST_F(responder_test, that_opens_asks_for_its_neighbour_and_remembers_how_far_the_numbers_are_apart) {
  sc_core::sc_start(1, sc_core::SC_US);
  peer.connect(host_ip, 80, 10000);
  peer.connect(host_ip, 80, 10001);
  ASSERT_EQ(answer().kind, frame_class::arp_request);
  host.send(make_arp_reply(host_mac, host_ip, peer_mac, peer_ip));
  sc_core::sc_start(1, sc_core::SC_US);
  ASSERT_EQ(host.arrivals.size(), heard + 2);
  const segment syn = parse_frame(host.arrivals[heard++].f).tcp;
  const segment second = parse_frame(host.arrivals[heard++].f).tcp;
  EXPECT_EQ(syn.flags, tcp_syn);
  EXPECT_EQ(syn.tuple.remote_port, 10000);
  EXPECT_NE(syn.seq, second.seq);

  const std::uint32_t theirs = syn.seq.raw + 1;  // the next number of the responder's stream
  say(of(900, theirs, tcp_syn | tcp_ack));
  const segment ack = answer().tcp;
  EXPECT_EQ(ack.flags, tcp_ack);
  EXPECT_EQ(ack.seq.raw, theirs);
  EXPECT_EQ(ack.ack.raw, 901u);
  say(of(901, theirs, tcp_ack), "abc");
  const segment echo = answer().tcp;
  EXPECT_EQ(echo.seq.raw, theirs);
  EXPECT_EQ(echo.ack.raw, 904u);
  say(of(904, theirs + 3, tcp_ack));
  expect_silence();
  say(of(903, theirs + 3, tcp_ack));
  EXPECT_EQ(answer().tcp.ack.raw, 904u);
}

}  // namespace
}  // namespace understudy::tb
