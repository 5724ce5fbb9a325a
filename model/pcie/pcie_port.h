// One adapter's PCI Express link and the root port above it, with what the root complex does with its
// traffic.
//
// Upwards (adapter to host) everything stays in order: a posted write becomes visible in host memory behind
// the earlier ones, a read is served, and a completion reaches the host, when every earlier write is visible
// (PCIe 2.4.1: reads and completions push writes). One exception: a write with Relaxed Ordering is visible as
// soon as its page is known, whatever earlier writes wait for; nothing passes it in turn. Downwards requests
// and completions share the wires first come, first served; the host's posted requests pass non-posted ones
// that wait for credits, and completions need no credits but wait behind posted requests that do. Each
// direction is occupied while a TLP is on it.
//
// IEEE 1666 sockets:
//   dma   the adapter's initiator binds here. One payload is one TLP: already split by MPS, MRRS and 4 KiB.
//         Write: nb_transport_fw(BEGIN_REQ) gives TLM_COMPLETED; `t` says when the link takes the next TLP.
//         The bytes become visible later. They are copied at once unless the payload has a frame_extension
//         with a frame. Read: BEGIN_REQ gives TLM_UPDATED, END_REQ; `t` as above. BEGIN_RESP comes when the
//         last completion has arrived. A read without a non-posted credit waits in the port, behind it only
//         reads: `t` then says when the link takes something else. A 4-byte read with every byte enable off
//         is a zero-length read: a flush. Other byte enables are refused. A 4-byte write to the interrupt
//         window is an MSI. b_transport (from a thread) takes transfers of any length and splits them; a read
//         waits, a write is posted. transport_dbg looks at host memory at once.
//   mmio  bound to the adapter's registers: b_transport at the instant when a request has arrived; address:
//   offset in BAR 0; 4
//         bytes. The adapter annotates its access time and never waits; the port takes the next request only
//         after that time. An address, burst or byte enable error response is an Unsupported Request: the
//         host reads all-ones. A generic error response: nobody answers. A poisoned write has a
//         poison_extension.
//   cfg   the same for the adapter's configuration space.
#pragma once
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <cstdint>
#include <systemc>
#include <tlm>
#include <vector>

#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "model/core/frame.h"
#include "model/core/inplace_function.h"
#include "model/core/units.h"
#include "model/pcie/flow_credits.h"
#include "model/pcie/host_cache.h"
#include "model/pcie/host_memory.h"
#include "model/pcie/iommu.h"
#include "model/pcie/poison_extension.h"
#include "model/pcie/tlp.h"
#include "model/sim/agenda.h"

