// The adapter: an Ethernet port, a PCI Express function, and between them TCP.
//
// A plain TLM-2.0 citizen: `mmio` and `cfg` are target sockets (b_transport; 4-byte accesses), `dma.socket`
// is the initiator of memory writes, reads and MSI-X messages, `ethernet` carries frames. The way of a
// received byte through the members: ethernet -> rx fifo -> checksum -> engine -> place() -> dma ->
// output_table -> proof -> engine.on_committed() -> ACK.
#pragma once
#include <tlm.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <map>
#include <memory>
#include <span>
#include <systemc>
#include <utility>
#include <vector>

#include "model/abi/understudy_abi.h"
#include "model/adapter/adapter_config.h"
#include "model/adapter/announcer.h"
#include "model/adapter/config_space.h"
#include "model/adapter/connection_lookup.h"
#include "model/adapter/dma_engine.h"
#include "model/adapter/neighbours.h"
#include "model/adapter/output_table.h"
#include "model/adapter/raw_chain.h"
#include "model/adapter/tx_queues.h"
#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "model/core/group_rules.h"
#include "model/core/inplace_function.h"
#include "model/core/ipv6.h"
#include "model/core/stream_buffers.h"
#include "model/core/tcp_engine.h"
#include "model/cosim/buffer_allocator_unit.h"
#include "model/cosim/checksum_unit.h"
#include "model/cosim/record_coalescer_unit.h"
#include "model/net/eth_if.h"
#include "model/sim/agenda.h"

namespace understudy {

// Received frames that were heard and dropped, by cause.
class drop_counters {
 public:
  std::uint64_t& operator[](drop_cause c) { return by_cause_[static_cast<std::size_t>(c)]; }
  std::uint64_t operator[](drop_cause c) const { return by_cause_[static_cast<std::size_t>(c)]; }
  std::uint64_t bad() const { return sum(true); }
  std::uint64_t sound() const { return sum(false); }

 private:
  std::uint64_t sum(bool of_bad) const {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < drop_causes; ++i)
      if (is_bad(drop_cause{static_cast<std::uint8_t>(i)}) == of_bad) n += by_cause_[i];
    return n;
  }

  std::array<std::uint64_t, drop_causes> by_cause_{};
};

struct adapter_counters {
  std::uint64_t frames_in = 0, frames_out = 0;
  std::uint64_t dropped_blocked = 0;   // reception is blocked
  std::uint64_t dropped_overflow = 0;  // rx fifo full
  drop_counters dropped;
  std::uint64_t dropped_no_neighbour = 0;
  std::uint64_t descriptors = 0;    // input descriptors executed
  std::uint64_t refused = 0;        // input descriptors refused
  std::uint64_t bad_doorbells = 0;  // of any ring, ignored: back, or beyond the ring
  std::uint64_t pool_empty = 0;     // a connection began without a buffer
  std::uint64_t waits = 0;          // segments that waited for a buffer of their application
  std::uint64_t fallbacks = 0;      // pieces that went elsewhere, because none came or it had no more room
  std::uint64_t holds = 0;          // hand-overs of what was held back
  std::uint64_t merged = 0;         // pieces held back that went with the one before, in one DMA and record
  std::uint64_t expedited = 0;      // hand-overs before their time: pushed, urgent, closing, window closed
  std::uint64_t inline_sends = 0;   // whose bytes came with their descriptor
  std::uint64_t inline_missed = 0;  // that were said to, and did not, or found no room: read as others are
  std::uint64_t timers = 0;         // entries of the wheel served
  picos timers_late = 0;            // what they waited for the timer unit, all together
  // Built by the host and given by the input table; tx_queue_counters tells of the transmit queues.
  std::uint64_t raw_frames = 0;       // sent
  std::uint64_t raw_failed = 0;       // not sent: a length or a DMA was bad
  std::uint64_t raw_reads = 0;        // DMA operations for raw frames
  std::uint64_t checksum_cycles = 0;  // that the checksum block took
};

class adapter : public sc_core::sc_module, private tcp_env, private eth_if {
 public:
  tlm_utils::simple_target_socket<adapter> mmio{"mmio"};
  tlm_utils::simple_target_socket<adapter> cfg{"cfg"};
  dma_engine dma;
  eth_socket ethernet;

