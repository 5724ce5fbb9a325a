// The parts of the driver put together: what driver.h offers, records do, and recovery needs.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "host_sw/driver/app_memory.h"
#include "host_sw/driver/buffer_pool.h"
#include "host_sw/driver/device.h"
#include "host_sw/driver/driver.h"
#include "host_sw/driver/failover.h"
#include "host_sw/driver/raw_send.h"
#include "host_sw/driver/rx_limit.h"
#include "host_sw/driver/shadow_table.h"

namespace understudy::host {

struct listener {
  bool open = false;
  std::uint16_t port = 0;
  std::uint32_t backlog = 0;
  connection_options options;
  std::uint32_t queued = 0;             // told to the user, not accepted()
  std::uint32_t returned = 0;           // credits that the adapter does not know of yet
  std::vector<std::uint8_t> addresses;  // indices
};

class driver_core;

// A group of receive buffers, beside what buffer_pool knows of it.
struct rx_group {
  std::uint32_t limit = 0;  // bytes granted ahead of one reader; 0: the connection's own
  std::uint32_t low = 0;    // fewer free ones: scarce until there are `high`
  std::uint32_t high = 0;
  std::uint32_t pooled = 0;  // of them the serving adapter holds, for connections to come
  bool borrow = false;
  bool scarce = false;
  ring_queue<conn> starved;  // connections that wait for a buffer, in order
  std::uint64_t exhausted = 0;
  std::uint64_t borrowed = 0;
  std::size_t most_in_use = 0;
  rx_limit adaptive;
  std::uint32_t bound = 0;  // of an adaptive group: its target, or what is out beyond that
};

// Frames that the host's stack builds, through one adapter.
struct raw_port {
  // Among the driver's ports, as us_record's `ring` counts: 0 is the shared table, n transmit queue n - 1.
  static constexpr unsigned place(unsigned queue) { return queue == driver::shared_table ? 0 : queue + 1; }

  unsigned adapter = 0;
  unsigned queue = driver::shared_table;
  tx_buf_pool pool;
  raw_send::done_function done = nullptr;
  void* context = nullptr;
  driver_core* core = nullptr;
  std::optional<raw_send> send;
};

class driver_core {
 public:
  driver_core(hal& h, driver_config c);
  ~driver_core();  // nothing calls it any more; adapters keep what they were given
  driver_core(const driver_core&) = delete;
  driver_core& operator=(const driver_core&) = delete;

  hal& hw;
  const driver_config config;
  driver_counters count;
  driver_user* user = nullptr;
  std::vector<driver_observer*> observers;
  std::deque<device> devices;
  app_memory memory;
  buffer_pool buffers;
  std::vector<rx_group> groups;
  retention_memory retention;
  shadow_table table;
  std::vector<listener> listeners;
  std::map<std::uint32_t, conn> connecting;  // CONNECTs without a record, by initial sequence number
  unsigned current = driver::no_adapter;     // where descriptors of connections go
  std::uint16_t epoch = 1;                   // of the current adapter
  std::uint32_t next_port = 0;
  failover recovery;
  std::array<std::unique_ptr<raw_port>, 1 + US_TX_QUEUES_MOST> raw;  // null until opened

  start_result start();

  // While one lives, notifications and doorbells are gathered; the last one to go delivers them.
  class batch {
   public:
    explicit batch(driver_core& d) : d_(d) { ++d_.depth_; }
    ~batch() { d_.leave_batch(); }
    batch(const batch&) = delete;
    batch& operator=(const batch&) = delete;

   private:
    driver_core& d_;
  };

  // ---- descriptors
  std::uint32_t post(device& d, const us_idt_entry& e);
  std::uint32_t post_to_queue(device& d, unsigned queue, const us_idt_entry& e);
  void post_addresses(device& d);
  // LISTEN (for a substitute: of a listener that peers know), UNLISTEN, or ACCEPTED with what is to be
  // returned.
  void post_listener(device& d, const listener& l, us_opcode op, bool takeover = false);
  void accepted(int number);
  void post_groups(device& d);
  void fill_pool(device& d);
  // Give the adapter [committed, len) of a buffer; with it the connection's window may go to `edge`.
  void post_range(connection& c, rx_range& r, seq32 edge);
  void post_lent(connection& c, lent_range& r, seq32 edge);
  // All that the connection may still receive, again, for a substitute.
  void post_all_ranges(connection& c);
  void post_send(connection& c, seq32 from, seq32 to);
  void post_connect(connection& c);
  // Grant more receive buffer if the reader has made room.
  void grant(connection& c);
  // A buffer is nobody's again, `used` bytes of it have held data: whoever waits for one gets it.
  void give_back(buf_id id, std::uint32_t used);
  // Those that wait for a buffer, as far as there are any now.
  void serve_starved();