namespace understudy {

// What both ends advertise (PCIe 2.6.1). Both advertise infinite completion credits: the adapter keeps room
// for the data of every read that it issues.
struct credit_config {
  // The root complex to the adapter; at least a TLP of MPS.
  std::uint32_t posted_headers = 112;
  std::uint32_t posted_data = 1792;  // each 16 bytes
  std::uint32_t nonposted_headers = 112;
  // The adapter to the root complex. Requests of the host carry a DW at most: as many data credits go with
  // them.
  std::uint32_t adapter_posted_headers = 32;
  std::uint32_t adapter_nonposted_headers = 8;
};

// Parameters of a port. The latencies together give what pcie-bench (Neugebauer et al., SIGCOMM 2018)
// measured on Gen3 x8 Xeon hosts: a 64-byte DMA read in 547 ns, of which 100 to 150 ns are the card's own;
// how a sum divides is an estimate.
struct pcie_config {
  link_parameters link;
  // Worst-case DLLP interval all the time and no padding, as published analytic models count; latencies are
  // not touched.
  bool ideal = false;
  // One way: PHY and data link pipelines of both ends, and the trace. Estimate.
  picos propagation = 50_ns;
  // Root complex and memory: from a read being served to its first completion on the wire. With propagation
  // and serialisation, 424 ns from request to data for 64 bytes.
  picos read_latency = 310_ns;
  // Root complex and memory: from a write's last byte to its being visible. Measured write-then-read takes
  // 226 to 253 ns longer than the read alone; 100 ns of them are the card's issue of a second command.
  picos write_latency = 130_ns;
  // CPU to root port, each way, for registers and configuration space: a register read then takes 700 to 900
  // ns with 50 to 200 ns of access time in the adapter, as usual on these hosts. Estimate.
  picos mmio_latency = 300_ns;
  host_cache_config cache;  // which lines take longer
  iommu_config translation;
  credit_config credits;
  // Of a million TLPs, so many arrive with a wrong LCRC: the receiver sends a NAK, and the sender replays
  // (PCIe 3.6). The fourth replay in a row retrains the link.
  std::uint32_t lcrc_errors = 0;
  // Of a million ACK, NAK and UpdateFC DLLPs, so many arrive broken and are lost (PCIe 3.6.2.2).
  std::uint32_t dllp_errors = 0;
  // Bytes of TLPs that each end keeps until they are acknowledged (PCIe 3.6.2.1); a full buffer stops it.
  std::uint32_t replay_buffer = 16 * 1024;
  // Of a million DMA reads, so many are answered with poisoned data (PCIe 2.7.2), or by Completer Abort
  // (PCIe 2.3.1): memory that cannot correct its errors, and a root complex that failed.
  std::uint32_t poisoned_reads = 0;
  std::uint32_t aborted_reads = 0;
  // Downstream Port Containment, as firmware has set it up (PCIe 6.2.10): a poisoned write of the adapter is
  // a fatal error of the port and takes the link down, so that nothing behind it is carried out.
  bool dpc = true;
  // From a link leaving its normal state to its next TLP, also of one that was down. Estimate: recovery takes
  // some microseconds.
  picos retrain_time = 5_us;
  std::uint64_t seed = 1;  // root of the random streams behind jitter and link errors
  // After this a host read that nobody answers gives all-ones (PCIe 2.8: range A starts at 50 us).
  picos completion_timeout = 50_us;
  // Deliberate fault, which a monitor must catch: the CPU hears of an interrupt when its message leaves the
  // adapter, while the writes before it are on their way to memory.
  bool mutant_interrupt_overtakes = false;
};

// What passed since time 0. Bytes of up and down are bytes on the wire, DLLPs not counted.
struct pcie_counters {
  std::uint64_t tlps_up = 0, tlps_down = 0, bytes_up = 0, bytes_down = 0;
  std::uint64_t reads = 0, writes = 0;            // DMA, in TLPs; interrupts are not writes here
  std::uint64_t read_bytes = 0, write_bytes = 0;  // DMA payload
  std::uint64_t msi = 0, mmio_reads = 0, mmio_writes = 0;
  std::uint64_t dllps = 0;        // ACKs and UpdateFCs that traffic caused, both directions
  std::uint64_t bad_dllps = 0;    // ACKs, NAKs and UpdateFCs that arrived broken and are lost
  std::uint64_t lcrc_errors = 0;  // TLPs that arrived broken, each answered by a NAK
  std::uint64_t replayed_bytes = 0;
  std::uint64_t replay_timeouts = 0;  // REPLAY_TIMER expired: neither ACK nor NAK came
  std::uint64_t replay_stalls = 0;    // TLPs that waited for room in a replay buffer
  std::uint64_t retrains = 0;         // trainings, also of a link that was down
  std::uint64_t credit_stalls = 0;    // TLPs of the adapter that waited for credits, and
  picos credit_stall_time = 0;        // how long
  std::uint64_t host_stalls = 0;      // requests of the host that waited for the adapter's credits
  std::uint64_t overtakings = 0;      // writes with Relaxed Ordering that became visible before earlier ones
  std::uint64_t poisoned = 0;         // completions that came with the EP bit
  std::uint64_t poisoned_writes = 0;  // writes that came with it, both directions: nothing was written
  std::uint64_t contained = 0;        // links that the port took down for it
  std::uint64_t aborted = 0;          // reads answered by Completer Abort
  std::uint64_t timeouts = 0;         // host requests that nobody answered
  std::uint64_t dropped = 0;  // TLPs lost to a link that is down or an adapter that is dead, both directions
  std::uint64_t unsupported =
      0;  // DMA outside memory or windows: writes that vanished, reads that were refused
  std::uint64_t host_unsupported = 0;  // the same of the host's requests, refused by the adapter
  // Error messages of the adapter that the root port has received.
  std::uint64_t err_cor = 0, err_nonfatal = 0, err_fatal = 0;
};

// Configuration space of the root port: a type 1 header whose capability list has PCI Express at 0x40.
inline constexpr std::uint32_t port_capability = 0x40;
inline constexpr std::uint32_t port_device_control = port_capability + 0x08;
inline constexpr std::uint32_t port_link_control = port_capability + 0x10;  // and Link Status in bits 31:16
inline constexpr std::uint32_t port_link_disable = 1u << 4;                 // of Link Control (PCIe 7.5.3.7)
// Of Link Control; reads as 0. The link retrains at the speed of Link Control 2, and the width that it has.
inline constexpr std::uint32_t port_retrain_link = 1u << 5;
inline constexpr std::uint32_t port_rcb_128 = 1u << 3;         // of Link Control, read-only: pcie.rcb
inline constexpr std::uint32_t port_link_training = 1u << 27;  // of Link Status
inline constexpr std::uint32_t port_link_control_2 = port_capability + 0x30;  // bits 3:0: target link speed
// Advanced Error Reporting of the root port (PCIe 7.8.4); its status registers are write-1-to-clear.
inline constexpr std::uint32_t port_aer = 0x100;
inline constexpr std::uint32_t port_aer_uncorrectable = port_aer + 0x04;
inline constexpr std::uint32_t port_aer_correctable = port_aer + 0x10;
inline constexpr std::uint32_t port_aer_severity = port_aer + 0x0c;  // read-only: which are fatal
// What the root port has received of error messages: write 1 to clear, no interrupt (PCIe 7.8.4.10); and
// whose were the first ones, ERR_COR in the lower half, the others in the upper (PCIe 7.8.4.11).
inline constexpr std::uint32_t port_aer_root_status = port_aer + 0x30;
inline constexpr std::uint32_t port_aer_source = port_aer + 0x34;
inline constexpr std::uint32_t root_cor = 1u << 0, root_more_cor = 1u << 1, root_uncor = 1u << 2,
                               root_more_uncor = 1u << 3, root_first_fatal = 1u << 4, root_nonfatal = 1u << 5,
                               root_fatal = 1u << 6;
inline constexpr std::uint16_t adapter_requester_id = 1u << 8;  // bus 1, device 0, function 0
// Downstream Port Containment of the root port (PCIe 7.9.14): Control in the upper half of the first dword,
// Status in the lower half of the second. Writing 1 to the trigger status lets the link train again.
inline constexpr std::uint32_t port_dpc = 0x140;
inline constexpr std::uint32_t port_dpc_control = port_dpc + 0x04;
inline constexpr std::uint32_t port_dpc_on_fatal = 1u << 16;  // trigger enable 01b
inline constexpr std::uint32_t port_dpc_status = port_dpc + 0x08;
inline constexpr std::uint32_t port_dpc_triggered = 1u << 0;
// Trigger reason of the status: an ERR_FATAL, whose source is in bits 31:16. None: an error of the port's
// own.
inline constexpr std::uint32_t port_dpc_by_fatal = 2u << 1;
inline constexpr std::uint32_t aer_surprise_down = 1u << 5, aer_poisoned = 1u << 12,
                               aer_completion_timeout = 1u << 14, aer_completer_abort = 1u << 15,
                               aer_unexpected_completion = 1u << 16, aer_unsupported_request = 1u << 20;
inline constexpr std::uint32_t aer_bad_tlp = 1u << 6, aer_bad_dllp = 1u << 7, aer_replay_rollover = 1u << 8,
                               aer_replay_timeout = 1u << 12;
// Data Link Layer Link Active, of Link Status: stays 1 while the link retrains, is 0 until a link that was
// down has trained.
inline constexpr std::uint32_t port_link_active = 1u << 29;

// A TLP on the link, for whoever watches it.
struct tlp_on_link {
  picos at = 0;  // upwards its beginning at the adapter, downwards its arrival there
  bool up = true;
  tlp_type type = tlp_type::memory_write;
  std::uint64_t address = 0;  // of a completion: of its first byte
  std::uint32_t length = 0;   // bytes; of a completion: those that it carries
  std::uint16_t tag = 0;      // of what is answered, and of its completions
  std::uint32_t left = 0;     // of a completion: bytes of the request from its first on (PCIe 2.2.9)
  std::uint8_t status = 0;    // of a completion: 0, or 1 Unsupported Request, 4 Completer Abort
  error_message message = error_message::none;  // of a message
  bool poisoned = false;                        // EP (PCIe 2.7.2)
  bool relaxed = false;                         // Relaxed Ordering (PCIe 2.2.6.4)
};
class tlp_observer {
 public:
  virtual ~tlp_observer() = default;
  // Each TLP once, as the counters count: upwards when it begins, downwards when it is put on the wires,
  // which is before `at`. Must not act on the port.
  virtual void on_tlp(std::uint16_t unit, const tlp_on_link& t) = 0;
};

class pcie_port : public sc_core::sc_module {
 public:
  // Answer to a host read: the value; 0xffffffff if nobody answered, or an Unsupported Request.
  using host_done = inplace_function<void(std::uint32_t)>;
  // An MSI (address, data) has arrived, behind every earlier write of the adapter.
  using interrupt_handler = inplace_function<void(std::uint64_t, std::uint32_t)>;
  // The link trains to a generation and a number of lanes.
  using link_handler = inplace_function<void(unsigned, unsigned)>;
  // The adapter's end has found an error of the link, a bit of AER's correctable status (PCIe 7.8.4.5). The
  // answer: the message to be sent, or none.
  using link_error_handler = inplace_function<error_message(std::uint32_t)>;
  using link_down_handler = inplace_function<void()>;