  // `unit` numbers the adapter in the event log.
  adapter(const sc_core::sc_module_name& name, const adapter_config& config, event_log& log,
          std::uint16_t unit);
  ~adapter() override;

  // The adapter dies at this instant: it does, sends, answers and logs nothing more. What its bus master has
  // put on the link is the link's business. May be called from anywhere, also by an observer of the adapter's
  // own events: what the adapter was doing ends there.
  void kill();
  bool dead() const { return dead_; }
  // Its link has trained to another speed or width: Link Status.
  void link_trained(unsigned generation, unsigned lanes);
  // Its end of the link has found an error, a bit of AER's correctable status: the message that its
  // configuration space calls for.
  error_message link_error(std::uint32_t bit);
  // Its link went down, and it resets: all is as after power-on, before firmware, but for what is sticky
  // (PCIe 2.9.1, 6.6.1) and for what tests see and do: counters(), mutants, mute_heartbeat(). Not of a dead
  // adapter, and not from inside a call of its.
  void link_went_down();
  // Whoever sends the function's error messages, which its configuration space calls for (PCIe 2.2.8.3).
  using error_signal = inplace_function<void(error_message)>;
  void on_error(error_signal f) { signal_error_ = std::move(f); }
  // The heartbeat stops, for good; everything else goes on. To the host such an adapter looks dead: a zombie.
  void mute_heartbeat() { muted_ = true; }
  bool muted() const { return muted_; }
  // Two more records go to the host, numbered and sealed as others are: a refusal of a descriptor that it
  // never wrote, and, if a connection has a buffer, bytes beyond the end of that.
  void write_wild_records();
  // In the on-chip connection store, `bits` (1 or 2) bits change in each word of a set that a connection
  // uses: of the `n`-th one, modulo their number. False: there is none.
  bool upset_store(std::uint64_t n, unsigned bits);
  // TIME_WAITs end now, as if 2 MSL were over (the end of a run).
  void expire_time_wait();

  const adapter_counters& counters() const { return counters_; }
  const output_table_counters& record_counters() const { return output_.counters(); }
  const tx_queues& transmit_queues() const { return tx_queues_; }
  const lookup_counters& lookups() const { return lookup_.counters(); }
  const announce_counters& announcements() const { return announcer_.counters; }
  const tcp_engine& engine() const { return *engine_; }
  rtl_cycle_counts rtl_cycles() const;