  // As driver::open_raw().
  raw_send* open_raw(const tx_pool_config& c, raw_send::done_function done, void* context, unsigned queue);
  // Adapter `a` sends nothing any more.
  void abandon_raw(unsigned a);

  // ---- connections
  void request_abort(connection& c, int error);
  void post_options(connection& c);  // if the connection has any and its adapter takes them
  void finish(connection& c);
  std::size_t room(const connection& c) const;  // bytes that may be written now
  void advance_una(connection& c, seq32 una);
  void free_sent(connection& c, seq32 below);
  void discard_unread(connection& c);
  // Adapters have forgotten it, or must: free its names and unfilled buffers, tell the user.
  void end(connection& c, int error);
  void take_back(rx_range& r);

  // ---- zero copy (direct.cpp)
  static constexpr std::uint32_t largest_window = 1u << 30;
  direct_memory& direct_of(connection& c);
  buffer_status lend(connection& c, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  bool take_received(connection& c, received_piece* out);
  buffer_status send_from(connection& c, const std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  bool take_sent(connection& c, sent_piece* out);
  void take_back(lent_range& r);
  void return_lent(connection& c);
  void return_all_lent(connection& c);
  void return_direct(connection& c);

  const listener* find_listener(std::uint8_t addr_index, std::uint16_t port, int* number) const;

  // ---- records
  // Read records until none is valid, at most `budget`; returns how many were consumed.
  unsigned consume(device& d, unsigned budget);
  // Interrupt service: consume, give slots back, look again.
  void service(device& d);

  // The peer has acknowledged the SYN of connect(), and the adapter died before it announced that.
  void establish_committed(connection& c);
  void tell_readable(connection& c);
  void tell_end(connection& c);

 private:
  void post_inline(device& d, const connection& c, const send_range& r);
  send_range send_piece(const connection& c, seq32 from, seq32 to) const;
  void return_sent(connection& c, seq32 below);
  void return_lines(direct_send& s, bool done);
  buf_id take_buffer(connection& c);
  // Bytes of pool buffers that the connection holds, filled and not read or still to be filled.
  std::uint32_t pool_bytes(const connection& c) const;
  // `len` bytes came in a pool buffer / in a lent one, which they fill or, with the FIN, end.
  void came(connection& c, rx_range& r, std::uint32_t len);
  void came(connection& c, lent_range& r, std::uint32_t len, bool last);
  friend class batch;
  void leave_batch();
  bool make_groups();
  void serve_starved(unsigned group);
  void note_use(unsigned group);
  std::uint32_t in_use(unsigned group) const;
  bool may_take(unsigned group) const;
  void announce();
  void health_tick();
  void health_later();
  void health_interrupt(device& d);

  // Each returns false if the record contradicts what the driver knows.
  bool apply(device& d, const us_record& r);
  bool on_embryo(device& d, const us_record& r);
  bool bind_connecting(device& d, connection& c, const us_record& r);
  bool on_established(device& d, const us_record& r);
  bool on_data(connection& c, const us_record& r);
  bool on_time_wait(connection& c, seq32 una);
  bool on_ended(device& d, const us_record& r, int error);
  bool on_refused(device& d, const us_record& r);
  bool begin_queue(device& d, unsigned queue);
  raw_port* port_of(const device& d, const us_record& r);
  bool on_raw(device& d, const us_record& r);
  bool on_tx_stopped(device& d, const us_record& r);
  bool usable_cid(const device& d, cid id) const;
  bool pool_buffer_ok(const device& d, const us_record& r);
  void attach_pool_buffer(device& d, connection& c, const us_record& r);
  connection* accept_embryo(device& d, const us_record& r, seq32 iss);
  void take_facts(connection& c, const us_record& r);
  void announce_connection(const connection& c);
  void establish(connection& c);

  struct irq_context {
    driver_core* core;
    unsigned adapter;
  };
  std::deque<irq_context> contexts_;
  unsigned depth_ = 0;
  bool told_ = false;              // a notification is part of this batch
  bool doorbell_pending_ = false;  // a timer will ring
  std::uint64_t doorbell_timer_ = 0;
  std::uint64_t health_timer_ = 0;
};

connection_facts facts_of(const connection& c, const driver_config& config);

}  // namespace understudy::host