  static constexpr std::uint64_t msi_base = 0xfee00000, msi_end = 0xfef00000;

  pcie_port(const sc_core::sc_module_name& name, const pcie_config& config, host_memory& memory,
            event_log& log, std::uint16_t unit);
  ~pcie_port() override;
  SC_HAS_PROCESS(pcie_port);

  tlm_utils::simple_target_socket<pcie_port> dma{"dma"};
  tlm_utils::simple_initiator_socket<pcie_port> mmio{"mmio"};
  tlm_utils::simple_initiator_socket<pcie_port> cfg{"cfg"};

  // ---- host side. A request leaves the CPU `delay` from now; those that leave at the same time go in the
  // order of the calls. `done` is never called from inside the call. A write to configuration space is not
  // posted: `done` (which may be empty) gets 0 when it has been carried out, else 0xffffffff.
  void mmio_write(std::uint32_t offset, std::uint32_t value, picos delay = 0);
  void mmio_read(std::uint32_t offset, host_done done, picos delay = 0);
  void cfg_write(std::uint32_t offset, std::uint32_t value, picos delay = 0, host_done done = {});
  void cfg_read(std::uint32_t offset, host_done done, picos delay = 0);
  // The port's own configuration space; nothing crosses the link. A read completes when every write that had
  // passed the link is visible.
  void port_cfg_write(std::uint32_t offset, std::uint32_t value, picos delay = 0, host_done done = {});
  void port_cfg_read(std::uint32_t offset, host_done done, picos delay = 0);