 private:
  struct local_address {
    bool set = false;
    std::uint16_t vlan = 0;  // in which it lives; 0: untagged
    mac_address mac{};
    ip_address ip;
    ip_address gateway;
    std::uint8_t prefix_len = 0;
  };
  // Payload that has no place yet.
  struct accepted {
    seq32 seq;
    frame_ref frame;
    std::uint32_t offset = 0;  // in the frame
    std::uint32_t length = 0;
    bool push = false;
    bool fin = false;  // the peer's FIN follows it
    picos at = 0;      // when it came
  };
  // Payload with its place in host memory.
  struct placed {
    seq32 end;  // sequence number after it, FIN not counted
    iova at;
    buf_id buffer;
    std::uint32_t buffer_offset = 0;
    frame_ref frame;
    std::uint32_t offset = 0;  // in the frame
    std::uint32_t length = 0;
    std::uint8_t flags = 0;  // US_REC_FLAG_
    bool merges = false;     // consecutive to the piece held before
  };
  struct held {
    cid connection;
    list_store<placed>::list pieces;
    buf_id newest;  // buffer of the newest piece
    seq32 end;      // sequence number after it
  };
  static constexpr std::uint16_t no_hold = 0xffff;
  struct connection_buffers {
    list_store<receive_buffer>::list rx;
    list_store<receive_buffer>::list direct;  // lent by the application: used first
    list_store<accepted>::list waiting;
    us_memory_terms terms{};
    std::uint16_t hold = no_hold;  // its context among those held back
    std::uint8_t group = 0;
    list_store<send_range>::list tx;
    seq32 tx_end;  // after the newest range
    std::uint32_t generation = 0;
    std::uint32_t reads = 0;   // DMA reads of its send ranges under way
    seq32 read_floor;          // lowest number among them: the host must keep what lies at or above it
    bool acked_dirty = false;  // send progress not yet recorded
    bool told = false;         // a record has named the connection
    bool opened = false;       // its handshake is complete
    bool gathered = false;     // established, not announced
    bool held = false;         // no accept credit
    bool credit = false;       // it took one
    bool urgent = false;
    std::uint8_t pool_from = 0;    // group that it came from
    std::uint32_t pool_bytes = 0;  // of the buffer that it began with; 0: none
    buf_id pool_buffer;
  };
  struct out_slot {
    send_request request;
    frame_ref frame;  // payload, headroom in front; empty while raw
    segment raw;      // a segment without connection
    bool is_raw = false;
    std::uint32_t reads = 0;  // DMA reads still under way
    bool failed = false;
    picos ready_at = 0;
  };
  struct ended_connection {
    cid c;
    us_record record;
  };
  struct received {
    frame_ref frame;
    bool bad = false;     // as the checksum block judged
    bool judged = false;  // it saw the segment's checksum
    // Once it has passed the pipeline, unless it is bad:
    parsed_frame parsed;
    const local_address* to = nullptr;  // null: not for us
    picos ready_at = 0;                 // when its connection is found, after that of the frame before it
  };
  struct raw_frame {  // in order of descriptors
    frame_ref frame;
    std::uint32_t last = 0;   // index of its last descriptor
    std::uint32_t reads = 0;  // DMA reads to come
    us_status status = US_OK;
  };
  struct raw_read {
    std::uint64_t frame = 0;  // its number
    raw_piece piece;
  };
  struct deferred_grant {
    cid c;
    seq32 edge;
  };

  // ---- registers and configuration (adapter_registers.cpp)
  void mmio_transport(tlm::tlm_generic_payload& t, sc_core::sc_time& delay);
  void cfg_transport(tlm::tlm_generic_payload& t, sc_core::sc_time& delay);
  void configure_dma();
  // Of configuration space; the message that it calls for is sent.
  void report_error(std::uint32_t bit, bool advisory);
  void report_read_error(tlm::tlm_response_status s);
  std::uint32_t read_register(std::uint32_t offset);
  void write_register(std::uint32_t offset, std::uint32_t value);
  void ignore_doorbell(std::uint32_t offset, std::uint32_t before);
  // Of both tables, as after power-on.
  void start_indices();
  void control(std::uint32_t value);
  void reset();
  // Send the vector's message, or set its pending bit while it or the function is masked. MSI-X not enabled:
  // nothing.
  void raise_interrupt(unsigned vector);
  // Messages that are pending and masked no more.
  void send_pending_interrupts();
  void send_interrupt(unsigned vector);
  void reset_msix();
  void start_beating();
  void beat();

  // ---- input descriptors (adapter_commands.cpp)
  void fetch_descriptors();
  void execute_fetched(std::uint32_t first, std::uint32_t count);
  us_status execute(const us_idt_entry& e);
  us_status set_address(const us_idt_entry& e);
  us_status listen(const us_idt_entry& e);
  us_status connect(const us_idt_entry& e);
  us_status post_send(const us_idt_entry& e, frame_ref bytes = {});
  us_status begin_inline(const us_idt_entry& e);
  us_status take_inline(const us_idt_entry& e);
  void give_inline_up();
  void drop_sent(connection_buffers& b);
  us_status post_receive(const us_idt_entry& e);
  us_status restore(const us_idt_entry& e);
  us_status set_group(const us_idt_entry& e);
  us_status post_pool(const receive_buffer& r, unsigned group);
  void offer_window();
  rtl_cycle_counts evaluated() const;
  void refuse(const us_idt_entry& e, std::uint32_t index, us_status why);

  // ---- reception (adapter_receive.cpp)
  picos take(frame_ref f) override;
  void identify();
  void drain_receive();
  void process(const received& r);
  void heard_station(const neighbours::station& s, const mac_address& mac);
  void hear_of_next_hop(const parsed_frame& p, const local_address& to);
  void count_drop(const received& r);
  void place(cid c, seq32 seq, const frame_ref& f, std::uint32_t offset, std::uint32_t length, bool push,
             bool fin) override;
  void mix_up_buffers(connection_buffers& b);

