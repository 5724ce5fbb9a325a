// The driver of the offload adapter: brings adapters up, moves descriptors and commit records, keeps the hard
// state of every connection on the host (the shadow), and replaces a failed adapter by a substitute without
// the connections noticing.
//
// One driver owns all adapters of a hal; one of them is active, the others stand by. Everything runs to
// completion in the context that hal.h describes. Nothing that a device writes is trusted: a record is
// copied, its CRC, number and epoch are checked, and each index, length and sequence number in it is compared
// with what the driver itself knows.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host_sw/driver/app_memory.h"
#include "host_sw/driver/direct_memory.h"
#include "host_sw/hal/hal.h"
#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"

namespace understudy::host {

class raw_send;
class tx_buf_pool;
struct tx_pool_config;

// One end of a connection: 16 bytes in network order (IPv4 as ::ffff:a.b.c.d) and a port. An all-zero
// address: any.
struct endpoint {
  std::uint8_t ip[16] = {};
  std::uint16_t port = 0;
};

// A local address; its place in driver_config::addresses is its addr_index.
struct local_address {
  std::uint8_t mac[6] = {};
  std::uint8_t ip[16] = {};
  std::uint8_t prefix_len = 120;  // bits of the 128; IPv4: 96 + length
  std::uint8_t gateway[16] = {};  // all zero: none
  std::uint16_t mtu = 1500;
  std::uint16_t vlan = 0;  // IEEE 802.1Q, 1 to 4094; 0: untagged
};

// Deliberate faults of the driver that a test bench must find. All off in use.
struct driver_mutants {
  bool no_fence = false;           // the old adapter is not fenced
  bool no_block = false;           // the substitute receives before its table is loaded
  bool snd_max_reset = false;      // RESTORE.snd_max = h_una
  bool free_before_ack = false;    // send bytes are given up when posted
  bool stale_rcv_nxt = false;      // RESTORE.rcv_nxt = IRS + 1
  bool leak_buffer = false;        // a receive buffer that was read is never given back
  bool lose_group_buffer = false;  // a buffer that comes back is counted in another group than its own
  bool slow_recovery = false;      // a loading substitute is looked at every 200 ms
  bool trust_index = false;        // the index in a refusal is believed unseen
  bool false_alarm = false;        // the user hears of a reset where a connection closed in order
};

// Which connections use the receive buffers of a group, and how many there are. What is absent matches any.
struct group_config {
  std::optional<std::uint16_t> local_port;
  std::optional<std::uint16_t> vlan;
  std::optional<std::uint8_t> dscp;
  std::optional<std::uint32_t> process;
  std::optional<std::uint16_t> set;
  std::optional<std::uint8_t> priority;    // 0 to 15
  std::optional<std::uint8_t> size_class;  // 0 to 15
  std::uint8_t local_ip[16] = {};
  std::uint8_t local_prefix = 0;  // bits of the 128, IPv4: 96 + length; 0: any
  std::uint8_t remote_ip[16] = {};
  std::uint8_t remote_prefix = 0;
  std::uint32_t buffers = 64;
  std::uint32_t bytes = 16 * 1024;  // of one buffer: a multiple of 1024, to 1 MiB
  bool borrow = false;              // take from the default group when there are none left
  std::uint32_t limit = 0;  // bytes granted ahead of the reader of one connection; 0: its receive_buffer
  std::uint32_t low =
      0;  // fewer free ones: only who has no window gets another buffer, until there are `high`
  std::uint32_t high = 0;
  std::uint16_t quota = 0;  // connections not yet announced that may hold one; 0: no limit
  // Buffers that may be out at once, by how well they are used; window 0: `buffers`. Else `buffers` is the
  // preset, and there are `most`.
  std::uint32_t window = 0;
  std::uint32_t least = 0;
  std::uint32_t most = 0;
  std::uint32_t low_percent = 25;
  std::uint32_t high_percent = 75;
};

struct driver_config {
  std::uint32_t idt_entries = 1024;        // power of two, 16 to 65536
  std::uint32_t tx_entries = 256;          // of each transmit queue; the same
  std::uint32_t odt_entries = 4096;        // power of two, 16 to 65536
  std::uint32_t first_index = 0;           // of both tables, as the adapters'; 0 unless their wrap is tested
  std::uint32_t pool_buffers = 256;        // receive buffers that each adapter holds for connections to come
  std::uint32_t buffer_bytes = 32 * 1024;  // of one receive buffer: a multiple of 1024, to 1 MiB
  std::uint32_t receive_buffer = 256 * 1024;  // bytes granted ahead of the reader, default of a connection
  std::uint32_t send_buffer = 256 * 1024;     // bytes kept until acknowledged, default of a connection
  std::vector<group_config> groups;           // beside the default group, which takes what nothing else does
  std::uint32_t hold_bytes = 0;      // received bytes of a connection handed over together; 0: no limit
  std::uint32_t hold_count = 0;      // the same in segments
  std::uint32_t hold_us = 0;         // for so long at most; 0: nothing is held back
  bool expedite = true;              // pushed and urgent data is not held back
  std::uint32_t wait_us = 500;       // data waits for a buffer of its application, before it takes another
  std::uint32_t inline_bytes = 0;    // sends of at most so many go with their descriptor, 0 to US_INLINE_MOST
  std::uint32_t heartbeat_us = 100;  // 0: no heartbeat, no check
  std::uint32_t heartbeat_misses = 2;  // periods without a beat that mean failure
  std::uint32_t announce_count = 32;   // connections announced together, 1 to 1024
  std::uint32_t announce_age_us = 20;  // an established connection waits for others at most; 0: for ever
  us_commit_policy commit = US_COMMIT_BEFORE_SYNACK;  // of protected listeners that do not say
  std::uint32_t cookies_above = 1024;  // half-open connections from which on SYNs get cookies; 0: never
  std::uint32_t load_burst = 64;       // descriptors that a doorbell announces while a substitute is loaded
  std::uint32_t recovery_poll_us = 5;  // how often a loading substitute is looked at
  std::uint32_t load_timeout_us = 100'000;  // a substitute that consumes nothing for so long has failed
  std::vector<local_address> addresses;     // 1 to US_ADDRESSES
  unsigned active = 0;                      // adapter that starts active
  bool failover = true;                     // false: no substitute is ever used
  std::uint32_t secret[4] = {1, 2, 3, 4};   // key of initial sequence numbers and timestamp offsets
  driver_mutants mutants;
};

struct driver_counters {
  std::uint64_t doorbells = 0;  // writes of IDT_TAIL, ODT_HEAD and the TAILs of transmit queues
  std::uint64_t mmio_reads = 0;
  std::uint64_t interrupts = 0;
  std::uint64_t lost_doorbells = 0;  // rung again, since heartbeats said that they did not arrive
  std::uint64_t lost_wakeups = 0;    // records found waiting by the watchdog, without an interrupt
  std::uint64_t records = 0;         // consumed, of the current epoch
  std::uint64_t descriptors = 0;     // written into input tables and transmit queues
  std::uint64_t backlogged = 0;      // descriptors that had to wait for a free slot
  std::uint64_t bad_records = 0;     // dropped: contents contradict what the driver knows
  std::uint64_t late_records = 0;    // dropped: of an older epoch
  std::uint64_t refused = 0;         // descriptors that an adapter refused
  std::uint64_t tx_stops = 0;        // transmit queues that an adapter stopped
  std::uint64_t copied_bytes = 0;    // between applications and DMA memory
  std::uint64_t inline_sends = 0;    // that went with their descriptor
  std::uint64_t fallbacks = 0;       // times that data of a connection with lent buffers went into another
  std::uint64_t starved = 0;         // times that a connection found no buffer in its group
  std::uint64_t restored = 0;        // connections restored on substitutes
  std::uint64_t failovers = 0;       // recoveries begun
  std::uint64_t overflowed_accepts = 0;  // connections reset because an accept queue was full
};

// A recovery's states, numbered as hal::note_recovery wants them.
enum class recovery_state : std::uint8_t {
  active,
  fencing,
  blocked,
  draining,
  rebuilding,
  loading,
  identity,
  running
};
const char* name(recovery_state s);

// Why a driver does not start, or what became of it.
enum class driver_error : std::uint8_t {
  none,
  bad_config,       // driver_config is out of range
  no_device,        // configuration space answers all-ones
  wrong_device,     // vendor or device id
  wrong_magic,      // US_REG_ID
  wrong_abi,        // another major version
  missing_feature,  // a US_FEATURE_ bit that the driver needs
  no_memory,        // dma_alloc
  no_substitute,    // the active adapter failed and nothing could replace it
  fence_failed,     // the failed adapter could not be cut off: using its memory would be unsafe
};
const char* name(driver_error e);

struct start_result {
  driver_error error = driver_error::none;
  std::string text;  // what was read and what was wanted
};

// A connection of the driver: slot and generation. 0 names none. It stays valid until release().
using conn = std::uint32_t;
inline constexpr conn no_conn = 0;

// What may be asked of a connection at any time.
struct connection_tuning {
  bool nagle = false;                  // small segments wait while data is in flight
  bool keepalive = false;              // probe a silent peer
  std::uint16_t keepalive_idle_s = 0;  // silence before the first probe; 0: the adapter's default
};

struct connection_options {
  bool tuned = false;  // `tuning` holds; else the adapter's defaults do
  connection_tuning tuning;
  bool failover = true;         // protected: survives the adapter
  bool direct_receive = false;  // its application lends buffers: data waits for one (driver_config::wait_us)
  bool expedite = false;        // its data is never held back
  std::uint32_t process = 0;    // whose memory it may lend; groups match by this and the next three
  std::uint16_t set = 0;
  std::uint8_t priority = 0;    // 0 to 15
  std::uint8_t size_class = 0;  // 0 to 15
  bool urgent = false;          // announced at once
  bool speaks_first = false;    // listener: the server does, so its peers may wait for it without a word
  std::optional<us_commit_policy> commit;  // listener, protected; absent: driver_config's
  std::uint32_t receive_buffer = 0;        // 0: driver_config's
  std::uint32_t send_buffer = 0;           // 0: driver_config's
};

// The layer above. Calls come from inside record processing and recovery; they must not call back into the
// driver except for what on_batch_end() allows.
class driver_user {
 public:
  virtual ~driver_user() = default;
  virtual void on_accepted(int listener, conn c) = 0;  // handshake complete; the user owns `c` from here on
  virtual void on_connected(conn c) = 0;
  virtual void on_readable(conn c) = 0;  // bytes, a lent buffer, or the end of the stream
  // Room again after a write() that took less than it was given; or take_sent() has something.
  virtual void on_writable(conn c) = 0;
  // Nothing more will come from the peer or go to it. error 0: closed in order by both ends; else an errno
  // value. Bytes received before may still be read.
  virtual void on_end(conn c, int error) = 0;
  virtual void on_batch_end() = 0;  // after any of the above, once; the driver may be called from here
};

// What a monitor may watch. No effect on the driver. Every callback has an empty default.
struct connection_facts {
  cid id;
  endpoint local;
  endpoint peer;
  seq32 iss;
  seq32 rcv_nxt;            // IRS + 1
  std::uint8_t conn = 0;    // US_CONN_ bits
  std::uint8_t wscale = 0;  // ours in bits 3:0, the peer's in 7:4
  std::uint16_t mss = 0;
};
class driver_observer {
 public:
  virtual ~driver_observer() = default;
  // Memory [iova, iova + len) is the adapter's to write, until on_take_back(buf_id).
  virtual void on_post_buffer(unsigned /*adapter*/, buf_id, iova, std::uint32_t /*len*/) {}
  virtual void on_take_back(buf_id) {}
  // [seq_end - len, seq_end) of the send stream lies at iova and must not change until on_send_freed() passes
  // it.
  virtual void on_send_posted(cid, seq32 /*seq_end*/, iova, std::uint32_t /*len*/) {}
  virtual void on_send_freed(cid, seq32 /*below*/) {}
  virtual void on_record(unsigned /*adapter*/, const us_record&) {
  }                                                       // valid and of the current epoch; before its effect
  virtual void on_connection(const connection_facts&) {}  // first told by a record; before its data
  virtual void on_connection_end(cid, int /*error*/) {}   // the cid is free
  virtual void on_descriptor(unsigned /*adapter*/, const us_idt_entry&, std::uint32_t /*index*/) {}
  // The transmit queue begins with an empty ring, where ring_facts says.
  virtual void on_tx_queue(unsigned /*adapter*/, unsigned /*queue*/) {}
  virtual void on_tx_descriptor(unsigned /*adapter*/, unsigned /*queue*/, const us_idt_entry&,
                                std::uint32_t /*index*/) {}
  virtual void on_delivered(int /*fd*/, cid, std::span<const std::uint8_t>) {
  }  // given to an application by recv() or received()
  // [iova, iova + len) is an application's DMA memory from now on / no longer.
  virtual void on_app_memory(iova, std::uint64_t /*len*/) {}
  virtual void on_app_memory_gone(iova) {}
  // An application reads or writes its DMA memory.
  virtual void on_app_access(iova, std::uint32_t /*len*/, bool /*write*/) {}
};

// Where the tables of an adapter lie.
struct ring_facts {
  std::uint64_t idt_iova = 0;
  std::uint32_t idt_entries = 0;
  std::uint64_t odt_iova = 0;
  std::uint32_t odt_entries = 0;
  std::uint64_t heartbeat_iova = 0;
  std::uint16_t epoch = 0;
  std::uint32_t first_index = 0;  // of the first descriptor and the first record
  struct tx_ring {
    std::uint64_t iova = 0;
    std::uint32_t entries = 0;  // 0: the queue is not open
  } tx[US_TX_QUEUES_MOST] = {};
};

// Hard state of one connection as the host holds it.
struct shadow_facts {
  connection_facts facts;
  us_tcp_state state = US_TCP_CLOSED;
  seq32 h_rcv;
  seq32 h_una;
  seq32 h_post_end;
  seq32 grant_edge;
  bool fin_tx = false;
  bool fin_rx = false;
  bool protected_connection = false;
};

// What a test bench asks of a driver, whoever wrote it.
class any_driver {
 public:
  static constexpr unsigned no_adapter = ~0u;