  // Take back every page that the adapter may touch, for good, and wait until nothing of it can land any
  // more: an invalidation with drain. Needs nothing of the adapter. `done` gets 0 then, or 0xffffffff if
  // there is no IOMMU. Its interrupts are refused too.
  void revoke_dma(picos delay, host_done done);

  // Null: nobody. Watching changes nothing.
  void watch(tlp_observer* o) { observer_ = o; }
  // The adapter signals an error (not `none`) to the root port, by a posted message behind its earlier writes
  // (PCIe 2.2.8.3). The port logs it in Root Error Status; ERR_FATAL takes the link down instead if
  // Downstream Port Containment is on (PCIe 6.2.10).
  void send_error_message(error_message m);

  void on_interrupt(interrupt_handler h) { interrupt_ = std::move(h); }

  // Both ends of a link know what it has trained to: whoever keeps the other end's Link Status is told.
  void on_link(link_handler h) { trained_ = std::move(h); }
  // The data link went down, for whatever reason but the adapter's death: who is at the other end resets
  // (PCIe 2.9.1). Called once each time, at that instant but never inside a call to the port or to one of its
  // users.
  void on_link_down(link_down_handler h) { went_down_ = std::move(h); }

  // Each end logs the errors of the link that it has found (PCIe 3.6): the port here, the adapter by `h`, at
  // that instant and never inside a call to the port. Not called once the link has gone down. While a message
  // that it asked for is on its way, until its ACK and its credit are back, no other one is sent: errors that
  // a message has caused itself cause none.
  void on_link_error(link_error_handler h) { link_error_ = std::move(h); }

