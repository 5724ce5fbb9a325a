// A host machine and adapters of plain C++ for the tests of the driver: no bus times, but the same order of
// things. An adapter reads descriptors from DMA memory and writes records as a test tells it to.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host_sw/driver/driver.h"
#include "host_sw/hal/hal.h"
#include "model/abi/ids.h"
#include "model/abi/seq32.h"
#include "model/abi/understudy_abi.h"

namespace understudy::tb {

class fake_machine;

// What the fake adapter knows of a connection.
struct fake_connection {
  us_idt_entry restore{};  // as loaded; opcode 0 if it was not restored
  us_idt_entry connect{};
  std::uint8_t peer_ip[16] = {};
  std::uint16_t local_port = 0, peer_port = 0;
  seq32 iss, rcv_nxt, snd_una, snd_end;
  struct room {
    std::uint64_t iova;
    std::uint32_t len, buf_id, base_off, used;
    bool direct;
  };
  std::deque<room> rx;
  std::uint32_t edge = 0;                      // highest grant
  std::map<std::uint32_t, std::uint8_t> sent;  // send stream: byte by sequence number, as read when posted
  bool closed = false, aborted = false;
};

class fake_adapter {
 public:
  fake_adapter(fake_machine& m, unsigned number) : m_(m), number_(number) {}

  // ---- what a test sets
  bool answers = true;  // false: registers and configuration space read as all-ones
  bool beating = true;
  std::map<std::uint32_t, int> lost;  // so many writes of a register do not arrive
  bool consumes = true;               // false: descriptors stay in the table
  bool credits = true;                // tells what it consumed by a CREDIT of its own
  bool fires_on_arm = true;  // an ODT_HEAD doorbell behind the newest record gives an interrupt at once
  std::uint32_t id = US_MAGIC;
  std::uint32_t abi = US_ABI_MAJOR << 16 | US_ABI_MINOR;
  std::uint32_t features = US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE |
                           US_FEATURE_HEARTBEAT | US_FEATURE_SET_OPTIONS | US_FEATURE_MEMORY |
                           US_FEATURE_VLAN | US_FEATURE_INLINE | US_FEATURE_ECHO;
  std::uint32_t max_connections = 64;
  std::uint8_t group = 0;  // of buffers, that connections opened from now on belong to
  bool pci_answers = true;
  std::uint32_t tx_status = US_TX_RUNNING;  // of a queue that is enabled
  // It has `n` transmit queues; before the driver starts.
  void give_queues(std::uint32_t n) {
    features |= US_FEATURE_SEND_RAW | US_FEATURE_TX_QUEUES;
    regs[US_REG_TX_QUEUES] = n;
  }
  std::function<void(const us_idt_entry&)> on_descriptor;
  std::function<void()> before_arming;  // between an ODT_HEAD doorbell and its effect

  // Of both tables; before the driver starts.
  void count_from(std::uint32_t first) {
    consumed = number_next_ = regs[US_REG_IDT_TAIL] = regs[US_REG_ODT_HEAD] = first;
  }

  // ---- what a test looks at
  std::vector<us_idt_entry> seen;                        // descriptors consumed
  std::vector<us_idt_entry> tx_seen[US_TX_QUEUES_MOST];  // the same of transmit queues since their ENABLE
  std::uint32_t bad_descriptors = 0;
  std::map<std::uint32_t, std::uint32_t> regs{{US_MSIX_TABLE + 12, 1}, {US_MSIX_TABLE + 28, 1}};  // masked
  std::map<std::uint32_t, fake_connection> connections;
  std::deque<us_idt_entry> pool;
  std::uint32_t doorbells = 0;
  std::uint32_t consumed = 0;
  std::uint32_t command = 0;
  bool receiving() const { return reg(US_REG_CONTROL) & US_CONTROL_RX_ENABLE; }
  std::uint32_t reg(std::uint32_t r) const {
    const auto it = regs.find(r);
    return it == regs.end() ? 0 : it->second;
  }
  std::vector<us_idt_entry> seen_of(us_opcode op) const;

  // ---- records
  us_record blank(us_record_type type, std::uint32_t cid) const;
  // Number, epoch and CRC are filled in; returns the slot. The record becomes visible at once.
  std::uint32_t emit(us_record r, bool interrupt = true);
  // Frames of transmit queue `queue` are over, to the one that ends with descriptor `index`.
  void report_raw(unsigned queue, std::uint32_t index, us_status status = US_OK, bool interrupt = true);
  std::uint8_t* slot(std::uint32_t number) const;
  std::uint32_t written() const { return number_next_; }

  // A peer opens a connection: EMBRYO and, if `complete`, ESTABLISHED.
  void peer_opens(std::uint32_t cid, std::uint16_t peer_port, std::uint16_t local_port, std::uint32_t iss,
                  std::uint32_t irs, bool complete = true, bool protect = true);
  void peer_completes(std::uint32_t cid);
  // The CONNECT descriptor `e` succeeds under `cid`.
  void connect_succeeds(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs);
  // Its handshake is committed, not announced: EMBRYO. `acked`: the peer has acknowledged our SYN, too.
  void connect_commits(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs, bool acked = true);
  void peer_sends(std::uint32_t cid, const std::string& bytes, bool fin = false);
  void peer_acks(std::uint32_t cid, std::uint32_t una);
  void ends(std::uint32_t cid, us_record_type type, us_status status = US_OK);

