// Every field of a TCP connection, declared once: the engine's struct is generated from this table, and
// documentation and fault campaigns read it.
//
// X(name, type, class, holder, safe, source, way, sentence)
//   class   hard: losing it breaks the protocol; soft: it is learnt again.
//   holder  constant: agreed or chosen once; cached: the host owns it, the adapter has a copy; delegated: the
//           adapter owns it and the host holds what commit records told.
//   safe    which error a substitute may start with, measured by what the dead adapter had: exact (none),
//           low, high, any. What the host owns or was told is high where the dead adapter had not heard of
//           it.
//   source  where the rule of the field comes from.
//   way     how a substitute gets it: a member of a descriptor, derived, or learnt.
// connection_fields_test takes adapters' lives and holds every hard field of the substitute against this.
#pragma once

#define UNDERSTUDY_CONNECTION_FIELDS(X)                                                                      \
  X(tuple, four_tuple, hard, constant, exact, "RFC 9293 3.3.1",                                              \
    "RESTORE peer_ip, local_port, peer_port, addr_index", "Addresses and ports of both ends.")               \
  X(state, us_tcp_state, hard, delegated, exact, "RFC 9293 3.3.2", "RESTORE state",                          \
    "State of RFC 9293 3.3.2, as far as the peer can observe it.")                                           \
  X(conn, std::uint8_t, hard, constant, exact, "RFC 7323, 2018, 3168", "RESTORE conn",                       \
    "US_CONN_ bits: what the handshake agreed.")                                                             \
  X(addr_index, std::uint8_t, hard, constant, exact, "SET_ADDRESS", "RESTORE addr_index",                    \
    "Which local address of the adapter.")                                                                   \
  X(our_wscale, std::uint8_t, hard, constant, exact, "RFC 7323 2.2", "RESTORE wscale",                       \
    "Shift of the windows we send.")                                                                         \
  X(peer_wscale, std::uint8_t, hard, constant, exact, "RFC 7323 2.2", "RESTORE wscale",                      \
    "Shift of the windows that the peer sends.")                                                             \
  X(mss, std::uint16_t, hard, constant, exact, "RFC 6691", "RESTORE mss",                                    \
    "Largest payload we may send, options not deducted (RFC 6691).")                                         \
  X(generation, std::uint16_t, hard, constant, exact, "driver protocol", "RESTORE cid",                      \
    "Upper bits of the connection id.")                                                                      \
  X(path_mss, std::uint16_t, soft, delegated, any, "RFC 1191 3, 8201 4", "the routers tell it again",        \
    "Largest payload that the path takes, as mss counts it (RFC 1191, RFC 8201); 0: not known to be less.")  \
  X(path_since_s, std::uint16_t, soft, delegated, any, "RFC 1191 6.3, 8201 4", "begins anew",                \
    "When path_mss was lowered last: seconds, modulo 2^16.")                                                 \
  X(iss, seq32, hard, constant, exact, "RFC 6528", "RESTORE iss", "Our initial sequence number.")            \
  X(ts_offset, std::uint32_t, hard, constant, exact, "RFC 7323 5.4", "from tuple and secret",                \
    "Keyed hash of the tuple that TSval adds to the clock.")                                                 \
  X(hash, std::uint32_t, soft, constant, any, "connection table", "from tuple and secret",                   \
    "Position in the demultiplexing table.")                                                                 \
  X(rcv_committed, seq32, hard, delegated, high, "RFC 9293 3.4", "RESTORE rcv_nxt",                          \
    "The host holds everything before it; protected ACKs stop here.")                                        \
  X(rcv_nxt, seq32, soft, delegated, low, "RFC 9293 3.3.1", "starts at rcv_committed",                       \
    "Accepted in order; what lies above rcv_committed is sent again by the peer.")                           \
  X(rcv_adv, seq32, hard, delegated, high, "RFC 9293 3.8.6", "RESTORE rcv_adv",                              \
    "Highest right window edge advertised, rounded down to the scale.")                                      \
  X(rcv_grant, seq32, hard, cached, high, "driver protocol", "POST_RX edge",                                 \
    "The host has posted buffers up to here: bound of the right edge.")                                      \
  X(rx_fin_seq, seq32, soft, delegated, any, "RFC 9293 3.10.7", "the peer sends it again",                   \
    "Number of the peer's FIN, if rx_fin_seen.")                                                             \
  X(rx_fin_seen, bool, soft, delegated, any, "RFC 9293 3.10.7", "the peer sends it again",                   \
    "A FIN has arrived, perhaps out of order.")                                                              \
  X(fin_accepted, bool, hard, delegated, low, "RFC 9293 3.10.7", "RESTORE fin",                              \
    "rcv_nxt covers the peer's FIN.")                                                                        \
  X(peer_syn_committed, bool, hard, delegated, high, "RFC 9293 3.5", "RESTORE state",                        \
    "The host knows the connection: segments may acknowledge the SYN.")                                      \
  X(cookie, bool, soft, delegated, any, "RFC 4987 3.6", "begins anew",                                       \
    "iss is a cookie, and no record tells the connection yet: the peer's segments do.")                      \
  X(unannounced, bool, soft, delegated, any, "establishment", "begins anew",                                 \
    "Opened by the peer, established, and not announced to the host: counts towards the backlog.")           \
  X(path_cuts, std::uint8_t, soft, delegated, any, "RFC 5927 7", "begins anew",                              \
    "How often path_mss was lowered since it was 0.")                                                        \
  X(last_ack_sent, seq32, soft, delegated, low, "RFC 5681 4.2", "starts at rcv_committed",                   \
    "ACK number of the newest segment sent.")                                                                \
  X(rcv_mss, std::uint16_t, soft, delegated, any, "RFC 5681 4.2", "begins anew",                             \
    "Largest payload seen: the unit of the ACK-every-second rule.")                                          \
  X(ooo, reassembly_queue, soft, delegated, low, "RFC 9293 3.10.7", "the peer sends it again",               \
    "Payload that arrived ahead of its turn.")                                                               \
  X(report, sack_report_name, soft, delegated, any, "RFC 2018 4", "begins anew",                             \
    "Islands out of order that SACK blocks report (RFC 2018); kept while there are any.")                    \
  X(ack_requested, bool, soft, delegated, any, "RFC 9293 3.8.6.3", "begins anew",                            \
    "An ACK is on its way out.")                                                                             \
  X(ack_at_commit, bool, soft, delegated, any, "RFC 9293 3.8.6.3", "begins anew",                            \
    "The next commit is acknowledged without delay.")                                                        \
  X(duplicates_owed, std::uint8_t, soft, delegated, any, "RFC 5681 4.2", "begins anew",                      \
    "Duplicate ACKs that wait for the commit of what is in order.")                                          \
  X(gap_below, seq32, soft, delegated, any, "RFC 5681 2", "answer to the kick",                              \
    "After a failover: what the peer has sent ends here, as its answer to the kick says; else rcv_nxt.")     \
  X(ack_deadline, picos, soft, delegated, any, "RFC 1122 4.2.3.2", "begins anew",                            \
    "Delayed ACK; 0: not armed.")                                                                            \
  X(snd_una, seq32, hard, delegated, low, "RFC 9293 3.3.1", "RESTORE snd_una",                               \
    "Oldest number not acknowledged; the host keeps the bytes from its copy on.")                            \
  X(snd_max, seq32, hard, delegated, high, "RFC 9293 3.10.7.4", "RESTORE snd_max",                           \
    "ACKs up to here are accepted: highest number that may be in flight.")                                   \
  X(snd_nxt, seq32, soft, delegated, any, "RFC 9293 3.3.1", "starts at snd_una",                             \
    "Next to send; pulled back to snd_una at a time-out.")                                                   \
  X(snd_high, seq32, soft, delegated, low, "RFC 6298 5", "starts at snd_una",                                \
    "After the highest number that this adapter has sent.")                                                  \
  X(snd_end, seq32, hard, cached, high, "driver protocol", "SEND seq_end",                                   \
    "After the last byte that the host has posted.")                                                         \
  X(fin_seq, seq32, hard, cached, exact, "RFC 9293 3.6", "RESTORE snd_max",                                  \
    "Number of our FIN, if fin_posted.")                                                                     \
  X(fin_posted, bool, hard, cached, high, "RFC 9293 3.6", "RESTORE fin", "The host sends no more.")          \
  X(snd_wnd, std::uint32_t, soft, delegated, low, "RFC 9293 3.3.1", "answer to the kick",                    \
    "Peer's window in bytes; 0 until a restored connection is answered.")                                    \
  X(max_snd_wnd, std::uint32_t, soft, delegated, any, "RFC 9293 3.8.6.2.1", "answer to the kick",            \
    "Largest window the peer has offered.")                                                                  \
  X(snd_wl1, seq32, soft, delegated, low, "RFC 9293 3.3.1", "answer to the kick",                            \
    "Sequence number of the last window update.")                                                            \
  X(snd_wl2, seq32, soft, delegated, low, "RFC 9293 3.3.1", "answer to the kick",                            \
    "ACK number of the last window update.")                                                                 \
  X(ts_recent, std::uint32_t, soft, delegated, low, "RFC 7323 4.3", "answer to the kick",                    \
    "Timestamp to echo (RFC 7323 4.3), if ts_valid.")                                                        \
  X(ts_recent_ms, std::uint32_t, soft, delegated, any, "RFC 7323 5.5", "answer to the kick",                 \
    "Clock at which ts_recent was taken, for the 24-day rule.")                                              \
  X(ts_valid, bool, soft, delegated, low, "RFC 7323 4.3", "answer to the kick",                              \
    "ts_recent holds a timestamp.")                                                                          \
  X(cwnd, std::uint32_t, soft, delegated, low, "RFC 5681 3.1", "begins anew",                                \
    "Congestion window in bytes (RFC 5681).")                                                                \
  X(ssthresh, std::uint32_t, soft, delegated, any, "RFC 5681 3.1", "begins anew",                            \
    "Slow start threshold in bytes.")                                                                        \
  X(cc_acked, std::uint32_t, soft, delegated, any, "RFC 5681 3.1", "begins anew",                            \
    "Bytes acknowledged towards the next step of the window.")                                               \
  X(cubic_max, std::uint32_t, soft, delegated, any, "RFC 9438 4.1", "begins anew",                           \
    "W_max of RFC 9438: where the curve is flat.")                                                           \
  X(cubic_prior, std::uint32_t, soft, delegated, any, "RFC 9438 4.3", "begins anew",                         \
    "Window before the last reduction (RFC 9438 4.3).")                                                      \
  X(cubic_est, std::uint32_t, soft, delegated, any, "RFC 9438 4.3", "begins anew",                           \
    "What NewReno's window would be (RFC 9438 4.3).")                                                        \
  X(cubic_k_ms, std::uint32_t, soft, delegated, any, "RFC 9438 4.2", "begins anew",                          \
    "Milliseconds from the epoch to W_max.")                                                                 \
  X(cubic_epoch, picos, soft, delegated, any, "RFC 9438 4.2", "begins anew",                                 \
    "When this growth began; 0: it has not.")                                                                \
  X(recover, seq32, soft, delegated, any, "RFC 6582 3.2", "starts at snd_una",                               \
    "Highest number sent when loss was noticed (RFC 6582).")                                                 \
  X(dup_acks, std::uint8_t, soft, delegated, any, "RFC 5681 3.2", "begins anew", "Duplicate ACKs in a row.") \
  X(in_recovery, bool, soft, delegated, any, "RFC 6582 3.2", "begins anew", "Fast recovery goes on.")        \
  X(sack_recovery, bool, soft, delegated, any, "RFC 6675 5", "begins anew",                                  \
    "It goes by the peer's SACK blocks (RFC 6675).")                                                         \
  X(board, sack_board_name, soft, delegated, low, "RFC 6675 4", "the peer tells it again",                   \
    "What the peer says that it holds out of order; kept while there is any.")                               \
  X(sack_from, seq32, soft, delegated, any, "RFC 2018 8", "RESTORE snd_max",                                 \
    "Blocks are evidence of loss once snd_una is here: what was sent before a time-out or by another "       \
    "adapter is not.")                                                                                       \
  X(srtt_us, std::uint32_t, soft, delegated, any, "RFC 6298 2", "measured again",                            \
    "Smoothed round trip in microseconds; 0: no sample.")                                                    \
  X(rttvar_us, std::uint32_t, soft, delegated, any, "RFC 6298 2", "measured again", "Its variation.")        \
  X(rto_us, std::uint32_t, soft, delegated, high, "RFC 6298 2", "measured again",                            \
    "Retransmission time-out before backoff (RFC 6298).")                                                    \
  X(rtt_timing, bool, soft, delegated, any, "RFC 6298 3", "begins anew", "A round trip is being measured.")  \
  X(rtt_seq, seq32, soft, delegated, any, "RFC 6298 3", "begins anew", "The ACK that ends the measurement.") \
  X(rtt_start, picos, soft, delegated, any, "RFC 6298 3", "begins anew", "When it began.")                   \
  X(timer, timer_kind, soft, delegated, any, "RFC 6298 5", "begins anew", "What timer_deadline is for.")     \
  X(timer_deadline, picos, soft, delegated, any, "RFC 6298 5", "begins anew",                                \
    "Retransmission, persist, kick or TIME_WAIT.")                                                           \
  X(backoff, std::uint8_t, soft, delegated, low, "RFC 6298 5.5", "begins anew", "Doublings of the timer.")   \
  X(retries, std::uint8_t, soft, delegated, low, "RFC 1122 4.2.3.5", "begins anew",                          \
    "Expiries without an answer.")                                                                           \
  X(restored, bool, soft, delegated, any, "failover", "set by RESTORE",                                      \
    "The connection came from another adapter.")                                                             \
  X(kicking, bool, soft, delegated, high, "failover", "set by RESTORE",                                      \
    "Restored and not yet answered: only probes may be sent.")                                               \
  X(challenge_ms, std::uint32_t, soft, delegated, any, "RFC 5961 7", "begins anew",                          \
    "Start of the second in which challenge ACKs are counted.")                                              \
  X(challenges, std::uint16_t, soft, delegated, any, "RFC 5961 7", "begins anew", "Challenge ACKs in it.")   \
  X(nagle, bool, soft, cached, any, "RFC 9293 3.7.4", "SET_OPTIONS",                                         \
    "Small segments wait while data is in flight (RFC 9293 3.7.4).")                                         \
  X(keepalive, bool, soft, cached, any, "RFC 9293 3.8.4", "SET_OPTIONS",                                     \
    "Probe a peer that says nothing (RFC 9293 3.8.4).")                                                      \
  X(keepalives, std::uint8_t, soft, delegated, low, "RFC 9293 3.8.4", "begins anew",                         \
    "Probes since the peer was heard.")                                                                      \
  X(keepalive_idle_s, std::uint16_t, soft, cached, any, "RFC 9293 3.8.4", "SET_OPTIONS",                     \
    "Seconds of silence before the first probe.")                                                            \
  X(heard, picos, soft, delegated, high, "RFC 9293 3.8.4", "begins anew", "When the peer was heard last.")   \
  X(ecn_echo, bool, soft, delegated, any, "RFC 3168 6.1.3", "the peer marks again",                          \
    "A congestion mark is echoed until the peer answers by CWR (RFC 3168).")                                 \
  X(ecn_cwr, bool, soft, delegated, any, "RFC 3168 6.1.2", "begins anew", "The next new data carries CWR.")  \
  X(ecn_until, seq32, soft, delegated, any, "RFC 3168 6.1.2", "starts at snd_una",                           \
    "Echoes are heard again once snd_una is here: one reduction a window.")                                  \
  X(retransmitted, std::uint32_t, soft, delegated, any, "statistics", "begins anew",                         \
    "Segments sent again, for statistics.")                                                                  \
  X(timeouts, std::uint32_t, soft, delegated, any, "statistics", "begins anew",                              \
    "Retransmission time-outs, for statistics.")