  // ---- faults
  // Unplug or plug the link (beside the Link Disable bit). Going down: TLPs that had wholly left the adapter
  // land; those still being serialised or offered later are lost (writes complete towards the adapter, reads
  // are never answered), and so are completions and requests on their way down. The port forgets every read
  // in flight. A link that comes back trains first, from the beginning: for retrain_time it is as if down.
  // Then it has the Target Link Speed and all its lanes.
  void set_link_up(bool up);
  // The adapter dies, for good: its link goes down as above and stays down. Afterwards the port touches no
  // payload of the adapter and calls none of its sockets. May be called from inside any call that the port
  // makes, also by an observer of its events.
  void power_off_device();
  // The adapter answers no register and no configuration access any more, and the port ignores Link Disable;
  // everything else goes on.
  void make_unfenceable() { unfenceable_ = true; }
  // The link goes to another speed and width, both as in link_parameters, and is silent meanwhile. Nothing is
  // lost. Of a link that is down: no effect.
  void retrain(unsigned generation, unsigned lanes);
  // The next completion with data for the adapter comes poisoned: it must not be used (PCIe 2.7.2).
  void poison_next_read() { ++poison_; }
  // The next read of memory is answered by Completer Abort.
  void abort_next_read() { ++abort_; }
  // The next memory write of the adapter, interrupts included, or of the host, comes poisoned: its receiver
  // discards and reports it (PCIe 2.7.2.2).
  void poison_next_write() { ++poison_write_; }
  void poison_next_mmio_write() { ++poison_mmio_write_; }
  // Asked for so, and no such write has come yet.
  bool will_poison_write() const { return poison_write_; }
  bool will_poison_mmio_write() const { return poison_mmio_write_; }
  // The next so many TLPs, replays included, arrive broken at their receiver.
  void break_tlps(bool up, std::uint32_t count) { (up ? up_link_ : down_link_).to_break += count; }
  // The next so many DLLPs of a kind are lost.
  enum class dllp : std::uint8_t { ack, nak, update_fc };
  void lose_dllps(dllp kind, std::uint32_t count) { dllps_to_lose_[static_cast<std::size_t>(kind)] += count; }

  // DL_Active (PCIe 3.2.1): plugged, enabled, not contained, somebody alive at the other end, and trained.
  bool link_up() const { return data_link_ == data_link::active; }
  // No write on its way to memory, no read or register access in flight.
  bool quiet() const;
  const pcie_counters& counters() const { return counters_; }
  const pcie_config& config() const { return config_; }
  // What this function's DMA may touch, and the time it takes to find out.
  iommu& translation() { return iommu_; }
  const iommu& translation() const { return iommu_; }
  host_cache& cache() { return cache_; }
  const host_cache& cache() const { return cache_; }