  virtual ~any_driver() = default;
  // Bring every adapter up, the active one receiving. An adapter that is refused makes the whole start fail.
  virtual start_result start() = 0;
  virtual recovery_state state() const = 0;
  // no_adapter during a recovery before LOADING, and after the last failed
  virtual unsigned active_adapter() const = 0;
  // none; no_substitute or fence_failed when the network is gone
  virtual driver_error condition() const = 0;

  // Observers are told of everything in driver_observer that the monitors are to judge.
  virtual void add_observer(driver_observer* o) = 0;
  virtual const driver_counters& counters() const = 0;
  virtual ring_facts rings(unsigned adapter) const = 0;
  virtual std::vector<shadow_facts> shadows() const = 0;  // every connection that an adapter knows, by cid
  // Every byte and FIN that these have posted is acknowledged. Asked often; a driver may have a shorter way.
  virtual bool all_acknowledged() const {
    const std::vector<shadow_facts> all = shadows();
    return std::all_of(all.begin(), all.end(), [](const shadow_facts& f) { return f.h_una == f.h_post_end; });
  }
  virtual std::size_t connections() const = 0;   // slots in use
  virtual std::size_t buffers_free() const = 0;  // receive buffers that nobody holds
  virtual std::size_t buffers_total() const = 0;
  // Of one group of receive buffers, 0 being the default one. Empty: the driver knows no groups.
  struct group_facts {
    std::size_t total = 0;
    std::size_t free = 0;         // nobody holds them
    std::size_t posted = 0;       // an adapter may write them
    std::size_t filled = 0;       // bytes in them wait for a reader
    std::uint32_t bytes = 0;      // of one
    std::uint64_t exhausted = 0;  // times that a connection found none
    std::uint64_t borrowed = 0;   // taken from the default group
    std::size_t most_in_use = 0;
    std::size_t limit = 0;            // that may be out now; 0: as many as there are
    std::uint64_t limit_changes = 0;  // times that it went up or down
  };
  virtual std::vector<group_facts> groups() const { return {}; }
};

class driver : public any_driver {
 public:
  driver(hal& h, driver_config config);
  ~driver() override;
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  start_result start() override;