  // ---- from the machine
  std::uint32_t mmio_read(std::uint32_t offset);
  void mmio_write(std::uint32_t offset, std::uint32_t value);
  void consume();
  void beat();
  void write_tx_register(std::uint32_t offset, std::uint32_t value);
  void interrupt(unsigned vector);

 private:
  void take(const us_idt_entry& e);
  void begin_connect(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs);
  us_record conn_record(us_record_type type, std::uint32_t cid);
  fake_machine& m_;
  unsigned number_;
  std::uint32_t number_next_ = 0;
  std::uint32_t beats_ = 0;
  bool armed_ = false;
  bool beat_started_ = false;
};

class fake_machine final : public host::hal {
 public:
  explicit fake_machine(unsigned adapters);
  ~fake_machine() override;

  std::deque<fake_adapter> a;
  struct recovery_note {
    unsigned from, to, state;
    std::uint64_t at;
  };
  std::vector<recovery_note> notes;
  std::vector<std::string> acts;  // port and configuration accesses of a recovery, in order
  std::vector<bool> port_answers;
  std::vector<std::uint32_t> link_control;
  std::uint64_t spent[5] = {};
  bool dma_exhausted = false;
  bool has_iommu = false;
  std::function<void(unsigned state)> on_note;

  // Let time pass: interrupts and timers run, never one inside another.
  void run_ns(std::uint64_t ns);
  void run_us(std::uint64_t us) { run_ns(us * 1000); }
  // Memory behind a bus address; aborts the test program if [at, at + len) is not allocated.
  std::uint8_t* memory(std::uint64_t at, std::size_t len);
  void raise(unsigned adapter, unsigned vector);
  void later(std::uint64_t ns, std::function<void()> f);

  unsigned adapters() const override { return static_cast<unsigned>(a.size()); }
  std::uint32_t mmio_read32(unsigned n, std::uint32_t offset) override { return a[n].mmio_read(offset); }
  void mmio_write32(unsigned n, std::uint32_t offset, std::uint32_t v) override {
    a[n].mmio_write(offset, v);
  }
  std::uint32_t cfg_read32(unsigned n, std::uint32_t offset) override;
  void cfg_write32(unsigned n, std::uint32_t offset, std::uint32_t v) override;
  std::uint32_t port_cfg_read32(unsigned n, std::uint32_t offset) override;
  void port_cfg_write32(unsigned n, std::uint32_t offset, std::uint32_t v) override;
  host::dma_region dma_alloc(std::size_t bytes) override;
  void dma_free(const host::dma_region&) override {}
  void dma_map(unsigned, std::uint64_t, std::size_t) override {}
  void dma_unmap(unsigned, std::uint64_t, std::size_t) override {}
  bool dma_revoke(unsigned n) override {
    acts.push_back("revoke " + std::to_string(n));
    return has_iommu;
  }
  msi_target irq_attach(unsigned n, unsigned vector, handler h, void* context) override;
  std::uint64_t now_ns() override { return now_; }
  std::uint64_t timer_start(std::uint64_t ns, handler h, void* context) override;
  void timer_stop(std::uint64_t timer) override { timers_.erase(timer); }
  void spend(host::work kind, std::uint64_t amount) override { spent[static_cast<int>(kind)] += amount; }
  void port_down_and_hold(unsigned n) override { acts.push_back("hold " + std::to_string(n)); }
  void port_release(unsigned from, unsigned to) override {
    acts.push_back("release " + std::to_string(from) + " to " + std::to_string(to));
  }
  void note_recovery(unsigned from, unsigned to, unsigned state) override {
    notes.push_back({from, to, state, now_});
    if (on_note) on_note(state);
  }

 private:
  struct region {
    std::vector<std::uint8_t> bytes;
  };
  struct timer {
    std::uint64_t at;
    std::function<void()> f;
  };
  struct vector_target {
    handler h = nullptr;
    void* context = nullptr;
  };
  std::map<std::uint64_t, std::unique_ptr<region>> memory_;
  std::map<std::uint64_t, timer> timers_;  // by name: names grow
  std::deque<std::pair<unsigned, unsigned>> raised_;
  std::map<std::pair<unsigned, unsigned>, vector_target> vectors_;
  std::uint64_t now_ = 1'000'000;
  std::uint64_t next_timer_ = 1;
  std::uint64_t next_iova_ = 0x10000000;
};

// A configuration with one IPv4 address, small tables and buffers.
host::driver_config small_config();
inline constexpr std::uint32_t local_ip = 0x0a000001;
inline constexpr std::uint32_t peer_ip = 0x0a000002;
host::endpoint v4(std::uint32_t ip, std::uint16_t port);

}  // namespace understudy::tb