 private:
  using payload = tlm::tlm_generic_payload;

  // A direction of the link.
  struct direction {
    explicit direction(std::uint32_t replay_buffer) : unacknowledged(~0u, replay_buffer) {}
    void restart(picos now);
    picos busy_until = 0;
    std::uint64_t dllp_due = 0;      // bytes of ACKs and UpdateFCs that wait for the next TLP
    std::uint64_t acknowledged = 0;  // bytes received since the last of them
    uint128 part = 0;                // of a picosecond that the last TLP took, in 1/rate_; ideal links only
    flow_credits unacknowledged;     // bytes in the replay buffer
    picos ack_leaves = 0;            // the newest ACK, behind the TLPs that have arrived until then, and
    picos ack_arrives = 0;           // when the sender has it, or one that came in its place
    std::uint64_t replayed = 0;      // the TLP that was first in the newest replay, and
    unsigned replay_num = 0;         // how often in a row
    std::uint32_t to_break = 0;      // the next so many TLPs
  };
  enum class link_end : std::uint8_t { port, adapter };
  // A thread inside b_transport, waiting for its reads.
  struct blocking_read {
    sc_core::sc_event done;
    std::uint32_t outstanding = 0;
    tlm::tlm_response_status status = tlm::TLM_OK_RESPONSE;
    bool lost = false;
  };
  // A DMA read on its way: by nb_transport (transaction, one reference held) or by b_transport (waiter).
  struct dma_read {
    payload* transaction = nullptr;
    blocking_read* waiter = nullptr;
    std::uint8_t* destination = nullptr;  // null: zero-length
    std::uint64_t address = 0;
    std::uint32_t length = 0;  // 0: zero-length
    std::uint16_t tag = 0;
    tlm::tlm_response_status status = tlm::TLM_OK_RESPONSE;
    bool live() const { return transaction || waiter; }
  };
  // A host request that somebody must answer; `generation` tells a late answer from one in time.
  struct host_ticket {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };
  enum class access : std::uint8_t { mmio_write, mmio_read, cfg_write, cfg_read };
  struct host_request {
    access kind = access::mmio_write;
    std::uint32_t offset = 0;
    std::uint32_t value = 0;
    host_ticket ticket;        // not for mmio_write
    std::uint64_t number = 0;  // of requests at the root port
    bool poisoned = false;     // mmio_write: with the EP bit
    bool refused = false;      // answered as Unsupported Request
    bool posted() const { return kind == access::mmio_write; }
  };
  struct waiting_host {
    host_done done;
    std::uint32_t generation = 0;
  };
  // A TLP between the adapter and its end in the root complex. `due`: write visible, read served, completion
  // taken.
  struct up_tlp {
    tlp_type type = tlp_type::memory_write;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    std::uint32_t wire = 0;
    picos start = 0, finish = 0, due = 0;
    picos translated = 0;  // reads: the address is known
    bool relaxed = false;
    bool landed = false;    // relaxed: before its turn
    bool poisoned = false;  // a write with the EP bit
    error_message message = error_message::none;
    frame_ref frame;  // keeps `bytes` alive
    const std::uint8_t* bytes = nullptr;
    dma_read read;
    host_request answered;  // completion: the request, with the value
  };
  // A read at the adapter without a credit.
  struct held_read {
    picos wanted = 0;  // when it could have gone
    up_tlp tlp;
  };
  struct served_read {
    picos at = 0;  // completions may go
    dma_read read;
  };
  // Completions that are ready behind a posted request of the host without credits (PCIe 2.4.1: they must not
  // pass it).
  struct held_completion {
    std::uint64_t number = 0;  // of the first request at the root port that is not in front of them
    dma_read read;
  };
  // A TLP (of a read: the last completion) between the root complex and the adapter.
  struct down_tlp {
    picos at = 0;  // arrives
    bool request = false;
    host_request host;
    dma_read read;
  };

