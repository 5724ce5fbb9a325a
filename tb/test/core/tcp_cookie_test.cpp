// SYN cookies: what they carry, who can read them, and that a flood of SYNs keeps no legitimate client out.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "model/core/rng.h"
#include "model/core/tcp_engine.h"

namespace understudy::tb {
namespace {

const ip_address server = ip_address::v4(10, 0, 0, 1);
constexpr std::uint16_t http = 80;

// An engine whose host grants a window, commits at once, and posts nothing.
class host : public tcp_env {
 public:
  explicit host(const tcp_config& c = {}, std::uint32_t clock_ms = 1'000'000) : engine(c, *this) {
    const std::uint32_t key[4] = {11, 12, 13, 14};
    engine.set_secret(key);
    engine.set_clock(0, clock_ms);
    engine.offer(16384);
  }
  bool listen(const listen_terms& t, std::uint32_t backlog = 256, std::uint8_t conn = US_CONN_PROTECTED) {
    return engine.listen(server, http, 0, backlog, conn, t);
  }
  static segment from(const ip_address& ip, std::uint16_t port, std::uint8_t flags, seq32 seq,
                      seq32 ack = {}) {
    segment s;
    s.tuple = {server, ip, http, port};
    s.flags = flags;
    s.seq = seq;
    s.ack = ack;
    s.window = 1000;
    if (flags & tcp_syn) s.options.mss = 1460;
    return s;
  }
  // Deliver, and let everything that follows happen. What left meanwhile.
  std::vector<segment> give(const segment& s, std::uint32_t first_byte = 0) {
    sent.clear();
    frame_ref f = frame_ref::make(s.payload_length, 128);
    for (std::uint32_t i = 0; i < s.payload_length; ++i)
      f.data()[i] = static_cast<std::uint8_t>(first_byte + i);
    const bool again = engine.on_segment(now, s, f, 0);
    settle();
    if (again) {
      engine.on_segment(now, s, f, 0);
      settle();
    }
    return sent;
  }
  void settle() {
    for (; !commits.empty() || !requests.empty();) {
      const auto c = std::exchange(commits, {});
      for (const auto& [id, n] : c) {
        engine.grant(now, id, n + 16384);
        if (commits_now) engine.on_committed(now, id, n);
      }
      const auto r = std::exchange(requests, {});
      for (const send_request& q : r) {
        segment s;
        if (engine.build_segment(now, q, s)) sent.push_back(s);
      }
    }
  }
  void send(const send_request& r) override { requests.push_back(r); }
  void send_raw(const segment& s) override { sent.push_back(s); }
  void place(cid c, seq32 seq, const frame_ref&, std::uint32_t, std::uint32_t length, bool,
             bool fin) override {
    placed += length;
    commits.emplace_back(c, seq + length + (fin ? 1u : 0u));
  }
  void changed(cid c, change w, us_status) override {
    if (w == change::embryo) commits.emplace_back(c, engine.view(c).hard.rcv_nxt);
    if (w == change::established) {
      ++established;
      newest = c;
    }
    if (w == change::aborted) ++aborted;
  }