  // ---- its place (adapter_memory.cpp)
  picos wait_time() const { return regs_[US_REG_WAIT_US / 4] * 1_us; }
  // The clock edge that comes next.
  std::uint64_t now_cycles() const { return (now_ps() + config_.clock_period - 1) / config_.clock_period; }
  // Payload may pass other writes (PCIe 2.4.1); records never do.
  bool relaxed() const { return config_.relaxed_ordering && config_space_.relaxed_ordering(); }
  void configure_holding();
  bool give_place(cid c, connection_buffers& b, accepted& a, bool at_once);
  us_record data_record(cid c, const tcp_view& v, const placed& p) const;
  void write_now(cid c, connection_buffers& b, const tcp_view& v, const placed& p, bool more);
  void serve_waiting(cid c, bool at_once);
  void hold_back(cid c, connection_buffers& b, const tcp_view& v, placed p);
  bool hand_over(std::uint16_t slot);
  void hand_over_all(cid c);
  void schedule_holds();
  void clear_holds();

  void changed(cid c, change what, us_status status) override;
  void record_acked();
  void note_acked(cid c);
  void read_done(cid c);
  void committed(cid c, seq32 rcv_nxt);
  us_record connection_record(cid c, const tcp_view& v, us_record_type type) const;
  us_record stream_record(cid c, const tcp_view& v, us_record_type type) const;

  // ---- connections that begin (adapter_opening.cpp)
  void take_pool_buffer(cid c, const tcp_view& v);
  void name_pool_buffer(const connection_buffers& b, us_record& r) const;
  void host_knows(connection_buffers& b);
  void begin_connection(cid c, const tcp_view& v);
  void write_embryo(cid c, const tcp_view& v);
  void announce_connection(cid c, const tcp_view& v);
  void write_announcement(std::span<us_record> all);
  bool withdraw_connection(cid c, const tcp_view& v);

  // ---- frames that the host has built (adapter_raw.cpp)
  void take_raw_piece(const us_idt_entry& e, std::uint32_t index);
  void start_raw_reads();
  void raw_read_done(std::uint64_t number, bool ok);
  void finish_raw();
  void report_raw();

  // ---- transmission (adapter_transmit.cpp)
  void send(const send_request& r) override;
  void send_raw(const segment& s) override;
  void send_frame(frame_ref f);
  void start_transmit();
  void transmit();
  static neighbours::station next_hop(const local_address& from, const ip_address& to);
  bool dress(out_slot& slot, frame_ref& f);
  void ask_for(const neighbours::station& hop, const local_address& from, bool again);
  out_slot& new_slot(std::uint32_t& index);
  const local_address* addressee(const parsed_frame& p) const;
  const local_address* address_of(const ip_address& ip) const;
  const local_address* address_heard_as(const mac_address& mac, std::uint16_t vlan) const;
  void announce_addresses();

  // Log an event of this adapter. False: an observer has killed the adapter.
  bool log(event_kind kind, std::uint64_t a = 0, std::uint64_t b = 0);
  // Run after every call into the engine: what it asked for meanwhile, and its timer.
  void after_engine();
  void serve_timer();
  connection_buffers& buffers(cid c);

  adapter_config config_;
  event_log& log_;
  std::uint16_t unit_;
  agenda agenda_;
  config_space config_space_;
  error_signal signal_error_;
  rtl_cycle_counts at_power_up_;
  std::unique_ptr<checksum_unit> checksum_;
  std::unique_ptr<tcp_engine> engine_;
  connection_lookup lookup_;
  output_table output_;
  tx_queues tx_queues_;
  announcer announcer_;

  bool dead_ = false;
  bool muted_ = false;
  std::uint32_t control_ = 0;
  std::uint32_t status_ = US_STATUS_READY | US_STATUS_RX_BLOCKED;
  std::uint32_t regs_[US_BAR0_SIZE / 4] = {};
  std::uint32_t msix_[US_MSIX_VECTORS][4];
  std::uint32_t msix_pending_;  // bit v: vector v
  std::uint32_t heartbeat_count_ = 0;
  bool beating_ = false;