  tlm::tlm_sync_enum nb_transport_fw(payload& p, tlm::tlm_phase& phase, sc_core::sc_time& t);
  void b_transport(payload& p, sc_core::sc_time& t);
  unsigned transport_dbg(payload& p);
  bool acceptable(payload& p, bool one_tlp) const;

  // Upwards. The senders answer when the link takes the next TLP.
  picos send_write(picos earliest, std::uint64_t address, const std::uint8_t* data, std::uint32_t length,
                   const frame_ref& frame, bool relaxed);
  picos send_read(picos earliest, dma_read r);
  picos hold_read(picos wanted, picos credited, up_tlp t);
  void wake_held_reads(picos credited);
  void send_held_reads();
  picos send_up(picos earliest, up_tlp t, picos handling);
  void announce();
  void land();
  static bool is_interrupt(const up_tlp& t);
  void land_interrupt(const up_tlp& t);
  void land_write(const up_tlp& t);
  void land_message(error_message m);
  void serve(dma_read r, picos translated);

  // Downwards.
  void return_reads();
  void complete(const dma_read& r);
  void send_down(down_tlp t, const tlp_on_link& seen, std::uint32_t wire);
  void tell(const tlp_on_link& t) const {
    if (observer_) observer_->on_tlp(unit_, t);
  }
  void arrive();
  void respond(const dma_read& r);
  void pump_responses();

  // The host's requests.
  static tlp_type request_type(access kind);
  void start_request(const host_request& r, picos delay);
  void enter_request(host_request r);
  void send_requests();
  void give_back_credit(bool posted, std::uint64_t epoch);
  void access_registers();
  void answer(host_request r);
  host_ticket open_ticket(host_done done);
  bool waiting(const host_ticket& t) const { return hosts_[t.slot].generation == t.generation; }
  void finish(const host_ticket& t, std::uint32_t value);
  std::uint32_t port_register(std::uint32_t offset) const;
  void write_port_register(std::uint32_t offset, std::uint32_t value);
  void take_link();

  struct span {
    picos start, finish;
  };
  link_end sender(const direction& d) const { return &d == &up_link_ ? link_end::adapter : link_end::port; }
  link_end receiver(const direction& d) const { return &d == &up_link_ ? link_end::port : link_end::adapter; }
  void detect(link_end who, std::uint32_t bit, picos at);
  void tell_adapter(std::uint32_t bit);
  bool broken(direction& d);
  bool lost(dllp kind);
  picos replay_timer() const;
  picos replays(direction& d, picos finish, std::uint32_t wire);
  picos train(picos from);
  picos recover(picos from);
  bool trains_at(picos t) const;
  picos beside_training(picos start, picos takes) const;
  void await_ack(direction& d, picos finish, std::uint32_t wire);
  void expire_replay_timer(direction& d, std::uint64_t number, picos lost_ack);
  picos update_arrives(const direction& credited, picos at);
  static std::uint32_t data_credits(const up_tlp& t) {
    return flow_credits::data_credits(padded_bytes(t.address, t.length));
  }
  picos wait_for_credits(picos earliest, const up_tlp& t);
  picos time_on_wire(direction& d, bool follows, std::uint64_t bytes) const;
  span occupy(direction& d, direction& reverse, picos earliest, std::uint32_t wire);
  // Of a TLP that carries `bytes` at `address`.
  std::uint32_t wire_bytes(tlp_type type, std::uint64_t address, std::uint32_t bytes) const;
  void log_tlp(event_kind kind, std::uint64_t a, tlp_type type, std::uint32_t length);
  void log_access(event_kind kind, const host_request& r);
  void lose(dma_read& r);
  void lose_traffic();
  bool may_train() const { return plugged_ && !disabled_ && !contained_ && powered_; }
  void take_down();
  void bring_up();
  void activate();
  // Downstream Port Containment: what is in front of the error lands, all else is lost. False: it is off, or
  // the link is down. `reason`: bits of DPC Status.
  bool contain(std::uint32_t reason);

