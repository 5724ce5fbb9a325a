// The TCP of the adapter: all connections of one adapter, no SystemC, no I/O, time passed in.
//
// It keeps two receive positions: what has been accepted in order (rcv_nxt), and what the host is known to
// hold (rcv_committed). For a protected connection no segment it builds acknowledges beyond rcv_committed:
// "ACK after commit". It keeps two send positions beyond snd_una: snd_nxt (next to send) and snd_max (highest
// that may be in flight; never below what another adapter may have sent, which is why ACKs up to snd_max are
// accepted and not called "unsent").
//
// Whoever owns the engine supplies a tcp_env, moves payload and header bytes, and calls on_time() when
// next_deadline() says so. The engine never calls back into itself through the env.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"
#include "model/core/congestion_kind.h"
#include "model/core/packet.h"
#include "model/core/units.h"

namespace understudy {

// What the engine asks of its surroundings. Every call is made with the engine in a consistent state.
class tcp_env {
 public:
  virtual ~tcp_env() = default;

  // A segment is to leave: `flags` without ACK/window, which build_segment() fills in at the last moment.
  // With length > 0 the payload [seq, seq + length) is to be fetched from the host's send ranges first.
  // `burst` orders nothing; calls come in sending order and are to be served in that order per connection.
  struct send_request {
    cid connection;
    seq32 seq;
    std::uint32_t length = 0;
    std::uint8_t flags = 0;  // SYN, FIN, RST, PSH, ... ; ACK is decided by build_segment
    bool retransmission = false;
    bool kick = false;  // decision "kick": SEQ = h_una - 1, TSecr 0, elicits an ACK
  };
  virtual void send(const send_request& r) = 0;
  // A segment without connection (RST answer to a stranger, challenge) is to leave as it stands.
  virtual void send_raw(const segment& s) = 0;

  // Payload was accepted in order: place bytes [offset, offset + length) of `f` at stream position `seq`. The
  // host must be told (commit record), and on_committed() called once it is known to have it. `fin`: the
  // peer's FIN follows the payload (length may be 0). `push`: PSH was set.
  virtual void place(cid c, seq32 seq, const frame_ref& f, std::uint32_t offset, std::uint32_t length,
                     bool push, bool fin) = 0;