  void set_user(driver_user* u);
  void add_observer(driver_observer* o) override;
  const std::vector<driver_observer*>& observers() const;

  // ---- recovery
  // Declare an adapter failed (an operator's order, or a detector outside the driver). The recovery runs from
  // a timer of its own; may be called from anywhere in the driver's context.
  void fail_now(unsigned adapter);
  recovery_state state() const override;
  unsigned active_adapter() const override;
  driver_error condition() const override;

  // ---- connections; negative values are -errno
  // Accept connections to `local` (address any: every configured address). Returns the listener. At most
  // `backlog` connections wait for accepted(); the adapter holds as many more back.
  int listen(const endpoint& local, unsigned backlog, const connection_options& o);
  void close_listener(int listener);
  // For connections that it accepts from now on; it is open.
  void tune_listener(int listener, const connection_tuning& t);
  // The application has taken one of those that on_accepted() told of.
  void accepted(int listener);
  // The host has nothing to do: connections that were gathered are announced now.
  void announce_now();
  // Start a handshake. local.port 0: an ephemeral port is chosen (RFC 6056); the address any: the first
  // configured one that matches the peer's family. on_connected() or on_end() follows. -ENETUNREACH: the
  // peer's address is a group's, a broadcast address, or nobody's.
  int connect(const endpoint& local, const endpoint& peer, const connection_options& o, conn* out);
  // Copy bytes into retention and post them. Returns how many were taken.
  std::ptrdiff_t write(conn c, const void* data, std::size_t bytes);
  // Copy received bytes out. Returns how many; 0 if none wait.
  std::size_t read(conn c, void* room, std::size_t bytes);
  std::size_t readable(conn c) const;  // bytes
  bool at_end(conn c) const;           // the peer's FIN is next: everything before it was read
  std::size_t writable(conn c) const;  // bytes that write() would take
  int finish(conn c);                  // FIN after what was written
  int abort(conn c);                   // RST; on_end() follows
  int tune(conn c, const connection_tuning& t);
  // What the adapter holds back of it is handed over now.
  void hurry(conn c);