  const pcie_config config_;
  host_memory& memory_;
  event_log& log_;
  const std::uint16_t unit_;
  link_parameters link_;  // as trained, with the MPS of Device Control
  bits_per_second rate_;
  std::uint64_t dllp_interval_;  // bytes of TLPs received for each ACK and UpdateFC
  picos ack_latency_;            // from a TLP's arrival to its ACK, at most (PCIe 3.6.3.1)
  agenda agenda_;
  iommu iommu_;
  host_cache cache_;
  flow_credits posted_credits_, nonposted_credits_;
  rng link_errors_;
  bool unfenceable_ = false;
  std::uint32_t poison_ = 0, abort_ = 0, poison_write_ = 0, poison_mmio_write_ = 0;
  std::array<std::uint32_t, 3> dllps_to_lose_{};  // by kind
  rng read_errors_;
  std::uint32_t aer_uncorrectable_ = 0, aer_correctable_ = 0, aer_root_status_ = 0, aer_source_ = 0;

  bool plugged_ = true, disabled_ = false, contained_ = false, powered_ = true;
  enum class data_link : std::uint8_t { down, trains, active };  // trains: for the first time since it is up
  data_link data_link_ = data_link::active;
  unsigned target_speed_;         // of Link Control 2
  bool dpc_on_;                   // of DPC Control
  std::uint32_t dpc_reason_ = 0;  // why it was triggered last, and by whom: bits of DPC Status
  std::vector<span> trainings_;   // under way, or known to come, when nothing is on the link; and old ones
  direction up_link_, down_link_;
  picos last_due_ = 0;  // of the TLPs upwards that are not lost, the latest

  // Each is in order of time (up_ but for `due` of relaxed writes); an agenda entry wakes whoever looks at
  // the front.
  fifo<up_tlp> up_;
  std::uint32_t overtakers_ = 0;  // relaxed writes in up_ that land before their turn
  std::size_t announced_ = 0;     // of up_, from the front
  fifo<held_read> held_reads_;    // an agenda entry wakes the first one when its credit is there
  fifo<served_read> served_;
  fifo<down_tlp> down_;
  fifo<host_request> posted_waiting_, nonposted_waiting_;  // at the root port, for the adapter's credits
  std::uint32_t posted_left_, nonposted_left_;             // of these
  std::uint64_t request_number_ = 0;
  fifo<held_completion> held_completions_;  // behind some of posted_waiting_
  fifo<host_request> requests_;             // arrived, the adapter's registers being busy
  sc_core::sc_event request_arrived_{"request_arrived"};
  sc_core::sc_event access_over_{"access_over"};
  bool accessing_ = false;        // a register access is under way
  std::uint64_t link_epoch_ = 0;  // how often the link went down

  fifo<payload*> responses_;  // arrived reads whose BEGIN_RESP must wait its turn (IEEE 1666 15.2.6 f)
  payload* response_open_ = nullptr;  // BEGIN_RESP sent, END_RESP outstanding
  picos response_free_at_ = 0;
  bool pumping_ = false;

  std::vector<waiting_host> hosts_;
  std::vector<std::uint32_t> free_hosts_;
  std::uint64_t posted_ = 0;  // host requests that have not reached the port
  std::uint64_t open_tickets_ = 0;

  payload access_payload_;
  poison_extension access_poison_;
  std::array<std::uint8_t, 4> access_data_{};
  interrupt_handler interrupt_;
  link_handler trained_;
  link_error_handler link_error_;
  picos message_through_ = 0;  // of the newest message for an error of the link: its ACK and credit are back
  link_down_handler went_down_;
  tlp_observer* observer_ = nullptr;
  pcie_counters counters_;
};

}  // namespace understudy