  // A connection changed in a way the host must learn; state(c) gives the details at the time of the call.
  enum class change : std::uint8_t {
    embryo,       // SYN accepted; protected: SYN-ACK leaves only after on_committed(c, irs + 1)
    established,  // handshake complete; active open: the ACK leaves only after on_committed(c, irs + 1) if
                  // protected
    acked,        // snd_una moved
    aborted,      // ended by RST, time-out, refusal (see status); the engine has forgotten it after this call
    time_wait,    // both FINs exchanged
    closed,       // ended in order; the engine has forgotten it after this call
  };
  virtual void changed(cid c, change what, us_status status) = 0;
};

// Deliberate breaches of one rule each: they prove that the monitors of that rule fire.
struct tcp_mutants {
  bool ack_before_commit = false;  // acknowledges what is accepted, committed or not
  bool snd_max_reset = false;      // a restored connection calls ACKs beyond its own sends unsent
  bool shrink_window = false;      // the advertised right edge moves back
  bool tsval_regress = false;      // a restored connection's TSval starts behind the old adapter's
  bool reuse_isn = false;          // every connection starts at the same sequence number
  bool ack_regress = false;        // now and then a segment acknowledges less than the one before
  bool ack_fin_early = false;      // a FIN is acknowledged when it is accepted, committed or not
  bool ignore_window = false;      // sends by the congestion window alone
  bool lose_retransmit = false;    // the retransmission timer never fires
  bool lose_persist = false;       // the persist timer never fires
  bool hoard_window = false;       // a window that opens again is not told by itself
  bool answer_acks = false;        // an ACK is answered by an ACK
};

// Constants of an engine; times in picoseconds. Ranges are checked by the scenario reader.
struct tcp_config {
  std::uint32_t max_connections = 4096;
  // Initial sequence number of connections that peers open; absent: as RFC 6528 says. For tests of the wrap.
  std::optional<std::uint32_t> iss;
  std::uint16_t mtu = 1500;  // of IP packets: our MSS is mtu - 40, over IPv6 mtu - 60
  std::uint8_t wscale = 7;   // shift we offer (RFC 7323), 0 to 14
  bool timestamps = true;    // offer and accept timestamps
  bool window_scaling = true;
  bool sack = true;               // offer and accept selective acknowledgment (RFC 2018)
  std::uint16_t least_mss = 216;  // a peer's MSS below counts as this (CVE-2019-11479), an IPv4 path's too
  bool nagle = false;      // RFC 9293 3.7.4, until set_options(); the offload's hosts post whole messages
  bool ecn = false;        // offer and accept ECN (RFC 3168)
  bool keepalive = false;  // RFC 9293 3.8.4, until set_options()
  picos keepalive_idle = 7200_s;    // silence before the first probe; MUST-28: two hours or more by default
  picos keepalive_interval = 75_s;  // between probes
  std::uint32_t keepalive_probes = 9;  // unanswered ones before the connection is given up
  congestion_kind congestion = congestion_kind::newreno;
  std::uint32_t initial_window_segments = 10;  // RFC 6928
  picos delayed_ack = 40_ms;                   // RFC 1122 4.2.3.2: below 500 ms
  std::uint32_t ack_every = 2;                 // full-sized segments an ACK (RFC 1122: at least every second)
  picos rto_initial = 1_s;                     // RFC 6298 2.1
  picos rto_min = 200_ms;                      // as Linux; RFC 6298 says 1 s
  picos rto_max = 120_s;
  std::uint32_t syn_retries = 7;    // R2 is 247 s; RFC 9293 MUST-23: at least 3 minutes
  std::uint32_t data_retries = 15;  // RFC 1122 4.2.3.5 R2
  picos msl = 60_s;                 // TIME_WAIT lasts 2 MSL; a user may shorten
  picos kick_retry = 20_ms;  // from a kick to the next one, if nothing answers; later as persist probes
  picos persist_min = 500_ms;
  picos persist_max = 60_s;
  std::uint32_t reassembly_bytes = 256 * 1024;   // out-of-order bytes held per connection, at most
  std::uint32_t challenge_acks_per_second = 10;  // per connection (RFC 5961 7)
  tcp_mutants mutants;
};

// When a protected connection that the peer may believe established becomes known to the host: see
// us_commit_policy.
struct listen_terms {
  us_commit_policy commit = US_COMMIT_BEFORE_SYNACK;
  std::uint32_t cookies_above = 0;  // half-open connections from which on SYNs get cookies; 0: never
  bool speaks_first = false;        // the server does: no cookies, SYNs are dropped instead
  bool gathered = false;            // established connections count towards the backlog until announced()
  picos cookies_until = 0;          // before this instant peers may answer cookies of another adapter
};

// Hard state of one connection, as a substitute gets it, and as the owner may read it.
struct tcp_hard_state {
  four_tuple tuple;
  us_tcp_state state = US_TCP_CLOSED;
  std::uint8_t conn = 0;  // US_CONN_ bits
  std::uint8_t addr_index = 0;
  std::uint8_t our_wscale = 0;
  std::uint8_t peer_wscale = 0;
  std::uint16_t mss = 536;  // largest payload we may send, options not deducted
  seq32 iss;
  seq32 rcv_nxt;  // for a restored connection: committed
  seq32 snd_una;
  seq32 snd_max;        // host: after the last posted byte, FIN counted
  seq32 rcv_adv;        // highest right edge ever advertised
  bool fin_tx = false;  // the host has posted its FIN: its number is snd_max - 1
  bool fin_rx = false;  // the peer's FIN is committed
};

// What the host may change on a connection at any time; soft: a substitute is told again.
struct tcp_socket_options {
  bool nagle = false;
  bool keepalive = false;
  std::uint16_t keepalive_idle_s = 0;  // 0: the configured one
};

// What an owner, a test or a monitor may look at; a snapshot.
struct tcp_view {
  tcp_hard_state hard;
  seq32 rcv_committed;
  seq32 snd_nxt;
  seq32 last_ack_sent;
  std::uint32_t snd_wnd = 0;  // scaled, bytes
  std::uint32_t cwnd = 0;     // bytes
  std::uint32_t ssthresh = 0;
  picos srtt = 0;  // 0: no sample yet
  picos rto = 0;
  std::uint64_t retransmitted_segments = 0;
  std::uint64_t timeouts = 0;
  bool cookie = false;  // its SYN-ACK was a cookie, which has offered a window; until a record tells it
  bool host_must_know = false;  // protected, and nothing may acknowledge the SYN before on_committed()
  std::uint32_t reassembly_bytes = 0;
  std::uint32_t sacked_bytes = 0;  // held by the peer out of order, as far as known
  bool in_recovery = false;
  std::uint32_t largest_segment = 0;  // payload that peer and path take, options not deducted
};

struct tcp_counters {
  std::uint64_t segments_in = 0, segments_out = 0, retransmissions = 0, timeouts = 0, fast_retransmits = 0,
                resets_sent = 0, resets_received = 0, out_of_window = 0, challenge_acks = 0, paws_drops = 0,
                duplicate_bytes = 0, out_of_order = 0, refused_syns = 0, sack_recoveries = 0, keepalives = 0,
                ecn_marks = 0, ecn_reductions = 0, cookies_sent = 0, cookies_taken = 0,
                recycled_time_waits = 0;
  std::uint64_t path_mtu_reduced = 0;        // times that a path was found narrower than thought
  std::uint64_t packet_too_big_ignored = 0;  // messages that said so and were not believed, or were no news
  // Steps through lists and tables that the most laborious segment so far took, buckets of the connection
  // table included: no peer decides them. At most some hundreds, two for each place of the listener's backlog
  // and one for each 256 bytes of reassembly_bytes.
  std::uint64_t most_steps = 0;
};

struct tcp_connection;

class tcp_engine {
 public:
  // A SYN cookie is good in the slot of its making and in the next: 65 to 131 seconds.
  static constexpr unsigned cookie_slot_bits = 16;  // of the millisecond clock
  static constexpr picos cookie_life = (2ull << cookie_slot_bits) * 1_ms;