  std::uint32_t idt_tail_ = 0;
  std::uint32_t idt_head_ = 0;
  bool fetching_ = false;
  frame_ref fetched_;  // room for descriptors_a_fetch entries

  local_address addresses_[US_ADDRESSES];
  neighbours neighbours_;
  list_store<receive_buffer> receive_store_;
  list_store<send_range> send_store_;
  std::vector<connection_buffers> connections_;
  std::unique_ptr<buffer_allocator_unit> pool_;
  std::uint32_t pool_peak_ = 0;                // most buffers of the default group that were in it
  std::uint32_t group_bytes_[US_GROUPS] = {};  // smallest buffer posted to each group; 0: none
  group_rules rules_;
  std::map<std::uint32_t, us_memory_terms> listen_terms_;  // by addr_index << 16 | port
  std::uint8_t arriving_dscp_ = 0;                         // of the frame that the engine looks at
  std::unique_ptr<record_coalescer_unit> holds_;
  list_store<accepted> accepted_store_;
  list_store<placed> placed_store_;
  std::vector<held> held_;
  std::vector<std::uint16_t> free_holds_;
  std::vector<us_record> burst_;
  picos hold_age_ = 0;  // 0: nothing is held back
  picos hold_timer_ = never;
  std::vector<cid> announced_;  // since the engine was last left alone
  std::vector<deferred_grant> deferred_grants_;
  std::vector<cid> acked_;
  std::vector<ended_connection> ended_;  // over, but DMA reads of their send ranges are under way
  bool acked_scheduled_ = false;

  cid inline_for_;                   // INLINE entries of that connection may come; invalid: none
  us_idt_entry inline_send_{};       // of which more bytes are to come
  std::uint32_t inline_index_ = 0;   // of its descriptor
  frame_ref inline_bytes_;           // of it; empty: there is none
  std::uint32_t inline_have_ = 0;    // bytes of it that have come
  std::uint32_t inline_ranges_ = 0;  // kept with their bytes

  raw_chain raw_chain_;          // of the frame whose descriptors are being taken
  fifo<raw_frame> raw_frames_;   // not yet over
  std::uint64_t raw_first_ = 0;  // number of the first of them
  fifo<raw_read> raw_reads_waiting_;
  std::uint32_t raw_reading_ = 0;     // reads outstanding
  std::uint32_t raw_unreported_ = 0;  // frames sent and not yet in a record
  std::uint32_t raw_last_ = 0;        // last descriptor of the newest frame that is over
  bool raw_report_scheduled_ = false;

  fifo<received> rx_fifo_;  // in the order of arrival; rx_at_engine_ of them have passed the pipeline
  std::size_t rx_at_engine_ = 0;
  std::uint64_t rx_fifo_bytes_ = 0;  // bytes of all of them
  picos rx_ready_ = 0;               // ready_at of the newest of them
  picos rx_pipe_free_ = 0;           // when the checksum block takes the next frame
  bool rx_stalled_ = false;          // waiting for the bus

  fifo<frame_ref> out_frames_;         // complete frames: ARP, echo
  fifo<std::uint32_t> out_control_;    // slots without payload: ACK, SYN, RST
  fifo<std::uint32_t> out_data_;       // slots with payload or FIN, in stream order
  bool queues_turn_ = false;           // of transmit queues against out_data_
  fifo<std::uint32_t> waiting_kicks_;  // slots of kicks whose neighbour has been asked for
  std::vector<std::unique_ptr<out_slot>> slots_;
  std::vector<std::uint32_t> free_slots_;
  struct pending_frame {
    neighbours::station hop;
    frame_ref frame;
  };
  fifo<pending_frame> waiting_for_neighbour_;
  picos medium_free_ = 0;
  bool transmit_scheduled_ = false;
  picos transmit_at_ = 0;
  std::uint16_t ip_id_ = 0;

  picos timer_at_ = never;
  picos timer_free_ = 0;  // when the timer unit has done with the newest entry
  adapter_counters counters_;
  adapter_counters at_reset_;  // from which the counting registers count
};

}  // namespace understudy