  // ---- zero copy: nothing is copied, bytes lie in memory of the application
  // DMA memory for a process; cpu is null if there is none.
  dma_region allocate_memory(std::size_t bytes, std::uint32_t process);
  buffer_status free_memory(const dma_region& r);
  // The connection's stream goes on in [at, at + bytes), behind buffers lent before. take_received() tells
  // what came.
  buffer_status lend(conn c, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  // What comes next in the stream, if it lies in a lent buffer. False: it does not; read() has it, or nothing
  // has come.
  bool take_received(conn c, received_piece* out);
  // Send [at, at + bytes) from where it lies. Do not change it before take_sent() has told of it.
  buffer_status send_from(conn c, const std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  // Tell observers that an application reads or writes its memory. No effect.
  void note_access(const std::uint8_t* at, std::size_t bytes, bool write);
  // The peer has acknowledged more of what send_from() sent. False: no.
  bool take_sent(conn c, sent_piece* out);
  // The user forgets it: unread bytes are dropped, and more of them reset the connection.
  void release(conn c);
  // A number of the user's own, -1 until it sets one; -1 as well once the connection is released.
  void set_user_number(conn c, int number);
  int user_number(conn c) const;
  connection_options options(conn c) const;  // sizes and policy as they came out; all defaults: no such one
  endpoint local(conn c) const;
  endpoint peer(conn c) const;
  cid id(conn c) const;  // invalid before the handshake is complete; stays after the end

  // ---- frames that the host's stack builds itself (not offloaded, not protected)
  // A path of the active adapter, with its pool of buffers: by the table that all descriptors share, or by a
  // transmit queue of its own. Called in the driver's context, as `done` is. When an adapter fails, what it
  // has reported is told first, then every frame that is open is told unsent; open the path again for the
  // substitute. A queue that stops tells its open frames unsent and goes on. Null: the adapter cannot, or
  // there is no memory. A path that is opened again must have nothing open.
  static constexpr unsigned shared_table = ~0u;
  raw_send* open_raw(const tx_pool_config& c, void (*done)(void* context, std::uint64_t cookie, bool sent),
                     void* context, unsigned queue = shared_table);
  tx_buf_pool& raw_buffers(unsigned queue = shared_table);  // of the open path
  unsigned tx_queues() const;                               // that the active adapter has

  // ---- looking
  const driver_config& config() const;
  const driver_counters& counters() const override;
  driver_counters& counters();
  hal& machine();
  ring_facts rings(unsigned adapter) const override;
  std::vector<shadow_facts> shadows() const override;
  bool all_acknowledged() const override;
  std::size_t connections() const override;
  std::size_t buffers_free() const override;
  std::size_t buffers_total() const override;
  std::vector<group_facts> groups() const override;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace understudy::host