  picos now = 0;
  bool commits_now = true;
  tcp_engine engine;
  std::vector<segment> sent;
  std::vector<send_request> requests;
  std::vector<std::pair<cid, seq32>> commits;
  std::uint64_t placed = 0;
  int established = 0, aborted = 0;
  cid newest;
};

const ip_address client = ip_address::v4(10, 0, 0, 9);

segment full_syn(seq32 seq) {
  segment s = host::from(client, 5000, tcp_syn, seq);
  s.options.wscale = 9;
  s.options.sack_permitted = true;
  s.options.has_ts = true;
  s.options.tsval = 77;
  return s;
}

TEST(tcp_cookie, a_substitute_reads_what_the_dead_adapter_wrote) {
  host a;
  ASSERT_TRUE(a.listen({.commit = US_COMMIT_BEFORE_DATA_ACK}));
  const auto synack = a.give(full_syn(seq32{1000}));
  ASSERT_EQ(synack.size(), 1u);
  EXPECT_EQ(synack[0].flags, tcp_syn | tcp_ack);
  const std::uint32_t tsval = synack[0].options.tsval;

  host b;
  b.engine.set_clock(0, 1'000'500);
  ASSERT_TRUE(b.listen({.commit = US_COMMIT_BEFORE_DATA_ACK, .cookies_until = tcp_engine::cookie_life}));
  segment s = host::from(client, 5000, tcp_ack | tcp_psh, seq32{1001}, synack[0].seq + 1);
  s.payload_length = 100;
  s.options.has_ts = true;
  s.options.tsval = 99;
  s.options.tsecr = tsval;
  const auto answer = b.give(s);
  ASSERT_EQ(b.established, 1);
  EXPECT_EQ(b.placed, 100u) << "the data that came with it are not sent again";
  for (const segment& r : answer) EXPECT_FALSE(r.flags & tcp_rst);
  const tcp_view v = b.engine.view(b.newest);
  EXPECT_EQ(v.hard.iss, synack[0].seq);
  EXPECT_EQ(v.hard.mss, 1460);
  EXPECT_EQ(v.hard.peer_wscale, 9);
  EXPECT_TRUE(v.hard.conn & US_CONN_SACK);
  EXPECT_TRUE(v.hard.conn & US_CONN_TS);
  EXPECT_TRUE(v.hard.conn & US_CONN_WS);
  EXPECT_EQ(v.snd_wnd, 1000u << 9);
}

// Until a record tells the connection, the newest TSval that the peer has echoed may be that of any segment.
TEST(tcp_cookie, is_told_by_every_segment_until_the_host_has_a_record) {
  for (const bool recorded : {false, true}) {
    SCOPED_TRACE(recorded);
    host a;
    ASSERT_TRUE(a.listen({.commit = US_COMMIT_BEFORE_DATA_ACK}));
    a.commits_now = recorded;
    const auto synack = a.give(full_syn(seq32{1000}));
    ASSERT_EQ(synack.size(), 1u);
    std::uint32_t newest = synack[0].options.tsval;
    const std::uint32_t options = newest & 63;
    unsigned exact = 0, segments = 0;
    const auto look = [&](const std::vector<segment>& sent) {
      for (const segment& s : sent) {
        EXPECT_GE(static_cast<std::int32_t>(s.options.tsval - newest), 0) << "TSval goes back";
        newest = s.options.tsval;
        exact += (newest & 63) != options;
        ++segments;
      }
    };
    // Half-open: an ACK to what lies outside of the window, then the SYN-ACK again; then the same once it is
    // open.
    segment outside = host::from(client, 5000, tcp_ack, seq32{1001} - 1u, synack[0].seq + 1);
    outside.payload_length = 1;
    outside.options.has_ts = true;
    outside.options.tsval = 78;
    a.now += 1'017_ms;
    look(a.give(outside));
    a.now += 5_ms;
    look(a.give(full_syn(seq32{1000})));
    segment ack = host::from(client, 5000, tcp_ack, seq32{1001}, synack[0].seq + 1);
    ack.options = outside.options;
    look(a.give(ack));
    ASSERT_EQ(a.established, 1);
    a.now += 1'018_ms;
    look(a.give(outside));
    EXPECT_GE(segments, 3u);
    EXPECT_EQ(exact != 0, recorded);
  }
}

TEST(tcp_cookie, of_a_connection_that_nobody_recovers_leaves_its_clock_alone) {
  host a;
  ASSERT_TRUE(a.listen({.commit = US_COMMIT_BEFORE_DATA_ACK}, 256, 0));
  a.commits_now = false;
  const auto synack = a.give(full_syn(seq32{1000}));
  ASSERT_EQ(synack.size(), 1u);
  segment ack = host::from(client, 5000, tcp_ack, seq32{1001}, synack[0].seq + 1);
  ack.options.has_ts = true;
  ack.options.tsval = 78;
  a.give(ack);
  ASSERT_EQ(a.established, 1);
  ack.seq = ack.seq - 1;
  ack.payload_length = 1;  // seen before
  const auto tsval_after = [&](picos d) {
    a.now += d;
    const auto answer = a.give(ack);
    return answer.size() == 1 ? answer[0].options.tsval : 0;
  };
  const std::uint32_t then = tsval_after(1'017_ms);
  EXPECT_EQ(tsval_after(1_s), then + 1000) << "of the clock, all bits of it";
}

TEST(tcp_cookie, without_timestamps_offers_only_what_the_number_tells) {
  host a;
  ASSERT_TRUE(a.listen({.commit = US_COMMIT_BEFORE_DATA_ACK}));
  segment syn = full_syn(seq32{1000});
  syn.options.has_ts = false;
  const auto synack = a.give(syn);
  ASSERT_EQ(synack.size(), 1u);
  EXPECT_LT(synack[0].options.wscale, 0);
  EXPECT_FALSE(synack[0].options.sack_permitted);
  EXPECT_FALSE(synack[0].options.has_ts);
}

TEST(tcp_cookie, nobody_without_the_key_makes_one) {
  host b;
  ASSERT_TRUE(b.listen({.commit = US_COMMIT_BEFORE_DATA_ACK, .cookies_until = tcp_engine::cookie_life}));
  rng draw(1, "cookie/forged");
  for (int i = 0; i < 100'000; ++i)
    b.give(host::from(client, static_cast<std::uint16_t>(1024 + i % 60000), tcp_ack,
                      seq32{static_cast<std::uint32_t>(draw.next())},
                      seq32{static_cast<std::uint32_t>(draw.next())}));
  EXPECT_LE(b.established, 1) << "2^-28 each by chance";
  EXPECT_LE(b.engine.connections(), 1u);
}

TEST(tcp_cookie, is_worthless_after_two_slots_and_where_none_was_given) {
  host a;
  ASSERT_TRUE(a.listen({.commit = US_COMMIT_BEFORE_DATA_ACK}));
  const seq32 iss = a.give(full_syn(seq32{1000}))[0].seq;
  const segment ack = host::from(client, 5000, tcp_ack, seq32{1001}, iss + 1);
  host late;
  late.engine.set_clock(0, 1'000'000 + (2u << tcp_engine::cookie_slot_bits));
  ASSERT_TRUE(late.listen({.cookies_until = tcp_engine::cookie_life}));
  EXPECT_TRUE(late.give(ack).at(0).flags & tcp_rst);
  host other;
  ASSERT_TRUE(other.listen({}));
  EXPECT_TRUE(other.give(ack).at(0).flags & tcp_rst) << "no substitute, no flood: an old ACK opens nothing";
}

// Clients that open a connection in the middle of `syns` SYNs from nobody. How many get in.
struct flooded {
  int clients = 0, served = 0, rst = 0;
  std::uint32_t most_connections = 0;
  tcp_counters count;
};
flooded flood(const listen_terms& terms, int syns) {
  tcp_config c;
  c.max_connections = 4096;
  host h(c);
  flooded r;
  EXPECT_TRUE(h.listen(terms));
  rng draw(7, "cookie/flood");
  for (int i = 0; i < syns; ++i) {
    h.now += 10_us;
    h.engine.on_time(h.now);
    h.settle();
    const auto ip =
        ip_address::v4(192, static_cast<std::uint8_t>(draw.next()), static_cast<std::uint8_t>(draw.next()),
                       static_cast<std::uint8_t>(draw.next()));
    h.give(host::from(ip, static_cast<std::uint16_t>(draw.next() | 1024), tcp_syn,
                      seq32{static_cast<std::uint32_t>(draw.next())}));
    r.most_connections = std::max(r.most_connections, h.engine.connections());
    if (i % 1000 != 999) continue;
    ++r.clients;
    const auto port = static_cast<std::uint16_t>(2000 + r.clients);
    const auto synack = h.give(host::from(client, port, tcp_syn, seq32{500}));
    const int before = h.established;
    for (const segment& s : synack) {
      if (s.flags & tcp_rst) ++r.rst;
      if (s.flags != (tcp_syn | tcp_ack)) continue;
      h.give(host::from(client, port, tcp_ack, seq32{501}, s.seq + 1));
      if (h.established > before) break;
      for (const segment& again : h.sent)  // a SYN-ACK from memory now: the peer acknowledges it again
        if (again.flags == (tcp_syn | tcp_ack)) {
          h.give(host::from(client, port, tcp_ack, seq32{501}, again.seq + 1));
          break;
        }
    }
    if (h.established > before) {
      ++r.served;
      h.engine.announced(h.newest);
    }
  }
  r.count = h.engine.counters();
  EXPECT_GT(r.count.most_steps, 2u) << "a listener, and more than one bucket of the table";
  EXPECT_LE(r.count.most_steps, 2u * 256 + 100) << "the backlog, twice, and some";
  return r;
}

TEST(tcp_cookie, under_a_flood_every_legitimate_client_gets_in_and_memory_is_bounded) {
  for (const us_commit_policy commit : {US_COMMIT_BEFORE_SYNACK, US_COMMIT_BEFORE_DATA_ACK, US_COMMIT_LAZY}) {
    const flooded f = flood({.commit = commit, .cookies_above = 64, .gathered = true}, 50'000);
    EXPECT_EQ(f.served, f.clients) << commit;
    EXPECT_EQ(f.clients, 50);
    EXPECT_EQ(f.rst, 0);
    EXPECT_LE(f.most_connections, 64u + 50u) << "half-open ones are bounded, cookies are not kept";
    EXPECT_GT(f.count.cookies_sent, 10'000u);
    EXPECT_EQ(f.count.resets_sent, 0u);
  }
}

TEST(tcp_cookie, segments_without_a_connection_are_counted_too) {
  host h;
  ASSERT_TRUE(h.listen({}));
  EXPECT_EQ(h.give(host::from(client, 1, tcp_ack, seq32{1})).size(), 1u);  // reset
  const std::uint64_t stranger = h.engine.counters().most_steps;
  EXPECT_GT(stranger, 0u);
  h.give(host::from(client, 1, tcp_syn, seq32{1}));
  EXPECT_GT(h.engine.counters().most_steps, stranger) << "a SYN takes a place as well";
}

TEST(tcp_cookie, without_cookies_the_same_flood_keeps_clients_out) {
  const flooded f = flood({.gathered = true}, 50'000);
  EXPECT_LT(f.served, f.clients);
}

TEST(tcp_cookie, a_listener_whose_server_speaks_first_drops_syns_under_a_flood) {
  const flooded f = flood({.cookies_above = 64, .speaks_first = true, .gathered = true}, 5'000);
  EXPECT_EQ(f.count.cookies_sent, 0u);
  EXPECT_GT(f.count.refused_syns, 1'000u);
  EXPECT_LE(f.most_connections, 70u);
}

TEST(tcp_cookie, connections_that_nobody_was_told_of_fill_the_backlog_and_syns_are_dropped) {
  host h;
  ASSERT_TRUE(h.listen({.gathered = true}, 4));
  std::vector<cid> ids;
  for (std::uint16_t port = 1; port <= 4; ++port) {
    const auto synack = h.give(host::from(client, port, tcp_syn, seq32{500}));
    ASSERT_EQ(synack.size(), 1u);
    h.give(host::from(client, port, tcp_ack, seq32{501}, synack[0].seq + 1));
    ids.push_back(h.newest);
  }
  EXPECT_TRUE(h.give(host::from(client, 5, tcp_syn, seq32{500})).empty());
  h.engine.announced(ids[2]);
  EXPECT_EQ(h.give(host::from(client, 5, tcp_syn, seq32{500})).size(), 1u);
}

TEST(time_wait, of_the_oldest_gives_way_when_the_table_is_full) {
  tcp_config c;
  c.max_connections = 8;
  host h(c);
  ASSERT_TRUE(h.listen({}));
  const auto open = [&](std::uint16_t port) {
    const auto synack = h.give(host::from(client, port, tcp_syn, seq32{500}));
    if (synack.empty()) return cid{};
    h.give(host::from(client, port, tcp_ack, seq32{501}, synack[0].seq + 1));
    return h.newest;
  };
  for (std::uint16_t port = 1; port <= 8; ++port) {
    const cid id = open(port);
    ASSERT_TRUE(id.valid());
    const seq32 fin = h.engine.view(id).snd_nxt;
    ASSERT_EQ(h.engine.post_fin(h.now, id, fin + 1), US_OK);
    h.settle();
    h.give(host::from(client, port, tcp_ack | tcp_fin, seq32{501}, fin + 1));
    ASSERT_EQ(h.engine.view(id).hard.state, US_TCP_TIME_WAIT);
  }
  EXPECT_EQ(h.engine.connections(), 8u);
  EXPECT_TRUE(open(9).valid());
  EXPECT_EQ(h.engine.counters().recycled_time_waits, 1u);
  EXPECT_FALSE(h.engine.find({server, client, http, 1}).valid()) << "the oldest";
  EXPECT_TRUE(h.engine.find({server, client, http, 2}).valid());
}

}  // namespace
}  // namespace understudy::tb