  tcp_engine(const tcp_config& config, tcp_env& env);
  ~tcp_engine();
  tcp_engine(const tcp_engine&) = delete;
  tcp_engine& operator=(const tcp_engine&) = delete;

  // Key for ISNs (RFC 6528), timestamp offsets (RFC 7323 5.4) and the table hash.
  void set_secret(const std::uint32_t (&key)[4]);
  // TSval = this millisecond clock (running on from `now`) + keyed hash of the tuple.
  void set_clock(picos now, std::uint32_t clock_ms);

  // ---- from the wire
  // A TCP segment whose frame passed every checksum, destined to one of our addresses (index `addr_index`).
  // True: it answers a cookie and has opened its connection; give it once more when the grants are in.
  bool on_segment(picos now, const segment& s, const frame_ref& f, std::uint8_t addr_index);

  // An ICMP message, checksum verified and sent to our address, says that a segment of `t` with the number
  // `seq` did not fit the next hop's `mtu` (RFC 1191 4, RFC 8201 4). Believed if `seq` is in flight (RFC 5927
  // 4.1) and the MTU is one that IP has, 68 or 1280 at least, and below what is used now; then segments are
  // no larger, and what is in flight goes out again in such. Never below tcp_config::least_mss + 40 over
  // IPv4: a path that takes less is not served.
  void on_packet_too_big(picos now, const four_tuple& t, seq32 seq, std::uint32_t mtu);

  // ---- from the host
  // False: a listener is there already / is not there. `backlog`: connections half-open or not announced().
  bool listen(const ip_address& local, std::uint16_t port, std::uint8_t addr_index, std::uint32_t backlog,
              std::uint8_t conn, const listen_terms& terms = {});
  bool unlisten(const ip_address& local, std::uint16_t port);
  // Start a handshake with this ISS. An invalid cid: table full, tuple in use, or the remote address is not
  // one station's (RFC 9293 MUST-46).
  cid connect(picos now, const four_tuple& t, std::uint8_t addr_index, seq32 iss, std::uint8_t conn);
  // The host has posted send data up to `end` (exclusive) / its FIN as number `end` - 1.
  us_status post_send(picos now, cid c, seq32 end);
  us_status post_fin(picos now, cid c, seq32 end);
  // The right window edge may go to `edge`: grants only grow; an earlier edge is ignored.
  us_status grant(picos now, cid c, seq32 edge);
  us_status abort(picos now, cid c);
  us_status set_options(picos now, cid c, const tcp_socket_options& o);
  // A live connection of a dead adapter under its old id. Nothing is sent before kick(); send ranges and
  // grants follow by post_send() and grant(). US_ERR_IN_USE: the index or tuple is taken.
  us_status restore(picos now, cid c, const tcp_hard_state& h);
  // The host has been told of a connection that a peer opened: it leaves the backlog.
  void announced(cid c);
  // Window that a cookie's SYN-ACK offers: bytes that embryo() will grant; 0: none, and no cookies.
  void offer(std::uint32_t bytes);
  // Elicit the peer's state for every restored connection: see send_request::kick. SYN_RCVD sends its SYN-ACK
  // again, SYN_SENT its SYN; TIME_WAIT only restarts its timer.
  void kick_restored(picos now);

  // ---- from the owner
  // The host is known to hold everything before `rcv_nxt` (SYN and FIN counted).
  void on_committed(picos now, cid c, seq32 rcv_nxt);
  // Fill in a requested segment at the moment when it leaves: seq, ack, flags, window, options, tuple;
  // payload_length is r.length. False: it is no longer wanted (connection gone, or the bytes were
  // acknowledged meanwhile).
  bool build_segment(picos now, const tcp_env::send_request& r, segment& out);
  // An instant at or before the earliest at which on_time() has work; `never` if none. May lie in the past:
  // at once.
  picos next_deadline() const;
  struct served_timers {
    std::uint32_t entries = 0;  // of the wheel; one may turn out to be early
    picos late = 0;             // behind their ticks, all together
  };
  // Serves timers that are due, at most `most` entries.
  served_timers on_time(picos now, std::uint32_t most = 0xffffffff);
  // For tests and the end of a run: instant at which the last TIME_WAIT ends may be skipped: drop all
  // TIME_WAITs as if 2 MSL were over; changed(closed) is called for each.
  void expire_time_wait(picos now);

  // ---- looking
  bool known(cid c) const;
  tcp_view view(cid c) const;  // c is known
  // All that is kept of a connection that is known, until the next call into the engine.
  const tcp_connection& fields(cid c) const;
  cid find(const four_tuple& t) const;
  // Keyed hash of a tuple, from the host's secret: nobody else can make two that are alike.
  std::uint64_t key_of(const four_tuple& t) const;
  // find() with that key at hand.
  cid find(const four_tuple& t, std::uint64_t key) const;
  std::uint32_t connections() const;
  std::uint32_t listeners() const;
  const tcp_counters& counters() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace understudy
