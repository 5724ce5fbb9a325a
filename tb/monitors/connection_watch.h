// Every connection of the host, judged at the wire against what is truly visible in host memory.
// I-RX-1, 2, 4, 5, 6, 7; I-TX-1 to 6; I-DMA-3, 5; I-LV-3, 5; I-OB-2.
#pragma once
#include <map>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/pcie/host_memory.h"
#include "tb/monitors/monitor.h"
#include "tb/monitors/posted_buffers.h"
#include "tb/monitors/wire_segment.h"

namespace understudy::tb {

class connection_watch {
 public:
  // A window that the host has opened is told to the peer within this time: twice what a failover may take.
  static constexpr picos reopen_deadline = 200_ms;
  // Segments that say nothing new, in so long: at most so many, beside one for each segment that asks for it.
  static constexpr picos storm_interval = 200_ms;
  static constexpr std::uint32_t storm_segments = 100;

  // `posted`: kept by the owner. `probe_deadline`: the longest silence towards a peer whose window is shut.
  connection_watch(host_memory& memory, const posted_buffers& posted, unsigned adapters,
                   std::vector<ip_address> host_ips, picos probe_deadline, const event_history& history,
                   segment_reader& segments);

  void on_event(const event& e);  // frames and visible writes of the host's adapters
  void on_record_visible(unsigned adapter, const us_record& r, const event& e);
  // ---- the driver's side
  void on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint64_t event, picos now);
  void on_take_back(buf_id b);
  void on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length);
  void on_send_freed(cid c, seq32 below, std::uint64_t event, picos now);
  // `excused`: the driver has given up the network, and says so.
  void on_connection_end(cid c, int error, bool excused, std::uint64_t event, picos now);
  void end_of_run(std::uint64_t event, picos now);
  // A record names a buffer that its adapter does not have, or bytes beyond its end.
  bool names_wild(unsigned adapter, const us_record& r) const;
  // From this instant no adapter but `to` may send for the host; `from` is fenced.
  void on_takeover(unsigned from);
  // A recovery is under way from FENCING to RUNNING: `substitute` is not to say a word.
  void on_recovery(bool under_way, unsigned substitute);

  std::vector<const monitor*> monitors() const;

 private:
  struct send_piece {
    seq32 begin;
    std::uint32_t length;
    std::uint64_t at;
  };
  struct peers_syn {
    seq32 seq;
    bool scales = false;
    std::uint8_t scale = 0;
  };
  struct connection {
    std::uint32_t id = cid::none_raw;  // none: no record has named it
    bool is_protected = false;
    bool over = false;  // the driver has let it go: a SYN opens the tuple again
    bool syn_in = false, syn_out = false, established = false;
    std::optional<peers_syn> other_syn;  // came while it was open: it begins another one if it is answered
    seq32 irs, iss;
    std::uint8_t our_scale = 0, peer_scale = 0;
    bool scale_in = false, scale_out = false;
    // reception
    seq32 committed;  // rcv_nxt of the newest visible record
    bool any_commit = false;
    bool ack_sent = false;
    seq32 highest_ack;  // sent by any adapter
    bool edge_known = false;
    seq32 edge;   // highest right edge advertised
    seq32 grant;  // highest granted by the host
    bool grant_known = false;
    bool fin_in = false, fin_committed = false;
    seq32 fin_seq;
    // transmission
    std::vector<send_piece> pieces;  // posted and not freed, in order
    seq32 posted_end;
    bool fin_posted = false;
    seq32 highest_sent;  // after the last byte or FIN ever sent
    seq32 peer_ack;      // highest from the peer
    bool peer_ack_known = false;
    seq32 peer_edge;     // highest right edge of the peer
    seq32 recorded_una;  // of visible records
    bool recorded = false;
    bool ts_known = false;
    std::uint32_t tsval = 0;
    int owner = -1;  // adapter that sends for it
    // progress
    picos interval = 0;                                  // began
    std::uint32_t idle_acks = 0, resent = 0, asked = 0;  // segments in it
    picos owed_since = never;                            // our window is shut, the host has granted more
    picos quiet_since = never;  // the peer's window is shut: the last probe, or when it shut
    // how it may end
    bool cause = false;    // something has happened that an application may hear of as an error
    bool aborted = false;  // a record says so
  };
  struct buffer {
    std::uint64_t base = 0;     // where off 0 of its records lies
    std::uint32_t end = 0;      // of what is posted, as an off
    std::uint32_t visible = 0;  // bytes before this off are in host memory
    int adapter = -1;
    std::uint32_t owner = cid::none_raw;  // connection; none: pool
  };
  bool is_hosts(const ip_address& ip) const;
  connection* by_cid(std::uint32_t raw);
  // The tuple's next connection begins with that SYN of the peer.
  void begin(connection& c, const peers_syn& syn, std::uint16_t port);
  // The host, by a segment or a record, acknowledges `ack`: if that is another SYN, its connection has begun.
  void follow(connection& c, seq32 ack, std::uint16_t port);
  void frame_out(const event& e, const wire_segment& s);
  void frame_in(const event& e, const wire_segment& s);
  void payload_visible(const event& e);
  void learn(const us_record& r);
  void check_ack(const event& e, const wire_segment& s, connection& c);
  bool may_precede_commit(const wire_segment& s, const connection& c) const;
  void check_data(const event& e, const wire_segment& s, connection& c);
  std::string name(const connection& c, const wire_segment& s) const;
  // ---- connection_progress.cpp
  void check_progress(const event& e, const wire_segment& s, connection& c);
  void heard(const wire_segment& s, connection& c, bool news);
  void look_at_peers_window(connection& c, picos now);
  void owe_window(connection& c, picos now);

  host_memory& memory_;
  const posted_buffers& posted_;
  unsigned adapters_;
  std::vector<ip_address> host_ips_;
  picos probe_deadline_;
  const event_history& history_;
  segment_reader& segments_;
  template <class T>
  using by_connection = std::unordered_map<wire_connection, T, wire_connection_hash>;
  by_connection<connection> connections_;
  std::unordered_map<std::uint32_t, wire_connection> key_of_;  // by cid
  std::pmr::unsynchronized_pool_resource nodes_;
  std::pmr::unordered_map<std::uint32_t, buffer> buffers_{&nodes_};  // by name, as their descriptors say
  by_connection<seq32> last_iss_;  // of each tuple, beyond the end of its connections
  std::set<std::uint16_t>
      unprotected_ports_;  // local ones, of listeners and openings that ask for no failover
  struct port_terms {      // of a local port, as its LISTEN said
    std::uint8_t commit = US_COMMIT_BEFORE_SYNACK;
    std::uint32_t cookies_above = 0;
    std::uint32_t half_open = 0;  // SYNs that came in whose sender has acknowledged nothing
  };
  std::map<std::uint16_t, port_terms> ports_;
  std::vector<bool> fenced_;
  std::vector<bool> unsilenced_;  // goes on by itself after its fence
  int silent_ = -1;               // the substitute of the recovery that is under way
  monitor rx1_{"I-RX-1", history_}, rx2_{"I-RX-2", history_}, rx4_{"I-RX-4", history_},
      rx5_{"I-RX-5", history_}, rx6_{"I-RX-6", history_}, rx7_{"I-RX-7", history_}, rx8_{"I-RX-8", history_};
  monitor tx1_{"I-TX-1", history_}, tx2_{"I-TX-2", history_}, tx3_{"I-TX-3", history_},
      tx4_{"I-TX-4", history_}, tx5_{"I-TX-5", history_}, tx6_{"I-TX-6", history_};
  monitor dma3_{"I-DMA-3", history_}, dma5_{"I-DMA-5", history_};
  monitor lv3_{"I-LV-3", history_}, lv5_{"I-LV-5", history_}, ob2_{"I-OB-2", history_};
};

}  // namespace understudy::tb
