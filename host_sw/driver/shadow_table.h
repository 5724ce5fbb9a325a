// What the host knows of every connection: its hard state (what a substitute needs to go on), the bytes
// it keeps, and who uses it.
#pragma once
#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_set>
#include <vector>

#include "host_sw/driver/direct_memory.h"
#include "host_sw/driver/driver.h"
#include "host_sw/driver/ring_queue.h"
#include "host_sw/driver/send_retention.h"
#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

// A connection's place among all: what distinguishes it on the wire.
struct tuple_key {
  std::array<std::uint8_t, 16> peer_ip{};
  std::uint16_t local_port = 0;
  std::uint16_t peer_port = 0;
  std::uint8_t addr_index = 0;
  auto operator<=>(const tuple_key&) const = default;
};

// A receive buffer of a connection. Buffers are used in the order of the queue.
struct rx_range {
  buf_id id;
  std::uint32_t len = 0;        // bytes of the stream that go here
  std::uint32_t committed = 0;  // of them, announced by records
  std::uint32_t consumed = 0;   // of them, read by the user
  bool posted = false;          // an adapter may write [committed, len)
};

enum class conn_phase : std::uint8_t {
  connecting,  // CONNECT posted, no record yet: no cid
  embryo,      // the peer's SYN is committed; acknowledged by it if h_una is behind our SYN
  open,        // handshake complete
  gone,        // no adapter knows it any more
};

struct connection {
  conn handle = no_conn;  // no_conn: slot is free
  std::uint32_t generation = 0;
  conn_phase phase = conn_phase::gone;
  tuple_key key;
  connection_options options;
  int listener = -1;
  int user_number = -1;
  bool opened_here = false;  // by connect()
  bool owned = false;        // a user holds the handle
  bool on_adapter = false;   // the current adapter has been told of it: descriptors may follow
  bool ended = false;        // on_end() was called
  bool wants_room = false;   // a write() was cut short
  bool aborting = false;     // ABORT is posted, or will be when the cid is known
  int abort_error = 0;       // what the user hears of it
  int error = 0;             // of on_end()

  cid last_id;  // as id, and still after the end

  // Hard state.
  cid id;
  std::uint8_t conn_bits = 0;  // US_CONN_
  std::uint8_t wscale = 0;
  std::uint16_t mss = 536;
  seq32 iss;
  seq32 irs_next;    // IRS + 1
  seq32 h_rcv;       // committed; SYN and FIN counted
  seq32 h_una;       // acknowledged by the peer, as far as told
  seq32 h_post_end;  // after the last posted byte; FIN counted
  seq32 rcv_adv;     // right edge that the adapter said it advertised
  seq32 edge;        // highest granted
  bool fin_tx = false;
  bool fin_rx = false;
  bool fin_tx_first = false;  // fin_tx came before fin_rx
  bool time_wait = false;     // told by a record

  std::uint8_t group = 0;  // of receive buffers
  bool starved = false;    // waits for a buffer of it
  ring_queue<rx_range> rx;
  std::uint32_t unread = 0;               // bytes
  std::unique_ptr<direct_memory> direct;  // null until it lends memory of its application
  send_retention retained;
  seq32 freed;                      // bytes before it are given up
  std::uint32_t connect_index = 0;  // connecting: of its CONNECT descriptor

  bool protected_connection() const { return options.failover; }
  seq32 data_end() const { return fin_tx ? h_post_end - 1 : h_post_end; }
  seq32 first_byte() const { return iss + 1; }
};

class shadow_table {
 public:
  // `secret` keys the hash of tuples: peers choose parts of them.
  explicit shadow_table(const std::uint32_t (&secret)[4]) : by_tuple_(64, by_tuple{this}, by_tuple{this}) {
    std::copy_n(secret, 4, secret_);
  }
  shadow_table(const shadow_table&) = delete;
  shadow_table& operator=(const shadow_table&) = delete;

  // A free slot with a new handle, for a tuple that no connection has; null if 2^20 are in use.
  connection* create(const tuple_key& key);
  void erase(connection& c);
  connection* find(conn handle);
  connection* find(const tuple_key& key);
  // By the name that an adapter uses; null unless index and generation are those of a live connection.
  connection* find(cid id);
  bool index_in_use(std::uint32_t cid_index) const;
  void bind(connection& c, cid id);
  // No adapter knows it any more: its cid and its tuple are free.
  void unbind(connection& c);
  std::size_t size() const { return used_; }

  // Every slot in use, in order of slots. `f` may erase the connection it is given.
  template <typename F>
  void for_each(F f) {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].handle != no_conn) f(slots_[i]);
  }

 private:
  static constexpr std::uint32_t slot_bits = 20;  // of a handle; the generation is above
  static std::uint32_t slot_of(conn handle) { return handle & ((1u << slot_bits) - 1); }
  std::deque<connection> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<conn> by_index_;  // cid index -> handle
  // Slots by the tuples of their connections: both may be looked for.
  struct by_tuple {
    using is_transparent = void;
    const shadow_table* table;
    const tuple_key& key(std::uint32_t slot) const { return table->slots_[slot].key; }
    static const tuple_key& key(const tuple_key& k) { return k; }
    // Not noexcept, so that the set keeps hashes: comparing keys costs a cache line each.
    std::size_t operator()(const auto& x) const { return table->hash(key(x)); }
    bool operator()(const auto& a, const auto& b) const { return key(a) == key(b); }
  };
  std::size_t hash(const tuple_key& k) const;
  std::uint32_t secret_[4];
  std::unordered_set<std::uint32_t, by_tuple, by_tuple> by_tuple_;
  std::size_t used_ = 0;
};

}  // namespace understudy::host
